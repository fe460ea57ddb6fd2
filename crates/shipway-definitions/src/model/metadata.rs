//! What people and policies want to know about a feature. Nothing of it changes a value, so nothing of it is hashed.

use serde::{Deserialize, Serialize};

use crate::Freshness;

/// How personal the values of a feature are. Ordered: what is made of several is as personal as the most personal of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pii {
    /// No personal data.
    None,
    /// Personal data: about a person who is or can be identified.
    Personal,
    /// Personal data of a special category, or whose loss does particular harm: health, belief, credentials, money.
    Sensitive,
}

impl Pii {
    /// Every class, the least personal first.
    pub const ALL: [Self; 3] = [Self::None, Self::Personal, Self::Sensitive];

    /// The word for it in definitions.
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Personal => "personal",
            Self::Sensitive => "sensitive",
        }
    }

    /// Whether it is personal data at all.
    pub const fn is_personal(self) -> bool {
        !matches!(self, Self::None)
    }
}

/// That something should not be taken any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Deprecation {
    /// The day from which on, as `2026-01-31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why.
    pub reason: String,
    /// What to take instead: `view`, or `view:feature`.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub replacement: Option<String>,
}

/// What is known about one feature beside its values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FeatureMetadata {
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How personal its values are; none: nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii: Option<Pii>,
    /// How fresh it should be, and what happens beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
    /// That it should not be taken any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
}

impl FeatureMetadata {
    /// What holds for a feature that says `self` in a view that says `view`: its own word first, the tags of both.
    pub(crate) fn within(&self, view: &Self) -> Self {
        let mut tags = self.tags.clone();
        tags.extend(view.tags.iter().filter(|tag| !self.tags.contains(tag)).cloned());
        Self {
            description: self.description.clone().or_else(|| view.description.clone()),
            owner: self.owner.clone().or_else(|| view.owner.clone()),
            tags,
            pii: self.pii.or(view.pii),
            freshness: self.freshness.or(view.freshness),
            deprecated: self.deprecated.clone().or_else(|| view.deprecated.clone()),
        }
    }
}
