//! The naive oracle: a loop over the full event log for every question. Kept stupid on purpose; it shares no state, no
//! tile and no partial with the paths that are tested against it, and sums with whole numbers of any size. Buckets and lists
//! are taken apart before anything is computed; a sketch is the library's own, over all values in one go.

use num_bigint::BigInt;
use shipway_core::{Decimal, Length, Timestamp, Value};

use crate::{Aggregation, AggregationError, Operation, Over, Window};
use datasketches::{
    hash::value::raw_bytes,
    hll::{HllSketch, HllType},
};

/// One event as the oracle sees it: the value of the aggregated column.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleEvent {
    /// Event time.
    pub time: Timestamp,
    /// Event id, the tie-breaker.
    pub event_id: String,
    /// The value of the aggregated column, null where it has none or where whole events are counted.
    pub value: Value,
    /// The value of the bucket column, null where it has none or where there are no buckets.
    pub bucket: Value,
}

/// The value of `aggregation` over `window` at `q`, in any order of `events`. Costs a pass over all events.
pub fn value(
    events: &[OracleEvent],
    aggregation: Aggregation,
    window: Window,
    q: Timestamp,
) -> Result<Value, AggregationError> {
    let mut inside: Vec<&OracleEvent> = Vec::new();
    for event in events {
        let after_tail = match window {
            Window::Lifetime => true,
            Window::Sized(length) => {
                let hop = crate::hop_us(length.micros());
                let start = q.micros() - length.micros();
                event.time.micros() >= start - start.rem_euclid(hop)
            }
        };
        let counts = aggregation.input().is_none() || !event.value.is_null();
        if after_tail && event.time < q && counts {
            inside.push(event);
        }
    }
    inside.sort_by(|left, right| (left.time, &left.event_id).cmp(&(right.time, &right.event_id)));
    if aggregation.by().is_none() {
        return of_lists(aggregation, &inside);
    }
    let mut buckets: Vec<&Value> = Vec::new();
    for event in &inside {
        let holds_something = aggregation.over().is_none() || !elements(event).is_empty();
        if holds_something && !event.bucket.is_null() && !buckets.contains(&&event.bucket) {
            buckets.push(&event.bucket);
        }
    }
    let mut entries = Vec::new();
    for bucket in buckets {
        let own: Vec<&OracleEvent> = inside.iter().copied().filter(|event| &event.bucket == bucket).collect();
        entries.push((key_text(bucket).into(), of_lists(aggregation, &own)?));
    }
    if entries.len() > Aggregation::MOST_BUCKETS {
        return Err(AggregationError::TooManyBuckets);
    }
    Ok(if entries.is_empty() { Value::Null } else { Value::map(entries) })
}

/// The values of a list that are not null, with their positions.
fn elements(event: &OracleEvent) -> Vec<(usize, &Value)> {
    match &event.value {
        Value::List(items) => items.iter().enumerate().filter(|(_, item)| !item.is_null()).collect(),
        _ => Vec::new(),
    }
}

/// The value over sorted events of one bucket.
fn of_lists(aggregation: Aggregation, events: &[&OracleEvent]) -> Result<Value, AggregationError> {
    let of = |values: &[&Value]| of_values(aggregation, values);
    match aggregation.over() {
        None => of(&events.iter().map(|event| &event.value).collect::<Vec<_>>()),
        Some(Over::Elements) => {
            of(&events.iter().flat_map(|event| elements(event)).map(|(_, item)| item).collect::<Vec<_>>())
        }
        Some(Over::Positions) => {
            let all: Vec<(usize, &Value)> = events.iter().flat_map(|event| elements(event)).collect();
            let Some(longest) = all.iter().map(|(position, _)| position + 1).max() else {
                return Ok(Value::Null);
            };
            if longest > Aggregation::MOST_POSITIONS {
                return Err(AggregationError::TooManyPositions);
            }
            let at = |wanted: usize| -> Vec<&Value> {
                all.iter().filter(|(position, _)| *position == wanted).map(|(_, item)| *item).collect()
            };
            Ok(Value::list((0..longest).map(|position| of(&at(position))).collect::<Result<Vec<_>, _>>()?))
        }
    }
}

