//! The spine, read once and kept.
//!
//! It is read through a single partition, so that its rows have one order, and every view and the final zip see the very
//! same rows in it: running the query again for each view could give them in another order, and positions would lie.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    compute::{cast, max, min},
    datatypes::{Field, Int64Type, Schema, SchemaRef, TimestampMicrosecondType},
};
use datafusion::{
    dataframe::DataFrame,
    execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext},
    physical_plan::{ExecutionPlan, ExecutionPlanProperties, stream::RecordBatchStreamAdapter},
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use shipway_core::{DataType, Name, nearest};
use shipway_definitions::Service;

use super::{
    AsOf, EngineSettings, OfflineError,
    canonical::{arrow_type, canonical, is_readable_as},
    column::plain_type,
    kept::{Kept, keep},
    view_plan::ViewPlan,
};

const TIME: &str = "query time";
const KEY: &str = "entity key";
const REQUEST: &str = "request column";
const WATERMARK: &str = "watermark";

/// Which column of the spine serves which purpose. Built before the spine is read, so that what is wrong with it is said
/// before any work.
#[derive(Debug)]
pub(crate) struct SpineLayout {
    /// The columns as they are kept and answered.
    pub(crate) schema: SchemaRef,
    pub(crate) time: usize,
    pub(crate) keys: BTreeMap<Name, usize>,
    /// Source name to watermark column.
    pub(crate) watermarks: BTreeMap<String, usize>,
    /// Columns that are converted to the declared type.
    converted: Vec<Option<DataType>>,
}

