//! JSON straight into columns.

use proptest::prelude::*;
use serde_json::{Value as Json, json};
use shipway_core::{DataType, Value, exact_json};

use super::{columns, decode, decoder, refusal, row, values_of};

#[test]
fn nested_fields_and_older_places_are_found() {
    let decoder = decoder(
        json!({ "format": "json", "fields": { "gate": ["origin.gate.number", "gate"], "name": "origin.name" } }),
        "gate int, name text, id int",
    );
    let read = |text: &str| row(&decode(&decoder, text.as_bytes()));
    assert_eq!(
        read(r#"{"x": [{"id": 9}], "origin": {"name": "EWR", "gate": {"number": 4}}, "id": 1, "gate": 5}"#),
        json!([4, "EWR", 1])
    );
    assert_eq!(read(r#"{"gate": 5, "origin": null}"#), json!([5, null, null]));
    assert_eq!(read("{}"), json!([null, null, null]));
    let wrong = refusal(&decode(&decoder, br#"{"origin": 7}"#));
    assert_eq!(wrong, "formats.column_mismatch: column gate: its path leads through a number");
}

#[test]
fn of_two_members_of_one_name_the_later_counts_wholly() {
    let decoder =
        decoder(json!({ "format": "json", "fields": { "b": "a.b", "c": "a.c" } }), "b int, c int, d int");
    let read = |text: &str| row(&decode(&decoder, text.as_bytes()));
    assert_eq!(read(r#"{"a": {"b": 1}, "d": 1, "a": {"c": 2}, "d": 2}"#), json!([null, 2, 2]));
    assert_eq!(read(r#"{"d": "wrong", "a": 7, "a": {"b": 1, "b": 2}, "d": 2}"#), json!([2, null, 2]));
}

#[test]
fn a_number_is_a_moment_with_a_declared_unit_only() {
    let format = json!({ "format": "json", "time_unit": { "at": "milliseconds", "seen": "seconds" } });
    let decoder = decoder(format, "at timestamp, seen list(timestamp), bare timestamp");
    let read = |text: &str| decode(&decoder, text.as_bytes());
    assert_eq!(
        row(&read(
            r#"{"at": 1362979800000, "seen": [0.5, "1970-01-01", null], "bare": "2013-03-11T05:30:00Z"}"#
        )),
        json!([
            "2013-03-11T05:30:00Z",
            ["1970-01-01T00:00:00.500Z", "1970-01-01T00:00:00Z", null],
            "2013-03-11T05:30:00Z"
        ])
    );
    let wrong = refusal(&read(r#"{"bare": 1362979800000}"#));
    assert_eq!(
        wrong,
        "formats.column_mismatch: column bare: expected timestamp, got 1362979800000: a number has no unit, declare time_unit"
    );
}

#[test]
fn decimals_keep_the_digits_they_are_written_with() {
    let decoder = decoder(json!({ "format": "json" }), "price decimal(20,18), prices list(decimal(4,1))");
    let read = |text: &str| decode(&decoder, text.as_bytes());
    assert_eq!(
        row(&read(r#"{"price": 0.100000000000000005, "prices": [1e2, "2.5", null, 3]}"#)),
        json!(["0.100000000000000005", ["100.0", "2.5", null, "3.0"]])
    );
    assert!(
        refusal(&read(r#"{"prices": [0.25]}"#)).ends_with("column prices: expected decimal(4,1), got 0.25")
    );
    let deep = format!("{{\"price\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refusal(&read(&deep)).ends_with("expected decimal(20,18), got an array"));
}

#[test]
fn what_is_no_object_of_known_fields_is_refused() {
    let strict = decoder(json!({ "format": "json", "unknown_fields": "refuse" }), "delay int");
    let read = |text: &str| refusal(&decode(&strict, text.as_bytes()));
    assert_eq!(
        read(r#"{"dely": 1}"#),
        "formats.field_unknown: field dely belongs to no declared column; did you mean delay"
    );
    for wrong in ["", "[]", "null", "7", "{\"delay\": 1} {}", "{\"delay\": 1", "{delay: 1}", "\u{0}"] {
        assert!(read(wrong).starts_with("formats.message_malformed: not a JSON object: "), "{wrong}");
    }
    assert!(read("\u{0}\u{0}\u{0}\u{0}\u{7}{}").starts_with("formats.header_wrong"));
    assert!(read(&format!("{{\"delay\": {}", "[".repeat(100_000))).starts_with("formats.message_malformed"));
    assert!(read("{\"delay\": 1e999}").starts_with("formats.message_malformed"));
}

#[test]
fn confluents_json_is_json_behind_a_header() {
    let format = json!({ "format": "json", "schema_registry": { "address": "http://127.0.0.1:1" } });
    let decoder = decoder(format, "delay int");
    assert_eq!(row(&decode(&decoder, b"\0\0\0\0\x07{\"delay\": 4}")), json!([4]));
    assert!(refusal(&decode(&decoder, b"{\"delay\": 4}")).starts_with("formats.header_wrong"));
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        (-1_000_i64..1_000).prop_map(|number| json!(number as f64 / 8.0)),
        prop_oneof![
            "[a-c\\\\\"é]{0,3}",
            "[0-9]{1,3}(\\.[0-9]{1,2})?",
            Just("2013-03-11T05:30:00Z".to_owned()),
            Just("NaN".to_owned())
        ]
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[ab]", inner, 0..3)
                .prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

const TYPES: [&str; 14] = [
    "bool",
    "int",
    "float",
    "text",
    "timestamp",
    "decimal(10,2)",
    "list(int)",
    "list(float)",
    "list(text)",
    "list(decimal(10,2))",
    "map(int)",
    "map(text)",
    "list(list(int))",
    "map(map(float))",
];

proptest! {
    #[test]
    fn a_value_is_judged_as_every_other_way_in_judges_it(value in any_json(), which in 0..TYPES.len()) {
        let declared = format!("c {}", TYPES[which]);
        let decoder = decoder(json!({ "format": "json" }), &declared);
        let message = json!({ "c": value }).to_string();
        let data_type: DataType = columns(&declared)[0].1;
        let object = exact_json::object(message.as_bytes(), |_| data_type.has_decimals()).unwrap();
        let expected = Value::from_json(&object["c"], data_type);
        match (decode(&decoder, message.as_bytes()), expected) {
            (read @ shipway_formats::Decoded::Rows(_), Ok(expected)) => {
                prop_assert_eq!(row(&read), values_of(&[expected]));
            }
            (shipway_formats::Decoded::Refused(_), Err(_)) => {}
            (read, expected) => prop_assert!(false, "{:?} and {:?}", read, expected),
        }
    }
}
