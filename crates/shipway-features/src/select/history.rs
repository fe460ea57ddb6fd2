//! Rows of history through a selection: each piece is one load of the selected source, so it comes in whole and once.

use std::{ops::Range, sync::Arc};

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::{TryStreamExt as _, stream};
use shipway_core::Value;

use crate::{
    error::FeaturesError,
    features::Inner,
    ingest::Intake,
    materialise::history::{Rows, select},
    model::{
        columns::{array, readers},
        event::{SourceEvent, Standing},
        record::LoadMarker,
        schema::{EVENT_ID_COLUMN, RECEIVED_COLUMN, SourceSchema},
    },
    select::{join, plan::SelectPlan, task::Selector},
    source::{SourceRuntime, SourceShape},
    store::loads,
};

/// Rows are asked so many at a time: where a joined view has to answer out of history, it is read once for each piece.
const ROWS_AT_ONCE: usize = 100_000;

/// Loads what came out of the rows that arrived in `range`; answers with its end. An attempt that began before is brought to its own end.
pub(super) async fn catch_up(
    selector: &Selector,
    plan: &Arc<SelectPlan>,
    (from, shape): (&SourceRuntime, &Arc<SourceShape>),
    range: Range<u64>,
) -> Result<u64, FeaturesError> {
    let Selector { inner, runtime, .. } = selector;
    let prefix = format!("selected-{}-{}-", plan.from, range.start);
    let arrived = loads::arrivals(&inner.store, runtime.name.as_str()).await?;
    let begun = loads::unfinished(&inner.store, runtime.name.as_str()).await?;
    let known = arrived.into_keys().chain(begun.into_iter().map(|load| load.load_id));
    let end_of = |load_id: String| load_id.strip_prefix(&prefix)?.parse().ok();
    let end = known.into_iter().find_map(end_of).unwrap_or(range.end);
    from.archive_up_to(end).await?;
    tracing::info!(source = %runtime.name, from = %plan.from, "history is selected");
    into(selector, plan, shape, (format!("{prefix}{end}"), Rows::Arrived(range.start..end))).await?;
    Ok(end)
}

/// Loads what came out of the rows of a load.
pub(super) async fn load(
    selector: &Selector,
    plan: &Arc<SelectPlan>,
    shape: &Arc<SourceShape>,
    (offset, marker): (u64, &LoadMarker),
) -> Result<(), FeaturesError> {
    let load_id = format!("selected-{}-load-{offset}", plan.from);
    into(selector, plan, shape, (load_id, Rows::OfLoad(marker.load_id.clone()))).await
}

/// Takes in what comes out of `rows`, once under the load id.
async fn into(
    selector: &Selector,
    plan: &Arc<SelectPlan>,
    shape: &Arc<SourceShape>,
    (load_id, rows): (String, Rows),
) -> Result<(), FeaturesError> {
    let Selector { inner, runtime, .. } = selector;
    let _one_at_a_time = runtime.loading.lock().await;
    let selected = selected(selector, Arc::clone(plan), Arc::clone(shape), rows);
    inner.load_source(runtime, load_id, selected).await?;
    Ok(())
}

/// What comes out of `rows`, as rows of the selected source. `shape` is that of the source that it selects from.
async fn selected(
    selector: &Selector,
    plan: Arc<SelectPlan>,
    shape: Arc<SourceShape>,
    rows: Rows,
) -> Result<SendableRecordBatchStream, FeaturesError> {
    let (inner, runtime) = (Arc::clone(&selector.inner), Arc::clone(&selector.runtime));
    let schema = runtime.shape().schema.declared();
    let history = select(&inner, &shape.schema, &rows, i64::MIN).await?.execute_stream().await?;
    let pieces = stream::try_unfold(history, move |mut history| {
        let (inner, runtime) = (Arc::clone(&inner), Arc::clone(&runtime));
        let (plan, shape) = (Arc::clone(&plan), Arc::clone(&shape));
        async move {
            let mut events = Vec::new();
            while events.len() < ROWS_AT_ONCE
                && let Some(batch) = history.try_next().await?
            {
                events.extend(events_of(&batch, &shape.schema).map_err(external)?);
            }
            if events.is_empty() {
                return Ok(None);
            }
            let rows = piece(&inner, &runtime, &plan, events).await.map_err(external)?;
            Ok::<_, DataFusionError>(Some((rows, history)))
        }
    });
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, Box::pin(pieces))))
}

fn external(error: FeaturesError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

async fn piece(
    inner: &Arc<Inner>,
    runtime: &SourceRuntime,
    plan: &Arc<SelectPlan>,
    events: Vec<SourceEvent>,
) -> Result<RecordBatch, FeaturesError> {
    let events = Arc::new(events);
    let joined = join::joined(inner, plan, &events).await?;
    let shape = runtime.shape();
    let schema = &shape.schema;
    let places = schema.places_in(&plan.columns);
    let received = inner.clock.now();
    let intake =
        Intake { schema, limits: &inner.limits, received, watermark: crate::model::schema::NO_WATERMARK };
    let (mut rows, mut refused): (Vec<Vec<Value>>, u64) = (Vec::with_capacity(events.len()), 0);
    for (event, joined) in events.iter().zip(&joined) {
        let Some(given) = plan.row(event, joined) else { continue };
        let value =
            |place: &Option<usize>| place.and_then(|place| given.get(place)).cloned().unwrap_or(Value::Null);
        let values: Vec<Value> = places.iter().map(value).collect();
        // A row that is no event would refuse the whole load.
        match intake.event(values, || Arc::clone(&event.id)) {
            Ok(event) if event.standing != Standing::Quarantined => rows.push(event.values),
            Ok(_) | Err(_) => refused += 1,
        }
    }
    if refused > 0 {
        tracing::warn!(source = %runtime.name, rows = refused, "rows that were selected from history are no events, and are left out");
        runtime.selection.lock().unwrap_or_else(std::sync::PoisonError::into_inner).refused(refused);
    }
    let columns = schema.columns.iter().enumerate();
    let columns: Vec<ArrayRef> = columns
        .map(|(position, (_, data_type))| array(*data_type, rows.iter().map(|row| &row[position])))
        .collect();
    Ok(RecordBatch::try_new(schema.declared(), columns)?)
}

/// Rows of the table of a source as its events.
fn events_of(batch: &RecordBatch, schema: &SourceSchema) -> Result<Vec<SourceEvent>, FeaturesError> {
    let columns = schema.columns.iter().map(|(name, data_type)| (name.as_str(), *data_type));
    let system = [
        (EVENT_ID_COLUMN, shipway_core::DataType::Text),
        (RECEIVED_COLUMN, shipway_core::DataType::Timestamp),
    ];
    let readers = readers(batch, columns.chain(system))?;
    let width = schema.columns.len();
    let value = |position: usize, row: usize| {
        readers[position].as_ref().map_or(Value::Null, |reader| reader.value(row))
    };
    let mut events = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let values: Vec<Value> = (0..width).map(|position| value(position, row)).collect();
        // Every row of history has a time.
        let Some(Value::Timestamp(time)) = values.get(schema.time_index).cloned() else { continue };
        let id = match value(width, row) {
            Value::Text(id) => id,
            _ => Arc::from(""),
        };
        let received = match value(width + 1, row) {
            Value::Timestamp(received) => received,
            _ => time,
        };
        events.push(SourceEvent { id, time, received, standing: Standing::Regular, values });
    }
    Ok(events)
}
