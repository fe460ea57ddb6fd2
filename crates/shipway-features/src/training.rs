//! Training sets by name: finds the service and the spine, and hands them to the offline engine.

use std::collections::BTreeMap;

use arrow::datatypes::DataType as ArrowType;
use datafusion::{
    dataframe::DataFrame,
    execution::SendableRecordBatchStream,
    logical_expr::{Expr, cast},
    prelude::col,
    scalar::ScalarValue,
};
use shipway_core::{Digest, Name, Timestamp, nearest};
use shipway_lake::{AppendOptions, check_table_name, timestamp_type};

use crate::{
    Features,
    error::{FeaturesError, invalid},
    offline::{self, AsOf, TrainingSetRequest},
    store::loads,
};

/// A training set as a caller asks for it.
#[derive(Debug, Clone)]
pub struct TrainingSet {
    /// The service, by name.
    pub service: String,
    /// The rows to answer.
    pub spine: Spine,
    /// The column of the spine that holds each row's moment.
    pub time: String,
    /// Which events count.
    pub arrival: ArrivalRule,
    /// Only rows with a moment at or after this.
    pub from: Option<Timestamp>,
    /// Only rows with a moment before this.
    pub to: Option<Timestamp>,
}

/// Where the rows come from.
#[derive(Debug, Clone)]
pub enum Spine {
    /// All rows of a table.
    Table(String),
    /// The rows of a query.
    Sql(String),
}

/// Which events count.
#[derive(Debug, Clone, Default)]
pub enum ArrivalRule {
    /// Every event: the truth as it is known now.
    #[default]
    Any,
    /// Events that had arrived before these offsets, per source; without them, whatever reads see now.
    Before(Option<BTreeMap<String, u64>>),
}

/// A training set on its way.
pub struct TrainingSetStream {
    /// The rows of the spine in its order, each with its features.
    pub batches: SendableRecordBatchStream,
    /// How many rows there will be.
    pub rows: u64,
    /// The version of the service.
    pub service_hash: Digest,
}

/// A training set in its table.
#[derive(Debug, Clone, Copy)]
pub struct WrittenTrainingSet {
    /// Rows written.
    pub rows: u64,
    /// The version of the table that holds them.
    pub table_version: u64,
    /// The version of the service.
    pub service_hash: Digest,
}

impl Features {
    /// The training set. Every acknowledged event counts: what is in the log only is written to
    /// history first.
    pub async fn training_set(&self, wanted: TrainingSet) -> Result<TrainingSetStream, FeaturesError> {
        self.archive_everything().await?;
        let definitions = self.inner.definitions();
        let service = definitions.services.get(wanted.service.as_str()).cloned();
        let service = service.ok_or_else(|| FeaturesError::UnknownService {
            name: wanted.service.clone(),
            nearest: nearest(&wanted.service, definitions.services.keys().map(Name::as_str))
                .map(str::to_owned),
        })?;
        let spine = self.spine(&wanted).await?;
        let rows = spine.clone().count().await? as u64;
        let as_of = match wanted.arrival {
            ArrivalRule::Any => AsOf::EventTime,
            ArrivalRule::Before(Some(watermarks)) => AsOf::Arrival(watermarks),
            ArrivalRule::Before(None) => AsOf::Arrival(
                self.status().into_iter().map(|status| (status.source.to_string(), status.applied)).collect(),
            ),
        };
        let service_hash = service.hash;
        let request = TrainingSetRequest {
            service,
            definitions,
            spine,
            time_column: wanted.time,
            as_of,
            load_arrivals: self.load_arrivals().await?,
        };
        let batches = Box::pin(offline::training_set(&self.inner.lake, request)).await?;
        Ok(TrainingSetStream { batches, rows, service_hash })
    }

    /// Writes the training set into a new table, or appends it to one with the same columns.
    pub async fn write_training_set(
        &self,
        wanted: TrainingSet,
        table: &str,
    ) -> Result<WrittenTrainingSet, FeaturesError> {
        check_table_name(table)?;
        if self.inner.source(table).is_ok() || table.contains("__") {
            return Err(invalid(format!("table {table}: a training set needs a table of its own")));
        }
        let TrainingSetStream { batches, service_hash, .. } = self.training_set(wanted).await?;
        self.inner.lake.ensure_table(table, batches.schema()).await?;
        let appended = self.inner.lake.append(table, batches, AppendOptions::default()).await?;
        Ok(WrittenTrainingSet { rows: appended.rows, table_version: appended.table_version, service_hash })
    }

    /// Writes every event that was acknowledged before this call to history.
    pub async fn archive_everything(&self) -> Result<(), FeaturesError> {
        for runtime in self.inner.sources() {
            runtime.archive_up_to(runtime.topic.end()).await?;
        }
        Ok(())
    }

    /// For each source, the log offset at which each of its loads arrived.
    pub async fn load_arrivals(&self) -> Result<BTreeMap<String, BTreeMap<String, u64>>, FeaturesError> {
        let mut arrivals = BTreeMap::new();
        for runtime in self.inner.sources() {
            let of_source = loads::arrivals(&self.inner.store, runtime.name.as_str()).await?;
            arrivals.insert(runtime.name.to_string(), of_source);
        }
        Ok(arrivals)
    }

    pub(crate) async fn spine(&self, wanted: &TrainingSet) -> Result<DataFrame, FeaturesError> {
        let mut spine = match &wanted.spine {
            Spine::Table(table) => self.inner.lake.scan(table).await?,
            Spine::Sql(query) => self.inner.lake.query(query).await?,
        };
        if wanted.from.is_none() && wanted.to.is_none() {
            return Ok(spine);
        }
        let field = spine.schema().as_arrow().field_with_name(&wanted.time);
        let field = field.map_err(|_| invalid(format!("the spine has no column {}", wanted.time)))?;
        if !matches!(field.data_type(), ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64) {
            return Err(invalid(format!("column {} of the spine is not a time", wanted.time)));
        }
        let time = || cast(col(format!("\"{}\"", wanted.time)), timestamp_type());
        let moment = |moment: Timestamp| {
            let micros = ScalarValue::TimestampMicrosecond(Some(moment.micros()), Some("UTC".into()));
            Expr::Literal(micros, None)
        };
        if let Some(from) = wanted.from {
            spine = spine.filter(time().gt_eq(moment(from)))?;
        }
        if let Some(to) = wanted.to {
            spine = spine.filter(time().lt(moment(to)))?;
        }
        Ok(spine)
    }
}
