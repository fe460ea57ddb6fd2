//! The way of a training set: check, keep the spine, answer view after view, zip.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
    dataframe::DataFrame,
    error::DataFusionError,
    execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext},
    physical_expr::{LexOrdering, PhysicalSortExpr, expressions::col},
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, Partitioning,
        coalesce_partitions::CoalescePartitionsExec,
        execute_stream,
        repartition::RepartitionExec,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
        streaming::{PartitionStream, StreamingTableExec},
    },
};
use futures::TryStreamExt;
use shipway_lake::Lake;

use super::{
    AsOf, EngineSettings, OfflineError, TrainingSetRequest,
    canonical::arrow_type,
    events::{ArrivalRule, EncodedEvents, EventEncoding},
    kept::{Kept, keep},
    point_in_time::PointInTimeExec,
    spine::{Spine, SpineLayout},
    spine_rows::{HASH, ORDER, SharedSpineRows, SpineRows},
    view_plan::{self, POSITION, ViewPlan},
    zip::{Answers, zip},
};

/// The rows of the spine, each once and in order, with the service's features as of its own moment.
///
/// Columns: all of the spine's (the time and the request columns in their declared types), then `view__feature` in the
/// service's order. A row with a null in a key has null features; a key without events has counts of 0 and nulls.
///
/// Costs a sort of the spine and of the events in reach for each view, in bounded memory: what does not fit the lake's
/// limit is spilled. Errors after the first batch come through the stream; [`OfflineError::inside`] finds ours.
pub async fn training_set(
    lake: &Lake,
    request: TrainingSetRequest,
) -> Result<SendableRecordBatchStream, OfflineError> {
    training_set_with(lake, request, &EngineSettings::default()).await
}

/// The columns that [`training_set`] would answer with, without reading a row; refuses what it would refuse before reading.
pub fn training_set_schema(request: &TrainingSetRequest) -> Result<SchemaRef, OfflineError> {
    let service = &request.service.definition;
    let views = view_plan::plan(&request.definitions, service)?;
    let spine = request.spine.schema().as_arrow();
    let layout = SpineLayout::new(spine, service, &request.time_column, &request.as_of, &views)?;
    Ok(schema_of(&layout, &views))
}

/// [`training_set`] with settings of the engine, which never change an answer.
pub async fn training_set_with(
    lake: &Lake,
    request: TrainingSetRequest,
    settings: &EngineSettings,
) -> Result<SendableRecordBatchStream, OfflineError> {
    let service = &request.service.definition;
    let views = view_plan::plan(&request.definitions, service)?;
    let arrivals = views
        .iter()
        .map(|view| arrival_rule(&request, view.source.as_str()))
        .collect::<Result<Vec<_>, _>>()?;
    let layout = SpineLayout::new(
        request.spine.schema().as_arrow(),
        service,
        &request.time_column,
        &request.as_of,
        &views,
    )?;
    let engine = Engine::new(lake, settings);
    let spine = Arc::new(Spine::read(request.spine, layout, &engine.context, settings).await?);
    let schema = schema_of(&spine.layout, &views);
    let mut answers = Vec::with_capacity(views.len());
    for (view, arrival) in views.into_iter().zip(arrivals) {
        let kept = engine.answers(&view, &arrival, &spine).await?;
        answers.push(Answers::new(view, kept.stream()?));
    }
    Ok(zip(schema, spine.stream()?, answers))
}

fn schema_of(spine: &SpineLayout, views: &[Arc<ViewPlan>]) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = spine.schema.fields().iter().cloned().collect();
    for (name, data_type) in views.iter().flat_map(|view| &view.outputs) {
        fields.push(Arc::new(Field::new(name, arrow_type(*data_type), true)));
    }
    Arc::new(Schema::new(fields))
}

fn arrival_rule(request: &TrainingSetRequest, source: &str) -> Result<ArrivalRule, OfflineError> {
    let missing = || OfflineError::MissingWatermark { source_name: source.to_owned() };
    let loads = || request.load_arrivals.get(source).cloned().unwrap_or_default();
    Ok(match &request.as_of {
        AsOf::EventTime => ArrivalRule::Ignored,
        AsOf::Arrival(watermarks) => {
            ArrivalRule::Before { watermark: *watermarks.get(source).ok_or_else(missing)?, loads: loads() }
        }
        AsOf::ArrivalColumns(columns) => {
            columns.get(source).ok_or_else(missing)?;
            ArrivalRule::Carried { highest: u64::MAX, loads: loads() }
        }
    })
}

/// Where the plans run.
#[derive(Clone)]
struct Engine<'a> {
    lake: &'a Lake,
    settings: &'a EngineSettings,
    partitions: usize,
    context: Arc<TaskContext>,
}

impl<'a> Engine<'a> {
    fn new(lake: &'a Lake, settings: &'a EngineSettings) -> Self {
        let state = lake.session().state();
        let partitions = settings.target_partitions.unwrap_or(state.config().target_partitions()).max(1);
        Self { lake, settings, partitions, context: context(lake, settings.batch_rows) }
    }

    /// The same in one partition with small batches: slower, and with the least memory.
    fn frugal(&self) -> Self {
        let context = context(self.lake, (self.settings.batch_rows / 16).max(1));
        Self { partitions: 1, context, ..self.clone() }
    }

