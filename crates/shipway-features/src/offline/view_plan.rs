//! A view of a service, resolved for the engine: which columns it reads, what it computes, what it answers.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::{
    common::ScalarValue,
    prelude::{Expr, ident, lit},
};
use shipway_aggregate::{Aggregation, Window};
use shipway_core::{DataType, Digest, Length, Name};
use shipway_definitions::{DefinitionSet, Feature, Service, View, ViewBody, ViewReference};

use super::{OfflineError, canonical::arrow_type, expressions::PlannedExpressions};
use crate::model::schema::EVENT_ID_COLUMN;

/// The column of a view's answers that says which spine row each answers.
pub(crate) const POSITION: &str = "position";

/// One view of the service, with the features that the service takes.
#[derive(Debug)]
pub(crate) struct ViewPlan {
    pub(crate) name: Name,
    pub(crate) source: Name,
    pub(crate) event_time: Name,
    /// Whether an event of the source takes the place of an earlier one with its id.
    pub(crate) is_corrected: bool,
    /// Key columns of the spine and their types.
    pub(crate) spine_keys: Vec<(Name, DataType)>,
    /// The columns, of the source or derived, that hold the same keys.
    pub(crate) event_keys: Vec<Name>,
    /// Columns that features read: of the source, or derived.
    pub(crate) inputs: Vec<(Name, DataType)>,
    /// Which events count and what is derived from them, where the view says so.
    pub(crate) expressions: Option<PlannedExpressions>,
    pub(crate) body: PlannedBody,
    /// The columns answered: `view__feature` and the type.
    pub(crate) outputs: Vec<(String, DataType)>,
    /// The column that says which of two events at one moment comes first.
    pub(crate) event_id: String,
    /// The moment that a row is answered for, seen from its own moment: 0 for features, the end of the window for labels.
    pub(crate) shift_us: i64,
    /// What makes the answers what they are, beside the rows asked and the events: the hash of the view or of the label.
    pub(crate) identity: Digest,
    /// The views that give its events further columns, their outputs; asked with the event's own keys.
    pub(crate) enrich: Vec<Arc<ViewPlan>>,
    /// Every column of an event that the view reads, its own and further ones.
    pub(crate) reads: BTreeMap<Name, DataType>,
    /// What becomes of a value that cannot be given, such as an integer sum beyond 64 bits.
    pub(crate) failure: Failure,
}

/// What becomes of a value that cannot be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The training set is refused.
    Refused,
    /// It is null: an event cannot be refused for what came before it.
    Null,
}

/// What a view computes.
#[derive(Debug)]
pub(crate) enum PlannedBody {
    Aggregates(Vec<PlannedFeature>),
    Latest { ttl_us: Option<i64>, columns: Vec<PlannedColumn> },
    Label(PlannedLabel),
}

/// One column of the last row.
#[derive(Debug)]
pub(crate) struct PlannedColumn {
    /// The input that it shows.
    pub(crate) input: usize,
    /// The age, inclusive, up to which it counts, where that is less than the row's.
    pub(crate) ttl_us: Option<i64>,
}

/// The one value of a label.
#[derive(Debug)]
pub(crate) struct PlannedLabel {
    pub(crate) aggregation: Aggregation,
    /// How long before the shifted moment the window begins.
    pub(crate) length: Length,
    pub(crate) input: Option<usize>,
}

/// One windowed feature.
#[derive(Debug)]
pub(crate) struct PlannedFeature {
    pub(crate) name: Name,
    pub(crate) aggregation: Aggregation,
    pub(crate) window: Window,
    pub(crate) input: Option<usize>,
    /// The input whose values are the buckets.
    pub(crate) bucket: Option<usize>,
}

/// The views of `service` in its order.
pub(crate) fn plan(
    definitions: &DefinitionSet,
    service: &Service,
) -> Result<Vec<Arc<ViewPlan>>, OfflineError> {
    service.views.iter().map(|reference| plan_view(definitions, reference).map(Arc::new)).collect()
}

fn plan_view(definitions: &DefinitionSet, reference: &ViewReference) -> Result<ViewPlan, OfflineError> {
    let missing = |what: String| OfflineError::MissingDefinition { what };
    let versioned = definitions
        .views_by_hash
        .get(&reference.hash)
        .ok_or_else(|| missing(format!("view {} at version {}", reference.view, reference.hash.short())))?;
    let view = &versioned.definition;
    let mut inputs = Vec::new();
    let body = match &view.body {
        ViewBody::Aggregates(features) => {
            let planned = reference.features.iter().map(|name| {
                let feature = features.iter().find(|feature| &feature.name == name);
                planned_feature(view, feature, name, &mut inputs)
            });
            PlannedBody::Aggregates(planned.collect::<Result<_, _>>()?)
        }
        ViewBody::Latest { ttl, ttls, .. } => {
            let columns = reference.features.iter().map(|name| {
                let ttl_us = ttls.get(name).map(|ttl| ttl.micros());
                Ok(PlannedColumn { input: input(view, name, &mut inputs)?, ttl_us })
            });
            PlannedBody::Latest {
                columns: columns.collect::<Result<_, OfflineError>>()?,
                ttl_us: ttl.map(|ttl| ttl.micros()),
            }
        }
    };
    let enrich = view.enrich.iter().map(|reference| plan_inner(definitions, reference).map(Arc::new));
    Ok(ViewPlan {
        name: view.name.clone(),
        source: view.source.clone(),
        event_time: view.event_time.clone(),
        is_corrected: view.is_corrected,
        spine_keys: view.entity_keys.clone(),
        event_keys: view.key_columns.clone(),
        inputs,
        expressions: PlannedExpressions::of(view)?,
        body,
        outputs: outputs(view, reference)?,
        event_id: EVENT_ID_COLUMN.to_owned(),
        shift_us: 0,
        identity: identity(reference),
        enrich: enrich.collect::<Result<_, _>>()?,
        reads: view.column_types.clone(),
        failure: Failure::Refused,
    })
}

