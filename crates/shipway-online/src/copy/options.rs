//! Where the copy is, and how long its server may take.

use std::{fmt, time::Duration};

use crate::copy::error::CopyError;

/// The longest prefix.
const MAX_PREFIX_BYTES: usize = 64;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct CopySecret(String);

impl CopySecret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub(crate) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CopySecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Where the copy is.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// `redis://host:port` or `rediss://host:port` (encrypted): one server, or some nodes of a cluster.
    pub addresses: Vec<String>,
    /// Whether the addresses are those of a cluster. Owner and readers must agree on it.
    pub is_cluster: bool,
    /// What every key of the copy begins with, in braces: letters, digits, `-`, `_`, `.`; at most 64.
    pub prefix: String,
    /// Who logs in; the server's default user without it.
    pub username: Option<String>,
    /// The password of the user.
    pub password: Option<CopySecret>,
    /// Certificates in PEM to trust for `rediss://`, in the place of those of the system.
    pub ca: Option<Vec<u8>>,
    /// How long connecting, and an answer, may take.
    pub patience: Duration,
}

impl CopyOptions {
    /// One server at `address`, with the prefix `shipway` and two seconds of patience.
    pub fn new(address: impl Into<String>) -> Self {
        Self {
            addresses: vec![address.into()],
            is_cluster: false,
            prefix: "shipway".to_owned(),
            username: None,
            password: None,
            ca: None,
            patience: Duration::from_secs(2),
        }
    }

    /// Refuses what cannot be.
    pub(crate) fn check(&self) -> Result<(), CopyError> {
        let wrong = |what: String| Err(CopyError::Setting { what });
        if self.addresses.is_empty() {
            return wrong("there is no address".to_owned());
        }
        if self.addresses.len() > 1 && !self.is_cluster {
            return wrong("several addresses are those of a cluster".to_owned());
        }
        for address in &self.addresses {
            let rest = address.strip_prefix("redis://").or_else(|| address.strip_prefix("rediss://"));
            match rest {
                None => return wrong("an address begins with redis:// or rediss://".to_owned()),
                // An address may be told in messages and logs.
                Some(rest) if rest.contains('@') => {
                    return wrong("user and password have settings of their own".to_owned());
                }
                Some(_) => {}
            }
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if self.prefix.is_empty()
            || self.prefix.len() > MAX_PREFIX_BYTES
            || !self.prefix.bytes().all(is_plain)
        {
            return wrong(format!(
                "prefix {:?}: 1 to {MAX_PREFIX_BYTES} letters, digits, -, _ and .",
                self.prefix
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_refused_and_secrets_are_not_told() {
        let right = CopyOptions::new("redis://127.0.0.1:6379");
        assert!(right.check().is_ok());
        let secret = CopyOptions { password: Some(CopySecret::new("hush")), ..right.clone() };
        assert!(!format!("{secret:?}").contains("hush"));
        let wrong = [
            CopyOptions { addresses: vec![], ..right.clone() },
            CopyOptions { addresses: vec!["127.0.0.1:6379".into()], ..right.clone() },
            CopyOptions { addresses: vec!["redis://user:hush@127.0.0.1".into()], ..right.clone() },
            CopyOptions { addresses: vec!["redis://a:1".into(), "redis://b:1".into()], ..right.clone() },
            CopyOptions { prefix: String::new(), ..right.clone() },
            CopyOptions { prefix: "a{b".into(), ..right.clone() },
            CopyOptions { prefix: "a*".into(), ..right },
        ];
        for options in wrong {
            let refused = options.check().unwrap_err();
            assert!(!refused.to_string().contains("hush"), "{refused}");
        }
    }
}
