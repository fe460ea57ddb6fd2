//! Moments and lengths of time, in UTC: fields, starts of units, arithmetic. A moment outside the years 1 to 9999 has no
//! answer, as no event may lie there.

use shipway_core::{Timestamp, Value};

use super::calendar::{Civil, civil_of, day_of_year, days_of, iso_week, weekday};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;
/// The first moment of year 1.
const EARLIEST_US: i64 = -62_135_596_800_000_000;
/// The last of year 9999.
const LATEST_US: i64 = 253_402_300_799_999_999;

/// The length of a unit that has one.
pub(crate) fn unit_us(unit: &str) -> Option<i64> {
    Some(match unit.strip_suffix('s').unwrap_or(unit) {
        "microsecond" => 1,
        "millisecond" => 1_000,
        "second" => SECOND_US,
        "minute" => MINUTE_US,
        "hour" => HOUR_US,
        "day" => DAY_US,
        "week" => 7 * DAY_US,
        _ => return None,
    })
}

fn moment(micros: Option<i64>) -> Value {
    match micros {
        Some(micros) if (EARLIEST_US..=LATEST_US).contains(&micros) => Value::Timestamp(Timestamp(micros)),
        _ => Value::Null,
    }
}

fn of(value: &Value, function: impl Fn(i64) -> Value) -> Value {
    match value {
        Value::Timestamp(moment) => function(moment.micros()),
        _ => Value::Null,
    }
}

/// What is read off the calendar's day.
fn of_days(value: &Value, function: impl Fn(i64) -> i64) -> Value {
    of(value, |micros| Value::Int(function(micros.div_euclid(DAY_US))))
}

pub(crate) fn later(value: &Value, by: &Value) -> Value {
    match (value, by) {
        (Value::Timestamp(from), Value::Int(by)) => moment(from.micros().checked_add(*by)),
        _ => Value::Null,
    }
}

pub(crate) fn earlier(value: &Value, by: &Value) -> Value {
    match (value, by) {
        (Value::Timestamp(from), Value::Int(by)) => moment(from.micros().checked_sub(*by)),
        _ => Value::Null,
    }
}

/// The interval from the second to the first.
pub(crate) fn between(to: &Value, from: &Value) -> Value {
    match (to, from) {
        (Value::Timestamp(to), Value::Timestamp(from)) => {
            to.micros().checked_sub(from.micros()).map_or(Value::Null, Value::Int)
        }
        _ => Value::Null,
    }
}

pub(crate) fn interval_seconds(interval: &Value) -> Value {
    match interval {
        Value::Int(micros) => Value::float(*micros as f64 / 1e6),
        _ => Value::Null,
    }
}

pub(crate) fn epoch_seconds(value: &Value) -> Value {
    of(value, |micros| Value::float(micros as f64 / 1e6))
}

pub(crate) fn from_seconds(value: &Value) -> Value {
    scaled(value, SECOND_US)
}

pub(crate) fn from_millis(value: &Value) -> Value {
    scaled(value, 1_000)
}

pub(crate) fn from_micros(value: &Value) -> Value {
    scaled(value, 1)
}

fn scaled(value: &Value, unit_us: i64) -> Value {
    match value {
        Value::Int(number) => moment(number.checked_mul(unit_us)),
        _ => Value::Null,
    }
}

/// Broken seconds, floored to microseconds.
pub(crate) fn from_float_seconds(value: &Value) -> Value {
    match value {
        Value::Float(seconds) => {
            let micros = (seconds * 1e6).floor();
            moment((micros.abs() < 9e18).then_some(micros as i64))
        }
        _ => Value::Null,
    }
}

/// The function that reads a field.
pub(crate) fn field(name: &str) -> Option<fn(&Value) -> Value> {
    Some(match name {
        "year" => |value| of_days(value, |days| civil_of(days).year),
        "quarter" => |value| of_days(value, |days| (civil_of(days).month + 2) / 3),
        "month" => |value| of_days(value, |days| civil_of(days).month),
        "week" => |value| of_days(value, iso_week),
        "day" => |value| of_days(value, |days| civil_of(days).day),
        "doy" => |value| of_days(value, day_of_year),
        // Sunday is 0.
        "dow" => |value| of_days(value, |days| (weekday(days) + 1) % 7),
        // Monday is 1, Sunday 7.
        "isodow" => |value| of_days(value, |days| weekday(days) + 1),
        "hour" => |value| of(value, |micros| Value::Int(micros.rem_euclid(DAY_US) / HOUR_US)),
        "minute" => |value| of(value, |micros| Value::Int(micros.rem_euclid(HOUR_US) / MINUTE_US)),
        "second" => |value| of(value, |micros| Value::Int(micros.rem_euclid(MINUTE_US) / SECOND_US)),
        _ => return None,
    })
}

/// The function that finds the start of a unit.
pub(crate) fn start_of(unit: &str) -> Option<fn(&Value) -> Value> {
    Some(match unit {
        "year" => |value| start(value, |civil| Civil { month: 1, day: 1, ..civil }),
        "quarter" => {
            |value| start(value, |civil| Civil { month: (civil.month - 1) / 3 * 3 + 1, day: 1, ..civil })
        }
        "month" => |value| start(value, |civil| Civil { day: 1, ..civil }),
        "week" => |value| {
            of(value, |micros| {
                let days = micros.div_euclid(DAY_US);
                moment((days - weekday(days)).checked_mul(DAY_US))
            })
        },
        "day" => |value| floored(value, DAY_US),
        "hour" => |value| floored(value, HOUR_US),
        "minute" => |value| floored(value, MINUTE_US),
        "second" => |value| floored(value, SECOND_US),
        _ => return None,
    })
}

fn start(value: &Value, first: impl Fn(Civil) -> Civil) -> Value {
    of(value, |micros| moment(days_of(first(civil_of(micros.div_euclid(DAY_US)))).checked_mul(DAY_US)))
}

fn floored(value: &Value, unit_us: i64) -> Value {
    of(value, |micros| moment(Some(Timestamp(micros).floor_to(unit_us).micros())))
}
