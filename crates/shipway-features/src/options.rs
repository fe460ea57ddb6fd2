//! What the feature platform needs to run, and its documented bounds.

use std::{path::PathBuf, sync::Arc, time::Duration};

use shipway_core::Clock;
use shipway_definitions::DefinitionSet;
use shipway_lake::Lake;
use shipway_log::EventLog;
use shipway_online::{OnlineStore, copy::CopyStore};
use shipway_store::Store;
use tokio::sync::{Semaphore, watch};
use tokio_util::task::TaskTracker;

/// The parts that [`crate::Features`] is made of.
pub struct FeaturesOptions {
    /// The event log; one topic per source.
    pub log: EventLog,
    /// The online store.
    pub online: OnlineStore,
    /// Delta tables and SQL.
    pub lake: Lake,
    /// The metadata database.
    pub store: Store,
    /// The definitions in force when the server starts; later ones come through [`crate::Features::installed`].
    pub definitions: watch::Receiver<Arc<DefinitionSet>>,
    /// Where the present moment comes from.
    pub clock: Arc<dyn Clock>,
    /// Every background task is spawned here.
    pub tracker: TaskTracker,
    /// A folder of this server for files that are being loaded.
    pub data_dir: PathBuf,
    /// The bounds.
    pub limits: Limits,
    /// Where the online states are copied for readers elsewhere; this server is the owner of the copy.
    pub read_copy: Option<CopyStore>,
}

/// Documented bounds; beyond each comes a clear error.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Events in one ingest request.
    pub ingest_events: usize,
    /// Bytes of one ingest request.
    pub ingest_bytes: usize,
    /// Bytes of ingest requests that are worked on at a time. Beyond it requests are refused; one alone is always taken.
    pub ingest_bytes_at_once: u32,
    /// Records by which the log of a source may be ahead of its states. Beyond it events are refused over HTTP, and brokers wait.
    pub ahead_events: u64,
    /// Bytes of one file to load.
    pub load_bytes: u64,
    /// Rows in one feature read.
    pub read_rows: usize,
    /// How long a read with a token waits for its events.
    pub token_wait: Duration,
    /// How long a load waits until its rows are visible.
    pub load_wait: Duration,
    /// Rows in one Delta append of the archiver.
    pub archive_rows: usize,
    /// The age at which the archiver writes whatever it has, while events come fast enough to make files worth having.
    pub archive_age: Duration,
    /// The age that it waits for at most while few events come. Whoever needs history to be complete does not wait for it.
    pub archive_age_most: Duration,
    /// How often tables are looked at for their upkeep; `None` for never.
    pub upkeep_every: Option<Duration>,
    /// For how long a version of a table can be read after it was replaced.
    pub retention: Duration,
    /// Log records kept behind the slower of the two consumers.
    pub log_retention_records: u64,
    /// Log records that are kept at most for a sink that has not read them. Beyond it they are dropped, and the sink says so.
    pub sink_records: u64,
    /// About how many bytes of memory the decoded states of hot keys may take.
    pub state_cache_bytes: usize,
    /// About so many rows of history are held as states at a time, while a load is merged or a view is built.
    pub bulk_rows: u64,
    /// Whether views are built by jobs only, so that nothing is built that no job shows. A server that plugs its jobs in
    /// ([`crate::Features::set_jobs`]) says so; without, every build is a task of the platform.
    pub builds_are_jobs: bool,
    /// When given, every step of a build uses a permit up: who adds permits decides how far builds come.
    pub build_steps: Option<Arc<Semaphore>>,
    /// Bytes on disk of views' answers that are kept for the next training set.
    pub kept_answers_bytes: u64,
    /// Keys whose changes are remembered for the read copy, for each source, while they cannot be written. Beyond it whole states
    /// are copied anew.
    pub remembered_keys: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ingest_events: 100_000,
            ingest_bytes: 64 << 20,
            ingest_bytes_at_once: 256 << 20,
            ahead_events: 2_000_000,
            load_bytes: 16 << 30,
            read_rows: 10_000,
            token_wait: Duration::from_secs(2),
            load_wait: Duration::from_secs(600),
            archive_rows: 50_000,
            archive_age: Duration::from_secs(2),
            archive_age_most: Duration::from_secs(60),
            upkeep_every: Some(Duration::from_secs(60)),
            retention: Duration::from_secs(30 * 24 * 3_600),
            log_retention_records: 1_000_000,
            sink_records: 5_000_000,
            state_cache_bytes: 128 << 20,
            bulk_rows: 250_000,
            builds_are_jobs: false,
            build_steps: None,
            kept_answers_bytes: 8 << 30,
            remembered_keys: 100_000,
        }
    }
}
