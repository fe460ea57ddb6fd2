//! Features of one entity out of one source.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shipway_aggregate::{Aggregation, AggregationError, Operation, Over, Window};
use shipway_core::{DataType, Length, Name};

use crate::{Deprecation, FeatureMetadata, Pii, ViewReference, model::Derived};

/// The features of one entity that are computed from one source.
///
/// It carries every type that it needs, so that an old version can be served after its entity or source has moved on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct View {
    /// Its name, unique among views.
    pub name: Name,
    /// The entity that the features describe.
    pub entity: Name,
    /// The source of the events.
    pub source: Name,
    /// The event time column of the source.
    pub event_time: Name,
    /// The event id column of the source.
    pub event_id: Option<Name>,
    /// Whether an event of the source takes the place of an earlier one with its id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_corrected: bool,
    /// The keys of the entity and their types, as a request names them, in the order in which keys are encoded.
    pub entity_keys: Vec<(Name, DataType)>,
    /// The columns, of the source or derived, that hold these keys, in the same order.
    pub key_columns: Vec<Name>,
    /// The type of every column of an event that the view reads, its expressions included: those of the source, and those it is
    /// enriched with.
    pub column_types: BTreeMap<Name, DataType>,
    /// The features of other views of the source that every event carries for this view, as columns `view__feature`: the
    /// value for the event's own key, just before its own time, from what had arrived when the event did. Only what the view
    /// reads, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enrich: Vec<ViewReference>,
    /// The condition under which an event counts, an expression over the columns; none: every event counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The columns that are computed from those of an event, in the order written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub derived: Vec<Derived>,
    /// What is computed.
    pub body: ViewBody,
    /// How fresh it should be, and what happens beyond that. Not part of the hash.
    pub freshness: Option<Freshness>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How personal the values of its features are; none: nobody has said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pii: Option<Pii>,
    /// That none of its features should be taken any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Deprecation>,
    /// What is said about single features. [`View::metadata`] adds what the view says about all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<Name, FeatureMetadata>,
}

/// What a view computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewBody {
    /// Windowed aggregates, one feature per operation and window, in the order written.
    Aggregates(Vec<Feature>),
    /// The columns of the last row.
    Latest {
        /// The columns, in the order written.
        columns: Vec<Name>,
        /// The age, inclusive, up to which the row counts; none: for ever.
        ttl: Option<Length>,
        /// Tighter ages of single columns; beyond them the column is null, whatever the row has.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        ttls: BTreeMap<Name, Length>,
    },
}

/// One windowed feature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredFeature", into = "StoredFeature")]
#[non_exhaustive]
pub struct Feature {
    /// Its name, unique in the view.
    pub name: Name,
    /// The column, of the source or derived; none for a count of events.
    pub column: Option<Name>,
    /// The operation.
    pub operation: Operation,
    /// The column whose values make the buckets of a map; none for a single value.
    pub by: Option<Name>,
    /// The window.
    pub window: Window,
    /// The operation over the types of the columns.
    pub aggregation: Aggregation,
}

/// What a feature computes, before its window and name.
#[derive(Debug, Clone)]
pub(crate) struct Computed {
    pub(crate) column: Option<(Name, DataType)>,
    pub(crate) operation: Operation,
    pub(crate) over: Option<Over>,
    pub(crate) by: Option<(Name, DataType)>,
}

impl Computed {
    pub(crate) fn aggregation(&self) -> Result<Aggregation, AggregationError> {
        let type_of = |column: &Option<(Name, DataType)>| column.as_ref().map(|(_, data_type)| *data_type);
        Aggregation::shaped(self.operation, type_of(&self.column), self.over, type_of(&self.by))
    }
}

impl Feature {
    pub(crate) fn new(name: Name, computed: Computed, window: Window) -> Result<Self, AggregationError> {
        let aggregation = computed.aggregation()?;
        let Computed { column, operation, by, .. } = computed;
        let name_of = |column: Option<(Name, DataType)>| column.map(|(column, _)| column);
        Ok(Self { name, column: name_of(column), operation, by: name_of(by), window, aggregation })
    }

