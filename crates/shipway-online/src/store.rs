//! Opening, committing, persisting.

use std::{
    path::Path,
    sync::Arc,
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};

use crate::{
    batch::{Batch, MAX_KEY_BYTES},
    engine::Engine,
    error::{OnlineError, Trying as _},
    options::OnlineOptions,
    snapshot::Snapshot,
    space::Space,
};

/// The version of the layout: which spaces there are, and what a key and a value are to the engine.
pub(crate) const FORMAT_VERSION: &str = "1";
const FORMAT_KEYSPACE: &str = "format";
const FORMAT_KEY: &str = "version";

/// The online store: a folder, open in one process at a time. Cheap to clone.
#[derive(Clone)]
pub struct OnlineStore {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for OnlineStore {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OnlineStore").field("root", &self.inner.engine.root).finish_non_exhaustive()
    }
}

/// An open store, and the thread that writes what is pending.
pub(crate) struct Inner {
    pub(crate) engine: Arc<Engine>,
    flusher: Option<JoinHandle<()>>,
}

impl Inner {
    fn new(engine: Engine) -> Result<Self, OnlineError> {
        let engine = Arc::new(engine);
        let flushed = Arc::clone(&engine);
        let flusher = thread::Builder::new().name("online-flush".to_owned());
        let flusher = flusher
            .spawn(move || flushed.flush_when_due())
            .map_err(|source| OnlineError::Io { action: "start a thread", source })?;
        Ok(Self { engine, flusher: Some(flusher) })
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.engine.close();
        // A thread that panicked has nothing more to write; the engine itself does when it is dropped.
        let _ = self.flusher.take().map(JoinHandle::join);
    }
}

impl OnlineStore {
    /// Opens the store in the folder `root`, or creates it, with default sizes. Blocks on the disk.
    ///
    /// [`OnlineError::Locked`] if it is open already.
    pub fn open(root: &Path) -> Result<Self, OnlineError> {
        Self::open_with(root, &OnlineOptions::default())
    }

    /// Opens the store in the folder `root`, or creates it, with sizes of the caller's choice.
    pub fn open_with(root: &Path, options: &OnlineOptions) -> Result<Self, OnlineError> {
        fs_err::create_dir_all(root)
            .map_err(|source| OnlineError::Io { action: "create the folder of the online store", source })?;
        let opened = Database::builder(root).cache_size(options.cache_bytes).open();
        let database = match opened {
            Err(fjall::Error::Locked) => return Err(OnlineError::Locked { root: root.to_owned() }),
            opened => opened.trying_to("open the online store")?,
        };
        check_format(&database, root)?;
        let keyspaces = Space::ALL
            .iter()
            .map(|space| {
                let bytes = options.memtable_bytes_of(*space);
                let create = || KeyspaceCreateOptions::default().max_memtable_size(bytes);
                database.keyspace(space.keyspace(), create)
            })
            .collect::<fjall::Result<_>>()
            .trying_to("open the spaces of the online store")?;
        let opened = (root.to_owned(), database);
        let engine = Engine::new(opened, keyspaces, (options.soon_within, options.soon_bytes));
        Ok(Self { inner: Arc::new(Inner::new(engine)?) })
    }

    /// All spaces as they are now. Sees a batch whole or not at all, whichever thread commits it.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::now(&self.inner)
    }

    /// The value of `key` now. For several reads that belong together take a [`Snapshot`].
    pub fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, OnlineError> {
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return Ok(None);
        }
        self.inner.engine.get(space, key)
    }

    /// Makes all changes of `batch`, or none if it fails, and hands them to the operating system before it returns, after all that was
    /// committed before: they survive the death of the process. Batches become visible in the order in which they are committed.
    ///
    /// After a failure of the disk the store takes no more batches until it is opened anew; reading still works. Of the
    /// batch that met the failure all or nothing is there then.
    pub fn commit(&self, batch: Batch) -> Result<(), OnlineError> {
        self.inner.engine.commit(batch.into_sorted_changes()?)
    }

    /// Makes all changes of `batch` visible at once, and writes them within [`OnlineOptions::soon_within`], together with those of other
    /// batches: of a key that changes many times meanwhile only the last value is written. For an owner who can make the same changes
    /// again: a process that is killed meanwhile comes back with the store as an earlier whole batch left it.
    ///
    /// A failure of the disk is told by the next commit; what was visible stays so until the store is closed.
    pub fn commit_soon(&self, batch: Batch) -> Result<(), OnlineError> {
        self.inner.engine.commit_soon(batch.into_changes()?)
    }

    /// As [`OnlineStore::commit`], without what was [committed soon](OnlineStore::commit_soon) before: it may get into the files later. No key
    /// of the batch may be among those.
    pub fn commit_apart(&self, batch: Batch) -> Result<(), OnlineError> {
        self.inner.engine.write(batch.into_sorted_changes()?.into_iter())
    }

    /// Ends as a kill of the process would: what is [committed soon](OnlineStore::commit_soon) and in no file is lost, and nothing is committed any
    /// more. For owners who want to see in a test that they can make it again.
    pub fn abandon(&self) {
        self.inner.engine.abandon();
    }

    /// Has what is held in memory written to sorted files, soon, and lets go of what no snapshot sees any more. For after a
    /// large burst of changes that no others follow; otherwise the store sees to it by itself.
    pub fn settle(&self) -> Result<(), OnlineError> {
        self.inner.engine.flush()?;
        // Does not wait for the files: a disk that is full would make it wait for ever.
        let mut spaces = Space::ALL.iter().map(|space| self.inner.engine.keyspace(*space));
        spaces.try_for_each(|space| space.rotate_memtable().map(drop)).trying_to("settle the online store")
    }

    /// Makes every batch committed before durable against the loss of power.
    pub fn persist(&self) -> Result<(), OnlineError> {
        self.inner.engine.flush()?;
        let database = &self.inner.engine.database;
        database.persist(PersistMode::SyncAll).trying_to("make the online store durable")
    }
}

/// Notes the version of the layout in a new store, and refuses a store of another version.
fn check_format(database: &Database, root: &Path) -> Result<(), OnlineError> {
    let format = database
        .keyspace(FORMAT_KEYSPACE, KeyspaceCreateOptions::default)
        .trying_to("open the format of the online store")?;
    match format.get(FORMAT_KEY).trying_to("read the format of the online store")? {
        Some(version) if *version == *FORMAT_VERSION.as_bytes() => Ok(()),
        Some(version) => {
            let version = String::from_utf8_lossy(&version).into_owned();
            Err(OnlineError::Format { root: root.to_owned(), version })
        }
        None => format.insert(FORMAT_KEY, FORMAT_VERSION).trying_to("note the format of the online store"),
    }
}

#[cfg(test)]
mod tests {
    use shipway_core::{Failure as _, Kind};

    use super::*;

    #[test]
    fn a_store_of_another_format_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = OnlineStore::open(folder.path()).unwrap();
        let format =
            store.inner.engine.database.keyspace(FORMAT_KEYSPACE, KeyspaceCreateOptions::default).unwrap();
        format.insert(FORMAT_KEY, "2").unwrap();
        drop((format, store));

        let refusal = OnlineStore::open(folder.path()).unwrap_err();

        assert!(matches!(&refusal, OnlineError::Format { version, .. } if version == "2"), "{refusal:?}");
        assert_eq!(refusal.kind(), Kind::Internal);
    }
}
