//! The folder of a log, its lock and its topics.

use std::{
    collections::BTreeMap,
    fs::TryLockError,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
};

use fs_err::File;
use shipway_core::Name;
use tokio::sync::Semaphore;

use crate::{
    disk::{Disk, LocalDisk, sync_folder},
    error::{LogError, Trying as _},
    options::LogOptions,
    recovery::{Recovered, recover},
    topic::{Handle, Served, Topic},
    writer::Writer,
};

/// An event log: a folder of topics, open in one process at a time. Cheap to clone.
///
/// Call [`EventLog::close`] before the end. Without it, dropping the last clone and the last [`Topic`] commits what
/// waits and blocks until that is done.
#[derive(Clone)]
pub struct EventLog {
    inner: Arc<Inner>,
}

impl std::fmt::Debug for EventLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("EventLog").field("root", &self.inner.root).finish_non_exhaustive()
    }
}

/// An open log.
pub(crate) struct Inner {
    root: PathBuf,
    options: LogOptions,
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    closing: tokio::sync::Mutex<()>,
}

struct State {
    topics: BTreeMap<Name, Arc<Handle>>,
    open: bool,
    /// Held while the log is open; the operating system lets go of it when the process dies.
    _lock: Option<File>,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let writers: Vec<_> = state.topics.values().filter_map(|topic| topic.stop()).collect();
        for writer in writers {
            // A writer that panicked has told its callers by dropping them.
            let _ = writer.join();
        }
    }
}

impl EventLog {
    /// Opens the log in the folder `root`, or creates it, with all its topics.
    ///
    /// Cuts off what a crash left of writes that were never acknowledged. Reads the last segment of each topic; full
    /// segments are opened by their index and checked as they are read. Blocks on the disk.
    ///
    /// [`LogError::Locked`] if it is open already, [`LogError::Damaged`] if durable bytes have changed.
    pub fn open(root: &Path, options: LogOptions) -> Result<Self, LogError> {
        Self::open_on(root, options, Arc::new(LocalDisk))
    }

    /// Opens the log on a disk of the caller's choice.
    pub(crate) fn open_on(root: &Path, options: LogOptions, disk: Arc<dyn Disk>) -> Result<Self, LogError> {
        fs_err::create_dir_all(root).trying_to("create the folder of the event log")?;
        let lock = acquire(root)?;
        let mut topics = BTreeMap::new();
        let mut found = Vec::new();
        for entry in fs_err::read_dir(root).trying_to("list the topics")? {
            let entry = entry.trying_to("list the topics")?;
            let is_folder = entry.file_type().trying_to("list the topics")?.is_dir();
            if let Some(Ok(name)) = entry.file_name().to_str().filter(|_| is_folder).map(Name::new) {
                found.push(name);
            }
        }
        for name in found {
            let topic = open_topic(root, &name, &options, &disk)?;
            topics.insert(name, topic);
        }
        let state = Mutex::new(State { topics, open: true, _lock: Some(lock) });
        let closing = tokio::sync::Mutex::default();
        Ok(Self { inner: Arc::new(Inner { root: root.to_owned(), options, disk, state, closing }) })
    }

    /// The topic called `name`; created, durably, if there is none. Blocks on the disk when it creates.
    pub fn topic(&self, name: &str) -> Result<Topic, LogError> {
        let name = Name::new(name)?;
        let mut state = self.inner.state();
        let handle = match state.topics.get(&name) {
            Some(handle) => Arc::clone(handle),
            None if !state.open => return Err(LogError::Closed { topic: name.to_string() }),
            None => {
                let Inner { root, options, disk, .. } = &*self.inner;
                let folder = root.join(name.as_str());
                fs_err::create_dir_all(&folder).trying_to("create the folder of a topic")?;
                sync_folder(root).trying_to("make the folder of a topic durable")?;
                let handle = open_topic(root, &name, options, disk)?;
                state.topics.insert(name, Arc::clone(&handle));
                handle
            }
        };
        drop(state);
        Ok(Topic { handle, _log: Arc::clone(&self.inner) })
    }

    /// The names of all topics, in alphabetical order.
    pub fn topics(&self) -> Vec<String> {
        self.inner.state().topics.keys().map(Name::to_string).collect()
    }

    /// Commits what waits, ends the writers and lets go of the folder. Later appends are refused; reading still works.
    pub async fn close(&self) {
        let _one_at_a_time = self.inner.closing.lock().await;
        let writers: Vec<_> = {
            let mut state = self.inner.state();
            state.open = false;
            state.topics.values().filter_map(|topic| topic.stop()).collect()
        };
        let joined = tokio::task::spawn_blocking(move || {
            for writer in writers {
                let _ = writer.join();
            }
        });
        // The work above cannot fail; a runtime that is shutting down may refuse to run it, and dropping then waits.
        let _ = joined.await;
        self.inner.state()._lock = None;
    }
}

/// Opens the topic in the folder `name` of `root` and starts its writer.
fn open_topic(
    root: &Path,
    name: &Name,
    options: &LogOptions,
    disk: &Arc<dyn Disk>,
) -> Result<Arc<Handle>, LogError> {
    let folder = root.join(name.as_str());
    let Recovered { segments, active, file, marked } = recover(&folder, &**disk)?;
    let position = active.extent().bytes;
    let served = Arc::new(Served::new(name.to_string(), folder, segments));
    let writer = Writer {
        served: Arc::clone(&served),
        disk: Arc::clone(disk),
        segment_bytes: options.segment_bytes,
        segment: active,
        file,
        position,
        marked,
        broken: None,
        buffer: Vec::new(),
    };
    let (commands, queue) = mpsc::channel();
    let thread = thread::Builder::new()
        .name(format!("log-{name}"))
        .spawn(move || writer.run(&queue))
        .trying_to("start the writer of a topic")?;
    Ok(Arc::new(Handle {
        served,
        commands,
        pending: Arc::new(Semaphore::new(options.max_pending_bytes as usize)),
        max_pending_bytes: options.max_pending_bytes,
        max_record_bytes: options.max_record_bytes,
        writer: Mutex::new(Some(thread)),
    }))
}

/// Takes the lock of the folder.
fn acquire(root: &Path) -> Result<File, LogError> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(root.join("lock"))
        .trying_to("open the lock of the event log")?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(LogError::Locked { root: root.to_owned() }),
        Err(TryLockError::Error(source)) => {
            Err(LogError::Io { action: "lock the folder of the event log", source })
        }
    }
}