    /// The type of its value.
    pub const fn output_type(&self) -> DataType {
        self.aggregation.output_type()
    }
}

/// A feature as it is stored: the aggregation is made again on the way back.
#[derive(Serialize, Deserialize)]
struct StoredFeature {
    name: Name,
    column: Option<(Name, DataType)>,
    operation: Operation,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    over: Option<Over>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<(Name, DataType)>,
    window: Window,
}

impl TryFrom<StoredFeature> for Feature {
    type Error = AggregationError;

    fn try_from(stored: StoredFeature) -> Result<Self, Self::Error> {
        let StoredFeature { name, column, operation, over, by, window } = stored;
        Self::new(name, Computed { column, operation, over, by }, window)
    }
}

impl From<Feature> for StoredFeature {
    fn from(feature: Feature) -> Self {
        let aggregation = feature.aggregation;
        Self {
            name: feature.name,
            column: feature.column.zip(aggregation.input()),
            operation: feature.operation,
            over: aggregation.over(),
            by: feature.by.zip(aggregation.by()),
            window: feature.window,
        }
    }
}

/// How fresh a view should be when it is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Freshness {
    /// The age of the newest event that is still fresh.
    pub objective: Length,
    /// What happens when it is older.
    pub beyond: Beyond,
}

/// What an answer does with a view that is not fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beyond {
    /// The values are served, marked as not fresh.
    Serve,
    /// The values are null.
    Null,
    /// The request is refused.
    Refuse,
}

impl Beyond {
    /// Every word for it in definitions.
    pub(crate) const WORDS: [&'static str; 3] = ["serve", "null", "refuse"];

    /// The word for it in definitions.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Null => "null",
            Self::Refuse => "refuse",
        }
    }
}

impl View {
    /// The type of a column that the view reads: of its events, or derived.
    pub fn column_type(&self, column: &str) -> Option<DataType> {
        let derived = self.derived.iter().find(|derived| derived.name.as_str() == column);
        derived.map(|derived| derived.data_type).or_else(|| self.column_types.get(column).copied())
    }

    /// Whether it has expressions.
    pub const fn has_expressions(&self) -> bool {
        self.filter.is_some() || !self.derived.is_empty()
    }

    /// Whether `column` is one that its events are enriched with, and not one of the source.
    pub fn is_enriched_with(&self, column: &str) -> bool {
        self.enrich.iter().flat_map(ViewReference::columns).any(|(_, enriched)| enriched == column)
    }

    /// The age, inclusive, up to which a latest value counts: that of the feature, or that of the view.
    pub fn ttl(&self, feature: &Name) -> Option<Length> {
        match &self.body {
            ViewBody::Aggregates(_) => None,
            ViewBody::Latest { ttl, ttls, .. } => ttls.get(feature).copied().or(*ttl),
        }
    }

    /// What is known about a feature: what it says itself, and where it is silent what the view says; the tags of both.
    pub fn metadata(&self, feature: &Name) -> FeatureMetadata {
        let of_view = FeatureMetadata {
            description: self.description.clone(),
            owner: self.owner.clone(),
            tags: self.tags.clone(),
            pii: self.pii,
            freshness: self.freshness,
            deprecated: self.deprecated.clone(),
        };
        self.features.get(feature).map_or_else(|| of_view.clone(), |own| own.within(&of_view))
    }

    /// The features and their types in the view's own order.
    pub fn outputs(&self) -> Vec<(Name, DataType)> {
        match &self.body {
            ViewBody::Aggregates(features) => {
                features.iter().map(|feature| (feature.name.clone(), feature.output_type())).collect()
            }
            ViewBody::Latest { columns, .. } => columns
                .iter()
                .filter_map(|column| Some((column.clone(), self.column_type(column.as_str())?)))
                .collect(),
        }
    }
}
