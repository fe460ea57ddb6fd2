//! What the events of a run carry for chained views.
//!
//! An event carries what each inner view said just before it: of its own key, at its own time, out of the events that had
//! arrived by then. The states of an inner view stand exactly there when the events of a run are taken in log order, each
//! first asked for and then counted. What a state cannot say exactly (an event that is late on a busy key), or a view whose
//! state is not complete yet, is left out here and computed from history, where every event has its arrival.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use shipway_core::{Digest, Name, Timestamp, Value};
use shipway_definitions::{DefinitionSet, ViewReference};

use crate::{
    error::FeaturesError,
    materialise::views::ActiveView,
    model::{event::SourceEvent, schema::SourceSchema},
    state::{
        Body, Inexact, KeyState,
        answer::{NoValue, values},
    },
};

/// One view, as far as a run of events needs it.
pub(crate) struct Participant {
    pub(crate) active: ActiveView,
    /// How many views it stands on, one on the other.
    pub(crate) level: usize,
    /// Whether its states count the events.
    pub(crate) counts: bool,
    /// What other views ask of it.
    pub(crate) asked: Option<Asked>,
}

/// What the views of a run ask of one of them.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// The features, each once.
    pub(crate) reference: ViewReference,
    /// Their positions in the view.
    pub(crate) positions: Vec<usize>,
    /// Whether its states hold every event that came before the run.
    pub(crate) is_complete: bool,
}

/// The views that take part in a run: those that keep states, the first `complete` of which hold every event before the
/// run, and those that are only asked. Each comes after the views that it stands on.
pub(crate) fn participants(
    states: &[ActiveView],
    complete: usize,
    definitions: &DefinitionSet,
    schema: &SourceSchema,
) -> Result<Vec<Participant>, FeaturesError> {
    let demands = demands(states, definitions)?;
    let mut participants: Vec<Participant> = Vec::with_capacity(states.len());
    for (place, active) in states.iter().enumerate() {
        let is_complete = place < complete;
        let level = definitions.depth(&active.view);
        let asked = demands.get(&active.layout.hash).filter(|_| is_complete);
        let asked = asked.map(|reference| Asked::new(active, reference, true));
        participants.push(Participant { active: active.clone(), level, counts: true, asked });
    }
    for (hash, reference) in &demands {
        if states[..complete].iter().any(|active| active.layout.hash == *hash) {
            continue;
        }
        let view = definition(definitions, reference)?;
        let active = ActiveView::new(view.into(), *hash, schema, i64::MIN, 0)?;
        let level = definitions.depth(&active.view);
        let asked = Some(Asked::new(&active, reference, false));
        participants.push(Participant { active, level, counts: false, asked });
    }
    participants.sort_by_key(|participant| participant.level);
    Ok(participants)
}

impl Asked {
    fn new(active: &ActiveView, reference: &ViewReference, is_complete: bool) -> Self {
        let outputs = active.view.outputs();
        let position = |feature: &Name| outputs.iter().position(|(name, _)| name == feature);
        let positions = reference.features.iter().filter_map(position).collect();
        Self { reference: reference.clone(), positions, is_complete }
    }
}

/// What is asked of which view by `states` and by the views that they stand on.
fn demands(
    states: &[ActiveView],
    definitions: &DefinitionSet,
) -> Result<BTreeMap<Digest, ViewReference>, FeaturesError> {
    let mut demands: BTreeMap<Digest, ViewReference> = BTreeMap::new();
    let mut open: Vec<ViewReference> = states.iter().flat_map(|active| active.view.enrich.clone()).collect();
    while let Some(reference) = open.pop() {
        match demands.get_mut(&reference.hash) {
            Some(held) => {
                for feature in reference.features {
                    if !held.features.contains(&feature) {
                        held.features.push(feature);
                    }
                }
            }
            None => {
                open.extend(definition(definitions, &reference)?.enrich);
                demands.insert(reference.hash, reference);
            }
        }
    }
    Ok(demands)
}

