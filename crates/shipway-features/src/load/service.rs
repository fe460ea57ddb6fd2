//! The way of a file: spool, screen, append, mark, and wait until it is visible.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{Stream, StreamExt as _, TryFutureExt as _};
use serde::Serialize;
use shipway_lake::{
    AppendOptions, check_table_name,
    files::{FileFormat, ReadOptions, open_stream_with},
};

use crate::{
    error::{FeaturesError, invalid},
    features::{Features, Inner},
    ingest::dedupe::Ticket,
    load::{
        finish::{self, LOAD_TRANSACTION, application},
        screen::Screen,
        spool::{Spooled, spool},
    },
    model::token::Token,
    source::SourceRuntime,
    store::{
        loads::{self, LoadRow, LoadState},
        schemas,
    },
};

const LONGEST_LOAD_ID: usize = 128;

/// A file to load.
#[derive(Debug, Clone)]
pub struct LoadRequest {
    /// The table; a source's table takes only rows that fit the source.
    pub table: String,
    /// The format of the file.
    pub format: FileFormat,
    /// Names the load; the same id again changes nothing. Without one it is the digest of the file.
    pub load_id: Option<String>,
    /// Whether to wait until readers see the rows.
    pub wait: bool,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoadAnswer {
    /// The table.
    pub table: String,
    /// The id under which it will not be loaded again.
    pub load_id: String,
    /// Rows that this load put into the table.
    pub rows: u64,
    /// Rows left out because their event id was there before.
    pub duplicates: u64,
    /// Whether an earlier request had loaded it, so that this one changed nothing.
    pub already_loaded: bool,
    /// The version of the Delta table that holds the rows.
    pub table_version: u64,
    /// Whether online reads see the rows. Always for a plain table.
    pub visible: bool,
    /// Give it to a read that must see the rows; only for sources.
    pub token: Option<String>,
}

impl Features {
    /// Loads a file into a table, at most once under its load id. Returns when the rows are durable and, with `wait`, visible;
    /// waiting is bounded, and `visible` says how it ended.
    ///
    /// Any row that does not fit refuses the whole file.
    pub async fn load<E: std::fmt::Display>(
        &self,
        request: LoadRequest,
        body: impl Stream<Item = Result<Bytes, E>> + Send + Unpin,
    ) -> Result<LoadAnswer, FeaturesError> {
        check_table_name(&request.table)?;
        if request.table.contains("__") {
            return Err(invalid(format!("table {}: names with __ belong to the server", request.table)));
        }
        if let Some(id) = &request.load_id {
            check_load_id(id)?;
        }
        let spooled = spool(&self.inner.spool_folder(), self.inner.limits.load_bytes, body).await?;
        let inner = Arc::clone(&self.inner);
        let wait = request.wait;
        let work = self.inner.tracker.spawn(async move { inner.load(request, spooled).await });
        let (mut answer, marker) = work.await.map_err(|_| FeaturesError::Stopped { what: "the load" })??;
        if let (true, Some((runtime, offset))) = (wait, marker) {
            let limit = self.inner.limits.load_wait;
            answer.visible = runtime.wait_visible(offset + 1, limit).await.is_ok();
        }
        Ok(answer)
    }
}

fn check_load_id(id: &str) -> Result<(), FeaturesError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    if !id.is_empty() && id.len() <= LONGEST_LOAD_ID && id.bytes().all(fits) {
        return Ok(());
    }
    Err(invalid(format!("load id: expected 1 to {LONGEST_LOAD_ID} of letters, digits, _, -, . and :")))
}

type Marker = Option<(Arc<SourceRuntime>, u64)>;

impl Inner {
    async fn load(
        self: Arc<Self>,
        request: LoadRequest,
        spooled: Spooled,
    ) -> Result<(LoadAnswer, Marker), FeaturesError> {
        let load_id = request.load_id.clone().unwrap_or_else(|| spooled.digest.hex());
        match self.source_to_load(&request.table).await? {
            Some(runtime) => {
                let _one_at_a_time = runtime.loading.lock().await;
                let options = ReadOptions {
                    schema: matches!(request.format, FileFormat::Csv | FileFormat::JsonLines)
                        .then(|| runtime.shape().schema.declared()),
                    refuse_undeclared: true,
                    ..ReadOptions::default()
                };
                let file =
                    open_stream_with(&spooled.path, request.format, options).map_err(FeaturesError::from);
                let (load, is_old) = self.load_source(&runtime, load_id, file).await?;
                let marker = load.marker_offset.map(|offset| (Arc::clone(&runtime), offset));
                let visible = marker.as_ref().is_some_and(|(_, offset)| {
                    runtime.published().is_some_and(|published| published.applied > *offset)
                });
                let token = load.marker_offset.map(|offset| Token::new(&load.table, offset + 1).to_string());
                Ok((answer(load, is_old, visible, token), marker))
            }
            None => {
                let _one_at_a_time = self.loading_tables.lock().await;
                let (load, is_old) = self.load_plain(&request, load_id, &spooled).await?;
                Ok((answer(load, is_old, true, None), None))
            }
        }
    }

    /// The source whose history the table is; `None` for a plain table. The history of a source that was dropped is neither.
    async fn source_to_load(&self, table: &str) -> Result<Option<Arc<SourceRuntime>>, FeaturesError> {
        match self.source_to_fill(table) {
            Ok(runtime) if runtime.shape().schema.corrections.is_some() => {
                Err(FeaturesError::Corrected { source_name: table.to_owned() })
            }
            Ok(runtime) => Ok(Some(runtime)),
            Err(selected @ FeaturesError::Selected { .. }) => Err(selected),
            Err(unknown) if !schemas::of_source(&self.store, table).await?.is_empty() => Err(unknown),
            Err(_) => Ok(None),
        }
    }

