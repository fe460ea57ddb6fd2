//! The engine, and the changes that it does not have yet.
//!
//! ```text
//! what readers see = now, else pending, else leaving, else the engine's files
//!
//! commit_soon  -> pending            at once; the flusher hands it on
//! the flusher  -> pending becomes leaving, leaving goes to the engine, leaving is forgotten
//! commit       -> pending as above, then its own changes as `now`
//! commit_apart -> the engine
//! ```
//!
//! But for those apart, batches reach the engine in the order in which they were committed, those that wait together as one: what a killed process
//! leaves is the store as some whole batch left it.

use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fjall::{Database, Keyspace, PersistMode};

use crate::{
    batch::Change,
    error::{OnlineError, Trying as _},
    overlay::Overlay,
    space::Space,
};

/// An open store.
pub(crate) struct Engine {
    pub(crate) root: PathBuf,
    keyspaces: Vec<Keyspace>,
    pub(crate) database: Database,
    layers: RwLock<Layers>,
    /// Whoever changes what is pending. Taken after `writing`.
    turn: Mutex<()>,
    /// Whoever writes to the engine.
    writing: Mutex<()>,
    /// A write failed: nothing is taken any more.
    is_closed: AtomicBool,
    /// The failure that nobody has heard of yet.
    failure: Mutex<Option<OnlineError>>,
    due: Mutex<Due>,
    due_changed: Condvar,
    /// How long a change may stay pending.
    wait: Duration,
    /// How much may be pending.
    most_bytes: usize,
}

/// What lies above the engine's files, the newest first.
#[derive(Clone)]
pub(crate) struct Layers {
    /// A batch that is being written, ordered by space and key.
    now: Option<Arc<[Change]>>,
    pending: Overlay,
    leaving: Option<Overlay>,
}

/// When the flusher is to work.
#[derive(Default)]
struct Due {
    /// Since when something is pending.
    since: Option<Instant>,
    /// There is too much of it.
    is_urgent: bool,
    is_closing: bool,
}

impl Layers {
    /// What became of `key` since the engine's files; `None` where nothing did.
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Option<Option<Bytes>> {
        let now = self.now.as_deref().and_then(|changes| {
            let at = changes.binary_search_by(|change| (change.space, &change.key[..]).cmp(&(space, key)));
            at.ok().map(|at| &changes[at].value)
        });
        now.or_else(|| self.pending.get(space, key))
            .or_else(|| self.leaving.as_ref()?.get(space, key))
            .cloned()
    }

    /// The changes of the keys with `prefix` that come after `after`, ascending by key.
    pub(crate) fn walk(&self, space: Space, prefix: &[u8], after: &[u8]) -> Vec<(Bytes, Option<Bytes>)> {
        let now = self.now.iter().flat_map(|changes| changes.iter());
        let now = now.filter(|change| {
            change.space == space && change.key.starts_with(prefix) && change.key[..] > *after
        });
        let mut walked: Vec<_> = now.map(|change| (change.key.clone(), change.value.clone())).collect();
        walked.extend(self.pending.walk(space, prefix, after));
        walked.extend(self.leaving.iter().flat_map(|leaving| leaving.walk(space, prefix, after)));
        // Stable, so that of equal keys the newest change stays first.
        walked.sort_by(|left, right| left.0.cmp(&right.0));
        walked.dedup_by(|later, kept| later.0 == kept.0);
        walked
    }
}

impl Engine {
    pub(crate) fn new(
        (root, database): (PathBuf, Database),
        keyspaces: Vec<Keyspace>,
        (wait, most_bytes): (Duration, usize),
    ) -> Self {
        Self {
            root,
            keyspaces,
            database,
            layers: RwLock::new(Layers { now: None, pending: Overlay::none(), leaving: None }),
            turn: Mutex::default(),
            writing: Mutex::default(),
            is_closed: AtomicBool::new(false),
            failure: Mutex::default(),
            due: Mutex::default(),
            due_changed: Condvar::new(),
            wait,
            most_bytes,
        }
    }

    /// The part of the engine that holds `space`.
    pub(crate) fn keyspace(&self, space: Space) -> &Keyspace {
        &self.keyspaces[space.position()]
    }

    /// What lies above the engine's files, and the files, of one moment.
    pub(crate) fn moment(&self) -> (Layers, fjall::Snapshot) {
        let layers = self.layers();
        (layers.clone(), self.database.snapshot())
    }

    /// The value of `key` now.
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, OnlineError> {
        // Of a single value there is nothing to see half of. What is in no layer any more is in the files.
        let above = self.layers().get(space, key);
        if let Some(value) = above {
            return Ok(value);
        }
        let value = self.keyspace(space).get(key).trying_to("read a key")?;
        Ok(value.map(Bytes::from))
    }

