//! The way of a training set: check, keep the spine, answer view after view, zip.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
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
use shipway_core::Name;
use shipway_lake::Lake;

use super::{
    AsOf, EngineSettings, OfflineError, TrainingSetRequest,
    canonical::arrow_type,
    computed::{self, ComputedColumns},
    events::{ArrivalClock, ArrivalRule, EncodedEvents, EventEncoding, watermark_of_moment},
    grouped::{self, Directory},
    kept::{Kept, keep},
    labels,
    point_in_time::PointInTimeExec,
    shelf::{self, Shelf},
    spine::{Spine, SpineLayout},
    spine_rows::{HASH, ORDER, RowWatermark, SharedSpineRows, SpineRows},
    view_plan::{self, POSITION, ViewPlan},
    zip::{Answers, zip},
};

/// The rows of the spine, each once and in order, with the service's features as of its own moment.
///
/// Columns: all of the spine's (the time and the request columns in their declared types), then `view__feature` in the
/// service's order, then its computed columns. A row with a null in a key has null features; a key without events has counts of 0 and nulls.
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
    let mut fields: Vec<Arc<Field>> = schema_of(&layout, &views).fields().iter().cloned().collect();
    fields.extend(computed::fields(service));
    Ok(Arc::new(Schema::new(fields)))
}

/// [`training_set`] with settings of the engine, which never change an answer.
pub async fn training_set_with(
    lake: &Lake,
    request: TrainingSetRequest,
    settings: &EngineSettings,
) -> Result<SendableRecordBatchStream, OfflineError> {
    Box::pin(training_set_over(lake, request, settings, None)).await
}

/// Answers that are kept, and who wants to know how far the work is.
pub(crate) struct Keeping<'a> {
    pub(crate) shelf: &'a Shelf,
    /// Whether answers that are kept already may be used, or all must be computed.
    pub(crate) uses_kept: bool,
    /// Told after each view: how many of how many are answered, and whether this one was computed now.
    pub(crate) progress: &'a (dyn Fn(ViewDone<'_>) + Send + Sync),
}

/// A view whose answers are there.
pub(crate) struct ViewDone<'a> {
    pub(crate) view: &'a str,
    pub(crate) done: u64,
    pub(crate) total: u64,
    pub(crate) is_computed: bool,
}

/// [`training_set_with`], where the answers of each finished view are kept on disk and found again.
pub(crate) async fn training_set_over(
    lake: &Lake,
    request: TrainingSetRequest,
    settings: &EngineSettings,
    keeping: Option<Keeping<'_>>,
) -> Result<SendableRecordBatchStream, OfflineError> {
    let service = Arc::clone(&request.service);
    let service = &service.definition;
    let mut views = view_plan::plan(&request.definitions, service)?;
    let features = views.len();
    views.extend(labels::plan(&request.labels, &request.definitions, &label_tables(lake, &request).await?)?);
    let mut arrivals = Vec::with_capacity(views.len());
    for (index, view) in views.iter().enumerate() {
        arrivals.push(arrival_rule(&request, view.source.as_str(), index < features)?);
    }
    let layout = SpineLayout::new(
        request.spine.schema().as_arrow(),
        service,
        &request.time_column,
        &request.as_of,
        &views,
    )?;
    let engine = Engine::new(lake, settings, request.pins.versions);
    let spine = Arc::new(Spine::read(request.spine, layout, &engine.context, settings).await?);
    let schema = schema_of(&spine.layout, &views);
    let outputs = views.iter().skip(features).map(|label| label.outputs.len()).sum::<usize>();
    let labels = schema.fields().len() - outputs;
    let computed = ComputedColumns::of(service, &schema, spine.layout.time, labels)?;
    let total = views.len() as u64;
    let mut answers = Vec::with_capacity(views.len());
    for (view, arrival) in views.into_iter().zip(arrivals) {
        let asked = Asked::new(view, arrival, &spine);
        let stream = match &keeping {
            None => engine.answers(&asked).await?.stream()?,
            Some(keeping) => {
                let (stream, is_computed) = engine.kept_answers(&asked, keeping).await?;
                let done = answers.len() as u64 + 1;
                (keeping.progress)(ViewDone { view: asked.view.name.as_str(), done, total, is_computed });
                stream
            }
        };
        answers.push(Answers::new(asked.view, stream));
    }
    let zipped = zip(schema, spine.stream()?, answers);
    Ok(match computed {
        None => zipped,
        Some(computed) => computed.stream(zipped),
    })
}

/// The schemas of the plain tables that labels read.
async fn label_tables(
    lake: &Lake,
    request: &TrainingSetRequest,
) -> Result<BTreeMap<String, SchemaRef>, OfflineError> {
    let mut tables = BTreeMap::new();
    // A label that names a source as well is refused when it is planned.
    let of_tables = request.labels.iter().filter(|label| label.source.is_none());
    for table in of_tables.filter_map(|label| label.table.as_ref()) {
        tables.insert(table.clone(), lake.schema(table).await?);
    }
    Ok(tables)
}

