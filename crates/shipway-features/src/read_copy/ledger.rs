//! What of one source is in the copy, and what is to be done about it. Pure: the publisher fetches and writes, this judges.
//!
//! A state is *live* when readers get it: the rows under its number are those of the store, up to the offset that the heads
//! say. A state that is not live is copied beside, under a number of its own: what is stored, key after key, and besides
//! whatever changes meanwhile. Each look is at the newest state, so a row never goes back; at the end of the keys the copy
//! is what is stored, and takes its place.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use shipway_core::Digest;

use crate::{
    materialise::ActiveView,
    read_copy::{
        changes::{Changes, StateId},
        head::CopiedMoment,
    },
};

/// A state that readers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LiveState {
    pub(crate) generation: u32,
    /// What its rows are found under.
    pub(crate) number: u64,
    pub(crate) built_from: i64,
    /// Nobody knows any more which keys changed: it is copied anew.
    #[serde(skip)]
    is_behind: bool,
}

/// A state that is copied beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copying {
    pub(crate) number: u64,
    /// The last key that was copied.
    pub(crate) position: Option<Bytes>,
    /// Whether the end of the keys was reached.
    pub(crate) is_through: bool,
    /// Rows that were copied.
    pub(crate) rows: u64,
}

/// One source.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    live: BTreeMap<Digest, LiveState>,
    copies: BTreeMap<StateId, Copying>,
    /// What changed and is not in the copy.
    pending: Changes,
    /// How far the live states are.
    moment: Option<CopiedMoment>,
}

impl Ledger {
    /// As an owner before left it.
    pub(crate) fn adopted(live: BTreeMap<Digest, LiveState>, moment: CopiedMoment) -> Self {
        Self { live, moment: Some(moment), ..Self::default() }
    }

    pub(crate) fn live(&self) -> &BTreeMap<Digest, LiveState> {
        &self.live
    }

    pub(crate) fn moment(&self) -> Option<CopiedMoment> {
        self.moment
    }

    /// The states that are copied beside.
    pub(crate) fn copies(&self) -> &BTreeMap<StateId, Copying> {
        &self.copies
    }

