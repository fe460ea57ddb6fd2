//! The MLflow wire itself: probes, prefixes, errors.

use axum::body::Body;
use http::Method;
use serde_json::json;

use super::app::App;

#[tokio::test]
async fn probes_answer_as_clients_expect() {
    let app = App::new().await;
    assert_eq!(app.send(Method::GET, "/health", Body::empty()).await.bytes, b"OK");
    assert_eq!(app.send(Method::GET, "/version", Body::empty()).await.bytes, b"3.17.2");
    let info = app.send(Method::GET, "/api/3.0/mlflow/server-info", Body::empty()).await.ok();
    assert_eq!(info["multipart_uploads_enabled"], false);
}

#[tokio::test]
async fn both_prefixes_answer() {
    let app = App::new().await;
    for prefix in ["api", "ajax-api"] {
        let path = format!("/{prefix}/2.0/mlflow/experiments/get?experimentId=0");
        let found = app.send(Method::GET, &path, Body::empty()).await.ok();
        assert_eq!(found["experiment"]["lifecycle_stage"], "active");
    }
}

#[tokio::test]
async fn every_refusal_has_the_body_of_the_wire() {
    let app = App::new().await;
    let unknown_run = app.get("runs/get?run_id=abc").await;
    assert_eq!(
        unknown_run.json(),
        json!({ "error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run with id=abc not found" })
    );
    let missing = app.get("runs/get").await;
    assert_eq!(missing.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    assert!(
        missing.message().contains("Missing value for required parameter 'run_id'"),
        "{}",
        missing.message()
    );
    let no_number = app.get("experiments/get?experiment_id=abc").await;
    assert_eq!(no_number.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    let malformed = app.send(Method::POST, "/api/2.0/mlflow/runs/search", "{").await;
    assert_eq!(malformed.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    let nowhere = app.get("nowhere").await;
    assert_eq!(nowhere.refused(), (404, "ENDPOINT_NOT_FOUND".to_owned()));
    let wrong_method = app.get("runs/create").await;
    assert_eq!(wrong_method.refused(), (405, "ENDPOINT_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn an_empty_search_is_an_empty_object() {
    let app = App::new().await;
    assert_eq!(app.post("runs/search", json!({ "experiment_ids": ["0"] })).await.ok(), json!({}));
    assert_eq!(app.get("registered-models/search?max_results=5").await.ok(), json!({}));
}
