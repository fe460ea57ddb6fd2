//! The rows that a table gains, version by version, each version's files in the order of its log.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt as _;
use shipway_core::{Name, Value};
use shipway_lake::{AddedPart, Identity};

use super::{book::Place, columns::TableColumns, rows::SinkRun};
use crate::{error::FeaturesError, features::Inner, materialise::off_the_executor};

/// So many rows are given out at a time.
const ROWS_PER_RUN: usize = 1_000;

/// The rows of one table for one sink.
pub(super) struct TableRows {
    inner: Arc<Inner>,
    sink: Name,
    table: String,
    /// The columns that a row is known by.
    key: Vec<String>,
    /// How often the table is looked at.
    every: Duration,
    /// The parts of the version that is read.
    listed: Option<(u64, Vec<AddedPart>)>,
    /// The part that is read.
    part: Option<OpenPart>,
    columns: Option<(SchemaRef, Arc<TableColumns>)>,
}

struct OpenPart {
    columns: Arc<TableColumns>,
    batches: SendableRecordBatchStream,
    /// Rows that were read and not given out.
    rows: VecDeque<Vec<Value>>,
}

impl OpenPart {
    /// The next rows; none at the end.
    async fn next(&mut self, inner: &Inner) -> Result<Option<SinkRun>, FeaturesError> {
        while self.rows.is_empty() {
            let Some(batch) = self.batches.try_next().await? else { return Ok(None) };
            let columns = Arc::clone(&self.columns);
            self.rows = off_the_executor(inner, move || columns.rows(&batch)).await?.into();
        }
        let rows = self.rows.drain(..self.rows.len().min(ROWS_PER_RUN)).collect();
        Ok(Some(SinkRun::of(&self.columns.columns, &self.columns.key, rows)))
    }
}

impl TableRows {
    pub(super) fn open(
        inner: Arc<Inner>,
        sink: Name,
        (table, key): (String, Vec<String>),
        every: Duration,
    ) -> Self {
        Self { inner, sink, table, key, every, listed: None, part: None, columns: None }
    }

    /// The next rows; waits until there are some.
    pub(super) async fn next(&mut self) -> Result<SinkRun, FeaturesError> {
        loop {
            if let Some(part) = &mut self.part {
                if let Some(run) = part.next(&self.inner).await? {
                    return Ok(run);
                }
                // What was given out is sent: this is asked for the next run only then.
                self.part = None;
                self.moved(|_, _, parts| *parts += 1);
            }
            self.look().await?;
        }
    }

    /// A part is passed when its last row is sent.
    pub(super) fn sent(&mut self) {}

    /// Opens the next part, moves beyond a version, or waits.
    async fn look(&mut self) -> Result<(), FeaturesError> {
        let (id, version, done) = self.place()?;
        let Some(identity) = self.inner.lake.identity(&self.table).await? else {
            let what = format!("table {}, which does not exist yet", self.table);
            self.inner.sinks.waits_for(&self.sink, Some(what));
            tokio::time::sleep(self.every).await;
            return Ok(());
        };
        self.inner.sinks.waits_for(&self.sink, None);
        let Identity { id: present, version: newest } = identity;
        if id.as_ref() != Some(&present) {
            // One that was made since, or in the place of another, is sent from its beginning.
            self.listed = None;
            self.moved(|id, version, parts| (*id, *version, *parts) = (Some(present), 0, 0));
            return Ok(());
        }
        self.inner.sinks.saw_versions(&self.sink, newest + 1);
        if version > newest {
            tokio::time::sleep(self.every).await;
            return Ok(());
        }
        let listed = match self.listed.take().filter(|(listed, _)| *listed == version) {
            Some((_, parts)) => Some(parts),
            None => self.inner.lake.added_by(&self.table, version).await?,
        };
        let Some(parts) = listed else { return self.pass_over(version).await };
        match parts.get(done) {
            None => self.moved(|_, version, parts| (*version, *parts) = (*version + 1, 0)),
            Some(part) if part.is_there() => {
                self.part = Some(self.open_part(part).await?);
                self.listed = Some((version, parts));
            }
            Some(_) => {
                self.skipped(1);
                self.moved(|_, _, parts| *parts += 1);
                self.listed = Some((version, parts));
            }
        }
        Ok(())
    }

    async fn open_part(&mut self, part: &AddedPart) -> Result<OpenPart, FeaturesError> {
        let batches = self.inner.lake.read_added(&self.table, part).await?;
        let schema = batches.schema();
        let columns = match self.columns.take().filter(|(held, _)| *held == schema) {
            Some((_, columns)) => columns,
            None => Arc::new(TableColumns::new(&self.table, &schema, &self.key)?),
        };
        self.columns = Some((schema, Arc::clone(&columns)));
        Ok(OpenPart { columns, batches, rows: VecDeque::new() })
    }

    /// The log of the table no longer says what `version` added: goes on with the oldest one that it tells of.
    async fn pass_over(&mut self, version: u64) -> Result<(), FeaturesError> {
        let oldest = self.inner.lake.oldest_entry(&self.table)?.unwrap_or(0).max(version + 1);
        self.skipped(oldest - version);
        self.moved(|_, version, parts| (*version, *parts) = (oldest, 0));
        self.inner.sinks.note(&self.inner.store, &self.sink, self.inner.clock.now()).await
    }

    fn skipped(&self, versions: u64) {
        self.inner.sinks.skipped(&self.sink, versions, self.inner.clock.now());
        tracing::error!(
            sink = %self.sink,
            table = self.table,
            versions,
            "a sink was held up for so long that the table no longer has what it had not read"
        );
    }

    fn place(&self) -> Result<(Option<String>, u64, usize), FeaturesError> {
        match self.inner.sinks.place(&self.sink) {
            Some(Place::Table { table, id, version, parts }) if table == self.table => {
                Ok((id, version, parts))
            }
            _ => Err(FeaturesError::Stopped { what: "this reader of the sink" }),
        }
    }

    fn moved(&self, change: impl FnOnce(&mut Option<String>, &mut u64, &mut usize)) {
        self.inner.sinks.moved(&self.sink, |place| {
            if let Place::Table { id, version, parts, .. } = place {
                change(id, version, parts);
            }
        });
    }
}