/// A view as the events of another one ask it: by the columns of an event that hold its keys.
pub(crate) fn plan_inner(
    definitions: &DefinitionSet,
    reference: &ViewReference,
) -> Result<ViewPlan, OfflineError> {
    let mut plan = plan_view(definitions, reference)?;
    for ((key, _), column) in plan.spine_keys.iter_mut().zip(&plan.event_keys) {
        key.clone_from(column);
    }
    plan.failure = Failure::Null;
    Ok(plan)
}

/// The view's own hash, and which of its features are asked for.
fn identity(reference: &ViewReference) -> Digest {
    let features: Vec<&str> = reference.features.iter().map(Name::as_str).collect();
    Digest::of(format!("view {} {}", reference.hash, features.join(" ")))
}

fn planned_feature(
    view: &View,
    feature: Option<&Feature>,
    name: &Name,
    inputs: &mut Vec<(Name, DataType)>,
) -> Result<PlannedFeature, OfflineError> {
    let missing = || OfflineError::MissingDefinition { what: format!("feature {}:{name}", view.name) };
    let feature = feature.ok_or_else(missing)?;
    let mut input_of =
        |column: &Option<Name>| column.as_ref().map(|column| input(view, column, inputs)).transpose();
    let (input, bucket) = (input_of(&feature.column)?, input_of(&feature.by)?);
    let (aggregation, window) = (feature.aggregation, feature.window);
    Ok(PlannedFeature { name: name.clone(), aggregation, window, input, bucket })
}

fn input(view: &View, column: &Name, inputs: &mut Vec<(Name, DataType)>) -> Result<usize, OfflineError> {
    if let Some(index) = inputs.iter().position(|(name, _)| name == column) {
        return Ok(index);
    }
    let data_type = view.column_type(column.as_str()).ok_or_else(|| OfflineError::MissingDefinition {
        what: format!("column {column} of source {}, which view {} reads,", view.source, view.name),
    })?;
    inputs.push((column.clone(), data_type));
    Ok(inputs.len() - 1)
}

fn outputs(view: &View, reference: &ViewReference) -> Result<Vec<(String, DataType)>, OfflineError> {
    let types = view.outputs();
    let outputs = reference.columns().map(|(feature, column)| {
        let found = types.iter().find(|(name, _)| name == feature);
        found.map(|(_, data_type)| (column, *data_type)).ok_or_else(|| OfflineError::MissingDefinition {
            what: format!("feature {}:{feature}", reference.view),
        })
    });
    outputs.collect()
}

fn moment(time_us: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(time_us), Some(Arc::from("UTC"))))
}

impl ViewPlan {
    /// Whether event ids decide anything: the order of events at one microsecond.
    pub(crate) fn needs_event_id(&self) -> bool {
        match &self.body {
            PlannedBody::Latest { .. } => true,
            PlannedBody::Label(label) => label.aggregation.operation().needs_event_id(),
            PlannedBody::Aggregates(features) => {
                features.iter().any(|feature| feature.aggregation.operation().needs_event_id())
            }
        }
    }

    /// How far before a query time an event can still matter, at most; `None` when there is no such bound.
    pub(crate) fn lookback_us(&self) -> Option<i64> {
        match &self.body {
            PlannedBody::Latest { ttl_us, .. } => *ttl_us,
            PlannedBody::Label(label) => Some(label.length.micros()),
            PlannedBody::Aggregates(features) => features.iter().try_fold(0, |longest: i64, feature| {
                let Window::Sized(length) = feature.window else { return None };
                let hop_us = feature.window.hop_us().unwrap_or(0);
                Some(longest.max(length.micros().saturating_add(hop_us)))
            }),
        }
    }

    /// Which events can matter to rows with a moment within `times`, by their own time.
    fn reaches(&self, times: (i64, i64)) -> Expr {
        let time = || ident(self.event_time.as_str());
        let [earliest, latest] = [times.0, times.1].map(|time| time.saturating_add(self.shift_us));
        let before = time().lt(moment(latest));
        match self.lookback_us() {
            None => before,
            Some(lookback_us) => before.and(time().gt_eq(moment(earliest.saturating_sub(lookback_us)))),
        }
    }

    /// Which rows of `history` can matter to rows with a moment within `times`.
    pub(crate) fn wanted(&self, times: (i64, i64), history: &Schema) -> Expr {
        let necessary = self.expressions.as_ref().map(|expressions| expressions.necessary(history));
        necessary.into_iter().flatten().fold(self.reaches(times), Expr::and)
    }

    /// Position, then the answers.
    pub(crate) fn answer_schema(&self) -> SchemaRef {
        let position = Field::new(POSITION, arrow::datatypes::DataType::UInt64, false);
        let outputs =
            self.outputs.iter().map(|(name, data_type)| Field::new(name, arrow_type(*data_type), true));
        Arc::new(Schema::new(std::iter::once(position).chain(outputs).collect::<Vec<_>>()))
    }

    /// `view:feature` of one output, for messages.
    pub(crate) fn reference(&self, output: usize) -> String {
        let feature = match &self.body {
            PlannedBody::Aggregates(features) => features.get(output).map(|feature| &feature.name),
            PlannedBody::Latest { columns, .. } => {
                columns.get(output).and_then(|column| self.inputs.get(column.input)).map(|(name, _)| name)
            }
            PlannedBody::Label(_) => None,
        };
        feature.map_or_else(|| self.name.to_string(), |feature| format!("{}:{feature}", self.name))
    }
}
