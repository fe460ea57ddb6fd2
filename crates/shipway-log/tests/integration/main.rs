//! The event log as its users see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

mod crash;
mod damage;
mod topics;

use std::path::Path;

use bytes::Bytes;
use shipway_log::{EventLog, LogError, LogOptions, Topic};

/// Opens the log in `root` with small segments, and its topic `departures`.
fn open(root: &Path, segment_bytes: u64) -> Result<(EventLog, Topic), LogError> {
    let log = EventLog::open(root, LogOptions { segment_bytes, ..LogOptions::default() })?;
    let topic = log.topic("departures")?;
    Ok((log, topic))
}

/// All payloads of a topic.
async fn all(topic: &Topic) -> Result<Vec<Bytes>, LogError> {
    let records = topic.read(topic.start(), usize::MAX, usize::MAX).await?;
    Ok(records.into_iter().map(|record| record.payload).collect())
}
