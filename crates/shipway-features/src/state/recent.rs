//! The newest events of a key, kept one by one.
//!
//! A busy key gains an event or two in each run, and its state is stored after each. So the stored form of the events that stay is kept
//! beside them from the first change on, and is copied in one piece.

use std::{ops::Deref, sync::Arc};

use shipway_aggregate::EventOrder;
use shipway_core::{Timestamp, Value};

use crate::state::codec::write_event;

/// How many recent events of a key are kept one by one. Older ones are folded into tiles.
pub(crate) const RECENT_LIMIT: usize = 64;

/// An event as a view sees it: the columns that the view needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RecentEvent {
    pub(crate) time: Timestamp,
    pub(crate) id: Arc<str>,
    pub(crate) values: Box<[Value]>,
}

impl RecentEvent {
    pub(crate) fn order(&self) -> EventOrder<'_> {
        EventOrder { time: self.time, event_id: &self.id }
    }
}

/// Events sorted by (time, event id).
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent {
    events: Vec<RecentEvent>,
    /// Their stored forms, one behind the other; none until the first event comes.
    stored: Option<Stored>,
}

#[derive(Debug, Clone, Default)]
struct Stored {
    /// What comes before `from` belongs to events that are gone.
    bytes: Vec<u8>,
    from: usize,
    /// As the events.
    lengths: Vec<u32>,
}

/// The stored form follows from the events.
impl PartialEq for Recent {
    fn eq(&self, other: &Self) -> bool {
        self.events == other.events
    }
}

impl Deref for Recent {
    type Target = [RecentEvent];

    fn deref(&self) -> &[RecentEvent] {
        &self.events
    }
}

impl From<Vec<RecentEvent>> for Recent {
    /// `events` are sorted.
    fn from(events: Vec<RecentEvent>) -> Self {
        Self { events, stored: None }
    }
}

impl Recent {
    /// Puts `event` at its place; returns the oldest when there are too many.
    pub(crate) fn insert(&mut self, event: RecentEvent) -> Option<RecentEvent> {
        let is_newest = self.events.last().is_none_or(|last| last.order() <= event.order());
        let at = if is_newest {
            self.events.len()
        } else {
            self.events.partition_point(|held| held.order() <= event.order())
        };
        if at == 0 && self.events.len() == RECENT_LIMIT {
            return Some(event);
        }
        let events = &self.events;
        self.stored.get_or_insert_with(|| Stored::of(events)).insert(at, &event);
        self.events.insert(at, event);
        (self.events.len() > RECENT_LIMIT).then(|| self.remove(0))
    }

    fn remove(&mut self, at: usize) -> RecentEvent {
        self.stored.iter_mut().for_each(|stored| stored.remove(at));
        self.events.remove(at)
    }

    /// Leaves out the event with the place of `event`; says whether it was there.
    pub(crate) fn leave_out(&mut self, event: &RecentEvent) -> bool {
        let found = self.place(event);
        found.iter().for_each(|&at| drop(self.remove(at)));
        found.is_some()
    }

    /// Whether the event with the place of `event` is there.
    pub(crate) fn has(&self, event: &RecentEvent) -> bool {
        self.place(event).is_some()
    }

    fn place(&self, event: &RecentEvent) -> Option<usize> {
        self.events.binary_search_by(|held| held.order().cmp(&event.order())).ok()
    }

    /// Drops the oldest `count`.
    pub(crate) fn drop_oldest(&mut self, count: usize) {
        self.stored.iter_mut().for_each(|stored| stored.drop_oldest(count));
        self.events.drain(..count);
    }

    /// Adds `other`; returns the oldest of all, those that are too many.
    pub(crate) fn merge(&mut self, other: Self) -> Vec<RecentEvent> {
        if other.events.is_empty() {
            return Vec::new();
        }
        self.stored = None;
        self.events.extend(other.events);
        // The two runs are found by the sort, so it costs no more than going through them.
        self.events.sort_by(|left, right| left.order().cmp(&right.order()));
        let kept = self.events.split_off(self.events.len().saturating_sub(RECENT_LIMIT));
        std::mem::replace(&mut self.events, kept)
    }

    /// The newest one, taken out.
    pub(crate) fn pop(&mut self) -> Option<RecentEvent> {
        self.stored = None;
        self.events.pop()
    }

    /// Appends the stored forms of all.
    pub(crate) fn write(&self, into: &mut Vec<u8>) {
        match &self.stored {
            Some(stored) => into.extend_from_slice(&stored.bytes[stored.from..]),
            None => self.events.iter().for_each(|event| write_event(event, into)),
        }
    }

    /// About what they take in memory beyond their stored form in the store.
    pub(crate) fn decoded_bytes(&self) -> usize {
        let of_values: usize = self.events.iter().map(|event| size_of_val::<[Value]>(&event.values)).sum();
        let of_stored = self.stored.as_ref().map_or(0, |stored| stored.bytes.len());
        size_of_val::<[RecentEvent]>(&self.events) + of_values + of_stored
    }
}

impl Stored {
    fn of(events: &[RecentEvent]) -> Self {
        let mut stored = Self::default();
        events.iter().enumerate().for_each(|(at, event)| stored.insert(at, event));
        stored
    }

    fn insert(&mut self, at: usize, event: &RecentEvent) {
        let end = self.bytes.len();
        write_event(event, &mut self.bytes);
        let length = self.bytes.len() - end;
        if at < self.lengths.len() {
            let start = self.start(at);
            self.bytes[start..].rotate_right(length);
        }
        self.lengths.insert(at, u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn remove(&mut self, at: usize) {
        if at == 0 {
            return self.drop_oldest(1);
        }
        let start = self.start(at);
        let length = self.lengths.remove(at) as usize;
        self.bytes.drain(start..start + length);
    }

    fn drop_oldest(&mut self, count: usize) {
        self.from = self.start(count);
        self.lengths.drain(..count);
        // What is gone is let go of when it is as much as what is there.
        if self.from >= self.bytes.len() - self.from {
            self.bytes.drain(..self.from);
            self.from = 0;
        }
    }

    fn start(&self, at: usize) -> usize {
        self.from + self.lengths[..at].iter().map(|length| *length as usize).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn event(time: i64) -> RecentEvent {
        let text = "x".repeat((time % 7) as usize);
        RecentEvent { time: Timestamp(time), id: time.to_string().into(), values: [Value::text(text)].into() }
    }

    proptest! {
        #[test]
        fn the_stored_form_is_always_that_of_the_events(steps in prop::collection::vec((0..200_i64, 0..8_u8), 1..400)) {
            let mut recent = Recent::default();
            for (time, step) in steps {
                match step {
                    0 => drop(recent.leave_out(&event(time))),
                    1 if time < 20 => recent.drop_oldest((time as usize).min(recent.len())),
                    _ if recent.has(&event(time)) => {}
                    _ => drop(recent.insert(event(time))),
                }
                prop_assert!(recent.len() <= RECENT_LIMIT);
                prop_assert!(recent.is_sorted_by(|one, other| one.order() < other.order()));
                let (mut kept, mut anew) = (Vec::new(), Vec::new());
                recent.write(&mut kept);
                Recent::from(recent.to_vec()).write(&mut anew);
                prop_assert_eq!(kept, anew);
            }
        }
    }
}
