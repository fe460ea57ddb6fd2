//! Where events come from, and what an event looks like.

use serde::{Deserialize, Serialize};
use shipway_core::{DataType, Length, Name};
use shipway_expression::Scope;

use super::{Batch, Selection, Stream};

/// A stream of events with its history. Its columns can only be added to: see `plan` in the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Source {
    /// Its name, unique among sources.
    pub name: Name,
    /// The column that holds the event time; declared in `columns` as a timestamp.
    pub event_time: Name,
    /// The column that identifies an event; declared in `columns` as text or int. Without it every event is its own.
    pub event_id: Option<Name>,
    /// What an id says that was there before: none where the same id is the same event, which counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrections: Option<Corrections>,
    /// The columns and their types, in the order written.
    pub columns: Vec<(Name, DataType)>,
    /// How far in the future an event may lie before it is quarantined.
    pub max_ahead: Length,
    /// How long an event id is remembered.
    pub dedupe: Length,
    /// How long events are kept; a later event goes to the side table.
    pub retention: Length,
    /// Where its history comes from, beside the stream. Says nothing about values, so it is not in the hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<Batch>,
    /// The topic from which its events come, beside those that are sent to this server. In the hash as little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<Stream>,
    /// Where its events come from, if they are selected from those of another source. In the hash as little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Selection>,
    /// What it is, for people.
    pub description: Option<String>,
    /// Who answers for it.
    pub owner: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

/// Events are corrected by their ids: one with an id that was there takes the place of the earlier one, as the rows of a table do
/// under their key, or takes it away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Corrections {
    /// The condition over the columns of an event under which it only takes the earlier one away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted: Option<String>,
}

impl Source {
    /// The columns as the expressions of this source name them.
    pub fn scope(&self) -> Scope {
        Scope::of(self.columns.iter().map(|(name, data_type)| (name.as_str(), *data_type)))
    }

    /// The type of a declared column.
    pub fn column_type(&self, column: &str) -> Option<DataType> {
        self.columns.iter().find(|(name, _)| name.as_str() == column).map(|(_, data_type)| *data_type)
    }
}
