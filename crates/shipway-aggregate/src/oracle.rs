//! The naive oracle: a loop over the full event log for every question. Kept stupid on purpose; it shares no state, no
//! tile and no partial with the paths that are tested against it, and sums with whole numbers of any size.

use num_bigint::BigInt;
use shipway_core::{Length, Timestamp, Value};

use crate::{Aggregation, AggregationError, Operation, Window};

/// One event as the oracle sees it: the value of the aggregated column.
#[derive(Debug, Clone, PartialEq)]
pub struct OracleEvent {
    /// Event time.
    pub time: Timestamp,
    /// Event id, the tie-breaker.
    pub event_id: String,
    /// The value of the aggregated column, null where it has none or where whole events are counted.
    pub value: Value,
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
    let values: Vec<&Value> = inside.iter().map(|event| &event.value).collect();
    let count = values.len();
    Ok(match aggregation.operation() {
        Operation::Count => Value::Int(count as i64),
        Operation::DistinctCount { bound } => {
            let mut distinct: Vec<&Value> = Vec::new();
            for value in values {
                if !distinct.contains(&value) {
                    distinct.push(value);
                }
            }
            if distinct.len() > bound as usize {
                return Err(AggregationError::TooManyDistinct { bound });
            }
            Value::Int(distinct.len() as i64)
        }
        _ if count == 0 => Value::Null,
        Operation::First => values[0].clone(),
        Operation::Last => values[count - 1].clone(),
        Operation::Min => values.into_iter().min().cloned().unwrap_or(Value::Null),
        Operation::Max => values.into_iter().max().cloned().unwrap_or(Value::Null),
        Operation::Sum | Operation::Avg | Operation::Var | Operation::Stddev => {
            arithmetic(aggregation, &values)?
        }
    })
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
                spread(operation, to_float(numerator(&whole), 0), count)
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
    Ok(match aggregation.operation() {
        Operation::Sum => Value::float(exact_total(&floats)),
        Operation::Avg => Value::float(exact_total(&floats) / count),
        operation => {
            let whole: Vec<BigInt> = floats.iter().map(|number| scaled(*number)).collect();
            spread(operation, to_float(numerator(&whole), 2 * SCALE), count)
        }
    })
}

/// `n * sum of squares - sum^2`.
fn numerator(numbers: &[BigInt]) -> BigInt {
    let sum: BigInt = numbers.iter().sum();
    let squares: BigInt = numbers.iter().map(|number| number * number).sum();
    BigInt::from(numbers.len()) * squares - &sum * &sum
}

fn spread(operation: Operation, numerator: f64, count: f64) -> Value {
    let variance = numerator / (count * count);
    Value::float(if operation == Operation::Stddev { variance.sqrt() } else { variance })
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
