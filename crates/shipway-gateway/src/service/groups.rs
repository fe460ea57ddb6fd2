//! Groups: put, listed, removed.

use std::sync::Arc;

use serde_json::json;
use shipway_core::Name;

use super::Gateway;
use crate::{
    error::{GatewayError, Thing},
    model::{Directory, Group, GroupKind, Limits},
    store,
};

/// What a group shall be.
#[derive(Debug, Clone)]
pub struct PutGroup {
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: GroupKind,
    /// The greater group that it is part of.
    pub parent: Option<Name>,
    /// What all of its keys may use together.
    pub limits: Limits,
}

impl Gateway {
    /// Makes a group, or changes the one of that name. Its new limits hold for the next call.
    pub async fn put_group(&self, caller: &str, group: PutGroup) -> Result<Arc<Group>, GatewayError> {
        group.limits.check()?;
        let mut change = self.change().await?;
        judge(&change.directory, &group)?;
        let created =
            change.directory.group(group.name.as_str()).map_or_else(|| self.now(), |before| before.created);
        let PutGroup { name, kind, parent, limits } = group;
        let group = Group { name, kind, parent, limits, created };
        store::groups::put(&mut change.transaction, &group).await?;
        let detail = json!({ "kind": group.kind, "parent": group.parent, "limits": group.limits });
        self.commit(change, caller, "gateway.put_group", format!("llm_group/{}", group.name), detail).await?;
        Ok(Arc::new(group))
    }

    /// All groups, by name.
    pub async fn groups(&self) -> Result<Vec<Arc<Group>>, GatewayError> {
        Ok(self.directory().await?.groups().cloned().collect())
    }

    /// One of them.
    pub async fn group(&self, name: &str) -> Result<Arc<Group>, GatewayError> {
        self.directory().await?.group(name).cloned().ok_or_else(|| GatewayError::missing(Thing::Group, name))
    }

    /// Removes a group that nothing is in. What it has spent stays in the ledger.
    pub async fn delete_group(&self, caller: &str, name: &str) -> Result<(), GatewayError> {
        let mut change = self.change().await?;
        let group =
            change.directory.group(name).cloned().ok_or_else(|| GatewayError::missing(Thing::Group, name))?;
        if let Some(by) = change.directory.member_of(&group.name) {
            return Err(GatewayError::InUse { name: name.to_owned(), by });
        }
        store::groups::delete(&mut change.transaction, &group.name).await?;
        self.commit(change, caller, "gateway.delete_group", format!("llm_group/{name}"), json!({})).await?;
        self.meter().set_limits(&crate::model::Scope::Group(group.name.clone()), Limits::default());
        Ok(())
    }
}

/// Refuses groups above one another in the wrong order: what is in it stays in something greater.
fn judge(directory: &Directory, group: &PutGroup) -> Result<(), GatewayError> {
    if let Some(parent) = &group.parent {
        let above =
            directory.group(parent.as_str()).ok_or_else(|| GatewayError::missing(Thing::Group, parent))?;
        if above.kind <= group.kind {
            let reason =
                format!("{} {parent} is not greater than a {}", above.kind.word(), group.kind.word());
            return Err(GatewayError::invalid("parent", reason));
        }
    }
    let below = directory
        .groups()
        .find(|below| below.parent.as_ref() == Some(&group.name) && below.kind >= group.kind);
    match below {
        Some(below) => {
            let reason = format!("{} {} is part of it", below.kind.word(), below.name);
            Err(GatewayError::invalid("kind", reason))
        }
        None => Ok(()),
    }
}
