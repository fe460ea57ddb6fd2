//! Casts. A value that cannot be what it is cast to has no answer; a literal that cannot is refused.

use shipway_core::{DataType, DecimalType, Value};

use super::{decimals, numbers::to_float};
use crate::{
    compile::{Kind, Typed},
    error::Refusal,
    node::Node,
};

/// SQL's names of the types.
fn type_of(written: &str) -> Option<DataType> {
    let written = written.to_ascii_uppercase();
    let decimal = written.strip_prefix("DECIMAL(").or_else(|| written.strip_prefix("NUMERIC("));
    if let Some((precision, scale)) = decimal.and_then(|rest| rest.strip_suffix(')')?.split_once(',')) {
        let decimal = DecimalType::new(precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        return decimal.map(DataType::Decimal);
    }
    Some(match written.as_str() {
        "BOOLEAN" | "BOOL" => DataType::Bool,
        "BIGINT" | "INT" | "INTEGER" | "INT64" | "INT8" => DataType::Int,
        "DOUBLE" | "DOUBLE PRECISION" | "FLOAT" | "FLOAT64" | "FLOAT8" => DataType::Float,
        "TEXT" | "VARCHAR" | "STRING" => DataType::Text,
        "TIMESTAMP" | "TIMESTAMP WITH TIME ZONE" | "TIMESTAMPTZ" => DataType::Timestamp,
        _ => return None,
    })
}

/// The value as the type with this SQL name.
pub(crate) fn cast((node, kind): Typed, written: &str) -> Result<Typed, Refusal> {
    let refused = || Refusal::NoCast { from: kind.word(), to: written.to_owned() };
    let wanted = type_of(written).ok_or_else(refused)?;
    let from = match kind {
        Kind::Null => return Ok((Node::Literal(Value::Null), Kind::Value(wanted))),
        Kind::Interval => return Err(refused()),
        Kind::Value(from) if from == wanted => return Ok((node, kind)),
        Kind::Value(from) => from,
    };
    let literal = match &node {
        Node::Literal(Value::Text(text)) => Some(format!("'{text}'")),
        _ => None,
    };
    let cast = match function(from, wanted) {
        Some(function) => Node::One(function, Box::new(node)),
        None => match (from, wanted) {
            (DataType::Int | DataType::Text | DataType::Decimal(_), DataType::Decimal(decimal)) => {
                Node::Two(decimals::fitted, Box::new([node, Node::Literal(decimals::packed(decimal))]))
            }
            _ => return Err(refused()),
        },
    };
    match (cast.folded(), literal) {
        (Node::Literal(Value::Null), Some(text)) => {
            Err(Refusal::Literal { text, expected: expected(wanted) })
        }
        (cast, _) => Ok((cast, Kind::Value(wanted))),
    }
}

/// What makes a value of the first type one of the second, where that needs no parameters.
fn function(from: DataType, wanted: DataType) -> Option<fn(&Value) -> Value> {
    Some(match (from, wanted) {
        (DataType::Int | DataType::Decimal(_), DataType::Float) => to_float,
        (DataType::Decimal(_), DataType::Int) => decimals::truncated,
        (DataType::Decimal(_), DataType::Text) => text_of,
        (DataType::Float, DataType::Int) => truncated,
        (DataType::Bool, DataType::Int) => number_of_truth,
        (DataType::Text, DataType::Int) => int_of_text,
        (DataType::Text, DataType::Float) => float_of_text,
        (DataType::Text, DataType::Bool) => truth_of_text,
        (DataType::Text, DataType::Timestamp) => moment_of_text,
        (DataType::Bool | DataType::Int | DataType::Float | DataType::Timestamp, DataType::Text) => text_of,
        _ => return None,
    })
}

const fn expected(wanted: DataType) -> &'static str {
    match wanted {
        DataType::Bool => "true or false",
        DataType::Int => "an integer of 64 bits",
        DataType::Float => "a number",
        DataType::Decimal(_) => "a decimal of that type",
        DataType::Timestamp => "a moment, such as 2024-03-01T00:00:00Z",
        _ => "a value of that type",
    }
}

/// Toward zero; no answer for NaN and for what does not fit.
fn truncated(value: &Value) -> Value {
    match value {
        // Both bounds are floats: the smallest integer is one exactly, the largest plus one is the first that does not fit.
        Value::Float(number)
            if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(number) =>
        {
            Value::Int(*number as i64)
        }
        _ => Value::Null,
    }
}

fn number_of_truth(value: &Value) -> Value {
    match value {
        Value::Bool(truth) => Value::Int(i64::from(*truth)),
        _ => Value::Null,
    }
}

fn of_text(value: &Value, function: impl Fn(&str) -> Option<Value>) -> Value {
    match value {
        Value::Text(text) => function(text.trim()).unwrap_or(Value::Null),
        _ => Value::Null,
    }
}

fn int_of_text(value: &Value) -> Value {
    of_text(value, |text| text.parse().ok().map(Value::Int))
}

fn float_of_text(value: &Value) -> Value {
    of_text(value, |text| text.parse().ok().map(Value::float))
}

fn truth_of_text(value: &Value) -> Value {
    of_text(value, |text| match text.to_ascii_lowercase().as_str() {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => None,
    })
}

fn moment_of_text(value: &Value) -> Value {
    of_text(value, |text| text.parse().ok().map(Value::Timestamp))
}

/// `true`, `12`, `0.5`, `NaN`, `2024-03-01T00:00:00Z`: as JSON writes it, a float always with its point or exponent.
fn text_of(value: &Value) -> Value {
    match value {
        Value::Bool(truth) => Value::text(if *truth { "true" } else { "false" }),
        Value::Int(number) => Value::text(number.to_string()),
        Value::Decimal(number) => Value::text(number.to_string()),
        Value::Float(number) if number.is_nan() => Value::text("NaN"),
        Value::Float(number) if number.is_infinite() => {
            Value::text(if *number > 0.0 { "Infinity" } else { "-Infinity" })
        }
        Value::Float(number) => Value::text(format!("{number:?}")),
        Value::Timestamp(moment) => Value::text(moment.to_string()),
        _ => Value::Null,
    }
}
