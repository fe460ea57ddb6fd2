//! The native API and the Open Inference protocol over HTTP.

use std::sync::Arc;

use arrow::{record_batch::RecordBatch, util::display::array_value_to_string};
use axum::{
    Router,
    body::{Body, to_bytes},
};
use futures::TryStreamExt as _;
use http::{Request, StatusCode};
use serde_json::{Value as Json, json};
use shipway_serving::routes;
use shipway_web::Guard;
use tower::ServiceExt as _;

use crate::world::{World, model_text, shape};

pub(crate) async fn ask(world: &World, method: &str, path: &str, body: Option<Json>) -> (StatusCode, Json) {
    ask_text(world, method, path, &body.map_or_else(String::new, |body| body.to_string())).await
}

async fn ask_text(world: &World, method: &str, path: &str, body: &str) -> (StatusCode, Json) {
    let router: Router = routes(world.serving.clone()).into_router(Arc::new(Guard::open_on_loopback()));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:8700")
        .header("content-type", "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Json::Null))
}

#[tokio::test]
async fn a_deployment_is_made_looked_at_and_taken_away() {
    let world = World::new().await;
    let spec = json!({ "model": "late", "alias": "champion", "service": "traffic" });

    let (status, made) = ask(&world, "PUT", "/api/v1/deployments/late_arrivals", Some(spec)).await;

    assert_eq!(status, StatusCode::OK, "{made}");
    assert_eq!(made["serves"]["version"], 1);
    assert_eq!(made["prediction_log"], "predictions__late_arrivals");
    let (_, listed) = ask(&world, "GET", "/api/v1/deployments", None).await;
    assert_eq!(listed["deployments"][0], made);
    let question = json!({ "rows": [{ "origin": "LGA", "month": 1 }] });
    let (status, answer) = ask(&world, "POST", "/api/v1/predict/late_arrivals", Some(question)).await;
    assert_eq!((status, &answer["predictions"]), (StatusCode::OK, &json!([1.1])));
    let (status, _) = ask(&world, "DELETE", "/api/v1/deployments/late_arrivals", None).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, problem) = ask(&world, "GET", "/api/v1/deployments/late_arrivals", None).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_FOUND, &json!("serving.unknown_deployment")));
}

#[tokio::test]
async fn a_decimal_of_a_request_is_the_nearest_float_for_the_model_and_every_digit_in_the_log() {
    let world = World::new().await;
    let price = "decimal(30,20)".parse().unwrap();
    let mut priced = shape("v2", &[("price", price)]);
    priced.request.push(("price".to_owned(), price));
    world.features.apply(priced);
    world.models.register(3, &model_text(&["price"], 3.1, 3.9), None);
    world.models.move_silently("champion", 3);
    world.deploys("priced", Some("traffic")).await;
    let body = r#"{"rows": [
        {"origin": "JFK", "month": 1, "price": 10.00000000000000000001},
        {"origin": "JFK", "month": 1, "price": 10.5}
    ]}"#;

    let (status, answer) = ask_text(&world, "POST", "/api/v1/predict/priced", body).await;

    assert_eq!((status, &answer["predictions"]), (StatusCode::OK, &json!([3.1, 3.9])), "{answer}");
    world.serving.flush().await.unwrap();
    let sql = "SELECT price FROM predictions__priced ORDER BY row";
    let logged: Vec<RecordBatch> = world.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
    let digits = array_value_to_string(logged[0].column(0), 0).unwrap();
    assert_eq!(digits, "10.00000000000000000001");
    let lost = r#"{"rows": [{"origin": "JFK", "month": 1, "price": 1e-21}]}"#;
    let (status, problem) = ask_text(&world, "POST", "/api/v1/predict/priced", lost).await;
    assert_eq!(
        (status.as_u16(), &problem["detail"]),
        (404, &json!(r#"price: expected decimal(30,20), got "1e-21""#))
    );
}

#[tokio::test]
async fn bad_requests_are_problems_with_a_code() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    for (body, status, code) in [
        (json!({ "rows": [] }), 400, "serving.row_count"),
        (json!({ "rows": vec![json!({}); 1025] }), 413, "serving.row_count"),
        (json!({ "rows": [{}], "when": "now" }), 400, "web.invalid_body"),
        (json!({ "rows": [{ "month": 3 }] }), 404, "fake.not_found"),
    ] {
        let (got, problem) = ask(&world, "POST", "/api/v1/predict/late_arrivals", Some(body)).await;
        assert_eq!((got.as_u16(), problem["code"].as_str().unwrap()), (status, code), "{problem}");
    }
}

