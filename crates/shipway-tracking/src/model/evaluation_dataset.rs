//! Evaluation data sets and their records: inputs, what came out, and what is expected.

use serde_json::{Map, Value};

use super::Pair;

/// A data set of an evaluation, without its records.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EvaluationDataset {
    pub(crate) dataset_id: String,
    pub(crate) name: String,
    /// Changes with every change of the records.
    pub(crate) digest: String,
    /// The types of the fields that records have, as JSON; empty before the first record.
    pub(crate) schema: String,
    pub(crate) records: i64,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) created_by: String,
    pub(crate) updated_by: String,
    pub(crate) tags: Vec<Pair>,
    pub(crate) experiment_ids: Vec<i64>,
}

/// One record. A data set has one for each distinct `inputs`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EvaluationRecord {
    pub(crate) record_id: String,
    pub(crate) dataset_id: String,
    pub(crate) inputs: Map<String, Value>,
    pub(crate) outputs: Option<Value>,
    pub(crate) expectations: Option<Map<String, Value>>,
    pub(crate) tags: Map<String, Value>,
    pub(crate) source: Option<RecordSource>,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    pub(crate) created_by: String,
    pub(crate) updated_by: String,
}

/// Where a record comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecordSource {
    pub(crate) kind: &'static str,
    pub(crate) data: Map<String, Value>,
}

impl RecordSource {
    pub(crate) const KINDS: [&'static str; 5] = ["UNSPECIFIED", "TRACE", "HUMAN", "DOCUMENT", "CODE"];

    /// Upper and lower case are the same.
    pub(crate) fn kind_from_word(word: &str) -> Option<&'static str> {
        Self::KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(word))
    }

    /// The id of what it comes from, where it names one.
    pub(crate) fn id(&self) -> Option<&str> {
        let field = if self.kind == "TRACE" { "trace_id" } else { "source_id" };
        self.data.get(field).and_then(Value::as_str)
    }
}
