//! Training sets by name: finds the service and the spine, and hands them to the offline engine.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::DataType as ArrowType;
use datafusion::{
    dataframe::DataFrame,
    execution::SendableRecordBatchStream,
    logical_expr::{Expr, cast},
    prelude::col,
    scalar::ScalarValue,
};
use shipway_core::{Digest, Name, Timestamp, nearest};
use shipway_definitions::{DefinitionSet, Service, Versioned};
use shipway_lake::timestamp_type;
use shipway_web::spans::within;

use crate::{
    Features,
    error::{FeaturesError, invalid},
    offline::{self, AsOf, Label, Pins, TrainingSetRequest},
    spans,
    store::{loads, training_sets},
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
    /// What came after each row, joined after the features.
    pub labels: Vec<Label>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ArrivalRule {
    /// Every event: the truth as it is known now.
    #[default]
    Any,
    /// For each row the events that the server had taken in by the row's moment: what serving saw.
    Received,
    /// Events that had arrived before these log offsets, per source.
    Before(BTreeMap<String, u64>),
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

impl Features {
    /// The training set. Every acknowledged event counts: what is in the log only is written to
    /// history first.
    pub async fn training_set(&self, wanted: TrainingSet) -> Result<TrainingSetStream, FeaturesError> {
        let service = wanted.service.clone();
        let described = || spans::of_training_set(&service, None);
        within("training_set", described, self.begun(wanted)).await
    }

    /// The training set once its rows begin to come.
    async fn begun(&self, wanted: TrainingSet) -> Result<TrainingSetStream, FeaturesError> {
        self.archive_everything().await?;
        let request = self.request(wanted).await?;
        let rows = request.spine.clone().count().await? as u64;
        let service_hash = request.service.hash;
        let batches = Box::pin(offline::training_set(&self.inner.lake, request)).await?;
        Ok(TrainingSetStream { batches, rows, service_hash })
    }

    /// What the engine is asked for, with everything found that `wanted` names.
    pub(crate) async fn request(&self, wanted: TrainingSet) -> Result<TrainingSetRequest, FeaturesError> {
        let definitions = self.inner.definitions();
        let service = self.service(&definitions, &wanted.service)?;
        let spine = self.spine(&wanted).await?;
        let as_of = match wanted.arrival {
            ArrivalRule::Any => AsOf::EventTime,
            ArrivalRule::Before(watermarks) => AsOf::Arrival(watermarks),
            ArrivalRule::Received => AsOf::Received(self.load_moments().await?),
        };
        // Taken before the loads are: of what comes later nobody knows yet which loads came before it.
        let arrived_before = self.ends_of_chains(&definitions, &service.definition);
        Ok(TrainingSetRequest {
            service,
            definitions,
            spine,
            time_column: wanted.time,
            as_of,
            load_arrivals: self.load_arrivals().await?,
            labels: wanted.labels,
            pins: Pins { arrived_before, ..Pins::default() },
        })
    }

    /// The present ends of the logs whose order of arrival decides values: those of chained views.
    fn ends_of_chains(&self, definitions: &DefinitionSet, service: &Service) -> BTreeMap<String, u64> {
        let views = service.views.iter().filter_map(|taken| definitions.views_by_hash.get(&taken.hash));
        let chained = views.filter(|view| !view.definition.enrich.is_empty());
        let ends = chained.filter_map(|view| {
            let runtime = self.inner.source(view.definition.source.as_str()).ok()?;
            Some((runtime.name.to_string(), runtime.topic.end()))
        });
        ends.collect()
    }

    /// The service of that name, as it is now.
    pub(crate) fn service(
        &self,
        definitions: &DefinitionSet,
        name: &str,
    ) -> Result<Arc<Versioned<Service>>, FeaturesError> {
        definitions.services.get(name).cloned().ok_or_else(|| FeaturesError::UnknownService {
            name: name.to_owned(),
            nearest: nearest(name, definitions.services.keys().map(Name::as_str)).map(str::to_owned),
        })
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
            arrivals.insert(runtime.name.to_string(), self.arrivals_of(runtime.name.as_str()).await?);
        }
        Ok(arrivals)
    }

    /// The log offset at which each load of `source` arrived: of all whose marker is in the log by now.
    pub(crate) async fn arrivals_of(&self, source: &str) -> Result<BTreeMap<String, u64>, FeaturesError> {
        let runtime = self.inner.source(source).ok();
        let _noted = match &runtime {
            Some(runtime) => Some(runtime.marking.lock().await),
            None => None,
        };
        Ok(loads::arrivals(&self.inner.store, source).await?)
    }

    /// For each source, the moment at which each of its loads arrived.
    async fn load_moments(&self) -> Result<BTreeMap<String, BTreeMap<String, Timestamp>>, FeaturesError> {
        let mut moments = BTreeMap::new();
        for runtime in self.inner.sources() {
            let of_source = training_sets::load_moments(&self.inner.store, runtime.name.as_str()).await?;
            moments.insert(runtime.name.to_string(), of_source);
        }
        Ok(moments)
    }

    pub(crate) async fn spine(&self, wanted: &TrainingSet) -> Result<DataFrame, FeaturesError> {
        let spine = match &wanted.spine {
            Spine::Table(table) => self.inner.lake.scan(table).await?,
            Spine::Sql(query) => self.inner.lake.query(query).await?,
        };
        between(spine, &wanted.time, wanted.from, wanted.to)
    }
}

/// The rows of `spine` whose moment, in column `time_column`, lies in the half-open range.
pub(crate) fn between(
    mut spine: DataFrame,
    time_column: &str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<DataFrame, FeaturesError> {
    if from.is_none() && to.is_none() {
        return Ok(spine);
    }
    let field = spine.schema().as_arrow().field_with_name(time_column);
    let field = field.map_err(|_| invalid(format!("the spine has no column {time_column}")))?;
    if !matches!(field.data_type(), ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64) {
        return Err(invalid(format!("column {time_column} of the spine is not a time")));
    }
    let time = || cast(col(format!("\"{time_column}\"")), timestamp_type());
    let moment = |moment: Timestamp| {
        let micros = ScalarValue::TimestampMicrosecond(Some(moment.micros()), Some("UTC".into()));
        Expr::Literal(micros, None)
    };
    if let Some(from) = from {
        spine = spine.filter(time().gt_eq(moment(from)))?;
    }
    if let Some(to) = to {
        spine = spine.filter(time().lt(moment(to)))?;
    }
    Ok(spine)
}
