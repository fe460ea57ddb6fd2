//! What is left of a topic after a crash.
//!
//! A full segment is durable before its successor is created, so anything wrong in it is damage. In the last segment a
//! fault is damage if a whole mark follows it (see `format`); otherwise it is a write that was never acknowledged, and
//! is cut off. What remains after the last mark may be known to the operating system only (a killed process, or an
//! `fdatasync` that failed and dropped the pages as clean), so it is written again and synced before anyone sees it.

use std::{
    borrow::Cow,
    path::{Path, PathBuf},
    sync::Arc,
};

use fs_err::{File, os::unix::fs::FileExt as _};

use crate::{
    cursor::{Cursor, Fault, Step, Stumble, has_mark},
    disk::{Disk, sync_folder},
    error::{LogError, Trying as _},
    format::{Checksum, HEADER_BYTES, Header, HeaderFault, VERSION},
    index::{self, Extent, SparseIndex},
    segment::{Creation, INDEX, SEGMENT, Segment, file_of},
};

const PIECE_BYTES: usize = 1 << 20;

/// A topic as it was found, ready to be appended to.
pub(crate) struct Recovered {
    /// All segments, oldest first.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// The last of them.
    pub(crate) active: Arc<Segment>,
    /// The last segment, open for writing.
    pub(crate) file: File,
    /// Whether the last bytes are a mark, or there are no records: closing need not write one.
    pub(crate) marked: bool,
}

/// Opens the topic in `folder`, which exists; creates its first segment if there is none.
pub(crate) fn recover(folder: &Path, disk: &dyn Disk) -> Result<Recovered, LogError> {
    let firsts = list(folder)?;
    let Some((&last, sealed)) = firsts.split_last() else {
        let (segment, file) =
            Segment::create(folder, 0, disk).map_err(Creation::into_failure).trying_to("create a segment")?;
        let active = Arc::new(segment);
        return Ok(Recovered { segments: vec![Arc::clone(&active)], active, file, marked: true });
    };
    let mut segments = Vec::with_capacity(firsts.len());
    for (&first, &successor) in sealed.iter().zip(&firsts[1..]) {
        let segment = open_sealed(folder, first)?;
        if segment.end() != successor {
            let what =
                format!("it ends at offset {}, and the next file begins at {successor}", segment.end());
            return Err(damaged(&segment.path, segment.window(first).bytes, what));
        }
        segments.push(Arc::new(segment));
    }
    let (segment, file, marked) = open_active(folder, last, disk)?;
    let active = Arc::new(segment);
    segments.push(Arc::clone(&active));
    Ok(Recovered { segments, active, file, marked })
}

/// The first offsets of the segments in `folder`, ascending. Removes sidecars whose segment is gone.
fn list(folder: &Path) -> Result<Vec<u64>, LogError> {
    let (mut segments, mut sidecars) = (Vec::new(), Vec::new());
    for entry in fs_err::read_dir(folder).trying_to("list the segments")? {
        let path = entry.trying_to("list the segments")?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        let list = match ending {
            Some(SEGMENT) => &mut segments,
            Some(INDEX) => &mut sidecars,
            _ => continue,
        };
        let first = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        match first {
            Some(first) if path == file_of(folder, first, ending.unwrap_or_default()) => list.push(first),
            _ => return Err(damaged(&path, 0, "its name is not an offset of 20 digits")),
        }
    }
    segments.sort_unstable();
    for stale in sidecars.iter().filter(|first| segments.binary_search(first).is_err()) {
        fs_err::remove_file(file_of(folder, *stale, INDEX))
            .trying_to("remove the index of a removed segment")?;
    }
    Ok(segments)
}

/// Opens a full segment: by its sidecar, or by reading all of it if that does not fit.
fn open_sealed(folder: &Path, first: u64) -> Result<Segment, LogError> {
    let path = file_of(folder, first, SEGMENT);
    let file = File::open(&path).trying_to("open a segment")?;
    let length = file.metadata().trying_to("read the length of a segment")?.len();
    let header = read_header(&file, &path, first, length)?.map_err(|what| damaged(&path, 0, what))?;
    let sidecar = file_of(folder, first, INDEX);
    if let Some(extent) = index::load(&sidecar, header, length) {
        return Ok(Segment::new(header, path, extent));
    }
    let scan = scan(&file, header, length)?;
    if let Some(Fault { byte, what }) = scan.fault {
        return Err(damaged(&path, byte, what));
    }
    index::save(&sidecar, header, &scan.extent);
    Ok(Segment::new(header, path, scan.extent))
}