fn schema_of(spine: &SpineLayout, views: &[Arc<ViewPlan>]) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> = spine.schema.fields().iter().cloned().collect();
    for (name, data_type) in views.iter().flat_map(|view| &view.outputs) {
        fields.push(Arc::new(Field::new(name, arrow_type(*data_type), true)));
    }
    Arc::new(Schema::new(fields))
}

/// Which events of a source count. Labels look ahead, so only the pins bound what has arrived for them.
fn arrival_rule(
    request: &TrainingSetRequest,
    source: &str,
    is_feature: bool,
) -> Result<ArrivalRule, OfflineError> {
    let missing = || OfflineError::MissingWatermark { source_name: source.to_owned() };
    let pinned = request.pins.arrived_before.get(source).copied();
    let loads = request.load_arrivals.get(source).cloned().unwrap_or_default();
    let pinned = ArrivalRule { before: pinned, loads, ..ArrivalRule::default() };
    if !is_feature {
        return Ok(pinned);
    }
    Ok(match &request.as_of {
        AsOf::EventTime => pinned,
        AsOf::Arrival(watermarks) => {
            let watermark = *watermarks.get(source).ok_or_else(missing)?;
            ArrivalRule { before: Some(pinned.before.map_or(watermark, |pin| pin.min(watermark))), ..pinned }
        }
        AsOf::ArrivalColumns(columns) => {
            columns.get(source).ok_or_else(missing)?;
            ArrivalRule { carried: Some(ArrivalClock::Offset), ..pinned }
        }
        AsOf::Received(moments) => {
            let moments = moments.get(source).cloned().unwrap_or_default();
            ArrivalRule { carried: Some(ArrivalClock::Received(moments)), ..pinned }
        }
    })
}

/// What one view is asked: which rows, and which events count for them.
pub(super) struct Asked<'a> {
    view: Arc<ViewPlan>,
    arrival: ArrivalRule,
    /// The lowest watermark of the rows, where they have their own.
    always_arrived: Option<u64>,
    watermark: Option<RowWatermark>,
    spine: &'a Arc<Spine>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(view: Arc<ViewPlan>, mut arrival: ArrivalRule, spine: &'a Arc<Spine>) -> Self {
        let source = view.source.as_str();
        let (bounds, watermark) = match &arrival.carried {
            None => (None, None),
            Some(ArrivalClock::Offset) => (
                spine.watermarks.get(source).copied(),
                spine.layout.watermarks.get(source).copied().map(RowWatermark::Column),
            ),
            Some(ArrivalClock::Received(_)) => (
                spine.times.map(|(first, last)| (watermark_of_moment(first), watermark_of_moment(last))),
                Some(RowWatermark::Moment),
            ),
        };
        let (lowest, highest) = bounds.unwrap_or_default();
        arrival.highest = highest.max(0).cast_unsigned();
        let always_arrived = arrival.carried.as_ref().map(|_| lowest.max(0).cast_unsigned());
        Self { view, arrival, always_arrived, watermark, spine }
    }

    fn rows(&self, hash_mask: u64) -> SharedSpineRows {
        let rows = SpineRows::new(Arc::clone(self.spine), &self.view, self.watermark, hash_mask);
        SharedSpineRows(Arc::new(rows))
    }
}

/// Where the plans run.
#[derive(Clone)]
pub(super) struct Engine<'a> {
    pub(super) lake: &'a Lake,
    pub(super) settings: &'a EngineSettings,
    partitions: usize,
    pub(super) context: Arc<TaskContext>,
    /// The versions at which tables are read; others are read as they are.
    pub(super) versions: Arc<BTreeMap<String, u64>>,
    directories: Arc<Directories>,
}

/// The spine's rows by key, once for all views with the same keys.
type Directories = Mutex<BTreeMap<(Vec<Name>, i64), Arc<Directory>>>;

impl<'a> Engine<'a> {
    pub(super) fn new(lake: &'a Lake, settings: &'a EngineSettings, versions: BTreeMap<String, u64>) -> Self {
        let state = lake.session().state();
        let partitions = settings.target_partitions.unwrap_or(state.config().target_partitions()).max(1);
        let context = context(lake, settings.batch_rows);
        let directories = Arc::default();
        Self { lake, settings, partitions, context, versions: Arc::new(versions), directories }
    }

    /// The same in one partition with small batches: slower, and with the least memory.
    fn frugal(&self) -> Self {
        let context = context(self.lake, (self.settings.batch_rows / 16).max(1));
        Self { partitions: 1, context, ..self.clone() }
    }

