//! Append, read, wait, trim: what a topic offers.

use std::{
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock, mpsc},
    thread::JoinHandle,
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::{
    cursor::{Cursor, Fault, Step, Stumble},
    disk::sync_folder,
    error::{LogError, Trying as _},
    format::MAX_PAYLOAD_BYTES,
    log::Inner,
    segment::{Handles, INDEX, Segment, file_of},
    writer::{Command, Request},
};

/// A record of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the topic.
    pub offset: u64,
    /// What was appended. Records of one read share memory: keep a copy to keep only this one.
    pub payload: Bytes,
}

/// A topic: records in one order, numbered from 0 without gaps. Cheap to clone; keeps its log open.
#[derive(Clone)]
pub struct Topic {
    pub(crate) handle: Arc<Handle>,
    pub(crate) _log: Arc<Inner>,
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let served = &self.handle.served;
        formatter
            .debug_struct("Topic")
            .field("name", &served.name)
            .field("end", &served.end())
            .finish_non_exhaustive()
    }
}

/// A topic and the way to its writer.
pub(crate) struct Handle {
    pub(crate) served: Arc<Served>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) pending: Arc<Semaphore>,
    pub(crate) max_pending_bytes: u32,
    pub(crate) max_record_bytes: u32,
    pub(crate) writer: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    /// Tells the writer to commit what waits and end; the thread, unless someone else waits for it.
    pub(crate) fn stop(&self) -> Option<JoinHandle<()>> {
        // A writer that is gone needs no telling.
        let _ = self.commands.send(Command::Stop);
        self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What readers see of a topic; the writer adds to it.
pub(crate) struct Served {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    segments: RwLock<Vec<Arc<Segment>>>,
    end: watch::Sender<u64>,
    handles: Handles,
    trimming: Mutex<()>,
}

impl Served {
    /// A topic with these segments, oldest first, at least one.
    pub(crate) fn new(name: String, folder: PathBuf, segments: Vec<Arc<Segment>>) -> Self {
        let end = watch::Sender::new(segments.last().map_or(0, |segment| segment.end()));
        let segments = RwLock::new(segments);
        Self { name, folder, segments, end, handles: Handles::default(), trimming: Mutex::default() }
    }

    /// The durable end.
    pub(crate) fn end(&self) -> u64 {
        *self.end.borrow()
    }

    /// Tells everybody that records before `end` are durable.
    pub(crate) fn announce(&self, end: u64) {
        self.end.send_replace(end);
    }

    /// Adds a segment behind the others.
    pub(crate) fn begin(&self, segment: Arc<Segment>) {
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    fn start(&self) -> u64 {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        segments.first().map_or(0, |segment| segment.header.first)
    }

    fn trimmed(&self, from: u64) -> LogError {
        LogError::Trimmed { topic: self.name.clone(), from, start: self.start() }
    }

    fn segment_of(&self, offset: u64) -> Option<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.header.first <= offset);
        after.checked_sub(1).map(|at| Arc::clone(&segments[at]))
    }

    fn read(&self, from: u64, end: u64, limits: Limits) -> Result<Vec<Record>, LogError> {
        let mut batch = Batch { limits, next: from, bytes: 0, records: Vec::new(), full: false };
        while batch.next < end && !batch.full {
            let segment = self.segment_of(batch.next).ok_or_else(|| self.trimmed(from))?;
            let before = batch.next;
            self.read_segment(&segment, end, &mut batch)?;
            if batch.next == before && !batch.full {
                let byte = segment.window(before).bytes;
                return Err(damaged(&segment, byte, format!("offset {before} is missing")));
            }
        }
        Ok(batch.records)
    }

    fn read_segment(&self, segment: &Segment, end: u64, batch: &mut Batch) -> Result<(), LogError> {
        let file = match self.handles.open(segment) {
            Ok(file) => file,
            // Trimmed between the choice of the segment and now.
            Err(failure) if failure.kind() == io::ErrorKind::NotFound && batch.next < self.start() => {
                return Err(self.trimmed(batch.next));
            }
            Err(source) => return Err(LogError::Io { action: "open a segment", source }),
        };
        let window = segment.window(batch.next);
        let piece_bytes =
            batch.limits.bytes.saturating_sub(batch.bytes).saturating_add(4 << 10).clamp(16 << 10, 1 << 20);
        let mut cursor = Cursor::new(&file, &segment.checksum, window.byte..window.bytes, piece_bytes);
        let mut offset = window.offset;
        while offset < end && !batch.full {
            match cursor.step() {
                Ok(Some(Step::Record { payload, .. })) => {
                    if offset == batch.next {
                        batch.take(payload);
                    }
                    offset += 1;
                }
                Ok(Some(Step::Mark { next, .. })) if next == offset => {}
                Ok(Some(Step::Mark { byte, next })) => {
                    return Err(damaged(
                        segment,
                        byte,
                        format!("the mark gives offset {next}, and {offset} is next"),
                    ));
                }
                Ok(None) => break,
                Err(Stumble::Fault(Fault { byte, what })) => return Err(damaged(segment, byte, what)),
                Err(Stumble::Io(source)) => return Err(LogError::Io { action: "read a segment", source }),
            }
        }
        Ok(())
    }

    fn trim(&self, before: u64) -> Result<(), LogError> {
        let _one_at_a_time = self.trimming.lock().unwrap_or_else(PoisonError::into_inner);
        let dropped: Vec<_> = {
            let mut segments = self.segments.write().unwrap_or_else(PoisonError::into_inner);
            let sealed = segments.len() - 1;
            let old = segments[..sealed].partition_point(|segment| segment.end() <= before);
            segments.drain(..old).collect()
        };
        for segment in dropped {
            self.handles.forget(&segment);
            fs_err::remove_file(&segment.path).trying_to("remove an old segment")?;
            // The sidecar may never have been written; a stray one is removed when the topic is opened.
            let _ = fs_err::remove_file(file_of(&self.folder, segment.header.first, INDEX));
            // One by one, so that a power loss cannot keep an older segment and lose a newer one.
            sync_folder(&self.folder).trying_to("make the removal of a segment durable")?;
        }
        Ok(())
    }
}

