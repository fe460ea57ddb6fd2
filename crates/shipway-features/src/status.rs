//! How far the consumers of every source are, for people and for checks.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use serde::Serialize;
use shipway_core::{Digest, EntityKey, Name, Timestamp, Value};

use crate::{
    Features,
    features::Inner,
    materialise::views::split_state_key,
    model::schema::NO_WATERMARK,
    read::hot::HotKey,
    select::SelectionStatus,
    tally::{Readable, Received},
};

/// How far one source is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceStatus {
    /// The source.
    pub source: Name,
    /// The offset behind the last durable record.
    pub log_end: u64,
    /// Every record before this offset is visible to reads.
    pub applied: u64,
    /// Every record before this offset is in the Delta tables.
    pub archived: u64,
    /// Records that reads do not see yet.
    pub lag: u64,
    /// The newest event time that reads see.
    pub watermark: Option<Timestamp>,
    /// What came since the server started.
    pub received: Received,
    /// How long it took lately until events could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readable: Option<Readable>,
    /// How far it is in the source that it is selected from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionStatus>,
    /// The views of the source, and whether their state is complete.
    pub views: Vec<ViewStatus>,
}

/// Whether the state of one view is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViewStatus {
    /// The view.
    pub view: Name,
    /// Its version.
    pub hash: Digest,
    /// Whether reads are answered; until then its state is built from history.
    pub ready: bool,
    /// Steps of a build that is under way that are done, of how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build: Option<(u32, u32)>,
    /// States of keys that events changed since the server started.
    pub states_written: u64,
}

/// A key that is read often.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HotKeyStatus {
    /// The view.
    pub view: Name,
    /// Its version.
    pub hash: Digest,
    /// The key, by the names of its parts.
    pub key: BTreeMap<String, Value>,
    /// At least so many of the recent look-ups were of it. A request looks a key up once, however many rows name it.
    pub reads: u64,
    /// The part of all recent look-ups.
    pub share: f64,
}

impl Features {
    /// The keys that are read most, at most `limit`, and the number of recent look-ups of any key.
    pub fn hot_keys(&self, limit: usize) -> (Vec<HotKeyStatus>, u64) {
        self.inner.hot_key_status(limit)
    }

    /// How far every source is, by name.
    pub fn status(&self) -> Vec<SourceStatus> {
        let definitions = self.inner.definitions();
        let status = |runtime: std::sync::Arc<crate::source::SourceRuntime>| {
            let published = runtime.published();
            let log_end = runtime.topic.end();
            let applied = published.as_ref().map_or(0, |published| published.applied);
            let watermark = published.as_ref().map(|published| published.watermark);
            let own = definitions.views.values().filter(|view| view.definition.source == runtime.name);
            let views = own.map(|view| ViewStatus {
                view: view.definition.name.clone(),
                hash: view.hash,
                ready: published.as_ref().is_some_and(|published| published.views.contains_key(&view.hash)),
                build: runtime.build(&view.hash).and_then(|build| Some((build.done, build.buckets?))),
                states_written: runtime.tally.written(&view.definition.name),
            });
            SourceStatus {
                source: runtime.name.clone(),
                log_end,
                applied,
                archived: *runtime.archived.borrow(),
                lag: log_end.saturating_sub(applied),
                received: runtime.tally.all_received(),
                readable: runtime.tally.readable(),
                selection: self.inner.selection_status(&runtime),
                watermark: watermark.filter(|watermark| *watermark != NO_WATERMARK),
                views: views.collect(),
            }
        };
        self.inner.sources().into_iter().map(status).collect()
    }
}

/// The gauges follow the table of hot keys after so many reads.
const SHOWN_EVERY_READS: u64 = 4_096;

impl Inner {
    fn hot_key_status(&self, limit: usize) -> (Vec<HotKeyStatus>, u64) {
        let definitions = self.definitions();
        let (keys, lookups) = self.hot_keys.top(limit);
        let status = |hot: HotKey| {
            let (hash, key) = split_state_key(&hot.key)?;
            let view = &definitions.views_by_hash.get(&hash)?.definition;
            let names = view.entity_keys.iter().map(|(name, _)| name.to_string());
            Some(HotKeyStatus {
                view: view.name.clone(),
                hash,
                key: names.zip(EntityKey::decode(key)?).collect(),
                reads: hot.reads,
                share: hot.reads as f64 / lookups.max(1) as f64,
            })
        };
        (keys.into_iter().filter_map(status).collect(), lookups)
    }

    /// Shows how hot the hottest key of every view is. The keys themselves are no labels: they may be personal, and many.
    pub(crate) fn show_hot_keys_now_and_then(&self) {
        if !self.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(SHOWN_EVERY_READS) {
            return;
        }
        let mut hottest: BTreeMap<Name, f64> = BTreeMap::new();
        for key in self.hot_key_status(usize::MAX).0 {
            hottest.entry(key.view).or_insert(key.share);
        }
        for (view, share) in hottest {
            metrics::gauge!("shipway_feature_hottest_key_share", "view" => view.to_string()).set(share);
        }
    }
}
