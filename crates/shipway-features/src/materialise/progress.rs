//! What is stored about how far a source has come. Written in the same atomic batch as the states it speaks of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shipway_core::{Digest, Name, Timestamp};
use shipway_online::{Batch, OnlineStore, Snapshot, Space};

use crate::{
    error::{FeaturesError, damaged},
    model::{origin::Positions, schema::NO_WATERMARK},
};

const FORMAT: u32 = 1;
/// Since the second format a view says which generation of its state is the one that is read.
const VIEW_FORMAT: u32 = 2;

/// How far the materialiser of a source has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceProgress {
    format: u32,
    /// Every record before this offset is in the states.
    pub(crate) applied: u64,
    watermark_us: i64,
    /// The rows of a load that are merged at the marker at `applied`, while that is under way. Before views were built
    /// beside the flow it spoke of view markers too.
    pub(crate) bulk: Option<BulkProgress>,
    /// The next message of every partition of a broker whose messages before it are in the log before `applied`.
    #[serde(default, skip_serializing_if = "Positions::is_empty")]
    pub(crate) positions: Positions,
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
    /// Which of its states is read; the first format knew only one.
    #[serde(default)]
    pub(crate) generation: u32,
}

/// What is stored of a state that is built from history while live events are counted in it already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BuildProgress {
    format: u32,
    pub(crate) generation: u32,
    /// Whether it takes the place of a state that is read until then.
    pub(crate) is_rebuild: bool,
    /// Rows that arrived before this offset come from history; what arrives from here on comes from the log.
    pub(crate) marker: u64,
    /// Rows of history before this event time are left out. Never changes, so that every attempt sees the same rows.
    pub(crate) rows_from: i64,
    /// Events before this were not counted; beyond `rows_from` when a load left out more.
    pub(crate) built_from: i64,
    /// In how many buckets the keys are divided; unknown before the rows are counted.
    pub(crate) buckets: Option<u32>,
    /// Buckets that are merged.
    pub(crate) done: u32,
    /// Keys of the next bucket that are merged, in the order of the keys.
    pub(crate) keys: u64,
    /// Rows of history, about.
    pub(crate) rows: u64,
    /// How long all attempts worked.
    pub(crate) spent_us: u64,
}

impl SourceProgress {
    pub(crate) fn watermark(&self) -> Timestamp {
        Timestamp(self.watermark_us)
    }

    pub(crate) fn advance_watermark(&mut self, time: Timestamp) {
        self.watermark_us = self.watermark_us.max(time.micros());
    }

    pub(crate) fn read(online: &OnlineStore, source: &Name) -> Result<Self, FeaturesError> {
        Self::at(&online.snapshot(), source)
    }

    /// As it is in `snapshot`.
    pub(crate) fn at(snapshot: &Snapshot, source: &Name) -> Result<Self, FeaturesError> {
        let stored = snapshot.get(Space::Progress, &source_key(source))?;
        let first = || Self::beginning(0, NO_WATERMARK, Positions::default());
        stored.map_or_else(|| Ok(first()), |bytes| parse(&bytes, source))
    }

    /// Whether anything was ever stored of `source`.
    pub(crate) fn is_stored(online: &OnlineStore, source: &Name) -> Result<bool, FeaturesError> {
        Ok(online.get(Space::Progress, &source_key(source))?.is_some())
    }

    /// Of states that count from `applied` on.
    pub(crate) const fn beginning(applied: u64, watermark: Timestamp, positions: Positions) -> Self {
        Self { format: FORMAT, applied, watermark_us: watermark.micros(), bulk: None, positions }
    }

    pub(crate) fn put(&self, batch: &mut Batch, source: &Name) {
        put(batch, source_key(source), self);
    }
}

impl ViewProgress {
    pub(crate) const fn new(marker: u64, built_from: i64, generation: u32) -> Self {
        Self { format: VIEW_FORMAT, marker, built_from, generation }
    }

    pub(crate) fn put(&self, batch: &mut Batch, source: &Name, view: &Digest) {
        put(batch, of_view("view", source, view), self);
    }

    pub(crate) fn delete(batch: &mut Batch, source: &Name, view: &Digest) {
        batch.delete(Space::Progress, of_view("view", source, view));
    }

    /// The views of `source` whose state is complete.
    pub(crate) fn all(snapshot: &Snapshot, source: &Name) -> Result<BTreeMap<Digest, Self>, FeaturesError> {
        by_view("view", snapshot, source)
    }
}

impl BuildProgress {
    pub(crate) const fn new(marker: u64, rows_from: i64, generation: u32, is_rebuild: bool) -> Self {
        Self {
            format: FORMAT,
            generation,
            is_rebuild,
            marker,
            rows_from,
            built_from: rows_from,
            buckets: None,
            done: 0,
            keys: 0,
            rows: 0,
            spent_us: 0,
        }
    }

    /// Whether every row of history is in the state.
    pub(crate) fn is_complete(&self) -> bool {
        self.buckets.is_some_and(|buckets| self.done >= buckets)
    }

