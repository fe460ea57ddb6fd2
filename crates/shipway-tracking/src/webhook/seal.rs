//! Secrets of webhooks: how they are kept, and the signatures that are made with them.
//!
//! With a key of the operator a secret is kept encrypted (AES-256-GCM, bound to its webhook); without one it is kept as it is.
//! What was kept before a key was set is still read, and is encrypted when the secret is set the next time.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    error::Unspecified,
    hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use shipway_core::Digest;

const PLAIN: &str = "plain:";
const ENCRYPTED: &str = "aes256gcm:";
const NONCE_BYTES: usize = 12;

/// A secret that is kept cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SealError {
    #[error("the webhook's secret is encrypted, and no key is configured")]
    NoKey,
    #[error("the webhook's secret does not open with the key that is configured")]
    WrongKey,
    #[error("the webhook's secret cannot be encrypted")]
    Failed,
}

/// What secrets are encrypted with, if with anything.
pub(crate) struct Sealer {
    key: Option<[u8; 32]>,
}

impl Sealer {
    pub(crate) fn new(key: Option<&str>) -> Self {
        Self { key: key.map(|key| *Digest::of(key).as_bytes()) }
    }

    /// The secret as it is kept; empty for none.
    pub(crate) fn seal(&self, webhook_id: &str, secret: &str) -> Result<String, SealError> {
        if secret.is_empty() {
            return Ok(String::new());
        }
        let Some(key) = &self.key else { return Ok(format!("{PLAIN}{secret}")) };
        let sealed = encrypt(key, webhook_id, secret).map_err(|_| SealError::Failed)?;
        Ok(format!("{ENCRYPTED}{}", STANDARD.encode(sealed)))
    }

    /// The secret that was kept; `None` for none.
    pub(crate) fn open(&self, webhook_id: &str, sealed: &str) -> Result<Option<String>, SealError> {
        if sealed.is_empty() {
            return Ok(None);
        }
        if let Some(secret) = sealed.strip_prefix(PLAIN) {
            return Ok(Some(secret.to_owned()));
        }
        let encrypted = sealed.strip_prefix(ENCRYPTED).ok_or(SealError::WrongKey)?;
        let key = self.key.as_ref().ok_or(SealError::NoKey)?;
        let bytes = STANDARD.decode(encrypted).map_err(|_| SealError::WrongKey)?;
        let opened = decrypt(key, webhook_id, &bytes).map_err(|_| SealError::WrongKey)?;
        String::from_utf8(opened).map(Some).map_err(|_| SealError::WrongKey)
    }
}

/// The nonce, then the encrypted text with its tag.
fn encrypt(key: &[u8], webhook_id: &str, secret: &str) -> Result<Vec<u8>, Unspecified> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key)?;
    let mut text = secret.as_bytes().to_vec();
    let nonce = key.seal_in_place_append_tag(Aad::from(webhook_id), &mut text)?;
    let nonce: &[u8; NONCE_BYTES] = nonce.as_ref();
    Ok([nonce.as_slice(), &text].concat())
}

fn decrypt(key: &[u8], webhook_id: &str, sealed: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let key = RandomizedNonceKey::new(&AES_256_GCM, key)?;
    let (nonce, text) = sealed.split_at_checked(NONCE_BYTES).ok_or(Unspecified)?;
    let mut text = text.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce)?;
    let length = key.open_in_place(nonce, Aad::from(webhook_id), &mut text)?.len();
    text.truncate(length);
    Ok(text)
}

/// `v1,` and the Base64 of the HMAC-SHA256 of delivery id, time in seconds and body, joined by dots.
pub(crate) fn signature(secret: &str, delivery_id: &str, seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{delivery_id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_back_from_how_it_is_kept() {
        let plain = Sealer::new(None);
        assert_eq!(plain.seal("w-1", "hush").as_deref(), Ok("plain:hush"));
        let encrypting = Sealer::new(Some("a key that nobody will ever guess"));
        let kept = encrypting.seal("w-1", "hush").unwrap();
        assert!(kept.starts_with(ENCRYPTED) && !kept.contains("hush"));
        assert_ne!(encrypting.seal("w-1", "hush").unwrap(), kept, "no two are alike");
        assert_eq!(encrypting.open("w-1", &kept), Ok(Some("hush".to_owned())));
        assert_eq!(encrypting.open("w-1", "plain:hush"), Ok(Some("hush".to_owned())));
        for sealer in [&plain, &encrypting] {
            assert_eq!(sealer.seal("w-1", "").as_deref(), Ok(""));
            assert_eq!(sealer.open("w-1", ""), Ok(None));
        }
    }

    #[test]
    fn a_kept_secret_opens_with_its_key_and_for_its_webhook_only() {
        let kept = Sealer::new(Some("a key that nobody will ever guess")).seal("w-1", "hush").unwrap();
        assert_eq!(Sealer::new(None).open("w-1", &kept), Err(SealError::NoKey));
        assert_eq!(Sealer::new(Some("another")).open("w-1", &kept), Err(SealError::WrongKey));
        let right = Sealer::new(Some("a key that nobody will ever guess"));
        assert_eq!(right.open("w-2", &kept), Err(SealError::WrongKey));
        for damaged in ["aes256gcm:", "aes256gcm:AAAA", "aes256gcm:!", "hush", &kept[..kept.len() - 8]] {
            assert_eq!(right.open("w-1", damaged), Err(SealError::WrongKey), "{damaged}");
        }
    }

    #[test]
    fn a_signature_is_what_receivers_compute() {
        // echo -n 'd-1.1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret -binary | base64
        let made = signature("secret", "d-1", 1_700_000_000, r#"{"a":1}"#);
        assert_eq!(made, "v1,W9eHebaqiXOuELHN1r1hVUnoO/wpmwqyE5kTPta2srw=");
    }
}
