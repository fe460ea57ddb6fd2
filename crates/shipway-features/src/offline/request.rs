//! What a caller asks the offline engine for.

use std::{collections::BTreeMap, sync::Arc};

use datafusion::dataframe::DataFrame;
use shipway_core::Timestamp;
use shipway_definitions::{DefinitionSet, Service, Versioned};

use super::Label;

/// One training set: the rows of `spine`, each with the features of `service` as of its own moment.
#[derive(Debug, Clone)]
pub struct TrainingSetRequest {
    /// The service whose views are joined, at the versions that it names.
    pub service: Arc<Versioned<Service>>,
    /// The definitions that hold the service's views, sources and entities.
    pub definitions: Arc<DefinitionSet>,
    /// The rows to answer: the entity keys by name, the request columns, a time, and anything else, which passes through.
    pub spine: DataFrame,
    /// The column of the spine that holds each row's query time.
    pub time_column: String,
    /// Which events count.
    pub as_of: AsOf,
    /// For each source, the log offset at which each bulk load arrived, by load id. Used as of arrival only: rows of a
    /// load that is not listed have not arrived yet.
    pub load_arrivals: BTreeMap<String, BTreeMap<String, u64>>,
    /// Labels: what came after each row's moment, joined after the features.
    pub labels: Vec<Label>,
    /// What the answer must not go beyond, so that it can be given again when more has arrived.
    pub pins: Pins,
}

/// The state of the inputs that an answer is made from. What is not pinned is taken as it is now.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    /// For each source, the log offset from which on events count for no row.
    pub arrived_before: BTreeMap<String, u64>,
    /// For each plain table, the version that is read.
    pub versions: BTreeMap<String, u64>,
}

/// Which events count.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum AsOf {
    /// Every event: the truth as it is known now.
    #[default]
    EventTime,
    /// For each source, exactly the events with `arrival < watermark`.
    Arrival(BTreeMap<String, u64>),
    /// As [`AsOf::Arrival`], with a watermark for each row: for each source, the integer column of the spine that holds it.
    ArrivalColumns(BTreeMap<String, String>),
    /// For each row the events that the server had taken in by the row's own moment, inclusive: what serving saw. For each
    /// source, the moment at which each bulk load arrived, by load id.
    Received(BTreeMap<String, BTreeMap<String, Timestamp>>),
}

/// Settings of the engine that change its speed and memory, never its answers.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Into how many partitions keys are spread; `None` takes the lake session's.
    pub target_partitions: Option<usize>,
    /// Rows in a batch inside the engine and in its output.
    pub batch_rows: usize,
    /// Bits of the key hash that are used. A seam for tests: with few bits, different keys share hashes all the time.
    pub key_hash_mask: u64,
    /// How large the spine, and the answers of each view, may be before they are kept on disk instead of in memory.
    pub kept_memory_bytes: usize,
    /// Whether views may be answered in memory without sorts, where the pool has room for their events.
    pub groups_in_memory: bool,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            target_partitions: None,
            batch_rows: 8_192,
            key_hash_mask: u64::MAX,
            kept_memory_bytes: 128 << 20,
            groups_in_memory: true,
        }
    }
}
