//! One item on its way into its source: written down, loaded, written down again.

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use datafusion::{
    arrow::array::RecordBatch, error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{StreamExt as _, stream};
use shipway_core::Digest;
use shipway_lake::files::{Adaptation, FileFormat};
use shipway_store::jobs::{JobFailure, JobProblem};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{BatchProblem, look::Look};
use crate::{
    error::FeaturesError,
    features::Inner,
    load::application,
    source::SourceRuntime,
    store::{
        batch::{self, ItemRow, ItemState},
        loads::{self, LoadRow, LoadState},
    },
};

/// The load id of an item: the same for the same content under the same name, and for nothing else.
pub(super) fn load_id(item: &str, content: &str) -> String {
    let digest = Digest::of(format!("shipway batch 1\n{} {item}\n{content}", item.len()));
    format!("batch-{}", &digest.hex()[..40])
}

/// A file of ours that is removed when it is dropped, at the latest by the next start.
pub(super) struct Copy {
    pub(super) path: PathBuf,
}

impl Copy {
    pub(super) async fn place(inner: &Inner) -> Result<Self, FeaturesError> {
        let folder = inner.spool_folder();
        fs_err::tokio::create_dir_all(&folder).await?;
        Ok(Self { path: folder.join(format!("batch-{}", Uuid::now_v7())) })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.path);
    }
}

/// A problem as it is written down.
pub(super) fn problem_of(error: FeaturesError) -> JobProblem {
    let JobFailure(problem) = error.into();
    problem
}

impl Look {
    /// How the columns of the source are found there.
    pub(super) fn adaptation(&self, null_tokens: &[String]) -> Adaptation {
        let names = self.batch.columns.iter();
        Adaptation {
            names: names.map(|(name, there)| (name.to_string(), there.clone())).collect(),
            optional: self.batch.optional.iter().map(ToString::to_string).collect(),
            null_tokens: null_tokens.to_vec(),
            ..Adaptation::default()
        }
    }

    /// Whether the rows of an item that was being loaded are in the table; if so the load is brought to its end.
    pub(super) async fn settled(&self, item: &ItemRow) -> Result<Option<LoadRow>, FeaturesError> {
        let (inner, table) = (&self.inner, self.name());
        // Behind a load of an earlier attempt that is still at its end.
        let turn = self.runtime.loading.lock().await;
        let Some(load) = loads::find(&inner.store, table, &item.load_id).await? else { return Ok(None) };
        let is_written = load.state == LoadState::Marked
            || inner.lake.transaction_version(table, &application(&item.load_id)).await?.is_some();
        if !is_written {
            return Ok(None);
        }
        drop(turn);
        let nothing = async { Err(FeaturesError::Stopped { what: "the load" }) };
        Ok(Some(load_rows(inner, &self.runtime, item.load_id.clone(), nothing).await?))
    }

    /// Loads the rows of an item that was written down as being loaded, and writes down what became of it. A refusal of the
    /// rows is a problem of the item; a failure of ours ends the look.
    pub(super) async fn load_item(
        &mut self,
        mut item: ItemRow,
        rows: impl Future<Output = Result<SendableRecordBatchStream, FeaturesError>> + Send + 'static,
    ) -> Result<(), FeaturesError> {
        item.state = ItemState::Loading;
        self.record(&item).await?;
        let cancelled = self.run.cancelled.clone();
        let rows = async move { Ok(until(cancelled, rows.await?)) };
        let (inner, runtime) = (Arc::clone(&self.inner), Arc::clone(&self.runtime));
        let load_id = item.load_id.clone();
        // On a task of its own: a look that is dropped must not leave rows without their marker.
        let work = self.inner.tracker.spawn(async move { load_rows(&inner, &runtime, load_id, rows).await });
        let loaded = work.await.map_err(|_| FeaturesError::Stopped { what: "the load" })?;
        match loaded {
            Ok(load) => self.note_loaded(item, &load).await,
            Err(error) => {
                let is_written = self.settled(&item).await?;
                match is_written {
                    Some(load) => self.note_loaded(item, &load).await,
                    None if self.run.cancelled.is_cancelled() => {
                        batch::forget(&self.inner.store, self.name(), &item.item).await?;
                        Err(self.cancelled())
                    }
                    None => self.note_failed(item, problem_of(error)).await,
                }
            }
        }
    }

