//! `POST /get-online-features`: columns of keys in, columns of features with a status for each value out.

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use shipway_core::{DataType, Name, Value, exact_json};
use shipway_definitions::Beyond;
use shipway_web::{Json as Body, JsonText, Problem};

use super::frame::Frame;
use crate::{
    error::{FeaturesError, invalid},
    read::{
        ReadPlan, Reads,
        plan::PlannedView,
        rows::{RequestRow, check_count},
        service::{Moment, ReadAnswer, ViewFreshness},
    },
};

/// What their server answers where no event belongs to a value.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// A request as their client sends it. Fields that it does not know are for their server, not for ours.
#[derive(Deserialize)]
pub(super) struct Wanted {
    entities: Map<String, Json>,
    feature_service: Option<String>,
    #[serde(default)]
    features: Vec<String>,
    #[serde(default)]
    full_feature_names: bool,
    #[serde(default)]
    include_feature_view_version_metadata: bool,
}

#[derive(Serialize)]
pub(super) struct Answer {
    metadata: Metadata,
    results: Vec<FeatureVector>,
}

#[derive(Serialize)]
struct Metadata {
    feature_names: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    feature_view_metadata: Vec<ViewMetadata>,
}

#[derive(Serialize)]
struct ViewMetadata {
    name: String,
    version: u64,
}

/// One column.
#[derive(Serialize, Default)]
struct FeatureVector {
    values: Vec<Json>,
    statuses: Vec<Status>,
    event_timestamps: Vec<String>,
}

#[derive(Serialize, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Status {
    /// JSON has no form for the value: NaN or an infinity.
    Invalid,
    /// The value belongs to the moment.
    Present,
    /// The key has events, and the feature no value.
    NullValue,
    /// The key has no event.
    NotFound,
    /// The newest event is older than the time to live, or than the objective of a view that is null then.
    OutsideMaxAge,
}

/// Answers as their server does: the keys, what came with the request, the features view by view, then computed columns.
pub(super) async fn get_online_features(
    State(reads): State<Reads>,
    JsonText { value: wanted, text }: JsonText<Wanted>,
) -> Result<Body<Answer>, Problem> {
    let plan = match &wanted.feature_service {
        Some(service) => reads.plan(service, None)?,
        None if wanted.features.is_empty() => {
            return Err(invalid("the request names neither features nor a feature service").into());
        }
        None => reads.plan_of_features(&wanted.features)?,
    };
    let names = feature_names(&plan, wanted.full_feature_names)?;
    let exact = exact_entities(&plan, &wanted.entities, &text)?;
    let entities = Frame::new(wanted.entities)?;
    check_count(entities.rows(), reads.limits().read_rows)?;
    let rows = rows(&plan, exact.as_ref().unwrap_or(&entities))?;
    let answer = reads.read(Arc::clone(&plan), rows, Moment::default()).await?;
    let views = plan.views.iter().filter(|_| wanted.include_feature_view_version_metadata);
    let metadata = Metadata {
        feature_names: names,
        feature_view_metadata: views
            .map(|view| ViewMetadata { name: view.name.to_string(), version: 0 })
            .collect(),
    };
    Ok(Body(Answer { metadata, results: results(&plan, &entities, &answer) }))
}

/// The entities with the digits of their decimals, where there are any: the answer repeats them as they came.
fn exact_entities(
    plan: &ReadPlan,
    entities: &Map<String, Json>,
    text: &[u8],
) -> Result<Option<Frame>, FeaturesError> {
    if !entities.keys().any(|column| plan.is_decimal(column)) {
        return Ok(None);
    }
    let mut exact = entities.clone();
    exact_json::restore_member(&mut exact, text, "entities", |column| plan.is_decimal(column))
        .map_err(|fault| invalid(format!("entities: {fault}")))?;
    Frame::new(exact).map(Some)
}

/// The names of the columns, no two the same.
fn feature_names(plan: &ReadPlan, full: bool) -> Result<Vec<String>, FeaturesError> {
    let given = plan.keys.iter().chain(&plan.request).map(|(name, _)| name.to_string());
    let mut names: Vec<String> = given.collect();
    for view in &plan.views {
        for feature in &view.feature_names {
            let name = if full { format!("{}__{feature}", view.name) } else { feature.to_string() };
            if names.contains(&name) {
                return Err(FeaturesError::FeatureNamesCollide { name });
            }
            names.push(name);
        }
    }
    for name in plan.computed_names() {
        if names.contains(name) {
            return Err(FeaturesError::FeatureNamesCollide { name: name.clone() });
        }
        names.push(name.clone());
    }
    Ok(names)
}