fn damaged(segment: &Segment, byte: u64, what: impl Into<std::borrow::Cow<'static, str>>) -> LogError {
    LogError::Damaged { file: segment.path.clone(), byte, what: what.into() }
}

#[derive(Clone, Copy)]
struct Limits {
    records: usize,
    bytes: usize,
}

/// What one read has gathered.
struct Batch {
    limits: Limits,
    next: u64,
    bytes: usize,
    records: Vec<Record>,
    full: bool,
}

impl Batch {
    /// Takes the next record, or notes that there is no room for it. The first always fits.
    fn take(&mut self, payload: Bytes) {
        let bytes = self.bytes.saturating_add(payload.len());
        if bytes > self.limits.bytes && !self.records.is_empty() {
            self.full = true;
            return;
        }
        self.bytes = bytes;
        self.records.push(Record { offset: self.next, payload });
        self.next += 1;
        self.full = self.records.len() >= self.limits.records;
    }
}

impl Topic {
    /// Appends `payloads` in order, next to each other, and answers with their offsets once they are durable.
    ///
    /// Appends of other callers that wait at the same time share one write and one sync. Without payloads it is a
    /// barrier: it returns when all appends before it are durable, with the empty range at the end.
    ///
    /// All or nothing for the caller: after [`LogError::WriteFailed`] none of the payloads is kept. After
    /// [`LogError::Broken`], or if the future is dropped before it is done, whether they are kept shows later. Waits
    /// while more than `max_pending_bytes` are in flight.
    pub async fn append(&self, payloads: Vec<Bytes>) -> Result<Range<u64>, LogError> {
        let began = Instant::now();
        let handle = &self.handle;
        let limit = handle.max_record_bytes.min(MAX_PAYLOAD_BYTES) as usize;
        if let Some(large) = payloads.iter().find(|payload| payload.len() > limit) {
            let topic = handle.served.name.clone();
            return Err(LogError::RecordTooLarge { topic, bytes: large.len(), limit });
        }
        let closed = || LogError::Closed { topic: handle.served.name.clone() };
        let bytes: usize = payloads.iter().map(Bytes::len).sum();
        let share = u32::try_from(bytes).unwrap_or(u32::MAX).min(handle.max_pending_bytes);
        let permit = Arc::clone(&handle.pending).acquire_many_owned(share).await.map_err(|_| closed())?;
        let (answer, answered) = oneshot::channel();
        handle.commands.send(Command::Append(Request { payloads, answer, permit })).map_err(|_| closed())?;
        let result = answered.await.map_err(|_| closed())?;
        metrics::histogram!("shipway_log_append_seconds").record(began.elapsed());
        result
    }

    /// Reads records from the offset `from` on, in order and without gaps.
    ///
    /// Answers with at most `max_records`, whose payloads hold at most `max_bytes` together; the first is given even if
    /// it is longer, so a reader always gets ahead. Empty when `from` is the end. Each record is checked on the way.
    /// `from` before [`Topic::start`] is [`LogError::Trimmed`], beyond [`Topic::end`] is [`LogError::BeyondEnd`].
    pub async fn read(
        &self,
        from: u64,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Vec<Record>, LogError> {
        let served = &self.handle.served;
        let end = served.end();
        if from > end {
            return Err(LogError::BeyondEnd { topic: served.name.clone(), from, end });
        }
        if from < served.start() {
            return Err(served.trimmed(from));
        }
        if from == end || max_records == 0 {
            return Ok(Vec::new());
        }
        let served = Arc::clone(served);
        let limits = Limits { records: max_records, bytes: max_bytes };
        blocking("read", move || served.read(from, end, limits)).await
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.handle.served.name
    }

    /// The oldest offset that is kept; equal to the end if there are no records.
    pub fn start(&self) -> u64 {
        self.handle.served.start()
    }

    /// The offset after the last durable record.
    pub fn end(&self) -> u64 {
        self.handle.served.end()
    }

    /// Returns once the record at `offset` is durable, that is, `end() > offset`. Never returns if that record never
    /// comes: also wait for whatever ends the waiting.
    pub async fn wait_beyond(&self, offset: u64) {
        let mut end = self.handle.served.end.subscribe();
        // The sender lives as long as this topic, so waiting cannot fail.
        let _ = end.wait_for(|end| *end > offset).await;
    }

    /// Drops whole segments all of whose records are before the offset `before`. The active segment always stays, so
    /// [`Topic::start`] may remain below `before`.
    pub async fn trim(&self, before: u64) -> Result<(), LogError> {
        let served = Arc::clone(&self.handle.served);
        blocking("trim", move || served.trim(before)).await
    }
}

async fn blocking<T: Send + 'static>(
    action: &'static str,
    work: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failure) => Err(LogError::Io { action, source: io::Error::other(failure) }),
    }
}
