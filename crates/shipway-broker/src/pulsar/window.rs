//! How many messages a broker may send ahead, so that they take about so many bytes.
//!
//! The protocol counts messages. How long they are is learnt from those that came.

/// Never more than this ahead, however short they are.
const MOST: i64 = 1_000;
/// Before the first message nothing is known, so there are few at first.
const AT_FIRST: u64 = 16;

/// What a broker may send.
#[derive(Debug)]
pub(super) struct Window {
    share: u64,
    /// What may still come. Below 0 when a batch was longer than what was left of it: a broker sends whole batches, and remembers.
    open: i64,
    /// Bytes of a message, of late.
    usual: u64,
}

impl Window {
    /// For about `share` bytes.
    pub(super) fn new(share: u64) -> Self {
        Self { share, open: 0, usual: (share / AT_FIRST).max(1) }
    }

    /// An entry came, of so many messages and bytes.
    pub(super) fn used(&mut self, messages: u32, bytes: usize) {
        self.open -= i64::from(messages);
        let each = (bytes as u64 / u64::from(messages.max(1))).max(1);
        self.usual = (self.usual.saturating_mul(3).saturating_add(each) / 4).max(1);
    }

    /// How many more to let come, if it is time to.
    pub(super) fn more(&mut self) -> Option<u32> {
        let wanted = i64::try_from(self.share / self.usual).unwrap_or(MOST).clamp(1, MOST);
        if self.open > wanted / 2 {
            return None;
        }
        let more = wanted - self.open;
        self.open = wanted;
        u32::try_from(more).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_come_follows_the_length_of_messages() {
        let mut window = Window::new(16_000);
        assert_eq!(window.more(), Some(16));
        assert_eq!(window.more(), None);
        // Short ones: it opens, up to the bound.
        for _ in 0..100 {
            window.used(1, 10);
            window.more();
        }
        assert!((MOST / 2..=MOST).contains(&window.open), "{}", window.open);
        // Long ones: it closes, down to one at a time.
        window.used(999, 999 * 100_000);
        for _ in 0..100 {
            window.used(1, 100_000);
            window.more();
        }
        assert!(window.open <= 1, "{}", window.open);
    }

    #[test]
    fn a_batch_longer_than_what_was_left_is_made_good_so_that_reading_does_not_stop() {
        let mut window = Window::new(16_000);
        assert_eq!(window.more(), Some(16));
        window.used(500, 500_000);
        let wanted = window.share / window.usual;
        assert_eq!(u64::from(window.more().unwrap()), wanted + 484);
    }
}
