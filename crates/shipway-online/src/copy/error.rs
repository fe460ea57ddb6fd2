//! What can go wrong with a copy.

use std::{borrow::Cow, fmt};

use shipway_core::{Failure, Kind};

/// A failed operation of the copy.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CopyError {
    /// A setting cannot be.
    #[error("the read copy: {what}")]
    Setting {
        /// What is wrong.
        what: String,
    },
    /// The server does not answer.
    #[error("the server of the read copy does not answer: {what}")]
    Unreachable {
        /// What was met.
        what: String,
    },
    /// The server answers with an error.
    #[error("the server of the read copy refuses: {what}")]
    Refused {
        /// Its words.
        what: String,
    },
    /// The server has no memory left.
    #[error("the server of the read copy has no memory left")]
    Full,
    /// The server throws keys away when its memory is full.
    #[error("the server of the read copy may drop any key: maxmemory-policy is {policy}")]
    Evicts {
        /// Its policy.
        policy: String,
    },
    /// The server answers something that no server should.
    #[error("the server of the read copy answers {what}")]
    Answer {
        /// What came.
        what: String,
    },
}

impl Failure for CopyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Setting { .. } => Kind::Invalid,
            Self::Unreachable { .. } | Self::Refused { .. } | Self::Full | Self::Evicts { .. } => {
                Kind::Unavailable
            }
            Self::Answer { .. } => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "online.copy_setting",
            Self::Unreachable { .. } => "online.copy_unreachable",
            Self::Refused { .. } => "online.copy_refused",
            Self::Full => "online.copy_full",
            Self::Evicts { .. } => "online.copy_evicts",
            Self::Answer { .. } => "online.copy_answer",
        }
    }

    fn hint(&self) -> Option<Cow<'static, str>> {
        let hint = match self {
            Self::Setting { .. } => "see [read_copy] in docs/read-copies.md",
            Self::Unreachable { .. } => "check that Redis or Valkey runs, and the address in read_copy",
            Self::Refused { .. } => "check the user and its permissions, and read_copy.cluster",
            Self::Full => "raise maxmemory: while a copy is made anew there are two",
            Self::Evicts { .. } => {
                "set maxmemory-policy to noeviction: a row that is gone looks like a key without events"
            }
            Self::Answer { .. } => return None,
        };
        Some(hint.into())
    }
}

impl From<redis::RedisError> for CopyError {
    fn from(error: redis::RedisError) -> Self {
        match error.code() {
            Some("OOM") => Self::Full,
            Some(code) => {
                let detail = error.detail().unwrap_or_default();
                Self::Refused { what: format!("{code} {detail}").trim_end().to_owned() }
            }
            None if error.kind() == redis::ErrorKind::AuthenticationFailed => {
                Self::Refused { what: error.to_string() }
            }
            None if error.kind() == redis::ErrorKind::InvalidClientConfig => {
                Self::Setting { what: error.to_string() }
            }
            None => Self::Unreachable { what: error.to_string() },
        }
    }
}

/// An answer of another form than the one that was asked for.
pub(crate) fn strange(answer: &impl fmt::Debug) -> CopyError {
    let mut what = format!("{answer:?}");
    if let Some((end, _)) = what.char_indices().nth(200) {
        what.truncate(end);
    }
    CopyError::Answer { what }
}
