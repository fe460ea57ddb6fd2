//! Whom a call is charged to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use shipway_core::Name;

/// One of those that a call is charged to. Written `key/<id>` or `group/<name>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// A virtual key, by its id.
    Key(String),
    /// A group.
    Group(Name),
}

/// All of those that a call is charged to: its key, the key's group, and the groups that that one is part of.
pub type Chain = Vec<Scope>;

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(formatter, "key/{id}"),
            Self::Group(name) => write!(formatter, "group/{name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("{text} is no scope: write key/<id> or group/<name>");
        match text.split_once('/').ok_or_else(wrong)? {
            ("key", id) if !id.is_empty() => Ok(Self::Key(id.to_owned())),
            ("group", name) => Name::new(name).map(Self::Group).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

impl Serialize for Scope {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Scope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
