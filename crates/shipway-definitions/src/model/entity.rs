//! What a feature is about: a thing with keys.

use serde::{Deserialize, Serialize};
use shipway_core::{DataType, Name};

/// A thing that features describe, named by one or more key columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entity {
    /// Its name, unique among entities.
    pub name: Name,
    /// The key columns and their types, at least one, in the order in which keys are encoded.
    pub keys: Vec<(Name, DataType)>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}