    /// The answers of one view from the shelf; computed first, and put there, when it has none.
    async fn kept_answers(
        &self,
        asked: &Asked<'_>,
        keeping: &Keeping<'_>,
    ) -> Result<(SendableRecordBatchStream, bool), OfflineError> {
        let version = self.versions.get(asked.view.source.as_str()).copied();
        let rows = asked.rows(u64::MAX).execute(Arc::clone(&self.context));
        let key = shelf::digest_of(&asked.view, &asked.arrival, version, rows).await?;
        let schema = asked.view.answer_schema();
        if keeping.uses_kept
            && let Some(found) = keeping.shelf.find(&key, &schema)
        {
            return Ok((found, false));
        }
        let answers = self.answers(asked).await?;
        if !keeping.uses_kept {
            return Ok((answers.stream()?, true));
        }
        keeping.shelf.keep(&key, &schema, answers.stream()?.map_err(OfflineError::from)).await?;
        // From the shelf, so that the memory of these answers is free for the next view.
        let stream = match keeping.shelf.find(&key, &schema) {
            Some(found) => found,
            None => answers.stream()?,
        };
        Ok((stream, true))
    }

    /// The answers of one view in the order of the spine. They are kept to the last before the next view begins, so that
    /// the sorts of one view have all the memory that there is.
    ///
    /// A sort that has finished in memory cannot be made to spill any more, so several of them at once can leave too
    /// little for another to begin. Then the view is answered again with one partition.
    pub(super) async fn answers(&self, asked: &Asked<'_>) -> Result<Kept, OfflineError> {
        if let Some(answers) = self.grouped(asked).await? {
            return Ok(answers);
        }
        match self.answers_once(asked).await {
            Err(OfflineError::Engine(error))
                if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) =>
            {
                let view = &asked.view.name;
                tracing::info!(%view, "memory is short: the view is answered again in one partition");
                self.frugal().answers_once(asked).await
            }
            other => other,
        }
    }

    /// The answers made in memory, if they can be and the memory is there.
    async fn grouped(&self, asked: &Asked<'_>) -> Result<Option<Kept>, OfflineError> {
        let view = &asked.view;
        if !self.settings.groups_in_memory || !grouped::suits(view, &asked.arrival) {
            return Ok(None);
        }
        let Some(directory) = self.directory(asked).await? else { return Ok(None) };
        let (hash_mask, memory_bytes) = (self.settings.key_hash_mask, self.settings.kept_memory_bytes);
        let encoding = Arc::new(EventEncoding::new(Arc::clone(view), asked.arrival.clone(), hash_mask));
        let events = (self.events(view, &encoding, asked.spine).await?, encoding.columns());
        let answers = grouped::answers(view, &directory, events, &self.context, self.partitions).await?;
        let Some(answers) = answers else { return Ok(None) };
        let batch_rows = self.context.session_config().batch_size();
        if answers.bytes() <= memory_bytes {
            return Ok(Some(Kept::arranged(answers, view.answer_schema(), batch_rows)));
        }
        let stream = answers.stream(view.answer_schema(), batch_rows).map_err(OfflineError::from);
        let what = "training set view";
        keep(stream, view.answer_schema(), what, memory_bytes, &self.context).await.map(Some)
    }

    async fn directory(&self, asked: &Asked<'_>) -> Result<Option<Arc<Directory>>, OfflineError> {
        let keys = asked.view.spine_keys.iter().map(|(name, _)| name.clone());
        let name = (keys.collect::<Vec<_>>(), asked.view.shift_us);
        let known = self.directories.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let made = grouped::directory(asked.rows(self.settings.key_hash_mask), &self.context).await?;
        let Some(made) = made.map(Arc::new) else { return Ok(None) };
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        directories.insert(name, Arc::clone(&made));
        Ok(Some(made))
    }

    async fn answers_once(&self, asked: &Asked<'_>) -> Result<Kept, OfflineError> {
        let plan = self.plan(asked).await?;
        let memory_bytes = self.settings.kept_memory_bytes;
        let answers = execute_stream(plan, Arc::clone(&self.context))?.map_err(OfflineError::from);
        keep(answers, asked.view.answer_schema(), "training set view", memory_bytes, &self.context).await
    }

    /// The plan of one view, whose answers come in the order of the spine and in one partition.
    async fn plan(&self, asked: &Asked<'_>) -> Result<Arc<dyn ExecutionPlan>, OfflineError> {
        let hash_mask = self.settings.key_hash_mask;
        let view = &asked.view;
        let encoding = Arc::new(EventEncoding::new(Arc::clone(view), asked.arrival.clone(), hash_mask));
        let events = self.events(view, &encoding, asked.spine).await?;
        let rows = streaming(vec![Arc::new(asked.rows(hash_mask))])?;
        let swept = PointInTimeExec::new(
            Arc::clone(view),
            encoding.columns(),
            asked.always_arrived,
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
        let history = self.history(view, encoding.arrival(), times).await?;
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
