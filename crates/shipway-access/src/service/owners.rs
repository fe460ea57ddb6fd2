//! What other parts of the server tell of the things that are granted.

use serde_json::json;
use shipway_core::ResourceType;
use shipway_web::Caller;

use super::{Accounts, own_account};
use crate::{authority, error::AccessError, store};

impl Accounts {
    /// A caller has made a thing: they manage it from now on, unless they do already.
    pub async fn made(&self, caller: &Caller, resource: ResourceType, id: &str) -> Result<(), AccessError> {
        let Some(grant) = authority::grant_of_creator(caller, resource, id) else { return Ok(()) };
        let mut change = self.change().await?;
        // Their account may be gone since they were let in.
        let Some(owner) = own_account(&change.directory, caller).cloned() else { return Ok(()) };
        let role_id = store::roles::own_role_or_new(&mut change.transaction, owner.id, self.now()).await?;
        store::roles::put_grant(&mut change.transaction, role_id, &grant).await?;
        let detail = json!({ "grant": grant.to_string(), "because": "made it" });
        self.commit(change, &caller.name, "access.grant", format!("user/{}", owner.name), detail).await
    }

    /// A thing is called differently from now on: what was granted on it stays granted.
    pub async fn renamed(
        &self,
        caller: &Caller,
        resource: ResourceType,
        from: &str,
        to: &str,
    ) -> Result<(), AccessError> {
        if !self.inner.asks {
            return Ok(());
        }
        let mut change = self.change().await?;
        // What was granted on an earlier thing of that name is not for this one.
        store::roles::delete_grants_on(&mut change.transaction, resource, to).await?;
        if store::roles::move_grants_on(&mut change.transaction, resource, from, to).await? == 0 {
            return Ok(());
        }
        let detail = json!({ "to": to });
        self.commit(change, &caller.name, "access.move_grants", format!("{resource}/{from}"), detail).await
    }

    /// A thing is gone for good: nobody has anything granted on the next one of that name.
    pub async fn gone(&self, caller: &Caller, resource: ResourceType, id: &str) -> Result<(), AccessError> {
        if !self.inner.asks {
            return Ok(());
        }
        let mut change = self.change().await?;
        if store::roles::delete_grants_on(&mut change.transaction, resource, id).await? == 0 {
            return Ok(());
        }
        self.commit(change, &caller.name, "access.revoke_all", format!("{resource}/{id}"), json!({})).await
    }
}