fn definition(
    definitions: &DefinitionSet,
    reference: &ViewReference,
) -> Result<shipway_definitions::View, FeaturesError> {
    let found = definitions.views_by_hash.get(&reference.hash);
    found.map(|view| view.definition.clone()).ok_or_else(|| FeaturesError::MissingDefinition {
        what: format!("view {} at version {}", reference.view, reference.hash.short()),
    })
}

/// What the events of a run carry, as far as it is known: for each inner view, as the events of the run.
#[derive(Default)]
pub(crate) struct Carried(HashMap<Digest, OfView>);

struct OfView {
    features: Vec<Name>,
    values: Vec<Option<Box<[Value]>>>,
}

impl Carried {
    /// Makes room for what `asked` will say about `events` events.
    pub(crate) fn expect(&mut self, asked: &Asked, events: usize) {
        let features = asked.reference.features.clone();
        let values = std::iter::repeat_with(|| None).take(events).collect();
        self.0.insert(asked.reference.hash, OfView { features, values });
    }

    /// Notes what the view says about the event at `place` in the run.
    pub(crate) fn put(&mut self, view: &Digest, place: usize, values: Vec<Value>) {
        let slot = self.0.get_mut(view).and_then(|of_view| of_view.values.get_mut(place));
        if let Some(slot) = slot {
            *slot = Some(values.into());
        }
    }

    /// The event at `place` in the run, as `view` sees it. Everything that it carries must have been put.
    pub(crate) fn seen_by<'e>(
        &self,
        view: &ActiveView,
        place: usize,
        event: &'e SourceEvent,
    ) -> Result<Cow<'e, SourceEvent>, FeaturesError> {
        if view.view.enrich.is_empty() {
            return Ok(Cow::Borrowed(event));
        }
        let carried = self.with_carried(view, place, event);
        carried.map(Cow::Owned).ok_or_else(|| FeaturesError::MissingDefinition {
            what: format!("what the events of view {} carry", view.layout.name),
        })
    }

    fn with_carried(&self, view: &ActiveView, place: usize, event: &SourceEvent) -> Option<SourceEvent> {
        let mut seen = event.clone();
        for reference in &view.view.enrich {
            let of_view = self.0.get(&reference.hash)?;
            let values = of_view.values.get(place)?.as_ref()?;
            for feature in &reference.features {
                let at = of_view.features.iter().position(|held| held == feature)?;
                seen.values.push(values.get(at)?.clone());
            }
        }
        Some(seen)
    }
}

/// What a state says at `q`: the features at the positions `wanted`. A value that cannot be given is null.
pub(crate) fn ask(
    active: &ActiveView,
    state: &KeyState,
    q: Timestamp,
    wanted: &[usize],
) -> Result<Vec<Value>, Inexact> {
    match (state, &active.layout.body) {
        (KeyState::Latest(state), Body::Latest { ttl_us, ttls_us }) => {
            Ok(state.answer(q, (*ttl_us, ttls_us), active.built_from)?.values(wanted))
        }
        (KeyState::Aggregates(state), Body::Aggregates(layout)) => {
            let ask = |wanted: &[usize]| values(layout, state, q, active.built_from, wanted, true);
            match ask(wanted) {
                Ok(values) => Ok(values.to_vec()),
                Err(NoValue::Inexact) => Err(Inexact),
                Err(NoValue::Failed { .. }) => wanted
                    .iter()
                    .map(|one| match ask(&[*one]) {
                        Ok(values) => Ok(values.first().cloned().unwrap_or(Value::Null)),
                        Err(NoValue::Failed { .. }) => Ok(Value::Null),
                        Err(NoValue::Inexact) => Err(Inexact),
                    })
                    .collect(),
            }
        }
        // States are made from one layout.
        (KeyState::Latest(_), Body::Aggregates(_)) | (KeyState::Aggregates(_), Body::Latest { .. }) => {
            Err(Inexact)
        }
    }
}
