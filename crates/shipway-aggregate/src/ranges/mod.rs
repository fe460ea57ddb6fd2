//! The same aggregations over a whole array of events at once: for every row a range of the array, from its window's tail to
//! its own moment.
//!
//! Where the events of many keys lie in one array, sorted by key and time, and the rows that ask lie in the same order, neither
//! end of a row's range ever goes back. So a count is a difference of two positions, a sum a difference of two running sums, and
//! an extreme the front of a queue: a few operations for each event and row, and none of the states that tiles need.
//!
//! The bits are those of [`crate::SlidingWindow`] and of the oracle. Running sums of floats are integers of 64 or 128 bits in
//! units of the smallest bit that any value has (`fixed`); a sum is rounded once, when it is read. Values that do not fit
//! (NaN, infinities, magnitudes too far apart) are added and taken away with [`crate::ExactSum`].
//!
//! - `fixed`: floats as integers of one unit; `sums`: counts, sums and moments over them
//! - `integers`: the same for integers
//! - `picks`: answers that are the value of one event: extremes, first, last
//! - `distinct`: counts of distinct values

mod distinct;
mod fixed;
mod integers;
mod picks;
mod sums;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;

use crate::{Aggregation, AggregationError, Operation};

use fixed::Fixed;
use integers::Integers;

/// The pick of a row without an event to show.
pub const NO_PICK: u32 = u32::MAX;

/// For each row the events `[from, to)`. Both are sorted, and `from` never exceeds `to`.
#[derive(Debug, Clone, Copy)]
pub struct Ranges<'a> {
    /// Where each row's window begins.
    pub from: &'a [u32],
    /// Where it ends.
    pub to: &'a [u32],
}

impl Ranges<'_> {
    fn iter(&self) -> impl Iterator<Item = (usize, usize)> + Clone {
        self.from.iter().zip(self.to).map(|(from, to)| (*from as usize, *to as usize))
    }
}

/// The values of a column, one for each event. Those that are not there may be anything.
#[derive(Debug, Clone, Copy)]
pub enum RangeValues<'a> {
    /// Floats, normalised as [`shipway_core::Value::float`] does.
    Floats(&'a [f64]),
    /// Integers, or anything that is ordered and told apart by an integer: moments, truth values.
    Ints(&'a [i64]),
    /// Texts, one after another, and where each ends.
    Texts {
        /// All of them.
        bytes: &'a [u8],
        /// The end of each; the next begins there.
        ends: &'a [u32],
    },
}

/// A column with what is derived from it once, for all features that read it.
#[derive(Debug)]
pub struct RangeColumn<'a> {
    values: RangeValues<'a>,
    present: Option<&'a [bool]>,
    counts: OnceCell<Vec<u32>>,
    fixed: OnceCell<Option<Fixed>>,
    integers: OnceCell<Integers>,
    codes: OnceCell<(Vec<u32>, usize)>,
}

/// One answer for each row.
#[derive(Debug, Clone, PartialEq)]
pub enum RangeAnswers {
    /// Counts.
    Counts(Vec<i64>),
    /// Integers, and which rows have one.
    Ints(Vec<i64>, Vec<bool>),
    /// Floats, normalised, and which rows have one.
    Floats(Vec<f64>, Vec<bool>),
    /// For each row the event whose value is the answer, or [`NO_PICK`].
    Picks(Vec<u32>),
}

impl<'a> RangeColumn<'a> {
    /// A column; `present` says which events have a value, `None` that all have.
    pub fn new(values: RangeValues<'a>, present: Option<&'a [bool]>) -> Self {
        Self {
            values,
            present,
            counts: OnceCell::new(),
            fixed: OnceCell::new(),
            integers: OnceCell::new(),
            codes: OnceCell::new(),
        }
    }

    fn len(&self) -> usize {
        match self.values {
            RangeValues::Floats(values) => values.len(),
            RangeValues::Ints(values) => values.len(),
            RangeValues::Texts { ends, .. } => ends.len(),
        }
    }

    fn is_present(&self, event: usize) -> bool {
        self.present.is_none_or(|present| present[event])
    }

    /// How many events in `[from, to)` have a value.
    fn count(&self, from: usize, to: usize) -> u32 {
        let Some(present) = self.present else { return (to - from) as u32 };
        let counts = self.counts.get_or_init(|| {
            let mut counts = Vec::with_capacity(present.len() + 1);
            let mut count = 0;
            counts.push(count);
            counts.extend(present.iter().map(|is_present| {
                count += u32::from(*is_present);
                count
            }));
            counts
        });
        counts[to] - counts[from]
    }

    fn fixed(&self, values: &[f64]) -> Option<&Fixed> {
        self.fixed.get_or_init(|| Fixed::of(values, self.present)).as_ref()
    }

    fn integers(&self, values: &[i64]) -> &Integers {
        self.integers.get_or_init(|| Integers::of(values, self.present))
    }
}

/// The values of `aggregation` over the ranges of `column`, which is the aggregation's own; `None` for whole events.
///
/// `Ok(None)` where there is no such way for this aggregation or these values; [`crate::SlidingWindow`] has one for all. An error
/// is that of the first row that has one.
pub fn answer_ranges(
    aggregation: &Aggregation,
    column: Option<&RangeColumn<'_>>,
    ranges: Ranges<'_>,
) -> Result<Option<RangeAnswers>, AggregationError> {
    if aggregation.by().is_some() || aggregation.over().is_some() {
        return Ok(None);
    }
    let operation = aggregation.operation();
    let Some(column) = column else {
        let counts = || ranges.iter().map(|(from, to)| (to - from) as i64).collect();
        return Ok((operation == Operation::Count).then(|| RangeAnswers::Counts(counts())));
    };
    match operation {
        Operation::Count => {
            let counts = ranges.iter().map(|(from, to)| i64::from(column.count(from, to))).collect();
            Ok(Some(RangeAnswers::Counts(counts)))
        }
        Operation::Sum | Operation::Avg | Operation::Var | Operation::Stddev => match column.values {
            RangeValues::Floats(values) => Ok(Some(sums::floats(operation, column, values, ranges))),
            RangeValues::Ints(values) => integers::answers(operation, column, values, ranges),
            RangeValues::Texts { .. } => Ok(None),
        },
        Operation::Min | Operation::Max => Ok(picks::extremes(operation, column, ranges)),
        Operation::First => Ok(Some(picks::first(column, ranges))),
        Operation::Last => Ok(Some(picks::last(column, ranges))),
        Operation::DistinctCount { bound } => distinct::counts(bound, column, ranges).map(Some),
        _ => Ok(None),
    }
}

/// The newest event of each range, or [`NO_PICK`].
pub fn newest_of_ranges(ranges: Ranges<'_>) -> Vec<u32> {
    ranges.iter().map(|(from, to)| if from < to { (to - 1) as u32 } else { NO_PICK }).collect()
}