    /// Writes down that an item is loaded.
    pub(super) async fn note_loaded(
        &mut self,
        mut item: ItemRow,
        load: &LoadRow,
    ) -> Result<(), FeaturesError> {
        item.state = ItemState::Loaded;
        (item.rows, item.skipped, item.problem) = (load.rows, load.skipped, None);
        item.changed = self.inner.clock.now();
        self.record(&item).await?;
        self.looked.loaded += 1;
        self.looked.rows += load.rows;
        self.looked.duplicates += load.skipped;
        self.marker = self.marker.max(load.marker_offset);
        Ok(())
    }

    /// Writes down why nothing of an item is loaded.
    pub(super) async fn note_failed(
        &mut self,
        mut item: ItemRow,
        mut problem: JobProblem,
    ) -> Result<(), FeaturesError> {
        item.state = ItemState::Failed;
        if let Some(file) = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).take() {
            problem.message = format!("{file}: {}", problem.message);
        }
        item.problem = Some(problem.clone());
        item.changed = self.inner.clock.now();
        self.record(&item).await?;
        self.fails(BatchProblem::new(&item.item, problem));
        Ok(())
    }

    pub(super) async fn record(&self, item: &ItemRow) -> Result<(), FeaturesError> {
        Ok(batch::record(&self.inner.store, self.name(), item).await?)
    }
}

async fn load_rows(
    inner: &Arc<Inner>,
    runtime: &Arc<SourceRuntime>,
    load_id: String,
    rows: impl Future<Output = Result<SendableRecordBatchStream, FeaturesError>>,
) -> Result<LoadRow, FeaturesError> {
    let _one_at_a_time = runtime.loading.lock().await;
    Ok(Box::pin(inner.load_source(runtime, load_id, rows)).await?.0)
}

/// The same batches, and an error as soon as the look is to end: nothing is written then.
fn until(cancelled: CancellationToken, rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = rows.schema();
    let watched = stream::unfold((rows, cancelled, false), |(mut rows, cancelled, has_ended)| async move {
        if has_ended {
            return None;
        }
        let next: Option<Result<RecordBatch, DataFusionError>> = tokio::select! {
            biased;
            () = cancelled.cancelled() => Some(Err(DataFusionError::External("cancelled".into()))),
            next = rows.next() => next,
        };
        let has_ended = next.as_ref().is_none_or(Result::is_err);
        next.map(|batch| (batch, (rows, cancelled, has_ended)))
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, watched))
}

/// The format of a file: the one that is said, or the one that its name says.
pub(super) fn format_of(
    said: Option<shipway_definitions::BatchFormat>,
    unpacked_name: &str,
) -> Option<FileFormat> {
    use shipway_definitions::BatchFormat;
    match said {
        Some(BatchFormat::Csv) => Some(FileFormat::Csv),
        Some(BatchFormat::Jsonl) => Some(FileFormat::JsonLines),
        Some(BatchFormat::Parquet) => Some(FileFormat::Parquet),
        None => FileFormat::of_path(std::path::Path::new(unpacked_name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_id_is_of_name_and_content_together() {
        let id = load_id("/data/a.csv", "sha256:00");
        assert_eq!(id, load_id("/data/a.csv", "sha256:00"));
        assert_ne!(id, load_id("/data/b.csv", "sha256:00"), "a copy of a file is another file");
        assert_ne!(id, load_id("/data/a.csv", "sha256:01"));
        assert_ne!(load_id("a", "b\nc"), load_id("a\nb", "c"));
        assert!(id.len() <= 128);
    }
}
