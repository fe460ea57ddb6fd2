//! Makes the table of a training set, or finds that it is made already.
//!
//! The answers of each view are kept as soon as the view is done; so what is interrupted goes on with the views that are
//! missing, and a service with one more view costs one more view. The table appears whole, at the end, or not at all.

use std::collections::BTreeMap;

use serde::Serialize;
use shipway_core::{Digest, failure::chain};
use shipway_lake::{Existing, LakeError, check_table_name};
use shipway_web::spans::within;
use tokio_util::sync::CancellationToken;

use super::{
    Recipe, StoredError,
    digest::{Seen, watched},
    error,
    rebuild::found,
};
use crate::{
    Features,
    error::{FeaturesError, invalid},
    offline::{EngineSettings, Keeping, OfflineError, Shelf, ViewDone, training_set_over},
    spans,
    store::training_sets::{self as book, TrainingSetRow},
    training::TrainingSet,
};

/// The properties of a table that carry its recipe, readable by any Delta reader.
const RECIPE_PROPERTY: &str = "shipway.recipe";
const KEY_PROPERTY: &str = "shipway.recipe_key";

/// How to keep a training set.
#[derive(Debug, Clone, Copy, Default)]
pub struct StoreOptions {
    /// Whether a table that holds something else is replaced.
    pub replace: bool,
}

/// A training set in its table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoredTrainingSet {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// The version of the table that holds them.
    pub table_version: u64,
    /// The version of the service.
    pub service_hash: Digest,
    /// The digest of everything that decides the content.
    pub recipe_key: Digest,
    /// The digest of the content, rows in order.
    pub content: Digest,
    /// Whether it was there already: the definitions and the inputs are what they were.
    pub reused: bool,
    /// The views and labels whose answers were computed for it now; the others were kept from before.
    pub computed: Vec<String>,
}

/// Told the phase, how much of it is done, and of how much where that is known.
pub(crate) type Report<'a> = dyn Fn(&str, u64, Option<u64>) + Send + Sync + 'a;

/// How a piece of work is watched: who may end it, and who is told how far it is.
pub(crate) struct Watched<'a> {
    pub(crate) cancelled: CancellationToken,
    pub(crate) report: std::sync::Arc<Report<'a>>,
}

impl Features {
    /// Keeps the training set in a table of its own. When the very same is there already, that is the answer.
    ///
    /// The table must be new, or hold this training set; or it is replaced, if `options` say so.
    pub async fn store_training_set(
        &self,
        wanted: TrainingSet,
        table: &str,
        options: StoreOptions,
    ) -> Result<StoredTrainingSet, FeaturesError> {
        let recipe = self.storable(&wanted, table, options).await?;
        let cancelled = CancellationToken::new();
        // Whoever gives up waiting must not leave a writer behind.
        let _ends_with_this_call = cancelled.clone().drop_guard();
        let watched = Watched { cancelled, report: std::sync::Arc::new(|_, _, _| ()) };
        Box::pin(self.build(&recipe, table, options, &watched)).await
    }

    /// The recipe, after everything was checked that can be before the work.
    pub(crate) async fn storable(
        &self,
        wanted: &TrainingSet,
        table: &str,
        options: StoreOptions,
    ) -> Result<Recipe, FeaturesError> {
        check_table_name(table)?;
        if self.inner.source(table).is_ok() || table.contains("__") {
            return Err(invalid(format!("table {table}: a training set needs a table of its own")));
        }
        let recipe = self.recipe(wanted).await?;
        self.check_place(&recipe, table, options).await?;
        Ok(recipe)
    }

    /// The kept training set of that recipe in that table, if it is there; an error when the table holds something else.
    async fn check_place(
        &self,
        recipe: &Recipe,
        table: &str,
        options: StoreOptions,
    ) -> Result<Option<TrainingSetRow>, FeaturesError> {
        if !self.inner.lake.exists(table).await? {
            return Ok(None);
        }
        let key = recipe.key();
        let held = book::find(&self.inner.store, table).await?.filter(|row| row.recipe_key == key);
        if let Some(row) = held {
            let is_untouched = self.inner.lake.version(table).await? == Some(row.table_version);
            return if is_untouched {
                Ok(Some(row).filter(|_| recipe.spine.is_repeatable))
            } else if options.replace {
                Ok(None)
            } else {
                Err(error(StoredError::Taken { table: table.to_owned() }))
            };
        }
        // A crash between the table and its entry in the book: the table says whose it is.
        let properties = self.inner.lake.properties(table).await?;
        let is_ours = properties.get(KEY_PROPERTY).is_some_and(|held| *held == key.to_string());
        if is_ours || options.replace {
            Ok(None)
        } else {
            Err(error(StoredError::Taken { table: table.to_owned() }))
        }
    }

    /// Makes the training set of `recipe` in `table`.
    pub(crate) async fn build(
        &self,
        recipe: &Recipe,
        table: &str,
        options: StoreOptions,
        watched: &Watched<'_>,
    ) -> Result<StoredTrainingSet, FeaturesError> {
        if let Some(row) = self.check_place(recipe, table, options).await? {
            return Ok(stored(row, recipe, true, Vec::new()));
        }
        let described = || spans::of_training_set(&recipe.service, Some(table));
        within("training_set", described, self.make(recipe, table, true, None, watched)).await
    }

