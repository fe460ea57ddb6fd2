//! A run of events into the states they touch: one atomic batch. Views are taken inner ones first, because the events of a
//! chained view carry what its inner views said just before them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use bytes::Bytes;
use foldhash::quality::RandomState;
use shipway_core::{EntityKey, Name, Timestamp, Value};
use shipway_online::{Batch, Space};

use crate::{
    error::FeaturesError,
    features::Inner,
    materialise::{
        chain::{Asked, Carried, Participant, ask},
        corrected,
        progress::SourceProgress,
        seen,
        views::{ActiveView, take_state},
    },
    model::{
        event::{SourceEvent, Standing},
        schema::SourceSchema,
    },
    read_copy::Outbox,
    source::SourceShape,
    state::{Inexact, KeyState, RecentEvent, cache::UNSEEN, codec},
};

/// A changed state on its way into the store and, once it is there, into the cache.
pub(crate) struct Written {
    key: Bytes,
    stored: Bytes,
    state: KeyState,
}

/// Events of one source in log order, each with its offset.
pub(crate) struct Run {
    pub(crate) events: Vec<(u64, SourceEvent)>,
    /// The offset behind the last record of the run.
    pub(crate) end: u64,
}

/// A run on its way into the states.
pub(crate) struct Applying {
    run: Run,
    /// The progress behind the run.
    progress: SourceProgress,
    /// In the order in which they are taken.
    participants: Vec<Participant>,
    /// How many of them are done.
    done: usize,
    carried: Carried,
    batch: Batch,
    written: Vec<Written>,
    /// How many states of each view are written.
    tally: BTreeMap<Name, u64>,
}

/// How far a run came.
pub(crate) enum Outcome {
    /// It is committed; so many states of each view were written.
    Applied(SourceProgress, BTreeMap<Name, u64>),
    /// Something that its events carry must be computed from history first; then it goes on.
    Missing(Box<Applying>, Vec<Missing>),
}

/// What the states of an inner view could not say.
pub(crate) struct Missing {
    pub(crate) asked: Asked,
    pub(crate) events: Vec<AskingEvent>,
}

/// An event of a run that needs an answer out of history.
pub(crate) struct AskingEvent {
    place: usize,
    pub(crate) time: Timestamp,
    pub(crate) arrival: u64,
    /// The parts of its key in the inner view.
    pub(crate) key: Vec<Value>,
}

impl Applying {
    /// Begins with `run`, whose events follow `progress`. Each of `participants` comes after those that it stands on.
    pub(crate) fn new(run: Run, mut progress: SourceProgress, participants: Vec<Participant>) -> Self {
        regular(&run).for_each(|(_, _, event)| progress.advance_watermark(event.time));
        progress.applied = run.end;
        Self {
            run,
            progress,
            participants,
            done: 0,
            carried: Carried::default(),
            batch: Batch::new(),
            written: Vec::new(),
            tally: BTreeMap::new(),
        }
    }

    /// Goes on until something is missing, or commits the seen ids, and then the states and the new progress at once.
    pub(crate) fn advance(
        mut self: Box<Self>,
        inner: &Inner,
        shape: &SourceShape,
        outbox: &Outbox,
    ) -> Result<Outcome, FeaturesError> {
        let schema = &shape.schema;
        if schema.corrections.is_some() {
            return self.correct(inner, shape, outbox);
        }
        while let Some(next) = self.participants.get(self.done) {
            let level = next.level;
            let mut missing = Vec::new();
            while let Some(next) = self.participants.get(self.done).filter(|next| next.level == level) {
                let asking = take_in(inner, next, &self.run, &self.progress, &mut self.carried)?;
                let states = asking.changed.len() as u64;
                if states > 0 {
                    *self.tally.entry(next.active.view.name.clone()).or_default() += states;
                }
                outbox.note(&next.active, asking.changed.iter().map(|(key, _)| key.clone()));
                for (key, state) in asking.changed {
                    put(&mut self.batch, &mut self.written, &next.active, key, state);
                }
                let asked = next.asked.clone().filter(|_| !asking.missing.is_empty());
                missing.extend(asked.map(|asked| Missing { asked, events: asking.missing }));
                self.done += 1;
            }
            if !missing.is_empty() {
                return Ok(Outcome::Missing(self, missing));
            }
        }
        let tally = std::mem::take(&mut self.tally);
        let progress = self.commit(inner, schema)?;
        Ok(Outcome::Applied(progress, tally))
    }

    /// The same for events that take the place of earlier ones. No chained view stands on them, so nothing is ever missing.
    fn correct(
        mut self: Box<Self>,
        inner: &Inner,
        shape: &SourceShape,
        outbox: &Outbox,
    ) -> Result<Outcome, FeaturesError> {
        let changes = corrected::changes(&inner.online, shape, &self.run, &mut self.batch)?;
        for Participant { active, .. } in std::mem::take(&mut self.participants) {
            let reach = active.layout.reach(self.progress.watermark());
            let changed = corrected::take_in(inner, &active, &changes, &reach, &mut self.batch)?;
            if !changed.is_empty() {
                *self.tally.entry(active.view.name.clone()).or_default() += changed.len() as u64;
            }
            outbox.note(&active, changed.iter().map(|(key, _)| key.clone()));
            for (key, state) in changed {
                put(&mut self.batch, &mut self.written, &active, key, state);
            }
        }
        let tally = std::mem::take(&mut self.tally);
        let progress = self.commit(inner, &shape.schema)?;
        Ok(Outcome::Applied(progress, tally))
    }

