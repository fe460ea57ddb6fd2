//! Decimals: exact, or without an answer where 38 digits are not enough.

use shipway_core::{Decimal, DecimalType, Value};

fn decimal(value: Option<Decimal>) -> Value {
    value.map_or(Value::Null, Value::Decimal)
}

/// Two numbers of one scale; the result has that scale as well.
fn of_both(left: &Value, right: &Value, function: impl Fn(i128, i128) -> Option<i128>) -> Value {
    match (left, right) {
        (Value::Decimal(left), Value::Decimal(right)) => {
            decimal(function(left.unscaled(), right.unscaled()).and_then(|it| Decimal::new(it, left.scale())))
        }
        _ => Value::Null,
    }
}

/// An int or a decimal with so many digits after the point.
pub(crate) fn rescaled(value: &Value, scale: &Value) -> Value {
    let Value::Int(scale) = scale else { return Value::Null };
    let to = u8::try_from(*scale).ok().and_then(|scale| DecimalType::new(DecimalType::MOST_DIGITS, scale));
    let Some(to) = to else { return Value::Null };
    match value {
        Value::Int(number) => decimal(Decimal::from_int(i128::from(*number), to)),
        Value::Decimal(number) => decimal(number.rescaled(to)),
        _ => Value::Null,
    }
}

/// A type as an int, for [`fitted`].
pub(crate) fn packed(data_type: DecimalType) -> Value {
    Value::Int(i64::from(data_type.precision()) * 100 + i64::from(data_type.scale()))
}

/// An int, a decimal or a text as a decimal of the packed type; a digit that has no place in it leaves no answer.
pub(crate) fn fitted(value: &Value, packed: &Value) -> Value {
    let Value::Int(packed) = packed else { return Value::Null };
    let parts = (u8::try_from(packed / 100), u8::try_from(packed % 100));
    let (Ok(precision), Ok(scale)) = parts else { return Value::Null };
    let Some(to) = DecimalType::new(precision, scale) else { return Value::Null };
    match value {
        Value::Int(number) => decimal(Decimal::from_int(i128::from(*number), to)),
        Value::Decimal(number) => decimal(number.rescaled(to)),
        Value::Text(text) => decimal(Decimal::parse(text.trim(), to)),
        _ => Value::Null,
    }
}

pub(crate) fn add(left: &Value, right: &Value) -> Value {
    of_both(left, right, i128::checked_add)
}

pub(crate) fn subtract(left: &Value, right: &Value) -> Value {
    of_both(left, right, i128::checked_sub)
}

/// Has the sign of the left.
pub(crate) fn remainder(left: &Value, right: &Value) -> Value {
    of_both(left, right, i128::checked_rem)
}

/// The scales add up.
pub(crate) fn multiply(left: &Value, right: &Value) -> Value {
    match (left, right) {
        (Value::Decimal(left), Value::Decimal(right)) => {
            let product = left.unscaled().checked_mul(right.unscaled());
            decimal(product.and_then(|product| Decimal::new(product, left.scale() + right.scale())))
        }
        _ => Value::Null,
    }
}

pub(crate) fn negate(value: &Value) -> Value {
    match value {
        Value::Decimal(number) => decimal(Decimal::new(-number.unscaled(), number.scale())),
        _ => Value::Null,
    }
}

/// Toward zero.
pub(crate) fn truncated(value: &Value) -> Value {
    match value {
        Value::Decimal(number) => {
            let whole = number.unscaled() / 10_i128.pow(u32::from(number.scale()));
            i64::try_from(whole).map_or(Value::Null, Value::Int)
        }
        _ => Value::Null,
    }
}
