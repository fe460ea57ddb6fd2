//! The keys that a stretch of a log touches, each once, in the order in which they were first touched.

use std::collections::HashSet;

use shipway_core::{EntityKey, Timestamp, Value};
use shipway_log::Record as LogRecord;

use super::lens::Lens;
use crate::{
    error::{FeaturesError, damaged},
    model::{
        event::Standing,
        record::{self, Record},
    },
};

/// So many keys are read and sent at a time.
pub(super) const MOST_KEYS: usize = 4_096;

/// A stretch of a log.
#[derive(Debug, Default)]
pub(super) struct Touched {
    keys: Vec<EntityKey>,
    known: HashSet<EntityKey>,
    /// Behind the last record that was taken in.
    pub(super) end: u64,
    /// When the server took in the oldest event that touched a key.
    pub(super) oldest: Option<Timestamp>,
}

impl Touched {
    pub(super) fn from(offset: u64) -> Self {
        Self { end: offset, ..Self::default() }
    }

    pub(super) fn is_full(&self) -> bool {
        self.keys.len() >= MOST_KEYS
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Takes in records as far as there is room. Loads and new views touch nothing: they change what there was before, and a sink
    /// sends what comes.
    pub(super) fn take_in(&mut self, lens: &Lens, records: &[LogRecord]) -> Result<(), FeaturesError> {
        let source = &lens.shape.schema.name;
        for logged in records {
            if self.is_full() {
                return Ok(());
            }
            let decoded = record::decode(&logged.payload);
            let decoded = decoded
                .ok_or_else(|| damaged(format!("record {} in the log of source {source}", logged.offset)))?;
            if let Record::Event { fingerprint, event, .. } = decoded
                && event.standing == Standing::Regular
            {
                let event = lens.shape.book.align(fingerprint, event, &lens.shape.schema)?;
                let received = event.received;
                if let Some(key) = lens.key_of(event) {
                    self.touch(key, received);
                }
            }
            self.end = logged.offset + 1;
        }
        Ok(())
    }

    fn touch(&mut self, key: EntityKey, received: Timestamp) {
        self.oldest = Some(self.oldest.map_or(received, |oldest| oldest.min(received)));
        if self.known.insert(key.clone()) {
            self.keys.push(key);
        }
    }

    /// The parts of each key.
    pub(super) fn parts(&self) -> Result<Vec<Vec<Value>>, FeaturesError> {
        let parts =
            |key: &EntityKey| EntityKey::decode(key.as_bytes()).ok_or_else(|| damaged("the key of an event"));
        self.keys.iter().map(parts).collect()
    }
}
