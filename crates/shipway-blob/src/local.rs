//! Objects in a folder: `sha256/ab/ab…` by digest, and `unfinished/` for what is being written.
//!
//! An object is written to `unfinished/`, synced, and renamed to its name, whose folder is synced too: the local store
//! of `object_store` does neither, and an artifact that was acknowledged must survive a crash of the machine.

use std::{
    error::Error,
    io::{self, SeekFrom},
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use fs_err::tokio as fs;
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use sha2::{Digest as _, Sha256};
use shipway_core::Digest;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufWriter};
use uuid::Uuid;

use crate::{
    BlobError,
    content::{self, verified},
};

const WRITE_BUFFER_BYTES: usize = 256 * 1024;

/// The objects. Clones share them.
#[derive(Debug, Clone)]
pub struct BlobStore {
    objects: Arc<Path>,
    unfinished: Arc<Path>,
}

/// An object that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredBlob {
    /// Its name: the digest of its content.
    pub digest: Digest,
    /// The length of its content.
    pub bytes: u64,
}

/// Content that is on disk and has no name yet.
#[derive(Debug)]
pub struct StagedBlob {
    blob: StoredBlob,
    store: BlobStore,
    unfinished: Unfinished,
}

impl StagedBlob {
    /// Gives the content its name. When it returns, the object is durable.
    pub async fn store(self) -> Result<StoredBlob, BlobError> {
        let Self { blob, store, unfinished } = self;
        let path = store.path(&blob.digest);
        let folder = path.parent().unwrap_or(&store.objects);
        if !fs::try_exists(folder).await? {
            fs::create_dir_all(folder).await?;
            sync_folder(&store.objects).await?;
        }
        fs::rename(&unfinished.0, &path).await?;
        sync_folder(folder).await?;
        Ok(blob)
    }
}

impl BlobStore {
    /// Opens the objects under `root`, creates the folder when it is missing, and removes what an earlier process left
    /// unfinished. One process at a time may use a folder.
    pub fn open_local(root: &Path) -> Result<Self, BlobError> {
        let (objects, unfinished) = (root.join("sha256"), root.join("unfinished"));
        fs_err::create_dir_all(&objects)?;
        match fs_err::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => fs_err::create_dir_all(&unfinished)?,
        }
        fs_err::File::open(root)?.sync_all()?;
        Ok(Self { objects: objects.into(), unfinished: unfinished.into() })
    }

    /// Stores `content` as it streams by and names it. Putting the same content again changes nothing, and heals an
    /// object that was damaged.
    ///
    /// When it returns, the object is durable. When it fails or is dropped, nothing was stored.
    pub async fn put<E>(
        &self,
        content: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<StoredBlob, BlobError>
    where
        E: Into<Box<dyn Error + Send + Sync + 'static>>,
    {
        self.stage(content).await?.store().await
    }

    /// Takes in `content` as it streams by, without giving it a name yet: what takes long is done then, and [`StagedBlob::store`] is short. When
    /// it fails or the result is dropped, nothing was stored.
    pub async fn stage<E>(
        &self,
        mut content: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<StagedBlob, BlobError>
    where
        E: Into<Box<dyn Error + Send + Sync + 'static>>,
    {
        let unfinished = Unfinished(self.unfinished.join(Uuid::now_v7().to_string()));
        let mut file = BufWriter::with_capacity(WRITE_BUFFER_BYTES, fs::File::create(&unfinished.0).await?);
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        while let Some(chunk) = content.next().await {
            let chunk = chunk.map_err(|error| BlobError::Content(error.into()))?;
            hash.update(&chunk);
            bytes += chunk.len() as u64;
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        file.get_ref().sync_all().await?;
        let blob = StoredBlob { digest: Digest::from_bytes(hash.finalize().into()), bytes };
        Ok(StagedBlob { blob, store: self.clone(), unfinished })
    }

    /// Stores `content`, which is in memory already.
    pub async fn put_bytes(&self, content: Bytes) -> Result<StoredBlob, BlobError> {
        self.put(stream::iter([Ok::<_, io::Error>(content)])).await
    }

    /// The content as a stream of chunks. Its last item is [`BlobError::Damaged`] when the bytes do not have the digest:
    /// a reader that acts before the end has not been told yet.
    pub async fn get(
        &self,
        digest: &Digest,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        match fs::File::open(self.path(digest)).await {
            Ok(file) => Ok(verified(file, *digest)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(BlobError::NotFound { digest: *digest })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// A part of the content as a stream of chunks, from the byte `part.start` to the one before `part.end`. It is not checked against the
    /// digest, which only the whole has; a content that ends before `part.end` is [`BlobError::Short`].
    pub async fn get_part(
        &self,
        digest: &Digest,
        part: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        let mut file = match fs::File::open(self.path(digest)).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::NotFound { digest: *digest });
            }
            Err(error) => return Err(error.into()),
        };
        file.seek(SeekFrom::Start(part.start)).await?;
        Ok(content::part(file.take(part.end.saturating_sub(part.start)), *digest))
    }

    /// The whole content, checked.
    pub async fn read(&self, digest: &Digest) -> Result<Bytes, BlobError> {
        let capacity =
            self.size(digest).await?.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or_default();
        let mut whole = BytesMut::with_capacity(capacity);
        let mut chunks = self.get(digest).await?;
        while let Some(chunk) = chunks.try_next().await? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    /// The length of the content in bytes, or `None` when there is no such object.
    pub async fn size(&self, digest: &Digest) -> Result<Option<u64>, BlobError> {
        match fs::metadata(self.path(digest)).await {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether there is such an object.
    pub async fn exists(&self, digest: &Digest) -> Result<bool, BlobError> {
        Ok(self.size(digest).await?.is_some())
    }

    /// Removes the object; `false` when there was none. Whoever is reading it reads on to its end.
    pub async fn delete(&self, digest: &Digest) -> Result<bool, BlobError> {
        match fs::remove_file(self.path(digest)).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.objects.join(&hex[..2]).join(hex)
    }
}

/// Makes the names in a folder as durable as the files behind them.
async fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder).await?.sync_all().await
}

/// Removes its file when the writing did not come to its end; after the rename there is nothing left to remove.
#[derive(Debug)]
struct Unfinished(PathBuf);

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Nobody is left to tell, and the next start removes it.
        let _ = fs_err::remove_file(&self.0);
    }
}
