//! Events of chained views: history with the columns that other views give each of its events.
//!
//! An event's further columns are facts about the event: what each inner view said about the event's own key, of the events
//! before the event's own time, out of those that had arrived when the event did. So the events become rows of a spine, each
//! with its own moment and its own arrival as its watermark, and the inner views are asked like any other view. An inner view
//! may be chained itself: then its events are made in the same way first.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch},
    datatypes::{DataType as ArrowType, Field, Schema, SchemaRef},
};
use datafusion::{
    catalog::streaming::StreamingTable,
    dataframe::DataFrame,
    error::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::{FutureExt, Stream, StreamExt, TryStreamExt, future::BoxFuture, stream};
use shipway_core::{DataType, Name, Timestamp, Value};
use shipway_lake::Lake;

use super::{
    EngineSettings, OfflineError,
    canonical::arrow_type,
    column::{Column, ColumnBuilder},
    corrected,
    event_rows::{EVENTS, EventRows, SEEN_COLUMN},
    events::{ArrivalClock, ArrivalRule},
    kept::Kept,
    spine::{Spine, SpineLayout},
    training_set::{Asked, Engine},
    view_plan::ViewPlan,
    zip::{Answers, zip},
};

impl Engine<'_> {
    /// The history that the events of `view` come from, with all columns that they have. `times` are those of the rows that
    /// ask.
    pub(super) async fn history(
        &self,
        view: &ViewPlan,
        arrival: &ArrivalRule,
        times: (i64, i64),
    ) -> Result<DataFrame, OfflineError> {
        let name = view.source.as_str();
        let history = match self.versions.get(name) {
            Some(version) => self.lake.scan_at(name, *version).await?,
            None => self.lake.scan(name).await?,
        };
        if view.is_corrected {
            return corrected::counting(history, arrival);
        }
        if view.enrich.is_empty() {
            return Ok(history);
        }
        let highest = match arrival.carried {
            Some(ArrivalClock::Offset) => arrival.highest,
            Some(ArrivalClock::Received(_)) | None => u64::MAX,
        };
        let rows = EventRows {
            source: &view.source,
            time: &view.event_time,
            columns: view.source_columns(),
            loads: &arrival.loads,
            before: arrival.before.unwrap_or(u64::MAX).min(highest),
        };
        let wanted = view.wanted(times, history.schema().as_arrow());
        let rows = rows.keep(self, history.filter(wanted)?).await?;
        let rows = self.widened(rows, &view.enrich, &arrival.loads).await?;
        table_of(self.lake, rows)
    }

    /// `rows`, which are events, with the outputs of the views in `with` as further columns.
    fn widened<'s>(
        &'s self,
        rows: Arc<Spine>,
        with: &'s [Arc<ViewPlan>],
        loads: &'s BTreeMap<String, u64>,
    ) -> BoxFuture<'s, Result<Arc<Spine>, OfflineError>> {
        async move {
            let Some(first) = with.first() else { return Ok(rows) };
            let mut answers = Vec::with_capacity(with.len());
            for inner in with {
                answers.push((inner, self.inner_answers(&rows, inner, loads).await?));
            }
            let streams =
                answers.iter().map(|(inner, kept)| Ok(Answers::new(Arc::clone(inner), kept.stream()?)));
            let streams = streams.collect::<Result<Vec<_>, OfflineError>>()?;
            let outputs = with.iter().flat_map(|inner| &inner.outputs);
            let outputs = outputs.map(|(column, data_type)| (column.as_str(), *data_type));
            let schema = extended(&rows.layout.schema, outputs);
            let wide = zip(Arc::clone(&schema), rows.stream()?, streams).map_err(OfflineError::from);
            self.keep_events(wide, &schema, first).await
        }
        .boxed()
    }

    /// `rows` with the columns that `inner` derives, if keys are among them.
    async fn with_derived_keys(
        &self,
        rows: Arc<Spine>,
        inner: &Arc<ViewPlan>,
    ) -> Result<Arc<Spine>, OfflineError> {
        let Some(expressions) = inner.expressions.as_ref().filter(|_| inner.has_derived_key()) else {
            return Ok(rows);
        };
        let schema = extended(&rows.layout.schema, expressions.derived());
        let batches = rows.stream()?.map_err(OfflineError::from);
        let derived = batches.map(|batch| {
            let batch = batch?;
            let columns = batch.columns().iter().cloned().chain(expressions.derive_all(&batch)?);
            Ok(RecordBatch::try_new(Arc::clone(&schema), columns.collect())?)
        });
        self.keep_events(derived, &schema, inner).await
    }

    /// Keeps `rows`, events of the source of `view`.
    async fn keep_events(
        &self,
        rows: impl Stream<Item = Result<RecordBatch, OfflineError>> + Unpin,
        schema: &SchemaRef,
        view: &ViewPlan,
    ) -> Result<Arc<Spine>, OfflineError> {
        let (source, time) = (view.source.as_str(), view.event_time.as_str());
        let layout = SpineLayout::of_events(Arc::clone(schema), source, time, SEEN_COLUMN)?;
        Ok(Arc::new(Spine::keep(rows, layout, EVENTS, &self.context, self.settings).await?))
    }

    /// What `inner` says to each of `rows`, in their order.
    async fn inner_answers(
        &self,
        rows: &Arc<Spine>,
        inner: &Arc<ViewPlan>,
        loads: &BTreeMap<String, u64>,
    ) -> Result<Kept, OfflineError> {
        let by_key = inner.key_enrichment();
        let rows = self.widened(Arc::clone(rows), &by_key, loads).await?;
        let rows = self.with_derived_keys(rows, inner).await?;
        let carried = Some(ArrivalClock::Offset);
        let rule = ArrivalRule { loads: loads.clone(), carried, ..ArrivalRule::default() };
        self.answers(&Asked::new(Arc::clone(inner), rule, &rows)).await
    }
}

