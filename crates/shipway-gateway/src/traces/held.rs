//! How many bytes of words may be in memory: those of calls that run, and those that wait to be written.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What a call is taken for beside its words.
const CALL_BYTES: usize = 1_024;

/// The bound, and how much of it is taken.
#[derive(Debug)]
pub(super) struct Room {
    most_bytes: usize,
    taken: AtomicUsize,
}

impl Room {
    pub(super) fn new(most_bytes: usize) -> Arc<Self> {
        Arc::new(Self { most_bytes, taken: AtomicUsize::new(0) })
    }

    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= self.most_bytes);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }
}

/// The bytes that one call has taken. They are free again when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    room: Arc<Room>,
    bytes: usize,
}

impl Held {
    /// None where there is no room.
    pub(super) fn of(room: &Arc<Room>, bytes: usize) -> Option<Self> {
        let bytes = bytes.saturating_add(CALL_BYTES);
        room.take(bytes).then(|| Self { room: Arc::clone(room), bytes })
    }

    /// Takes more; false where there is no room.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let is_taken = self.room.take(bytes);
        if is_taken {
            self.bytes += bytes;
        }
        is_taken
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_beyond_the_bound_and_all_of_it_comes_back() {
        let room = Room::new(4_096);
        let mut first = Held::of(&room, 1_000).unwrap();
        assert!(first.grow(1_000) && !first.grow(1_073));
        assert_eq!(room.taken(), 3_024);
        assert!(Held::of(&room, 100).is_none());
        let second = Held::of(&room, 48).unwrap();
        assert_eq!(room.taken(), 4_096);
        drop((first, second));
        assert_eq!(room.taken(), 0);
        assert!(Held::of(&room, usize::MAX).is_none());
    }
}
