//! The handle of a copy's owner: made with the platform, asked for its status, and ended with it.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use shipway_core::{Name, Timestamp};
use shipway_online::{OnlineStore, copy::CopyStore};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    error::FeaturesError,
    features::{Features, Inner},
    materialise::{Published, progress::SourceProgress},
    model::schema::NO_WATERMARK,
    read_copy::{
        note::{Note, NoteFile},
        outbox::Outbox,
        publisher::Publisher,
        status::{CopiedSource, CopyRole, CopyStatus, FullCopy, Standing, Told},
    },
};

/// How long the last step may take when the server stops.
const LAST_STEP: Duration = Duration::from_secs(10);

/// The copy that a server owns.
pub(crate) struct CopyOwner {
    pub(super) store: CopyStore,
    pub(super) changed: Arc<Notify>,
    /// The server stops: what is there is written, and no more is waited for.
    pub(super) finishing: CancellationToken,
    pub(super) note_file: NoteFile,
    /// Keys that are remembered for each source while they cannot be written. Beyond it a state is copied anew.
    pub(super) most: usize,
    note: Mutex<Option<Note>>,
    is_over: AtomicBool,
    tasks: TaskTracker,
    shown: Mutex<Shown>,
}

/// What the publisher shows of itself.
pub(super) struct Shown {
    pub(super) standing: Standing,
    pub(super) written: Option<Timestamp>,
    /// By source: how far it is in the copy, and what is copied beside.
    pub(super) sources: BTreeMap<Name, CopiedSource>,
    pub(super) full_copy: Option<FullCopy>,
}

impl CopyOwner {
    /// To be made before any state changes: from here on changes are noted.
    pub(crate) fn open(
        store: CopyStore,
        online: &OnlineStore,
        note_file: PathBuf,
        most: usize,
        now: Timestamp,
    ) -> Result<Self, FeaturesError> {
        let note_file = NoteFile(note_file);
        let note = note_file.take(online)?;
        let shown =
            Shown { standing: Standing::new(now), written: None, sources: BTreeMap::new(), full_copy: None };
        Ok(Self {
            store,
            changed: Arc::default(),
            finishing: CancellationToken::new(),
            note_file,
            most,
            note: Mutex::new(note),
            is_over: AtomicBool::new(false),
            tasks: TaskTracker::new(),
            shown: Mutex::new(shown),
        })
    }

    /// Where the materialiser of a source, whose log ends at `end`, notes what changes.
    pub(crate) fn outbox(&self, end: u64) -> Outbox {
        if self.is_over.load(Ordering::Relaxed) {
            return Outbox::default();
        }
        Outbox::open(self.most, end, Arc::clone(&self.changed))
    }

    /// Begins to publish.
    pub(crate) fn start(self: &Arc<Self>, inner: &Arc<Inner>) {
        let note = self.note.lock().unwrap_or_else(PoisonError::into_inner).take();
        let publisher = Publisher::new(Arc::clone(inner), Arc::clone(self), note);
        inner.tracker.spawn(self.tasks.track_future(publisher.run()));
    }

    /// Something else than states has changed.
    pub(crate) fn look(&self) {
        self.changed.notify_one();
    }

    /// Writes what has changed to its end, if the copy can be reached, after the materialisers have ended.
    pub(crate) async fn finish(&self, inner: &Inner) {
        for runtime in inner.sources() {
            // A run may have been committed whose end the materialiser did not see.
            let Some(last) = runtime.published() else { continue };
            let snapshot = inner.online.snapshot();
            match SourceProgress::at(&snapshot, &runtime.name) {
                Ok(progress) if progress.bulk.is_none() && progress.applied > last.applied => {
                    runtime.outbox.publish(&Arc::new(Published {
                        number: Published::next_number(),
                        snapshot,
                        applied: progress.applied,
                        watermark: progress.watermark(),
                        views: Arc::clone(&last.views),
                    }));
                }
                _ => {}
            }
        }
        self.finishing.cancel();
        self.tasks.close();
        if tokio::time::timeout(LAST_STEP, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                "the read copy did not take the last changes in time; it is copied anew at the next start"
            );
        }
    }

    /// Somebody else owns the copy: nothing is noted any more.
    pub(super) fn give_up(&self, inner: &Inner) {
        self.is_over.store(true, Ordering::Relaxed);
        inner.sources().iter().for_each(|runtime| runtime.outbox.close());
    }

    pub(super) fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a state, and logs it when it is another one.
    pub(super) fn stand(&self, state: &'static str, told: Option<Told>, now: Timestamp) {
        let is_other = self.shown().standing.turn(state, told.clone(), now);
        if !is_other {
            return;
        }
        match told {
            Some(Told { code, error, .. }) => {
                metrics::counter!("shipway_read_copy_failures_total", "code" => code).increment(1);
                tracing::warn!(state, code, error, "the read copy");
            }
            None => tracing::info!(state, "the read copy"),
        }
    }
}

impl Features {
    /// How the read copy is, where this server owns one.
    pub fn read_copy(&self) -> Option<CopyStatus> {
        let owner = self.inner.copy.as_ref()?;
        let applied: BTreeMap<Name, (u64, Timestamp)> = self
            .inner
            .sources()
            .into_iter()
            .filter_map(|runtime| {
                let published = runtime.published()?;
                Some((runtime.name.clone(), (published.applied, published.watermark)))
            })
            .collect();
        let shown = owner.shown();
        let sources = shown.sources.values().cloned().map(|mut copied| {
            if let Some((own, watermark)) = applied.get(&copied.source) {
                copied.lag = Some(own.saturating_sub(copied.applied.unwrap_or(0)));
                if copied.lag == Some(0) {
                    copied.watermark = Some(*watermark).filter(|watermark| *watermark != NO_WATERMARK);
                }
            }
            copied
        });
        let sources = sources.collect();
        let told = shown.standing.told.clone();
        Some(CopyStatus {
            role: CopyRole::Owner,
            address: owner.store.address().to_owned(),
            prefix: owner.store.prefix().to_owned(),
            state: shown.standing.state,
            since: shown.standing.since,
            code: told.as_ref().map(|told| told.code),
            error: told.as_ref().map(|told| told.error.clone()),
            hint: told.and_then(|told| told.hint),
            written: shown.written,
            sources,
            full_copy: shown.full_copy,
        })
    }
}
