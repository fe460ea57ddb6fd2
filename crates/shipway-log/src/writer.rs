//! The thread per topic that commits groups and rolls segments.
//!
//! All appends that wait form one group: one write, one `fdatasync`, then all callers hear. A write that fails is cut
//! off again, durably, and its callers are refused; if the cut or the sync fails, the state of the file is unknown and
//! the topic is closed for writing until it is opened anew.

use std::{
    io,
    ops::Range,
    sync::{Arc, mpsc},
};

use bytes::Bytes;
use fs_err::File;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::{
    disk::Disk,
    error::LogError,
    format::{self, FRAME_BYTES, HEADER_BYTES, MARK_BYTES},
    index,
    segment::{Creation, INDEX, Segment, file_of},
    topic::Served,
};

/// A group takes further appends until it holds this many bytes.
const GROUP_BYTES: usize = 8 << 20;
/// The memory for a group is given back when one was larger than this.
const KEPT_BYTES: usize = 16 << 20;

/// What the writer is told to do.
pub(crate) enum Command {
    /// Append and answer.
    Append(Request),
    /// Commit what came before, then end.
    Stop,
}

/// An append that waits.
pub(crate) struct Request {
    /// The records; none for a barrier.
    pub(crate) payloads: Vec<Bytes>,
    /// Where the caller waits.
    pub(crate) answer: oneshot::Sender<Result<Range<u64>, LogError>>,
    /// The caller's share of the memory in flight; given back with the answer.
    pub(crate) permit: OwnedSemaphorePermit,
}

impl Request {
    fn frame_bytes(&self) -> usize {
        self.payloads.iter().map(|payload| FRAME_BYTES + payload.len()).sum()
    }
}

/// The state of the thread.
pub(crate) struct Writer {
    /// What readers see.
    pub(crate) served: Arc<Served>,
    /// How the disk is touched.
    pub(crate) disk: Arc<dyn Disk>,
    /// The size at which segments roll.
    pub(crate) segment_bytes: u64,
    /// The active segment.
    pub(crate) segment: Arc<Segment>,
    /// Its file.
    pub(crate) file: File,
    /// Where the next group goes: all bytes before it are durable.
    pub(crate) position: u64,
    /// Whether the bytes before `position` are proven by a mark.
    pub(crate) marked: bool,
    /// The failure that closed the topic for writing.
    pub(crate) broken: Option<Arc<io::Error>>,
    /// The bytes of the present group.
    pub(crate) buffer: Vec<u8>,
}

/// How a group failed.
enum Refusal {
    /// Nothing of it is left.
    Undone(Arc<io::Error>),
    /// The topic is closed for writing.
    Broken(Arc<io::Error>),
}

impl Refusal {
    fn for_topic(&self, topic: &str) -> LogError {
        let topic = topic.to_owned();
        match self {
            Self::Undone(source) => LogError::WriteFailed { topic, source: Arc::clone(source) },
            Self::Broken(source) => LogError::Broken { topic, source: Arc::clone(source) },
        }
    }
}

impl Writer {
    /// Serves `queue` until it is told to stop. Requests behind the stop are dropped, which tells their callers.
    pub(crate) fn run(mut self, queue: &mpsc::Receiver<Command>) {
        while let Ok(Command::Append(first)) = queue.recv() {
            let mut bytes = first.frame_bytes();
            let mut group = vec![first];
            let mut stopped = false;
            while bytes < GROUP_BYTES && !stopped {
                match queue.try_recv() {
                    Ok(Command::Append(request)) => {
                        bytes += request.frame_bytes();
                        group.push(request);
                    }
                    Ok(Command::Stop) => stopped = true,
                    Err(_) => break,
                }
            }
            self.serve(group);
            if stopped {
                break;
            }
        }
        self.prove_last_group();
    }

    /// Commits a group and answers each caller.
    fn serve(&mut self, group: Vec<Request>) {
        let first = self.served.end();
        match self.commit(&group, first) {
            Ok(()) => {
                let mut next = first;
                for Request { payloads, answer, permit } in group {
                    let range = next..next + payloads.len() as u64;
                    next = range.end;
                    drop(permit);
                    // A caller that no longer waits gave up its answer, not its records.
                    let _ = answer.send(Ok(range));
                }
            }
            Err(refusal) => {
                for Request { answer, .. } in group {
                    let _ = answer.send(Err(refusal.for_topic(&self.served.name)));
                }
            }
        }
    }

