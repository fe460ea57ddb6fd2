//! Users and tags that limits hold for, whatever the key.

use serde::{Deserialize, Serialize};
use shipway_core::Timestamp;

use super::{Limits, Scope};
use crate::error::GatewayError;

/// The longest name, in bytes; of a tag with its value.
const LONGEST: usize = 512;

/// What calls say about themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// Whose they are.
    User,
    /// A name and its value: `team=search`.
    Tag,
}

/// A user or a tag, with what all calls that have it may use together. They are counted from when it was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Which of the two.
    pub kind: LabelKind,
    /// The user; of a tag its name and its value, `team=search`.
    pub name: String,
    /// What calls that have it may use together.
    pub limits: Limits,
    /// When it was made.
    pub created: Timestamp,
}

impl LabelKind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Tag => "tag",
        }
    }

    /// The kind of that word.
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::User, Self::Tag].into_iter().find(|kind| kind.word() == word)
    }
}

impl Label {
    /// Whom calls that have it are charged to as well.
    pub(crate) fn scope(&self) -> Scope {
        match self.kind {
            LabelKind::User => Scope::User(self.name.clone()),
            LabelKind::Tag => Scope::Tag(self.name.clone()),
        }
    }

    /// A tag as one text.
    pub(crate) fn of_tag(name: &str, value: &str) -> String {
        format!("{name}={value}")
    }

    /// Refuses a name that no call could say.
    pub(crate) fn check_name(kind: LabelKind, name: &str) -> Result<(), GatewayError> {
        let is_text = !name.is_empty() && name.len() <= LONGEST && !name.chars().any(char::is_control);
        // Headers come in lower case.
        let is_tag = name.split_once('=').is_some_and(|(name, value)| {
            !name.is_empty() && !value.is_empty() && !name.chars().any(char::is_uppercase)
        });
        match kind {
            LabelKind::User if is_text => Ok(()),
            LabelKind::User => {
                Err(GatewayError::invalid("user", format!("write 1 to {LONGEST} bytes on one line")))
            }
            LabelKind::Tag if is_text && is_tag => Ok(()),
            LabelKind::Tag => Err(GatewayError::invalid(
                "tag",
                format!("write NAME=VALUE, the name in lower case, 1 to {LONGEST} bytes on one line"),
            )),
        }
    }
}
