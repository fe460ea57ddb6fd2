//! The keys from outside that secrets are encrypted with. AES-256-GCM; the name of the secret and the id of the key are authenticated with it,
//! so that neither a row nor a part of one can be put in the place of another.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    error::Unspecified,
};
use shipway_core::Digest;

use super::SecretText;
use crate::error::GatewayError;

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
/// Of the hash of a key: enough to tell a few keys apart, and nothing of the key.
const ID_CHARACTERS: usize = 12;

/// A key from outside is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {place} of secrets is not 32 bytes in hexadecimal digits")]
pub struct KeyringError {
    /// Which of the keys, from 1.
    pub place: usize,
}

/// Why a secret that is kept does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// No key is configured.
    #[error("no key is configured that it could be opened with")]
    NoKey,
    /// The key that it was encrypted with is not among those that are configured.
    #[error("it is encrypted with key {key_id}, which is not configured")]
    OtherKey {
        /// The id of that key.
        key_id: String,
    },
    /// What is kept was altered, or is that of another secret.
    #[error("what is kept of it was altered")]
    Altered,
}

/// A secret as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) key_id: String,
    /// The nonce, then the encrypted text with its tag.
    pub(crate) bytes: Vec<u8>,
}

struct Key {
    id: String,
    bytes: [u8; KEY_BYTES],
}

/// Keys from outside: the first encrypts, all of them open.
#[derive(Default)]
pub struct Keyring {
    keys: Vec<Key>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<&str> = self.keys.iter().map(|key| key.id.as_str()).collect();
        formatter.debug_struct("Keyring").field("ids", &ids).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Reads keys of 32 bytes in hexadecimal digits, separated by commas or white space; the first one encrypts.
    pub fn read(text: &str) -> Result<Self, KeyringError> {
        let words = text.split(|character: char| character == ',' || character.is_whitespace());
        let words = words.filter(|word| !word.is_empty()).enumerate();
        let key = |(index, word): (usize, &str)| {
            let bytes = hex::decode(word).ok().and_then(|bytes| bytes.try_into().ok());
            let bytes: [u8; KEY_BYTES] = bytes.ok_or(KeyringError { place: index + 1 })?;
            let marked = [b"shipway secrets key/".as_slice(), &bytes].concat();
            let id = Digest::of(&marked).hex().chars().take(ID_CHARACTERS).collect();
            Ok(Key { id, bytes })
        };
        Ok(Self { keys: words.map(key).collect::<Result<_, KeyringError>>()? })
    }

    pub(super) fn is_first(&self, key_id: &str) -> bool {
        self.keys.first().is_some_and(|key| key.id == key_id)
    }

    pub(super) fn seal(&self, name: &str, value: &str) -> Result<Sealed, GatewayError> {
        let key = self.keys.first().ok_or(GatewayError::NoSecretsKey)?;
        let bytes = encrypt(key, name, value).map_err(|_| GatewayError::NoRandomness)?;
        Ok(Sealed { key_id: key.id.clone(), bytes })
    }

    pub(super) fn open(&self, name: &str, sealed: &Sealed) -> Result<SecretText, Unopened> {
        if self.keys.is_empty() {
            return Err(Unopened::NoKey);
        }
        let other = || Unopened::OtherKey { key_id: sealed.key_id.clone() };
        let key = self.keys.iter().find(|key| key.id == sealed.key_id).ok_or_else(other)?;
        let opened = decrypt(key, name, &sealed.bytes).map_err(|_| Unopened::Altered)?;
        String::from_utf8(opened).map(SecretText).map_err(|_| Unopened::Altered)
    }
}

/// What is authenticated beside the text.
fn about(key: &Key, name: &str) -> String {
    format!("shipway/llm_secret/{}/{name}", key.id)
}

fn encrypt(key: &Key, name: &str, value: &str) -> Result<Vec<u8>, Unspecified> {
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key.bytes)?;
    let mut text = value.as_bytes().to_vec();
    let nonce = cipher.seal_in_place_append_tag(Aad::from(about(key, name)), &mut text)?;
    let nonce: &[u8; NONCE_BYTES] = nonce.as_ref();
    Ok([nonce.as_slice(), &text].concat())
}

fn decrypt(key: &Key, name: &str, sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let cipher = RandomizedNonceKey::new(&AES_256_GCM, &key.bytes)?;
    let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unspecified)?;
    let mut text = text.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    let length = cipher.open_in_place(nonce, Aad::from(about(key, name)), &mut text)?.len();
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> String {
        hex::encode([byte; KEY_BYTES])
    }

    fn opened(keyring: &Keyring, name: &str, sealed: &Sealed) -> Result<String, Unopened> {
        keyring.open(name, sealed).map(|text| text.0)
    }

    #[test]
    fn a_secret_opens_with_its_key_under_its_name_and_with_no_other() {
        let first = Keyring::read(&key(1)).unwrap();
        let sealed = first.seal("openai", "sk-hush").unwrap();
        assert_eq!(opened(&first, "openai", &sealed).as_deref(), Ok("sk-hush"));
        assert_eq!(opened(&first, "anthropic", &sealed), Err(Unopened::Altered), "rows cannot be swapped");
        let rotated = Keyring::read(&format!("{}, {}", key(2), key(1))).unwrap();
        assert_eq!(opened(&rotated, "openai", &sealed).as_deref(), Ok("sk-hush"));
        assert_ne!(rotated.seal("openai", "sk-hush").unwrap().key_id, sealed.key_id);
        let lost = Keyring::read(&key(3)).unwrap();
        assert_eq!(
            opened(&lost, "openai", &sealed),
            Err(Unopened::OtherKey { key_id: sealed.key_id.clone() })
        );
        assert_eq!(opened(&Keyring::default(), "openai", &sealed), Err(Unopened::NoKey));
        assert!(Keyring::default().seal("openai", "sk-hush").is_err());
        assert!(!format!("{first:?} {:?}", first.open("openai", &sealed)).contains("hush"));
    }

    #[test]
    fn what_is_no_key_is_refused_by_its_place() {
        let short = hex::encode([1; 16]);
        assert_eq!(Keyring::read(&format!("{}\n{short}", key(1))).unwrap_err(), KeyringError { place: 2 });
        assert_eq!(Keyring::read("no digits").unwrap_err(), KeyringError { place: 1 });
        assert!(Keyring::read(" \n").unwrap().keys.is_empty());
    }

    proptest! {
        #[test]
        fn whatever_is_altered_does_not_open(value in ".{0,60}", place in any::<prop::sample::Index>(), bit in 0u8..8) {
            let keyring = Keyring::read(&key(7)).unwrap();
            let mut sealed = keyring.seal("name", &value).unwrap();
            let text = opened(&keyring, "name", &sealed);
            prop_assert_eq!(text.as_deref(), Ok(value.as_str()));
            let place = place.index(sealed.bytes.len());
            sealed.bytes[place] ^= 1 << bit;
            prop_assert_eq!(opened(&keyring, "name", &sealed), Err(Unopened::Altered));
        }
    }
}
