//! What a training set is made of. Format version 1, as JSON, in the metadata database and in the properties of the table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shipway_core::{Digest, Timestamp};

use crate::offline::Label;

/// The version of the recipe's format.
pub(crate) const RECIPE_VERSION: u32 = 1;

/// Everything that decides the content of a training set: made again from it, every bit is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The version of this format.
    pub version: u32,
    /// The version of the engine's answers.
    pub engine: u32,
    /// The release that made it; for people.
    pub release: String,
    /// The service, by name.
    pub service: String,
    /// The version of the service.
    pub service_hash: Digest,
    /// The views that the service names, by name, each with its version.
    pub views: BTreeMap<String, Digest>,
    /// The state of each source that is read.
    pub sources: BTreeMap<String, RecipeSource>,
    /// The rows.
    pub spine: RecipeSpine,
    /// The column of the spine that holds each row's moment.
    pub time: String,
    /// Only rows with a moment at or after this.
    pub from: Option<Timestamp>,
    /// Only rows with a moment before this.
    pub to: Option<Timestamp>,
    /// Which events count.
    pub as_of: RecipeAsOf,
    /// What came after each row.
    pub labels: Vec<Label>,
    /// The versions of the plain tables that labels read.
    pub label_tables: BTreeMap<String, u64>,
}

/// How much of a source is in a training set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeSource {
    /// Exactly the events that arrived before this log offset.
    pub arrived_before: u64,
    /// The log offset at which each bulk load among them arrived.
    pub loads: BTreeMap<String, u64>,
    /// For training sets as of arrival, the moment at which each of these loads arrived.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub load_moments: BTreeMap<String, Timestamp>,
    /// The version of the source's table; for people, since joining files changes it and nothing else.
    pub table_version: Option<u64>,
}

/// The rows that are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipeSpine {
    /// All rows of this table, in its order; this or `sql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The rows of this query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// The version of each table that is read for them.
    pub versions: BTreeMap<String, u64>,
    /// Whether the same versions give the same rows: false for a query that asks for the moment or for chance.
    pub is_repeatable: bool,
}

/// Which events count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecipeAsOf {
    /// All: the truth as it was known when the training set was made.
    EventTime,
    /// For each row what the server had taken in by the row's moment.
    Arrival,
    /// What had arrived before these log offsets, per source.
    Watermarks(BTreeMap<String, u64>),
}

impl Recipe {
    /// The digest of what decides the content. Equal keys are equal training sets.
    pub fn key(&self) -> Digest {
        let mut decisive = self.clone();
        decisive.release.clear();
        // The order of views and columns is that of the service, which its hash covers.
        for source in decisive.sources.values_mut() {
            source.table_version = None;
        }
        Digest::of(serde_json::to_vec(&decisive).unwrap_or_default())
    }

    /// The recipe as it is stored.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = include_str!("../../tests/golden/training_set_recipe_v1.json");

    #[test]
    fn version_1_of_a_recipe_reads_for_ever_and_keeps_its_key() {
        let recipe: Recipe = serde_json::from_str(GOLDEN).unwrap();
        assert_eq!(serde_json::from_str::<Recipe>(&recipe.to_json()).unwrap(), recipe);
        let mut other = recipe.clone();
        other.release = "9.9.9".to_owned();
        other.sources.values_mut().for_each(|source| source.table_version = Some(99));
        assert_eq!(
            other.key(),
            recipe.key(),
            "neither the release nor the joining of files decides anything"
        );
        other.sources.values_mut().for_each(|source| source.arrived_before += 1);
        assert_ne!(other.key(), recipe.key());
    }
}