    /// Computes the training set and writes its table. `expected` is the digest that its content has to have.
    pub(crate) async fn make(
        &self,
        recipe: &Recipe,
        table: &str,
        uses_kept: bool,
        expected: Option<Digest>,
        work: &Watched<'_>,
    ) -> Result<StoredTrainingSet, FeaturesError> {
        let (batches, computed) = self.compute(recipe, table, uses_kept, work).await?;
        let seen = Seen::default();
        let (ended, progress) = tokio::sync::watch::channel(0_u64);
        let batches = watched_batches(batches, &seen, work, expected, ended)?;
        let key = recipe.key();
        let properties = BTreeMap::from([
            (RECIPE_PROPERTY.to_owned(), recipe.to_json()),
            (KEY_PROPERTY.to_owned(), key.to_string()),
        ]);
        let lake = self.inner.lake.clone();
        let writing = lake.write_table(table, batches, &properties, Existing::Replaced);
        let written = tell_while(writing, progress, &*work.report).await;
        let written = match written {
            Err(_) if work.cancelled.is_cancelled() => return Err(OfflineError::Cancelled.into()),
            Err(LakeError::Engine(failure)) => return Err(found(*failure)),
            other => other?,
        };
        let content = seen.content().ok_or(FeaturesError::Stopped { what: "the training set" })?;
        let row = TrainingSetRow {
            table: table.to_owned(),
            recipe_key: key,
            recipe: recipe.to_json(),
            rows: written.rows,
            table_version: written.table_version,
            content,
            created_at: self.inner.clock.now(),
        };
        book::record(&self.inner.store, &row).await?;
        Ok(stored(row, recipe, false, computed))
    }

    /// The rows of the training set, every view answered; and which views were computed for it.
    pub(crate) async fn compute(
        &self,
        recipe: &Recipe,
        table: &str,
        uses_kept: bool,
        work: &Watched<'_>,
    ) -> Result<(datafusion::execution::SendableRecordBatchStream, Vec<String>), FeaturesError> {
        (work.report)("reading the spine", 0, None);
        let request = self.request_of(recipe, table).await?;
        let shelf = self.shelf()?;
        let computed = std::sync::Mutex::new(Vec::new());
        let progress = |done: ViewDone<'_>| {
            (work.report)("answering the views", done.done, Some(done.total));
            if done.is_computed {
                computed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(done.view.to_owned());
            }
        };
        let keeping = Keeping { shelf: &shelf, uses_kept, progress: &progress };
        let settings = EngineSettings::default();
        let answering = training_set_over(&self.inner.lake, request, &settings, Some(keeping));
        let batches = tokio::select! {
            biased;
            () = work.cancelled.cancelled() => return Err(OfflineError::Cancelled.into()),
            batches = Box::pin(answering) => batches?,
        };
        let computed = computed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok((batches, computed))
    }

    fn shelf(&self) -> Result<Shelf, FeaturesError> {
        let folder = self.inner.kept_answers_folder();
        let limit_bytes = self.inner.limits.kept_answers_bytes;
        Ok(Shelf::open(&folder, limit_bytes, std::sync::Arc::clone(&self.inner.clock))?)
    }
}

fn watched_batches(
    batches: datafusion::execution::SendableRecordBatchStream,
    seen: &Seen,
    work: &Watched<'_>,
    expected: Option<Digest>,
    rows: tokio::sync::watch::Sender<u64>,
) -> Result<datafusion::execution::SendableRecordBatchStream, FeaturesError> {
    let report = move |written: u64| {
        rows.send_replace(written);
    };
    Ok(watched(batches, seen, work.cancelled.clone(), expected, report)?)
}

/// Runs `work` to its end and tells meanwhile how many rows have gone by.
async fn tell_while<T>(
    work: impl Future<Output = T>,
    mut rows: tokio::sync::watch::Receiver<u64>,
    report: &Report<'_>,
) -> T {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            outcome = &mut work => return outcome,
            changed = rows.changed() => {
                let written = *rows.borrow_and_update();
                report("writing rows", written, None);
                if changed.is_err() {
                    return work.await;
                }
            }
        }
    }
}

pub(super) fn stored(
    row: TrainingSetRow,
    recipe: &Recipe,
    reused: bool,
    computed: Vec<String>,
) -> StoredTrainingSet {
    if !reused {
        tracing::info!(table = row.table, rows = row.rows, ?computed, "training set kept");
    }
    StoredTrainingSet {
        table: row.table,
        rows: row.rows,
        table_version: row.table_version,
        service_hash: recipe.service_hash,
        recipe_key: row.recipe_key,
        content: row.content,
        reused,
        computed,
    }
}

/// The recipe of a row of the book.
pub(super) fn recipe_of(row: &TrainingSetRow) -> Result<Recipe, FeaturesError> {
    serde_json::from_str(&row.recipe).map_err(|failure| {
        tracing::error!(table = row.table, error = chain(&failure), "a recipe cannot be read");
        error(StoredError::Damaged { table: row.table.clone() })
    })
}
