//! How a deployment batches and how long its callers may wait. Batching limits and timeouts are different settings.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shipway_runtime::{Model, ModelFormat};

use crate::error::ServingError;

/// The most rows that a batch may be set to.
const MOST_ROWS: usize = 65_536;

/// The longest that a request may be made to wait for company: ten seconds.
const LONGEST_DELAY_US: u64 = 10_000_000;

/// The most requests that may be let wait.
const MOST_WAITING: usize = 100_000;

/// The longest that a request may be let wait: ten minutes.
const LONGEST_TIMEOUT_MS: u64 = 600_000;

/// The most bytes of answers that may be kept: 64 GiB.
const MOST_CACHE_BYTES: u64 = 64 << 30;

/// The most batches of one model that may run at once.
const MOST_INSTANCES: usize = 64;

/// Which requests run together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BatchingSettings {
    /// The most rows of a batch, 1 for no batches. Without it, 64 for a model of rows and columns, whose rows know nothing of each
    /// other, and 1 for a model of tensors or of Python code, which only its maker can know to be like that.
    pub max_rows: Option<usize>,
    /// How long the first of a batch waits for company, in microseconds; 0 for not at all.
    pub max_delay_us: u64,
    /// How many batches run at once, 1 without it. An ONNX model has a session for each, with the memory that one takes. A model of
    /// Python code has one process, and runs one batch at a time whatever is said.
    pub instances: usize,
}

/// Who may wait, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QueueSettings {
    /// The most requests that wait; the next one is refused.
    pub max_requests: usize,
    /// How long a request waits for its turn at most, in milliseconds; a request may say less or more for itself.
    pub timeout_ms: u64,
}

/// Whether answers are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheSettings {
    /// How many bytes of answers are kept, to be given again to the same inputs; 0 for none. Only for models that always answer the same.
    pub max_bytes: u64,
}

impl CacheSettings {
    pub(crate) fn check(self) -> Result<(), ServingError> {
        within("cache.max_bytes", self.max_bytes, 0, MOST_CACHE_BYTES)
    }
}

impl Default for BatchingSettings {
    fn default() -> Self {
        Self { max_rows: None, max_delay_us: 0, instances: 1 }
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { max_requests: 1_000, timeout_ms: 10_000 }
    }
}

impl BatchingSettings {
    /// The settings for a model: what is not said is decided by whether it takes rows, of which code may make anything; one whose
    /// tensors have a first dimension of a fixed size runs no batches, whatever is said.
    pub(crate) fn for_model(self, model: &Model) -> Self {
        let is_code = model.format() == ModelFormat::Python;
        let settings = Self { instances: if is_code { 1 } else { self.instances }, ..self };
        if model.signature().is_some_and(|signature| !signature.batches()) {
            return Self { max_rows: Some(1), max_delay_us: 0, ..settings };
        }
        settings.for_rows(model.takes_rows() && !is_code)
    }

    fn for_rows(self, takes_rows: bool) -> Self {
        let usual = if takes_rows { 64 } else { 1 };
        Self { max_rows: Some(self.max_rows.unwrap_or(usual)), ..self }
    }

    pub(crate) fn rows_at_once(&self) -> usize {
        self.max_rows.unwrap_or(1)
    }

    pub(crate) const fn delay(&self) -> Duration {
        Duration::from_micros(self.max_delay_us)
    }

    pub(crate) fn check(&self) -> Result<(), ServingError> {
        within("batching.max_rows", self.max_rows.unwrap_or(1) as u64, 1, MOST_ROWS as u64)?;
        within("batching.max_delay_us", self.max_delay_us, 0, LONGEST_DELAY_US)?;
        within("batching.instances", self.instances as u64, 1, MOST_INSTANCES as u64)
    }
}

impl QueueSettings {
    pub(crate) const fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(crate) fn check(&self) -> Result<(), ServingError> {
        within("queue.max_requests", self.max_requests as u64, 1, MOST_WAITING as u64)?;
        within("queue.timeout_ms", self.timeout_ms, 1, LONGEST_TIMEOUT_MS)
    }
}

fn within(setting: &str, got: u64, lowest: u64, highest: u64) -> Result<(), ServingError> {
    if (lowest..=highest).contains(&got) {
        return Ok(());
    }
    Err(ServingError::WrongRequest(format!("{setting} must be {lowest} to {highest}, got {got}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_usual_value() {
        let read: QueueSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(read, QueueSettings::default());
        let batching: BatchingSettings = serde_json::from_str(r#"{"max_delay_us": 50}"#).unwrap();
        assert_eq!((batching.for_rows(true).rows_at_once(), batching.instances), (64, 1));
        assert_eq!(batching.for_rows(false).rows_at_once(), 1);
        assert!(serde_json::from_str::<BatchingSettings>(r#"{"max_batch": 3}"#).is_err());
    }

    #[test]
    fn settings_beyond_their_bounds_are_refused() {
        let rows = BatchingSettings { max_rows: Some(0), ..BatchingSettings::default() };
        assert_eq!(rows.check().unwrap_err().to_string(), "batching.max_rows must be 1 to 65536, got 0");
        let usual = BatchingSettings::default();
        assert!(BatchingSettings { max_delay_us: 10_000_001, ..usual }.check().is_err());
        assert!(BatchingSettings { instances: 0, ..usual }.check().is_err());
        assert!(BatchingSettings { instances: 65, ..usual }.check().is_err());
        assert!(QueueSettings { max_requests: 0, timeout_ms: 1 }.check().is_err());
        assert!(QueueSettings { max_requests: 1, timeout_ms: 0 }.check().is_err());
        assert!(CacheSettings { max_bytes: MOST_CACHE_BYTES + 1 }.check().is_err());
    }
}
