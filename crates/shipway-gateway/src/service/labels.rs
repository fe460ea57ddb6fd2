//! Users and tags that limits hold for: put, listed, removed; and which of them a call is charged to.

use std::sync::Arc;

use http::HeaderMap;
use serde_json::json;

use super::{Gateway, Principal};
use crate::{
    call::charged_tags,
    error::{GatewayError, Thing},
    model::{Directory, Label, LabelKind, Limits},
    store,
};

impl Gateway {
    /// Gives a user or a tag limits, which hold for the next call; from the first time on its calls are counted.
    pub async fn put_label(
        &self,
        caller: &str,
        (kind, name): (LabelKind, &str),
        limits: Limits,
    ) -> Result<Arc<Label>, GatewayError> {
        Label::check_name(kind, name)?;
        limits.check()?;
        let mut change = self.change().await?;
        let created = change.directory.label(kind, name).map_or_else(|| self.now(), |before| before.created);
        let label = Label { kind, name: name.to_owned(), limits, created };
        store::labels::put(&mut change.transaction, &label).await?;
        let detail = json!({ "limits": label.limits });
        self.commit(change, caller, "gateway.put_label", subject(&label), detail).await?;
        Ok(Arc::new(label))
    }

    /// All users and tags that have limits, by kind and name.
    pub async fn labels(&self) -> Result<Vec<Arc<Label>>, GatewayError> {
        Ok(self.directory().await?.labels().cloned().collect())
    }

    /// One of them.
    pub async fn label(&self, kind: LabelKind, name: &str) -> Result<Arc<Label>, GatewayError> {
        held(&*self.directory().await?, kind, name)
    }

    /// Takes the limits of a user or a tag away. What was spent stays in the ledger.
    pub async fn delete_label(&self, caller: &str, kind: LabelKind, name: &str) -> Result<(), GatewayError> {
        let mut change = self.change().await?;
        let label = held(&change.directory, kind, name)?;
        store::labels::delete(&mut change.transaction, &label).await?;
        self.commit(change, caller, "gateway.delete_label", subject(&label), json!({})).await?;
        self.meter().set_limits(&label.scope(), Limits::default());
        Ok(())
    }

    /// Charges what `principal` asks to its user and its tags as well, where these have limits.
    pub(crate) async fn charge_labels(
        &self,
        principal: &mut Principal,
        user: Option<&str>,
        (headers, metadata): (&HeaderMap, &[(String, String)]),
    ) -> Result<(), GatewayError> {
        let directory = self.directory().await?;
        if !directory.has_labels() {
            return Ok(());
        }
        let user = user.and_then(|user| directory.label(LabelKind::User, user));
        principal.chain.extend(user.map(|label| label.scope()));
        let tags = charged_tags(principal, headers, metadata);
        let tags = tags
            .iter()
            .filter_map(|(name, value)| directory.label(LabelKind::Tag, &Label::of_tag(name, value)));
        principal.chain.extend(tags.map(|label| label.scope()));
        Ok(())
    }
}

fn held(directory: &Directory, kind: LabelKind, name: &str) -> Result<Arc<Label>, GatewayError> {
    let thing = match kind {
        LabelKind::User => Thing::User,
        LabelKind::Tag => Thing::Tag,
    };
    directory.label(kind, name).cloned().ok_or_else(|| GatewayError::missing(thing, name))
}

fn subject(label: &Label) -> String {
    format!("llm_{}/{}", label.kind.word(), label.name)
}