fn rows(plan: &ReadPlan, entities: &Frame) -> Result<Vec<RequestRow>, FeaturesError> {
    let known = || plan.keys.iter().chain(&plan.request).map(|(name, _)| name.as_str());
    if let Some(stranger) = entities.names().find(|name| known().all(|known| known != *name)) {
        let nearest = shipway_core::nearest(stranger, known()).map(str::to_owned);
        return Err(FeaturesError::UnknownEntity { name: stranger.to_owned(), nearest });
    }
    let columns = |wanted: &[(Name, DataType)], kind: &str| {
        let column = |(name, data_type): &(Name, DataType)| {
            let values = entities.column(name.as_str());
            let values = values.ok_or_else(|| invalid(format!("the {kind} {name} is missing")))?;
            let typed = values.iter().enumerate().map(|(row, json)| {
                Value::from_json(json, *data_type)
                    .map_err(|mismatch| invalid(format!("row {row}: {kind} {name}: {mismatch}")))
            });
            typed.collect::<Result<Vec<_>, _>>()
        };
        wanted.iter().map(column).collect::<Result<Vec<_>, FeaturesError>>()
    };
    let (keys, request) = (columns(&plan.keys, "entity")?, columns(&plan.request, "request column")?);
    let cells = |columns: &[Vec<Value>], row: usize| {
        columns.iter().map(|column| column.get(row).cloned().unwrap_or(Value::Null)).collect()
    };
    Ok((0..entities.rows())
        .map(|row| RequestRow { keys: cells(&keys, row), request: cells(&request, row) })
        .collect())
}

fn results(plan: &ReadPlan, entities: &Frame, answer: &ReadAnswer) -> Vec<FeatureVector> {
    let given = plan.keys.iter().chain(&plan.request).map(|(name, _)| {
        let values = entities.column(name.as_str()).unwrap_or_default();
        FeatureVector {
            values: values.to_vec(),
            statuses: vec![Status::Present; values.len()],
            event_timestamps: vec![NO_TIME.to_owned(); values.len()],
        }
    });
    let mut results: Vec<FeatureVector> = given.collect();
    let mut column = 0;
    for (position, view) in plan.views.iter().enumerate() {
        for feature in 0..view.feature_names.len() {
            let mut vector = FeatureVector::default();
            for row in &answer.rows {
                let (Some(value), Some(freshness)) = (row.values.get(column), row.views.get(position)) else {
                    continue;
                };
                let status = status(view, feature, value, freshness);
                vector.values.push(if status == Status::Invalid { Json::Null } else { value.to_json() });
                vector.statuses.push(status);
                vector
                    .event_timestamps
                    .push(freshness.event_time.map_or_else(|| NO_TIME.to_owned(), |time| time.to_string()));
            }
            results.push(vector);
            column += 1;
        }
    }
    let first = plan.columns.len() - plan.computed_names().len();
    results.extend((first..plan.columns.len()).map(|column| computed(answer, column)));
    results
}

/// A computed column belongs to the moment of the request.
fn computed(answer: &ReadAnswer, column: usize) -> FeatureVector {
    let mut vector = FeatureVector::default();
    for value in answer.rows.iter().filter_map(|row| row.values.get(column)) {
        let status = match value {
            Value::Float(number) if !number.is_finite() => Status::Invalid,
            Value::Null => Status::NullValue,
            _ => Status::Present,
        };
        vector.values.push(if status == Status::Invalid { Json::Null } else { value.to_json() });
        vector.statuses.push(status);
        vector.event_timestamps.push(answer.at.to_string());
    }
    vector
}

fn status(view: &PlannedView, feature: usize, value: &Value, freshness: &ViewFreshness) -> Status {
    match value {
        Value::Float(number) if !number.is_finite() => Status::Invalid,
        Value::Null => match freshness.age_us {
            None => Status::NotFound,
            Some(age_us) => {
                let ttl_us = view.ttls_us.get(feature).copied().flatten();
                let is_dead = ttl_us.is_some_and(|ttl_us| age_us > ttl_us);
                let is_withheld = view.freshness_of(feature).is_some_and(|freshness| {
                    freshness.beyond == Beyond::Null && age_us > freshness.objective.micros()
                });
                if is_dead || is_withheld { Status::OutsideMaxAge } else { Status::NullValue }
            }
        },
        _ => Status::Present,
    }
}