impl SpineLayout {
    pub(crate) fn new(
        spine: &Schema,
        service: &Service,
        time_column: &str,
        as_of: &AsOf,
        views: &[Arc<ViewPlan>],
    ) -> Result<Self, OfflineError> {
        let mut converted = vec![None; spine.fields().len()];
        let mut find = |column: &str, role: &'static str, expected: DataType, is_kept: bool| {
            let index = index_of(spine, column, role)?;
            let got = spine.field(index).data_type();
            if !is_readable_as(got, expected) {
                let (column, got) = (column.to_owned(), got.to_string());
                return Err(OfflineError::WrongType { column, role, got, expected });
            }
            if !is_kept {
                converted[index] = Some(expected);
            }
            Ok(index)
        };
        let time = find(time_column, TIME, DataType::Timestamp, false)?;
        let mut keys = BTreeMap::new();
        for (name, data_type) in views.iter().flat_map(|view| &view.spine_keys) {
            keys.insert(name.clone(), find(name.as_str(), KEY, *data_type, true)?);
        }
        for (name, data_type) in &service.request {
            find(name.as_str(), REQUEST, *data_type, false)?;
        }
        let mut watermarks = BTreeMap::new();
        if let AsOf::ArrivalColumns(columns) = as_of {
            for (source, column) in columns {
                watermarks.insert(source.clone(), find(column, WATERMARK, DataType::Int, false)?);
            }
        }
        let fields = spine.fields().iter().zip(&converted).map(|(field, converted)| {
            let kept = converted.map_or_else(|| plain_type(field.data_type()), arrow_type);
            Field::new(field.name(), kept, field.is_nullable())
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        names_are_unique(&schema, service, views)?;
        Ok(Self { schema, time, keys, watermarks, converted })
    }

    /// The layout of rows that are events of `source`: each asks at its own time, any of its columns can be a part of a key,
    /// and `watermark` is what it had seen of its source.
    pub(crate) fn of_events(
        schema: SchemaRef,
        source: &str,
        time: &str,
        watermark: &str,
    ) -> Result<Self, OfflineError> {
        let names = schema.fields().iter().enumerate();
        let keys = names.filter_map(|(index, field)| Some((Name::new(field.name().as_str()).ok()?, index)));
        let keys = keys.collect();
        let time = index_of(&schema, time, TIME)?;
        let watermarks = BTreeMap::from([(source.to_owned(), index_of(&schema, watermark, WATERMARK)?)]);
        let converted = vec![None; schema.fields().len()];
        Ok(Self { schema, time, keys, watermarks, converted })
    }

    fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch, OfflineError> {
        let columns = batch.columns().iter().zip(self.schema.fields()).zip(&self.converted);
        let columns = columns.map(|((column, field), converted)| match converted {
            Some(data_type) => canonical(column, *data_type),
            None if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
            None => cast(column, field.data_type()),
        });
        let columns = columns.collect::<Result<Vec<ArrayRef>, _>>()?;
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

fn index_of(spine: &Schema, column: &str, role: &'static str) -> Result<usize, OfflineError> {
    spine.index_of(column).map_err(|_| {
        let names = spine.fields().iter().map(|field| field.name().as_str());
        OfflineError::MissingColumn {
            column: column.to_owned(),
            role,
            nearest: nearest(column, names).map(str::to_owned),
        }
    })
}

fn names_are_unique(spine: &Schema, service: &Service, views: &[Arc<ViewPlan>]) -> Result<(), OfflineError> {
    let mut seen = std::collections::HashSet::new();
    let spine = spine.fields().iter().map(|field| field.name().as_str());
    let features = views.iter().flat_map(|view| view.outputs.iter().map(|(name, _)| name.as_str()));
    let computed = service.computed.iter().map(|computed| computed.name.as_str());
    for name in spine.chain(features).chain(computed) {
        if !seen.insert(name) {
            return Err(OfflineError::NameTaken { column: name.to_owned() });
        }
    }
    Ok(())
}

/// All rows of the spine in order, in memory or in one spill file.
#[derive(Debug)]
pub(crate) struct Spine {
    pub(crate) layout: SpineLayout,
    /// The earliest and latest query time; `None` for a spine without rows.
    pub(crate) times: Option<(i64, i64)>,
    /// For each source with a watermark column, the lowest and the highest watermark.
    pub(crate) watermarks: BTreeMap<String, (i64, i64)>,
    kept: Kept,
}

impl Spine {
    /// Reads `spine` to its end. Refuses rows without a time or a watermark.
    pub(crate) async fn read(
        spine: DataFrame,
        layout: SpineLayout,
        context: &TaskContext,
        settings: &EngineSettings,
    ) -> Result<Self, OfflineError> {
        let rows = ordered_rows(spine).await?.map_err(OfflineError::from);
        Self::keep(rows, layout, "training set spine", context, settings).await
    }

    /// Keeps `rows` to their end, in their order. Refuses rows without a time or a watermark. `what` names them in messages
    /// about memory.
    pub(crate) async fn keep(
        rows: impl Stream<Item = Result<RecordBatch, OfflineError>> + Unpin,
        layout: SpineLayout,
        what: &'static str,
        context: &TaskContext,
        settings: &EngineSettings,
    ) -> Result<Self, OfflineError> {
        let mut facts = Facts::default();
        let converted = rows.map(|batch| {
            let batch = layout.convert(&batch?)?;
            facts.take_in(&layout, &batch)?;
            Ok(batch)
        });
        let (schema, memory_bytes) = (Arc::clone(&layout.schema), settings.kept_memory_bytes);
        let kept = keep(converted, schema, what, memory_bytes, context).await?;
        let Facts { times, watermarks, .. } = facts;
        Ok(Self { layout, times, watermarks, kept })
    }

    /// The rows, in order, from the first.
    pub(crate) fn stream(&self) -> Result<SendableRecordBatchStream, OfflineError> {
        self.kept.stream()
    }
}

/// What is learned about the spine while it is read.
#[derive(Debug, Default)]
struct Facts {
    rows: u64,
    times: Option<(i64, i64)>,
    watermarks: BTreeMap<String, (i64, i64)>,
}

impl Facts {
    fn take_in(&mut self, layout: &SpineLayout, batch: &RecordBatch) -> Result<(), OfflineError> {
        let needed = layout.watermarks.values().map(|index| (*index, WATERMARK));
        for (index, role) in std::iter::once((layout.time, TIME)).chain(needed) {
            let column = batch.column(index);
            if let Some(row) = (0..column.len()).find(|row| column.is_null(*row)) {
                let row = self.rows + row as u64;
                let column = layout.schema.field(index).name().clone();
                return Err(OfflineError::MissingValue { row, column, role });
            }
        }
        self.rows += batch.num_rows() as u64;
        let times = batch.column(layout.time).as_primitive::<TimestampMicrosecondType>();
        if let (Some(earliest), Some(latest)) = (min(times), max(times)) {
            let (first, last) = self.times.unwrap_or((earliest, latest));
            self.times = Some((first.min(earliest), last.max(latest)));
        }
        for (source, index) in &layout.watermarks {
            let offsets = batch.column(*index).as_primitive::<Int64Type>();
            if let (Some(lowest), Some(highest)) = (min(offsets), max(offsets)) {
                let held = self.watermarks.entry(source.clone()).or_insert((lowest, highest));
                *held = (held.0.min(lowest), held.1.max(highest));
            }
        }
        Ok(())
    }
}

/// The rows of `spine` in one order: planned for a single partition, and partitions that remain read one after another.
async fn ordered_rows(spine: DataFrame) -> Result<SendableRecordBatchStream, OfflineError> {
    let (state, plan) = spine.into_parts();
    let config = state.config().clone().with_target_partitions(1);
    let state = SessionStateBuilder::new_from_existing(state).with_config(config).build();
    let context = state.task_ctx();
    let plan: Arc<dyn ExecutionPlan> = state.create_physical_plan(&plan).await?;
    let schema = plan.schema();
    let partitions = plan.output_partitioning().partition_count();
    let streams = (0..partitions).map(|partition| plan.execute(partition, Arc::clone(&context)));
    let streams = streams.collect::<Result<Vec<_>, _>>()?;
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream::iter(streams).flatten())))
}
