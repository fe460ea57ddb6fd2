//! Decimals on every way in and out: exact from the text of a request to the last form of an answer, and refused where a digit
//! has no place.

use std::sync::Arc;

use arrow::{
    array::{Array as _, ArrayRef, AsArray as _, Decimal128Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType as ArrowType, Decimal128Type},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use serde_json::{Value as Json, json};
use shipway_core::{Clock as _, Timestamp};

use crate::{
    http::Api,
    online::ARROW,
    world::{DAY, World},
};

const NOON: i64 = 90 * DAY;

pub(crate) const DEFINITIONS: &str = r#"
kind: entity
name: tariff
keys: { rate: "decimal(5,3)", since: timestamp }
---
kind: source
name: orders
event_time: at
event_id: id
columns:
  id: text
  at: timestamp
  rate: decimal(5,3)
  since: timestamp
  price: decimal(38,2)
  parts: list(decimal(9,4))
  weight: float
---
kind: view
name: tariff_orders
entity: tariff
source: orders
aggregate:
  - { column: price, operations: [sum, avg, min, last_k(2), distinct_count], windows: [1h, lifetime] }
  - { column: parts, operations: [sum], windows: [1h], over: positions }
  - { column: price, operations: [sum], windows: [1h], by: rate }
---
kind: view
name: tariff_last
entity: tariff
source: orders
latest: [price, parts]
---
kind: service
name: tariffs
views: [tariff_orders, tariff_last]
request: { offer: "decimal(10,2)" }
"#;

/// One line of JSON; numbers stand as they are written here.
fn order(id: &str, rate: &str, price: &str, parts: &str) -> String {
    let at = Timestamp(NOON);
    format!(
        r#"{{"id": "{id}", "at": "{at}", "rate": {rate}, "since": "{at}", "price": {price}, "parts": {parts}, "weight": 0.30000000000000004}}"#
    )
}

fn ask(api: &Api<'_>, rate: &str, offer: &str, token: &Json) -> (u16, Json) {
    let (since, at) = (Timestamp(NOON), Timestamp(NOON + 1));
    api.post(
        "/api/v1/features/read",
        format!(
            r#"{{"service": "tariffs", "at": "{at}", "token": {token}, "rows": [{{"rate": {rate}, "since": "{since}", "offer": {offer}}}]}}"#
        ),
    )
}

fn value<'a>(read: &'a Json, column: &str) -> &'a Json {
    let columns = read["columns"].as_array().unwrap();
    let at =
        columns.iter().position(|held| held == column).unwrap_or_else(|| panic!("{column} in {columns:?}"));
    &read["rows"][0]["values"][at]
}

#[test]
fn digits_that_no_float_has_come_back_as_they_were_written() {
    let mut world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let lines = [
        order("a", "0.190", "123456789012345678901234567890.12", "[0.1, 0.2]"),
        order("b", "\"0.19\"", "\"0.03\"", "[0.2, null, \"1e-4\"]"),
        order("c", "1.9e-1", "1", "[]"),
    ];
    let (_, answer) = api.post("/api/v1/ingest/orders", lines.join("\n"));
    assert_eq!((&answer["acknowledged"], &answer["refused"]), (&json!(3), &json!([])), "{answer}");
    let token = answer["token"].clone();
    drop(api);

    for lived in ["as it came", "after a restart"] {
        let api = Api::new(&world);
        let (status, read) = ask(&api, "0.19", "9.90", &token);
        assert_eq!(status, 200, "{lived}: {read}");
        let expect =
            |column: &str, expected: Json| assert_eq!(value(&read, column), &expected, "{lived}: {column}");
        expect("tariff_orders__price_sum_1h", json!("123456789012345678901234567891.15"));
        expect("tariff_orders__price_sum_lifetime", json!("123456789012345678901234567891.15"));
        expect("tariff_orders__price_min_1h", json!("0.03"));
        expect("tariff_orders__price_avg_1h", json!(41152263004115226300411522630.383));
        expect("tariff_orders__price_last_k_2_1h", json!(["1.00", "0.03"]));
        expect("tariff_orders__parts_sum_1h", json!(["0.3000", "0.2000", "0.0001"]));
        expect(
            "tariff_orders__price_sum_by_rate_1h",
            json!({ "0.190": "123456789012345678901234567891.15" }),
        );
        expect("tariff_last__price", json!("1.00"));
        expect("tariff_last__parts", json!([]));
        expect("offer", json!("9.90"));
        drop(api);
        world.restarts();
    }
}

