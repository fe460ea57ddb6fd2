//! Walks the frames of a segment, for readers and for recovery alike.

use std::{borrow::Cow, io, ops::Range};

use bytes::Bytes;
use fs_err::{File, os::unix::fs::FileExt as _};

use crate::format::{self, Checksum, FRAME_BYTES, Frame, FrameFault, MARK_BYTES};

/// Walks the frames in a part of a segment file, reading ahead in pieces.
pub(crate) struct Cursor<'a> {
    file: &'a File,
    checksum: &'a Checksum,
    /// The next frame begins at `span.start`; frames end at or before `span.end`.
    span: Range<u64>,
    piece_bytes: usize,
    /// What has been read and not yet walked: the bytes from `span.start` on.
    ahead: Bytes,
}

/// A frame with its payload.
pub(crate) enum Step {
    /// A record that begins at `byte`.
    Record {
        /// The first byte of its frame.
        byte: u64,
        /// The payload; shares memory with its neighbours.
        payload: Bytes,
    },
    /// A mark that begins at `byte`.
    Mark {
        /// The first byte of its frame.
        byte: u64,
        /// The offset of the next record.
        next: u64,
    },
}

/// Why the walk ended before the end of its part.
#[derive(Debug)]
pub(crate) enum Stumble {
    /// The disk failed.
    Io(io::Error),
    /// The bytes from here on are not a frame.
    Fault(Fault),
}

/// A place in a segment that cannot be trusted.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The first byte of the frame.
    pub(crate) byte: u64,
    /// What is wrong with it.
    pub(crate) what: Cow<'static, str>,
}

impl<'a> Cursor<'a> {
    /// Walks the bytes `span` of `file`, reading about `piece_bytes` at a time.
    pub(crate) fn new(file: &'a File, checksum: &'a Checksum, span: Range<u64>, piece_bytes: usize) -> Self {
        Self { file, checksum, span, piece_bytes, ahead: Bytes::new() }
    }

    /// The next frame; `None` at the end.
    pub(crate) fn step(&mut self) -> Result<Option<Step>, Stumble> {
        loop {
            let byte = self.span.start;
            let remaining = self.span.end - byte;
            if remaining == 0 {
                return Ok(None);
            }
            match format::decode(self.checksum, &self.ahead) {
                Ok(Frame::Record { payload_bytes }) => {
                    let frame = self.take(FRAME_BYTES + payload_bytes);
                    return Ok(Some(Step::Record { byte, payload: frame.slice(FRAME_BYTES..) }));
                }
                Ok(Frame::Mark { next }) => {
                    self.take(MARK_BYTES);
                    return Ok(Some(Step::Mark { byte, next }));
                }
                Err(FrameFault::Short(needed)) if needed as u64 <= remaining => self.read_ahead(needed)?,
                Err(FrameFault::Short(_)) => return Err(fault(byte, "the record is cut short")),
                Err(FrameFault::Wrong(what)) => return Err(fault(byte, what)),
            }
        }
    }

    fn take(&mut self, size: usize) -> Bytes {
        self.span.start += size as u64;
        self.ahead.split_to(size)
    }

    /// Reads at least `needed` bytes from the present place on, and no more than there are.
    fn read_ahead(&mut self, needed: usize) -> Result<(), Stumble> {
        let remaining = self.span.end - self.span.start;
        let wanted = usize::try_from(remaining).unwrap_or(usize::MAX).min(needed.max(self.piece_bytes));
        let mut piece = vec![0; wanted];
        self.file.read_exact_at(&mut piece, self.span.start).map_err(Stumble::Io)?;
        self.ahead = piece.into();
        Ok(())
    }
}

fn fault(byte: u64, what: &'static str) -> Stumble {
    Stumble::Fault(Fault { byte, what: Cow::Borrowed(what) })
}

/// Whether a whole mark lies in the bytes `span` of `file`.
pub(crate) fn has_mark(file: &File, checksum: &Checksum, span: Range<u64>) -> io::Result<bool> {
    const PIECE_BYTES: u64 = 1 << 20;
    let mut from = span.start;
    while from < span.end {
        let mut piece = vec![0; (span.end - from).min(PIECE_BYTES) as usize];
        file.read_exact_at(&mut piece, from)?;
        if format::find_mark(checksum, &piece).is_some() {
            return Ok(true);
        }
        // Pieces overlap, so that a mark across their seam is whole in the later one.
        let seam = MARK_BYTES as u64 - 1;
        from += if piece.len() as u64 > seam { piece.len() as u64 - seam } else { seam };
    }
    Ok(false)
}
