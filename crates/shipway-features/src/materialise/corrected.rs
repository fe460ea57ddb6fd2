//! Sources whose events are corrected by their ids: each event takes the place of the one that has its id, or only takes it away.
//!
//! What is counted of each id is kept whole, and each view keeps the events of each key in the order of time, so that what cannot be
//! taken out of a state is made again from what is left. All of it changes in the batch that changes the states.
//!
//! ```text
//! Row     source 0 id                              -> the event, as in the log
//! Member  key of the state  time:i64be  id         -> value*      the columns that the view keeps
//! ```

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use foldhash::quality::RandomState;
use shipway_core::{EntityKey, Name, Timestamp, Value};
use shipway_online::{Batch, OnlineError, OnlineStore, Snapshot, Space};

use crate::{
    error::{FeaturesError, damaged},
    features::Inner,
    materialise::{
        batch::Run,
        views::{ActiveView, take_state},
    },
    model::{
        event::{SourceEvent, Standing},
        record::{self, Record},
    },
    source::SourceShape,
    state::{
        KeyState, Reach, RecentEvent, ViewLayout,
        take_back::{Members, Stale},
    },
};

/// What one event of a run changes: the event that it takes away, and the one that counts in its place.
pub(crate) struct Change {
    before: Option<SourceEvent>,
    after: Option<SourceEvent>,
}

/// What the events of `run` change, in their order. The new rows go into `batch`.
pub(crate) fn changes(
    online: &OnlineStore,
    shape: &SourceShape,
    run: &Run,
    batch: &mut Batch,
) -> Result<Vec<Change>, FeaturesError> {
    let mut held: HashMap<&str, Option<SourceEvent>, RandomState> = HashMap::default();
    let mut changes = Vec::with_capacity(run.events.len());
    for (_, event) in &run.events {
        let after = match event.standing {
            Standing::Regular => Some(event.clone()),
            Standing::Deletion => None,
            Standing::Quarantined | Standing::Late => continue,
        };
        let before = match held.get(&*event.id) {
            Some(held) => held.clone(),
            None => row(online, shape, &event.id)?,
        };
        held.insert(&event.id, after.clone());
        changes.push(Change { before, after });
    }
    for (id, event) in held {
        put_row(batch, shape, id, event.as_ref());
    }
    Ok(changes)
}

fn put_row(batch: &mut Batch, shape: &SourceShape, id: &str, event: Option<&SourceEvent>) {
    let (schema, key) = (&shape.schema, row_key(&shape.schema.name, id));
    match event {
        Some(event) => batch.put(Space::Row, key, record::encode_event(schema.fingerprint, event)),
        None => batch.delete(Space::Row, key),
    }
}

/// Puts the row of an event that counts.
pub(crate) fn keep_row(batch: &mut Batch, shape: &SourceShape, event: &SourceEvent) {
    put_row(batch, shape, &event.id, Some(event));
}

/// The event that counts under `id`.
fn row(online: &OnlineStore, shape: &SourceShape, id: &str) -> Result<Option<SourceEvent>, FeaturesError> {
    let schema = &shape.schema;
    let Some(stored) = online.get(Space::Row, &row_key(&schema.name, id))? else { return Ok(None) };
    match record::decode(&stored) {
        Some(Record::Event { fingerprint, event, .. }) => {
            shape.book.align(fingerprint, event, schema).map(Some)
        }
        _ => Err(damaged(format!("a row of source {}", schema.name))),
    }
}

/// The rows of `source` by the keys of the store.
pub(crate) fn rows(
    snapshot: &Snapshot,
    source: &Name,
) -> impl Iterator<Item = Result<(Bytes, Bytes), OnlineError>> + Send + use<> {
    snapshot.scan_prefix(Space::Row, &row_key(source, ""))
}

fn row_key(source: &Name, id: &str) -> Vec<u8> {
    let mut key = source.as_str().as_bytes().to_vec();
    key.push(0);
    key.extend(id.as_bytes());
    key
}

/// What one change does to the state of one key.
enum Step {
    TakeBack(RecentEvent),
    Count(RecentEvent),
}

