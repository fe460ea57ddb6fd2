//! The native API, as a client sees it.

use std::sync::Arc;

use arrow::{array::AsArray as _, datatypes::Int64Type, ipc::reader::StreamReader};
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value as Json, json};
use shipway_core::Timestamp;
use shipway_web::{Guard, Routes};
use tower::ServiceExt as _;

use crate::world::{DAY, DEFINITIONS, World, sale};

const ARROW: &str = "application/vnd.apache.arrow.stream";
const NOON: i64 = 90 * DAY;

pub(crate) struct Api<'a> {
    world: &'a World,
    router: axum::Router,
}

impl<'a> Api<'a> {
    pub(crate) fn new(world: &'a World) -> Self {
        Self::of(world, shipway_features::routes(world.features().clone()))
    }

    /// One of other routes, such as those of a reader.
    pub(crate) fn of(world: &'a World, routes: Routes) -> Self {
        Self { world, router: routes.into_router(Arc::new(Guard::open_on_loopback())) }
    }

    pub(crate) fn send(
        &self,
        path: &str,
        accept: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, HeaderMap, Bytes) {
        self.send_as(path, accept, None, body)
    }

    /// The same with a content type.
    pub(crate) fn send_as(
        &self,
        path: &str,
        accept: &str,
        content_type: Option<&str>,
        body: impl Into<Body>,
    ) -> (StatusCode, HeaderMap, Bytes) {
        self.world.block_on(async {
            let mut request = Request::builder().method("POST").uri(path).header("accept", accept);
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            (status, headers, to_bytes(response.into_body(), usize::MAX).await.unwrap())
        })
    }

    pub(crate) fn post_as(&self, path: &str, content_type: &str, body: impl Into<Body>) -> (u16, Json) {
        let (status, _, bytes) = self.send_as(path, "application/json", Some(content_type), body);
        (status.as_u16(), serde_json::from_slice(&bytes).unwrap())
    }

    pub(crate) fn post(&self, path: &str, body: impl Into<Body>) -> (u16, Json) {
        let (status, _, bytes) = self.send(path, "application/json", body);
        (status.as_u16(), serde_json::from_slice(&bytes).unwrap())
    }

    pub(crate) fn get(&self, path: &str) -> Json {
        self.world.block_on(async {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let response = self.router.clone().oneshot(request).await.unwrap();
            serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
        })
    }
}

#[test]
fn an_event_is_taken_in_read_and_seen_in_history() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let (status, taken) = api.post("/api/v1/ingest/sales", sale("a", NOON, 2.0).to_string());
    assert_eq!((status, &taken["acknowledged"], &taken["refused"]), (200, &json!(1), &json!([])));
    let row = json!({ "country": "nl", "number": 1, "basket": 9 });
    let question = json!({
        "service": "shop_features", "rows": [row], "at": Timestamp(NOON + 1).to_string(), "token": taken["token"],
    });
    let (status, read) = api.post("/api/v1/features/read", question.to_string());
    assert_eq!(status, 200);
    let columns = read["columns"].as_array().unwrap();
    assert_eq!(columns.last(), Some(&json!("basket")));
    assert_eq!(columns.len(), read["rows"][0]["values"].as_array().unwrap().len());
    let count = columns.iter().position(|column| column == "shop_sales__count_1h").unwrap();
    assert_eq!(read["rows"][0]["values"][count], 1);
    let view = &read["rows"][0]["views"][1];
    let time = Timestamp(NOON).to_string();
    assert_eq!(*view, json!({ "view": "shop_last", "event_time": time, "age_us": 1, "fresh": true }));
    assert!(read["watermarks"]["sales"].as_u64().unwrap() > 0);
    assert!(read["service_hash"].as_str().unwrap().starts_with("sha256:"));

    let spine =
        "SELECT 'nl' AS country, 1 AS number, 3 AS basket, TIMESTAMP '1970-04-01T00:00:00.000001Z' AS q";
    let body = json!({ "service": "shop_features", "spine": { "sql": spine }, "time": "q", "output": { "format": "arrow" } });
    let (status, headers, bytes) = api.send("/api/v1/training-sets", ARROW, body.to_string());
    assert_eq!(
        (status, headers["x-shipway-spine-rows"].to_str().unwrap()),
        (StatusCode::OK, "1"),
        "{bytes:?}"
    );
    assert_eq!(headers["x-shipway-service-hash"].to_str().unwrap(), read["service_hash"].as_str().unwrap());
    let batch = StreamReader::try_new(bytes.as_ref(), None).unwrap().next().unwrap().unwrap();
    assert_eq!(batch.column_by_name("shop_sales__count_1h").unwrap().as_primitive::<Int64Type>().value(0), 1);

    let into = json!({ "service": "shop_features", "spine": { "sql": spine }, "time": "q", "output": { "table": "training" } });
    let (status, written) = api.post("/api/v1/training-sets", into.to_string());
    assert_eq!((status, &written["rows"]), (200, &json!(1)));
    let (_, counted) =
        api.post("/api/v1/sql", json!({ "query": "SELECT count(*) AS n FROM training" }).to_string());
    assert_eq!(counted, json!({ "columns": ["n"], "rows": [[1]] }));
}

#[test]
fn a_file_is_loaded_by_its_body_and_listed() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let file = json!({
        "sale_id": "a", "sold_at": "1970-03-01T00:00:00Z", "country": "nl", "number": 1, "amount": 2.5, "items": 1,
        "product": "tea", "prices": [1.5, 2.0], "tags": ["hot"],
    });
    let file = file.to_string();
    let (status, loaded) = api.post("/api/v1/tables/sales/load?format=jsonl&load_id=first", file.clone());
    assert_eq!((status, &loaded["rows"], &loaded["visible"]), (200, &json!(1), &json!(true)), "{loaded}");
    let (_, again) = api.post("/api/v1/tables/sales/load?format=jsonl&load_id=first", file);
    assert_eq!(again["already_loaded"], true);
    let tables = api.get("/api/v1/tables");
    assert_eq!((&tables["tables"][0]["name"], &tables["tables"][0]["rows"]), (&json!("sales"), &json!(1)));
    let status = api.get("/api/v1/features/status");
    assert_eq!((&status["sources"][0]["source"], &status["sources"][0]["lag"]), (&json!("sales"), &json!(0)));
    let (_, rows) = api
        .post("/api/v1/sql", json!({ "query": "SELECT _event_id, _arrival, _load FROM sales" }).to_string());
    assert_eq!(rows["rows"], json!([["a", null, "first"]]));
}

#[test]
fn problems_say_what_is_wrong() {
    let world = World::new(DEFINITIONS);
    let api = Api::new(&world);
    let (status, problem) = api.post("/api/v1/ingest/sale", "");
    assert_eq!((status, &problem["code"]), (404, &json!("features.unknown_source")));
    let (status, problem) = api.post("/api/v1/tables/sales/load?format=xml", "");
    assert_eq!((status, &problem["code"]), (400, &json!("features.file_format")));
    let (status, _) = api.post("/api/v1/sql", json!({ "query": "DROP TABLE sales" }).to_string());
    assert!((400..500).contains(&status), "{status}");
    let (status, problem) = api.post("/api/v1/verify", json!({ "deployment": "none" }).to_string());
    assert_eq!((status, &problem["code"]), (400, &json!("features.invalid_request")));
}
