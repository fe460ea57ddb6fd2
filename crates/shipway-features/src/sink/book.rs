//! Where each sink stands, in memory, and now and then in the metadata database: a sink to a topic may repeat what was sent since.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use shipway_core::{Name, Timestamp};
use shipway_store::Store;
use tokio::sync::Notify;

use crate::{
    error::{FeaturesError, damaged},
    store::sinks::{self, SinkRow},
};

/// Where a sink stands. Stored, so it only ever grows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    /// In the log of a source.
    Log {
        source: Name,
        /// Every record before it is dealt with.
        offset: u64,
        /// The row of every key is being sent once more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resend: Option<Resend>,
    },
    /// Among the versions of a table.
    Table {
        table: String,
        /// The identity of the table; none: there was none of its name.
        id: Option<String>,
        /// Every version before it is dealt with.
        version: u64,
        /// So many parts of that version, too.
        parts: usize,
    },
}

impl Place {
    /// The offset in the log of a source.
    fn offset(&self) -> Option<u64> {
        match self {
            Self::Log { offset, .. } => Some(*offset),
            Self::Table { .. } => None,
        }
    }
}

/// How far the row of every key is sent once more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resend {
    /// The last key that was sent, in base64; empty before the first one.
    pub(crate) after: String,
}

/// What a sink counts its way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkUnit {
    /// Records of the log of a source.
    Records,
    /// Versions of a table.
    Versions,
}

impl SinkUnit {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Versions => "versions",
        }
    }
}

/// How far a sink is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkStanding {
    /// The next record or version to be dealt with.
    pub position: u64,
    /// How many there are from there on.
    pub lag: u64,
    /// What is counted.
    pub unit: SinkUnit,
    /// What it waits for before it can send anything.
    pub waits_for: Option<String>,
    /// The row of every key is being sent once more.
    pub is_resending: bool,
    /// How many were gone before they were read, since this was last acknowledged.
    pub skipped: u64,
    /// When it last found that some were gone.
    pub skipped_at: Option<Timestamp>,
}

/// One sink.
#[derive(Debug)]
struct Kept {
    place: Place,
    /// The offset that is written down: after a crash the sink reads from there.
    noted: Option<u64>,
    skipped: u64,
    skipped_at: Option<Timestamp>,
    waits_for: Option<String>,
    /// How many versions its table was last seen to have.
    versions: u64,
    /// Raised when it is asked for something.
    wake: Arc<Notify>,
}

impl Kept {
    fn at(place: Place) -> Self {
        Self {
            noted: place.offset(),
            place,
            skipped: 0,
            skipped_at: None,
            waits_for: None,
            versions: 0,
            wake: Arc::default(),
        }
    }
}

/// All sinks.
#[derive(Debug, Default)]
pub(crate) struct SinkBook(Mutex<BTreeMap<Name, Kept>>);

impl SinkBook {
    /// Those that are stored: what they have not read stays in the logs from the first moment on.
    pub(crate) async fn read(store: &Store) -> Result<Self, FeaturesError> {
        let mut kept = BTreeMap::new();
        for row in sinks::all(store).await? {
            let broken = || damaged(format!("where sink {} stands", row.sink));
            let place = serde_json::from_str(&row.place).map_err(|_| broken())?;
            let name = Name::new(row.sink.clone()).map_err(|_| broken())?;
            kept.insert(name, Kept { skipped: row.skipped, skipped_at: row.skipped_at, ..Kept::at(place) });
        }
        Ok(Self(Mutex::new(kept)))
    }

    /// The names of all.
    pub(crate) fn names(&self) -> Vec<Name> {
        self.kept().keys().cloned().collect()
    }

    pub(crate) fn place(&self, sink: &Name) -> Option<Place> {
        self.kept().get(sink).map(|kept| kept.place.clone())
    }

    /// Lets a sink begin at `place`, whatever it did before.
    pub(crate) fn begin(&self, sink: &Name, place: Place) {
        self.kept().insert(sink.clone(), Kept::at(place));
    }

    pub(crate) fn forget(&self, sink: &Name) {
        self.kept().remove(sink);
    }

    /// Changes where a sink stands, if it is still one.
    pub(crate) fn moved(&self, sink: &Name, change: impl FnOnce(&mut Place)) {
        if let Some(kept) = self.kept().get_mut(sink) {
            change(&mut kept.place);
        }
    }

    /// Notes that records or versions were gone before they were read.
    pub(crate) fn skipped(&self, sink: &Name, count: u64, now: Timestamp) {
        if let Some(kept) = self.kept().get_mut(sink) {
            kept.skipped += count;
            kept.skipped_at = Some(now);
        }
        metrics::counter!("shipway_sink_skipped_total", "sink" => sink.to_string()).increment(count);
    }

    /// Somebody has seen that something was skipped, or it was made good.
    pub(crate) fn acknowledged(&self, sink: &Name) {
        if let Some(kept) = self.kept().get_mut(sink) {
            (kept.skipped, kept.skipped_at) = (0, None);
        }
    }

    pub(crate) fn waits_for(&self, sink: &Name, what: Option<String>) {
        if let Some(kept) = self.kept().get_mut(sink) {
            kept.waits_for = what;
        }
    }