    /// Makes `changes` visible, and writes them soon.
    pub(crate) fn commit_soon(&self, changes: Vec<Change>) -> Result<(), OnlineError> {
        let bytes = {
            let _turn = held(&self.turn);
            self.check_open()?;
            let mut pending = self.layers().pending.clone();
            changes.into_iter().for_each(|change| pending.add(change));
            let bytes = pending.bytes();
            let before = std::mem::replace(&mut self.layers_mut().pending, pending);
            drop(before);
            bytes
        };
        let mut due = held(&self.due);
        let is_urgent = bytes > self.most_bytes;
        if due.since.is_none() || (is_urgent && !due.is_urgent) {
            due.since.get_or_insert_with(Instant::now);
            due.is_urgent = is_urgent;
            self.due_changed.notify_one();
        }
        drop(due);
        // Whoever is faster than the disk waits for it.
        if bytes > self.most_bytes.saturating_mul(2) { self.flush() } else { Ok(()) }
    }

    /// Writes `changes`, and before them whatever is pending.
    pub(crate) fn commit(&self, changes: Vec<Change>) -> Result<(), OnlineError> {
        let _writing = held(&self.writing);
        // Most of it while others still may add to it.
        self.write_pending()?;
        let _turn = held(&self.turn);
        self.write_pending_in_turn()?;
        let changes: Arc<[Change]> = changes.into();
        self.layers_mut().now = Some(Arc::clone(&changes));
        let written = self.write(changes.iter().cloned());
        let before = self.layers_mut().now.take();
        drop(before);
        written
    }

    /// Writes what is pending.
    pub(crate) fn flush(&self) -> Result<(), OnlineError> {
        let _writing = held(&self.writing);
        self.write_pending()
    }

    /// Forgets what is pending, and takes nothing any more.
    pub(crate) fn abandon(&self) {
        let _writing = held(&self.writing);
        let _turn = held(&self.turn);
        self.is_closed.store(true, Ordering::Release);
        let before = std::mem::replace(&mut self.layers_mut().pending, Overlay::none());
        drop(before);
    }

    /// Writes what is pending whenever it has waited long enough or is too much, until the store closes.
    pub(crate) fn flush_when_due(&self) {
        while self.wait_until_due() {
            if let Err(failure) = self.flush() {
                // Told to whoever commits next.
                held(&self.failure).get_or_insert(failure);
            }
        }
    }

    /// Ends [`Engine::flush_when_due`].
    pub(crate) fn close(&self) {
        held(&self.due).is_closing = true;
        self.due_changed.notify_one();
    }

    /// Whether something is due; not when the store closes.
    fn wait_until_due(&self) -> bool {
        let mut due = held(&self.due);
        loop {
            let left = match due.since {
                _ if due.is_closing => return false,
                None => Duration::MAX,
                Some(_) if due.is_urgent => Duration::ZERO,
                Some(since) => self.wait.saturating_sub(since.elapsed()),
            };
            if left.is_zero() {
                (due.since, due.is_urgent) = (None, false);
                return true;
            }
            let waited = self.due_changed.wait_timeout(due, left);
            due = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The caller holds `writing`.
    fn write_pending(&self) -> Result<(), OnlineError> {
        {
            let _turn = held(&self.turn);
            self.let_pending_leave()?;
        }
        self.write_leaving()
    }

    /// The caller holds `writing` and `turn`.
    fn write_pending_in_turn(&self) -> Result<(), OnlineError> {
        self.let_pending_leave()?;
        self.write_leaving()
    }

    fn let_pending_leave(&self) -> Result<(), OnlineError> {
        self.check_open()?;
        let mut layers = self.layers_mut();
        if !layers.pending.is_empty() {
            layers.leaving = Some(std::mem::replace(&mut layers.pending, Overlay::none()));
        }
        Ok(())
    }

    /// What leaves stays visible until it is in the engine; after a failure for as long as the store is open.
    fn write_leaving(&self) -> Result<(), OnlineError> {
        let Some(leaving) = self.layers().leaving.clone() else { return Ok(()) };
        self.write(leaving.changes())?;
        let before = self.layers_mut().leaving.take();
        drop((before, leaving));
        Ok(())
    }

    /// Writes `changes` as one batch of the engine, whatever else is pending.
    pub(crate) fn write(&self, changes: impl Iterator<Item = Change>) -> Result<(), OnlineError> {
        self.check_open()?;
        let mut write = self.database.batch().durability(Some(PersistMode::Buffer));
        for Change { space, key, value } in changes {
            let keyspace = self.keyspace(space);
            match value {
                Some(value) => write.insert(keyspace, key, value),
                None => write.remove(keyspace, key),
            }
        }
        let written = write.commit().trying_to("commit a batch");
        if written.is_err() {
            self.is_closed.store(true, Ordering::Release);
        }
        written
    }

    fn check_open(&self) -> Result<(), OnlineError> {
        if !self.is_closed.load(Ordering::Acquire) {
            return Ok(());
        }
        Err(held(&self.failure).take().unwrap_or(OnlineError::Poisoned))
    }

    fn layers(&self) -> RwLockReadGuard<'_, Layers> {
        self.layers.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn layers_mut(&self) -> RwLockWriteGuard<'_, Layers> {
        self.layers.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whoever must know calls `persist` and hears of a failure.
        let _ = self.flush();
        let _ = self.database.persist(PersistMode::SyncAll);
    }
}

/// A panic while a lock was held left nothing half done behind it.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
