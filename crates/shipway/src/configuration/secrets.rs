//! The keys that secrets of providers are encrypted with. They come from outside, and are nowhere in the data folder or the database.

use std::{fmt, path::PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use shipway_gateway::Keyring;

use crate::failure::CommandFailure;

/// Secrets of providers that are kept in the metadata database.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct SecretsConfiguration {
    /// Key of 32 random bytes in hexadecimal digits that secrets are encrypted with (`openssl rand -hex 32`); further ones after a comma only open what was encrypted before. Better in the environment
    pub(crate) key: Option<String>,
    /// File with such keys, one a line, in the place of `key`
    pub(crate) key_file: Option<PathBuf>,
}

/// Says where, never what.
impl fmt::Debug for SecretsConfiguration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map(|_| "…");
        formatter
            .debug_struct("SecretsConfiguration")
            .field("key", &key)
            .field("key_file", &self.key_file)
            .finish()
    }
}

impl SecretsConfiguration {
    /// The keys; without any, nothing can be kept.
    pub(crate) fn keyring(&self) -> Result<Keyring, CommandFailure> {
        let text = match (&self.key, &self.key_file) {
            (Some(_), Some(_)) => {
                return Err(CommandFailure::new("secrets.key and secrets.key_file are both set")
                    .with_hint("leave one of them out"));
            }
            (Some(key), None) => key.clone(),
            (None, Some(file)) => fs_err::read_to_string(file)
                .map_err(|error| CommandFailure::new(format!("secrets.key_file: {error}")))?,
            (None, None) => return Ok(Keyring::default()),
        };
        Keyring::read(&text).map_err(|error| {
            CommandFailure::new(format!("secrets: {error}")).with_hint("make one with `openssl rand -hex 32`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        let read = |toml: &str| toml::from_str::<SecretsConfiguration>(toml).unwrap();
        assert!(SecretsConfiguration::default().keyring().is_ok());
        let wrong = read("key = 'a password'");
        let refused = wrong.keyring().unwrap_err();
        assert!(refused.message.contains("32 bytes"), "{}", refused.message);
        assert!(!format!("{wrong:?} {}", refused.message).contains("password"));
        assert!(read("key = 'x'\nkey_file = 'y'").keyring().is_err());
        assert!(read("key_file = '/nowhere/at/all'").keyring().unwrap_err().message.contains("/nowhere"));
    }
}
