//! The sizes of the store.

use crate::space::Space;

/// The sizes of the store. They may differ from one opening to the next.
#[derive(Debug, Clone)]
pub struct OnlineOptions {
    /// Memory for blocks read from disk, shared by all spaces.
    pub cache_bytes: u64,
    /// Memory that a space fills with changes before it writes them to a sorted file. A space may hold a few of these while files are
    /// written. Applies to spaces as they are created.
    pub memtable_bytes: u64,
    /// The same for [`Space::State`](crate::Space::State): its keys are written again and again, and of what is overwritten in memory nothing comes
    /// into a file.
    pub state_memtable_bytes: u64,
}

impl OnlineOptions {
    pub(crate) fn memtable_bytes_of(&self, space: Space) -> u64 {
        match space {
            Space::State => self.state_memtable_bytes,
            Space::Seen | Space::SeenByTime | Space::Progress => self.memtable_bytes,
        }
    }
}

impl Default for OnlineOptions {
    /// 256 MiB of cache, 16 MiB of changes per space, 64 MiB of states.
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, memtable_bytes: 16 << 20, state_memtable_bytes: 64 << 20 }
    }
}
