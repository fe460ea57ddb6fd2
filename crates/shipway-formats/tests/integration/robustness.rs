//! No bytes break a reader: whatever comes is a row, nothing, or refused.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use shipway_core::Value;
use shipway_formats::{Decoded, Decoder, LONGEST_MESSAGE};

use super::{columns, decode, decoder, refusal};

const DECLARED: &str = "id int, carrier text, delay float, at timestamp, fare decimal(12,2), stops list(text), \
                        weights map(float), gate int";

fn with_gate(mut format: Json) -> Json {
    format["fields"] = json!({ "gate": "origin.gate.number" });
    format
}

/// A reader of each format, and a message that it reads.
fn readers() -> Vec<(Decoder, Vec<u8>)> {
    let avro = with_gate(json!({ "format": "avro", "schema": include_str!("../golden/flight.avsc") }));
    let message = json!({ "format": "protobuf", "schema": include_str!("../golden/flight.proto"), "message": "air.Flight" });
    let flight = json!({
        "id": 1, "carrier": "UA", "delay": -0.5, "at": "2013-03-11T05:30:00Z", "fare": 12.50, "stops": ["a", null],
        "weights": { "a": 1, "\u{e9}": 2e3 }, "origin": { "gate": { "number": 4 } }, "other": [{}],
    });
    let change = json!({ "schema": { "fields": [{ "field": "after", "fields": [] }] }, "payload": { "op": "c", "after": flight } });
    vec![
        (decoder(with_gate(json!({ "format": "json" })), DECLARED), flight.to_string().into_bytes()),
        (
            decoder(with_gate(json!({ "format": "json", "envelope": "debezium" })), DECLARED),
            change.to_string().into_bytes(),
        ),
        (decoder(avro, DECLARED), include_bytes!("../golden/flight.avro.bin").to_vec()),
        (
            decoder(
                json!({ "format": "avro", "envelope": "debezium", "schema": super::debezium::ENVELOPE }),
                DECLARED,
            ),
            vec![0, 2, 2, 2, 2, 4, 4, 0x82, 0, 2, b'c'],
        ),
        (decoder(with_gate(message), DECLARED), include_bytes!("../golden/flight.protobuf.bin").to_vec()),
    ]
}

/// How many values there are, all told.
fn size(values: &[Value]) -> usize {
    let of = |value: &Value| match value {
        Value::List(items) => 1 + size(items),
        Value::Map(entries) => entries.iter().map(|(_, value)| 1 + size(std::slice::from_ref(value))).sum(),
        _ => 1,
    };
    values.iter().map(of).sum()
}

fn check(decoder: &Decoder, message: &[u8]) {
    match decode(decoder, message) {
        Decoded::Rows(rows) => {
            let types = columns(DECLARED);
            for row in &rows {
                assert_eq!(row.values.len(), types.len());
                assert!(row.values.iter().zip(&types).all(|(value, (_, data_type))| value.is_of(*data_type)));
                assert!(size(&row.values) <= 100_000 + 5 * message.len());
            }
        }
        Decoded::Nothing => {}
        Decoded::Refused(error) => assert!(error.to_string().len() < 2_000),
    }
}

