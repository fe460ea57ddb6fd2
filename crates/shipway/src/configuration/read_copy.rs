//! The read copy: where it is, and what this server has to do with it.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_online::copy::{CopyOptions, CopySecret, CopyStore};

use crate::failure::CommandFailure;

/// The online states in Redis or Valkey, for readers elsewhere.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReadCopyConfiguration {
    /// Address of Redis or Valkey, `redis://host:port` or `rediss://host:port` (encrypted); several, separated by commas, are nodes
    /// of a cluster. Without one there is no copy
    pub(crate) address: Option<String>,
    /// What this server has to do with the copy: the `owner` writes it, a `reader` has no data of its own and answers from it
    pub(crate) role: Role,
    /// Whether the address is that of a cluster; several addresses always are. Owner and readers must agree
    pub(crate) cluster: bool,
    /// What the keys of the copy begin with, in braces; each owner on one server needs another one
    pub(crate) prefix: String,
    /// Who logs in there
    pub(crate) username: Option<String>,
    /// Password of that user
    pub(crate) password: Option<String>,
    /// PEM file of the certificates to trust with `rediss://`; those of the system without it
    pub(crate) ca: Option<PathBuf>,
}

/// What a server has to do with the read copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Owner,
    Reader,
}

impl Default for ReadCopyConfiguration {
    fn default() -> Self {
        Self {
            address: None,
            role: Role::Owner,
            cluster: false,
            prefix: "shipway".to_owned(),
            username: None,
            password: None,
            ca: None,
        }
    }
}

/// Says where, never with what secret.
impl fmt::Debug for ReadCopyConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One with a login in it is refused; until then it is not told.
        let address = self.address.as_deref().filter(|address| !address.contains('@'));
        formatter
            .debug_struct("ReadCopyConfiguration")
            .field("address", &address)
            .field("role", &self.role)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl ReadCopyConfiguration {
    /// The copy, if there is one. Does not connect yet.
    pub(crate) fn store(&self) -> Result<Option<CopyStore>, CommandFailure> {
        let Some(address) = &self.address else {
            return match self.role {
                Role::Owner => Ok(None),
                Role::Reader => Err(CommandFailure::new("read_copy: a reader needs an address")
                    .with_hint("set read_copy.address, or SHIPWAY_READ_COPY__ADDRESS")),
            };
        };
        let addresses: Vec<String> = address.split(',').map(|address| address.trim().to_owned()).collect();
        let ca = match &self.ca {
            Some(path) => Some(fs_err::read(path)?),
            None => None,
        };
        let options = CopyOptions {
            is_cluster: self.cluster || addresses.len() > 1,
            prefix: self.prefix.clone(),
            username: self.username.clone(),
            password: self.password.clone().map(CopySecret::new),
            ca,
            ..CopyOptions::new("")
        };
        let options = CopyOptions { addresses, ..options };
        CopyStore::new(&options).map(Some).map_err(|error| CommandFailure::of(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(toml: &str) -> Result<Option<CopyStore>, CommandFailure> {
        let read: ReadCopyConfiguration = toml::from_str(toml).unwrap();
        assert!(!format!("{read:?}").contains("hush"));
        read.store()
    }

    #[test]
    fn a_copy_is_there_where_an_address_is_and_several_addresses_are_a_cluster() {
        assert!(of("").unwrap().is_none());
        let one = of("address = 'redis://127.0.0.1:6379'\npassword = 'hush'").unwrap().unwrap();
        assert_eq!(one.buckets(), 1);
        let many = of("address = 'redis://a:1, redis://b:1'").unwrap().unwrap();
        assert!(many.buckets() > 1);
        assert!(of("address = 'redis://a:1'\ncluster = true").unwrap().unwrap().buckets() > 1);
    }

    #[test]
    fn what_cannot_be_is_refused_when_the_server_starts() {
        for (toml, words) in [
            ("role = 'reader'", "a reader needs an address"),
            ("address = '127.0.0.1:6379'", "redis://"),
            ("address = 'redis://:hush@127.0.0.1:6379'", "settings of their own"),
            ("address = 'redis://a:1'\nprefix = 'a b'", "prefix"),
        ] {
            let refused = of(toml).unwrap_err();
            assert!(refused.message.contains(words), "{}", refused.message);
            assert!(!refused.message.contains("hush"));
        }
    }
}