/// The value over values in the order of events.
fn of_values(aggregation: Aggregation, values: &[&Value]) -> Result<Value, AggregationError> {
    let count = values.len();
    let first = |values: Vec<&Value>, k: u32| Value::list(values.into_iter().take(k as usize).cloned());
    let mut sorted = values.to_vec();
    sorted.sort();
    Ok(match aggregation.operation() {
        Operation::Count => Value::Int(count as i64),
        Operation::DistinctCount { bound } => {
            sorted.dedup();
            if sorted.len() > bound as usize {
                return Err(AggregationError::TooManyDistinct { bound });
            }
            Value::Int(sorted.len() as i64)
        }
        Operation::ApproxDistinct => Value::Int(roughly_distinct(values)?),
        _ if count == 0 => Value::Null,
        Operation::First => values[0].clone(),
        Operation::Last => values[count - 1].clone(),
        Operation::FirstK { k } => first(values.to_vec(), k),
        Operation::LastK { k } => first(values.iter().rev().copied().collect(), k),
        Operation::BottomK { k } => first(sorted, k),
        Operation::TopK { k } => first(sorted.into_iter().rev().collect(), k),
        Operation::Min => sorted[0].clone(),
        Operation::Max => sorted[count - 1].clone(),
        Operation::ApproxQuantile { millionths } => {
            let rank = (count as u128 * u128::from(millionths)).div_ceil(1_000_000);
            Value::float(cut(number(sorted[rank.max(1) as usize - 1])?, 0))
        }
        Operation::Histogram { k } => histogram(&sorted, k)?,
        Operation::Sum
        | Operation::Avg
        | Operation::Var
        | Operation::Stddev
        | Operation::Skew
        | Operation::Kurtosis => arithmetic(aggregation, values)?,
    })
}

fn number(value: &Value) -> Result<f64, AggregationError> {
    match value {
        Value::Int(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        Value::Decimal(number) => {
            let digits = format!("{}e-{}", number.unscaled(), number.scale());
            digits.parse::<f64>().map(|number| number + 0.0).map_err(|_| AggregationError::Foreign)
        }
        _ => Err(AggregationError::Foreign),
    }
}

/// `number` with all bits of its magnitude cleared but the highest 18, fewer with each doubling of the bins.
fn cut(number: f64, doublings: u32) -> f64 {
    let bits = number.to_bits();
    let sign = if number < 0.0 { 1 << 63 } else { 0 };
    let dropped = 45 + doublings;
    f64::from_bits(sign | ((bits & !(1 << 63)) >> dropped << dropped))
}

fn histogram(sorted: &[&Value], k: u32) -> Result<Value, AggregationError> {
    let is_number = matches!(sorted[0], Value::Int(_) | Value::Float(_) | Value::Decimal(_));
    for doublings in 0..=18 {
        let mut counts: Vec<(String, i64)> = Vec::new();
        for value in sorted {
            let text =
                if is_number { crate::bins::label(cut(number(value)?, doublings)) } else { key_text(value) };
            match counts.iter_mut().find(|(held, _)| *held == text) {
                Some((_, count)) => *count += 1,
                None => counts.push((text, 1)),
            }
        }
        if counts.len() <= k as usize {
            let entry = |(text, count): (String, i64)| (text.into(), Value::Int(count));
            return Ok(Value::map(counts.into_iter().map(entry)));
        }
    }
    Err(AggregationError::TooManyBins { k })
}

fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Timestamp(moment) => moment.to_string(),
        Value::Decimal(decimal) => decimal.to_string(),
        other => other.to_json().to_string(),
    }
}

/// The library's own sketch over all values.
fn roughly_distinct(values: &[&Value]) -> Result<i64, AggregationError> {
    let mut sketch = HllSketch::new(12, HllType::Hll8).map_err(|_| AggregationError::Foreign)?;
    for value in values {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        sketch.update(raw_bytes::from_slice(&bytes));
    }
    Ok(sketch.composite_estimate().round() as i64)
}

/// The last row with `time < q` and `q - time <= ttl`, by (time, event id): its index in `rows`, `None` without one.
pub fn latest(rows: &[(Timestamp, String)], ttl: Option<Length>, q: Timestamp) -> Option<usize> {
    let mut found: Option<usize> = None;
    for (index, row) in rows.iter().enumerate() {
        let fresh = ttl.is_none_or(|ttl| q.micros() - row.0.micros() <= ttl.micros());
        if row.0 < q && fresh && found.is_none_or(|held| (row.0, &row.1) > (rows[held].0, &rows[held].1)) {
            found = Some(index);
        }
    }
    found
}

