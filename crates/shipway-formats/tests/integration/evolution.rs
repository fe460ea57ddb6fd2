//! One test for each rule of how a schema may change under a source.

use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};
use shipway_formats::{Decoded, Format};

use super::{columns, decode, decoder, refusal, row, written};

/// What a writer with `fields` sends, and how it is read.
fn read(fields: &Json, message: Vec<(&str, Avro)>, more: &Json, declared: &str) -> Decoded {
    let schema = json!({ "type": "record", "name": "Flight", "fields": fields }).to_string();
    let record = Avro::Record(message.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    let bytes = written(&apache_avro::Schema::parse_str(&schema).unwrap(), record);
    let mut format = json!({ "format": "avro", "schema": schema });
    for (name, value) in more.as_object().unwrap() {
        format[name] = value.clone();
    }
    decode(&decoder(format, declared), &bytes)
}

#[test]
fn an_added_field_is_skipped_or_refused() {
    let fields = json!([
        { "name": "added", "type": { "type": "map", "values": ["null", "string"] } },
        { "name": "delay", "type": "long" },
    ]);
    let message = || {
        let added = [("k".to_owned(), Avro::Union(1, Box::new(Avro::String("v".into()))))];
        vec![("added", Avro::Map(added.into())), ("delay", Avro::Long(4))]
    };
    assert_eq!(row(&read(&fields, message(), &json!({}), "delay int")), json!([4]));
    let schema = json!({ "type": "record", "name": "Flight", "fields": fields }).to_string();
    let strict = json!({ "format": "avro", "schema": schema, "unknown_fields": "refuse" });
    let strict: Format = serde_json::from_value(strict).unwrap();
    let refused = shipway_formats::Decoder::new(&strict, &columns("delay int")).unwrap_err();
    assert!(refused.to_string().contains("field added belongs to no declared column"), "{refused}");
}

#[test]
fn a_removed_field_is_null() {
    let fields = json!([{ "name": "delay", "type": "long" }]);
    let read = read(&fields, vec![("delay", Avro::Long(4))], &json!({}), "delay int, origin text");
    assert_eq!(row(&read), json!([4, null]));
}

#[test]
fn fields_may_change_their_order() {
    let fields = json!([{ "name": "b", "type": "string" }, { "name": "a", "type": "long" }]);
    let read = read(
        &fields,
        vec![("b", Avro::String("x".into())), ("a", Avro::Long(4))],
        &json!({}),
        "a int, b text",
    );
    assert_eq!(row(&read), json!([4, "x"]));
}

#[test]
fn a_renamed_field_is_found_by_its_alias_or_by_its_places() {
    let fields = json!([{ "name": "late_by", "aliases": ["delay"], "type": "long" }]);
    let message = || vec![("late_by", Avro::Long(4))];
    assert_eq!(row(&read(&fields, message(), &json!({}), "delay int")), json!([4]));
    let fields = json!([{ "name": "late_by", "type": "long" }]);
    let places = json!({ "fields": { "delay": ["late_by", "delay"] } });
    assert_eq!(row(&read(&fields, message(), &places, "delay int")), json!([4]));
    let older = json!([{ "name": "delay", "type": "long" }]);
    assert_eq!(row(&read(&older, vec![("delay", Avro::Long(4))], &places, "delay int")), json!([4]));
}

#[test]
fn a_name_counts_before_an_alias() {
    // The other implementation refuses such a schema; registries have them.
    let schema = json!({ "type": "record", "name": "Flight", "fields": [
        { "name": "late_by", "aliases": ["delay"], "type": "long" },
        { "name": "delay", "type": "long" },
    ]});
    let decoder = decoder(json!({ "format": "avro", "schema": schema.to_string() }), "delay int");
    assert_eq!(row(&decode(&decoder, &[8, 10])), json!([5]));
}

#[test]
fn numbers_may_be_narrower_than_the_column() {
    for (data_type, value) in [("int", Avro::Int(4)), ("long", Avro::Long(4))] {
        let fields = json!([{ "name": "delay", "type": data_type }]);
        for (declared, expected) in [("int", json!(4)), ("float", json!(4.0)), ("decimal(3,1)", json!("4.0"))]
        {
            let read =
                read(&fields, vec![("delay", value.clone())], &json!({}), &format!("delay {declared}"));
            assert_eq!(row(&read), json!([expected]));
        }
    }
    let fields = json!([{ "name": "delay", "type": "float" }]);
    assert_eq!(
        row(&read(&fields, vec![("delay", Avro::Float(0.1))], &json!({}), "delay float")),
        json!([f64::from(0.1_f32)])
    );
    let fields = json!([{ "name": "delay", "type": "long" }]);
    let inexact = read(&fields, vec![("delay", Avro::Long((1 << 53) + 1))], &json!({}), "delay float");
    assert!(refusal(&inexact).contains("no float is exactly this number"));
}

#[test]
fn any_other_change_of_type_is_refused_for_the_message() {
    let cases = [
        ("double", Avro::Double(4.0), "int"),
        ("double", Avro::Double(4.0), "decimal(3,1)"),
        ("string", Avro::String("4".into()), "int"),
        ("boolean", Avro::Boolean(true), "int"),
        ("long", Avro::Long(4), "text"),
        ("long", Avro::Long(4), "bool"),
        ("long", Avro::Long(4), "timestamp"),
        ("long", Avro::Long(4), "list(int)"),
    ];
    for (data_type, value, declared) in cases {
        let fields = json!([{ "name": "delay", "type": data_type }]);
        let read = read(&fields, vec![("delay", value)], &json!({}), &format!("delay {declared}"));
        assert!(
            refusal(&read)
                .starts_with(&format!("formats.column_mismatch: column delay: expected {declared}, got "))
        );
    }
}

#[test]
fn a_field_may_become_nullable_or_a_union() {
    let fields = json!([{ "name": "delay", "type": ["null", "string", "long"] }]);
    let union = |branch, value| vec![("delay", Avro::Union(branch, Box::new(value)))];
    assert_eq!(row(&read(&fields, union(0, Avro::Null), &json!({}), "delay int")), json!([null]));
    assert_eq!(row(&read(&fields, union(2, Avro::Long(4)), &json!({}), "delay int")), json!([4]));
    let text = read(&fields, union(1, Avro::String("x".into())), &json!({}), "delay int");
    assert!(refusal(&text).ends_with("column delay: expected int, got \"x\""));
}

#[test]
fn a_record_on_the_way_may_become_nullable() {
    let airport =
        json!({ "type": "record", "name": "Airport", "fields": [{ "name": "code", "type": "string" }] });
    let fields = json!([{ "name": "origin", "type": ["null", airport] }]);
    let path = json!({ "fields": { "code": "origin.code" } });
    let null = vec![("origin", Avro::Union(0, Box::new(Avro::Null)))];
    assert_eq!(row(&read(&fields, null, &path, "code text")), json!([null]));
    let airport = Avro::Record(vec![("code".to_owned(), Avro::String("EWR".into()))]);
    let there = vec![("origin", Avro::Union(1, Box::new(airport)))];
    assert_eq!(row(&read(&fields, there, &path, "code text")), json!(["EWR"]));
}

#[test]
fn a_number_is_a_moment_where_the_schema_or_the_definition_says_so() {
    let fields = json!([{ "name": "at", "type": "long" }]);
    let unit = json!({ "time_unit": { "at": "seconds" } });
    assert_eq!(
        row(&read(&fields, vec![("at", Avro::Long(1))], &unit, "at timestamp")),
        json!(["1970-01-01T00:00:01Z"])
    );
    let fields = json!([{ "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } }]);
    let message = || vec![("at", Avro::TimestampMillis(1))];
    assert_eq!(
        row(&read(&fields, message(), &json!({}), "at timestamp")),
        json!(["1970-01-01T00:00:00.001Z"])
    );
    assert!(
        refusal(&read(&fields, message(), &unit, "at timestamp"))
            .contains("counts milliseconds, time_unit says seconds")
    );
    assert!(refusal(&read(&fields, message(), &json!({}), "at int")).contains("expected int, got a moment"));
}
