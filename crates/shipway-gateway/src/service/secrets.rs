//! Secrets of providers: put, listed, deleted, encrypted anew. No value ever leaves.

use serde_json::json;
use shipway_core::{Name, Timestamp};

use super::Gateway;
use crate::{
    error::{GatewayError, Thing},
    store::{self, secrets::SecretRow},
    vault::Opened,
};

const LONGEST_VALUE: usize = 16 << 10;

/// A secret that is kept, without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSecret {
    /// Its name.
    pub name: String,
    /// The id of the key that it is encrypted with.
    pub key_id: String,
    /// When it was put.
    pub changed: Timestamp,
    /// By whom.
    pub changed_by: String,
    /// Why it does not open; none: it does.
    pub problem: Option<String>,
}

impl Gateway {
    /// Keeps a secret, in the place of the one of that name. Providers that refer to it show it from the next request on.
    pub async fn put_secret(&self, caller: &str, name: &Name, value: &str) -> Result<(), GatewayError> {
        let is_text =
            !value.is_empty() && value.len() <= LONGEST_VALUE && !value.chars().any(char::is_control);
        if !is_text {
            let reason = format!("write 1 to {LONGEST_VALUE} bytes on one line");
            return Err(GatewayError::invalid("value", reason));
        }
        let sealed = self.inner.vault.seal(name.as_str(), value)?;
        let mut change = self.change().await?;
        let detail = json!({ "key_id": sealed.key_id });
        let (changed, changed_by) = (self.now(), caller.to_owned());
        let row = SecretRow { name: name.to_string(), sealed, changed, changed_by };
        store::secrets::put(&mut change.transaction, &row).await?;
        self.commit(change, caller, "gateway.put_secret", format!("llm_secret/{name}"), detail).await
    }

    /// All of them, by name, without their values.
    pub async fn secrets(&self) -> Result<Vec<KeptSecret>, GatewayError> {
        let rows = store::secrets::all(&self.inner.store).await?;
        let kept = |row: SecretRow| {
            let problem = match self.inner.vault.find(&row.name) {
                Some(Opened::Shut(why)) => Some(why.to_string()),
                Some(Opened::Open(_)) | None => None,
            };
            let SecretRow { name, sealed, changed, changed_by } = row;
            KeptSecret { name, key_id: sealed.key_id, changed, changed_by, problem }
        };
        Ok(rows.into_iter().map(kept).collect())
    }

    /// Forgets a secret. Providers that refer to it are not asked any more.
    pub async fn delete_secret(&self, caller: &str, name: &str) -> Result<(), GatewayError> {
        let mut change = self.change().await?;
        if !store::secrets::delete(&mut change.transaction, name).await? {
            return Err(GatewayError::missing(Thing::Secret, name));
        }
        self.commit(change, caller, "gateway.delete_secret", format!("llm_secret/{name}"), json!({})).await
    }

    /// Encrypts everything with the first key that is under another one, or nothing where one of them does not open. Returns how many.
    pub async fn rekey_secrets(&self, caller: &str) -> Result<usize, GatewayError> {
        let mut change = self.change().await?;
        let mut count = 0;
        for row in store::secrets::all_in(&mut change.transaction).await? {
            if let Some(sealed) = self.inner.vault.seal_again(&row)? {
                store::secrets::put(&mut change.transaction, &SecretRow { sealed, ..row }).await?;
                count += 1;
            }
        }
        let detail = json!({ "secrets": count });
        self.commit(change, caller, "gateway.rekey_secrets", "llm_secret".to_owned(), detail).await?;
        Ok(count)
    }

    /// Gives every provider that refers to a secret what is kept of it now.
    pub(super) fn show_secrets(&self) {
        for provider in self.installed().providers() {
            provider.take_secret(&self.inner.vault);
        }
    }
}
