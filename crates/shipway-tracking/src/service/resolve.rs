//! What serving needs to know of a version: its files by digest, and its tags.

use shipway_core::Digest;

use crate::{
    artifact_digest,
    error::{Thing, TrackingError},
    model::ModelVersion,
    service::{
        Tracking,
        promotion::{files_of, number},
        versions,
    },
    store::{self, artifacts::StoredFile},
};

/// A version with everything that is needed to run it. The digests name the content for ever, whatever happens to the alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResolvedVersion {
    /// The registered model.
    pub model: String,
    /// The version.
    pub version: u32,
    /// The logged model it was made of; empty when it was not.
    pub model_id: String,
    /// The digest of all its files.
    pub artifact_digest: Digest,
    /// The version's tags, by key.
    pub tags: Vec<(String, String)>,
    /// Its files, by path.
    pub files: Vec<ModelFile>,
}

/// One file of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Relative to the model's folder, such as `model.lgb`.
    pub path: String,
    /// Its content; read it with [`Tracking::read_file`].
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
}

impl Tracking {
    /// The version that holds `alias` of `model` now.
    pub async fn resolve_alias(&self, model: &str, alias: &str) -> Result<ResolvedVersion, TrackingError> {
        let version = versions::find_by_alias(&mut self.reader(), model, alias).await?;
        self.resolved(version).await
    }

    /// A version by its number.
    pub async fn resolve_version(&self, model: &str, version: u32) -> Result<ResolvedVersion, TrackingError> {
        let version = versions::find(&mut self.reader(), model, version.into()).await?;
        self.resolved(version).await
    }

    /// The values of one tag among all model versions that may still be served: those that are not archived, and those that hold
    /// an alias.
    pub async fn version_tags(&self, key: &str) -> Result<Vec<String>, TrackingError> {
        Ok(store::versions::tag_values(&mut self.reader(), key).await?)
    }

    async fn resolved(&self, version: ModelVersion) -> Result<ResolvedVersion, TrackingError> {
        let files = files_of(&mut self.reader(), &version).await?;
        let digest = artifact_digest::of_files(files.iter().map(|file| (file.path.as_str(), file.digest)));
        let artifact_digest = digest.ok_or_else(|| {
            let name = format!("of {} version {}", version.name, version.version);
            TrackingError::missing(Thing::Artifact, name)
        })?;
        let file = |file: StoredFile| ModelFile {
            path: file.path,
            digest: file.digest,
            bytes: file.bytes.unsigned_abs(),
        };
        Ok(ResolvedVersion {
            version: number(version.version),
            model: version.name,
            model_id: version.model_id,
            artifact_digest,
            tags: version.tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            files: files.into_iter().map(file).collect(),
        })
    }
}