/// Opens the last segment for writing, cuts a torn tail and makes the rest durable.
fn open_active(folder: &Path, first: u64, disk: &dyn Disk) -> Result<(Segment, File, bool), LogError> {
    let path = file_of(folder, first, SEGMENT);
    let file = File::options().read(true).write(true).open(&path).trying_to("open a segment")?;
    let length = file.metadata().trying_to("read the length of a segment")?.len();
    let header = match read_header(&file, &path, first, length)? {
        Ok(header) => header,
        // Records are written only after the header is durable: a file no longer than a header never held any.
        Err(_) if length <= HEADER_BYTES as u64 => return recreate(folder, first, &path, disk),
        Err(what) => return Err(damaged(&path, 0, what)),
    };
    let Scan { extent, last_mark, marked, fault } = scan(&file, header, length)?;
    if let Some(Fault { byte, what }) = fault {
        if has_mark(&file, &Checksum::new(header.salt), byte + 1..length).trying_to("read a segment")? {
            return Err(damaged(&path, byte, what));
        }
        tracing::warn!(
            file = %path.display(), byte, cut_bytes = length - byte, reason = %what,
            "tail of the event log was torn by a crash before it was acknowledged; cut off"
        );
        disk.cut(&file, byte).trying_to("cut off the torn tail of a segment")?;
    }
    if !marked {
        let mut tail = vec![0; (extent.bytes - last_mark) as usize];
        file.read_exact_at(&mut tail, last_mark).trying_to("read the last group of a segment")?;
        disk.write(&file, &tail, last_mark).trying_to("write the last group of a segment again")?;
    }
    disk.sync(&file).trying_to("make the last group of a segment durable")?;
    // A process killed between the creation of the file and the sync of its folder leaves the name in memory only.
    sync_folder(folder).trying_to("make the name of a segment durable")?;
    Ok((Segment::new(header, path, extent), file, marked))
}

/// Replaces a last segment that was torn while it was created.
fn recreate(
    folder: &Path,
    first: u64,
    path: &Path,
    disk: &dyn Disk,
) -> Result<(Segment, File, bool), LogError> {
    tracing::warn!(file = %path.display(), "segment was torn by a crash while it was created; created again");
    fs_err::remove_file(path).trying_to("remove a segment torn while it was created")?;
    let (segment, file) =
        Segment::create(folder, first, disk).map_err(Creation::into_failure).trying_to("create a segment")?;
    Ok((segment, file, true))
}

/// Reads and checks the header of a segment. The inner error says what is wrong with a header of this format.
fn read_header(
    file: &File,
    path: &Path,
    first: u64,
    length: u64,
) -> Result<Result<Header, &'static str>, LogError> {
    if length < HEADER_BYTES as u64 {
        return Ok(Err("the header is cut short"));
    }
    let mut bytes = [0; HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0).trying_to("read the header of a segment")?;
    match Header::decode(&bytes) {
        Ok(header) if header.first == first => Ok(Ok(header)),
        Ok(_) => Err(damaged(path, 0, "the header and the file name give different offsets")),
        Err(HeaderFault::Wrong(what)) => Ok(Err(what)),
        Err(HeaderFault::Newer(version)) => {
            debug_assert!(version > VERSION);
            Err(LogError::NewerFormat { file: path.to_owned(), version })
        }
    }
}

/// What a segment holds up to its end or its first fault.
struct Scan {
    extent: Extent,
    /// The first byte of the last mark; of the first frame if there is no mark.
    last_mark: u64,
    /// Whether no record follows the last mark.
    marked: bool,
    fault: Option<Fault>,
}

fn scan(file: &File, header: Header, length: u64) -> Result<Scan, LogError> {
    let start = HEADER_BYTES as u64;
    let checksum = Checksum::new(header.salt);
    let mut cursor = Cursor::new(file, &checksum, start..length, PIECE_BYTES);
    let mut index = SparseIndex::default();
    let (mut end, mut last_mark, mut marked) = (header.first, start, true);
    let fault = loop {
        match cursor.step() {
            Ok(Some(Step::Record { byte, .. })) => {
                index.note(end, byte);
                end += 1;
                marked = false;
            }
            Ok(Some(Step::Mark { byte, next })) if next == end => (last_mark, marked) = (byte, true),
            Ok(Some(Step::Mark { byte, next })) => {
                let what = Cow::Owned(format!("the mark gives offset {next}, and {end} is next"));
                break Some(Fault { byte, what });
            }
            Ok(None) => break None,
            Err(Stumble::Fault(fault)) => break Some(fault),
            Err(Stumble::Io(source)) => return Err(LogError::Io { action: "read a segment", source }),
        }
    };
    let bytes = fault.as_ref().map_or(length, |fault| fault.byte);
    Ok(Scan { extent: Extent { end, bytes, index }, last_mark, marked, fault })
}

fn damaged(file: &Path, byte: u64, what: impl Into<Cow<'static, str>>) -> LogError {
    LogError::Damaged { file: PathBuf::from(file), byte, what: what.into() }
}
