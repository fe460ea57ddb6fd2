//! Secrets: how they are hashed, compared and made.
//!
//! Passwords and tokens are kept as Argon2id hashes (19 MiB, two passes, the values that OWASP names first), each with a salt of its own.
//! Hashing takes tens of milliseconds of one core on purpose: never call it on a thread that serves others.

use std::fmt;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use aws_lc_rs::rand;

use crate::error::AccessError;

/// How every token begins, so that scanners of repositories find one that was left there.
const PREFIX: &str = "shipway_";
const ID_BYTES: usize = 8;
const SECRET_BYTES: usize = 32;

/// The hash of a secret, with what is needed to compare it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretHash(String);

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretHash(…)")
    }
}

impl SecretHash {
    /// Hashes a secret.
    pub(crate) fn of(secret: &str) -> Result<Self, AccessError> {
        let hash = Argon2::default().hash_password_with_salt(secret.as_bytes(), &random::<16>()?);
        Ok(Self(hash.map_err(|_| AccessError::Secret)?.to_string()))
    }

    /// Whether this is the hash of `secret`.
    pub(crate) fn matches(&self, secret: &str) -> bool {
        Argon2::default().verify_password(secret.as_bytes(), self.0.as_str()).is_ok()
    }

    /// As it is kept.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// As it was kept.
    pub(crate) fn kept(text: String) -> Self {
        Self(text)
    }
}

/// A token as its user has it: `shipway_<id>_<secret>`. Shown once, when it is made.
pub(crate) struct TokenText {
    pub(crate) id: String,
    pub(crate) secret: String,
}

impl TokenText {
    /// A new token, of 256 random bits.
    pub(crate) fn new() -> Result<Self, AccessError> {
        Ok(Self { id: hex::encode(random::<ID_BYTES>()?), secret: hex::encode(random::<SECRET_BYTES>()?) })
    }

    /// Reads what a caller shows; `None` when it is no token of this server.
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

fn random<const BYTES: usize>() -> Result<[u8; BYTES], AccessError> {
    let mut bytes = [0; BYTES];
    rand::fill(&mut bytes).map_err(|_| AccessError::Secret)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_as_a_hash_with_a_salt_of_its_own() {
        let (first, second) =
            (SecretHash::of("correct horse").unwrap(), SecretHash::of("correct horse").unwrap());
        assert!(first.text().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", first.text());
        assert_ne!(first, second);
        assert!(first.matches("correct horse") && !first.matches("correct horsf"));
        assert!(!format!("{first:?}").contains("argon2"));
        assert!(!SecretHash::kept("damaged".to_owned()).matches(""));
    }

    #[test]
    fn a_token_reads_as_it_is_written_and_no_two_are_alike() {
        let token = TokenText::new().unwrap();
        let read = TokenText::read(&token.text()).unwrap();
        assert_eq!((read.id.as_str(), read.secret.as_str()), (token.id.as_str(), token.secret.as_str()));
        assert_ne!(TokenText::new().unwrap().secret, token.secret);
        for other in ["", "shipway_", "shipway_ab_cd", &token.text()[..40], &format!("{}0", token.text())] {
            assert!(TokenText::read(other).is_none(), "{other}");
        }
    }
}
