//! Names of things that users define, and help for misspelt ones.

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};

/// A name that matches `[a-z][a-z0-9_]{0,62}`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(Arc<str>);

/// The text is not a name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a name: a name starts with a lower-case letter and has at most 63 of a-z, 0-9 and _")]
pub struct NotAName(pub String);

impl Name {
    /// Checks `text` and keeps it as a name.
    pub fn new(text: impl Into<String>) -> Result<Self, NotAName> {
        let text = text.into();
        let mut bytes = text.bytes();
        let first_fits = bytes.next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest_fits = bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if first_fits && rest_fits && text.len() <= 63 { Ok(Self(text.into())) } else { Err(NotAName(text)) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

impl TryFrom<String> for Name {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().into()
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-z][a-z0-9_]{0,62}$" })
    }
}

/// The candidate most like `wanted`, if one is near enough to be a likely slip of the hand.
///
/// Near enough means an edit distance of at most a third of the longer of the two, and at least one edit allowed.
pub fn nearest<'a>(wanted: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(wanted, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (wanted.chars().count().max(candidate.chars().count()) / 3).max(1)
        })
        .min_by(|left, right| left.cmp(right))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_lower_case_and_bounded() {
        assert!(Name::new("origin_traffic").is_ok());
        assert!(Name::new("a".repeat(63)).is_ok());
        for wrong in ["", "Origin", "1a", "_a", "a-b", "a b", "\u{e9}t\u{e9}", &"a".repeat(64)] {
            assert!(Name::new(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_slip_of_the_hand_finds_its_name_and_a_stranger_finds_none() {
        let names = ["origin_traffic", "plane_legs", "origin_weather"];
        assert_eq!(nearest("origin_trafic", names), Some("origin_traffic"));
        assert_eq!(nearest("legs_of_planes_by_year", names), None);
    }
}
