//! The sizes of the store.

/// The sizes of the store. They may differ from one opening to the next.
#[derive(Debug, Clone)]
pub struct OnlineOptions {
    /// Memory for blocks read from disk, shared by all spaces.
    pub cache_bytes: u64,
    /// Memory that one space fills with changes before it writes them to a sorted file. A space may hold a few of
    /// these while files are written. Applies to spaces as they are created.
    pub memtable_bytes: u64,
}

impl Default for OnlineOptions {
    /// 256 MiB of cache, 16 MiB of changes per space.
    fn default() -> Self {
        Self { cache_bytes: 256 << 20, memtable_bytes: 16 << 20 }
    }
}
