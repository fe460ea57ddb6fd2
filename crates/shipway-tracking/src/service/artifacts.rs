//! Use cases of artifacts: files of runs and logged models, kept as blobs under their digests.

use std::ops::Range;

use bytes::Bytes;
use futures::{Stream, stream::BoxStream};
use shipway_blob::BlobError;
use shipway_core::Digest;
use shipway_store::Transaction;
use tokio::sync::RwLockReadGuard;

use crate::{
    artifact_path::{self, ArtifactPath},
    error::{Thing, TrackingError},
    service::{Tracking, logged_models, runs},
    store::{
        self, Rows,
        artifacts::StoredFile,
        versions::{Holder, holders_of_root},
    },
};

/// A line of a listing: a file with its size, or a folder without.
pub(crate) type FileEntry = (String, Option<i64>);

/// Where a path of the artifact service points: a root that a run, a logged model or a trace owns, and the path below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) root: String,
    pub(super) path: String,
    /// Who owns the root.
    pub(super) owner: Owner,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Owner {
    Run {
        run_id: String,
    },
    LoggedModel {
        model_id: String,
        run_id: String,
    },
    /// A trace: what its client uploads beside its spans.
    Trace,
}

/// Finds the owner of a path. A path that nobody owns is not there: nothing is written outside of runs, models and
/// traces.
pub(super) async fn place(rows: &mut impl Rows, path: &ArtifactPath) -> Result<Place, TrackingError> {
    for (root, below) in path.possible_roots() {
        let place = |owner| Place { root: root.to_owned(), path: below.to_owned(), owner };
        if let Some(model) = store::logged_models::by_root(rows, root).await? {
            let owner = Owner::LoggedModel { model_id: model.model_id, run_id: model.source_run_id };
            return Ok(place(owner));
        }
        if let Some(run) = store::runs::by_root(rows, root).await? {
            return Ok(place(Owner::Run { run_id: run.run_id }));
        }
        if store::traces::by_root(rows, root).await?.is_some() {
            return Ok(place(Owner::Trace));
        }
    }
    Err(TrackingError::missing(Thing::Artifact, path.as_str()))
}

/// Whether `path` is `folder` or lies in it.
pub(super) fn is_within(folder: &str, path: &str) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Refuses to change a file under a version that holds an alias: what was judged must be what is served.
pub(super) async fn must_be_free(
    transaction: &mut Transaction,
    root: &str,
    path: &str,
) -> Result<(), TrackingError> {
    let holders = holders_of_root(transaction, root).await?;
    match holders.into_iter().find(|holder| is_within(&holder.folder, path)) {
        None => Ok(()),
        Some(Holder { name, version, alias, .. }) => {
            Err(TrackingError::Frozen { path: path.to_owned(), model: name, version, alias })
        }
    }
}

/// A file whose content is here, and which no path may point to yet.
pub(super) struct Received<'a> {
    pub(super) root: String,
    pub(super) file: StoredFile,
    /// While it is held no purge looks at blobs.
    pub(super) _kept: RwLockReadGuard<'a, ()>,
}

impl Tracking {
    /// Takes the content of a file in. It is durable, and kept from a purge until a path points to it.
    pub(super) async fn receive<E>(
        &self,
        path: &ArtifactPath,
        content: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<Received<'_>, TrackingError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let Place { root, path: below, .. } = place(&mut self.reader(), path).await?;
        if below.is_empty() {
            return Err(TrackingError::invalid("path", format!("`{}` is a folder", path.as_str())));
        }
        let staged = self.inner.blobs.stage(content).await?;
        let kept = self.inner.paths.read().await;
        let blob = staged.store().await?;
        let bytes = i64::try_from(blob.bytes).unwrap_or(i64::MAX);
        let file = StoredFile { path: below, digest: blob.digest, bytes };
        Ok(Received { root, file, _kept: kept })
    }

    /// Stores a file, replacing the one at the path. The content is durable before the path points to it.
    pub(crate) async fn put_artifact<E>(
        &self,
        path: &ArtifactPath,
        content: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<(), TrackingError>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let Received { root, file, _kept } = self.receive(path, content).await?;
        let mut transaction = self.begin().await?;
        let present = store::artifacts::at(&mut transaction, &root, &file.path).await?;
        if present.as_ref().is_some_and(|present| present.digest == file.digest) {
            return Ok(());
        }
        must_be_free(&mut transaction, &root, &file.path).await?;
        if let Some(replaced) = present {
            store::purge::loosen(&mut transaction, &[replaced.digest]).await?;
        }
        store::artifacts::put(&mut transaction, &root, &file, self.now_ms()).await?;
        Ok(transaction.commit().await?)
    }

