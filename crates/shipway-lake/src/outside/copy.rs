//! A stream of bytes into a file of ours: bounded, unpacked, and with the digest of what came.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use shipway_core::Digest;

use super::{OutsideError, OutsideFile};
use crate::LakeError;

/// A copy of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopiedFile {
    /// The digest of the file as it lies there, packed if it is packed.
    pub digest: Digest,
    /// The size of the copy in bytes, unpacked.
    pub bytes: u64,
}

/// Writes up to a limit, and notes that it was reached.
struct Bounded {
    file: File,
    written: u64,
    limit: u64,
    is_exceeded: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written + bytes.len() as u64 > self.limit {
            self.is_exceeded = true;
            return Err(io::Error::other("the limit is reached"));
        }
        let count = self.file.write(bytes)?;
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

enum Writer {
    Plain(Bounded),
    Unpacking(Box<MultiGzDecoder<Bounded>>),
}

impl Writer {
    fn bounded(&self) -> &Bounded {
        match self {
            Self::Plain(bounded) => bounded,
            Self::Unpacking(decoder) => decoder.get_ref(),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(bounded) => bounded.write_all(bytes),
            Self::Unpacking(decoder) => decoder.write_all(bytes),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(bounded) => bounded.flush(),
            Self::Unpacking(decoder) => decoder.try_finish(),
        }
    }
}

/// What goes to the thread that may block, and comes back.
struct State {
    writer: Writer,
    hasher: Sha256,
}

/// Writes `pieces` of `file` to `to`.
pub(super) async fn copy(
    file: &OutsideFile,
    to: &Path,
    limit: u64,
    pieces: impl Stream<Item = Result<Bytes, OutsideError>> + Send,
) -> Result<CopiedFile, LakeError> {
    let name = file.name();
    let target = fs_err::File::create_new(to).map_err(LakeError::io("create", to))?.into_parts().0;
    let bounded = Bounded { file: target, written: 0, limit, is_exceeded: false };
    let writer = if file.is_packed() {
        Writer::Unpacking(Box::new(MultiGzDecoder::new(bounded)))
    } else {
        Writer::Plain(bounded)
    };
    let mut state = State { writer, hasher: Sha256::new() };
    futures::pin_mut!(pieces);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        state = step(state, &name, to, limit, move |state| {
            state.hasher.update(&piece);
            state.writer.take(&piece)
        })
        .await?;
    }
    state = step(state, &name, to, limit, |state| state.writer.finish()).await?;
    let bytes = state.writer.bounded().written;
    Ok(CopiedFile { bytes, digest: Digest::from_bytes(state.hasher.finalize().into()) })
}

/// One step where blocking is allowed.
async fn step(
    mut state: State,
    name: &str,
    to: &Path,
    limit: u64,
    work: impl FnOnce(&mut State) -> io::Result<()> + Send + 'static,
) -> Result<State, LakeError> {
    let stepped = tokio::task::spawn_blocking(move || {
        let done = work(&mut state);
        (state, done)
    });
    let (state, done) = stepped.await.map_err(LakeError::task("copy a file"))?;
    let Err(fault) = done else { return Ok(state) };
    if state.writer.bounded().is_exceeded {
        return Err(OutsideError::FileTooLarge { path: name.to_owned(), limit }.into());
    }
    match &state.writer {
        // The decoder's own faults are of these kinds; others are the disk's.
        Writer::Unpacking(_)
            if matches!(
                fault.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            Err(OutsideError::Packed { path: name.to_owned(), reason: fault.to_string() }.into())
        }
        _ => Err(LakeError::io("write", to)(fault)),
    }
}
