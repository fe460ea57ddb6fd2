//! What is stored about how far a source has come. Written in the same atomic batch as the states it speaks of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shipway_core::{Digest, Name, Timestamp};
use shipway_online::{Batch, OnlineStore, Snapshot, Space};

use crate::{
    error::{FeaturesError, damaged},
    model::schema::NO_WATERMARK,
};

const FORMAT: u32 = 1;

/// How far the materialiser of a source has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceProgress {
    format: u32,
    /// Every record before this offset is in the states.
    pub(crate) applied: u64,
    watermark_us: i64,
    /// The bulk build at the marker at `applied`, while it is under way.
    pub(crate) bulk: Option<BulkProgress>,
}

/// A bulk build goes through the keys in buckets; each bucket is one atomic batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BulkProgress {
    pub(crate) buckets: u32,
    pub(crate) done: u32,
}

/// What is stored of a view whose state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ViewProgress {
    format: u32,
    /// Offset of the marker at which this was noted.
    pub(crate) marker: u64,
    /// Events before this were not counted.
    pub(crate) built_from: i64,
}

impl SourceProgress {
    pub(crate) fn watermark(&self) -> Timestamp {
        Timestamp(self.watermark_us)
    }

    pub(crate) fn advance_watermark(&mut self, time: Timestamp) {
        self.watermark_us = self.watermark_us.max(time.micros());
    }

    pub(crate) fn read(online: &OnlineStore, source: &Name) -> Result<Self, FeaturesError> {
        let stored = online.get(Space::Progress, &source_key(source))?;
        let first = Self { format: FORMAT, applied: 0, watermark_us: NO_WATERMARK.micros(), bulk: None };
        stored.map_or(Ok(first), |bytes| parse(&bytes, source))
    }

    pub(crate) fn put(&self, batch: &mut Batch, source: &Name) {
        put(batch, source_key(source), self);
    }
}

impl ViewProgress {
    pub(crate) const fn new(marker: u64, built_from: i64) -> Self {
        Self { format: FORMAT, marker, built_from }
    }

    pub(crate) fn put(&self, batch: &mut Batch, source: &Name, view: &Digest) {
        put(batch, format!("view/{source}/{}", view.hex()).into_bytes(), self);
    }

    /// The views of `source` whose state is kept.
    pub(crate) fn all(snapshot: &Snapshot, source: &Name) -> Result<BTreeMap<Digest, Self>, FeaturesError> {
        let prefix = format!("view/{source}/");
        let mut views = BTreeMap::new();
        for entry in snapshot.scan_prefix(Space::Progress, prefix.as_bytes()) {
            let (key, value) = entry?;
            let hash = std::str::from_utf8(&key[prefix.len()..])
                .ok()
                .and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok())
                .ok_or_else(|| damaged(format!("the progress of a view of source {source}")))?;
            views.insert(hash, parse(&value, source)?);
        }
        Ok(views)
    }
}

/// The offset at which a load was applied, if it was.
pub(crate) fn applied_load(
    online: &OnlineStore,
    source: &Name,
    load_id: &str,
) -> Result<Option<u64>, FeaturesError> {
    let stored = online.get(Space::Progress, &load_key(source, load_id))?;
    stored.map(|bytes| parse(&bytes, source)).transpose()
}

/// Notes that a load was applied at `offset`, so that a second marker for it changes nothing.
pub(crate) fn put_load(batch: &mut Batch, source: &Name, load_id: &str, offset: u64) {
    put(batch, load_key(source, load_id), &offset);
}

fn source_key(source: &Name) -> Vec<u8> {
    format!("source/{source}").into_bytes()
}

fn load_key(source: &Name, load_id: &str) -> Vec<u8> {
    format!("load/{source}/{load_id}").into_bytes()
}

fn put(batch: &mut Batch, key: Vec<u8>, value: &impl Serialize) {
    // A struct of numbers always serialises.
    if let Ok(json) = serde_json::to_vec(value) {
        batch.put(Space::Progress, key, json);
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], source: &Name) -> Result<T, FeaturesError> {
    serde_json::from_slice(bytes).map_err(|_| damaged(format!("the progress of source {source}")))
}