/// Brings changes to the states of one view; its members go into `batch`. The changed states by their keys.
pub(crate) fn take_in(
    inner: &Inner,
    active: &ActiveView,
    changes: &[Change],
    reach: &Reach,
    batch: &mut Batch,
) -> Result<Vec<(Bytes, KeyState)>, FeaturesError> {
    let layout = &*active.layout;
    let mut by_key: HashMap<EntityKey, Vec<Step>, RandomState> = HashMap::default();
    let mut add = |event: &SourceEvent, step: fn(RecentEvent) -> Step| {
        if let Some(seen) = layout.see(event)
            && let Some(key) = layout.key(&seen)
        {
            by_key.entry(key).or_default().push(step(layout.narrow(&seen)));
        }
    };
    for Change { before, after } in changes {
        before.iter().for_each(|event| add(event, Step::TakeBack));
        after.iter().for_each(|event| add(event, Step::Count));
    }
    let mut changed = Vec::with_capacity(by_key.len());
    for (key, steps) in by_key {
        let key = active.state_key(key.as_bytes());
        let get = |key: &[u8]| inner.online.get(Space::State, key);
        let mut state = take_state(get, &inner.cache, layout, &key)?;
        let mut stale = Stale::default();
        let mut members = KeyMembers { online: &inner.online, layout, key: &key, changed: BTreeMap::new() };
        for step in steps {
            match step {
                Step::TakeBack(event) => {
                    state.take_back(layout, &event, &mut stale);
                    members.changed.insert(place(&event), None);
                }
                Step::Count(event) => {
                    members.changed.insert(place(&event), Some(event.clone()));
                    state.apply(layout, reach, event);
                }
            }
        }
        state.make_again(layout, &stale, &members)?;
        state.prune(layout, reach);
        for ((time, id), event) in members.changed {
            let at = member_key(&key, time, &id);
            match event {
                Some(event) => batch.put(Space::Member, at, member_values(&event)),
                None => batch.delete(Space::Member, at),
            }
        }
        changed.push((key, state));
    }
    Ok(changed)
}

/// Puts an event that counts among the members of the state at `key`.
pub(crate) fn keep_member(batch: &mut Batch, key: &[u8], event: &RecentEvent) {
    batch.put(Space::Member, member_key(key, event.time.micros(), &event.id), member_values(event));
}

/// The place of an event among the members of its key.
type Place = (i64, Box<str>);

fn place(event: &RecentEvent) -> Place {
    (event.time.micros(), (&*event.id).into())
}

/// The members of one key, under what a run has changed of them.
struct KeyMembers<'a> {
    online: &'a OnlineStore,
    layout: &'a ViewLayout,
    key: &'a Bytes,
    changed: BTreeMap<Place, Option<RecentEvent>>,
}

impl Members for KeyMembers<'_> {
    fn between(&self, from: i64, to: i64) -> Result<Vec<RecentEvent>, FeaturesError> {
        let mut found: BTreeMap<Place, RecentEvent> = BTreeMap::new();
        let after = member_key(self.key, from, "");
        for entry in self.online.snapshot().scan_after(Space::Member, self.key, &after) {
            let (key, values) = entry?;
            let event = key.get(self.key.len()..).and_then(|place| member(self.layout, place, &values));
            let event = event.ok_or_else(|| damaged(format!("an event of view {}", self.layout.name)))?;
            if event.time.micros() >= to {
                break;
            }
            found.insert(place(&event), event);
        }
        for (place, event) in self.changed.range((from, Box::from(""))..(to, Box::from(""))) {
            match event {
                Some(event) => drop(found.insert(place.clone(), event.clone())),
                None => drop(found.remove(place)),
            }
        }
        Ok(found.into_values().collect())
    }
}

fn member_key(key: &[u8], time: i64, id: &str) -> Vec<u8> {
    let mut at = Vec::with_capacity(key.len() + 8 + id.len());
    at.extend(key);
    // With the sign turned, the order of the bytes is the order of the numbers.
    at.extend((time ^ i64::MIN).to_be_bytes());
    at.extend(id.as_bytes());
    at
}

fn member_values(event: &RecentEvent) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(event.values.len() * 10);
    event.values.iter().for_each(|value| value.encode(&mut bytes));
    bytes
}

fn member(layout: &ViewLayout, place: &[u8], mut values: &[u8]) -> Option<RecentEvent> {
    let (time, id) = place.split_first_chunk::<8>()?;
    let time = Timestamp(i64::from_be_bytes(*time) ^ i64::MIN);
    let id = std::str::from_utf8(id).ok()?.into();
    let values: Option<Box<[Value]>> = (0..layout.width()).map(|_| Value::decode(&mut values)).collect();
    Some(RecentEvent { time, id, values: values? })
}
