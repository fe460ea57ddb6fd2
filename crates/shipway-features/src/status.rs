//! How far the consumers of every source are, for people and for checks.

use serde::Serialize;
use shipway_core::{Digest, Name, Timestamp};

use crate::{Features, model::schema::NO_WATERMARK};

/// How far one source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
}

impl Features {
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
            });
            SourceStatus {
                source: runtime.name.clone(),
                log_end,
                applied,
                archived: *runtime.archived.borrow(),
                lag: log_end.saturating_sub(applied),
                watermark: watermark.filter(|watermark| *watermark != NO_WATERMARK),
                views: views.collect(),
            }
        };
        self.inner.sources().into_iter().map(status).collect()
    }
}
