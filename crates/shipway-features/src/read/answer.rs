//! The features of one key of one view at one moment.

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
    pub(crate) values: Vec<Value>,
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
        (Some(KeyState::Latest(state)), Body::Latest { ttl_us }) => {
            latest(state, *ttl_us, active.built_from, view, q).map_err(NoValue::from)
        }
        (_, Body::Aggregates(aggregates)) => {
            let empty = AggregateState::empty(aggregates);
            aggregated(aggregates, &empty, active.built_from, view, (q, false))
        }
        (_, Body::Latest { ttl_us }) => {
            latest(&LatestState::default(), *ttl_us, active.built_from, view, q).map_err(NoValue::from)
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
    ttl_us: Option<i64>,
    built_from: i64,
    view: &PlannedView,
    q: Timestamp,
) -> Result<KeyAnswer, Inexact> {
    let newest = state.row_at(q, None)?;
    let is_alive = |time: Timestamp| ttl_us.is_none_or(|ttl| q.micros().saturating_sub(time.micros()) <= ttl);
    let reaches_what_was_skipped = ttl_us.is_none_or(|ttl| q.micros().saturating_sub(ttl) < built_from);
    if newest.is_none() && built_from != i64::MIN && reaches_what_was_skipped {
        return Err(Inexact);
    }
    let row = newest.filter(|row| is_alive(row.time));
    let value =
        |position: &usize| row.and_then(|row| row.values.get(*position).cloned()).unwrap_or(Value::Null);
    Ok(KeyAnswer {
        values: view.features.iter().map(value).collect(),
        event_time: newest.map(|row| row.time),
    })
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
    KeyAnswer { values: vec![Value::Null; view.features.len()], event_time: None }
}
