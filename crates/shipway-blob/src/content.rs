//! An object as a stream that proves its digest: the last item is an error when the bytes were not those of the name.

use bytes::{Bytes, BytesMut};
use fs_err::tokio::File;
use futures::{StreamExt, stream, stream::BoxStream};
use sha2::{Digest as _, Sha256};
use shipway_core::Digest;
use tokio::io::AsyncReadExt;

use crate::BlobError;

const CHUNK_BYTES: usize = 256 * 1024;

struct Reading {
    file: File,
    hash: Sha256,
    digest: Digest,
}

/// Reads `file` to its end in chunks of at most 256 KiB.
pub(crate) fn verified(file: File, digest: Digest) -> BoxStream<'static, Result<Bytes, BlobError>> {
    stream::try_unfold(Reading { file, hash: Sha256::new(), digest }, next_chunk).boxed()
}

async fn next_chunk(mut reading: Reading) -> Result<Option<(Bytes, Reading)>, BlobError> {
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    if reading.file.read_buf(&mut chunk).await? > 0 {
        reading.hash.update(&chunk);
        return Ok(Some((chunk.freeze(), reading)));
    }
    let found = Digest::from_bytes(reading.hash.finalize().into());
    if found == reading.digest { Ok(None) } else { Err(BlobError::Damaged { digest: reading.digest, found }) }
}
