//! Secrets of providers that Shipway keeps: encrypted in the metadata database, with a key from outside, open in memory only.
//!
//! - `keyring`: the keys from outside, and what is sealed with them
//! - here: the secrets that are open, as providers show them

mod keyring;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

pub(crate) use keyring::Sealed;
pub use keyring::{Keyring, KeyringError, Unopened};

use crate::{error::GatewayError, store::secrets::SecretRow};

/// The text of a secret. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretText(pub(crate) String);

impl fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretText(…)")
    }
}

/// What became of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Opened {
    Open(SecretText),
    Shut(Unopened),
}

/// The secrets that are kept.
#[derive(Debug, Default)]
pub(crate) struct Vault {
    keyring: Keyring,
    opened: RwLock<Arc<HashMap<String, Opened>>>,
}

impl Vault {
    pub(crate) fn new(keyring: Keyring) -> Self {
        Self { keyring, opened: RwLock::default() }
    }

    pub(crate) fn seal(&self, name: &str, value: &str) -> Result<Sealed, GatewayError> {
        self.keyring.seal(name, value)
    }

    /// The same value under the first key, where it is under another one.
    pub(crate) fn seal_again(&self, row: &SecretRow) -> Result<Option<Sealed>, GatewayError> {
        if self.keyring.is_first(&row.sealed.key_id) {
            return Ok(None);
        }
        let opened = self.keyring.open(&row.name, &row.sealed);
        let SecretText(value) =
            opened.map_err(|why| GatewayError::SecretShut { name: row.name.clone(), why })?;
        self.keyring.seal(&row.name, &value).map(Some)
    }

    /// Opens what is kept, in the place of what was open.
    pub(crate) fn reads(&self, rows: &[SecretRow]) {
        let before = self.held();
        let mut opened = HashMap::with_capacity(rows.len());
        for row in rows {
            let now = match self.keyring.open(&row.name, &row.sealed) {
                Ok(text) => Opened::Open(text),
                Err(why) => Opened::Shut(why),
            };
            if let Opened::Shut(why) = &now
                && before.get(&row.name) != Some(&now)
            {
                tracing::error!(secret = row.name, error = %why, "a secret that is kept cannot be opened; providers that need it are not asked");
            }
            opened.insert(row.name.clone(), now);
        }
        *self.opened.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(opened);
    }

    fn held(&self) -> Arc<HashMap<String, Opened>> {
        Arc::clone(&self.opened.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A secret by its name; none: it is not kept.
    pub(crate) fn find(&self, name: &str) -> Option<Opened> {
        self.held().get(name).cloned()
    }
}
