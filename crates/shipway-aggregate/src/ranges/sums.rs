//! Sums, means, variances and deviations of floats over ranges.

use crate::{ExactSum, Operation, moments::FloatMoments};

use super::{
    RangeAnswers, RangeColumn, Ranges,
    fixed::{Fixed, RunningSums, running_squares},
};

/// Floats where rows have one; a row without values has none.
struct Answers {
    values: Vec<f64>,
    present: Vec<bool>,
}

impl Answers {
    fn push(&mut self, number: Option<f64>) {
        self.present.push(number.is_some());
        // One NaN, and no negative zero, as every value of a feature.
        let number = number.unwrap_or(0.0);
        self.values.push(if number.is_nan() { f64::NAN } else { number + 0.0 });
    }
}

/// `operation` over each range, any of sum, avg, var and stddev.
pub(super) fn floats(
    operation: Operation,
    column: &RangeColumn<'_>,
    values: &[f64],
    ranges: Ranges<'_>,
) -> RangeAnswers {
    let rows = ranges.to.len();
    let mut answers = Answers { values: Vec::with_capacity(rows), present: Vec::with_capacity(rows) };
    let is_spread = matches!(operation, Operation::Var | Operation::Stddev);
    match (column.fixed(values), is_spread) {
        (Some(Fixed { sums: RunningSums::Narrow { sums, scaled, squares }, unit }), true) => {
            let squares = squares.get_or_init(|| running_squares(scaled));
            for (from, to) in ranges.iter() {
                let count = column.count(from, to);
                let variance = || {
                    let sum = i128::from(sums[to] - sums[from]);
                    let numerator = i128::from(count) * (squares[to] - squares[from]) - sum * sum;
                    (numerator as f64 * (unit * unit)) / (f64::from(count) * f64::from(count))
                };
                answers.push((count > 0).then(variance).map(|variance| spread(operation, variance)));
            }
        }
        (Some(fixed), false) => {
            for (from, to) in ranges.iter() {
                let count = column.count(from, to);
                let sum = match &fixed.sums {
                    RunningSums::Narrow { sums, .. } => (sums[to] - sums[from]) as f64,
                    RunningSums::Wide(sums) => (sums[to] - sums[from]) as f64,
                };
                answers.push(mean_or_sum(operation, sum * fixed.unit, count));
            }
        }
        (_, true) => slide(column, ranges, values, FloatMoments::default, |moments: &FloatMoments, _| {
            answers.push(moments.variance().map(|variance| spread(operation, variance)));
        }),
        (None, false) => slide(column, ranges, values, ExactSum::default, |sum: &ExactSum, count| {
            answers.push(mean_or_sum(operation, sum.round(), count));
        }),
    }
    RangeAnswers::Floats(answers.values, answers.present)
}

fn mean_or_sum(operation: Operation, sum: f64, count: u32) -> Option<f64> {
    if count == 0 {
        return None;
    }
    Some(if operation == Operation::Avg { sum / f64::from(count) } else { sum })
}

pub(super) fn spread(operation: Operation, variance: f64) -> f64 {
    if operation == Operation::Stddev { variance.sqrt() } else { variance }
}

/// What values can be added to and taken away from without a trace.
trait Slides {
    fn add(&mut self, number: f64);
    fn subtract(&mut self, number: f64);
}

impl Slides for ExactSum {
    fn add(&mut self, number: f64) {
        self.add(number);
    }

    fn subtract(&mut self, number: f64) {
        self.subtract(number);
    }
}

impl Slides for FloatMoments {
    fn add(&mut self, number: f64) {
        self.add(number);
    }

    fn subtract(&mut self, number: f64) {
        self.subtract(number);
    }
}

/// Moves a state along the ranges, for values that fit no integer.
fn slide<S: Slides>(
    column: &RangeColumn<'_>,
    ranges: Ranges<'_>,
    values: &[f64],
    empty: impl Fn() -> S,
    mut answer: impl FnMut(&S, u32),
) {
    let (mut state, mut tail, mut head) = (empty(), 0, 0);
    for (from, to) in ranges.iter() {
        if from >= head {
            (state, tail, head) = (empty(), from, from);
        }
        (tail..from)
            .filter(|&event| column.is_present(event))
            .for_each(|event| state.subtract(values[event]));
        (head..to).filter(|&event| column.is_present(event)).for_each(|event| state.add(values[event]));
        (tail, head) = (from, to);
        answer(&state, column.count(from, to));
    }
}
