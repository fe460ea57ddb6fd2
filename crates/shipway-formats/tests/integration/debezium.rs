//! Change events of Debezium, in JSON with the schema part and without it, and in Avro.

use apache_avro::types::Value as Avro;
use serde_json::{Value as Json, json};
use shipway_formats::{Change, Decoded, Decoder};

use super::{decode, decoder, refusal, values_of};

const DECLARED: &str = "id int, name text, at timestamp, day timestamp, price decimal(10,2)";

fn changes() -> Decoder {
    decoder(json!({ "format": "json", "envelope": "debezium" }), DECLARED)
}

/// The change as one line: what happened, the row, and the row before.
fn line(decoded: &Decoded) -> String {
    let Decoded::Rows(rows) = decoded else { panic!("{decoded:?}") };
    let [row] = rows.as_slice() else { panic!("{rows:?}") };
    let values = values_of(&row.values);
    match &row.change {
        Change::Insert => format!("insert {values}"),
        Change::Delete => format!("delete {values}"),
        Change::Update { before: None } => format!("update {values}"),
        Change::Update { before: Some(before) } => format!("update {values} before {}", values_of(before)),
    }
}

fn read(event: &Json) -> Decoded {
    decode(&changes(), event.to_string().as_bytes())
}

#[test]
fn an_operation_says_what_happened_to_the_row() {
    let old = json!({ "id": 1, "name": "a" });
    let new = json!({ "id": 1, "name": "b", "extra": [1] });
    for operation in ["c", "r"] {
        let read = read(&json!({ "before": null, "after": new, "op": operation, "source": {}, "ts_ms": 1 }));
        assert_eq!(line(&read), r#"insert [1,"b",null,null,null]"#);
    }
    assert_eq!(
        line(&read(&json!({ "before": old, "after": new, "op": "u" }))),
        r#"update [1,"b",null,null,null] before [1,"a",null,null,null]"#
    );
    assert_eq!(
        line(&read(&json!({ "before": null, "after": new, "op": "u" }))),
        r#"update [1,"b",null,null,null]"#
    );
    assert_eq!(
        line(&read(&json!({ "before": old, "after": null, "op": "d" }))),
        r#"delete [1,"a",null,null,null]"#
    );
}

#[test]
fn the_moment_of_a_change_is_what_the_source_says_and_else_what_the_connector_says() {
    let row = json!({ "id": 1 });
    let moment = |more: Json| {
        let mut event = json!({ "before": null, "after": row, "op": "c" });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let Decoded::Rows(rows) = read(&event) else { panic!("{event}") };
        rows[0].changed.map(shipway_core::Timestamp::micros)
    };
    assert_eq!(moment(json!({ "ts_ms": 9, "source": { "ts_ms": 7 } })), Some(7_000));
    assert_eq!(
        moment(json!({ "ts_ms": 9, "source": { "ts_ms": 7, "ts_us": 7_123, "ts_ns": 7_123_456 } })),
        Some(7_123)
    );
    assert_eq!(moment(json!({ "ts_ms": 9, "source": { "ts_ns": 7_123_456 } })), Some(7_123));
    assert_eq!(moment(json!({ "ts_ms": 9, "source": { "lsn": 7 } })), Some(9_000));
    for silent in
        [json!({}), json!({ "source": "x" }), json!({ "ts_ms": "soon" }), json!({ "ts_ms": i64::MAX })]
    {
        assert_eq!(moment(silent.clone()), None, "{silent}");
    }
}

#[test]
fn what_says_nothing_of_rows_is_nothing() {
    for silent in [
        json!({ "op": "t", "before": null, "after": null, "source": {} }),
        json!({ "op": "m", "message": { "prefix": "p" } }),
        json!({ "ts_ms": 1 }),
        json!({ "source": {}, "databaseName": "d", "ddl": "CREATE TABLE t", "tableChanges": [] }),
        json!({ "status": "BEGIN", "id": "571:53195829", "ts_ms": 1, "event_count": null, "data_collections": null }),
        json!({ "schema": { "type": "struct" }, "payload": { "ts_ms": 1 } }),
        json!({ "schema": { "type": "struct" }, "payload": null }),
    ] {
        assert_eq!(read(&silent), Decoded::Nothing, "{silent}");
    }
    assert_eq!(futures::executor::block_on(changes().decode(None)).unwrap(), Decoded::Nothing, "a tombstone");
}

#[test]
fn what_is_no_change_event_is_refused() {
    for (wrong, words) in [
        (json!({ "id": 1, "name": "a" }), "op is missing"),
        (json!({ "status": "late", "id": 1, "gate": 3 }), "op is missing"),
        (json!({ "op": "c", "before": null, "after": null }), "op c without the row after"),
        (json!({ "op": "d", "before": null }), "op d without the row before; the table must log whole rows"),
        (json!({ "op": "x", "after": {} }), "there is no op \"x\""),
    ] {
        assert_eq!(
            refusal(&read(&wrong)),
            format!("formats.envelope_wrong: not a change event of Debezium: {words}")
        );
    }
    let toast = read(&json!({ "op": "u", "after": { "id": 1, "name": "__debezium_unavailable_value" } }));
    assert!(refusal(&toast).contains("column name: its value was not told"));
    let wrong = read(&json!({ "op": "c", "after": { "id": "x" } }));
    assert_eq!(refusal(&wrong), "formats.column_mismatch: column id: expected int, got \"x\"");
    assert!(refusal(&read(&json!([1]))).starts_with("formats.message_malformed"));
}

fn with_schema(after: &Json, types: &Json) -> Json {
    let fields = types.as_object().unwrap().iter().map(|(name, schema)| {
        let mut schema = schema.clone();
        schema["field"] = json!(name);
        schema
    });
    let row = json!({ "type": "struct", "optional": true, "fields": fields.collect::<Vec<_>>() });
    let image = |name: &str| {
        let mut row = row.clone();
        row["field"] = json!(name);
        row
    };
    let fields = [image("before"), image("after"), json!({ "type": "string", "field": "op" })];
    json!({
        "schema": { "type": "struct", "name": "db.t.Envelope", "fields": fields },
        "payload": { "before": null, "after": after, "op": "c" },
    })
}

#[test]
fn the_schema_part_says_what_numbers_stand_for() {
    let moments = [
        (json!({ "type": "int64", "name": "io.debezium.time.Timestamp" }), json!(1)),
        (json!({ "type": "int64", "name": "io.debezium.time.MicroTimestamp" }), json!(1_000)),
        (json!({ "type": "int64", "name": "io.debezium.time.NanoTimestamp" }), json!(1_000_000)),
        (
            json!({ "type": "string", "name": "io.debezium.time.ZonedTimestamp" }),
            json!("1970-01-01T02:00:00.001+02:00"),
        ),
        (json!({ "type": "int64", "name": "org.apache.kafka.connect.data.Timestamp" }), json!(1)),
    ];
    for (at, number) in moments {
        for (day, name) in [(1, "io.debezium.time.Date"), (1, "org.apache.kafka.connect.data.Date")] {
            let types = json!({
                "id": { "type": "int32" },
                "at": at,
                "day": { "type": "int32", "name": name },
                "price": {
                    "type": "bytes", "name": "org.apache.kafka.connect.data.Decimal", "parameters": { "scale": "2" },
                },
            });
            let after = json!({ "id": 1, "at": number, "day": day, "price": "BOI=" });
            assert_eq!(
                line(&read(&with_schema(&after, &types))),
                r#"insert [1,null,"1970-01-01T00:00:00.001Z","1970-01-02T00:00:00Z","12.50"]"#
            );
        }
    }
    let without = refusal(&read(&json!({ "op": "c", "after": { "id": 1, "at": 1 } })));
    assert!(without.contains("column at: expected timestamp, got 1: a number has no unit"), "{without}");
}

#[test]
fn a_schema_part_that_changes_is_taken_anew() {
    let decoder = changes();
    let types = |name: &str| json!({ "at": { "type": "int64", "name": name } });
    for (name, at) in [
        ("io.debezium.time.Timestamp", "1970-01-01T00:00:01Z"),
        ("io.debezium.time.MicroTimestamp", "1970-01-01T00:00:00.001Z"),
        ("io.debezium.time.Timestamp", "1970-01-01T00:00:01Z"),
    ] {
        let event = with_schema(&json!({ "at": 1_000 }), &types(name)).to_string();
        let read = decode(&decoder, event.as_bytes());
        assert_eq!(line(&read), format!(r#"insert [null,null,"{at}",null,null]"#));
    }
}

pub(crate) const ENVELOPE: &str = r#"{"type": "record", "name": "Envelope", "namespace": "db.t", "fields": [
    {"name": "before", "default": null, "type": ["null", {"type": "record", "name": "Value", "fields": [
        {"name": "id", "type": "int"},
        {"name": "at", "type": {"type": "long", "connect.version": 1, "connect.name": "io.debezium.time.MicroTimestamp"}},
        {"name": "day", "type": {"type": "int", "connect.version": 1, "connect.name": "io.debezium.time.Date"}},
        {"name": "price", "type": {"type": "bytes", "scale": 2, "precision": 10, "connect.name": "org.apache.kafka.connect.data.Decimal", "logicalType": "decimal"}}]}]},
    {"name": "after", "type": ["null", "Value"]},
    {"name": "source", "type": {"type": "record", "name": "Source", "fields": [{"name": "lsn", "type": ["null", "long"]}]}},
    {"name": "op", "type": "string"}]}"#;

#[test]
fn a_change_in_avro_is_read_as_one_in_json() {
    let decoder = decoder(json!({ "format": "avro", "envelope": "debezium", "schema": ENVELOPE }), DECLARED);
    let schema = apache_avro::Schema::parse_str(ENVELOPE).unwrap();
    let image = |id: Option<i32>| match id {
        None => Avro::Union(0, Box::new(Avro::Null)),
        Some(id) => {
            let fields = [
                ("id", Avro::Int(id)),
                ("at", Avro::Long(1_000)),
                ("day", Avro::Int(1)),
                ("price", Avro::Decimal(vec![0x04, 0x82].into())),
            ];
            let record = fields.map(|(name, value)| (name.to_owned(), value)).to_vec();
            Avro::Union(1, Box::new(Avro::Record(record)))
        }
    };
    let event = |before: Option<i32>, after: Option<i32>, operation: &str| {
        let source = Avro::Record(vec![("lsn".to_owned(), Avro::Union(1, Box::new(Avro::Long(9))))]);
        let fields = [
            ("before", image(before)),
            ("after", image(after)),
            ("source", source),
            ("op", Avro::String(operation.to_owned())),
        ];
        let record = Avro::Record(fields.map(|(name, value)| (name.to_owned(), value)).to_vec());
        decode(&decoder, &super::written(&schema, record))
    };
    let values =
        |id: i32| format!(r#"[{id},null,"1970-01-01T00:00:00.001Z","1970-01-02T00:00:00Z","11.54"]"#);
    assert_eq!(line(&event(None, Some(1), "c")), format!("insert {}", values(1)));
    assert_eq!(line(&event(Some(1), Some(2), "u")), format!("update {} before {}", values(2), values(1)));
    assert_eq!(line(&event(Some(1), None, "d")), format!("delete {}", values(1)));
    assert_eq!(event(None, None, "t"), Decoded::Nothing);
    assert!(refusal(&event(None, None, "c")).contains("op c without the row after"));
}

#[test]
fn a_heartbeat_in_avro_is_nothing_and_another_record_is_refused() {
    let heartbeat = r#"{"type": "record", "name": "io.debezium.connector.common.Heartbeat", "fields": [{"name": "ts_ms", "type": "long"}]}"#;
    let silent = decoder(json!({ "format": "avro", "envelope": "debezium", "schema": heartbeat }), DECLARED);
    assert_eq!(decode(&silent, &[2]), Decoded::Nothing);
    let plain =
        json!({ "format": "avro", "envelope": "debezium", "schema": heartbeat.replace("Heartbeat", "Beat") });
    let format = serde_json::from_value(plain).unwrap();
    let refused = Decoder::new(&format, &super::columns(DECLARED)).unwrap_err().to_string();
    assert!(refused.contains("has no fields op, before and after"), "{refused}");
}
