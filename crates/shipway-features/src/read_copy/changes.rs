//! Which states changed, by key; in bounded memory. Too many keys of one state are all of them.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use shipway_core::Digest;

use crate::materialise::ActiveView;

/// One state of one view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StateId {
    pub(crate) view: Digest,
    pub(crate) generation: u32,
}

impl StateId {
    pub(crate) fn of(active: &ActiveView) -> Self {
        Self { view: active.layout.hash, generation: active.generation }
    }
}

/// What changed of one state.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Changed {
    /// The states at these keys of the store.
    Keys(HashSet<Bytes>),
    All,
}

/// What changed of the states of one source.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    states: BTreeMap<StateId, Changed>,
    /// All keys together.
    keys: usize,
}

impl Changes {
    /// Notes that the states at `keys` changed. With more than `most` keys in all, the state that has most is taken as
    /// changed everywhere.
    pub(crate) fn note(&mut self, state: StateId, keys: impl IntoIterator<Item = Bytes>, most: usize) {
        let changed = self.states.entry(state).or_insert_with(|| Changed::Keys(HashSet::new()));
        if let Changed::Keys(held) = changed {
            for key in keys {
                self.keys += usize::from(held.insert(key));
            }
        }
        self.keep_within(most);
    }

    /// Notes that any key of `state` may have changed.
    pub(crate) fn note_all(&mut self, state: StateId) {
        if let Some(Changed::Keys(held)) = self.states.insert(state, Changed::All) {
            self.keys -= held.len();
        }
    }

    /// Adds what changed later.
    pub(crate) fn merge(&mut self, later: Self, most: usize) {
        for (state, changed) in later.states {
            match changed {
                Changed::All => self.note_all(state),
                Changed::Keys(keys) => self.note(state, keys, most),
            }
        }
    }

    /// Forgets what changed of `state`; says whether that was all of it.
    pub(crate) fn forget(&mut self, state: &StateId) -> bool {
        match self.states.remove(state) {
            Some(Changed::Keys(held)) => {
                self.keys -= held.len();
                false
            }
            Some(Changed::All) => true,
            None => false,
        }
    }

    /// Forgets every state that is not to be kept.
    pub(crate) fn keep(&mut self, is_kept: impl Fn(&StateId) -> bool) {
        let dropped: Vec<StateId> = self.states.keys().filter(|state| !is_kept(state)).copied().collect();
        for state in dropped {
            self.forget(&state);
        }
    }

    pub(crate) fn is_all(&self, state: &StateId) -> bool {
        self.states.get(state) == Some(&Changed::All)
    }

    /// The keys that changed of `state`, unless that is all of it.
    pub(crate) fn keys(&self, state: &StateId) -> Vec<Bytes> {
        match self.states.get(state) {
            Some(Changed::Keys(held)) => held.iter().cloned().collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn has(&self, state: &StateId) -> bool {
        self.states.get(state).is_some_and(|changed| match changed {
            Changed::Keys(held) => !held.is_empty(),
            Changed::All => true,
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.states.keys().all(|state| !self.has(state))
    }

    fn keep_within(&mut self, most: usize) {
        while self.keys > most {
            let size = |changed: &Changed| match changed {
                Changed::Keys(held) => held.len(),
                Changed::All => 0,
            };
            let largest = self.states.iter().max_by_key(|(_, changed)| size(changed));
            let Some(largest) = largest.map(|(state, _)| *state) else { return };
            self.note_all(largest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(number: u8) -> StateId {
        StateId { view: Digest::from_bytes([number; 32]), generation: 0 }
    }

    fn keys(names: &[&'static str]) -> Vec<Bytes> {
        names.iter().map(|name| Bytes::from_static(name.as_bytes())).collect()
    }

    #[test]
    fn a_key_that_changes_again_is_one_key_and_too_many_are_all_of_the_largest_state() {
        let mut changes = Changes::default();
        assert!(changes.is_empty());
        changes.note(state(1), keys(&["a", "b", "a"]), 4);
        changes.note(state(2), keys(&["c"]), 4);
        changes.note(state(1), keys(&["b", "d"]), 4);
        assert_eq!((changes.keys(&state(1)).len(), changes.keys(&state(2)).len()), (3, 1));
        changes.note(state(2), keys(&["e"]), 4);
        assert!(changes.is_all(&state(1)) && !changes.is_all(&state(2)));
        assert_eq!(changes.keys(&state(2)).len(), 2);
        // What is all stays all, and takes no room.
        changes.note(state(1), keys(&["f"]), 4);
        changes.note(state(2), keys(&["g", "h"]), 4);
        assert_eq!(changes.keys(&state(2)).len(), 4);
        assert!(changes.forget(&state(1)) && !changes.forget(&state(2)));
        assert!(changes.is_empty());
    }

    #[test]
    fn what_came_later_is_added_and_states_that_nobody_keeps_are_forgotten() {
        let (mut changes, mut later) = (Changes::default(), Changes::default());
        changes.note(state(1), keys(&["a"]), 9);
        later.note(state(1), keys(&["b"]), 9);
        later.note_all(state(2));
        changes.merge(later, 9);
        assert_eq!(changes.keys(&state(1)).len(), 2);
        assert!(changes.has(&state(2)));
        changes.keep(|held| *held == state(1));
        assert!(!changes.has(&state(2)) && changes.has(&state(1)));
    }
}
