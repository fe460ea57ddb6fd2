//! Answers that are the value of one event of the range: the least, the greatest, the first, the last.

use std::collections::VecDeque;

use crate::Operation;

use super::{NO_PICK, RangeAnswers, RangeColumn, RangeValues, Ranges};

/// The least or greatest value of each range; `None` for texts.
pub(super) fn extremes(
    operation: Operation,
    column: &RangeColumn<'_>,
    ranges: Ranges<'_>,
) -> Option<RangeAnswers> {
    let sign = if operation == Operation::Max { 0 } else { -1 };
    Some(RangeAnswers::Picks(match column.values {
        // The complement turns the order round without a number that has no opposite.
        RangeValues::Floats(values) => greatest(column, ranges, |event| total_order(values[event]) ^ sign),
        RangeValues::Ints(values) => greatest(column, ranges, |event| values[event] ^ sign),
        RangeValues::Texts { .. } => return None,
    }))
}

/// An integer that is ordered as [`f64::total_cmp`] orders.
fn total_order(number: f64) -> i64 {
    let bits = number.to_bits().cast_signed();
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

/// The event with the greatest key in each range: the front of a queue of falling keys.
fn greatest(column: &RangeColumn<'_>, ranges: Ranges<'_>, key: impl Fn(usize) -> i64) -> Vec<u32> {
    let mut queue: VecDeque<(u32, i64)> = VecDeque::new();
    let mut head = 0;
    let mut picks = Vec::with_capacity(ranges.to.len());
    for (from, to) in ranges.iter() {
        if from >= head {
            queue.clear();
            head = from;
        }
        for event in head..to {
            if !column.is_present(event) {
                continue;
            }
            let newcomer = key(event);
            while queue.back().is_some_and(|(_, held)| *held <= newcomer) {
                queue.pop_back();
            }
            queue.push_back((event as u32, newcomer));
        }
        head = to;
        while queue.front().is_some_and(|(event, _)| (*event as usize) < from) {
            queue.pop_front();
        }
        picks.push(queue.front().map_or(NO_PICK, |(event, _)| *event));
    }
    picks
}

/// The last event of each range that has a value.
pub(super) fn last(column: &RangeColumn<'_>, ranges: Ranges<'_>) -> RangeAnswers {
    let Some(present) = column.present else {
        return RangeAnswers::Picks(super::newest_of_ranges(ranges));
    };
    let mut newest = NO_PICK;
    let up_to: Vec<u32> = present
        .iter()
        .zip(0..)
        .map(|(is_present, event)| {
            if *is_present {
                newest = event;
            }
            newest
        })
        .collect();
    let pick = |(from, to): (usize, usize)| {
        let found = if from < to { up_to[to - 1] } else { NO_PICK };
        if found != NO_PICK && found as usize >= from { found } else { NO_PICK }
    };
    RangeAnswers::Picks(ranges.iter().map(pick).collect())
}

/// The first event of each range that has a value.
pub(super) fn first(column: &RangeColumn<'_>, ranges: Ranges<'_>) -> RangeAnswers {
    let mut oldest = NO_PICK;
    let mut from_on: Vec<u32> = (0..column.len())
        .rev()
        .map(|event| {
            if column.is_present(event) {
                oldest = event as u32;
            }
            oldest
        })
        .collect();
    from_on.reverse();
    let pick = |(from, to): (usize, usize)| {
        let found = if from < to { from_on[from] } else { NO_PICK };
        if (found as usize) < to { found } else { NO_PICK }
    };
    RangeAnswers::Picks(ranges.iter().map(pick).collect())
}