    pub(crate) fn put(&self, batch: &mut Batch, source: &Name, view: &Digest) {
        put(batch, of_view("build", source, view), self);
    }

    pub(crate) fn delete(batch: &mut Batch, source: &Name, view: &Digest) {
        batch.delete(Space::Progress, of_view("build", source, view));
    }

    /// The builds of `source` that are under way.
    pub(crate) fn all(snapshot: &Snapshot, source: &Name) -> Result<BTreeMap<Digest, Self>, FeaturesError> {
        by_view("build", snapshot, source)
    }
}

/// A state of a view that nobody reads or changes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leftover {
    pub(crate) view: Digest,
    pub(crate) generation: u32,
}

impl Leftover {
    /// Notes it, so that it is removed whatever happens.
    pub(crate) fn put(&self, batch: &mut Batch, source: &Name) {
        put(batch, self.key(source), &FORMAT);
    }

    /// Forgets it: nothing of it is left.
    pub(crate) fn delete(&self, batch: &mut Batch, source: &Name) {
        batch.delete(Space::Progress, self.key(source));
    }

    /// Whatever is left of `source`.
    pub(crate) fn all(snapshot: &Snapshot, source: &Name) -> Result<Vec<Self>, FeaturesError> {
        let prefix = format!("leftover/{source}/");
        let mut leftovers = Vec::new();
        for entry in snapshot.scan_prefix(Space::Progress, prefix.as_bytes()) {
            let (key, _) = entry?;
            let read = || {
                let (hex, generation) = std::str::from_utf8(&key[prefix.len()..]).ok()?.split_once('/')?;
                Some(Self { view: digest(hex)?, generation: generation.parse().ok()? })
            };
            leftovers.push(read().ok_or_else(|| damaged(format!("a leftover of source {source}")))?);
        }
        Ok(leftovers)
    }

    fn key(&self, source: &Name) -> Vec<u8> {
        format!("leftover/{source}/{}/{}", self.view.hex(), self.generation).into_bytes()
    }
}

fn of_view(what: &str, source: &Name, view: &Digest) -> Vec<u8> {
    format!("{what}/{source}/{}", view.hex()).into_bytes()
}

fn digest(hex: &str) -> Option<Digest> {
    format!("sha256:{hex}").parse().ok()
}

fn by_view<T: DeserializeOwned>(
    what: &str,
    snapshot: &Snapshot,
    source: &Name,
) -> Result<BTreeMap<Digest, T>, FeaturesError> {
    let prefix = format!("{what}/{source}/");
    let mut views = BTreeMap::new();
    for entry in snapshot.scan_prefix(Space::Progress, prefix.as_bytes()) {
        let (key, value) = entry?;
        let hash = std::str::from_utf8(&key[prefix.len()..]).ok().and_then(digest);
        let hash = hash.ok_or_else(|| damaged(format!("the progress of a view of source {source}")))?;
        views.insert(hash, parse(&value, source)?);
    }
    Ok(views)
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

/// The loads of `source` that were applied, each with the offset at which it was.
pub(crate) fn applied_loads(
    online: &OnlineStore,
    source: &Name,
) -> Result<BTreeMap<String, u64>, FeaturesError> {
    let prefix = load_key(source, "");
    let mut loads = BTreeMap::new();
    for entry in online.snapshot().scan_prefix(Space::Progress, &prefix) {
        let (key, value) = entry?;
        let load_id = std::str::from_utf8(&key[prefix.len()..])
            .map_err(|_| damaged(format!("the note of a load of source {source}")))?;
        loads.insert(load_id.to_owned(), parse(&value, source)?);
    }
    Ok(loads)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_releases_noted_is_read_for_ever() {
        let source: SourceProgress = serde_json::from_str(
            r#"{"format":1,"applied":9,"watermark_us":5,"bulk":{"buckets":4,"done":2}}"#,
        )
        .unwrap();
        assert_eq!((source.applied, source.watermark()), (9, Timestamp(5)));
        assert_eq!(source.bulk, Some(BulkProgress { buckets: 4, done: 2 }));
        let first: ViewProgress = serde_json::from_str(r#"{"format":1,"marker":7,"built_from":-5}"#).unwrap();
        assert_eq!((first.marker, first.built_from, first.generation), (7, -5, 0));
        let second = r#"{"format":2,"marker":7,"built_from":-5,"generation":3}"#;
        assert_eq!(serde_json::to_string(&ViewProgress::new(7, -5, 3)).unwrap(), second);
        let build = r#"{"format":1,"generation":3,"is_rebuild":true,"marker":7,"rows_from":-5,"built_from":-5,"buckets":null,"done":0,"keys":0,"rows":0,"spent_us":0}"#;
        assert_eq!(serde_json::to_string(&BuildProgress::new(7, -5, 3, true)).unwrap(), build);
        assert_eq!(serde_json::from_str::<BuildProgress>(build).unwrap(), BuildProgress::new(7, -5, 3, true));
    }
}