fn extended<'a>(schema: &SchemaRef, by: impl Iterator<Item = (&'a str, DataType)>) -> SchemaRef {
    let held = schema.fields().iter().cloned();
    let fields = by.map(|(column, data_type)| Arc::new(Field::new(column, arrow_type(data_type), true)));
    Arc::new(Schema::new(held.chain(fields).collect::<Vec<_>>()))
}

/// Kept events as a table, read as often as it is asked for.
#[derive(Debug)]
struct KeptEvents(Arc<Spine>);

impl PartitionStream for KeptEvents {
    fn schema(&self) -> &SchemaRef {
        &self.0.layout.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.0.stream().unwrap_or_else(|error| {
            let failed = stream::iter([Err(OfflineError::into(error))]);
            Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.0.layout.schema), failed))
        })
    }
}

fn table_of(lake: &Lake, rows: Arc<Spine>) -> Result<DataFrame, OfflineError> {
    let schema = Arc::clone(&rows.layout.schema);
    let table = StreamingTable::try_new(schema, vec![Arc::new(KeptEvents(rows))])?;
    Ok(lake.session().read_table(Arc::new(table))?)
}

/// Computes from history what events carry for chained views, for those who build and keep states.
pub(crate) struct Enricher<'a> {
    engine: Engine<'a>,
    /// The log offset at which each bulk load of the source arrived.
    loads: BTreeMap<String, u64>,
}

/// An event whose further columns are wanted.
pub(crate) struct AskingEvent<'a> {
    pub(crate) time_us: i64,
    pub(crate) arrival: u64,
    /// The parts of the key by which the inner view is asked.
    pub(crate) key: Vec<&'a Value>,
}

impl<'a> Enricher<'a> {
    pub(crate) fn new(lake: &'a Lake, settings: &'a EngineSettings, loads: BTreeMap<String, u64>) -> Self {
        Self { engine: Engine::new(lake, settings, BTreeMap::new()), loads }
    }

