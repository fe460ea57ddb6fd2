//! Texts. Positions and lengths are in characters (Unicode scalar values), from 1. No normalisation takes place.

use shipway_core::Value;

/// A longer text, in bytes, has no answer: what makes texts longer must not fill the memory.
const LONGEST: usize = 1 << 20;

fn text(text: impl AsRef<str>) -> Value {
    let text = text.as_ref();
    if text.len() > LONGEST { Value::Null } else { Value::text(text) }
}

fn of(value: &Value, function: impl Fn(&str) -> Value) -> Value {
    match value {
        Value::Text(text) => function(text),
        _ => Value::Null,
    }
}

fn of_both(left: &Value, right: &Value, function: impl Fn(&str, &str) -> Value) -> Value {
    match (left, right) {
        (Value::Text(left), Value::Text(right)) => function(left, right),
        _ => Value::Null,
    }
}

fn with_number(value: &Value, number: &Value, function: impl Fn(&str, i64) -> Value) -> Value {
    match (value, number) {
        (Value::Text(text), Value::Int(number)) => function(text, *number),
        _ => Value::Null,
    }
}

fn count(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// The characters at the positions from `from` up to and without `to`, both from 0.
fn cut(whole: &str, from: i64, to: i64) -> Value {
    let from = usize::try_from(from.max(0)).unwrap_or(usize::MAX);
    let to = usize::try_from(to.max(0)).unwrap_or(usize::MAX);
    text(whole.chars().skip(from).take(to.saturating_sub(from)).collect::<String>())
}

pub(crate) fn joined(left: &Value, right: &Value) -> Value {
    of_both(left, right, |left, right| {
        if left.len().saturating_add(right.len()) > LONGEST {
            Value::Null
        } else {
            text([left, right].concat())
        }
    })
}

/// Joins those that are not null.
pub(crate) fn concat(values: &[Value]) -> Value {
    let parts = || {
        values.iter().filter_map(|value| match value {
            Value::Text(text) => Some(text.as_ref()),
            _ => None,
        })
    };
    let length = parts().fold(0_usize, |sum, part| sum.saturating_add(part.len()));
    if length > LONGEST { Value::Null } else { text(parts().collect::<String>()) }
}

pub(crate) fn lower(value: &Value) -> Value {
    of(value, |whole| text(whole.to_lowercase()))
}

pub(crate) fn upper(value: &Value) -> Value {
    of(value, |whole| text(whole.to_uppercase()))
}

pub(crate) fn trim(value: &Value) -> Value {
    of(value, |whole| text(whole.trim_matches(' ')))
}

pub(crate) fn ltrim(value: &Value) -> Value {
    of(value, |whole| text(whole.trim_start_matches(' ')))
}

pub(crate) fn rtrim(value: &Value) -> Value {
    of(value, |whole| text(whole.trim_end_matches(' ')))
}

pub(crate) fn length(value: &Value) -> Value {
    of(value, |whole| Value::Int(count(whole)))
}

/// The first so many; all but the last so many when negative.
pub(crate) fn left(value: &Value, number: &Value) -> Value {
    with_number(value, number, |whole, number| {
        let to = if number < 0 { count(whole).saturating_add(number) } else { number };
        cut(whole, 0, to)
    })
}

/// The last so many; all but the first so many when negative.
pub(crate) fn right(value: &Value, number: &Value) -> Value {
    with_number(value, number, |whole, number| {
        let from = if number < 0 { number.saturating_neg() } else { count(whole).saturating_sub(number) };
        cut(whole, from, i64::MAX)
    })
}

pub(crate) fn substr_from(value: &Value, from: &Value) -> Value {
    with_number(value, from, |whole, from| cut(whole, from.saturating_sub(1), i64::MAX))
}

/// The characters at positions from `from` up to `from + length`; a negative length has no answer.
pub(crate) fn substr(arguments: &[Value]) -> Value {
    match arguments {
        [Value::Text(whole), Value::Int(from), Value::Int(length)] if *length >= 0 => {
            let from = from.saturating_sub(1);
            cut(whole, from, from.saturating_add(*length))
        }
        _ => Value::Null,
    }
}

pub(crate) fn starts_with(whole: &Value, part: &Value) -> Value {
    of_both(whole, part, |whole, part| Value::Bool(whole.starts_with(part)))
}

pub(crate) fn ends_with(whole: &Value, part: &Value) -> Value {
    of_both(whole, part, |whole, part| Value::Bool(whole.ends_with(part)))
}

pub(crate) fn contains(whole: &Value, part: &Value) -> Value {
    of_both(whole, part, |whole, part| Value::Bool(whole.contains(part)))
}

/// The position of the first occurrence; 0 when there is none.
pub(crate) fn strpos(whole: &Value, part: &Value) -> Value {
    of_both(whole, part, |whole, part| {
        Value::Int(whole.find(part).and_then(|at| whole.get(..at)).map_or(0, |before| count(before) + 1))
    })
}

/// Every occurrence of the second, replaced by the third; an empty second replaces nothing.
pub(crate) fn replace(arguments: &[Value]) -> Value {
    let [Value::Text(whole), Value::Text(part), Value::Text(by)] = arguments else { return Value::Null };
    if part.is_empty() {
        return text(whole);
    }
    let found = whole.matches(part.as_ref()).count();
    if whole.len().saturating_add(found.saturating_mul(by.len())) > LONGEST.saturating_mul(2) {
        return Value::Null;
    }
    text(whole.replace(part.as_ref(), by))
}

/// The piece of that number, from 1, or from the end when negative; empty when there are fewer. There is no piece 0.
pub(crate) fn split_part(arguments: &[Value]) -> Value {
    let [Value::Text(whole), Value::Text(by), Value::Int(number)] = arguments else { return Value::Null };
    let nth = |number: i64| usize::try_from(number - 1).ok();
    let pieces = || if by.is_empty() { vec![whole.as_ref()] } else { whole.split(by.as_ref()).collect() };
    let piece = match *number {
        0 => return Value::Null,
        number if number > 0 => nth(number).and_then(|nth| pieces().get(nth).copied()),
        number => nth(number.saturating_neg()).and_then(|nth| pieces().into_iter().rev().nth(nth)),
    };
    text(piece.unwrap_or(""))
}

pub(crate) fn like(value: &Value, pattern: &Value) -> Value {
    of_both(value, pattern, |value, pattern| Value::Bool(is_like(value, pattern)))
}

pub(crate) fn ilike(value: &Value, pattern: &Value) -> Value {
    of_both(value, pattern, |value, pattern| {
        Value::Bool(is_like(&value.to_lowercase(), &pattern.to_lowercase()))
    })
}

/// One piece of a pattern.
#[derive(Clone, Copy, PartialEq)]
enum Piece {
    /// `%`
    Any,
    /// `_`
    One,
    Char(char),
}

/// Whether `value` matches: `%` is any text, `_` any character, and a backslash takes the next character as it is. Each `%`
/// is tried at the latest place that works so far, so that it takes at most length times length steps.
fn is_like(value: &str, pattern: &str) -> bool {
    let mut pieces = Vec::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        pieces.push(match letter {
            '%' => Piece::Any,
            '_' => Piece::One,
            '\\' => Piece::Char(letters.next().unwrap_or('\\')),
            other => Piece::Char(other),
        });
    }
    let value: Vec<char> = value.chars().collect();
    let (mut at, mut piece) = (0, 0);
    let mut last_any: Option<(usize, usize)> = None;
    while at < value.len() {
        match pieces.get(piece) {
            Some(Piece::Any) => {
                last_any = Some((piece, at));
                piece += 1;
            }
            Some(Piece::One) => (at, piece) = (at + 1, piece + 1),
            Some(Piece::Char(letter)) if *letter == value[at] => (at, piece) = (at + 1, piece + 1),
            _ => match last_any {
                Some((any, from)) => {
                    last_any = Some((any, from + 1));
                    (at, piece) = (from + 1, any + 1);
                }
                None => return false,
            },
        }
    }
    pieces[piece..].iter().all(|piece| *piece == Piece::Any)
}
