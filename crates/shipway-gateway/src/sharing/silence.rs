//! Which servers have not been heard of for so long that they let nobody in any more on what they had leased. Pure.
//!
//! A server counts up while it runs. Whoever looks at it measures by a clock of its own that only goes forward, so no clock that is set makes
//! a server silent that is not.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use crate::store::servers::ServerRow;

/// Twice as long as a server goes on by itself.
const SILENT_AFTER: Duration = Duration::from_secs(20);
/// Whoever has not looked for so long knows nothing of what was meanwhile.
const LOOKS_WITHIN: Duration = Duration::from_secs(5);

/// What was seen of other servers.
#[derive(Debug, Default)]
pub(super) struct Silence {
    beats: HashMap<String, (i64, Instant)>,
    looked: Option<Instant>,
}

impl Silence {
    pub(super) fn sees(&mut self, servers: &[ServerRow], own: &str, now: Instant) {
        let is_gap = self.looked.is_none_or(|looked| now.saturating_duration_since(looked) > LOOKS_WITHIN);
        if is_gap {
            self.beats.clear();
        }
        self.looked = Some(now);
        for row in servers.iter().filter(|row| row.server != own) {
            let heard = self.beats.entry(row.server.clone()).or_insert((row.beat, now));
            if heard.0 != row.beat {
                *heard = (row.beat, now);
            }
        }
    }

    pub(super) fn silent(&self, now: Instant) -> BTreeSet<String> {
        let is_current =
            self.looked.is_some_and(|looked| now.saturating_duration_since(looked) <= LOOKS_WITHIN);
        let is_silent = |heard: &Instant| is_current && now.saturating_duration_since(*heard) > SILENT_AFTER;
        let silent = self.beats.iter().filter(|(_, (_, heard))| is_silent(heard));
        silent.map(|(server, _)| server.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use shipway_core::Timestamp;

    use super::*;

    fn row(beat: i64) -> ServerRow {
        ServerRow { server: "other".to_owned(), is_owner: false, beat, seen: Timestamp(0) }
    }

    #[test]
    fn a_server_is_silent_when_it_did_not_count_up_for_long_while_somebody_looked() {
        let began = Instant::now();
        let at = |seconds: u64| began + Duration::from_secs(seconds);
        let mut silence = Silence::default();
        for second in 0..=20 {
            silence.sees(&[row(7)], "own", at(second));
            assert!(silence.silent(at(second)).is_empty());
        }
        silence.sees(&[row(7)], "own", at(21));
        assert_eq!(silence.silent(at(21)), BTreeSet::from(["other".to_owned()]));
        silence.sees(&[row(8)], "own", at(22));
        assert!(silence.silent(at(22)).is_empty());
        // Who did not look for an hour cannot say who was silent in it.
        silence.sees(&[row(8)], "own", at(3_622));
        assert!(silence.silent(at(3_622)).is_empty());
        assert!(silence.silent(at(3_700)).is_empty());
    }
}