    /// The events of `history` that have arrived, with the columns of their source and the outputs of the views in `with`;
    /// read once and kept, in memory or on disk.
    pub(crate) async fn rows(
        &self,
        (source, time): (&Name, &Name),
        columns: BTreeMap<Name, DataType>,
        history: DataFrame,
        with: &[Arc<ViewPlan>],
    ) -> Result<Enriched, OfflineError> {
        let rows = EventRows { source, time, columns, loads: &self.loads, before: u64::MAX };
        let rows = rows.keep(&self.engine, history).await?;
        Ok(Enriched(self.engine.widened(rows, with, &self.loads).await?))
    }

    /// What `inner` says to each of `events`: its outputs in order. History must hold all events that arrived before them.
    pub(crate) async fn values(
        &self,
        inner: &Arc<ViewPlan>,
        events: &[AskingEvent<'_>],
    ) -> Result<Vec<Vec<Value>>, OfflineError> {
        let batch = asking_batch(inner, events)?;
        let schema = batch.schema();
        let layout = SpineLayout::of_events(schema, inner.source.as_str(), AT_COLUMN, SEEN_COLUMN)?;
        let rows = stream::iter([Ok(batch)]);
        let rows = Spine::keep(rows, layout, EVENTS, &self.engine.context, self.engine.settings).await?;
        let carried = Some(ArrivalClock::Offset);
        let rule = ArrivalRule { loads: self.loads.clone(), carried, ..ArrivalRule::default() };
        let rows = Arc::new(rows);
        let answers = self.engine.answers(&Asked::new(Arc::clone(inner), rule, &rows)).await?;
        let mut answered = answers.stream()?;
        let mut values = Vec::with_capacity(events.len());
        while let Some(batch) = answered.try_next().await? {
            let outputs = batch.columns()[1..].iter().zip(&inner.outputs);
            let outputs = outputs.map(|(array, (_, data_type))| Column::read(array, *data_type));
            let outputs = outputs.collect::<Result<Vec<_>, _>>()?;
            values.extend(
                (0..batch.num_rows()).map(|row| outputs.iter().map(|output| output.value(row)).collect()),
            );
        }
        Ok(values)
    }
}

/// Events with what they are enriched with.
pub(crate) struct Enriched(Arc<Spine>);

impl Enriched {
    /// The events, in one order, from the first.
    pub(crate) fn stream(&self) -> Result<SendableRecordBatchStream, OfflineError> {
        self.0.stream()
    }
}

/// The column of the event time in rows that are made here.
const AT_COLUMN: &str = "_at";

fn asking_batch(inner: &ViewPlan, events: &[AskingEvent<'_>]) -> Result<RecordBatch, OfflineError> {
    let mut at = ColumnBuilder::new(DataType::Timestamp, events.len());
    let seen = events.iter().map(|event| event.arrival.saturating_add(1).cast_signed());
    let seen: ArrayRef = Arc::new(Int64Array::from_iter_values(seen));
    let mut fits = true;
    for event in events {
        fits &= at.append(&Value::Timestamp(Timestamp(event.time_us)));
    }
    let mut fields = vec![
        Field::new(AT_COLUMN, arrow_type(DataType::Timestamp), true),
        Field::new(SEEN_COLUMN, ArrowType::Int64, false),
    ];
    let mut columns = vec![at.finish(), seen];
    for (part, (name, data_type)) in inner.spine_keys.iter().enumerate() {
        // A column can be two parts of a key.
        if fields.iter().any(|field| field.name() == name.as_str()) {
            continue;
        }
        let mut column = ColumnBuilder::new(*data_type, events.len());
        for event in events {
            fits &= column.append(event.key.get(part).copied().unwrap_or(&Value::Null));
        }
        fields.push(Field::new(name.as_str(), arrow_type(*data_type), true));
        columns.push(column.finish());
    }
    if !fits {
        return Err(DataFusionError::Internal("a key of another type than its view's".to_owned()).into());
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}
