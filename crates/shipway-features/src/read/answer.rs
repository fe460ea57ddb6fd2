//! The features of one key of one view at one moment.

use std::sync::Arc;

use shipway_core::{Timestamp, Value};

use crate::{
    error::FeaturesError,
    materialise::ActiveView,
    read::{plan::PlannedView, states::Found},
    state::{
        AggregateState, Body, Inexact, KeyState, LatestState,
        answer::{NoValue, newest_before, values},
        layout::AggregateLayout,
    },
};

/// The features of one key.
#[derive(Debug, Clone)]
pub(crate) struct KeyAnswer {
    pub(crate) values: Arc<[Value]>,
    /// Time of the newest event before the moment, if there is any.
    pub(crate) event_time: Option<Timestamp>,
}

/// The features of the key whose state was found.
pub(crate) fn answer(
    active: &ActiveView,
    found: &Found,
    view: &PlannedView,
    q: Timestamp,
) -> Result<KeyAnswer, FeaturesError> {
    let layout = &active.layout;
    let answered = match (found.state.as_deref(), &layout.body) {
        (Some(KeyState::Aggregates(state)), Body::Aggregates(aggregates)) => {
            aggregated(aggregates, state, active.built_from, view, (q, found.is_hot))
        }
        (Some(KeyState::Latest(state)), Body::Latest { ttl_us, ttls_us }) => {
            latest(state, (*ttl_us, ttls_us), active.built_from, view, q).map_err(NoValue::from)
        }
        (_, Body::Aggregates(aggregates)) => {
            let empty = AggregateState::empty(aggregates);
            aggregated(aggregates, &empty, active.built_from, view, (q, false))
        }
        (_, Body::Latest { ttl_us, ttls_us }) => {
            let empty = LatestState::default();
            latest(&empty, (*ttl_us, ttls_us), active.built_from, view, q).map_err(NoValue::from)
        }
    };
    answered.map_err(|why| refusal(why, view, q))
}

fn aggregated(
    layout: &AggregateLayout,
    state: &AggregateState,
    built_from: i64,
    view: &PlannedView,
    (q, is_hot): (Timestamp, bool),
) -> Result<KeyAnswer, NoValue> {
    let values = values(layout, state, q, built_from, &view.features, is_hot)?;
    Ok(KeyAnswer { values, event_time: newest_before(state, q) })
}

fn latest(
    state: &LatestState,
    (ttl_us, ttls_us): (Option<i64>, &[Option<i64>]),
    built_from: i64,
    view: &PlannedView,
    q: Timestamp,
) -> Result<KeyAnswer, Inexact> {
    let answer = state.answer(q, (ttl_us, ttls_us), built_from)?;
    let values: Vec<Value> = answer.values(&view.features);
    Ok(KeyAnswer { values: values.into(), event_time: answer.event_time })
}

fn refusal(why: NoValue, view: &PlannedView, q: Timestamp) -> FeaturesError {
    match why {
        NoValue::Inexact => FeaturesError::NotExact { view: view.name.to_string(), at: q },
        NoValue::Failed { feature, error } => {
            let name = view.features.iter().position(|held| *held == feature);
            let name = name.and_then(|at| view.feature_names.get(at)).map_or("", |name| name.as_str());
            FeaturesError::Feature { feature: format!("{}:{name}", view.name), source: error }
        }
    }
}

/// What every feature of a null key is.
pub(crate) fn nothing(view: &PlannedView) -> KeyAnswer {
    KeyAnswer { values: vec![Value::Null; view.features.len()].into(), event_time: None }
}
