//! Expressions and what they mean, said a second time: each text beside the plain Rust that gives its value. Views and services
//! take some of them by chance, and the judge asks the Rust.

use std::fmt::Write as _;

use rand::{Rng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::Value as Json;
use shipway_core::{Timestamp, Value};

/// The cells that an expression sees, by name.
pub(crate) type Cells<'a> = &'a dyn Fn(&str) -> Value;

/// A derived or computed column.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    text: &'static str,
    pub(crate) meaning: fn(Cells<'_>) -> Value,
}

/// A condition.
struct Condition {
    text: &'static str,
    meaning: fn(Cells<'_>) -> Option<bool>,
}

/// Behind the name of a column: the one expression of views that stand on others.
pub(crate) const IS_THERE: &str = " IS NOT NULL";

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Int(number) => Some(*number as f64),
        _ => None,
    }
}

fn int(value: &Value) -> Option<i64> {
    if let Value::Int(number) = value { Some(*number) } else { None }
}

fn moment(value: &Value) -> Option<i64> {
    if let Value::Timestamp(moment) = value { Some(moment.micros()) } else { None }
}

fn text(value: &Value) -> Option<String> {
    if let Value::Text(text) = value { Some(text.to_string()) } else { None }
}

fn truth(value: &Value) -> Option<bool> {
    if let Value::Bool(truth) = value { Some(*truth) } else { None }
}

fn some<T>(value: Option<T>, wrap: impl Fn(T) -> Value) -> Value {
    value.map_or(Value::Null, wrap)
}

/// Derived columns; the later ones build on the earlier ones.
pub(crate) const DERIVED: &[Column] = &[
    Column {
        name: "f_ratio",
        text: "a / nullif(b, 0)",
        meaning: |cells| {
            let by = int(&cells("b")).filter(|by| *by != 0);
            some(float(&cells("a")).zip(by), |(a, b)| Value::float(a / b as f64))
        },
    },
    Column {
        name: "i_large",
        text: "b * 2000000",
        meaning: |cells| some(int(&cells("b")).and_then(|b| b.checked_mul(2_000_000)), Value::Int),
    },
    Column {
        name: "i_hour",
        text: "EXTRACT(hour FROM at)",
        meaning: |cells| {
            some(moment(&cells("at")), |at| Value::Int(at.div_euclid(3_600_000_000).rem_euclid(24)))
        },
    },
    Column {
        name: "t_loud",
        text: "upper(c) || '''!'",
        meaning: |cells| some(text(&cells("c")), |c| Value::text(c.to_uppercase() + "'!")),
    },
    Column {
        name: "b_near",
        text: "e BETWEEN at - INTERVAL '1 day' AND at + INTERVAL '1 day'",
        meaning: |cells| {
            let day = 86_400_000_000;
            some(moment(&cells("e")).zip(moment(&cells("at"))), |(e, at)| Value::Bool((e - at).abs() <= day))
        },
    },
    Column {
        name: "t_key",
        text: "nullif(k, 'xy')",
        meaning: |cells| some(text(&cells("k")).filter(|k| k != "xy"), Value::text),
    },
    Column {
        name: "f_chosen",
        text: "CASE WHEN f_ratio > 1 THEN f_ratio WHEN d THEN 0.5 ELSE -a END",
        meaning: |cells| {
            let ratio = cells("f_ratio");
            if ratio > Value::float(1.0) && !ratio.is_null() {
                return ratio;
            }
            if truth(&cells("d")) == Some(true) {
                return Value::float(0.5);
            }
            some(float(&cells("a")), |a| Value::float(-a))
        },
    },
];