#[test]
fn a_digit_that_has_no_place_is_refused_with_its_column() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let lines = [
        order("a", "0.1905", "1", "[]"),
        order("b", "100", "1", "[]"),
        order("c", "0.19", "1e36", "[]"),
        order("d", "0.19", "true", "[]"),
        order("e", "0.19", "1", "[0.00001]"),
    ];
    let (_, answer) = api.post("/api/v1/ingest/orders", lines.join("\n"));
    let reasons: Vec<&Json> =
        answer["refused"].as_array().unwrap().iter().map(|row| &row["reason"]).collect();
    assert_eq!(
        reasons,
        [
            r#"column rate: expected decimal(5,3), got "0.1905""#,
            r#"column rate: expected decimal(5,3), got "100""#,
            r#"column price: expected decimal(38,2), got "1e36""#,
            "column price: expected decimal(38,2), got true",
            r#"column parts: expected list(decimal(9,4)), got ["0.00001"]"#,
        ]
    );
    let (status, problem) = ask(&api, "0.1905", "1", &Json::Null);
    assert_eq!(
        (status, &problem["detail"]),
        (400, &json!(r#"row 0: key column rate: expected decimal(5,3), got "0.1905""#))
    );
    let (_, problem) = ask(&api, "0.19", "1.005", &Json::Null);
    assert_eq!(problem["detail"], r#"row 0: request column offer: expected decimal(10,2), got "1.005""#);
}

#[test]
fn one_number_is_one_key_and_a_null_part_of_a_key_matches_nothing() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let lines = [
        order("a", "0.19", "1", "[]"),
        order("b", "0.190", "2", "[]"),
        order("c", "null", "4", "[]"),
        order("d", "-0", "8", "[]"),
        order("e", "0.191", "16", "[]"),
    ];
    let (_, answer) = api.post("/api/v1/ingest/orders", lines.join("\n"));
    let token = &answer["token"];
    let sum = |rate: &str| value(&ask(&api, rate, "1", token).1, "tariff_orders__price_sum_1h").clone();
    assert_eq!(sum("0.190"), "3.00");
    assert_eq!(sum("\"00.19\""), "3.00");
    assert_eq!(sum("0"), "8.00", "zero has no sign");
    assert_eq!(sum("0.191"), "16.00");
    let (_, read) = ask(&api, "null", "1", token);
    assert_eq!(value(&read, "tariff_orders__price_sum_1h"), &Json::Null);
    assert_eq!(value(&read, "tariff_orders__price_distinct_count_1h"), &Json::Null, "a count too");
}

#[test]
fn an_answer_says_the_type_of_each_column_even_where_all_is_null() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let (_, answer) = api.post("/api/v1/ingest/orders", order("a", "0.5", "1", "[]"));
    let (_, read) = ask(&api, "0.19", "null", &answer["token"]);
    let types: Vec<(&str, &str)> = read["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .zip(read["types"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()))
        .filter(|(name, _)| !name.ends_with("lifetime"))
        .collect();
    assert_eq!(
        types,
        [
            ("tariff_orders__price_sum_1h", "decimal(38,2)"),
            ("tariff_orders__price_avg_1h", "float"),
            ("tariff_orders__price_min_1h", "decimal(38,2)"),
            ("tariff_orders__price_last_k_2_1h", "list(decimal(38,2))"),
            ("tariff_orders__price_distinct_count_1h", "int"),
            ("tariff_orders__parts_sum_1h", "list(decimal(38,4))"),
            ("tariff_orders__price_sum_by_rate_1h", "map(decimal(38,2))"),
            ("tariff_last__price", "decimal(38,2)"),
            ("tariff_last__parts", "list(decimal(9,4))"),
            ("offer", "decimal(10,2)"),
        ]
    );
}

fn stream(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

fn decimals(numbers: &[i128], precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(numbers.to_vec()).with_precision_and_scale(precision, scale).unwrap())
}

fn moments(count: usize) -> ArrayRef {
    Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![NOON; count]).with_timezone("UTC"))
}

