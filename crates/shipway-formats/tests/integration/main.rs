//! Messages as their senders write them, through the public face of the crate.
//!
//! - `json`, `protobuf`: what each format means in columns
//! - `evolution`: how a schema may change, one test for each rule
//! - `debezium`: change events
//! - `registry`: schemas by id, and a registry that fails
//! - `golden`: messages that other implementations have written
//! - `round_trip`: what is written is read back
//! - `robustness`: no bytes break a reader
//! - `measuring`: how long it takes, for people

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop with the error")]

mod debezium;
mod evolution;
mod golden;
mod json;
mod measuring;
mod protobuf;
mod registry;
mod robustness;
mod round_trip;

use serde_json::Value as Json;
use shipway_core::{DataType, Name, Value};
use shipway_formats::{Decoded, Decoder, Format, Row};

/// Columns out of `name type, name type`; commas within brackets do not part them.
fn columns(text: &str) -> Vec<(Name, DataType)> {
    let mut depth = 0;
    let parts = text.split(|character| {
        depth += i32::from(character == '(') - i32::from(character == ')');
        character == ',' && depth == 0
    });
    let column = |part: &str| {
        let (name, data_type) = part.trim().split_once(' ').unwrap();
        (Name::new(name).unwrap(), data_type.parse().unwrap())
    };
    parts.map(column).collect()
}

fn decoder(format: Json, declared: &str) -> Decoder {
    let format: Format = serde_json::from_value(format).unwrap();
    Decoder::new(&format, &columns(declared)).unwrap()
}

/// Reads a message where no registry is asked.
fn decode(decoder: &Decoder, message: &[u8]) -> Decoded {
    futures::executor::block_on(decoder.decode(Some(message))).unwrap()
}

/// The values of the only row, as JSON.
fn row(decoded: &Decoded) -> Json {
    match decoded {
        Decoded::Rows(rows) => match rows.as_slice() {
            [Row { values, .. }] => values_of(values),
            rows => panic!("{} rows", rows.len()),
        },
        other => panic!("{other:?}"),
    }
}

fn values_of(values: &[Value]) -> Json {
    values.iter().map(Value::to_json).collect()
}

/// A datum as another implementation writes it.
fn written(schema: &apache_avro::Schema, value: apache_avro::types::Value) -> Vec<u8> {
    use apache_avro::writer::datum::GenericDatumWriter;
    GenericDatumWriter::builder(schema).build().unwrap().write_value_to_vec(value).unwrap()
}

fn refusal(decoded: &Decoded) -> String {
    use shipway_core::Failure as _;
    match decoded {
        Decoded::Refused(error) => format!("{}: {error}", error.code()),
        other => panic!("{other:?}"),
    }
}
