//! Protobuf: what is absent, what is unknown, and what does not fit.

use serde_json::{Value as Json, json};
use shipway_core::Failure as _;
use shipway_formats::{Decoded, Decoder};

use super::{columns, decode, decoder, refusal, row};

fn read(body: &str, message: &[u8], more: &Json, declared: &str) -> Decoded {
    let schema = format!(
        "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/wrappers.proto\";
         message M {{ {body} }}"
    );
    let mut format = json!({ "format": "protobuf", "schema": schema });
    for (name, value) in more.as_object().unwrap() {
        format[name] = value.clone();
    }
    decode(&decoder(format, declared), message)
}

#[test]
fn a_field_that_can_say_that_it_is_absent_is_null_and_any_other_its_default() {
    let body = "int64 a = 1; optional int64 b = 2; google.protobuf.Int64Value c = 3; repeated int64 d = 4; \
                oneof which { int64 e = 5; } google.protobuf.Timestamp f = 6; enum E { NONE = 0; } E g = 7;";
    let declared = "a int, b int, c int, d list(int), e int, f timestamp, g text, h int";
    assert_eq!(
        row(&read(body, b"", &json!({}), declared)),
        json!([0, null, null, [], null, null, "NONE", null])
    );
    assert_eq!(
        row(&read(body, b"\x10\x00\x1a\x00\x28\x00\x32\x00", &json!({}), declared)),
        json!([0, 0, 0, [], 0, "1970-01-01T00:00:00Z", "NONE", null])
    );
}

#[test]
fn an_added_field_is_skipped_or_refused_also_where_the_schema_does_not_know_it() {
    let strict = json!({ "unknown_fields": "refuse" });
    for message in [&b"\x08\x04\x10\x05"[..], b"\x08\x04\x48\x05"] {
        let body = "int64 a = 1; int64 b = 2;";
        assert_eq!(row(&read(body, message, &json!({}), "a int")), json!([4]));
        assert!(refusal(&read(body, message, &strict, "a int")).starts_with("formats.field_unknown"));
    }
    let nested = "message N { int64 x = 1; int64 y = 2; } N n = 1; N other = 2;";
    let strict = json!({ "unknown_fields": "refuse", "fields": { "a": "n.x" } });
    assert_eq!(row(&read(nested, b"\x0a\x02\x08\x04", &strict, "a int")), json!([4]));
    assert!(refusal(&read(nested, b"\x0a\x02\x10\x04", &strict, "a int")).contains("field y"));
}

#[test]
fn what_does_not_fit_is_refused_with_its_column() {
    for (body, message, declared, words) in [
        ("double a = 1;", &b"\x09\0\0\0\0\0\0\xf0\x3f"[..], "a int", "expected int, got 1"),
        (
            "uint64 a = 1;",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            "a int",
            "got 18446744073709551615",
        ),
        ("int64 a = 1;", b"\x08\x01", "a text", "expected text, got 1"),
        ("int64 a = 1;", b"\x08\x01", "a timestamp", "declare time_unit"),
        ("enum E { NONE = 0; } E a = 1;", b"\x08\x07", "a text", "enum M.E has no name for 7"),
        (
            "google.protobuf.Timestamp a = 1;",
            b"\x0a\x06\x10\x80\x94\xeb\xdc\x03",
            "a timestamp",
            "no part of a second",
        ),
        ("message N {} N a = 1;", b"\x0a\x00", "a int", "got a message M.N"),
        ("repeated int64 a = 1;", b"\x08\x01", "a int", "got a repeated field"),
        ("map<string, int64> a = 1;", b"\x0a\x00", "a list(int)", "got a map"),
    ] {
        let refused = refusal(&read(body, message, &json!({}), declared));
        assert!(
            refused.starts_with("formats.column_mismatch: column a: ") && refused.contains(words),
            "{refused}"
        );
    }
    assert!(
        refusal(&read("string a = 1;", b"\x0a\x01\xff", &json!({}), "a text"))
            .starts_with("formats.message_malformed")
    );
    let unit = json!({ "time_unit": { "a": "seconds" } });
    assert_eq!(
        row(&read("int64 a = 1;", b"\x08\x01", &unit, "a timestamp")),
        json!(["1970-01-01T00:00:01Z"])
    );
}

#[test]
fn keys_of_maps_are_texts() {
    let map = read("map<int32, bool> a = 1;", b"\x0a\x04\x08\x07\x10\x01", &json!({}), "a map(bool)");
    assert_eq!(row(&map), json!([{ "7": true }]));
}

#[test]
fn a_schema_that_cannot_be_used_is_refused_before_any_message() {
    for (schema, words) in [
        ("message {", "not a .proto text"),
        ("syntax = \"proto3\"; import \"/etc/passwd\"; message M {}", "not a .proto text"),
        ("syntax = \"proto3\"; message M {} message N {}", "several messages"),
        ("syntax = \"proto3\";", "no message"),
        ("syntax = \"proto3\"; message M { repeated M n = 1; }", "leads through field n"),
    ] {
        let format = json!({ "format": "protobuf", "schema": schema, "fields": { "a": "n.a" } });
        let error = Decoder::new(&serde_json::from_value(format).unwrap(), &columns("a int")).unwrap_err();
        assert_eq!(error.code(), "formats.definition_invalid");
        assert!(error.to_string().contains(words), "{error}");
    }
    let deep = format!("syntax = \"proto3\"; {}{}", "message M {".repeat(10_000), "}".repeat(10_000));
    let format = json!({ "format": "protobuf", "schema": deep });
    let error = Decoder::new(&serde_json::from_value(format).unwrap(), &columns("a int")).unwrap_err();
    assert!(error.to_string().contains("brackets"), "{error}");
}
