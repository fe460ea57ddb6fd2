//! A training set as a table: its columns are known when a query is planned, its rows are made when it is read.

use std::{fmt, sync::Arc};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider, streaming::StreamingTable},
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    logical_expr::{Expr, TableType},
    physical_plan::{ExecutionPlan, stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::{Features, FeaturesError, Spine, TrainingSet, offline::training_set_schema};

/// A training set that a query reads.
#[derive(Debug)]
pub(crate) struct TrainingSetTable {
    inner: StreamingTable,
    rows: Option<u64>,
}

impl TrainingSetTable {
    /// Finds the columns of a training set, and refuses what can be refused before a row is read.
    pub(crate) async fn resolve(features: &Features, wanted: TrainingSet) -> Result<Self, FeaturesError> {
        let request = features.request(wanted.clone()).await?;
        // Counting a table costs a look at its log; counting a query would run it.
        let rows = match &wanted.spine {
            Spine::Table(table) if wanted.from.is_none() && wanted.to.is_none() => {
                features.lake().table(table).await?.rows
            }
            _ => None,
        };
        let schema = training_set_schema(&request)?;
        let partition = Rows { features: features.clone(), wanted, schema: Arc::clone(&schema) };
        let inner = StreamingTable::try_new(schema, vec![Arc::new(partition)])?;
        Ok(Self { inner, rows })
    }

    /// How many rows there will be, where that is known.
    pub(crate) fn rows(&self) -> Option<u64> {
        self.rows
    }
}

#[async_trait]
impl TableProvider for TrainingSetTable {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.inner.scan(session, projection, filters, limit).await
    }
}

/// The rows, made anew each time they are read. Dropping the stream ends the work.
struct Rows {
    features: Features,
    wanted: TrainingSet,
    schema: SchemaRef,
}

impl fmt::Debug for Rows {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TrainingSetRows").field("wanted", &self.wanted).finish_non_exhaustive()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (features, wanted) = (self.features.clone(), self.wanted.clone());
        let started = stream::once(async move {
            let started = Box::pin(features.training_set(wanted)).await;
            started
                .map(|training_set| training_set.batches)
                .map_err(|error| DataFusionError::External(Box::new(error)))
        });
        let rows = started.try_flatten().boxed();
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), rows))
    }
}
