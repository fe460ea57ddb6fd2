//! Findings in a text that comes in pieces.
//!
//! What has come is held until it cannot be part of a finding any more, or until so much is held that a finding would have to be longer than
//! [`LONGEST_HELD_BYTES`]. The same is found as in the whole text, but for findings that are longer.

use std::ops::Range;

use regex_automata::hybrid::dfa::Cache;

use crate::{find::Finder, vault::Vault};

/// The most that is held of a text.
pub const LONGEST_HELD_BYTES: usize = 8 * 1024;
/// How much is kept of what was let go, since checks look at what stands before a finding.
const KEPT_BEFORE: usize = 64;

/// A detector that watches a text.
#[derive(Debug, Clone, Copy)]
pub struct Watched<'f> {
    /// What it finds.
    pub finder: &'f Finder,
    /// What is found is replaced, so it is let go as one.
    pub replaces: bool,
}

/// What was found, or what is to be put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A detector, by its place, found something.
    Found {
        /// Which detector.
        detector: usize,
        /// What it is.
        label: String,
        /// What was found.
        value: String,
    },
    /// A placeholder stands for this.
    Restore(String),
}

/// What is settled of the text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// Up to where, in bytes of the whole text.
    pub upto: usize,
    /// What is in it that was not told before, by its place in the whole text. Those of one detector do not overlap.
    pub changes: Vec<(Range<usize>, Change)>,
}

/// A text that comes in pieces.
#[derive(Debug, Default)]
pub struct Window {
    /// The end of what has come.
    text: String,
    /// Where `text` begins in the whole.
    base: usize,
    /// Up to where each detector has looked, in the whole text.
    looked: Vec<usize>,
    /// Up to where placeholders were looked for.
    restored: usize,
    settled: usize,
    /// What is to be replaced and is not let go yet.
    spans: Vec<Range<usize>>,
    caches: Vec<Option<Cache>>,
}

impl Window {
    /// All bytes that have come.
    pub fn len(&self) -> usize {
        self.base + self.text.len()
    }

    /// Whether nothing has come.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &str) {
        self.text.push_str(piece);
    }

    /// Looks at what has come. `is_over`: nothing more comes, so nothing is held. The detectors must be the same every time. `looked` is
    /// called when each of them is done, so that its time can be taken.
    pub fn settle(
        &mut self,
        detectors: &[Watched<'_>],
        vault: &Vault,
        is_over: bool,
        looked: &mut dyn FnMut(usize),
    ) -> Settled {
        self.looked.resize(detectors.len(), self.settled);
        while self.caches.len() < detectors.len() {
            self.caches.push(detectors[self.caches.len()].finder.alive().cache());
        }
        let forced = self.forced();
        let mut settled = Settled { upto: self.len(), changes: Vec::new() };
        for (place, watched) in detectors.iter().enumerate() {
            self.look(place, *watched, (is_over, forced), &mut settled);
            looked(place);
        }
        self.look_for_placeholders(vault, (is_over, forced), &mut settled);
        let is_replaced = |change: &Change| match change {
            Change::Restore(_) => true,
            Change::Found { detector, .. } => detectors[*detector].replaces,
        };
        let replaced = settled.changes.iter().filter(|(_, change)| is_replaced(change));
        self.spans.extend(replaced.map(|(range, _)| range.clone()));
        // What is to be replaced is let go whole: as long as others still hold a part of it, all of it is held.
        while let Some(span) =
            self.spans.iter().find(|span| span.start < settled.upto && settled.upto < span.end)
        {
            settled.upto = span.start;
        }
        settled.upto = settled.upto.max(self.settled);
        self.spans.retain(|span| span.end > settled.upto);
        settled.changes.sort_by_key(|(range, _)| range.start);
        self.settled = settled.upto;
        self.forget();
        settled
    }

    /// What lies before this place is held no longer, whatever it may become.
    fn forced(&self) -> usize {
        let mut place = self.text.len().saturating_sub(LONGEST_HELD_BYTES);
        while !self.text.is_char_boundary(place) {
            place += 1;
        }
        self.base + place
    }

    fn look(
        &mut self,
        place: usize,
        watched: Watched<'_>,
        (is_over, forced): (bool, usize),
        settled: &mut Settled,
    ) {
        let from = self.looked[place];
        let alive = if is_over {
            self.len()
        } else {
            let alive =
                watched.finder.alive().first(self.caches[place].as_mut(), &self.text, from - self.base);
            (self.base + alive).max(forced)
        };
        let mut looked = alive.max(from);
        for finding in watched.finder.find_from(&self.text, from - self.base) {
            let range = self.base + finding.range.start..self.base + finding.range.end;
            // From a place that is alive on, it may still become another one.
            if range.start >= alive {
                break;
            }
            looked = looked.max(range.end);
            let value = self.text[finding.range].to_owned();
            settled.changes.push((range, Change::Found { detector: place, label: finding.label, value }));
        }
        self.looked[place] = looked;
        settled.upto = settled.upto.min(alive.max(from));
    }

    fn look_for_placeholders(
        &mut self,
        vault: &Vault,
        (is_over, forced): (bool, usize),
        settled: &mut Settled,
    ) {
        let from = self.restored.max(self.base);
        let alive = if is_over {
            self.len()
        } else {
            (self.base + vault.first_alive(&self.text, from - self.base)).max(forced)
        };
        for (range, value) in vault.find(&self.text[from - self.base..]) {
            let range = from + range.start..from + range.end;
            settled.changes.push((range, Change::Restore(value.to_owned())));
        }
        self.restored = alive.max(from);
        settled.upto = settled.upto.min(self.restored);
    }

    /// Lets go of what nothing looks at any more.
    fn forget(&mut self) {
        let needed =
            self.looked.iter().copied().chain([self.restored, self.settled]).min().unwrap_or(self.settled);
        let mut place = needed.saturating_sub(self.base).saturating_sub(KEPT_BEFORE);
        while !self.text.is_char_boundary(place) {
            place -= 1;
        }
        // Moving what remains costs as much as it is long.
        if place > self.text.len() / 2 {
            self.text.drain(..place);
            self.base += place;
        }
    }
}
