//! Whom a call is charged to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use shipway_core::Name;

/// One of those that a call is charged to. Written `key/<id>`, `group/<name>`, `user/<name>` or `tag/<name>=<value>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// A virtual key, by its id.
    Key(String),
    /// A group.
    Group(Name),
    /// A user that limits hold for.
    User(String),
    /// A tag that limits hold for: its name and its value, `team=search`.
    Tag(String),
}

/// All of those that a call is charged to: its key, the key's group, and the groups that that one is part of; its user and its
/// tags, where limits hold for these.
pub type Chain = Vec<Scope>;

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => write!(formatter, "key/{id}"),
            Self::Group(name) => write!(formatter, "group/{name}"),
            Self::User(name) => write!(formatter, "user/{name}"),
            Self::Tag(name) => write!(formatter, "tag/{name}"),
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong =
            || format!("{text} is no scope: write key/<id>, group/<name>, user/<name> or tag/<name>=<value>");
        match text.split_once('/').ok_or_else(wrong)? {
            ("key", id) if !id.is_empty() => Ok(Self::Key(id.to_owned())),
            ("user", name) if !name.is_empty() => Ok(Self::User(name.to_owned())),
            ("tag", name) if !name.is_empty() => Ok(Self::Tag(name.to_owned())),
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
