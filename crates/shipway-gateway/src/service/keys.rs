//! Virtual keys: made, changed, rotated, revoked.

use std::sync::Arc;

use serde_json::json;
use shipway_core::{Name, Timestamp};

use super::Gateway;
use crate::{
    error::{GatewayError, Thing},
    model::{KeyTerms, Limits, Scope, VirtualKey},
    secret::{KeyText, SecretHash},
    store,
};

const LONGEST_NAME: usize = 128;
const MOST_MODELS: usize = 1_000;
const MOST_DAYS: u32 = 3_660;
const DAY_US: i64 = 86_400_000_000;
/// For how long a secret is still taken after it was replaced: a week.
const LONGEST_GRACE_SECONDS: u32 = 604_800;

/// What a new key shall be.
#[derive(Debug, Clone, Default)]
pub struct CreateKey {
    /// What people call it.
    pub name: String,
    /// The group that its calls are charged to as well.
    pub group: Option<Name>,
    /// The models that it may use; empty: every one.
    pub models: Vec<String>,
    /// By which routes, with which tools, and whose its calls are.
    pub terms: KeyTerms,
    /// What it may use.
    pub limits: Limits,
    /// For how many days it is good; none: for ever.
    pub days: Option<u32>,
}

/// A key that has a new secret, which is shown this once.
pub struct NewKey {
    /// The key.
    pub key: Arc<VirtualKey>,
    /// All of it, as its user sends it.
    pub text: String,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("NewKey").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Makes a key.
    pub async fn create_key(&self, caller: &str, create: CreateKey) -> Result<NewKey, GatewayError> {
        check(&create)?;
        let mut change = self.change().await?;
        if let Some(group) = &create.group
            && change.directory.group(group.as_str()).is_none()
        {
            return Err(GatewayError::missing(Thing::Group, group));
        }
        let text = KeyText::new()?;
        let created = self.now();
        let expires = create.days.map(|days| Timestamp(created.0.saturating_add(i64::from(days) * DAY_US)));
        let key = VirtualKey {
            id: text.id.clone(),
            name: create.name,
            secret: SecretHash::of(&text.secret),
            previous: None,
            group: create.group,
            models: create.models,
            terms: create.terms,
            limits: create.limits,
            created_by: caller.to_owned(),
            created,
            expires,
        };
        store::keys::put(&mut change.transaction, &key).await?;
        let detail = json!({ "name": key.name, "group": key.group, "models": key.models, "terms": key.terms, "limits": key.limits, "expires": key.expires });
        self.commit(change, caller, "gateway.create_key", format!("llm_key/{}", key.id), detail).await?;
        Ok(NewKey { key: Arc::new(key), text: text.text() })
    }

    /// All keys, the oldest first; expired ones too.
    pub async fn keys(&self) -> Result<Vec<Arc<VirtualKey>>, GatewayError> {
        Ok(self.directory().await?.keys().into_iter().cloned().collect())
    }

    /// One of them.
    pub async fn key(&self, id: &str) -> Result<Arc<VirtualKey>, GatewayError> {
        self.directory().await?.key(id).cloned().ok_or_else(|| GatewayError::missing(Thing::Key, id))
    }

    /// Gives a key other limits, which hold for the next call.
    pub async fn limit_key(
        &self,
        caller: &str,
        id: &str,
        limits: Limits,
    ) -> Result<Arc<VirtualKey>, GatewayError> {
        limits.check()?;
        let mut change = self.change().await?;
        let mut key = held(&change.directory, id)?;
        key.limits = limits;
        store::keys::put(&mut change.transaction, &key).await?;
        let detail = json!({ "limits": key.limits });
        self.commit(change, caller, "gateway.limit_key", format!("llm_key/{id}"), detail).await?;
        Ok(Arc::new(key))
    }

    /// Gives a key a new secret. The one before is still taken for `grace_seconds`, so that programs can change over.
    pub async fn rotate_key(
        &self,
        caller: &str,
        id: &str,
        grace_seconds: u32,
    ) -> Result<NewKey, GatewayError> {
        if grace_seconds > LONGEST_GRACE_SECONDS {
            let reason = format!("{grace_seconds} is not in 0 to {LONGEST_GRACE_SECONDS}");
            return Err(GatewayError::invalid("grace_seconds", reason));
        }
        let mut change = self.change().await?;
        let mut key = held(&change.directory, id)?;
        let text = KeyText { id: key.id.clone(), secret: KeyText::new_secret()? };
        let until = Timestamp(self.now().0.saturating_add(i64::from(grace_seconds) * 1_000_000));
        let before = std::mem::replace(&mut key.secret, SecretHash::of(&text.secret));
        key.previous = (grace_seconds > 0).then_some((before, until));
        store::keys::put(&mut change.transaction, &key).await?;
        let detail = json!({ "grace_seconds": grace_seconds });
        self.commit(change, caller, "gateway.rotate_key", format!("llm_key/{id}"), detail).await?;
        Ok(NewKey { key: Arc::new(key), text: text.text() })
    }

    /// Takes a key back. It is refused from now on; what it has spent stays in the ledger.
    pub async fn revoke_key(&self, caller: &str, id: &str) -> Result<(), GatewayError> {
        let mut change = self.change().await?;
        let key = held(&change.directory, id)?;
        store::keys::delete(&mut change.transaction, id).await?;
        let detail = json!({ "name": key.name });
        self.commit(change, caller, "gateway.revoke_key", format!("llm_key/{id}"), detail).await?;
        self.meter().set_limits(&Scope::Key(key.id), Limits::default());
        Ok(())
    }
}

fn held(directory: &crate::model::Directory, id: &str) -> Result<VirtualKey, GatewayError> {
    let key = directory.key(id).ok_or_else(|| GatewayError::missing(Thing::Key, id))?;
    Ok(VirtualKey::clone(key))
}

fn check(create: &CreateKey) -> Result<(), GatewayError> {
    let name = create.name.as_str();
    let is_name = !name.trim().is_empty()
        && name.chars().count() <= LONGEST_NAME
        && !name.chars().any(char::is_control);
    if !is_name {
        let reason = format!("write 1 to {LONGEST_NAME} characters on one line");
        return Err(GatewayError::invalid("name", reason));
    }
    if create.models.len() > MOST_MODELS {
        return Err(GatewayError::invalid("models", format!("there are more than {MOST_MODELS}")));
    }
    if let Some(days) = create.days.filter(|days| !(1..=MOST_DAYS).contains(days)) {
        return Err(GatewayError::invalid("days", format!("{days} is not in 1 to {MOST_DAYS}")));
    }
    create.terms.check()?;
    create.limits.check()
}
