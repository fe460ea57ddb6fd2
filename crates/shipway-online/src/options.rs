//! The sizes of the store.

use std::time::Duration;

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
    /// How long what is [committed soon](crate::OnlineStore::commit_soon) stays in memory alone.
    pub soon_within: Duration,
    /// How much of that there may be before it is written sooner. Whoever commits twice as much waits until it is written.
    pub soon_bytes: usize,
}

impl OnlineOptions {
    pub(crate) fn memtable_bytes_of(&self, space: Space) -> u64 {
        match space {
            Space::State => self.state_memtable_bytes,
            Space::Seen | Space::SeenByTime | Space::Progress | Space::Row | Space::Member => {
                self.memtable_bytes
            }
        }
    }
}

impl Default for OnlineOptions {
    /// 256 MiB of cache, 16 MiB of changes per space, 64 MiB of states; 5 seconds and 64 MiB in memory alone.
    fn default() -> Self {
        Self {
            cache_bytes: 256 << 20,
            memtable_bytes: 16 << 20,
            state_memtable_bytes: 64 << 20,
            soon_within: Duration::from_secs(5),
            soon_bytes: 64 << 20,
        }
    }
}
