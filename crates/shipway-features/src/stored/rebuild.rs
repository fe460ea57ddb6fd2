//! Makes a training set again from its recipe, from nothing that is kept, and compares every bit with what it was.

use serde::Serialize;
use shipway_core::{Digest, Timestamp};
use shipway_lake::check_table_name;

use super::{
    Recipe, StoredError,
    build::{Watched, recipe_of},
    digest::{Seen, watched},
    error,
};
use crate::{
    Features,
    error::{FeaturesError, invalid},
    offline::OfflineError,
    store::training_sets::{self as book, TrainingSetRow},
};

/// A training set that was made again. Every bit is what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// The training set.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// The digest of the content, which is what it was.
    pub content: Digest,
    /// The table that was written; none when the training set's own table is there, and was compared only.
    pub written: Option<String>,
}

/// A kept training set, as it is listed.
#[derive(Debug, Clone, Serialize)]
pub struct KeptTrainingSet {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// The digest of the content.
    pub content: Digest,
    /// When it was made.
    pub created_at: Timestamp,
    /// What it is made of.
    pub recipe: Recipe,
}

impl Features {
    /// The kept training sets, by table.
    pub async fn kept_training_sets(&self) -> Result<Vec<KeptTrainingSet>, FeaturesError> {
        book::list(&self.inner.store).await?.iter().map(kept).collect()
    }

    /// The kept training set in that table.
    pub async fn kept_training_set(&self, table: &str) -> Result<KeptTrainingSet, FeaturesError> {
        kept(&self.entry(table).await?)
    }

    async fn entry(&self, table: &str) -> Result<TrainingSetRow, FeaturesError> {
        let entry = book::find(&self.inner.store, table).await?;
        entry.ok_or_else(|| error(StoredError::Unknown { table: table.to_owned() }))
    }

    /// Makes the training set in `table` again, into the new table `into`; into `table` itself when that is gone; and
    /// nowhere when it is there: then it is compared only. Fails, and writes nothing, when any bit differs.
    pub(crate) async fn rebuild(
        &self,
        table: &str,
        into: Option<&str>,
        work: &Watched<'_>,
    ) -> Result<Rebuilt, FeaturesError> {
        let row = self.entry(table).await?;
        let recipe = recipe_of(&row)?;
        if !recipe.spine.is_repeatable {
            return Err(error(StoredError::NotRepeatable { table: table.to_owned() }));
        }
        let target = self.rebuild_target(table, into).await?;
        if let Some(target) = target {
            let made = self.make(&recipe, &target, false, Some(row.content), work).await?;
            let (table, rows) = (table.to_owned(), made.rows);
            return Ok(Rebuilt { table, rows, content: made.content, written: Some(target) });
        }
        let (batches, _) = self.compute(&recipe, table, false, work).await?;
        let seen = Seen::default();
        let mut batches = watched(batches, &seen, work.cancelled.clone(), Some(row.content), |_| ())?;
        let mut rows = 0;
        while let Some(batch) = futures::StreamExt::next(&mut batches).await {
            match batch {
                Ok(batch) => rows += batch.num_rows() as u64,
                Err(_) if work.cancelled.is_cancelled() => return Err(OfflineError::Cancelled.into()),
                Err(failure) => return Err(found(failure)),
            }
            (work.report)("comparing rows", rows, Some(row.rows));
        }
        Ok(Rebuilt { table: table.to_owned(), rows, content: row.content, written: None })
    }

    /// The table to write, after it was checked; `None` when the training set's own table is to be compared.
    pub(crate) async fn rebuild_target(
        &self,
        table: &str,
        into: Option<&str>,
    ) -> Result<Option<String>, FeaturesError> {
        self.entry(table).await?;
        let target = into.unwrap_or(table);
        check_table_name(target)?;
        if self.inner.source(target).is_ok() || target.contains("__") {
            return Err(invalid(format!("table {target}: a training set needs a table of its own")));
        }
        match (self.inner.lake.exists(target).await?, into) {
            (false, _) => Ok(Some(target.to_owned())),
            (true, None) => Ok(None),
            (true, Some(_)) => Err(error(StoredError::Taken { table: target.to_owned() })),
        }
    }
}

fn kept(row: &TrainingSetRow) -> Result<KeptTrainingSet, FeaturesError> {
    Ok(KeptTrainingSet {
        table: row.table.clone(),
        rows: row.rows,
        content: row.content,
        created_at: row.created_at,
        recipe: recipe_of(row)?,
    })
}

/// Our own refusal inside an error of the query engine.
fn found(failure: datafusion::error::DataFusionError) -> FeaturesError {
    match failure {
        datafusion::error::DataFusionError::External(inner) => match inner.downcast::<StoredError>() {
            Ok(own) => error(*own),
            Err(inner) => datafusion::error::DataFusionError::External(inner).into(),
        },
        other => other.into(),
    }
}
