//! Literals: numbers, texts, truth values, typed texts, and intervals.

use shipway_core::Value;
use sqlparser::ast::{Expr, Interval, TypedString, UnaryOperator, Value as Literal, ValueWithSpan};

use super::{Compiled, Kind, Typed, place, place_of};
use crate::{
    error::Refusal,
    node::Node,
    values::{cast, time::unit_us},
};

pub(super) fn value(written: &ValueWithSpan) -> Compiled {
    let (value, kind) = match &written.value {
        Literal::Number(text, _) => {
            return number(text).map_err(|refusal| refusal.at(place_of(&written.span)));
        }
        Literal::SingleQuotedString(text) => (Value::text(text.as_str()), Kind::TEXT),
        Literal::Boolean(truth) => (Value::Bool(*truth), Kind::BOOL),
        Literal::Null => (Value::Null, Kind::Null),
        Literal::DoubleQuotedString(text) => {
            let what = format!("\"{text}\" here (a text is written in single quotes)");
            return Err(Refusal::NotInLanguage(what).at(place_of(&written.span)));
        }
        other => return Err(Refusal::NotInLanguage(other.to_string()).at(place_of(&written.span))),
    };
    Ok((Node::Literal(value), kind))
}

/// A number with a point or an exponent is a float, every other an int.
fn number(text: &str) -> Result<Typed, Refusal> {
    let wrong = |expected| Refusal::Literal { text: text.to_owned(), expected };
    if text.contains(['.', 'e', 'E']) {
        let float = text.parse::<f64>().ok().filter(|float| float.is_finite());
        let float = float.ok_or_else(|| wrong("a number that a 64-bit float can hold"))?;
        return Ok((Node::Literal(Value::float(float)), Kind::FLOAT));
    }
    let int =
        text.parse().map_err(|_| wrong("an integer of 64 bits; write it with a point to make it a float"))?;
    Ok((Node::Literal(Value::Int(int)), Kind::INT))
}

/// `TIMESTAMP '2024-03-01T00:00:00Z'`, `DATE '2024-03-01'`.
pub(super) fn typed(typed: &TypedString) -> Compiled {
    let Literal::SingleQuotedString(text) = &typed.value.value else {
        return Err(Refusal::NotInLanguage(typed.to_string()).at(place_of(&typed.value.span)));
    };
    let text = (Node::Literal(Value::text(text.as_str())), Kind::TEXT);
    let wanted = match typed.data_type.to_string().to_ascii_uppercase().as_str() {
        "DATE" => "TIMESTAMP".to_owned(),
        other => other.to_owned(),
    };
    cast::cast(text, &wanted).map_err(|refusal| refusal.at(place_of(&typed.value.span)))
}

/// `INTERVAL '90 minutes'`, `INTERVAL '1 day 6 hours'`, `INTERVAL '7' DAY`, `INTERVAL 7 DAY`: fixed lengths only. A month has
/// none.
pub(super) fn interval(interval: &Interval) -> Compiled {
    let text = written(&interval.value);
    let wrong = |text: &str| {
        let expected = "an interval of whole or broken weeks, days, hours, minutes, seconds, milliseconds or \
                        microseconds, such as '90 minutes'";
        Refusal::Literal { text: format!("'{text}'"), expected }.at(place(interval.value.as_ref()))
    };
    let text = text.ok_or_else(|| wrong(&interval.value.to_string()))?;
    let text = match &interval.leading_field {
        Some(field) => format!("{text} {field}"),
        None => text,
    };
    let is_plain = interval.last_field.is_none() && interval.leading_precision.is_none();
    let length_us = length_us(&text).filter(|_| is_plain).ok_or_else(|| wrong(&text))?;
    Ok((Node::Literal(Value::Int(length_us)), Kind::Interval))
}

fn written(value: &Expr) -> Option<String> {
    match value {
        Expr::Value(ValueWithSpan {
            value: Literal::SingleQuotedString(text) | Literal::Number(text, _),
            ..
        }) => Some(text.clone()),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Some(format!("-{}", written(expr)?)),
        _ => None,
    }
}

/// Pairs of a number and a unit, added up.
fn length_us(text: &str) -> Option<i64> {
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() || !words.len().is_multiple_of(2) {
        return None;
    }
    words.chunks(2).try_fold(0_i64, |sum, pair| {
        let unit_us = unit_us(&pair[1].to_lowercase())?;
        let part = match pair[0].parse::<i64>() {
            Ok(whole) => whole.checked_mul(unit_us)?,
            Err(_) => {
                let micros = (pair[0].parse::<f64>().ok()? * unit_us as f64).round();
                (micros.abs() < 9e15).then_some(micros as i64)?
            }
        };
        sum.checked_add(part)
    })
}
