//! Files that come in: streamed into the object store, and never in the place of another one.

use bytes::Bytes;
use futures::Stream;
use serde::Serialize;

use crate::{
    artifact_path::ArtifactPath,
    error::TrackingError,
    service::{
        Tracking,
        artifacts::{Place, must_be_free, place},
    },
    store::{self, artifacts::StoredFile},
};

/// What came of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileOutcome {
    /// It was not here.
    Created,
    /// It was here with the same content.
    Present,
    /// Another content is here under its path, and stays.
    Differs,
}

impl Tracking {
    /// Stores a file where none is. The content is durable before the path points to it.
    pub(crate) async fn import_file<E>(
        &self,
        path: &ArtifactPath,
        content: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<FileOutcome, TrackingError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let Place { root, path: below, .. } = place(&mut self.reader(), path).await?;
        if below.is_empty() {
            return Err(TrackingError::invalid("path", format!("`{}` is a folder", path.as_str())));
        }
        let staged = self.inner.blobs.stage(content).await?;
        let _named = self.inner.paths.read().await;
        let blob = staged.store().await?;
        let bytes = i64::try_from(blob.bytes).unwrap_or(i64::MAX);
        let file = StoredFile { path: below, digest: blob.digest, bytes };
        let mut transaction = self.begin().await?;
        match store::artifacts::at(&mut transaction, &root, &file.path).await? {
            Some(here) if here.digest == file.digest => return Ok(FileOutcome::Present),
            Some(_) => return Ok(FileOutcome::Differs),
            None => {}
        }
        must_be_free(&mut transaction, &root, &file.path).await?;
        store::artifacts::put(&mut transaction, &root, &file, self.now_ms()).await?;
        transaction.commit().await?;
        Ok(FileOutcome::Created)
    }

    /// The paths and sizes of all files below a root that a run or a logged model owns.
    pub(crate) async fn imported_files(
        &self,
        root: &ArtifactPath,
    ) -> Result<Vec<(String, i64)>, TrackingError> {
        let Place { root, path, .. } = place(&mut self.reader(), root).await?;
        if !path.is_empty() {
            return Err(TrackingError::invalid("root", "it is no run's and no model's folder"));
        }
        let files = store::artifacts::of_root(&mut self.reader(), &root).await?;
        Ok(files.into_iter().map(|file| (file.path, file.bytes)).collect())
    }
}
