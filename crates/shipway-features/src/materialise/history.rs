//! Which rows of a source's table had arrived before an offset, and what they carry for chained views.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use datafusion::{
    execution::SendableRecordBatchStream,
    logical_expr::{Expr, lit},
    prelude::{DataFrame, col},
    scalar::ScalarValue,
};
use shipway_core::{Digest, Name, Value};
use shipway_definitions::{DefinitionSet, ViewReference};

use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{batch::Missing, progress, views::ActiveView},
    model::schema::{ARRIVAL_COLUMN, LOAD_COLUMN, SourceSchema},
    offline::{AskingEvent, EngineSettings, Enriched, Enricher, ViewPlan, plan_inner, remaining},
    source::SourceRuntime,
    store::loads,
};

/// Rows to build states from.
#[derive(Debug, Clone)]
pub(crate) enum Rows {
    /// All that arrived before this offset.
    ArrivedBefore(u64),
    /// Those that arrived from the first of these offsets on and before the second.
    Arrived(Range<u64>),
    /// Those of one load.
    OfLoad(String),
}

/// The rows of `source`, without those whose event time is before `earliest`.
pub(crate) async fn select(
    inner: &Inner,
    source: &SourceSchema,
    rows: &Rows,
    earliest: i64,
) -> Result<DataFrame, FeaturesError> {
    let arrived = match rows {
        Rows::OfLoad(load_id) => col(LOAD_COLUMN).eq(lit(load_id.as_str())),
        Rows::ArrivedBefore(offset) => arrived_in(inner, &source.name, 0..*offset).await?,
        Rows::Arrived(range) => arrived_in(inner, &source.name, range.clone()).await?,
    };
    let mut frame = inner.lake.scan(source.name.as_str()).await?.filter(arrived)?;
    if source.corrections.is_some() {
        frame = remaining(frame)?;
    }
    if earliest != i64::MIN {
        let earliest = ScalarValue::TimestampMicrosecond(Some(earliest), Some("UTC".into()));
        let time = &source.columns[source.time_index].0;
        frame = frame.filter(col(time.as_str()).gt_eq(Expr::Literal(earliest, None)))?;
    }
    Ok(frame)
}

/// The condition under which a row of the table of `source` arrived in `range`.
async fn arrived_in(inner: &Inner, source: &Name, range: Range<u64>) -> Result<Expr, FeaturesError> {
    let arrivals = arrivals(inner, source).await?;
    let loaded: Vec<Expr> = arrivals
        .iter()
        .filter(|(_, arrival)| range.contains(arrival))
        .map(|(load_id, _)| lit(load_id.as_str()))
        .collect();
    let mut live = col(LOAD_COLUMN).is_null().and(col(ARRIVAL_COLUMN).lt(lit(range.end.cast_signed())));
    if range.start > 0 {
        live = live.and(col(ARRIVAL_COLUMN).gt_eq(lit(range.start.cast_signed())));
    }
    Ok(if loaded.is_empty() { live } else { live.or(col(LOAD_COLUMN).in_list(loaded, false)) })
}

/// The arrival of every load of `source` whose marker was applied or is noted. A marker is noted a moment after it is in the
/// log; whoever is behind it in the log finds it among the applied ones.
pub(crate) async fn arrivals(inner: &Inner, source: &Name) -> Result<BTreeMap<String, u64>, FeaturesError> {
    let mut arrivals = loads::arrivals(&inner.store, source.as_str()).await?;
    arrivals.extend(progress::applied_loads(&inner.online, source)?);
    Ok(arrivals)
}

/// Rows of history that are gone through more than once.
pub(crate) enum HistoryRows {
    /// As they are in the table.
    Plain { rows: Rows, earliest: i64 },
    /// With what they carry for chained views.
    Carrying(Enriched),
}

impl HistoryRows {
    /// The rows that `views` are built from, at the marker at `offset`. What chained views need of them is computed here.
    pub(crate) async fn of(
        inner: &Inner,
        source: &SourceSchema,
        views: &[ActiveView],
        (rows, offset): (Rows, u64),
        earliest: i64,
    ) -> Result<Self, FeaturesError> {
        let with = carried(&inner.definitions(), views)?;
        if with.is_empty() {
            return Ok(Self::Plain { rows, earliest });
        }
        inner.source(source.name.as_str())?.archive_up_to(offset).await?;
        let mut loads = arrivals(inner, &source.name).await?;
        if let Rows::OfLoad(load_id) = &rows {
            loads.insert(load_id.clone(), offset);
        }
        let history = select(inner, source, &rows, earliest).await?;
        let settings = EngineSettings::default();
        let time = &source.columns[source.time_index].0;
        let columns = source.columns.iter().cloned().collect();
        let enricher = Enricher::new(&inner.lake, &settings, loads);
        Ok(Self::Carrying(enricher.rows((&source.name, time), columns, history, &with).await?))
    }

    /// The rows, from the first.
    pub(crate) async fn stream(
        &self,
        inner: &Inner,
        source: &SourceSchema,
    ) -> Result<SendableRecordBatchStream, FeaturesError> {
        match self {
            Self::Plain { rows, earliest } => {
                let frame = select(inner, source, rows, *earliest).await?;
                Ok(frame.execute_stream().await?)
            }
            Self::Carrying(rows) => Ok(rows.stream()?),
        }
    }
}

/// The inner views of `views`, planned, each once with all features that any of them takes.
fn carried(definitions: &DefinitionSet, views: &[ActiveView]) -> Result<Vec<Arc<ViewPlan>>, FeaturesError> {
    let mut inner: BTreeMap<Digest, ViewReference> = BTreeMap::new();
    for reference in views.iter().flat_map(|active| &active.view.enrich) {
        let held = inner.entry(reference.hash).or_insert_with(|| reference.clone());
        for feature in &reference.features {
            if !held.features.contains(feature) {
                held.features.push(feature.clone());
            }
        }
    }
    let planned = inner.values().map(|reference| {
        let mut plan = plan_inner(definitions, reference)?;
        for ((column, _), feature) in plan.outputs.iter_mut().zip(&reference.features) {
            *column = carried_column(&reference.hash, feature);
        }
        Ok(Arc::new(plan))
    });
    planned.collect()
}

/// What a column that rows carry is called here: two versions of one view may stand side by side.
pub(crate) fn carried_column(view: &Digest, feature: &Name) -> String {
    format!("{}:{feature}", view.hex())
}

/// What an inner view says, out of history, to the events of a run that its states could not answer. `end` is the offset
/// behind the run.
pub(crate) async fn said(
    inner: &Inner,
    runtime: &SourceRuntime,
    end: u64,
    missing: &Missing,
) -> Result<Vec<Vec<Value>>, FeaturesError> {
    runtime.archive_up_to(end).await?;
    let loads = arrivals(inner, &runtime.name).await?;
    let plan = Arc::new(plan_inner(&inner.definitions(), &missing.asked.reference)?);
    let events: Vec<AskingEvent<'_>> = missing
        .events
        .iter()
        .map(|event| AskingEvent {
            time_us: event.time.micros(),
            arrival: event.arrival,
            key: event.key.iter().collect(),
        })
        .collect();
    metrics::counter!("shipway_chained_from_history_events", "source" => runtime.name.to_string())
        .increment(events.len() as u64);
    let settings = EngineSettings::default();
    Ok(Enricher::new(&inner.lake, &settings, loads).values(&plan, &events).await?)
}