    /// Loads `rows` into a source, at most once under the load id; and says whether they were there before. They are asked for
    /// only when they are needed. The caller holds the turn of the source's loads.
    pub(crate) async fn load_source(
        self: &Arc<Self>,
        runtime: &Arc<SourceRuntime>,
        load_id: String,
        rows: impl Future<Output = Result<SendableRecordBatchStream, FeaturesError>>,
    ) -> Result<(LoadRow, bool), FeaturesError> {
        let table = runtime.name.as_str();
        let application = application(&load_id);
        if let Some(load) = loads::find(&self.store, table, &load_id).await? {
            if load.state == LoadState::Marked {
                return Ok((load, true));
            }
            if self.lake.transaction_version(table, &application).await?.is_some() {
                return Ok((finish::finish(self, runtime, load).await?, true));
            }
        }
        // Claims of an attempt that wrote nothing end here; this attempt makes its own.
        drop(runtime.take_stranded(&load_id));
        let mut load = started(table, load_id);
        loads::record(&self.store, &load, self.clock.now()).await?;
        let schema = runtime.shape().schema.history();
        self.lake.ensure_table(table, schema.clone()).await?;
        let rows = match rows.await {
            Ok(rows) => rows,
            Err(error) => {
                loads::forget(&self.store, table, &load.load_id).await?;
                return Err(error);
            }
        };
        let screen = Arc::new(Screen::new(Arc::clone(self), Arc::clone(runtime), load.load_id.clone()));
        let refusal = Arc::new(Mutex::new(None));
        let screened =
            RecordBatchStreamAdapter::new(schema, screened(rows, Arc::clone(&screen), Arc::clone(&refusal)));
        let options = AppendOptions::once(application.clone(), LOAD_TRANSACTION);
        let appended = self.lake.append(table, Box::pin(screened), options).await;
        let (ticket, skipped) = screen.finish();
        load.skipped = skipped;
        match appended {
            Ok(appended) => load.table_version = appended.table_version,
            Err(error) => {
                self.settle_failure(runtime, &load, &application, ticket).await?;
                let refusal = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Err(refusal.unwrap_or_else(|| error.into()));
            }
        }
        load.state = LoadState::Written;
        // From here on the rows are in the table: whatever fails, their ids stay taken until the marker is in the log.
        runtime.strand(&load.load_id, ticket);
        loads::record(&self.store, &load, self.clock.now()).await?;
        Ok((finish::finish(self, runtime, load).await?, false))
    }

    /// After a failed append: nothing was written as a rule; where that is not certain the ids stay taken.
    async fn settle_failure(
        &self,
        runtime: &SourceRuntime,
        load: &LoadRow,
        application: &str,
        ticket: Option<Ticket>,
    ) -> Result<(), FeaturesError> {
        match self.lake.transaction_version(&load.table, application).await {
            Ok(None) => Ok(loads::forget(&self.store, &load.table, &load.load_id).await?),
            Ok(Some(_)) | Err(_) => {
                runtime.strand(&load.load_id, ticket);
                Ok(())
            }
        }
    }

    async fn load_plain(
        &self,
        request: &LoadRequest,
        load_id: String,
        spooled: &Spooled,
    ) -> Result<(LoadRow, bool), FeaturesError> {
        let table = request.table.as_str();
        if let Some(load) = loads::find(&self.store, table, &load_id).await?
            && load.state != LoadState::Started
        {
            return Ok((load, true));
        }
        let mut load = started(table, load_id);
        let known = if self.lake.exists(table).await? { Some(self.lake.schema(table).await?) } else { None };
        let options = ReadOptions { schema: known, refuse_undeclared: true, ..ReadOptions::default() };
        let file = open_stream_with(&spooled.path, request.format, options).await?;
        self.lake.ensure_table(table, file.schema()).await?;
        loads::record(&self.store, &load, self.clock.now()).await?;
        let options = AppendOptions::once(application(&load.load_id), LOAD_TRANSACTION);
        let appended = self.lake.append(table, file, options).await?;
        load.state = LoadState::Written;
        load.rows = appended.rows;
        load.table_version = appended.table_version;
        loads::record(&self.store, &load, self.clock.now()).await?;
        Ok((load, appended.skipped))
    }
}

/// The rows of `file` as rows of history. The first refusal ends the stream and is kept in `refusal`.
fn screened(
    file: SendableRecordBatchStream,
    screen: Arc<Screen>,
    refusal: Arc<Mutex<Option<FeaturesError>>>,
) -> impl Stream<Item = Result<arrow::array::RecordBatch, DataFusionError>> + Send {
    file.then(move |rows| {
        let (screen, refusal) = (Arc::clone(&screen), Arc::clone(&refusal));
        async move {
            match screen.screen(rows?).await {
                Ok(history) => Ok(history),
                Err(error) => {
                    let words = error.to_string();
                    *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                    Err(DataFusionError::External(words.into()))
                }
            }
        }
    })
}

fn started(table: &str, load_id: String) -> LoadRow {
    LoadRow {
        table: table.to_owned(),
        load_id,
        state: LoadState::Started,
        rows: 0,
        skipped: 0,
        newest: None,
        table_version: 0,
        marker_offset: None,
    }
}

fn answer(load: LoadRow, already_loaded: bool, visible: bool, token: Option<String>) -> LoadAnswer {
    LoadAnswer {
        table: load.table,
        load_id: load.load_id,
        rows: load.rows,
        duplicates: load.skipped,
        already_loaded,
        table_version: load.table_version,
        visible,
        token,
    }
}