const CONDITIONS: &[Condition] = &[
    Condition { text: "a > 0", meaning: |cells| not_null(&cells("a")).map(|a| a > Value::float(0.0)) },
    Condition { text: "b % 2 = 0", meaning: |cells| int(&cells("b")).map(|b| b % 2 == 0) },
    Condition {
        text: "c <> 'jam' AND b >= 10",
        meaning: |cells| and(text(&cells("c")).map(|c| c != "jam"), int(&cells("b")).map(|b| b >= 10)),
    },
    Condition {
        text: "NOT d OR c IS NULL",
        meaning: |cells| match (truth(&cells("d")), cells("c").is_null()) {
            (_, true) => Some(true),
            (d, false) => d.map(|d| !d),
        },
    },
    Condition {
        text: "c LIKE '%a_'",
        meaning: |cells| text(&cells("c")).map(|c| c.chars().rev().nth(1) == Some('a')),
    },
    Condition { text: "e < at", meaning: |cells| Some(moment(&cells("e"))? < moment(&cells("at"))?) },
    Condition {
        text: "coalesce(i_large, 0) <> 0",
        meaning: |cells| Some(int(&cells("i_large")).unwrap_or(0) != 0),
    },
    Condition {
        text: "n = 1 AND at >= '1970-01-05T12:00:00Z'",
        meaning: |cells| {
            let from = Timestamp::parse("1970-01-05T12:00:00Z").unwrap();
            and(int(&cells("n")).map(|n| n == 1), moment(&cells("at")).map(|at| at >= from.micros()))
        },
    },
];

fn not_null(value: &Value) -> Option<Value> {
    (!value.is_null()).then(|| value.clone())
}

fn and(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (left, right) => Some(left? && right?),
    }
}

/// The `where` and `derive` of a view, or nothing, and the columns that it has more. All derived columns are there when any is.
pub(crate) fn of_view(random: &mut StdRng, into: &mut String) -> &'static [Column] {
    let derives = random.random_bool(0.5);
    if derives {
        into.push_str("derive:\n");
        for column in DERIVED {
            let _ = writeln!(into, "  {}: \"{}\"", column.name, column.text);
        }
    }
    if random.random_bool(0.4) {
        let condition =
            CONDITIONS.iter().filter(|held| derives || !held.text.contains('_') || held.text.contains('%'));
        let condition: Vec<&Condition> = condition.collect();
        let _ = writeln!(into, "where: \"{}\"", condition.choose(random).unwrap().text);
    }
    if derives { DERIVED } else { &[] }
}

/// The computed columns of a service whose views are `views`; their only features to build on are those of every view, so they
/// take what every row has: keys and the moment.
pub(crate) const COMPUTED: &[Column] = &[
    Column {
        name: "age_days",
        text: "EXTRACT(epoch FROM at - TIMESTAMP '1970-01-01') / 86400",
        meaning: |cells| some(moment(&cells("at")), |at| Value::float(at as f64 / 1e6 / 86_400.0)),
    },
    Column {
        name: "who",
        text: "coalesce(k, 'nobody') || CAST(age_days < 60 AS TEXT)",
        meaning: |cells| {
            let young = float(&cells("age_days")).map(|age| age < 60.0);
            some(young, |young| {
                Value::text(format!("{}{young}", text(&cells("k")).unwrap_or("nobody".into())))
            })
        },
    },
];

/// The value of an event's derived column `name`, or of a column of its own.
pub(crate) fn cell(own: &dyn Fn(&str) -> Value, name: &str) -> Value {
    match DERIVED.iter().find(|column| column.name == name) {
        Some(column) => (column.meaning)(&|name| cell(own, name)),
        None => own(name),
    }
}

/// Whether an event counts.
pub(crate) fn counts(own: &dyn Fn(&str) -> Value, filter: Option<&str>) -> bool {
    let Some(filter) = filter else { return true };
    let condition = CONDITIONS.iter().find(|condition| condition.text == filter).unwrap();
    (condition.meaning)(&|name| cell(own, name)) == Some(true)
}

/// The computed columns for a question, by name.
pub(crate) fn computed(k: &Json, q: Timestamp) -> Vec<(String, Value)> {
    let own = |name: &str| match name {
        "at" => Value::Timestamp(q),
        _ => k.as_str().map_or(Value::Null, Value::text),
    };
    let mut values: Vec<(String, Value)> = Vec::new();
    for column in COMPUTED {
        let value = (column.meaning)(&|name| {
            let earlier = values.iter().find(|(held, _)| held == name);
            earlier.map_or_else(|| own(name), |(_, value)| value.clone())
        });
        values.push((column.name.to_owned(), value));
    }
    values
}

/// The computed columns as a service writes them.
pub(crate) fn of_service(into: &mut String) {
    into.push_str("compute:\n");
    for column in COMPUTED {
        let _ = writeln!(into, "  {}: \"{}\"", column.name, column.text);
    }
}