fn arithmetic(aggregation: Aggregation, values: &[&Value]) -> Result<Value, AggregationError> {
    if let [Value::Decimal(first), ..] = values {
        return decimal_arithmetic(aggregation, values, first.scale());
    }
    let count = values.len() as f64;
    let mut integers = Vec::new();
    let mut floats = Vec::new();
    for value in values {
        match value {
            Value::Int(number) => integers.push(*number),
            Value::Float(number) => floats.push(*number),
            _ => return Err(AggregationError::Foreign),
        }
    }
    if floats.is_empty() {
        let sum: i128 = integers.iter().map(|number| i128::from(*number)).sum();
        return Ok(match aggregation.operation() {
            Operation::Sum => Value::Int(i64::try_from(sum).map_err(|_| AggregationError::Overflow)?),
            Operation::Avg => Value::float(sum as f64 / count),
            operation => {
                let whole: Vec<BigInt> = integers.iter().map(|number| BigInt::from(*number)).collect();
                shape(operation, &whole, 0, count)
            }
        });
    }
    if floats.iter().any(|number| !number.is_finite()) {
        let sum: f64 = floats.iter().filter(|number| !number.is_finite()).sum();
        return Ok(match aggregation.operation() {
            Operation::Sum | Operation::Avg => Value::float(sum),
            _ => Value::float(f64::NAN),
        });
    }
    // Part of the definition: the powers that an operation is made of are floats, one by one.
    let leaves_the_range = |power: i32| floats.iter().any(|number| !number.powi(power).is_finite());
    Ok(match aggregation.operation() {
        Operation::Sum => Value::float(exact_total(&floats)),
        Operation::Avg => Value::float(exact_total(&floats) / count),
        Operation::Var | Operation::Stddev if leaves_the_range(2) => Value::float(f64::INFINITY),
        Operation::Skew | Operation::Kurtosis if leaves_the_range(4) => Value::float(f64::NAN),
        operation => {
            let whole: Vec<BigInt> = floats.iter().map(|number| scaled(*number)).collect();
            shape(operation, &whole, SCALE, count)
        }
    })
}

/// Variance, standard deviation, skewness or excess kurtosis of `numbers * 2^-scale`, from whole numbers without rounding
/// up to the last division.
fn shape(operation: Operation, numbers: &[BigInt], scale: u64, count: f64) -> Value {
    let n = BigInt::from(numbers.len());
    let power = |exponent: u32| -> BigInt { numbers.iter().map(|number| number.pow(exponent)).sum() };
    let (first, second) = (power(1), power(2));
    let spread = to_float(&n * &second - &first * &first, 2 * scale);
    let variance = spread / (count * count);
    Value::float(match operation {
        Operation::Stddev => variance.sqrt(),
        Operation::Skew | Operation::Kurtosis if spread == 0.0 => f64::NAN,
        Operation::Skew => {
            let third = &n * &n * power(3) - 3 * &n * &first * &second + 2 * first.pow(3);
            to_float(third, 3 * scale) / (spread * spread.sqrt())
        }
        Operation::Kurtosis => {
            let fourth = &n * &n * &n * power(4) - 4 * &n * &n * &first * power(3)
                + 6 * &n * first.pow(2) * &second
                - 3 * first.pow(4);
            to_float(fourth, 4 * scale) / (spread * spread) - 3.0
        }
        _ => variance,
    })
}

fn decimal_arithmetic(
    aggregation: Aggregation,
    values: &[&Value],
    scale: u8,
) -> Result<Value, AggregationError> {
    let mut whole = Vec::new();
    for value in values {
        let Value::Decimal(number) = value else { return Err(AggregationError::Foreign) };
        whole.push(BigInt::from(number.unscaled()));
    }
    let n = BigInt::from(whole.len());
    let one = BigInt::from(10).pow(u32::from(scale));
    let sum: BigInt = whole.iter().sum();
    let squares: BigInt = whole.iter().map(|number| number * number).sum();
    let variance = || quotient(&(&n * &squares - &sum * &sum), &(&n * &n * &one * &one));
    Ok(match aggregation.operation() {
        Operation::Sum => {
            let unscaled = i128::try_from(sum).ok();
            let decimal = unscaled.and_then(|unscaled| Decimal::new(unscaled, scale));
            Value::Decimal(decimal.ok_or(AggregationError::DecimalOverflow)?)
        }
        Operation::Avg => Value::float(quotient(&sum, &(n * one))),
        Operation::Var => Value::float(variance()),
        Operation::Stddev => Value::float(variance().sqrt()),
        // These two do not depend on where the point stands.
        operation => shape(operation, &whole, 0, whole.len() as f64),
    })
}

