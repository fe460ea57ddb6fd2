//! Numbers. An integer that does not fit 64 bits, a division by zero and a function outside its domain have no answer. Floats
//! come out normalised: one NaN, and 0.0 for -0.0.

use shipway_core::Value;

fn int(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int)
}

fn ints(left: &Value, right: &Value, function: impl Fn(i64, i64) -> Option<i64>) -> Value {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => int(function(*left, *right)),
        _ => Value::Null,
    }
}

fn floats(left: &Value, right: &Value, function: impl Fn(f64, f64) -> Option<f64>) -> Value {
    match (left, right) {
        (Value::Float(left), Value::Float(right)) => {
            function(*left, *right).map_or(Value::Null, Value::float)
        }
        _ => Value::Null,
    }
}

fn float(value: &Value, function: impl Fn(f64) -> f64) -> Value {
    match value {
        Value::Float(number) => Value::float(function(*number)),
        _ => Value::Null,
    }
}

/// A function that has answers from `first` on; NaN goes through.
fn float_from(value: &Value, is_inside: impl Fn(f64) -> bool, function: impl Fn(f64) -> f64) -> Value {
    match value {
        Value::Float(number) if number.is_nan() || is_inside(*number) => Value::float(function(*number)),
        _ => Value::Null,
    }
}

pub(crate) fn to_float(value: &Value) -> Value {
    match value {
        Value::Int(number) => Value::float(*number as f64),
        Value::Decimal(number) => Value::float(number.to_float()),
        _ => Value::Null,
    }
}

pub(crate) fn not(value: &Value) -> Value {
    match value {
        Value::Bool(truth) => Value::Bool(!truth),
        _ => Value::Null,
    }
}

pub(crate) fn same(value: &Value) -> Value {
    value.clone()
}

pub(crate) fn add_int(left: &Value, right: &Value) -> Value {
    ints(left, right, i64::checked_add)
}

pub(crate) fn subtract_int(left: &Value, right: &Value) -> Value {
    ints(left, right, i64::checked_sub)
}

pub(crate) fn multiply_int(left: &Value, right: &Value) -> Value {
    ints(left, right, i64::checked_mul)
}

/// Toward zero.
pub(crate) fn divide_int(left: &Value, right: &Value) -> Value {
    ints(left, right, i64::checked_div)
}

/// Has the sign of the left.
pub(crate) fn remainder_int(left: &Value, right: &Value) -> Value {
    // The smallest integer modulo -1 is 0, though its quotient does not fit.
    ints(left, right, |left, right| (right != 0).then(|| left.wrapping_rem(right)))
}

pub(crate) fn negate_int(value: &Value) -> Value {
    match value {
        Value::Int(number) => int(number.checked_neg()),
        _ => Value::Null,
    }
}

pub(crate) fn abs_int(value: &Value) -> Value {
    match value {
        Value::Int(number) => int(number.checked_abs()),
        _ => Value::Null,
    }
}

pub(crate) fn sign_int(value: &Value) -> Value {
    match value {
        Value::Int(number) => Value::Int(number.signum()),
        _ => Value::Null,
    }
}

pub(crate) fn add_float(left: &Value, right: &Value) -> Value {
    floats(left, right, |left, right| Some(left + right))
}

pub(crate) fn subtract_float(left: &Value, right: &Value) -> Value {
    floats(left, right, |left, right| Some(left - right))
}

pub(crate) fn multiply_float(left: &Value, right: &Value) -> Value {
    floats(left, right, |left, right| Some(left * right))
}

pub(crate) fn divide_float(left: &Value, right: &Value) -> Value {
    floats(left, right, |left, right| (right != 0.0).then(|| left / right))
}

pub(crate) fn remainder_float(left: &Value, right: &Value) -> Value {
    floats(left, right, |left, right| (right != 0.0).then(|| left % right))
}

pub(crate) fn negate_float(value: &Value) -> Value {
    float(value, |number| -number)
}

pub(crate) fn abs_float(value: &Value) -> Value {
    float(value, f64::abs)
}

/// -1, 0 or 1; NaN stays.
pub(crate) fn sign_float(value: &Value) -> Value {
    float(value, |number| if number == 0.0 || number.is_nan() { number } else { number.signum() })
}

pub(crate) fn floor(value: &Value) -> Value {
    float(value, f64::floor)
}

pub(crate) fn ceil(value: &Value) -> Value {
    float(value, f64::ceil)
}

/// Halves away from zero.
pub(crate) fn round(value: &Value) -> Value {
    float(value, f64::round)
}

pub(crate) fn trunc(value: &Value) -> Value {
    float(value, f64::trunc)
}

/// To so many decimal places; left of the point when negative.
pub(crate) fn round_to(value: &Value, places: &Value) -> Value {
    let (Value::Float(number), Value::Int(places)) = (value, places) else { return Value::Null };
    let Some(places) = i32::try_from(*places).ok().filter(|places| places.abs() <= 300) else {
        return Value::Null;
    };
    let scale = 10_f64.powi(places.abs());
    let rounded =
        if places < 0 { (number / scale).round() * scale } else { (number * scale).round() / scale };
    // Scaling can overflow though the number itself has no places to round.
    Value::float(if rounded.is_nan() || rounded.is_infinite() { *number } else { rounded })
}

pub(crate) fn sqrt(value: &Value) -> Value {
    float_from(value, |number| number >= 0.0, f64::sqrt)
}

pub(crate) fn exp(value: &Value) -> Value {
    float(value, f64::exp)
}

pub(crate) fn ln(value: &Value) -> Value {
    float_from(value, |number| number > 0.0, f64::ln)
}

pub(crate) fn log2(value: &Value) -> Value {
    float_from(value, |number| number > 0.0, f64::log2)
}

pub(crate) fn log10(value: &Value) -> Value {
    float_from(value, |number| number > 0.0, f64::log10)
}

/// No answer for a root of a negative number, and for a negative power of zero.
pub(crate) fn power(base: &Value, exponent: &Value) -> Value {
    floats(base, exponent, |base, exponent| {
        let is_root_of_negative = base < 0.0 && exponent.fract() != 0.0;
        let divides_by_zero = base == 0.0 && exponent < 0.0;
        (!is_root_of_negative && !divides_by_zero).then(|| base.powf(exponent))
    })
}

pub(crate) fn sin(value: &Value) -> Value {
    float_from(value, f64::is_finite, f64::sin)
}

pub(crate) fn cos(value: &Value) -> Value {
    float_from(value, f64::is_finite, f64::cos)
}

pub(crate) fn atan2(left: &Value, right: &Value) -> Value {
    floats(left, right, |left, right| Some(left.atan2(right)))
}

pub(crate) fn radians(value: &Value) -> Value {
    float(value, f64::to_radians)
}

pub(crate) fn is_nan(value: &Value) -> Value {
    match value {
        Value::Float(number) => Value::Bool(number.is_nan()),
        _ => Value::Null,
    }
}

/// The largest that is not null.
pub(crate) fn greatest(values: &[Value]) -> Value {
    values.iter().filter(|value| !value.is_null()).max().cloned().unwrap_or(Value::Null)
}

/// The smallest that is not null.
pub(crate) fn least(values: &[Value]) -> Value {
    values.iter().filter(|value| !value.is_null()).min().cloned().unwrap_or(Value::Null)
}
