//! The point-in-time operator: spine rows and events of one view in, one answer for each spine row out.

use std::{fmt, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    common::tree_node::TreeNodeRecursion,
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext, async_try_stream},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
        Partitioning, PlanProperties, ReplaceChildrenOptions,
        execution_plan::{Boundedness, EmissionType},
        stream::RecordBatchStreamAdapter,
    },
};
use futures::StreamExt;

use super::{
    events::EventColumns,
    sweep::{Step, Sweep},
    view_plan::ViewPlan,
};

/// Sweeps two inputs, both partitioned alike by key hash and sorted by (hash, time): spine rows, then events.
///
/// Answers come in the order of the sweep, each with the position of its spine row. Memory: a batch of either input, and
/// the states of the keys under one hash.
#[derive(Debug)]
pub(crate) struct PointInTimeExec {
    view: Arc<ViewPlan>,
    columns: EventColumns,
    /// Where rows have watermarks, the lowest of them.
    always_arrived: Option<u64>,
    rows: Arc<dyn ExecutionPlan>,
    events: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl PointInTimeExec {
    pub(crate) fn new(
        view: Arc<ViewPlan>,
        columns: EventColumns,
        always_arrived: Option<u64>,
        rows: Arc<dyn ExecutionPlan>,
        events: Arc<dyn ExecutionPlan>,
    ) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(view.answer_schema()),
            Partitioning::UnknownPartitioning(rows.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Self { view, columns, always_arrived, rows, events, properties }
    }
}

impl DisplayAs for PointInTimeExec {
    fn fmt_as(&self, _format: DisplayFormatType, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PointInTimeExec: view={}, features={}", self.view.name, self.view.outputs.len())
    }
}

impl ExecutionPlan for PointInTimeExec {
    fn name(&self) -> &'static str {
        "PointInTimeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.rows, &self.events]
    }

    fn apply_expressions(
        &self,
        _visit: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [rows, events] = <[_; 2]>::try_from(children)
            .map_err(|_| DataFusionError::Internal("PointInTimeExec has two children".to_owned()))?;
        let view = Arc::clone(&self.view);
        Ok(Arc::new(Self::new(view, self.columns, self.always_arrived, rows, events)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.rows.execute(partition, Arc::clone(&context))?;
        let events = self.events.execute(partition, Arc::clone(&context))?;
        let batch_rows = context.session_config().batch_size();
        let sweep = Sweep::new(Arc::clone(&self.view), self.columns, self.always_arrived, batch_rows)?;
        Ok(swept(self.schema(), sweep, rows, events))
    }
}

fn swept(
    schema: SchemaRef,
    mut sweep: Sweep,
    mut rows: SendableRecordBatchStream,
    mut events: SendableRecordBatchStream,
) -> SendableRecordBatchStream {
    let answers_schema = Arc::clone(&schema);
    let answers = async_try_stream(|mut emitter| async move {
        loop {
            match sweep.advance()? {
                Step::NeedsRows => sweep.give_rows(rows.next().await.transpose()?),
                Step::NeedsEvents => sweep.give_events(events.next().await.transpose()?)?,
                Step::Full => {
                    let batch = RecordBatch::try_new(Arc::clone(&answers_schema), sweep.take_answers())?;
                    emitter.emit(batch).await;
                }
                Step::Done => break,
            }
        }
        if !sweep.is_empty() {
            emitter.emit(RecordBatch::try_new(answers_schema, sweep.take_answers())?).await;
        }
        Ok(())
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, answers))
}