    /// Every number whose rows are, or will be, of use.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        let live = self.live.values().map(|live| live.number);
        live.chain(self.copies.values().map(|copying| copying.number))
    }

    /// Takes in what changed, up to a published state that has `views`; states in `building` will be published later.
    pub(crate) fn look(
        &mut self,
        changes: Changes,
        views: &BTreeMap<Digest, ActiveView>,
        building: &BTreeSet<StateId>,
        most: usize,
        mut number: impl FnMut() -> u64,
    ) {
        self.pending.merge(changes, most);
        let mut wanted: BTreeSet<StateId> = views.values().map(StateId::of).collect();
        wanted.extend(building);
        self.copies.retain(|state, _| wanted.contains(state));
        for (view, live) in &mut self.live {
            // Should it come back under the same name before readers have lost it, it is another one.
            live.is_behind |= !wanted.contains(&StateId { view: *view, generation: live.generation });
        }
        self.pending.keep(|state| wanted.contains(state));
        for state in wanted {
            let is_lost = self.pending.is_all(&state);
            let live = self.live.get_mut(&state.view).filter(|live| live.generation == state.generation);
            let is_followed = match live {
                Some(live) => {
                    live.is_behind |= is_lost;
                    !live.is_behind
                }
                None => false,
            };
            let begun = self.copies.contains_key(&state);
            if is_lost || !(is_followed || begun) {
                // What changed before the first look at the keys is found among them.
                self.pending.forget(&state);
                let copying = Copying { number: 0, position: None, is_through: false, rows: 0 };
                let held = self.copies.entry(state).or_insert(copying);
                (held.position, held.is_through) = (None, false);
                if held.number == 0 {
                    held.number = number();
                }
            }
        }
    }

    /// Keys of a state that is copied beside that changed.
    pub(crate) fn changed_beside(&self, state: &StateId) -> Vec<Bytes> {
        self.pending.keys(state)
    }

    /// All of them are written.
    pub(crate) fn caught_up(&mut self, state: &StateId) {
        self.pending.forget(state);
    }

    /// `rows` further rows are copied, up to the key `position`; none where the end was reached.
    pub(crate) fn copied(&mut self, state: &StateId, rows: u64, position: Option<Bytes>) {
        if let Some(copying) = self.copies.get_mut(state) {
            copying.rows += rows;
            match position {
                Some(position) => copying.position = Some(position),
                None => copying.is_through = true,
            }
        }
    }

    /// The states that readers get once everything before the published state with `views` is in the copy; `None` while that
    /// cannot be. A view that no reader gets yet is waited for only in a copy that `must_be_whole`.
    pub(crate) fn next(
        &self,
        views: &BTreeMap<Digest, ActiveView>,
        must_be_whole: bool,
    ) -> Option<BTreeMap<Digest, LiveState>> {
        let mut next = BTreeMap::new();
        for (view, active) in views {
            let state = StateId::of(active);
            let (generation, built_from) = (active.generation, active.built_from);
            let live = self.live.get(view).filter(|live| live.generation == generation && !live.is_behind);
            let copied = self.copies.get(&state).filter(|copying| copying.is_through);
            let copied = copied.filter(|_| !self.pending.has(&state));
            match live.map(|live| live.number).or(copied.map(|copying| copying.number)) {
                Some(number) => {
                    next.insert(*view, LiveState { generation, number, built_from, is_behind: false });
                }
                None if must_be_whole || self.live.contains_key(view) => return None,
                None => {}
            }
        }
        Some(next)
    }

    /// The changed keys that a step to `next` has to write, with their states and numbers.
    pub(crate) fn changed_live(&self, next: &BTreeMap<Digest, LiveState>) -> Vec<(StateId, u64, Vec<Bytes>)> {
        let followed = next
            .iter()
            .filter(|(view, live)| self.live.get(*view).is_some_and(|held| held.number == live.number));
        let changed = followed.map(|(view, live)| {
            let state = StateId { view: *view, generation: live.generation };
            (state, live.number, self.pending.keys(&state))
        });
        changed.filter(|(_, _, keys)| !keys.is_empty()).collect()
    }

    /// A step to `next` was made: everything before `moment` is in the copy.
    pub(crate) fn stepped(&mut self, next: BTreeMap<Digest, LiveState>, moment: CopiedMoment) {
        for (view, live) in &next {
            let state = StateId { view: *view, generation: live.generation };
            self.pending.forget(&state);
            self.copies.remove(&state);
        }
        self.live = next;
        self.moment = Some(moment);
    }

    /// Whether nothing is left to do for the published state with `views`.
    pub(crate) fn is_settled(&self, views: &BTreeMap<Digest, ActiveView>) -> bool {
        let is_live = |(view, active): (&Digest, &ActiveView)| {
            let live = self.live.get(view);
            live.is_some_and(|live| live.generation == active.generation && !live.is_behind)
        };
        self.live.len() == views.len()
            && views.iter().all(is_live)
            && views.values().all(|active| !self.pending.has(&StateId::of(active)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shipway_definitions::{DefinitionFile, DefinitionSet};

    use super::*;
    use crate::model::schema::SourceSchema;

    const DEFINITIONS: &str = "
kind: entity
name: shop
keys: { shop: text }
---
kind: source
name: sales
event_time: at
columns: { at: timestamp, shop: text, product: text }
---
kind: view
name: last
entity: shop
source: sales
latest: [product]
---
kind: view
name: sums
entity: shop
source: sales
aggregate:
  - operations: [count]
    windows: [1h]
";
    const MOST: usize = 3;

    fn views(generations: &[(&str, u32)]) -> BTreeMap<Digest, ActiveView> {
        let file = DefinitionFile { path: "f.yaml".into(), text: DEFINITIONS.into() };
        let set = DefinitionSet::parse(&[file]).unwrap();
        let source = SourceSchema::new(&set.sources["sales"].definition).unwrap();
        let active = |(name, generation): &(&str, u32)| {
            let view = &set.views[*name];
            let definition = Arc::new(view.definition.clone());
            (view.hash, ActiveView::new(definition, view.hash, &source, i64::MIN, *generation).unwrap())
        };
        generations.iter().map(active).collect()
    }

    fn changes(states: &[(StateId, &[&'static str])]) -> Changes {
        let mut changes = Changes::default();
        for (state, keys) in states {
            let keys = keys.iter().map(|key| Bytes::from_static(key.as_bytes()));
            changes.note(*state, keys, MOST);
        }
        changes
    }

    /// A ledger with numbers that count up.
    struct Book {
        ledger: Ledger,
        numbers: u64,
    }

    impl Book {
        fn new() -> Self {
            Self { ledger: Ledger::default(), numbers: 0 }
        }

        fn look(
            &mut self,
            changes: Changes,
            views: &BTreeMap<Digest, ActiveView>,
            building: &BTreeSet<StateId>,
        ) {
            let numbers = &mut self.numbers;
            self.ledger.look(changes, views, building, MOST, || {
                *numbers += 1;
                *numbers
            });
        }

        /// Copies every state beside to its end.
        fn copies_all(&mut self) {
            let states: Vec<StateId> = self.ledger.copies().keys().copied().collect();
            for state in states {
                self.ledger.caught_up(&state);
                self.ledger.copied(&state, 1, None);
            }
        }

        fn steps(&mut self, views: &BTreeMap<Digest, ActiveView>, applied: u64) {
            let next = self.ledger.next(views, false).unwrap();
            self.ledger.stepped(next, CopiedMoment { applied, watermark_us: 0 });
        }
    }

    #[test]
    fn a_copy_becomes_live_when_every_state_is_through_and_then_follows_key_by_key() {
        let views = views(&[("last", 0), ("sums", 0)]);
        let [last, sums] = ["last", "sums"].map(|name| {
            let active = views.values().find(|active| active.view.name.as_str() == name).unwrap();
            StateId::of(active)
        });
        let mut book = Book::new();
        book.look(Changes::default(), &views, &BTreeSet::new());
        assert_eq!(book.ledger.copies().len(), 2);
        assert_eq!(book.ledger.next(&views, true), None, "the first copy is whole or none");
        book.ledger.copied(&last, 5, None);
        assert_eq!(book.ledger.next(&views, true), None);
        assert_eq!(book.ledger.next(&views, false).unwrap().len(), 1, "a new view is waited for by nobody");
        // A key that changes while its state is copied is written before that is through.
        book.look(changes(&[(last, &["a"])]), &views, &BTreeSet::new());
        assert_eq!(book.ledger.next(&views, false).unwrap().len(), 0);
        assert_eq!(book.ledger.changed_beside(&last).len(), 1);
        book.copies_all();
        book.steps(&views, 7);
        assert!(book.ledger.is_settled(&views) && book.ledger.copies().is_empty());

        book.look(changes(&[(last, &["a"]), (sums, &["a", "b"])]), &views, &BTreeSet::new());
        assert!(book.ledger.copies().is_empty() && !book.ledger.is_settled(&views));
        let next = book.ledger.next(&views, false).unwrap();
        let keys: usize = book.ledger.changed_live(&next).iter().map(|(_, _, keys)| keys.len()).sum();
        assert_eq!(keys, 3);
        book.steps(&views, 9);
        assert!(book.ledger.is_settled(&views));
        assert_eq!(book.ledger.moment().unwrap().applied, 9);
    }

    #[test]
    fn a_state_whose_changes_are_lost_is_copied_anew_beside_and_holds_its_source_until_then() {
        let views = views(&[("last", 0), ("sums", 0)]);
        let mut book = Book::new();
        book.look(Changes::default(), &views, &BTreeSet::new());
        book.copies_all();
        book.steps(&views, 1);
        let before: BTreeSet<u64> = book.ledger.numbers().collect();
        let state = StateId::of(views.values().next().unwrap());

        book.look(changes(&[(state, &["a", "b", "c", "d"])]), &views, &BTreeSet::new());

        assert_eq!(book.ledger.next(&views, false), None, "readers stay where they are");
        assert_eq!(book.ledger.copies().keys().collect::<Vec<_>>(), [&state]);
        assert!(book.ledger.copies().values().all(|copying| !before.contains(&copying.number)));
        book.ledger.copied(&state, 9, Some(Bytes::from_static(b"m")));
        // Lost again while it is copied: from the first key again.
        book.look(changes(&[(state, &["a", "b", "c", "d"])]), &views, &BTreeSet::new());
        assert_eq!(book.ledger.copies()[&state].position, None);
        book.copies_all();
        book.steps(&views, 2);
        assert!(book.ledger.is_settled(&views));
        assert_ne!(book.ledger.numbers().collect::<BTreeSet<u64>>(), before);
    }

    #[test]
    fn a_state_that_is_built_anew_is_copied_while_it_is_built_and_swapped_with_it() {
        let old = views(&[("sums", 0)]);
        let new = views(&[("sums", 1)]);
        let rebuilt = StateId::of(new.values().next().unwrap());
        let building = BTreeSet::from([rebuilt]);
        let mut book = Book::new();
        book.look(Changes::default(), &old, &BTreeSet::new());
        book.copies_all();
        book.steps(&old, 1);

        book.look(Changes::default(), &old, &building);
        book.copies_all();
        book.look(changes(&[(rebuilt, &["a"])]), &old, &building);
        book.steps(&old, 2);
        assert_eq!(book.ledger.live().values().next().unwrap().generation, 0);
        // It is published before its last change is copied: readers wait with the old one.
        book.look(Changes::default(), &new, &BTreeSet::new());
        assert_eq!(book.ledger.next(&new, false), None);
        book.ledger.caught_up(&rebuilt);
        book.steps(&new, 3);
        assert_eq!(book.ledger.live().values().next().unwrap().generation, 1);
        assert!(book.ledger.is_settled(&new));
        // A build that is given up leaves nothing.
        let next = StateId { generation: 2, ..rebuilt };
        book.look(Changes::default(), &new, &BTreeSet::from([next]));
        assert_eq!(book.ledger.copies().len(), 1);
        book.look(Changes::default(), &new, &BTreeSet::new());
        assert!(book.ledger.copies().is_empty());
    }

    #[test]
    fn a_state_that_went_and_came_back_under_the_same_name_is_another_one() {
        let (some, none) = (views(&[("sums", 0)]), BTreeMap::new());
        let state = StateId::of(some.values().next().unwrap());
        for is_seen_between in [true, false] {
            let mut book = Book::new();
            book.look(Changes::default(), &some, &BTreeSet::new());
            book.copies_all();
            book.steps(&some, 1);
            let before: Vec<u64> = book.ledger.numbers().collect();
            let mut gone = Changes::default();
            gone.note_all(state);
            // No step is made while the state is gone.
            if is_seen_between {
                book.look(gone, &none, &BTreeSet::new());
                book.look(Changes::default(), &some, &BTreeSet::new());
            } else {
                book.look(gone, &some, &BTreeSet::new());
            }
            assert_eq!(book.ledger.next(&some, false), None, "{is_seen_between}");
            book.copies_all();
            book.steps(&some, 2);
            assert_ne!(book.ledger.numbers().collect::<Vec<_>>(), before);
        }
    }

    #[test]
    fn a_view_that_is_retired_goes_with_the_next_step() {
        let both = views(&[("last", 0), ("sums", 0)]);
        let mut book = Book::new();
        book.look(Changes::default(), &both, &BTreeSet::new());
        book.copies_all();
        book.steps(&both, 1);
        let one = views(&[("last", 0)]);
        book.look(Changes::default(), &one, &BTreeSet::new());
        assert!(!book.ledger.is_settled(&one));
        book.steps(&one, 2);
        assert_eq!(book.ledger.numbers().count(), 1);
        assert!(book.ledger.is_settled(&one));
    }
}
