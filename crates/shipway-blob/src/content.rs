//! An object as a stream that proves its digest: the last item is an error when the bytes were not those of the name. A part of an object
//! proves nothing of it but its length.

use bytes::{Bytes, BytesMut};
use fs_err::tokio::File;
use futures::{StreamExt, stream, stream::BoxStream};
use sha2::{Digest as _, Sha256};
use shipway_core::Digest;
use tokio::io::{AsyncReadExt, Take};

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

/// Reads on in `file` to the end of the part, in chunks of at most 256 KiB. A file that ends before is damaged.
pub(crate) fn part(file: Take<File>, digest: Digest) -> BoxStream<'static, Result<Bytes, BlobError>> {
    stream::try_unfold(file, move |file| next_of_part(file, digest)).boxed()
}

async fn next_of_part(
    mut file: Take<File>,
    digest: Digest,
) -> Result<Option<(Bytes, Take<File>)>, BlobError> {
    if file.limit() == 0 {
        return Ok(None);
    }
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    match file.read_buf(&mut chunk).await? {
        0 => Err(BlobError::Short { digest }),
        _ => Ok(Some((chunk.freeze(), file))),
    }
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
