//! The body of a request into a file, with its digest.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use fs_err::tokio as fs;
use futures::{Stream, StreamExt as _};
use sha2::{Digest as _, Sha256};
use shipway_core::Digest;
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use crate::error::{FeaturesError, invalid};

/// A file that is removed when it is dropped.
pub(crate) struct Spooled {
    pub(crate) path: PathBuf,
    pub(crate) digest: Digest,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        // A file that stays behind is removed by the next start.
        let _ = fs_err::remove_file(&self.path);
    }
}

/// Writes `body` to a new file in `folder`, at most `limit` bytes.
pub(crate) async fn spool<E: std::fmt::Display>(
    folder: &Path,
    limit: u64,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<Spooled, FeaturesError> {
    fs::create_dir_all(folder).await?;
    let path = folder.join(format!("load-{}", Uuid::now_v7()));
    let mut spooled = Spooled { path, digest: Digest::of("") };
    let mut file = fs::File::create(&spooled.path).await?;
    let mut hasher = Sha256::new();
    let mut written = 0_u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| invalid(format!("the body ended early: {error}")))?;
        written += chunk.len() as u64;
        if written > limit {
            return Err(FeaturesError::TooLarge { what: "file size in bytes", got: written, limit });
        }
        hasher.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    spooled.digest = Digest::from_bytes(hasher.finalize().into());
    Ok(spooled)
}

/// Removes files that an earlier process left behind.
pub(crate) async fn clear(folder: &Path) -> Result<(), FeaturesError> {
    if fs::try_exists(folder).await? {
        fs::remove_dir_all(folder).await?;
    }
    Ok(())
}