#[tokio::test]
async fn open_inference_describes_server_and_models() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    world.deploys("direct", None).await;

    let (_, server) = ask(&world, "GET", "/v2", None).await;
    assert_eq!(server["name"], "shipway");
    for path in [
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/direct/ready",
        "/v2/models/direct/versions/1/ready",
    ] {
        assert_eq!(ask(&world, "GET", path, None).await.0, StatusCode::OK, "{path}");
    }
    assert_eq!(
        ask(&world, "GET", "/v2/models", None).await.1,
        json!({ "models": ["direct", "late_arrivals"] })
    );
    let (_, model) = ask(&world, "GET", "/v2/models/late_arrivals", None).await;
    assert_eq!(
        model,
        json!({
            "name": "late_arrivals",
            "versions": ["1"],
            "platform": "lightgbm_text",
            "inputs": [
                { "name": "origin", "datatype": "BYTES", "shape": [-1] },
                { "name": "month", "datatype": "INT64", "shape": [-1] },
            ],
            "outputs": [{ "name": "predict", "datatype": "FP64", "shape": [-1] }],
        })
    );
    let (status, error) = ask(&world, "GET", "/v2/models/direct/versions/7", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(
        error["error"].as_str().unwrap().starts_with("deployment `direct` serves version 1, not 7"),
        "{error}"
    );
}

#[tokio::test]
async fn open_inference_predicts_by_ids_and_by_a_matrix() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    world.deploys("direct", None).await;
    let by_ids = json!({ "id": "mine", "inputs": [
        { "name": "origin", "datatype": "BYTES", "shape": [2, 1], "data": ["JFK", "LGA"] },
        { "name": "month", "datatype": "INT64", "shape": [2, 1], "data": [1, 2] },
    ]});

    let (status, answer) = ask(&world, "POST", "/v2/models/late_arrivals/infer", Some(by_ids)).await;

    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(
        answer,
        json!({
            "model_name": "late_arrivals",
            "model_version": "1",
            "id": "mine",
            "outputs": [{ "name": "predict", "datatype": "FP64", "shape": [2], "data": [1.9, 1.1] }],
        })
    );
    let matrix = json!({ "inputs": [
        { "name": "input-0", "datatype": "FP32", "shape": [2, 2], "data": [[30.0, 1.0], [3.0, 1.0]] },
    ]});
    let (_, answer) = ask(&world, "POST", "/v2/models/direct/versions/1/infer", Some(matrix)).await;
    assert_eq!(answer["outputs"][0]["data"], json!([1.9, 1.1]), "{answer}");
}

#[tokio::test]
async fn open_inference_refuses_in_its_own_words() {
    let world = World::new().await;
    world.deploys("direct", None).await;
    let tensor =
        |shape: Json| json!([{ "name": "x", "datatype": "FP32", "shape": shape, "data": [1.0, 2.0] }]);
    for (path, body, status) in [
        ("/v2/models/dirct/infer", json!({ "inputs": tensor(json!([1, 2])) }), 404),
        ("/v2/models/direct/infer", json!({ "inputs": tensor(json!([1, 3])) }), 400),
        ("/v2/models/direct/infer", json!({ "inputs": tensor(json!([2])) }), 400),
        (
            "/v2/models/direct/infer",
            json!({ "inputs": tensor(json!([1, 2])), "outputs": [{ "name": "scores" }] }),
            400,
        ),
        ("/v2/models/direct/infer", json!({ "instances": [] }), 400),
        ("/v2/models/direct/nothing", json!({}), 404),
    ] {
        let (got, error) = ask(&world, "POST", path, Some(body)).await;
        assert_eq!(got.as_u16(), status, "{path} {error}");
        assert!(error["error"].is_string(), "{path} {error}");
    }
}
