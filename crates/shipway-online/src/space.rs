//! The six parts of the store.

use std::fmt;

/// A part of the store with keys of its own, ordered by their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// The state of each view and key.
    State,
    /// The event ids seen within the horizon of deduplication.
    Seen,
    /// The same ids in the order of time, so that old ones can be dropped.
    SeenByTime,
    /// How far each consumer has come.
    Progress,
    /// The newest event of each id, where later events take the place of earlier ones.
    Row,
    /// The events of each view and key in the order of time, where they may be taken back.
    Member,
}

impl Space {
    /// All spaces, in the order of their [`Space::position`].
    pub(crate) const ALL: [Self; 6] =
        [Self::State, Self::Seen, Self::SeenByTime, Self::Progress, Self::Row, Self::Member];

    /// Its place in [`Space::ALL`].
    pub(crate) const fn position(self) -> usize {
        self as usize
    }

    /// Its name on disk; never changes.
    pub(crate) const fn keyspace(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Seen => "seen",
            Self::SeenByTime => "seen_by_time",
            Self::Progress => "progress",
            Self::Row => "row",
            Self::Member => "member",
        }
    }
}

impl fmt::Display for Space {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.keyspace())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_space_stands_where_its_position_says() {
        for (position, space) in Space::ALL.into_iter().enumerate() {
            assert_eq!(space.position(), position);
        }
    }
}
