//! What there is to say about a source whose history lies elsewhere.

use serde::Serialize;
use shipway_core::Timestamp;
use shipway_store::jobs::JobProblem;

use crate::{
    Features,
    error::FeaturesError,
    store::batch::{self, ItemState},
};

/// Problems in one answer, at most.
const MOST_PROBLEMS: usize = 100;

/// Something that is not loaded as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchProblem {
    /// The file, or the version of a table.
    pub item: String,
    /// The stable code of what is wrong.
    pub code: String,
    /// What is wrong: the row, the column and the reason where a row is at fault.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl BatchProblem {
    pub(super) fn new(item: &str, problem: JobProblem) -> Self {
        let JobProblem { code, message, hint } = problem;
        Self { item: item.to_owned(), code, message, hint }
    }
}

/// Files, or versions of tables, by what became of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BatchCounts {
    /// Loaded.
    pub loaded: u64,
    /// Being loaded, or interrupted in it.
    pub loading: u64,
    /// Not loaded.
    pub failed: u64,
    /// Loaded, and with another content since.
    pub changed: u64,
    /// Loaded, and not there any more.
    pub gone: u64,
}

/// How a batch source stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BatchStatus {
    /// The source.
    pub source: String,
    /// The pattern of its files, or its table.
    pub location: String,
    /// `files` or `delta`.
    pub kind: &'static str,
    /// How often it is looked for news.
    pub every: Option<String>,
    /// When it was last asked to look.
    pub asked_at: Option<Timestamp>,
    /// The job of that look.
    pub job: Option<String>,
    /// When the last look ended.
    pub looked_at: Option<Timestamp>,
    /// Why the last look could not look at all.
    pub error: Option<JobProblem>,
    /// The version up to which a table was read.
    pub table_version: Option<u64>,
    /// Items by what became of them.
    pub items: BatchCounts,
    /// Rows loaded from them.
    pub rows: u64,
    /// Rows left out because their event id was there before.
    pub duplicates: u64,
    /// The first problems, by item.
    pub problems: Vec<BatchProblem>,
}

impl Features {
    /// How every source with a batch part stands, by name.
    pub async fn batch_statuses(&self) -> Result<Vec<BatchStatus>, FeaturesError> {
        let definitions = self.inner.definitions();
        let mut statuses = Vec::new();
        for (name, source) in &definitions.sources {
            if source.definition.batch.is_some() {
                statuses.push(self.batch_status(name.as_str()).await?);
            }
        }
        Ok(statuses)
    }

    /// How one source with a batch part stands.
    pub async fn batch_status(&self, source: &str) -> Result<BatchStatus, FeaturesError> {
        let (_, definition) = self.inner.batch_source(source)?;
        let store = &self.inner.store;
        let location = definition.location().to_string();
        let look = batch::looks(store).await?.remove(source);
        let table = batch::table(store, source, &location).await?;
        let mut status = BatchStatus {
            source: source.to_owned(),
            kind: match definition.from {
                shipway_definitions::BatchFrom::Files { .. } => "files",
                shipway_definitions::BatchFrom::Delta { .. } => "delta",
            },
            location,
            every: definition.every.map(|every| every.to_string()),
            asked_at: look.as_ref().map(|look| look.asked),
            job: look.as_ref().map(|look| look.job_id.clone()),
            looked_at: look.as_ref().and_then(|look| look.ended),
            error: look.and_then(|look| look.problem),
            table_version: table.and_then(|table| table.read_version),
            items: BatchCounts::default(),
            rows: 0,
            duplicates: 0,
            problems: Vec::new(),
        };
        for item in batch::items(store, source).await?.into_values() {
            let counts = &mut status.items;
            match item.state {
                ItemState::Loaded => counts.loaded += 1,
                ItemState::Loading => counts.loading += 1,
                ItemState::Failed => counts.failed += 1,
            }
            counts.gone += u64::from(item.is_gone && item.state == ItemState::Loaded);
            counts.changed += u64::from(item.problem.is_some() && item.state == ItemState::Loaded);
            status.rows += item.rows;
            status.duplicates += item.skipped;
            if let Some(problem) = item.problem
                && status.problems.len() < MOST_PROBLEMS
            {
                status.problems.push(BatchProblem::new(&item.item, problem));
            }
        }
        Ok(status)
    }
}