    /// The digest and the size of a file.
    pub(crate) async fn artifact(&self, path: &ArtifactPath) -> Result<(Digest, u64), TrackingError> {
        let Place { root, path: below, .. } = place(&mut self.reader(), path).await?;
        let file = store::artifacts::at(&mut self.reader(), &root, &below).await?;
        let file = file.ok_or_else(|| TrackingError::missing(Thing::Artifact, path.as_str()))?;
        Ok((file.digest, file.bytes.unsigned_abs()))
    }

    /// The content of a file, or a part of it, as a stream. The whole is checked against its digest as it is read.
    pub(crate) async fn artifact_content(
        &self,
        digest: &Digest,
        part: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, TrackingError> {
        Ok(match part {
            None => self.inner.blobs.get(digest).await?,
            Some(part) => self.inner.blobs.get_part(digest, part).await?,
        })
    }

    /// Takes away a file, or a folder with all that is in it. Blobs that no other path names go with the next purge.
    pub(crate) async fn delete_artifact(&self, path: &ArtifactPath) -> Result<(), TrackingError> {
        let mut transaction = self.begin().await?;
        let Place { root, path: below, .. } = place(&mut transaction, path).await?;
        let files = store::artifacts::of_root(&mut transaction, &root).await?;
        let gone: Vec<StoredFile> = files.into_iter().filter(|file| is_within(&below, &file.path)).collect();
        let digests: Vec<Digest> = gone.iter().map(|file| file.digest).collect();
        store::purge::loosen(&mut transaction, &digests).await?;
        let gone: Vec<String> = gone.into_iter().map(|file| file.path).collect();
        for path in &gone {
            must_be_free(&mut transaction, &root, path).await?;
        }
        store::artifacts::delete(&mut transaction, &root, &gone).await?;
        Ok(transaction.commit().await?)
    }

    /// What lies directly at a path of the artifact service, names relative to it; nothing for a file.
    pub(crate) async fn list_artifacts(&self, path: &ArtifactPath) -> Result<Vec<FileEntry>, TrackingError> {
        let Place { root, path: below, .. } = place(&mut self.reader(), path).await?;
        self.list_root(&root, &below).await
    }

    /// What lies directly below a folder of a run's artifacts; also the root.
    pub(crate) async fn list_run_artifacts(
        &self,
        run_id: &str,
        folder: &ArtifactPath,
    ) -> Result<(String, Vec<FileEntry>), TrackingError> {
        let info = runs::find(&mut self.reader(), run_id).await?;
        let files = self.list_root(&info.artifact_root, folder.as_str()).await?;
        Ok((info.artifact_root, files))
    }

    /// What lies directly below a folder of a logged model's artifacts; also the root.
    pub(crate) async fn list_model_artifacts(
        &self,
        model_id: &str,
        folder: &ArtifactPath,
    ) -> Result<(String, Vec<FileEntry>), TrackingError> {
        let model = logged_models::find(&mut self.reader(), model_id).await?;
        let files = self.list_root(&model.artifact_root, folder.as_str()).await?;
        Ok((model.artifact_root, files))
    }

    async fn list_root(&self, root: &str, folder: &str) -> Result<Vec<FileEntry>, TrackingError> {
        let files = store::artifacts::of_root(&mut self.reader(), root).await?;
        Ok(artifact_path::list(folder, files.iter().map(|file| (file.path.as_str(), file.bytes))))
    }

    /// The content of a stored file, whole. For files of a size that fits in memory; the digest names it for ever.
    pub async fn read_file(&self, digest: &Digest) -> Result<Bytes, TrackingError> {
        Ok(self.inner.blobs.read(digest).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_itself_and_what_is_in_it() {
        assert!(is_within("", "a"));
        assert!(is_within("model", "model"));
        assert!(is_within("model", "model/a/b"));
        assert!(!is_within("model", "models/a"));
        assert!(!is_within("model/a", "model"));
    }
}