    /// Brings what was missing: `values` as the events of `missing`.
    pub(crate) fn bring(&mut self, missing: &Missing, values: Vec<Vec<Value>>) {
        for (event, values) in missing.events.iter().zip(values) {
            self.carried.put(&missing.asked.reference.hash, event.place, values);
        }
    }

    fn commit(self, inner: &Inner, schema: &SourceSchema) -> Result<SourceProgress, FeaturesError> {
        let Self { run, progress, mut batch, written, .. } = self;
        if schema.has_ids_once() {
            // Forgetting comes first: of two changes to one key in a batch the last counts.
            let mut of_ids = Batch::new();
            let horizon = inner.clock.now().micros().saturating_sub(schema.dedupe_us);
            seen::forget(&inner.online, &mut of_ids, &schema.name, Timestamp(horizon))?;
            let ids = run.events.iter().map(|(offset, event)| (&*event.id, event.received, offset + 1));
            seen::put(&mut of_ids, &schema.name, ids);
            // Each is written once, so there is nothing to win by waiting. That an id is known before its event is counted says no more than
            // that the log has it.
            inner.online.commit_apart(of_ids)?;
        }
        progress.put(&mut batch, &schema.name);
        // What a kill takes back is read from the log again.
        inner.online.commit_soon(batch)?;
        remember(inner, written);
        Ok(progress)
    }
}

/// The events of a run that count, each with its place and offset.
fn regular(run: &Run) -> impl Iterator<Item = (usize, u64, &SourceEvent)> {
    let events = run.events.iter().enumerate().map(|(place, (offset, event))| (place, *offset, event));
    events.filter(|(_, _, event)| event.standing == Standing::Regular)
}

/// What a run does to the states of one view.
#[derive(Default)]
struct TakenIn {
    changed: Vec<(Bytes, KeyState)>,
    /// The events that the view is asked about and could not answer.
    missing: Vec<AskingEvent>,
}

/// One event on its way to the state of its key.
struct Coming {
    place: usize,
    arrival: u64,
    time: Timestamp,
    /// What is counted; none where the view's condition leaves it out.
    counted: Option<RecentEvent>,
    /// Kept only where the view is asked.
    key: Vec<Value>,
}

impl Coming {
    /// The event as one that history has to answer.
    fn asking(&mut self) -> AskingEvent {
        AskingEvent {
            place: self.place,
            time: self.time,
            arrival: self.arrival,
            key: std::mem::take(&mut self.key),
        }
    }
}

/// Brings the events of a run to the states of one view: each is answered, where the view is asked, and then counted.
fn take_in(
    inner: &Inner,
    participant: &Participant,
    run: &Run,
    progress: &SourceProgress,
    carried: &mut Carried,
) -> Result<TakenIn, FeaturesError> {
    let Participant { active, asked, counts, .. } = participant;
    let layout = &*active.layout;
    if let Some(asked) = asked {
        carried.expect(asked, run.events.len());
    }
    let mut by_key: HashMap<EntityKey, Vec<Coming>, RandomState> = HashMap::default();
    for (place, arrival, event) in regular(run) {
        let event = carried.seen_by(active, place, event)?;
        let (seen, counts) = match asked {
            // Whoever does not count asks as well.
            Some(_) => layout.look_at(&event),
            None => match layout.see(&event) {
                Some(seen) => (seen, true),
                None => continue,
            },
        };
        match (layout.key(&seen), asked) {
            (Some(key), asked) => {
                let key_parts = if asked.is_some() { layout.key_parts(&seen) } else { Vec::new() };
                let counted = counts.then(|| layout.narrow(&seen));
                let coming = Coming { place, arrival, time: event.time, counted, key: key_parts };
                by_key.entry(key).or_default().push(coming);
            }
            (None, Some(asked)) => {
                carried.put(&layout.hash, place, vec![Value::Null; asked.positions.len()]);
            }
            (None, None) => {}
        }
    }
    let reach = layout.reach(progress.watermark());
    let mut taken = TakenIn::default();
    if !counts {
        let asking = by_key.into_values().flatten().map(|mut event| event.asking());
        return Ok(TakenIn { missing: asking.collect(), ..taken });
    }
    for (key, events) in by_key {
        let key = active.state_key(key.as_bytes());
        let get = |key: &[u8]| inner.online.get(Space::State, key);
        let mut state = take_state(get, &inner.cache, layout, &key)?;
        let mut is_changed = false;
        for mut event in events {
            if let Some(asked) = asked {
                let said = if asked.is_complete {
                    ask(active, &state, event.time, &asked.positions)
                } else {
                    Err(Inexact)
                };
                match said {
                    Ok(values) => carried.put(&layout.hash, event.place, values),
                    Err(Inexact) => taken.missing.push(event.asking()),
                }
            }
            if let Some(counted) = event.counted {
                state.apply(layout, &reach, counted);
                is_changed = true;
            }
        }
        if is_changed {
            state.prune(layout, &reach);
            taken.changed.push((key, state));
        }
    }
    Ok(taken)
}

/// Adds a changed state to `batch`.
pub(crate) fn put(
    batch: &mut Batch,
    written: &mut Vec<Written>,
    view: &ActiveView,
    key: Bytes,
    state: KeyState,
) {
    let stored = codec::encode(&view.layout, &state);
    batch.put(Space::State, key.clone(), stored.clone());
    written.push(Written { key, stored, state });
}

/// Keeps the decoded forms of states that are now in the store.
pub(crate) fn remember(inner: &Inner, written: Vec<Written>) {
    for Written { key, stored, state } in written {
        inner.cache.put(key, stored, Arc::new(state), UNSEEN);
    }
}
