//! Sums, means, variances and deviations of integers over ranges.

use crate::{AggregationError, Operation};

use super::{RangeAnswers, RangeColumn, Ranges, sums::spread};

/// Running sums of integers: at each event those of all before it.
#[derive(Debug)]
pub(super) struct Integers {
    sums: Vec<i128>,
    /// `None` where squares, or a variance over the whole array, might leave 128 bits.
    squares: Option<Vec<i128>>,
}

impl Integers {
    pub(super) fn of(values: &[i64], present: Option<&[bool]>) -> Self {
        let value = |event: usize| {
            if present.is_none_or(|present| present[event]) { i128::from(values[event]) } else { 0 }
        };
        let greatest = (0..values.len()).map(|event| value(event).unsigned_abs()).max().unwrap_or(0);
        let bits = u128::BITS - greatest.leading_zeros() + usize::BITS - values.len().leading_zeros();
        let running = |term: &dyn Fn(usize) -> i128| {
            let mut sum = 0;
            let mut sums = Vec::with_capacity(values.len() + 1);
            sums.push(sum);
            sums.extend((0..values.len()).map(|event| {
                sum += term(event);
                sum
            }));
            sums
        };
        Self {
            sums: running(&value),
            squares: (bits <= 63).then(|| running(&|event| value(event) * value(event))),
        }
    }
}

/// `operation` over each range, any of sum, avg, var and stddev; `None` for variances of numbers too great for 128 bits.
pub(super) fn answers(
    operation: Operation,
    column: &RangeColumn<'_>,
    values: &[i64],
    ranges: Ranges<'_>,
) -> Result<Option<RangeAnswers>, AggregationError> {
    let Integers { sums, squares } = column.integers(values);
    let counted = ranges.iter().map(|(from, to)| (column.count(from, to), from, to));
    let present = |(count, ..): (u32, usize, usize)| count > 0;
    if operation == Operation::Sum {
        let sum = |(_, from, to): (u32, usize, usize)| {
            i64::try_from(sums[to] - sums[from]).map_err(|_| AggregationError::Overflow)
        };
        let values = counted.clone().map(sum).collect::<Result<_, _>>()?;
        return Ok(Some(RangeAnswers::Ints(values, counted.map(present).collect())));
    }
    let value = |(count, from, to): (u32, usize, usize)| {
        if count == 0 {
            return 0.0;
        }
        let (sum, number) = (sums[to] - sums[from], f64::from(count));
        match squares {
            Some(squares) if operation != Operation::Avg => {
                let numerator = i128::from(count) * (squares[to] - squares[from]) - sum * sum;
                spread(operation, (numerator as f64).max(0.0) / (number * number))
            }
            _ => sum as f64 / number,
        }
    };
    if operation != Operation::Avg && squares.is_none() {
        return Ok(None);
    }
    Ok(Some(RangeAnswers::Floats(counted.clone().map(value).collect(), counted.map(present).collect())))
}
