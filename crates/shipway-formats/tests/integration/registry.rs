//! Messages whose schemas lie in a registry, and a registry that fails.

use std::time::Duration;

use serde_json::{Value as Json, json};
use shipway_core::{Failure as _, Value};
use shipway_formats::{
    AvroEncoder, Decoded, Decoder, FormatError, MessageError, RegistryClient, SchemaRegistry,
};
use shipway_testkit::{Registry, RegistryFault};

use super::{columns, decoder, refusal, row};

const DELAY: &str = r#"{"type": "record", "name": "Flight", "fields": [{"name": "delay", "type": "long"}]}"#;

fn of(registry: &Registry, more: Json) -> Json {
    let mut format = json!({ "format": "avro", "schema_registry": { "address": registry.address() } });
    for (name, value) in more.as_object().unwrap() {
        format[name] = value.clone();
    }
    format
}

fn delays(registry: &Registry) -> Decoder {
    decoder(of(registry, json!({})), "delay int")
}

async fn read(decoder: &Decoder, message: &[u8]) -> Decoded {
    decoder.decode(Some(message)).await.unwrap()
}

#[tokio::test]
async fn a_schema_is_asked_for_once_and_kept() {
    let registry = Registry::start();
    registry.has_avro(7, DELAY);
    let decoder = delays(&registry);
    let both = futures::join!(read(&decoder, b"\0\0\0\0\x07\x08"), read(&decoder, b"\0\0\0\0\x07\x0a"));
    assert_eq!((row(&both.0), row(&both.1)), (json!([4]), json!([5])));
    assert_eq!(row(&read(&decoder, b"\0\0\0\0\x07\x0c").await), json!([6]));
    assert_eq!(registry.asked(), ["/schemas/ids/7"]);
}

#[tokio::test]
async fn each_message_is_read_by_the_schema_that_it_was_written_with() {
    let registry = Registry::start();
    registry.has_avro(7, DELAY);
    let later = json!({ "type": "record", "name": "Flight", "fields": [
        { "name": "gate", "type": ["null", "string"], "default": null },
        { "name": "late_by", "aliases": ["delay"], "type": ["null", "int"] },
    ]});
    registry.has_avro(8, &later.to_string());
    registry.has_avro(9, &DELAY.replace("long", "string"));
    let decoder = decoder(of(&registry, json!({})), "delay int, gate text");
    assert_eq!(row(&read(&decoder, b"\0\0\0\0\x08\x02\x02A\x02\x0a").await), json!([5, "A"]));
    assert_eq!(row(&read(&decoder, b"\0\0\0\0\x07\x08").await), json!([4, null]));
    let wrong = refusal(&read(&decoder, b"\0\0\0\0\x09\x02A").await);
    assert_eq!(wrong, "formats.column_mismatch: column delay: expected int, got \"A\"");
    assert_eq!(row(&read(&decoder, b"\0\0\0\0\x08\x00\x00").await), json!([null, null]));
    assert_eq!(registry.asked().len(), 3);
}

#[tokio::test]
async fn an_unknown_id_is_the_messages_fault_and_a_failing_registry_is_not() {
    let registry = Registry::start();
    registry.has_avro(7, DELAY);
    let decoder = delays(&registry);
    let unknown = read(&decoder, b"\0\0\0\0\x08\x08").await;
    assert_eq!(unknown, Decoded::Refused(MessageError::SchemaUnknown { id: 8 }));
    for (fault, code) in [
        (RegistryFault::Status(500), "formats.registry_unavailable"),
        (RegistryFault::Status(429), "formats.registry_unavailable"),
        (RegistryFault::Status(403), "formats.registry_denied"),
        (RegistryFault::Redirect, "formats.registry_answer"),
        (RegistryFault::NoJson, "formats.registry_answer"),
        (RegistryFault::NotFoundByProxy, "formats.registry_answer"),
    ] {
        registry.fails_next(fault);
        let error = decoder.decode(Some(b"\0\0\0\0\x07\x08")).await.unwrap_err();
        assert_eq!(error.code(), code, "{fault:?}");
        assert!(error.may_pass());
    }
    assert!(!registry.asked().contains(&"/elsewhere".to_owned()), "a redirect is not followed");
    assert_eq!(row(&read(&decoder, b"\0\0\0\0\x07\x08").await), json!([4]), "then fine");
    registry.fails_next(RegistryFault::TooLarge);
    let large = read(&decoder, b"\0\0\0\0\x09\x08").await;
    assert_eq!(refusal(&large), "formats.schema_unusable: schema 9: it has more than 4194304 bytes");
    let nobody = json!({ "format": "avro", "schema_registry": { "address": "http://127.0.0.1:9" } });
    let error = super::decoder(nobody, "delay int").decode(Some(b"\0\0\0\0\x07\x08")).await.unwrap_err();
    assert_eq!(error.to_string(), "schema registry http://127.0.0.1:9/: no connection");
}

