//! The stored form of a key's state, format version 1. Every old version must decode for ever.
//!
//! ```text
//! state      = version:u8  kind:u8  body                                   kind 1 aggregates, 2 latest
//! aggregates = newest:moment?  level*  lifetime  events                    levels and slots as the view's layout
//! level      = pruned_before:i64le  tiles:number  tile*
//! tile       = start:i64le  newest - start:number  partial*
//! lifetime   = newest:i64le  partial*                                      only where the view has lifetime windows
//! latest     = has_base:u8  event?  events
//! events     = count:number  event*
//! event      = time:i64le  id:text  value*                                 the columns that the view keeps
//! ```

use std::cell::RefCell;

use bytes::Bytes;
use shipway_aggregate::Partial;
use shipway_core::{Timestamp, Value};

use crate::{
    model::bytes::{read_byte, read_moment, read_number, read_text, write_moment, write_number, write_text},
    state::{
        AggregateState, Body, KeyState, LatestState, Recent, RecentEvent, ViewLayout,
        aggregates::{LevelState, LifetimeState, Tile},
        kept_values::KeptValues,
        layout::{AggregateLayout, Level},
        merged::MergedTiles,
    },
};

const VERSION: u8 = 1;
const AGGREGATES: u8 = 1;
const LATEST: u8 = 2;

/// What a thread keeps for its next drafts at most.
const LONGEST_DRAFT: usize = 1 << 20;

thread_local! {
    /// Where forms are written, so that each is one allocation of its own size.
    static DRAFT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The stored form of `state`. Equal states have equal forms.
pub(crate) fn encode(layout: &ViewLayout, state: &KeyState) -> Bytes {
    DRAFT.with_borrow_mut(|draft| {
        draft.clear();
        draft.shrink_to(LONGEST_DRAFT);
        write_state(layout, state, draft);
        Bytes::copy_from_slice(draft)
    })
}

fn write_state(layout: &ViewLayout, state: &KeyState, bytes: &mut Vec<u8>) {
    bytes.push(VERSION);
    match (state, &layout.body) {
        (KeyState::Aggregates(state), Body::Aggregates(aggregates)) => {
            bytes.push(AGGREGATES);
            write_aggregates(aggregates, state, bytes);
        }
        (KeyState::Latest(state), _) => {
            bytes.push(LATEST);
            bytes.push(u8::from(state.base.is_some()));
            state.base.iter().for_each(|base| write_event(base, bytes));
            write_events(&state.recent, bytes);
        }
        // A state is made from its own layout, so this is never reached; a kind of zero never decodes.
        (KeyState::Aggregates(_), Body::Latest { .. }) => bytes.push(0),
    }
}

/// Reads a state of this layout; `None` when the bytes are not one.
pub(crate) fn decode(layout: &ViewLayout, mut bytes: &[u8]) -> Option<KeyState> {
    let from = &mut bytes;
    if read_byte(from)? != VERSION {
        return None;
    }
    let width = layout.width();
    let state = match (read_byte(from)?, &layout.body) {
        (AGGREGATES, Body::Aggregates(aggregates)) => {
            KeyState::Aggregates(read_aggregates(aggregates, width, from)?)
        }
        (LATEST, Body::Latest { .. }) => {
            let base = if read_byte(from)? == 0 { None } else { Some(read_event(width, from)?) };
            KeyState::Latest(LatestState { base, recent: read_events(width, from)? })
        }
        _ => return None,
    };
    from.is_empty().then_some(state)
}

fn write_aggregates(layout: &AggregateLayout, state: &AggregateState, into: &mut Vec<u8>) {
    into.push(u8::from(state.newest.is_some()));
    state.newest.iter().for_each(|newest| write_moment(newest.micros(), into));
    for (level, held) in layout.levels.iter().zip(&state.levels) {
        write_moment(held.pruned_before, into);
        write_number(held.tiles.len() as u64, into);
        for tile in &held.tiles {
            write_moment(tile.start, into);
            write_number(tile.newest.saturating_sub(tile.start).unsigned_abs(), into);
            write_partials(layout, &level.slots, &tile.partials, into);
        }
    }
    if !layout.lifetime.is_empty() {
        write_moment(state.lifetime.newest, into);
        write_partials(layout, &layout.lifetime, &state.lifetime.partials, into);
    }
    write_events(&state.recent, into);
}

fn read_aggregates(layout: &AggregateLayout, width: usize, from: &mut &[u8]) -> Option<AggregateState> {
    let newest = if read_byte(from)? == 0 { None } else { Some(Timestamp(read_moment(from)?)) };
    let levels =
        layout.levels.iter().map(|level| read_level(layout, level, from)).collect::<Option<Vec<_>>>()?;
    let lifetime = if layout.lifetime.is_empty() {
        LifetimeState { newest: i64::MIN, partials: Vec::new() }
    } else {
        LifetimeState { newest: read_moment(from)?, partials: read_partials(layout, &layout.lifetime, from)? }
    };
    let recent = read_events(width, from)?;
    let (merged, kept_values) = (MergedTiles::default(), KeptValues::default());
    Some(AggregateState { newest, levels, lifetime, recent, merged, kept_values })
}

fn read_level(layout: &AggregateLayout, level: &Level, from: &mut &[u8]) -> Option<LevelState> {
    let pruned_before = read_moment(from)?;
    let count = read_number(from)?;
    let mut tiles: Vec<Tile> = Vec::with_capacity(count.min(4_096) as usize);
    for _ in 0..count {
        let start = read_moment(from)?;
        let newest = start.checked_add(i64::try_from(read_number(from)?).ok()?)?;
        let partials = read_partials(layout, &level.slots, from)?.into_boxed_slice();
        tiles.push(Tile { start, newest, partials });
    }
    Some(LevelState { tiles, pruned_before })
}

fn write_partials(layout: &AggregateLayout, slots: &[usize], partials: &[Partial], into: &mut Vec<u8>) {
    for (&slot, partial) in slots.iter().zip(partials) {
        layout.slots[slot].aggregation.encode(partial, into);
    }
}

fn read_partials(layout: &AggregateLayout, slots: &[usize], from: &mut &[u8]) -> Option<Vec<Partial>> {
    slots.iter().map(|&slot| layout.slots[slot].aggregation.decode(from)).collect()
}

fn write_events(events: &Recent, into: &mut Vec<u8>) {
    write_number(events.len() as u64, into);
    events.write(into);
}

fn read_events(width: usize, from: &mut &[u8]) -> Option<Recent> {
    let count = read_number(from)?;
    let events: Option<Vec<RecentEvent>> = (0..count).map(|_| read_event(width, from)).collect();
    events.map(Recent::from)
}

/// Appends the stored form of an event as its view keeps it.
pub(crate) fn write_event(event: &RecentEvent, into: &mut Vec<u8>) {
    write_moment(event.time.micros(), into);
    write_text(&event.id, into);
    event.values.iter().for_each(|value| value.encode(into));
}

/// Reads an event with so many columns.
pub(crate) fn read_event(width: usize, from: &mut &[u8]) -> Option<RecentEvent> {
    let time = Timestamp(read_moment(from)?);
    let id = read_text(from)?.into();
    let values = (0..width).map(|_| Value::decode(from)).collect::<Option<Box<[Value]>>>()?;
    Some(RecentEvent { time, id, values })
}
