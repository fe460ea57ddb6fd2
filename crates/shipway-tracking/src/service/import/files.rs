//! Files that come in: streamed into the object store, and never in the place of another one.

use bytes::Bytes;
use futures::Stream;
use serde::Serialize;

use crate::{
    artifact_path::ArtifactPath,
    error::TrackingError,
    service::{
        Tracking,
        artifacts::{Place, Received, must_be_free, place},
    },
    store,
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
        let Received { root, file, _kept } = self.receive(path, content).await?;
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