#[tokio::test]
async fn a_registry_that_hangs_is_given_up() {
    let registry = Registry::start();
    let definition: SchemaRegistry =
        serde_json::from_value(json!({ "address": registry.address() })).unwrap();
    let client = RegistryClient::new(&definition).unwrap().with_timeout(Duration::from_millis(50));
    registry.fails_next(RegistryFault::Hang);
    let error = client.register_avro("flights", "{}").await.unwrap_err();
    assert!(error.to_string().ends_with("it does not answer in time"), "{error}");
}

#[tokio::test]
async fn credentials_are_sent_and_their_refusal_is_told() {
    let registry = Registry::start();
    registry.has_avro(7, DELAY);
    registry.wants_password("sesame");
    let denied = delays(&registry).decode(Some(b"\0\0\0\0\x07\x08")).await.unwrap_err();
    assert_eq!(denied.code(), "formats.registry_denied");
    let access = json!({ "address": registry.address(), "user": "reader", "password": "sesame" });
    let decoder = decoder(of(&registry, json!({ "schema_registry": access })), "delay int");
    assert_eq!(row(&read(&decoder, b"\0\0\0\0\x07\x08").await), json!([4]));
}

#[tokio::test]
async fn schemas_that_build_on_others_are_gathered() {
    let registry = Registry::start();
    registry.has(
        1,
        Some(("gate", 3)),
        json!({ "schema": r#"{"type": "record", "name": "air.Gate", "fields": [{"name": "number", "type": "int"}]}"# }),
    );
    registry.has(
        2,
        Some(("airport", 1)),
        json!({
            "schema": r#"{"type": "record", "name": "air.Airport", "fields": [{"name": "gate", "type": "air.Gate"}]}"#,
            "references": [{ "name": "air.Gate", "subject": "gate", "version": 3 }],
        }),
    );
    registry.has(
        7,
        None,
        json!({
            "schema": r#"{"type": "record", "name": "air.Flight", "fields": [{"name": "origin", "type": "Airport"}, {"name": "dest", "type": "Gate"}]}"#,
            "references": [
                { "name": "air.Airport", "subject": "airport", "version": 1 },
                { "name": "air.Gate", "subject": "gate", "version": 3 },
            ],
        }),
    );
    let format = of(&registry, json!({ "fields": { "gate": "origin.gate.number", "other": "dest.number" } }));
    let decoder = decoder(format, "gate int, other int");
    assert_eq!(row(&read(&decoder, b"\0\0\0\0\x07\x08\x0a").await), json!([4, 5]));
    assert_eq!(
        registry.asked(),
        ["/schemas/ids/7", "/subjects/airport/versions/1", "/subjects/gate/versions/3"]
    );
    registry.has(
        8,
        Some(("loop", 1)),
        json!({ "schema": "\"int\"", "references": [{ "name": "loop", "subject": "loop", "version": 1 }] }),
    );
    assert!(refusal(&read(&decoder, b"\0\0\0\0\x08\x08").await).starts_with("formats.schema_unusable"));
}

#[tokio::test]
async fn a_message_of_protobuf_says_which_message_of_its_schema_it_is() {
    let registry = Registry::start();
    registry.has(
        1,
        Some(("airport", 1)),
        json!({ "schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; package air; message Gate { int32 number = 1; }" }),
    );
    registry.has(
        7,
        None,
        json!({
            "schemaType": "PROTOBUF",
            "schema": "syntax = \"proto3\"; package air; import \"air/gate.proto\";
                message Other {} message Flight { map<string, int32> m = 9; message Leg { Gate gate = 1; int64 delay = 2; } }",
            "references": [{ "name": "air/gate.proto", "subject": "airport", "version": 1 }],
        }),
    );
    let format = of(&registry, json!({ "format": "protobuf", "fields": { "gate": "gate.number" } }));
    let leg = decoder(format.clone(), "gate int, delay int");
    let message = b"\0\0\0\0\x07\x04\x02\x00\x0a\x02\x08\x04\x10\x05";
    assert_eq!(row(&read(&leg, message).await), json!([4, 5]));
    assert_eq!(row(&read(&leg, b"\0\0\0\0\x07\x00").await), json!([null, null]), "Other has no such fields");
    let nowhere = read(&leg, b"\0\0\0\0\x07\x02\x0e").await;
    assert_eq!(refusal(&nowhere), "formats.schema_unusable: schema 7: it has no message at [7]");
    let mut named = format;
    named["message"] = json!("air.Flight.Leg");
    let named = decoder(named, "gate int, delay int");
    assert_eq!(row(&read(&named, message).await), json!([4, 5]));
    assert!(
        refusal(&read(&named, b"\0\0\0\0\x07\x00").await)
            .contains("a air.Other, and air.Flight.Leg is wanted")
    );
}

#[tokio::test]
async fn a_schema_of_another_format_is_refused() {
    let registry = Registry::start();
    registry.has(7, None, json!({ "schemaType": "JSON", "schema": "{}" }));
    registry.has(8, None, json!({ "schema": "{\"type\": \"recrod\"}" }));
    let decoder = delays(&registry);
    let wrong = refusal(&read(&decoder, b"\0\0\0\0\x07\x08").await);
    assert_eq!(wrong, "formats.schema_unusable: schema 7: it is of json, and the format is avro");
    let wrong = refusal(&read(&decoder, b"\0\0\0\0\x08\x08").await);
    assert_eq!(wrong, "formats.schema_unusable: schema 8: there is no type recrod");
}

#[tokio::test]
async fn what_an_encoder_registers_a_decoder_reads() {
    let registry = Registry::start();
    let definition: SchemaRegistry =
        serde_json::from_value(json!({ "address": registry.address() })).unwrap();
    let client = RegistryClient::new(&definition).unwrap();
    let columns = columns("delay int, origin text");
    let mut encoder = AvroEncoder::new("air.Flight", &columns).unwrap();
    assert_eq!(encoder.register(&client, "flights/../x").await.unwrap(), 1);
    assert_eq!(encoder.register(&client, "flights/../x").await.unwrap(), 1);
    assert_eq!(registry.asked()[0], "POST /subjects/flights/../x/versions");
    let mut message = Vec::new();
    encoder.encode(&[Value::Int(4), Value::text("EWR")], &mut message).unwrap();
    assert_eq!(message, b"\0\0\0\0\x01\x02\x08\x02\x06EWR", "golden: header, then the datum");
    let decoder = decoder(of(&registry, json!({})), "origin text, delay int");
    assert_eq!(row(&read(&decoder, &message).await), json!(["EWR", 4]));
    let refused = encoder.register(&client, "taken").await.unwrap_err();
    assert!(matches!(refused, FormatError::SchemaRefused { .. }), "{refused}");
}

#[test]
fn an_address_is_http_and_nothing_else() {
    for address in ["registry:8081", "ftp://r", "file:///etc", "http://user:pw@r", "http://r?x=1", "http://"]
    {
        let definition: SchemaRegistry = serde_json::from_value(json!({ "address": address })).unwrap();
        assert!(RegistryClient::new(&definition).is_err(), "{address}");
    }
    let with_ca = json!({ "address": "https://r", "ca": "no certificate" });
    assert!(RegistryClient::new(&serde_json::from_value(with_ca).unwrap()).is_err());
}