    fn commit(&mut self, group: &[Request], first: u64) -> Result<(), Refusal> {
        if let Some(failure) = &self.broken {
            return Err(Refusal::Broken(Arc::clone(failure)));
        }
        let records: usize = group.iter().map(|request| request.payloads.len()).sum();
        if records == 0 {
            return Ok(());
        }
        let bytes = MARK_BYTES + group.iter().map(Request::frame_bytes).sum::<usize>();
        if self.position > HEADER_BYTES as u64 && self.position + bytes as u64 > self.segment_bytes {
            self.roll(first)?;
        }
        self.buffer.clear();
        self.buffer.reserve(bytes);
        format::encode_mark(&self.segment.checksum, first, &mut self.buffer);
        let mut starts = Vec::with_capacity(records);
        for (offset, payload) in (first..).zip(group.iter().flat_map(|request| &request.payloads)) {
            starts.push((offset, self.position + self.buffer.len() as u64));
            format::encode_record(&self.segment.checksum, payload, &mut self.buffer);
        }
        self.write_buffer()?;
        self.marked = false;
        self.segment.grow(starts.into_iter(), first + records as u64, self.position);
        self.served.announce(first + records as u64);
        metrics::counter!("shipway_log_bytes_total", "topic" => self.served.name.clone())
            .increment(bytes as u64);
        Ok(())
    }

    /// Puts the buffer behind what is durable and makes it durable, or leaves the file as it was, or breaks the topic.
    fn write_buffer(&mut self) -> Result<(), Refusal> {
        if let Err(failure) = self.disk.write(&self.file, &self.buffer, self.position) {
            let failure = Arc::new(failure);
            // The part that was written must be gone for good: behind a later, shorter group it would be read as records.
            let undone = self.disk.cut(&self.file, self.position).and_then(|()| self.disk.sync(&self.file));
            return Err(match undone {
                Ok(()) => Refusal::Undone(failure),
                Err(_) => self.break_with(failure),
            });
        }
        if let Err(failure) = self.disk.sync(&self.file) {
            // What is on the disk now is unknown, and syncing again would lie. The cut spares the next opening records
            // that their callers were told to send again; it need not succeed.
            let _ = self.disk.cut(&self.file, self.position);
            return Err(self.break_with(Arc::new(failure)));
        }
        self.position += self.buffer.len() as u64;
        if self.buffer.capacity() > KEPT_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Seals the active segment and begins the one whose first record is `first`.
    fn roll(&mut self, first: u64) -> Result<(), Refusal> {
        let created = Segment::create(&self.served.folder, first, &*self.disk);
        let (segment, file) = created.map_err(|creation| match creation {
            Creation::Undone(failure) => Refusal::Undone(Arc::new(failure)),
            Creation::Stray(failure) => self.break_with(Arc::new(failure)),
        })?;
        let sidecar = file_of(&self.served.folder, self.segment.header.first, INDEX);
        index::save(&sidecar, self.segment.header, &self.segment.extent());
        self.segment = Arc::new(segment);
        self.file = file;
        self.position = HEADER_BYTES as u64;
        self.marked = true;
        self.served.begin(Arc::clone(&self.segment));
        Ok(())
    }

    fn break_with(&mut self, failure: Arc<io::Error>) -> Refusal {
        tracing::error!(topic = self.served.name, %failure, "topic closed for writing after a disk failure");
        self.broken = Some(Arc::clone(&failure));
        Refusal::Broken(failure)
    }

    /// Marks the end at an orderly stop, so that damage to the last group is told from a torn tail. Without the mark
    /// nothing is lost, so a failure does not matter.
    fn prove_last_group(&mut self) {
        if self.marked || self.broken.is_some() {
            return;
        }
        self.buffer.clear();
        format::encode_mark(&self.segment.checksum, self.served.end(), &mut self.buffer);
        let _ = self.write_buffer();
    }
}
