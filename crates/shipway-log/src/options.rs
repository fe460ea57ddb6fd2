//! The bounds of a log.

/// The bounds of a log. They may differ from one opening to the next: a log written with larger bounds stays readable.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// A segment that would grow beyond this many bytes is sealed and a new one begins. A segment holds whole groups,
    /// so one group may still exceed it.
    pub segment_bytes: u64,
    /// A record longer than this many bytes is refused.
    pub max_record_bytes: u32,
    /// Appends beyond this many bytes in flight, per topic, wait for their turn before they take memory in the queue.
    pub max_pending_bytes: u32,
}

impl Default for LogOptions {
    /// Segments of 128 MiB, records of at most 16 MiB, 64 MiB in flight.
    fn default() -> Self {
        Self { segment_bytes: 128 << 20, max_record_bytes: 16 << 20, max_pending_bytes: 64 << 20 }
    }
}
