//! The secrets of virtual keys: how they are made, read and kept.
//!
//! A secret has 256 random bits, so one pass of SHA-256 keeps it as well as any slower hash would: there is nothing to guess. It is
//! compared on every call, in about a microsecond.

use std::fmt;

use aws_lc_rs::rand;
use shipway_core::Digest;

use crate::error::GatewayError;

/// How every virtual key begins, so that scanners of repositories find one that was left there.
pub(crate) const PREFIX: &str = "shipway_llm_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// The hash of a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretHash(Digest);

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(…)")
    }
}

impl SecretHash {
    pub(crate) fn of(secret: &str) -> Self {
        Self(Digest::of(secret))
    }

    /// Takes the same time wherever the two differ.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        let pairs = self.0.as_bytes().iter().zip(other.0.as_bytes());
        // The black box keeps the compiler from leaving the loop at the first difference.
        pairs.fold(0, |seen, (left, right)| std::hint::black_box(seen | (left ^ right))) == 0
    }

    /// As it is kept.
    pub(crate) fn text(&self) -> String {
        self.0.hex()
    }

    /// As it was kept.
    pub(crate) fn kept(text: &str) -> Option<Self> {
        let bytes: [u8; 32] = hex::decode(text).ok()?.try_into().ok()?;
        Some(Self(Digest::from_bytes(bytes)))
    }
}

/// A virtual key as its user has it: `shipway_llm_<id>_<secret>`. Shown once, when it is made.
pub(crate) struct KeyText {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl KeyText {
    /// A new one.
    pub(crate) fn new() -> Result<Self, GatewayError> {
        Ok(Self { id: hex::encode(random::<ID_BYTES>()?), secret: Self::new_secret()? })
    }

    /// A new secret for a key that there is.
    pub(crate) fn new_secret() -> Result<String, GatewayError> {
        Ok(hex::encode(random::<SECRET_BYTES>()?))
    }

    /// Reads what a caller shows; `None` when it is no virtual key.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = |text: &str, bytes: usize| {
            text.len() == 2 * bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES))
            .then(|| Self { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// The whole of it.
    pub(crate) fn text(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, self.secret)
    }
}

fn random<const BYTES: usize>() -> Result<[u8; BYTES], GatewayError> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| GatewayError::NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_as_it_is_written_and_only_its_hash_is_kept() {
        let key = KeyText::new().unwrap();
        let read = KeyText::read(&key.text()).unwrap();
        assert_eq!((&read.id, &read.secret), (&key.id, &key.secret));
        let hash = SecretHash::of(&key.secret);
        assert!(SecretHash::kept(&hash.text()).unwrap().equals(&hash));
        assert!(!hash.text().contains(&key.secret) && !format!("{hash:?}").contains(&hash.text()));
        assert!(!hash.equals(&SecretHash::of(&KeyText::new_secret().unwrap())));
        for other in ["", "shipway_llm_", "shipway_llm_ab_cd", &key.text()[..60], &format!("{}0", key.text())]
        {
            assert!(KeyText::read(other).is_none(), "{other}");
        }
    }
}
