//! How fast messages are read. Not a test of anything: run it with
//! `cargo test --release -p shipway-formats -- --ignored --nocapture measuring`.

use std::time::Instant;

use serde_json::json;

use super::{decode, decoder};

#[test]
#[ignore = "measures, and asserts nothing"]
fn speed() {
    let declared = "id int, carrier text, cancelled bool, delay float, at timestamp, cause text";
    let avro = json!({ "format": "avro", "schema": include_str!("../golden/flight.avsc") });
    let protobuf = json!({ "format": "protobuf", "schema": include_str!("../golden/flight.proto"), "message": "air.Flight" });
    let flight = json!({
        "id": 123_456, "seats": 150, "carrier": "UA", "cancelled": false, "delay": -0.25, "ratio": 0.5, "fare": "1234.50",
        "at": "2013-03-11T05:30:00.123Z", "cause": "WEATHER", "stops": ["ORD", "DEN", "SFO"],
        "weights": { "a": 1.5, "b": -2.0 }, "payload": "AP8Q", "origin": { "name": "EWR", "gate": { "number": 42 } },
    });
    let change = json!({ "before": flight, "after": flight, "op": "u", "ts_ms": 1, "source": { "lsn": 1 } });
    for (name, format, message) in [
        ("json", json!({ "format": "json" }), flight.to_string().into_bytes()),
        (
            "json debezium update",
            json!({ "format": "json", "envelope": "debezium" }),
            change.to_string().into_bytes(),
        ),
        ("avro", avro, include_bytes!("../golden/flight.avro.bin").to_vec()),
        ("protobuf", protobuf, include_bytes!("../golden/flight.protobuf.bin").to_vec()),
    ] {
        let decoder = decoder(format, declared);
        let mut best = f64::INFINITY;
        for _ in 0..5 {
            let start = Instant::now();
            for _ in 0..50_000 {
                std::hint::black_box(decode(&decoder, std::hint::black_box(&message)));
            }
            best = best.min(start.elapsed().as_secs_f64() / 50_000.0);
        }
        println!(
            "{name}: {:.2} µs a message of {} bytes, {:.0} a second",
            best * 1e6,
            message.len(),
            1.0 / best
        );
    }
}
