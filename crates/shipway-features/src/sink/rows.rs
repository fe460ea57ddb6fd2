//! The rows of one sink, whatever they are of, and their way into a table.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Field, Schema, SchemaRef},
};
use shipway_core::{DataType, Failure, Name, Timestamp, Value, failure::chain};
use shipway_lake::AppendOptions;
use tokio::time::Instant;

use super::{book::Place, of_table::TableRows, of_view::ViewRows};
use crate::{
    error::FeaturesError,
    features::Inner,
    model::{columns, schema::arrow_type},
};

/// How often it is written down where a sink stands: after a crash it sends again what it has sent since.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Rows to be sent, in the order in which they are to be.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkRun {
    /// The columns of every row. The same allocation for as long as they stay the same.
    pub columns: Arc<[(String, DataType)]>,
    /// Positions of the columns that a row is known by; empty where rows are known by nothing.
    pub key: Arc<[usize]>,
    /// The values of each row. Of a view each key is there once at most.
    pub rows: Vec<Vec<Value>>,
    /// Rows that should be here and cannot be given.
    pub left_out: Option<LeftOut>,
    /// When the oldest event behind them was taken in; none where they come of no event.
    pub oldest: Option<Timestamp>,
}

/// Rows that could not be given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub rows: u64,
    /// The code of the last one's fault.
    pub code: &'static str,
    /// Why not, of the last one.
    pub reason: String,
}

impl LeftOut {
    pub(super) fn note(into: &mut Option<Self>, error: &FeaturesError) {
        let rows = into.as_ref().map_or(0, |left_out| left_out.rows) + 1;
        *into = Some(Self { rows, code: error.code(), reason: chain(error) });
    }
}

impl SinkRun {
    pub(super) fn of(columns: &Arc<[(String, DataType)]>, key: &Arc<[usize]>, rows: Vec<Vec<Value>>) -> Self {
        Self { columns: Arc::clone(columns), key: Arc::clone(key), rows, left_out: None, oldest: None }
    }
}

pub(super) enum Origin {
    View(Box<ViewRows>),
    Table(Box<TableRows>),
}

impl Origin {
    async fn next(&mut self) -> Result<SinkRun, FeaturesError> {
        match self {
            Self::View(rows) => rows.next().await,
            Self::Table(rows) => rows.next().await,
        }
    }

    fn sent(&mut self) {
        match self {
            Self::View(rows) => rows.sent(),
            Self::Table(rows) => rows.sent(),
        }
    }

    /// The offset in the log of a source behind what was given out last.
    fn pending_offset(&self) -> Option<u64> {
        match self {
            Self::View(rows) => rows.pending_offset(),
            Self::Table(_) => None,
        }
    }
}

/// A table that a sink fills. Its transactions say how far the sink has come, so that each run is in it once.
pub(super) struct Filled {
    pub(super) table: String,
    /// The Delta application.
    pub(super) application: String,
    /// The columns that the table is known to have.
    pub(super) columns: Option<Arc<[(String, DataType)]>>,
}

/// The rows of one sink from where it stands: given out run by run, the next one when the last one is sent.
pub struct SinkRows {
    pub(super) inner: Arc<Inner>,
    pub(super) sink: Name,
    pub(super) origin: Origin,
    pub(super) filled: Option<Filled>,
    pub(super) noted: Noted,
}

/// How far it is written down where a sink stands.
pub(super) struct Noted {
    place: Option<Place>,
    /// When it is looked at again.
    due: Instant,
}

impl Default for Noted {
    fn default() -> Self {
        Self { place: None, due: Instant::now() + NOTE_EVERY }
    }
}

impl Noted {
    /// Writes it down if it is time.
    async fn when_due(&mut self, inner: &Inner, sink: &Name) -> Result<(), FeaturesError> {
        if Instant::now() < self.due {
            return Ok(());
        }
        self.due = Instant::now() + NOTE_EVERY;
        self.now(inner, sink).await
    }

    async fn now(&mut self, inner: &Inner, sink: &Name) -> Result<(), FeaturesError> {
        let place = inner.sinks.place(sink);
        if place != self.place {
            inner.sinks.note(&inner.store, sink, inner.clock.now()).await?;
            self.place = place;
        }
        Ok(())
    }
}

impl SinkRows {
    /// The next run; waits until there is one. Called again after an error it begins with the same rows, as they are then. Whoever does not
    /// wait for its answer opens the sink anew.
    pub async fn next(&mut self) -> Result<SinkRun, FeaturesError> {
        let Self { inner, sink, origin, noted, .. } = self;
        // Runs may follow each other without a pause.
        noted.when_due(inner, sink).await?;
        let next = origin.next();
        tokio::pin!(next);
        loop {
            tokio::select! {
                run = &mut next => return run,
                () = tokio::time::sleep_until(noted.due) => noted.when_due(inner, sink).await?,
            }
        }
    }

    /// The last run is sent. That is written down within a second.
    pub fn sent(&mut self) {
        self.origin.sent();
    }

    /// Puts the last run into the table of the sink, together with where the sink stands then: exactly once, whatever happens in
    /// between. A run that comes again after a failure is in it already, or is added now.
    pub async fn append(&mut self, run: &SinkRun) -> Result<(), FeaturesError> {
        if let (Some(filled), Some(offset), false) =
            (&mut self.filled, self.origin.pending_offset(), run.rows.is_empty())
        {
            let lake = &self.inner.lake;
            let schema = schema_of(&run.columns);
            if filled.columns.as_ref().is_none_or(|known| *known != run.columns) {
                lake.ensure_table(&filled.table, Arc::clone(&schema)).await?;
                filled.columns = Some(Arc::clone(&run.columns));
            }
            let once = AppendOptions::once(filled.application.clone(), offset.cast_signed());
            lake.append_batches(&filled.table, vec![batch(run, schema)?], once).await?;
        }
        self.sent();
        Ok(())
    }

    /// Writes down where the sink stands.
    pub async fn close(mut self) -> Result<(), FeaturesError> {
        self.noted.now(&self.inner, &self.sink).await
    }
}

fn schema_of(columns: &[(String, DataType)]) -> SchemaRef {
    let field = |(name, data_type): &(String, DataType)| Field::new(name, arrow_type(*data_type), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

fn batch(run: &SinkRun, schema: SchemaRef) -> Result<RecordBatch, FeaturesError> {
    let arrays = run.columns.iter().enumerate().map(|(place, (_, data_type))| -> ArrayRef {
        columns::array(*data_type, run.rows.iter().map(|row| row.get(place).unwrap_or(&Value::Null)))
    });
    Ok(RecordBatch::try_new(schema, arrays.collect())?)
}
