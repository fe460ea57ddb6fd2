//! Changes that belong together.

use bytes::Bytes;

use crate::{error::OnlineError, space::Space};

/// The longest key that the store takes.
pub(crate) const MAX_KEY_BYTES: usize = u16::MAX as usize;
const MAX_VALUE_BYTES: usize = u32::MAX as usize;

/// Changes that [`OnlineStore::commit`](crate::OnlineStore::commit) makes at once or not at all.
///
/// Of several changes to one key the last counts.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    changes: Vec<Change>,
}

impl Batch {
    /// A batch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the value of `key`. A key has 1 to 65,535 bytes, a value less than 4 GiB; committing checks.
    pub fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.changes.push(Change { space, key: key.into(), value: Some(value.into()) });
    }

    /// Removes `key`, if it is there.
    pub fn delete(&mut self, space: Space, key: impl Into<Bytes>) {
        self.changes.push(Change { space, key: key.into(), value: None });
    }

    /// The number of changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The changes in the order in which they were made.
    pub(crate) fn into_changes(self) -> Result<Vec<Change>, OnlineError> {
        for Change { space, key, value } in &self.changes {
            let value_bytes = value.as_ref().map_or(0, Bytes::len);
            if key.is_empty() || key.len() > MAX_KEY_BYTES {
                return Err(OnlineError::Key { space: *space, bytes: key.len(), limit: MAX_KEY_BYTES });
            }
            if value_bytes > MAX_VALUE_BYTES {
                return Err(OnlineError::Value { space: *space, bytes: value_bytes, limit: MAX_VALUE_BYTES });
            }
        }
        Ok(self.changes)
    }

    /// The last change of each key, ordered by space and key: neighbours go to neighbouring places in the store.
    pub(crate) fn into_sorted_changes(self) -> Result<Vec<Change>, OnlineError> {
        let mut changes = self.into_changes()?;
        // Stable, so that of equal keys the last change stays last.
        changes.sort_by(|left, right| (left.space, &left.key).cmp(&(right.space, &right.key)));
        changes.dedup_by(|later, kept| {
            let is_same = later.space == kept.space && later.key == kept.key;
            if is_same {
                kept.value = later.value.take();
            }
            is_same
        });
        Ok(changes)
    }
}

/// One change of a batch.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) space: Space,
    pub(crate) key: Bytes,
    /// The new value, or `None` to remove the key.
    pub(crate) value: Option<Bytes>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_change_of_a_key_counts_and_spaces_do_not_mix() {
        let mut batch = Batch::new();
        batch.put(Space::State, "b", "1");
        batch.delete(Space::State, "b");
        batch.put(Space::State, "a", "2");
        batch.put(Space::State, "a", "3");
        batch.put(Space::Seen, "a", "4");
        assert_eq!(batch.len(), 5);
        let changes: Vec<_> = batch
            .into_sorted_changes()
            .unwrap()
            .into_iter()
            .map(|change| (change.space, change.key, change.value))
            .collect();
        let expected = [
            (Space::State, "a".into(), Some("3".into())),
            (Space::State, "b".into(), None),
            (Space::Seen, "a".into(), Some("4".into())),
        ];
        assert_eq!(changes, expected);
    }
}
