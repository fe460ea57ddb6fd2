//! Changes that are visible already and in no file yet.

use std::ops::Bound;

use bytes::Bytes;
use foldhash::quality::RandomState;
use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use crate::{batch::Change, space::Space};

/// A new value, or `None` where the key is removed.
type Value = Option<Bytes>;

/// The last change of each key since the engine took those before. A clone costs nothing and keeps its moment.
#[derive(Clone)]
pub(crate) struct Overlay {
    /// By [`Space::position`].
    spaces: [Changed; Space::ALL.len()],
    len: usize,
    bytes: usize,
}

/// The changes of one space.
#[derive(Clone)]
enum Changed {
    /// Read key by key, and walked only now and then.
    ByKey(HashTrieMapSync<Bytes, Value, RandomState>),
    /// Walked all the time.
    InOrder(RedBlackTreeMapSync<Bytes, Value>),
}

impl Changed {
    fn none(space: Space) -> Self {
        match space {
            Space::State | Space::Seen | Space::Row => {
                Self::ByKey(HashTrieMapSync::new_with_hasher_and_ptr_kind(RandomState::default()))
            }
            Space::SeenByTime | Space::Progress | Space::Member => {
                Self::InOrder(RedBlackTreeMapSync::new_sync())
            }
        }
    }

    fn get(&self, key: &[u8]) -> Option<&Value> {
        match self {
            // Without the hash of a key that cannot be there.
            Self::ByKey(changes) if changes.is_empty() => None,
            Self::ByKey(changes) => changes.get(key),
            Self::InOrder(changes) => changes.get(key),
        }
    }

    fn insert(&mut self, key: Bytes, value: Value) {
        match self {
            Self::ByKey(changes) => changes.insert_mut(key, value),
            Self::InOrder(changes) => changes.insert_mut(key, value),
        }
    }

    /// Those of the keys with `prefix` that come after `after`, ascending by key.
    fn walk(&self, prefix: &[u8], after: &[u8]) -> Vec<(Bytes, Value)> {
        let owned = |(key, value): (&Bytes, &Value)| (key.clone(), value.clone());
        match self {
            Self::ByKey(changes) => {
                let wanted = changes.iter().filter(|(key, _)| key.starts_with(prefix) && key[..] > *after);
                let mut wanted: Vec<_> = wanted.map(owned).collect();
                wanted.sort_unstable_by(|left, right| left.0.cmp(&right.0));
                wanted
            }
            Self::InOrder(changes) => {
                let from = (Bound::Included(prefix.max(after)), Bound::Unbounded);
                let found = changes.range::<[u8], _>(from).take_while(|(key, _)| key.starts_with(prefix));
                found.filter(|(key, _)| key[..] > *after).map(owned).collect()
            }
        }
    }
}

impl Overlay {
    /// No change.
    pub(crate) fn none() -> Self {
        Self { spaces: Space::ALL.map(Changed::none), len: 0, bytes: 0 }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the keys and their new values take.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes in a later change.
    pub(crate) fn add(&mut self, Change { space, key, value }: Change) {
        let changed = &mut self.spaces[space.position()];
        let bytes = |value: &Value| value.as_ref().map_or(0, Bytes::len);
        match changed.get(&key) {
            Some(old) => self.bytes = self.bytes.saturating_sub(bytes(old)),
            None => {
                self.len += 1;
                self.bytes += key.len();
            }
        }
        self.bytes += bytes(&value);
        changed.insert(key, value);
    }

    /// What became of `key`; `None` where nothing did.
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Option<&Value> {
        if self.is_empty() { None } else { self.spaces[space.position()].get(key) }
    }

    /// The changes of the keys with `prefix` that come after `after`, ascending by key. Costs a look at every changed key of a space that
    /// is not kept in order.
    pub(crate) fn walk(&self, space: Space, prefix: &[u8], after: &[u8]) -> Vec<(Bytes, Value)> {
        if self.is_empty() { Vec::new() } else { self.spaces[space.position()].walk(prefix, after) }
    }

    /// All changes, ordered by space and key.
    pub(crate) fn changes(&self) -> impl Iterator<Item = Change> {
        Space::ALL.into_iter().flat_map(|space| {
            let changes = self.walk(space, &[], &[]);
            changes.into_iter().map(move |(key, value)| Change { space, key, value })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(space: Space, key: &str, value: Option<&str>) -> Change {
        let value = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
        Change { space, key: Bytes::copy_from_slice(key.as_bytes()), value }
    }

    #[test]
    fn the_last_change_of_a_key_counts_and_a_clone_keeps_its_moment() {
        for space in Space::ALL {
            let mut overlay = Overlay::none();
            assert!(overlay.is_empty() && overlay.get(space, b"a").is_none());
            overlay.add(change(space, "a", Some("long value")));
            let before = overlay.clone();
            overlay.add(change(space, "a", Some("1")));
            overlay.add(change(space, "b", None));
            assert_eq!(before.get(space, b"a").unwrap().as_deref(), Some(&b"long value"[..]));
            assert_eq!((before.get(space, b"b"), before.bytes()), (None, 11));
            assert_eq!(overlay.get(space, b"a").unwrap().as_deref(), Some(&b"1"[..]));
            assert_eq!(overlay.get(space, b"b"), Some(&None), "a removal is a change");
            assert_eq!(overlay.bytes(), 3);
            let changes: Vec<_> = overlay.changes().map(|change| (change.space, change.key)).collect();
            assert_eq!(changes, [(space, "a".into()), (space, "b".into())]);
        }
    }

    #[test]
    fn a_walk_has_the_keys_with_the_prefix_in_order() {
        for space in Space::ALL {
            let mut overlay = Overlay::none();
            for key in ["b", "ab", "abc", "a", "abd", "ac"] {
                overlay.add(change(space, key, Some(key)));
            }
            let walk = |prefix: &str, after: &str| {
                let walked = overlay.walk(space, prefix.as_bytes(), after.as_bytes());
                walked
                    .into_iter()
                    .map(|(key, _)| String::from_utf8(key.to_vec()).unwrap())
                    .collect::<Vec<_>>()
            };
            assert_eq!(walk("ab", ""), ["ab", "abc", "abd"]);
            assert_eq!(walk("ab", "abc"), ["abd"]);
            assert_eq!(walk("ab", "aa"), ["ab", "abc", "abd"]);
            assert_eq!(walk("ab", "b"), [""; 0]);
            assert_eq!(walk("", "ac"), ["b"]);
        }
    }
}