/// A quotient by long division, with more digits than any point halfway between two floats has here, and what the standard
/// library reads them as.
fn quotient(numerator: &BigInt, divisor: &BigInt) -> f64 {
    const DIGITS: u32 = 600;
    let scaled = numerator * BigInt::from(10).pow(DIGITS);
    let (digits, rest) = (&scaled / divisor, &scaled % divisor);
    let (beyond, exponent) = if rest == BigInt::ZERO { ("", DIGITS) } else { ("1", DIGITS + 1) };
    format!("{digits}{beyond}e-{exponent}").parse().unwrap_or(f64::NAN)
}

/// Every finite float is a whole multiple of 2^-1074.
const SCALE: u64 = 1074;

fn scaled(number: f64) -> BigInt {
    let bits = number.to_bits();
    let exponent = (bits >> 52) & 0x7ff;
    let fraction = bits & ((1 << 52) - 1);
    let mantissa = if exponent == 0 { fraction } else { fraction | (1 << 52) };
    let magnitude = BigInt::from(mantissa) << exponent.saturating_sub(1);
    if number.is_sign_negative() { -magnitude } else { magnitude }
}

/// The exact total of finite floats, rounded once, ties to even.
pub(crate) fn exact_total(numbers: &[f64]) -> f64 {
    to_float(numbers.iter().map(|number| scaled(*number)).sum(), SCALE)
}

/// `whole * 2^-scale`, rounded to the nearest float, ties to even.
fn to_float(whole: BigInt, scale: u64) -> f64 {
    let magnitude = whole.magnitude();
    // The lowest bit that a float at this magnitude can have, as an exponent of two.
    let lowest = (magnitude.bits() as i64 - 53 - scale as i64).max(-(SCALE as i64));
    let shift = lowest + scale as i64;
    let (mut mantissa, is_above_half, is_tie) = if shift <= 0 {
        (magnitude << shift.unsigned_abs(), false, false)
    } else {
        let kept = magnitude >> shift;
        let rest = magnitude - (&kept << shift);
        let half = num_bigint::BigUint::from(1_u8) << (shift - 1);
        let (above, tie) = (rest > half, rest == half);
        (kept, above, tie)
    };
    if is_above_half || (is_tie && mantissa.bit(0)) {
        mantissa += 1_u8;
    }
    let digits = mantissa.iter_u64_digits().next().unwrap_or(0) as f64;
    // Two factors, because 2^-1074 times 2^52 needs a power that one float cannot hold at either end.
    let unsigned = if lowest < 0 {
        digits * power_of_two(lowest)
    } else if lowest > 971 {
        f64::INFINITY * digits.min(1.0)
    } else {
        digits * power_of_two(lowest)
    };
    if whole.sign() == num_bigint::Sign::Minus { -unsigned } else { unsigned }
}

fn power_of_two(exponent: i64) -> f64 {
    if exponent >= -1022 {
        f64::from_bits(((exponent + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (exponent + SCALE as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_total_of_one_number_is_the_number() {
        for number in [0.0, 1.0, -0.1, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e16, -123.456e-300] {
            assert_eq!(exact_total(&[number]), number);
        }
        assert_eq!(exact_total(&[f64::MAX, f64::MAX]), f64::INFINITY);
    }

    #[test]
    fn the_ttl_edge_is_inclusive_and_ties_go_to_the_greater_id() {
        let row = |time, id: &str| (Timestamp(time), id.to_owned());
        let rows = [row(0, "b"), row(0, "a"), row(-5, "z")];
        let ttl = Length::from_micros(10);
        assert_eq!(latest(&rows, ttl, Timestamp(10)), Some(0));
        assert_eq!(latest(&rows, ttl, Timestamp(11)), None);
        assert_eq!(latest(&rows, None, Timestamp(0)), Some(2), "a row at q is not before q");
    }
}
