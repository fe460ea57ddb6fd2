//! The rows of one key that may be its latest, for latest-value views.

use std::cmp::Ordering;

use shipway_core::Value;

use super::{aggregates::SweptEvent, events::STILL_COUNTS};

/// The candidates of one key, latest last.
///
/// Where every event counts there is one. Where rows have their own watermarks, a candidate stays as long as no later
/// row arrived before it did: so arrivals rise along the candidates.
#[derive(Debug, Default)]
pub(crate) struct LatestState {
    candidates: Vec<Candidate>,
    /// Rows that are taken away for some of the spine, in the order of events.
    passing: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    time: i64,
    event_id: String,
    arrival: u64,
    until: u64,
    values: Vec<Value>,
}

impl LatestState {
    /// Takes in a row of the source. Without watermarks every `arrival` is 0, and so is `always_arrived` or above: the
    /// row displaces all earlier ones. `always_arrived` is the lowest watermark of the spine.
    pub(crate) fn push(&mut self, event: SweptEvent<'_>, always_arrived: u64) {
        if event.until != STILL_COUNTS {
            // One that was gone for the lowest row counts for nobody.
            if event.until >= always_arrived {
                let place = self.passing.partition_point(|held| held.order(&event) != Ordering::Greater);
                self.passing.insert(place, Candidate::of(&event));
            }
            return;
        }
        // To a row that sees both, only the order of events matters; below the lowest watermark everyone sees both.
        let arrival = if event.arrival < always_arrived { 0 } else { event.arrival };
        let mut place = self.candidates.len();
        while place > 0 && self.candidates[place - 1].order(&event) == Ordering::Greater {
            place -= 1;
        }
        if self.candidates.get(place).is_some_and(|later| later.arrival <= arrival) {
            return;
        }
        let mut first_outdone = place;
        while first_outdone > 0 && self.candidates[first_outdone - 1].arrival >= arrival {
            first_outdone -= 1;
        }
        let mut outdone = self.candidates.drain(first_outdone..place);
        let mut candidate = outdone.next().unwrap_or_else(Candidate::blank);
        drop(outdone);
        candidate.time = event.time;
        candidate.event_id.clear();
        candidate.event_id.push_str(event.event_id);
        candidate.arrival = arrival;
        candidate.values.clear();
        candidate.values.extend_from_slice(event.values);
        self.candidates.insert(first_outdone, candidate);
    }

    /// The time and the values of the latest row for `q`, `None` without one. All rows pushed so far lie before `q`.
    pub(crate) fn at(&mut self, q: i64, watermark: u64, ttl_us: Option<i64>) -> Option<(i64, &[Value])> {
        let is_fresh =
            |candidate: &Candidate| ttl_us.is_none_or(|ttl_us| q.saturating_sub(candidate.time) <= ttl_us);
        let stale = self.candidates.iter().take_while(|candidate| !is_fresh(candidate)).count();
        self.candidates.drain(..stale);
        let stale = self.passing.iter().take_while(|candidate| !is_fresh(candidate)).count();
        self.passing.drain(..stale);
        let seen = self.candidates.iter().rev().find(|candidate| candidate.arrival < watermark);
        let counts = |passing: &&Candidate| passing.arrival < watermark && passing.until >= watermark;
        let passing = self.passing.iter().rev().find(counts);
        let seen = [seen, passing].into_iter().flatten().max_by(|one, other| one.place().cmp(&other.place()));
        seen.map(|candidate| (candidate.time, candidate.values.as_slice()))
    }
}

impl Candidate {
    fn blank() -> Self {
        Self { time: 0, event_id: String::new(), arrival: 0, until: STILL_COUNTS, values: Vec::new() }
    }

    fn of(event: &SweptEvent<'_>) -> Self {
        Self {
            time: event.time,
            event_id: event.event_id.to_owned(),
            arrival: event.arrival,
            until: event.until,
            values: event.values.to_vec(),
        }
    }

    fn place(&self) -> (i64, &str) {
        (self.time, self.event_id.as_str())
    }

    fn order(&self, event: &SweptEvent<'_>) -> Ordering {
        self.place().cmp(&(event.time, event.event_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(state: &mut LatestState, time: i64, event_id: &str, arrival: u64, value: i64) {
        let values = [Value::Int(value)];
        state.push(SweptEvent { time, event_id, arrival, until: STILL_COUNTS, values: &values }, 10);
    }

    #[test]
    fn a_tie_goes_to_the_greater_id_whatever_comes_first() {
        for order in [["a", "b"], ["b", "a"]] {
            let mut state = LatestState::default();
            for event_id in order {
                push(&mut state, 5, event_id, 0, if event_id == "b" { 2 } else { 1 });
            }
            assert_eq!(state.at(6, u64::MAX, None), Some((5, &[Value::Int(2)][..])));
            assert_eq!(state.candidates.len(), 1);
        }
    }

    #[test]
    fn the_age_of_the_ttl_still_counts() {
        let mut state = LatestState::default();
        push(&mut state, 0, "a", 0, 1);
        assert!(state.at(10, u64::MAX, Some(10)).is_some());
        assert!(state.at(11, u64::MAX, Some(10)).is_none());
    }

    #[test]
    fn a_row_sees_the_latest_that_had_arrived_for_it() {
        let mut state = LatestState::default();
        push(&mut state, 1, "a", 3, 1);
        push(&mut state, 2, "b", 40, 2);
        push(&mut state, 3, "c", 20, 3);
        assert_eq!(state.at(9, 10, None), Some((1, &[Value::Int(1)][..])));
        assert_eq!(state.at(9, 21, None), Some((3, &[Value::Int(3)][..])));
        assert_eq!(
            state.at(9, 41, None),
            Some((3, &[Value::Int(3)][..])),
            "a later arrival is not a later event"
        );
        assert_eq!(state.candidates.len(), 2, "nobody can see b without seeing c");
    }
}
