//! Counts of distinct values over ranges.

use std::collections::HashMap;

use crate::AggregationError;

use super::{RangeAnswers, RangeColumn, RangeValues, Ranges};

/// How many distinct values each range has; an error for the first with more than `bound`.
pub(super) fn counts(
    bound: u32,
    column: &RangeColumn<'_>,
    ranges: Ranges<'_>,
) -> Result<RangeAnswers, AggregationError> {
    let (codes, distinct_codes) = column.codes.get_or_init(|| codes(column));
    let mut held = vec![0_u32; *distinct_codes];
    let (mut distinct, mut tail, mut head) = (0_u32, 0, 0);
    let mut answers = Vec::with_capacity(ranges.to.len());
    for (from, to) in ranges.iter() {
        for event in (tail..from.min(head)).filter(|&event| column.is_present(event)) {
            let count = &mut held[codes[event] as usize];
            *count -= 1;
            distinct -= u32::from(*count == 0);
        }
        for event in (head.max(from)..to).filter(|&event| column.is_present(event)) {
            let count = &mut held[codes[event] as usize];
            distinct += u32::from(*count == 0);
            *count += 1;
        }
        (tail, head) = (from, to);
        if distinct > bound {
            return Err(AggregationError::TooManyDistinct { bound });
        }
        answers.push(i64::from(distinct));
    }
    Ok(RangeAnswers::Counts(answers))
}

/// A small number for each value, equal for equal values, and how many there are.
fn codes(column: &RangeColumn<'_>) -> (Vec<u32>, usize) {
    match column.values {
        RangeValues::Floats(values) => numbered(values.iter().map(|value| value.to_bits()), column),
        RangeValues::Ints(values) => numbered(values.iter().copied(), column),
        RangeValues::Texts { bytes, ends } => {
            let mut start = 0;
            let texts = ends.iter().map(|end| {
                let text = &bytes[start..*end as usize];
                start = *end as usize;
                text
            });
            numbered(texts, column)
        }
    }
}

fn numbered<T: std::hash::Hash + Eq>(
    values: impl Iterator<Item = T>,
    column: &RangeColumn<'_>,
) -> (Vec<u32>, usize) {
    let mut known: HashMap<T, u32> = HashMap::new();
    let codes = values
        .enumerate()
        .map(|(event, value)| {
            if !column.is_present(event) {
                return 0;
            }
            let next = known.len() as u32;
            *known.entry(value).or_insert(next)
        })
        .collect();
    let distinct = known.len();
    (codes, distinct)
}
