//! What an expression means, and what is refused.
//!
//! - `meanings`: goldens, value by value: they hold for ever, because texts are part of hashes
//! - `refusals`: every refusal in the words a person reads
//! - `laws`: properties of any text and any row
//! - `measuring`: how long it takes, for people

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop with the error")]

mod laws;
mod meanings;
mod measuring;
mod refusals;

use shipway_core::{DataType, Decimal, DecimalType, ItemType, ScalarType, Timestamp, Value};
use shipway_expression::{Expression, Row, Scope};

const COLUMNS: [(&str, DataType); 13] = [
    ("i", DataType::Int),
    ("j", DataType::Int),
    ("f", DataType::Float),
    ("g", DataType::Float),
    ("t", DataType::Text),
    ("u", DataType::Text),
    ("b", DataType::Bool),
    ("at", DataType::Timestamp),
    ("since", DataType::Timestamp),
    ("list", DataType::List(ItemType::Scalar(ScalarType::Int))),
    ("map", DataType::Map(ItemType::Scalar(ScalarType::Float))),
    ("price", DataType::Decimal(DecimalType::new(10, 2).unwrap())),
    ("rate", DataType::Decimal(DecimalType::new(6, 3).unwrap())),
];

fn scope() -> Scope {
    Scope::of(COLUMNS)
}

/// The row in which most tests look: one value of each kind; `j`, `g` and `u` are null.
fn row() -> Vec<Value> {
    vec![
        Value::Int(7),
        Value::Null,
        Value::float(2.5),
        Value::Null,
        Value::text("na\u{ef}ve"),
        Value::Null,
        Value::Bool(true),
        Value::Timestamp(Timestamp::parse("2013-11-03T05:59:59.999999Z").unwrap()),
        Value::Timestamp(Timestamp::parse("1969-12-31T23:59:59.5Z").unwrap()),
        Value::list([Value::Int(3), Value::Null, Value::Int(1)]),
        Value::map([("a".into(), Value::float(0.5)), ("b".into(), Value::Null)]),
        Value::Decimal(Decimal::new(250, 2).unwrap()),
        Value::Decimal(Decimal::new(-1_050, 3).unwrap()),
    ]
}

/// The value of `text` for [`row`], as JSON writes it.
fn value(text: &str) -> String {
    match Expression::compile(text, &scope()) {
        Ok(compiled) => {
            let row = row();
            let value = compiled.evaluate(Row::from(row.as_slice())).into_owned();
            assert!(value.is_of(compiled.data_type()), "{text} is {value:?}, not {}", compiled.data_type());
            value.to_json().to_string()
        }
        Err(error) => format!("refused: {error}"),
    }
}
