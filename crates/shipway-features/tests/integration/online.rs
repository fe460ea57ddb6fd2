//! Online reads beyond one row of JSON: lists of entities, Arrow both ways, gRPC, hot keys, breaches of freshness.

use std::sync::{Arc, Mutex};

use arrow::{
    array::{ArrayRef, AsArray as _, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder},
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use http::StatusCode;
use metrics::{Counter, CounterFn, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use serde_json::{Value as Json, json};
use shipway_core::Timestamp;

use crate::{
    http::Api,
    world::{DAY, DEFINITIONS, HOUR, MINUTE, World, sale, shop},
};

pub(crate) const ARROW: &str = "application/vnd.apache.arrow.stream";
const NOON: i64 = 90 * DAY;

/// A second entity beside the shop, so that one row can hold one of one and several of the other.
const PRODUCTS: &str = "
kind: entity
name: item
keys: { product: text }
---
kind: view
name: item_sales
entity: item
source: sales
aggregate:
  - operations: [count]
    windows: [1h]
  - column: amount
    operations: [sum]
    windows: [1h]
---
kind: service
name: ranking
views: ['shop_sales:count_1h', item_sales]
request: { basket: int }
";

fn of(id: &str, product: &str, amount: f64) -> Json {
    let mut event = sale(id, NOON, amount);
    event["product"] = product.into();
    event
}

fn ranking() -> (World, String) {
    let world = World::new(&format!("{DEFINITIONS}\n---\n{PRODUCTS}"));
    let token =
        world.ingests("sales", &[of("a", "tea", 1.0), of("b", "tea", 2.0), of("c", "jam", 4.0)]).token;
    (world, token)
}

#[test]
fn a_row_may_list_entities_and_has_lists_where_they_decide() {
    let (world, token) = ranking();
    let api = Api::new(&world);
    let ask = |rows: Json| {
        let body = json!({
            "service": "ranking", "rows": rows, "at": Timestamp(NOON + 1).to_string(), "token": token,
        });
        api.post("/api/v1/features/read", body.to_string())
    };
    let row = |product: Json| json!({ "country": "nl", "number": 1, "product": product, "basket": 7 });

    let (status, read) =
        ask(json!([row(json!(["jam", "milk", "tea", "jam"])), row("tea".into()), row(json!([]))]));

    assert_eq!(status, 200, "{read}");
    assert_eq!(
        read["columns"],
        json!(["shop_sales__count_1h", "item_sales__count_1h", "item_sales__amount_sum_1h", "basket"])
    );
    assert_eq!(read["types"], json!(["int", "int", "float", "int"]), "of one entity's values");
    assert_eq!(read["rows"][0]["values"], json!([3, [1, 0, 2, 1], [4.0, null, 3.0, 4.0], 7]));
    assert_eq!(read["rows"][1]["values"], json!([3, 2, 3.0, 7]));
    assert_eq!(read["rows"][2]["values"], json!([3, [], [], 7]), "no candidates, and still the shop");
    let noon = Timestamp(NOON).to_string();
    assert_eq!(
        read["rows"][0]["views"],
        json!([
            { "view": "shop_sales", "event_time": noon, "age_us": 1, "fresh": true },
            {
                "view": "item_sales", "event_time": [noon, null, noon, noon], "age_us": [1, null, 1, 1],
                "fresh": [true, true, true, true],
            },
        ])
    );

    let (status, problem) = ask(json!([row("tea".into()), row(json!(["jam", 5]))]));
    assert_eq!(status, 400);
    assert_eq!(problem["detail"], "row 1: key column product: entity 1: expected text, got 5");
    let two = json!({ "country": ["nl", "be"], "number": 1, "product": ["tea"], "basket": 7 });
    let (_, problem) = ask(json!([two]));
    assert_eq!(problem["detail"], "row 0: key column product lists 1 entities, country lists 2");
}

#[test]
fn lists_count_toward_the_bound_on_rows_and_only_keys_may_be_lists() {
    let limits = shipway_features::Limits { read_rows: 3, ..crate::world::limits() };
    let world = World::with_limits(&format!("{DEFINITIONS}\n---\n{PRODUCTS}"), limits);
    let api = Api::new(&world);
    let ask = |row: Json| {
        api.post("/api/v1/features/read", json!({ "service": "ranking", "rows": [row] }).to_string())
    };
    let (status, problem) =
        ask(json!({ "country": "nl", "number": 1, "product": ["a", "b", "c", "d"], "basket": 7 }));
    assert_eq!((status, &problem["code"]), (413, &json!("features.too_large")));
    let (status, problem) = ask(json!({ "country": "nl", "number": 1, "product": "a", "basket": [7] }));
    assert_eq!(status, 400);
    assert_eq!(problem["detail"], "row 0: request column basket: expected int, got [7]");
}

/// Rows of the ranking service as an Arrow stream.
fn rows(products: &[Option<&str>]) -> Vec<u8> {
    let count = products.len();
    let columns: [(&str, ArrayRef); 4] = [
        ("product", Arc::new(StringArray::from(products.to_vec()))),
        ("country", Arc::new(StringArray::from(vec!["nl"; count]))),
        ("number", Arc::new(Int64Array::from(vec![1; count]))),
        ("basket", Arc::new(Int64Array::from_iter_values(0..count as i64))),
    ];
    stream(&RecordBatch::try_from_iter(columns).unwrap())
}

fn stream(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn a_batch_of_keys_comes_back_as_a_batch_of_features() {
    let (world, token) = ranking();
    let api = Api::new(&world);
    let at = Timestamp(NOON + 1).to_string();
    let path =
        format!("/api/v1/features/read?service=ranking&at={at}&token={token}&include=event_time,age,fresh");
    let (status, headers, bytes) =
        api.send_as(&path, ARROW, Some(ARROW), rows(&[Some("tea"), None, Some("tea")]));
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (StatusCode::OK, ARROW), "{bytes:?}");
    let mut reader = StreamReader::try_new(bytes.as_ref(), None).unwrap();
    let metadata = reader.schema().metadata().clone();
    let batch = reader.next().unwrap().unwrap();
    assert!(reader.next().is_none());

    let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(
        names,
        [
            "shop_sales__count_1h",
            "item_sales__count_1h",
            "item_sales__amount_sum_1h",
            "basket",
            "shop_sales:event_time",
            "shop_sales:age_us",
            "shop_sales:fresh",
            "item_sales:event_time",
            "item_sales:age_us",
            "item_sales:fresh",
        ]
    );
    let counts: Vec<Option<i64>> = batch.column(1).as_primitive::<Int64Type>().iter().collect();
    assert_eq!(counts, [Some(2), None, Some(2)], "a null key has null features");
    let sums: Vec<Option<f64>> = batch.column(2).as_primitive::<Float64Type>().iter().collect();
    assert_eq!(sums, [Some(3.0), None, Some(3.0)]);
    let times: Vec<Option<i64>> = batch.column(7).as_primitive::<TimestampMicrosecondType>().iter().collect();
    assert_eq!(times, [Some(NOON), None, Some(NOON)]);
    assert_eq!(metadata["shipway.service"], "ranking");
    assert_eq!(metadata["shipway.at"], at);
    assert!(metadata["shipway.watermarks"].contains("sales"), "{metadata:?}");

    let (_, read) =
        api.post_as(&path.replace("&include=event_time,age,fresh", ""), ARROW, rows(&[Some("jam")]));
    assert_eq!(read["rows"][0]["values"], json!([3, 1, 4.0, 0]), "rows in Arrow, features in JSON");
    let body = json!({
        "service": "ranking", "rows": [{ "country": "nl", "number": 1, "product": "jam", "basket": 2 }],
        "at": at, "token": token,
    });
    let (_, _, bytes) = api.send("/api/v1/features/read?include=fresh", ARROW, body.to_string());
    let batch = StreamReader::try_new(bytes.as_ref(), None).unwrap().next().unwrap().unwrap();
    assert_eq!((batch.num_rows(), batch.num_columns()), (1, 6), "rows in JSON, features in Arrow");
}

/// The lists of a column of lists.
fn lists<T: arrow::datatypes::ArrowPrimitiveType>(
    batch: &RecordBatch,
    column: &str,
) -> Vec<Vec<Option<T::Native>>> {
    let column = batch.column_by_name(column).unwrap().as_list::<i32>();
    column.iter().map(|list| list.unwrap().as_primitive::<T>().iter().collect()).collect()
}

#[test]
fn lists_of_entities_come_as_columns_of_lists_and_are_answered_as_such() {
    let (world, token) = ranking();
    let api = Api::new(&world);
    let at = Timestamp(NOON + 1).to_string();
    let mut products = ListBuilder::new(StringBuilder::new());
    products.append_value([Some("jam"), None, Some("tea")]);
    products.append_null();
    products.append_value([] as [Option<&str>; 0]);
    let columns: [(&str, ArrayRef); 4] = [
        ("product", Arc::new(products.finish())),
        ("country", Arc::new(StringArray::from(vec!["nl"; 3]))),
        ("number", Arc::new(Int64Array::from(vec![1; 3]))),
        ("basket", Arc::new(Int64Array::from_iter_values(0..3))),
    ];
    let body = stream(&RecordBatch::try_from_iter(columns).unwrap());
    let path = format!("/api/v1/features/read?service=ranking&at={at}&token={token}");

    let told = format!("{path}&include=event_time,age,fresh");
    let (status, _, bytes) = api.send_as(&told, ARROW, Some(ARROW), body.clone());

    assert_eq!(status, StatusCode::OK, "{bytes:?}");
    let batch = StreamReader::try_new(bytes.as_ref(), None).unwrap().next().unwrap().unwrap();
    let shops = batch.column_by_name("shop_sales__count_1h").unwrap();
    assert_eq!(
        shops.as_primitive::<Int64Type>().values().to_vec(),
        [3, 3, 3],
        "no list where no entity decides"
    );
    let counts = lists::<Int64Type>(&batch, "item_sales__count_1h");
    assert_eq!(counts, [vec![Some(1), None, Some(2)], vec![None], vec![]], "a null list is one null key");
    let sums = lists::<Float64Type>(&batch, "item_sales__amount_sum_1h");
    assert_eq!(sums, [vec![Some(4.0), None, Some(3.0)], vec![None], vec![]]);
    let times = lists::<TimestampMicrosecondType>(&batch, "item_sales:event_time");
    assert_eq!(times, [vec![Some(NOON), None, Some(NOON)], vec![None], vec![]]);
    assert_eq!(lists::<Int64Type>(&batch, "item_sales:age_us")[0], [Some(1), None, Some(1)]);
    assert_eq!(batch.column_by_name("item_sales:fresh").unwrap().as_list::<i32>().value(0).len(), 3);
    assert_eq!(
        batch.column_by_name("basket").unwrap().as_primitive::<Int64Type>().values().to_vec(),
        [0, 1, 2]
    );

    let (_, read) = api.post_as(&path, ARROW, body);
    assert_eq!(
        read["rows"][0]["values"],
        json!([3, [1, null, 2], [4.0, null, 3.0], 0]),
        "lists in Arrow, features in JSON"
    );
    assert_eq!(read["rows"][1]["values"], json!([3, null, null, 1]));

    let row = |product: Json| json!({ "country": "nl", "number": 1, "product": product, "basket": 2 });
    let asked = json!({
        "service": "ranking", "rows": [row(json!(["tea", "jam"])), row("jam".into())], "at": at, "token": token,
    });
    let (_, _, bytes) = api.send("/api/v1/features/read", ARROW, asked.to_string());
    let batch = StreamReader::try_new(bytes.as_ref(), None).unwrap().next().unwrap().unwrap();
    let counts = lists::<Int64Type>(&batch, "item_sales__count_1h");
    assert_eq!(counts, [vec![Some(2), Some(1)], vec![Some(1)]], "lists in JSON, features in Arrow");
}

#[test]
fn a_batch_that_does_not_fit_is_refused_in_words() {
    let (world, _) = ranking();
    let api = Api::new(&world);
    let ask = |query: &str, body: Vec<u8>| {
        let (status, problem) = api.post_as(&format!("/api/v1/features/read{query}"), ARROW, body);
        (status, problem["code"].as_str().unwrap().to_owned(), problem["detail"].as_str().unwrap().to_owned())
    };
    let invalid = |detail: &str| (400, "features.invalid_request".to_owned(), detail.to_owned());
    assert_eq!(ask("", rows(&[None])), invalid("the query parameter service is missing"));
    assert_eq!(
        ask("?service=ranking&include=age", rows(&[None])),
        invalid("include is for answers in Arrow: one in JSON always tells the freshness")
    );
    let number: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let one = |name: &str| stream(&RecordBatch::try_from_iter([(name, Arc::clone(&number))]).unwrap());
    assert_eq!(ask("?service=ranking", one("country")), invalid("the key column number is missing"));
    assert_eq!(
        ask("?service=ranking", one("products")),
        invalid(
            "column products is neither a key nor a request column of service ranking; did you mean product?"
        )
    );
    let (status, code, _) = ask("?service=ranking", b"not arrow".to_vec());
    assert_eq!((status, code.as_str()), (400, "features.arrow_invalid"));
    let (status, code, _) = ask("?service=rankings", rows(&[None]));
    assert_eq!((status, code.as_str()), (404, "features.unknown_service"));
    let (_, problem) = api.post("/api/v1/features/read?service=ranking", "{}");
    assert_eq!(problem["detail"], "a request in JSON says service, at and token in its body");
}

#[test]
fn the_keys_that_are_read_most_are_told() {
    let (world, token) = ranking();
    let api = Api::new(&world);
    for number in 0..30_u32 {
        let product = if number.is_multiple_of(3) { "jam" } else { "tea" };
        let row = json!({ "country": "nl", "number": 1, "product": product, "basket": 7 });
        let rows = [row.clone(), row];
        world.reads_service("ranking", &rows, Timestamp(NOON + 1), Some(&token)).unwrap();
    }
    let hot = api.get("/api/v1/features/hot?limit=2");
    assert_eq!(hot["lookups"], 60, "a request looks a key up once, however many of its rows name it");
    assert_eq!(hot["keys"].as_array().unwrap().len(), 2);
    assert_eq!(hot["keys"][0]["key"], json!({ "country": "nl", "number": 1 }));
    assert_eq!((&hot["keys"][0]["reads"], &hot["keys"][0]["share"]), (&json!(30), &json!(0.5)));
    assert_eq!(
        (&hot["keys"][1]["view"], &hot["keys"][1]["key"]),
        (&json!("item_sales"), &json!({ "product": "tea" }))
    );
    assert_eq!(hot["keys"][1]["reads"], 20);
}

#[test]
fn reads_within_a_hop_and_after_every_kind_of_event_stay_exact() {
    let world = World::new(DEFINITIONS);
    // Enough that events are folded into tiles, then the same key again and again while late events come.
    let events: Vec<Json> =
        (0..600).map(|at| sale(&format!("{at:03}"), NOON - HOUR + at * 6 * 1_000_000, 0.1)).collect();
    let mut token = world.ingests("sales", &events).token;
    for round in 0..20_i64 {
        let q = Timestamp(NOON + round * MINUTE);
        let first = world.reads(&[shop()], q, Some(&token)).unwrap();
        let second = world.reads(&[shop()], q, Some(&token)).unwrap();
        assert_eq!(json!(first.rows), json!(second.rows));
        let (_, expected) = {
            let spine = format!("SELECT 'nl' AS country, 1 AS number, 3 AS basket, TIMESTAMP '{q}' AS q");
            let body = json!({ "service": "shop_features", "spine": { "sql": spine }, "time": "q" });
            let api = Api::new(&world);
            let (status, _, bytes) = api.send("/api/v1/training-sets", ARROW, body.to_string());
            assert_eq!(status, StatusCode::OK);
            (status, StreamReader::try_new(bytes.as_ref(), None).unwrap().next().unwrap().unwrap())
        };
        let sums = expected.column_by_name("shop_sales__amount_sum_1h").unwrap();
        let at = first.columns.iter().position(|column| column == "shop_sales__amount_sum_1h").unwrap();
        assert_eq!(
            first.rows[0].values[at].to_json(),
            json!(sums.as_primitive::<Float64Type>().value(0)),
            "at {q}"
        );
        let late = sale(&format!("late-{round}"), NOON - round * MINUTE - 1, 0.3);
        token = world.ingests("sales", &[late]).token;
    }
}

/// Keeps what every counter came to.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<Vec<(String, u64)>>>);

struct Slot(Counts, String);

impl CounterFn for Slot {
    fn increment(&self, value: u64) {
        self.0.0.lock().unwrap().push((self.1.clone(), value));
    }

    fn absolute(&self, _: u64) {}
}

impl Counts {
    fn of(&self, name: &str) -> u64 {
        self.0.lock().unwrap().iter().filter(|(held, _)| held == name).map(|(_, value)| value).sum()
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        Counter::from_arc(Arc::new(Slot(self.clone(), format!("{} {}", key.name(), labels.join(" ")))))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

#[test]
fn a_breach_of_freshness_is_counted_with_its_view_and_owner() {
    for (beyond, answers) in [("serve", true), ("null", true), ("refuse", false)] {
        let freshness =
            format!("owner: sales-team\nfreshness: {{ objective: 10m, beyond: {beyond} }}\naggregate:");
        let world = World::new(&DEFINITIONS.replace("aggregate:", &freshness));
        let token = world.ingests("sales", &[sale("a", NOON, 1.0)]).token;
        let counts = Counts::default();
        metrics::with_local_recorder(&counts, || {
            world.reads(&[shop()], Timestamp(NOON + 10 * MINUTE), Some(&token)).unwrap();
            let stale = world.reads(&[shop(), shop()], Timestamp(NOON + 11 * MINUTE), Some(&token));
            assert_eq!(stale.is_ok(), answers);
        });
        let counted = counts
            .of(&format!("shipway_features_stale_total view=shop_sales owner=sales-team beyond={beyond}"));
        assert_eq!(counted, if answers { 2 } else { 1 }, "a refusal ends at the first breach");
    }
}

#[test]
fn a_breach_of_a_features_own_objective_is_counted_with_the_features_owner() {
    let own = "owner: sales-team
freshness: { objective: 1h, beyond: serve }
features: { count_1h: { owner: ada, freshness: { objective: 10m, beyond: null } } }
aggregate:";
    let world = World::new(&DEFINITIONS.replace("aggregate:", own));
    let token = world.ingests("sales", &[sale("a", NOON, 1.0)]).token;
    let counts = Counts::default();
    metrics::with_local_recorder(&counts, || {
        let stale = world.reads(&[shop()], Timestamp(NOON + 11 * MINUTE), Some(&token)).unwrap();
        assert!(stale.rows[0].views[0].fresh);
    });
    let of_feature = "shipway_features_stale_total view=shop_sales feature=count_1h owner=ada beyond=null";
    assert_eq!(counts.of(of_feature), 1);
    assert_eq!(counts.of("shipway_features_stale_total view=shop_sales owner=sales-team beyond=serve"), 0);
}
