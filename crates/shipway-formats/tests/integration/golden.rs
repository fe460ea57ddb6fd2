//! Messages that other implementations have written: see `tests/golden/generate.py`.

use serde_json::json;

use super::{decode, decoder, row};

#[test]
fn what_fastavro_writes_is_read() {
    let schema = include_str!("../golden/flight.avsc");
    let declared = "id int, seats int, carrier text, cancelled bool, delay float, ratio float, fare decimal(12,2), \
                    tax decimal(10,2), at timestamp, landed timestamp, day timestamp, cause text, stops list(text), \
                    weights map(float), payload text, code text, gate int, origin_name text, next_id int";
    let format = json!({ "format": "avro", "schema": schema, "fields": {
        "gate": "origin.gate.number", "origin_name": "origin.name", "next_id": "next.id",
    }});
    let decoder = decoder(format, declared);
    let read = decode(&decoder, include_bytes!("../golden/flight.avro.bin"));
    assert_eq!(
        row(&read),
        json!([
            -(1_i64 << 62) + 1, 2_147_483_647, "Ünited ✈", true, -0.25, 0.5, "-1234567890.12", "0.07",
            "1969-12-31T23:59:59.999Z", "2013-03-11T05:30:00.123456Z", "2024-02-29T00:00:00Z", "WEATHER",
            ["ORD", "", "SFO"], { "a": -2.0, "b": 1.5 }, "AP8Q", "12345678-1234-5678-1234-567812345678", 42, "EWR",
            -(1_i64 << 62) + 2,
        ])
    );
}

#[test]
fn what_googles_protobuf_writes_is_read() {
    let schema = include_str!("../golden/flight.proto");
    let declared = "id int, seats int, carrier text, cancelled bool, delay float, ratio float, fare decimal(12,2), \
                    at timestamp, score float, missing int, cause text, stops list(text), weights map(float), \
                    payload text, gate int, origin_name text, airline text, agency int, packed list(int), large int";
    let format = json!({ "format": "protobuf", "schema": schema, "message": "air.Flight", "fields": {
        "gate": "origin.gate.number", "origin_name": "origin.name",
    }});
    let decoder = decoder(format, declared);
    let read = decode(&decoder, include_bytes!("../golden/flight.protobuf.bin"));
    assert_eq!(
        row(&read),
        json!([
            -(1_i64 << 62), 4_294_967_295_u32, "Ünited ✈", true, 0.0, 0.5, "12.50", "1969-12-31T23:59:59.999999Z", 2.5,
            null, "WEATHER", ["ORD", "", "SFO"], { "a": -2.0, "b": 1.5 }, "AP8Q", 42, "EWR", null, -7, [1, -2, 3],
            9_223_372_036_854_775_807_i64,
        ])
    );
}
