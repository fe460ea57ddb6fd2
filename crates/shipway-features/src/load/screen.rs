//! Rows of a file to rows of a source's history: checked like live events, without those whose id is taken.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::{
    array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, new_null_array},
    compute::filter_record_batch,
};
use shipway_core::{DataType, Timestamp, Value, nearest};
use tokio::sync::watch;

use crate::{
    error::{FeaturesError, invalid},
    features::Inner,
    ingest::dedupe::{Claim, IdDigest, Outcome, Ticket, ended},
    ingest::event_id,
    materialise::seen,
    model::{
        columns::{ColumnReader, array},
        event::is_computable,
        schema::arrow_type,
    },
    source::{SourceRuntime, SourceShape},
};

/// What the rows of one load have in common, and what was found out about them.
pub(crate) struct Screen {
    inner: Arc<Inner>,
    runtime: Arc<SourceRuntime>,
    shape: Arc<SourceShape>,
    load_id: String,
    received: Timestamp,
    tally: Mutex<Tally>,
}

/// A row whose id another append holds, and how to learn how that append ends.
type InFlight = (usize, watch::Receiver<Option<Outcome>>);

/// What was found out about the rows so far.
struct Tally {
    ticket: Option<Ticket>,
    rows: u64,
    skipped: u64,
}

impl Screen {
    pub(crate) fn new(inner: Arc<Inner>, runtime: Arc<SourceRuntime>, load_id: String) -> Self {
        let received = inner.clock.now();
        let tally = Mutex::new(Tally { ticket: Some(runtime.dedupe.ticket()), rows: 0, skipped: 0 });
        Self { shape: runtime.shape(), inner, runtime, load_id, received, tally }
    }

    /// The claims of this load, and how many rows were skipped.
    pub(crate) fn finish(&self) -> (Option<Ticket>, u64) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        (tally.ticket.take(), tally.skipped)
    }

    /// The rows of history that `rows` are.
    pub(crate) async fn screen(&self, rows: RecordBatch) -> Result<RecordBatch, FeaturesError> {
        let schema = &self.shape.schema;
        if let Some(stranger) =
            rows.schema().fields().iter().find(|field| schema.index_of(field.name()).is_none())
        {
            let near = nearest(stranger.name(), schema.columns.iter().map(|(name, _)| name.as_str()));
            let near = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            return Err(invalid(format!(
                "column {} is not declared in source {}{near}",
                stranger.name(),
                schema.name
            )));
        }
        let first = self.first_row(rows.num_rows());
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.columns.len() + 4);
        let mut readers = Vec::with_capacity(schema.columns.len());
        for (name, data_type) in &schema.columns {
            let nothing = || array(*data_type, std::iter::repeat_n(&Value::Null, rows.num_rows()));
            let held = rows.column_by_name(name.as_str()).cloned().unwrap_or_else(nothing);
            let reader = ColumnReader::new(name.as_str(), &held, *data_type)?;
            columns.push(Arc::clone(reader.array()));
            readers.push(reader);
        }
        self.check_times(&readers[schema.time_index], rows.num_rows(), first)?;
        let ids = self.ids(&readers, rows.num_rows(), first)?;
        let kept = self.claim(&ids).await?;
        columns.push(Arc::new(StringArray::from_iter_values(ids.iter().map(AsRef::as_ref))));
        columns.push(Arc::new(Int64Array::new_null(rows.num_rows())));
        let load_ids = std::iter::repeat_n(self.load_id.as_str(), rows.num_rows());
        columns.push(Arc::new(StringArray::from_iter_values(load_ids)));
        // A load arrives with its marker, whose moment is known only when all its rows are written.
        columns.push(new_null_array(&arrow_type(DataType::Timestamp), rows.num_rows()));
        let history = RecordBatch::try_new(schema.history(), columns)?;
        Ok(if kept.true_count() == kept.len() { history } else { filter_record_batch(&history, &kept)? })
    }

    /// The number of the first row of a batch, counted from 1 over the whole file.
    fn first_row(&self, rows: usize) -> u64 {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        let first = tally.rows + 1;
        tally.rows += rows as u64;
        first
    }

    fn check_times(&self, times: &ColumnReader, rows: usize, first: u64) -> Result<(), FeaturesError> {
        let (name, _) = &self.shape.schema.columns[self.shape.schema.time_index];
        let latest = self.received.micros().saturating_add(self.shape.schema.max_ahead_us);
        for row in 0..rows {
            let why = match times.value(row) {
                Value::Timestamp(time) if !is_computable(time) => "is outside the years 1 to 9999",
                Value::Timestamp(time) if time.micros() > latest => {
                    "is further in the future than max_ahead allows"
                }
                Value::Timestamp(_) => continue,
                _ => "is missing",
            };
            return Err(invalid(format!("row {}: column {name}: the event time {why}", first + row as u64)));
        }
        Ok(())
    }

    fn ids(&self, readers: &[ColumnReader], rows: usize, first: u64) -> Result<Vec<Arc<str>>, FeaturesError> {
        let schema = &self.shape.schema;
        let id = |row: usize| match schema.id_index {
            // Without an id of its own a row is identified by its place in the load.
            None => Ok(Arc::from(format!("{}-{}", self.load_id, first + row as u64))),
            Some(at) => event_id(&readers[at].value(row)).map_err(|why| {
                invalid(format!("row {}: column {}: {why}", first + row as u64, schema.columns[at].0))
            }),
        };
        (0..rows).map(id).collect()
    }

    /// Which rows are new: claims their ids, and waits for live events that hold one.
    async fn claim(&self, ids: &[Arc<str>]) -> Result<BooleanArray, FeaturesError> {
        let mut kept = vec![true; ids.len()];
        if self.shape.schema.id_index.is_none() {
            return Ok(kept.into());
        }
        let mut open: Vec<usize> = (0..ids.len()).collect();
        while !open.is_empty() {
            let mut again = Vec::new();
            for (row, outcome) in self.claim_now(ids, &open, &mut kept)? {
                let outcome: Outcome = ended(outcome).await;
                match outcome {
                    Some(_) => self.skip(row, &mut kept),
                    None => again.push(row),
                }
            }
            open = again;
        }
        Ok(kept.into())
    }

    fn claim_now(
        &self,
        ids: &[Arc<str>],
        rows: &[usize],
        kept: &mut [bool],
    ) -> Result<Vec<InFlight>, FeaturesError> {
        let mut in_flight = Vec::new();
        for &row in rows {
            let id = &ids[row];
            let schema = &self.shape.schema;
            let seen = || seen::end_of(&self.inner.online, &self.runtime.name, id, self.received, schema);
            let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(ticket) = tally.ticket.as_mut() else {
                return Err(FeaturesError::Stopped { what: "the load" });
            };
            match ticket.claim(IdDigest::of(id), seen)? {
                Claim::Ours => {}
                Claim::Repeated | Claim::Durable(_) => {
                    kept[row] = false;
                    tally.skipped += 1;
                }
                Claim::InFlight(outcome) => in_flight.push((row, outcome)),
            }
        }
        Ok(in_flight)
    }

    fn skip(&self, row: usize, kept: &mut [bool]) {
        kept[row] = false;
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).skipped += 1;
    }
}