    /// The answers of one view in the order of the spine. They are kept to the last before the next view begins, so that
    /// the sorts of one view have all the memory that there is.
    ///
    /// A sort that has finished in memory cannot be made to spill any more, so several of them at once can leave too
    /// little for another to begin. Then the view is answered again with one partition.
    async fn answers(
        &self,
        view: &Arc<ViewPlan>,
        arrival: &ArrivalRule,
        spine: &Arc<Spine>,
    ) -> Result<Kept, OfflineError> {
        match self.answers_once(view, arrival, spine).await {
            Err(OfflineError::Engine(error))
                if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) =>
            {
                tracing::info!(view = %view.name, "memory is short: the view is answered again in one partition");
                self.frugal().answers_once(view, arrival, spine).await
            }
            other => other,
        }
    }

    async fn answers_once(
        &self,
        view: &Arc<ViewPlan>,
        arrival: &ArrivalRule,
        spine: &Arc<Spine>,
    ) -> Result<Kept, OfflineError> {
        let plan = self.plan(view, arrival, spine).await?;
        let memory_bytes = self.settings.kept_memory_bytes;
        let answers = execute_stream(plan, Arc::clone(&self.context))?.map_err(OfflineError::from);
        keep(answers, view.answer_schema(), "training set view", memory_bytes, &self.context).await
    }

    /// The plan of one view, whose answers come in the order of the spine and in one partition.
    async fn plan(
        &self,
        view: &Arc<ViewPlan>,
        arrival: &ArrivalRule,
        spine: &Arc<Spine>,
    ) -> Result<Arc<dyn ExecutionPlan>, OfflineError> {
        let hash_mask = self.settings.key_hash_mask;
        let watermarks = spine.watermarks.get(view.source.as_str()).copied().unwrap_or_default();
        let [lowest, highest] = [watermarks.0, watermarks.1].map(|offset| offset.max(0).cast_unsigned());
        let (arrival, always_arrived) = match arrival.clone() {
            ArrivalRule::Carried { loads, .. } => (ArrivalRule::Carried { highest, loads }, Some(lowest)),
            other => (other, None),
        };
        let encoding = Arc::new(EventEncoding::new(Arc::clone(view), arrival, hash_mask));
        let events = self.events(view, &encoding, spine).await?;
        let rows = SharedSpineRows(Arc::new(SpineRows::new(Arc::clone(spine), view, hash_mask)));
        let rows = streaming(vec![Arc::new(rows)])?;
        let swept = PointInTimeExec::new(
            Arc::clone(view),
            encoding.columns(),
            always_arrived,
            sorted(self.spread(rows)?, ORDER)?,
            sorted(self.spread(events)?, ORDER)?,
        );
        let answers = sorted(Arc::new(swept), POSITION)?;
        Ok(if self.partitions > 1 {
            Arc::new(SortPreservingMergeExec::new(ordering(&answers, POSITION)?, answers))
        } else {
            answers
        })
    }

    /// The view's events; none for a source without history, or for a spine without rows.
    async fn events(
        &self,
        view: &ViewPlan,
        encoding: &Arc<EventEncoding>,
        spine: &Spine,
    ) -> Result<Arc<dyn ExecutionPlan>, OfflineError> {
        let times = match spine.times {
            Some(times) if self.lake.exists(view.source.as_str()).await? => times,
            _ => return streaming(vec![Arc::new(NoEvents(encoding.schema()))]),
        };
        let history: DataFrame = self.lake.scan(view.source.as_str()).await?;
        let scan = encoding.scan(history, times)?.create_physical_plan().await?;
        let partitions = scan.output_partitioning().partition_count();
        let encoded = (0..partitions).map(|partition| {
            let (scan, encoding) = (Arc::clone(&scan), Arc::clone(encoding));
            Arc::new(EncodedEvents { scan, partition, encoding }) as Arc<dyn PartitionStream>
        });
        streaming(encoded.collect())
    }

    /// Spreads rows over the partitions by key hash, so that rows and events of one key meet.
    fn spread(&self, input: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>, OfflineError> {
        if self.partitions == 1 {
            return Ok(Arc::new(CoalescePartitionsExec::new(input)));
        }
        let hash = col(HASH, &input.schema())?;
        let partitioning = Partitioning::Hash(vec![hash], self.partitions);
        Ok(Arc::new(RepartitionExec::try_new(input, partitioning)?))
    }
}

fn context(lake: &Lake, batch_rows: usize) -> Arc<TaskContext> {
    let state = lake.session().state();
    let config = state.config().clone().with_batch_size(batch_rows.max(1));
    SessionStateBuilder::new_from_existing(state).with_config(config).build().task_ctx()
}

fn streaming(partitions: Vec<Arc<dyn PartitionStream>>) -> Result<Arc<dyn ExecutionPlan>, OfflineError> {
    let schema = partitions.first().map(|partition| Arc::clone(partition.schema()));
    let schema = schema.ok_or_else(|| DataFusionError::Internal("a scan without partitions".to_owned()))?;
    Ok(Arc::new(StreamingTableExec::try_new(schema, partitions, None, [], false, None)?))
}

fn ordering(input: &Arc<dyn ExecutionPlan>, column: &str) -> Result<LexOrdering, OfflineError> {
    let expression = PhysicalSortExpr::new_default(col(column, &input.schema())?);
    let ordering = LexOrdering::new([expression]);
    Ok(ordering.ok_or_else(|| DataFusionError::Internal("an ordering by nothing".to_owned()))?)
}

/// Each partition sorted by `column`; spills when memory is short.
fn sorted(input: Arc<dyn ExecutionPlan>, column: &str) -> Result<Arc<dyn ExecutionPlan>, OfflineError> {
    let ordering = ordering(&input, column)?;
    Ok(Arc::new(SortExec::new(ordering, input).with_preserve_partitioning(true)))
}

/// The events of a source without history.
#[derive(Debug)]
struct NoEvents(SchemaRef);

impl PartitionStream for NoEvents {
    fn schema(&self) -> &SchemaRef {
        &self.0
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        Box::pin(datafusion::physical_plan::EmptyRecordBatchStream::new(Arc::clone(&self.0)))
    }
}
