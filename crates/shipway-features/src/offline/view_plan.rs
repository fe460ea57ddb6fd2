//! A view of a service, resolved for the engine: which columns it reads, what it computes, what it answers.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use shipway_aggregate::{Aggregation, Window};
use shipway_core::{DataType, Digest, Length, Name};
use shipway_definitions::{ColumnOrigin, DefinitionSet, Feature, Service, View, ViewBody, ViewReference};

use super::{OfflineError, canonical::arrow_type};
use crate::model::schema::EVENT_ID_COLUMN;

/// The column of a view's answers that says which spine row each answers.
pub(crate) const POSITION: &str = "position";

/// One view of the service, with the features that the service takes.
#[derive(Debug)]
pub(crate) struct ViewPlan {
    pub(crate) name: Name,
    pub(crate) source: Name,
    pub(crate) event_time: Name,
    /// Key columns of the spine and their types.
    pub(crate) spine_keys: Vec<(Name, DataType)>,
    /// The columns of the source that hold the same keys.
    pub(crate) event_keys: Vec<Name>,
    /// Columns of the source that features read.
    pub(crate) inputs: Vec<(Name, DataType)>,
    pub(crate) body: PlannedBody,
    /// The columns answered: `view__feature` and the type.
    pub(crate) outputs: Vec<(String, DataType)>,
    /// The column that says which of two events at one moment comes first.
    pub(crate) event_id: String,
    /// The moment that a row is answered for, seen from its own moment: 0 for features, the end of the window for labels.
    pub(crate) shift_us: i64,
    /// What makes the answers what they are, beside the rows asked and the events: the hash of the view or of the label.
    pub(crate) identity: Digest,
}

/// What a view computes.
#[derive(Debug)]
pub(crate) enum PlannedBody {
    Aggregates(Vec<PlannedFeature>),
    Latest {
        ttl_us: Option<i64>,
        /// For each output, the input that it shows.
        columns: Vec<usize>,
    },
    Label(PlannedLabel),
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
    service.views.iter().map(|reference| plan_view(definitions, service, reference).map(Arc::new)).collect()
}

fn plan_view(
    definitions: &DefinitionSet,
    service: &Service,
    reference: &ViewReference,
) -> Result<ViewPlan, OfflineError> {
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
        ViewBody::Latest { ttl, .. } => {
            let columns = reference.features.iter().map(|name| input(view, name, &mut inputs));
            PlannedBody::Latest {
                columns: columns.collect::<Result<_, _>>()?,
                ttl_us: ttl.map(|ttl| ttl.micros()),
            }
        }
    };
    Ok(ViewPlan {
        name: view.name.clone(),
        source: view.source.clone(),
        event_time: view.event_time.clone(),
        spine_keys: view.entity_keys.clone(),
        event_keys: view.key_columns.clone(),
        inputs,
        body,
        outputs: outputs(service, reference)?,
        event_id: EVENT_ID_COLUMN.to_owned(),
        shift_us: 0,
        identity: identity(reference),
    })
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
    let data_type = view.column_types.get(column).ok_or_else(|| OfflineError::MissingDefinition {
        what: format!("column {column} of source {}, which view {} reads,", view.source, view.name),
    })?;
    inputs.push((column.clone(), *data_type));
    Ok(inputs.len() - 1)
}

fn outputs(service: &Service, reference: &ViewReference) -> Result<Vec<(String, DataType)>, OfflineError> {
    let column_of = |wanted: &Name| {
        service.columns().iter().find(|column| {
            matches!(&column.origin, ColumnOrigin::Feature { view, feature } if view == &reference.view && feature == wanted)
        })
    };
    let outputs = reference.features.iter().map(|feature| {
        column_of(feature).map(|column| (column.name.clone(), column.data_type)).ok_or_else(|| {
            OfflineError::MissingDefinition {
                what: format!("column of feature {}:{feature}", reference.view),
            }
        })
    });
    outputs.collect()
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
                columns.get(output).and_then(|input| self.inputs.get(*input)).map(|(name, _)| name)
            }
            PlannedBody::Label(_) => None,
        };
        feature.map_or_else(|| self.name.to_string(), |feature| format!("{}:{feature}", self.name))
    }
}
