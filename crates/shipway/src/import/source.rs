//! What a source of an import must answer.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use super::{
    http::Trouble,
    item::{Experiment, LoggedModel, Point, Registration, Run, Version},
    report::Remark,
};

/// Some items, and the token of those that come after them.
#[derive(Debug)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

impl<T> Page<T> {
    /// The only page.
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// Whose files are meant.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner<'a> {
    Run(&'a Run),
    Model(&'a LoggedModel),
}

/// A file by its path below its owner's folder; the size where it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileEntry {
    pub(crate) path: String,
    pub(crate) bytes: Option<u64>,
}

/// The content of a file.
pub(crate) type Content = BoxStream<'static, io::Result<Bytes>>;

/// Where an import reads. Deleted things are answered too, where the source tells of them. Lists keep their order from one call to
/// the next as far as the source can promise it.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// What a person calls it; holds no credentials.
    fn name(&self) -> &str;

    async fn experiments(&self) -> Result<Vec<Experiment>, Trouble>;

    async fn runs(&self, experiment: &Experiment, token: Option<&str>) -> Result<Page<Run>, Trouble>;

    /// The points of one metric of a run.
    async fn history(&self, run: &Run, key: &str, token: Option<&str>) -> Result<Page<Point>, Trouble>;

    async fn logged_models(
        &self,
        experiment: &Experiment,
        token: Option<&str>,
    ) -> Result<Page<LoggedModel>, Trouble>;

    /// Registered models and prompts.
    async fn registrations(&self) -> Result<Vec<Registration>, Trouble>;

    /// The versions of one, the oldest first.
    async fn versions(&self, registration: &Registration) -> Result<Vec<Version>, Trouble>;

    /// All files of a run or a logged model, with those in folders below.
    async fn files(&self, owner: Owner<'_>) -> Result<Vec<FileEntry>, Trouble>;

    async fn open(&self, owner: Owner<'_>, path: &str) -> Result<Content, Trouble>;

    /// What it has and does not hand over.
    fn left_out(&self) -> Vec<Remark>;

    /// What it could not read, beside what it answered.
    fn failed(&self) -> Vec<Remark>;
}
