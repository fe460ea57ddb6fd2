//! What the joined views say to events: to each at its own time, out of what their sources had taken in by now.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use shipway_core::Value;
use shipway_online::Space;

use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{Published, ask, history, off_the_executor, views::state_key_of},
    model::event::SourceEvent,
    offline::{AskingEvent, EngineSettings, Enricher, plan_inner},
    read::{Wanted, states},
    select::plan::{PlannedJoin, SelectPlan},
    state::KeyState,
};

/// Refuses while a joined view has no complete state.
pub(super) async fn ready(inner: &Inner, plan: &SelectPlan) -> Result<(), FeaturesError> {
    for join in &plan.joins {
        let published = inner.source(join.source.as_str())?.first_published().await?;
        if !published.views.contains_key(&join.reference.hash) {
            return Err(FeaturesError::Building { view: join.reference.view.to_string(), progress: None });
        }
    }
    Ok(())
}

/// The features that are joined to each of `events`, in the order of the text; all that nobody reads are null.
pub(super) async fn joined(
    inner: &Arc<Inner>,
    plan: &Arc<SelectPlan>,
    events: &Arc<Vec<SourceEvent>>,
) -> Result<Vec<Vec<Value>>, FeaturesError> {
    let mut rows: Vec<Vec<Value>> = events.iter().map(|_| Vec::new()).collect();
    for (at, join) in plan.joins.iter().enumerate() {
        let runtime = inner.source(join.source.as_str())?;
        let published = runtime.first_published().await?;
        let (inner_then, plan_then, events_then, published_then) =
            (Arc::clone(inner), Arc::clone(plan), Arc::clone(events), Arc::clone(&published));
        let mut said = off_the_executor(inner, move || {
            from_states(&inner_then, &plan_then.joins[at], &events_then, &published_then)
        })
        .await?;
        let missing: Vec<usize> =
            said.iter().enumerate().filter(|(_, said)| said.is_none()).map(|(place, _)| place).collect();
        if !missing.is_empty() {
            runtime.archive_up_to(published.applied).await?;
            let values = from_history(inner, join, (events, &missing), published.applied).await?;
            for (place, values) in missing.into_iter().zip(values) {
                said[place] = Some(values);
            }
        }
        for (row, said) in rows.iter_mut().zip(said) {
            let first = row.len();
            row.resize(first + join.width, Value::Null);
            for (position, value) in join.wanted.iter().zip(said.unwrap_or_default()) {
                row[first + position] = value;
            }
        }
    }
    Ok(rows)
}

/// What the states of a view say to each event; none where they cannot say it exactly.
fn from_states(
    inner: &Inner,
    join: &PlannedJoin,
    events: &[SourceEvent],
    published: &Published,
) -> Result<Vec<Option<Vec<Value>>>, FeaturesError> {
    let Some(active) = published.views.get(&join.reference.hash) else {
        return Err(FeaturesError::Building { view: join.reference.view.to_string(), progress: None });
    };
    let mut known: HashMap<Bytes, usize> = HashMap::new();
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    let places: Vec<Option<usize>> = events
        .iter()
        .map(|event| {
            let key = state_key_of(active, join.keys.iter().map(|&position| &event.values[position]))?;
            Some(*known.entry(key.clone()).or_insert_with(|| {
                wanted.push(Wanted { layout: &active.layout, key });
                wanted.len() - 1
            }))
        })
        .collect();
    let load = |keys: &[Bytes]| Ok(published.snapshot.get_many(Space::State, keys)?);
    let found = states(&inner.cache, published.number, &wanted, load)?;
    let empty = KeyState::empty(&active.layout);
    let said = events.iter().zip(places).map(|(event, place)| {
        // A null key has no features.
        let Some(place) = place else { return Some(vec![Value::Null; join.wanted.len()]) };
        let state = found[place].state.as_deref().unwrap_or(&empty);
        ask(active, state, event.time, &join.wanted).ok()
    });
    Ok(said.collect())
}

/// The same out of history, for the events at the places `missing`, of the rows that had arrived before `applied`.
async fn from_history(
    inner: &Inner,
    join: &PlannedJoin,
    (events, missing): (&[SourceEvent], &[usize]),
    applied: u64,
) -> Result<Vec<Vec<Value>>, FeaturesError> {
    let loads = history::arrivals(inner, &join.source).await?;
    let plan = Arc::new(plan_inner(&inner.definitions(), &join.reference)?);
    let asking: Vec<AskingEvent<'_>> = missing
        .iter()
        .map(|&place| AskingEvent {
            time_us: events[place].time.micros(),
            arrival: applied.saturating_sub(1),
            key: join.keys.iter().map(|&position| &events[place].values[position]).collect(),
        })
        .collect();
    metrics::counter!("shipway_joined_from_history_events", "source" => join.source.to_string())
        .increment(asking.len() as u64);
    let settings = EngineSettings::default();
    Ok(Enricher::new(&inner.lake, &settings, loads).values(&plan, &asking).await?)
}