    pub(crate) fn saw_versions(&self, sink: &Name, versions: u64) {
        if let Some(kept) = self.kept().get_mut(sink) {
            kept.versions = versions;
        }
    }

    /// What is raised when a sink is asked for something.
    pub(crate) fn wake(&self, sink: &Name) -> Arc<Notify> {
        self.kept().get(sink).map(|kept| Arc::clone(&kept.wake)).unwrap_or_default()
    }

    /// How far a sink is; `log_end` says where the log of a source ends.
    pub(crate) fn standing(
        &self,
        sink: &Name,
        log_end: impl FnOnce(&Name) -> Option<u64>,
    ) -> Option<SinkStanding> {
        let kept = self.kept();
        let kept = kept.get(sink)?;
        let (position, end, unit, is_resending) = match &kept.place {
            Place::Log { source, offset, resend } => {
                let end = log_end(source).unwrap_or(*offset);
                (*offset, end, SinkUnit::Records, resend.is_some())
            }
            Place::Table { version, .. } => (*version, kept.versions, SinkUnit::Versions, false),
        };
        Some(SinkStanding {
            position,
            lag: end.saturating_sub(position),
            unit,
            waits_for: kept.waits_for.clone(),
            is_resending,
            skipped: kept.skipped,
            skipped_at: kept.skipped_at,
        })
    }

    /// Up to where the log of `source`, which ends at `end`, may be dropped: not what a sink has still to read, unless that is more
    /// than `most` records.
    pub(crate) fn may_trim(&self, source: &Name, end: u64, most: u64) -> u64 {
        let kept = self.kept();
        let offsets = kept.values().filter_map(|kept| match &kept.place {
            Place::Log { source: own, .. } if own == source => kept.noted,
            _ => None,
        });
        offsets.min().map_or(u64::MAX, |slowest| slowest.max(end.saturating_sub(most)))
    }

    /// Writes down where a sink stands.
    pub(crate) async fn note(&self, store: &Store, sink: &Name, now: Timestamp) -> Result<(), FeaturesError> {
        let (row, offset) = {
            let kept = self.kept();
            let Some(kept) = kept.get(sink) else { return Ok(()) };
            let place = serde_json::to_string(&kept.place)
                .map_err(|_| damaged(format!("where sink {sink} stands")))?;
            let (skipped, skipped_at) = (kept.skipped, kept.skipped_at);
            (SinkRow { sink: sink.to_string(), place, skipped, skipped_at }, kept.place.offset())
        };
        sinks::put(store, &row, now).await?;
        if let Some(kept) = self.kept().get_mut(sink) {
            kept.noted = offset;
        }
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Name, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn at(source: &str, offset: u64) -> Place {
        Place::Log { source: name(source), offset, resend: None }
    }

    #[test]
    fn a_log_is_kept_for_its_slowest_sink_and_not_beyond_the_bound() {
        let book = SinkBook::default();
        assert_eq!(book.may_trim(&name("orders"), 1_000, 100), u64::MAX, "nobody reads it");
        book.begin(&name("slow"), at("orders", 700));
        book.begin(&name("fast"), at("orders", 990));
        book.begin(&name("other"), at("clicks", 3));
        assert_eq!(book.may_trim(&name("orders"), 1_000, 500), 700);
        assert_eq!(book.may_trim(&name("orders"), 1_000, 100), 900, "a sink that is stuck");
        book.forget(&name("slow"));
        assert_eq!(book.may_trim(&name("orders"), 1_000, 500), 990);
    }

    #[tokio::test]
    async fn where_a_sink_stands_is_read_back_as_it_was_noted() {
        let store = Store::in_memory().await.unwrap();
        crate::store::migrate(&store).await.unwrap();
        let book = SinkBook::default();
        let places = [
            at("orders", 7),
            Place::Log { source: name("orders"), offset: 9, resend: Some(Resend { after: "AAE=".into() }) },
            Place::Table { table: "predictions__late".into(), id: Some("x".into()), version: 3, parts: 1 },
        ];
        let names = ["a", "b", "c"].map(name);
        for (sink, place) in names.iter().zip(&places) {
            book.begin(sink, place.clone());
            book.note(&store, sink, Timestamp(5)).await.unwrap();
        }
        book.skipped(&names[0], 12, Timestamp(6));
        book.note(&store, &names[0], Timestamp(7)).await.unwrap();

        let read = SinkBook::read(&store).await.unwrap();
        assert_eq!(read.names(), names);
        assert_eq!(names.each_ref().map(|sink| read.place(sink).unwrap()), places);
        let standing = read.standing(&names[0], |_| Some(10)).unwrap();
        assert_eq!((standing.position, standing.lag, standing.skipped), (7, 3, 12));
        assert_eq!(standing.skipped_at, Some(Timestamp(6)));
    }

    #[test]
    fn what_was_stored_is_read_for_ever() {
        let log: Place = serde_json::from_str(r#"{"log":{"source":"orders","offset":12}}"#).unwrap();
        assert_eq!(log, at("orders", 12));
        let table = r#"{"table":{"table":"t","id":null,"version":4,"parts":2}}"#;
        let place: Place = serde_json::from_str(table).unwrap();
        assert_eq!(serde_json::to_string(&place).unwrap(), table);
    }
}