#[test]
fn arrow_decimals_and_whole_numbers_widen_and_no_digit_is_cut() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let events = |rates: ArrayRef, prices: ArrayRef| {
        let ids: ArrayRef =
            Arc::new(StringArray::from((0..rates.len()).map(|at| format!("{at}")).collect::<Vec<_>>()));
        let count = rates.len();
        stream(vec![
            ("id", ids),
            ("at", moments(count)),
            ("since", moments(count)),
            ("rate", rates),
            ("price", prices),
        ])
    };
    let whole: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
    let (status, answer) =
        api.post_as("/api/v1/ingest/orders", ARROW, events(decimals(&[19, 20], 3, 2), whole));
    assert_eq!((status, &answer["acknowledged"]), (200, &json!(2)), "{answer}");

    let keys = stream(vec![
        ("rate", decimals(&[190, 2], 10, 3)),
        ("since", moments(2)),
        ("offer", decimals(&[1_500, 5], 12, 3)),
    ]);
    let (at, token) = (Timestamp(NOON + 1), answer["token"].as_str().unwrap());
    let path = format!("/api/v1/features/read?service=tariffs&at={at}&token={token}");
    let (status, problem) = api.post_as(&path, ARROW, keys);
    assert_eq!(status, 400, "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .starts_with("column offer: expected decimal(10,2), got Decimal128(12, 3)"),
        "{problem}"
    );
    let keys = stream(vec![
        ("rate", decimals(&[1_900, 2], 10, 4)),
        ("since", moments(2)),
        ("offer", decimals(&[1_500, 50], 12, 3)),
    ]);
    let (status, problem) = api.post_as(&path, ARROW, keys);
    assert_eq!(status, 400, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("row 1: 0.0002 does not fit"), "{problem}");
    let keys = stream(vec![
        ("rate", decimals(&[1_900, 10], 10, 4)),
        ("since", moments(2)),
        ("offer", decimals(&[1_500, 50], 12, 3)),
    ]);
    let (_, _, bytes) = api.send_as(&path, ARROW, Some(ARROW), keys);
    let batch = StreamReader::try_new(bytes.as_ref(), None).unwrap().next().unwrap().unwrap();
    let column = |name: &str| batch.column_by_name(name).unwrap();
    let sums = column("tariff_orders__price_sum_1h");
    assert_eq!(sums.data_type(), &ArrowType::Decimal128(38, 2));
    assert_eq!(sums.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(), [Some(700), None]);
    assert_eq!(column("offer").as_primitive::<Decimal128Type>().values().to_vec(), [150, 5]);
    assert_eq!(column("tariff_last__parts").data_type().to_string().matches("Decimal128(9, 4)").count(), 1);
}

#[test]
fn files_history_and_queries_hold_decimals_and_an_answer_in_json_has_them_as_text() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let at = Timestamp(NOON);
    let rows = format!(
        "id,at,rate,since,price,parts,weight\na,{at},0.19,{at},123456789012345678901234567890.12,\"[0.1, 1e-4]\",0.5\nb,{at},0.190,{at},-0.03,,\n"
    );
    let (status, loaded) = api.post("/api/v1/tables/orders/load?format=csv&wait=true", rows);
    assert_eq!(status, 200, "{loaded}");
    let (_, read) = ask(&api, "0.19", "1", &loaded["token"]);
    assert_eq!(value(&read, "tariff_orders__price_sum_1h"), "123456789012345678901234567890.09");

    let query = "SELECT price, parts, price * 2 AS twice, rate + 1 AS more FROM orders WHERE price > 1 OR price = -0.03 ORDER BY id";
    let (status, answer) = api.post("/api/v1/sql", json!({ "query": query }).to_string());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(
        answer["rows"],
        json!([
            [
                "123456789012345678901234567890.12",
                ["0.1000", "0.0001"],
                "246913578024691357802469135780.24",
                "1.190"
            ],
            ["-0.03", null, "-0.06", "1.190"],
        ])
    );
    let lost = format!("id,at,rate,since,price,parts,weight\nc,{at},0.1905,{at},1,,\n");
    let (status, problem) = api.post("/api/v1/tables/orders/load?format=csv&wait=true", lost);
    assert_eq!(status, 400, "{problem}");
    assert!(problem.to_string().contains("expected decimal(5,3), got 0.1905"), "{problem}");
}

#[test]
fn feasts_wire_keeps_the_digits_of_numbers_both_ways() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let at = Timestamp(world.clock.now().micros() - 1);
    let frame = format!(
        r#"{{"push_source_name": "orders", "to": "online", "df": {{"id": ["a"], "at": ["{at}"], "rate": [0.190], "since": ["{at}"], "price": {{"0": 123456789012345678901234567890.12}}}}}}"#
    );
    let (status, _, body) = api.send("/push", "application/json", frame);
    assert_eq!(status, 200, "{body:?}");
    let asked = format!(
        r#"{{"features": ["tariff_last:price"], "entities": {{"rate": [0.19, 0.2], "since": ["{at}", "{at}"]}}}}"#
    );
    let (status, answer) = api.post("/get-online-features", asked);
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["results"][2]["values"], json!(["123456789012345678901234567890.12", null]));
    assert_eq!(answer["results"][0]["values"], json!([0.19, 0.2]), "entities come back as they were sent");
}