proptest! {
    #[test]
    fn valid_messages_with_changes_break_nothing(
        which in 0_usize..5,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1..6),
    ) {
        let (decoder, mut message) = readers().swap_remove(which);
        for (at, byte, how) in changes {
            if message.is_empty() { break }
            let at = at.index(message.len());
            match how {
                0 => message[at] = byte,
                1 => message[at] ^= 1 << (byte % 8),
                2 => message.truncate(at),
                _ => message.insert(at, byte),
            }
        }
        check(&decoder, &message);
    }

    #[test]
    fn schemas_with_changes_break_nothing(
        is_avro in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}<>();=\",.a0 \u{e9}]{0,3}", 0_usize..12), 1..6),
    ) {
        let (format, schema) = match is_avro {
            true => ("avro", include_str!("../golden/flight.avsc")),
            false => ("protobuf", include_str!("../golden/flight.proto")),
        };
        let mut schema: Vec<char> = schema.chars().collect();
        for (at, text, removed) in changes {
            let at = at.index(schema.len());
            let until = (at + removed).min(schema.len());
            schema.splice(at..until, text.chars());
        }
        let schema: String = schema.into_iter().collect();
        let format = with_gate(json!({ "format": format, "schema": schema, "message": (!is_avro).then_some("air.Flight") }));
        if let Ok(decoder) = Decoder::new(&serde_json::from_value(format).unwrap(), &columns(DECLARED)) {
            check(&decoder, include_bytes!("../golden/flight.avro.bin"));
        }
    }

    #[test]
    fn random_bytes_break_nothing(which in 0_usize..5, message in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&readers()[which].0, &message);
    }
}

#[test]
fn a_short_message_cannot_ask_for_endless_work() {
    let schema = json!({ "type": "record", "name": "R", "fields": [
        { "name": "nulls", "type": { "type": "array", "items": "null" } },
        { "name": "a", "type": { "type": "array", "items": "null" } },
    ]});
    let decoder_of = |schema: &Json, declared: &str| {
        decoder(json!({ "format": "avro", "schema": schema.to_string() }), declared)
    };
    let endless = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0];
    for declared in ["a list(int)", "nulls list(int)", "other int"] {
        let refused = refusal(&decode(&decoder_of(&schema, declared), &endless));
        assert!(refused.contains("too many values"), "{refused}");
    }
    let list =
        json!({ "type": "record", "name": "L", "fields": [{ "name": "next", "type": ["null", "L"] }] });
    let refused = refusal(&decode(&decoder_of(&list, "other int"), &[2; 100_000]));
    assert!(refused.contains("more than 64 deep"), "{refused}");
    // Each record holds the one before it twice: two to the thirtieth of them, in no bytes at all.
    let empty = json!({ "type": "record", "name": "R0", "fields": [] });
    let doubled = (1..=30).fold(empty, |inner, depth| {
        let again = json!(format!("R{}", depth - 1));
        let fields = [json!({ "name": "a", "type": inner }), json!({ "name": "b", "type": again })];
        json!({ "type": "record", "name": format!("R{depth}"), "fields": fields })
    });
    let refused = refusal(&decode(&decoder_of(&doubled, "other int"), &[]));
    assert!(refused.contains("too many values"), "{refused}");
}

#[test]
fn a_message_that_a_reader_knows_is_a_row() {
    for (decoder, message) in readers() {
        assert!(matches!(decode(&decoder, &message), Decoded::Rows(_)));
    }
}

#[test]
fn a_schema_whose_unions_multiply_is_refused() {
    let name = |number: usize| format!("R{number}");
    let all: Vec<Json> = (1..20).map(|number| json!(name(number))).collect();
    let record = |number: usize, branches: Vec<Json>| json!({ "type": "record", "name": name(number), "fields": [{ "name": "a", "type": branches }] });
    // The first record defines the others in its union; each of these then names them all.
    let inner = (1..20).map(|number| record(number, all[..number].to_vec())).collect();
    let schema = record(0, inner).to_string();
    let format = json!({ "format": "avro", "schema": schema, "fields": { "x": vec!["a"; 16].join(".") } });
    let refused = Decoder::new(&serde_json::from_value(format).unwrap(), &columns("x int")).unwrap_err();
    assert!(refused.to_string().contains("too many ways"), "{refused}");
}

#[test]
fn a_message_beyond_the_bound_is_refused_unread() {
    let decoder = decoder(json!({ "format": "json" }), "a int");
    let refused = refusal(&decode(&decoder, &vec![b' '; LONGEST_MESSAGE + 1]));
    assert_eq!(refused, "formats.message_too_large: the message has 16777217 bytes, the limit is 16777216");
}
