//! One file of a topic: its extent, and the cached handles through which readers reach it.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use fs_err::File;

use crate::{
    disk::{Disk, sync_folder},
    format::{Checksum, Header},
    index::Extent,
};

/// The ending of a segment's file name.
pub(crate) const SEGMENT: &str = "segment";
/// The ending of the file name of a segment's sidecar.
pub(crate) const INDEX: &str = "index";

/// The file in `folder` that begins at the offset `first`.
pub(crate) fn file_of(folder: &Path, first: u64, ending: &str) -> PathBuf {
    folder.join(format!("{first:020}.{ending}"))
}

/// One file of a topic. Its extent holds durable records only.
#[derive(Debug)]
pub(crate) struct Segment {
    /// The head of the file.
    pub(crate) header: Header,
    /// The checksum of its frames.
    pub(crate) checksum: Checksum,
    /// Where it is.
    pub(crate) path: PathBuf,
    extent: RwLock<Extent>,
}

/// Where a reader begins, and how far it may go.
pub(crate) struct Window {
    /// A record at or before the one wanted.
    pub(crate) offset: u64,
    /// Its first byte.
    pub(crate) byte: u64,
    /// The bytes that hold durable records.
    pub(crate) bytes: u64,
}

impl Segment {
    /// A segment with a known extent.
    pub(crate) fn new(header: Header, path: PathBuf, extent: Extent) -> Self {
        Self { header, checksum: Checksum::new(header.salt), path, extent: RwLock::new(extent) }
    }

    /// Creates the file of a segment without records and makes it durable, its name included.
    ///
    /// A failure leaves no file behind, or says so: a stray file would make the present segment look complete.
    pub(crate) fn create(folder: &Path, first: u64, disk: &dyn Disk) -> Result<(Self, File), Creation> {
        let path = file_of(folder, first, SEGMENT);
        let header = Header { first, salt: uuid::Uuid::new_v4().as_u64_pair().1 };
        let fill = |file: &File| {
            disk.write(file, &header.encode(), 0)?;
            disk.sync(file)?;
            sync_folder(folder)
        };
        let file =
            File::options().read(true).write(true).create_new(true).open(&path).map_err(Creation::Undone)?;
        if let Err(failure) = fill(&file) {
            let undone = fs_err::remove_file(&path).and_then(|()| sync_folder(folder));
            return Err(if undone.is_ok() { Creation::Undone(failure) } else { Creation::Stray(failure) });
        }
        let bytes = crate::format::HEADER_BYTES as u64;
        Ok((Self::new(header, path, Extent { end: first, bytes, ..Extent::default() }), file))
    }

    /// The offset after the last durable record.
    pub(crate) fn end(&self) -> u64 {
        self.extent.read().unwrap_or_else(PoisonError::into_inner).end
    }

    /// Where to begin to read `offset`.
    pub(crate) fn window(&self, offset: u64) -> Window {
        let extent = self.extent.read().unwrap_or_else(PoisonError::into_inner);
        let (offset, byte) = extent.index.at_or_before(offset, self.header.first);
        Window { offset, byte, bytes: extent.bytes }
    }

    /// Tells readers of records that have become durable: where each begins, and the new end.
    pub(crate) fn grow(&self, starts: impl Iterator<Item = (u64, u64)>, end: u64, bytes: u64) {
        let mut extent = self.extent.write().unwrap_or_else(PoisonError::into_inner);
        for (offset, byte) in starts {
            extent.index.note(offset, byte);
        }
        extent.end = end;
        extent.bytes = bytes;
    }

    /// A copy of the extent, for the sidecar.
    pub(crate) fn extent(&self) -> Extent {
        self.extent.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a segment could not be created.
pub(crate) enum Creation {
    /// Nothing of it is left.
    Undone(io::Error),
    /// A file without records may be left.
    Stray(io::Error),
}

impl Creation {
    /// The failure, when what is left does not matter.
    pub(crate) fn into_failure(self) -> io::Error {
        match self {
            Self::Undone(failure) | Self::Stray(failure) => failure,
        }
    }
}

/// The handles that readers used last. Consumers read forward, so a few serve a topic of any size.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<VecDeque<(u64, Arc<File>)>>);

const HANDLES: usize = 8;

impl Handles {
    /// A handle on `segment`, opened if it is not at hand.
    pub(crate) fn open(&self, segment: &Segment) -> io::Result<Arc<File>> {
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let first = segment.header.first;
        let known = handles.iter().position(|(held, _)| *held == first).and_then(|at| handles.remove(at));
        let handle = match known {
            Some(handle) => handle,
            None => (first, Arc::new(File::open(&segment.path)?)),
        };
        let file = Arc::clone(&handle.1);
        handles.push_front(handle);
        handles.truncate(HANDLES);
        Ok(file)
    }

    /// Lets go of the handle on a segment that is about to be removed.
    pub(crate) fn forget(&self, segment: &Segment) {
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handles.retain(|(held, _)| *held != segment.header.first);
    }
}
