//! Registered models and versions.

use axum::body::Body;
use http::Method;
use serde_json::json;

use super::app::App;

#[tokio::test]
async fn a_version_knows_where_it_comes_from() {
    let app = App::new().await;
    let model_id = app.logs_model("trees").await;
    assert_eq!(app.registers("late", &model_id).await, 1);
    assert_eq!(app.registers("late", &model_id).await, 2);
    let uri = app.get("model-versions/get-download-uri?name=late&version=2").await.ok();
    assert_eq!(uri["artifact_uri"], format!("mlflow-artifacts:/0/models/{model_id}/artifacts"));
    let version = app.get("model-versions/get?name=late&version=2").await.ok()["model_version"].clone();
    assert_eq!(version["model_id"], model_id);
    assert_eq!(version["version"], "2");
    assert_eq!(version["status"], "READY");
    assert_eq!(version["current_stage"], "None");
    let model = app.get(&format!("logged-models/{model_id}")).await.ok()["model"]["info"].clone();
    assert_eq!(
        model["registrations"],
        json!([{ "name": "late", "version": "1" }, { "name": "late", "version": "2" }])
    );
    assert_eq!(model["tags"][0]["key"], "mlflow.modelVersions");
    let found = app.get("model-versions/search?filter=name%3D%27late%27").await.ok();
    assert_eq!(found["model_versions"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_source_must_lie_in_a_known_run_or_model() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let model_id = app.logs_model("trees").await;
    app.post("registered-models/create", json!({ "name": "late" })).await.ok();
    for (source, status) in [
        (format!("models:/{model_id}"), 200),
        (format!("mlflow-artifacts:/0/{run_id}/artifacts/model"), 200),
        (format!("mlflow-artifacts:/0/models/{model_id}/artifacts"), 200),
        (format!("runs:/{run_id}/model"), 200),
        ("models:/late/1".to_owned(), 200),
        ("models:/late/99".to_owned(), 404),
        ("models:/m-none".to_owned(), 404),
        ("mlflow-artifacts:/0/none/artifacts".to_owned(), 404),
        ("mlflow-artifacts:/etc/passwd".to_owned(), 404),
        (format!("mlflow-artifacts:/0/{run_id}/artifacts/../../x"), 400),
        (format!("mlflow-artifacts:/0/{run_id}/artifacts/%252e%252e"), 400),
        ("file:///etc/passwd".to_owned(), 400),
        ("/etc/passwd".to_owned(), 400),
        ("http://169.254.169.254/".to_owned(), 400),
        ("dummy".to_owned(), 400),
    ] {
        let body = json!({ "name": "late", "source": source });
        let response = app.post("model-versions/create", body).await;
        assert_eq!(response.status.as_u16(), status, "{source}");
    }
    let other = app.logs_model("other").await;
    let body = json!({ "name": "late", "source": format!("models:/{model_id}"), "model_id": other });
    assert_eq!(app.post("model-versions/create", body).await.refused().0, 400, "another model's history");
}

#[tokio::test]
async fn the_number_of_a_deleted_version_is_never_given_again() {
    let app = App::new().await;
    let model_id = app.logs_model("trees").await;
    app.registers("late", &model_id).await;
    let second = app.registers("late", &model_id).await;
    app.promotes("late", "champion", second).await.ok();
    let body = json!({ "name": "late", "version": "2" }).to_string();
    app.send(Method::DELETE, "/api/2.0/mlflow/model-versions/delete", body).await.ok();
    assert_eq!(app.registers("late", &model_id).await, 3);
    assert_eq!(app.holder_of("late", "champion").await, None, "its alias went with it");
    let gone = app.get("model-versions/get?name=late&version=2").await;
    assert_eq!(gone.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
}

#[tokio::test]
async fn models_are_renamed_tagged_searched_and_deleted() {
    let app = App::new().await;
    let model_id = app.logs_model("trees").await;
    let version = app.registers("late", &model_id).await;
    app.promotes("late", "champion", version).await.ok();
    let twice = app.post("registered-models/create", json!({ "name": "late" })).await;
    assert_eq!(twice.refused(), (400, "RESOURCE_ALREADY_EXISTS".to_owned()));
    app.post("registered-models/set-tag", json!({ "name": "late", "key": "team", "value": "a" })).await.ok();
    app.post("model-versions/set-tag", json!({ "name": "late", "version": "1", "key": "k", "value": "v" }))
        .await
        .ok();
    app.post("registered-models/rename", json!({ "name": "late", "new_name": "delays" })).await.ok();
    let model = app.get("registered-models/get?name=delays").await.ok()["registered_model"].clone();
    assert_eq!(model["aliases"], json!([{ "alias": "champion", "version": "1" }]));
    assert_eq!(model["latest_versions"][0]["tags"], json!([{ "key": "k", "value": "v" }]));
    let found = app.get("registered-models/search?filter=tags.team%20%3D%20%27a%27").await.ok();
    assert_eq!(found["registered_models"][0]["name"], "delays");
    let body = json!({ "name": "delays" }).to_string();
    app.send(Method::DELETE, "/api/2.0/mlflow/registered-models/delete", body).await.ok();
    assert_eq!(app.get("registered-models/search").await.ok(), json!({}));
    assert_eq!(app.audited().await, ["tracking.promote", "tracking.rename_model", "tracking.delete_model"]);
}

#[tokio::test]
async fn searches_that_hide_prompts_show_models_without_the_tag() {
    let app = App::new().await;
    app.post("registered-models/create", json!({ "name": "model" })).await.ok();
    let prompt = json!({ "name": "prompt", "tags": [{ "key": "mlflow.prompt.is_prompt", "value": "true" }] });
    app.post("registered-models/create", prompt).await.ok();
    let filter = "tags.%60mlflow.prompt.is_prompt%60%20!%3D%20'true'";
    let found = app.get(&format!("registered-models/search?filter={filter}")).await.ok();
    assert_eq!(found["registered_models"].as_array().map(Vec::len), Some(1));
    assert_eq!(found["registered_models"][0]["name"], "model");
}

#[tokio::test]
async fn stages_move_and_archive() {
    let app = App::new().await;
    let model_id = app.logs_model("trees").await;
    for _ in 0..2 {
        app.registers("late", &model_id).await;
    }
    for version in ["1", "2"] {
        let body = json!({ "name": "late", "version": version, "stage": "production", "archive_existing_versions": true });
        app.post("model-versions/transition-stage", body).await.ok();
    }
    let latest = app.post("registered-models/get-latest-versions", json!({ "name": "late" })).await.ok();
    let stages: Vec<_> = latest["model_versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| (version["version"].as_str().unwrap(), version["current_stage"].as_str().unwrap()))
        .collect();
    assert_eq!(stages, [("1", "Archived"), ("2", "Production")]);
    let body = json!({ "name": "late", "version": "1", "stage": "Live", "archive_existing_versions": false });
    assert_eq!(app.post("model-versions/transition-stage", body).await.refused().0, 400);
}

#[tokio::test]
async fn the_native_api_shows_versions_evaluations_and_the_nearest_name() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let model_id = app.logs_model("trees").await;
    let version = app.registers("late_arrivals", &model_id).await;
    app.evaluates(&run_id, &model_id, 0.7).await;
    app.promotes("late_arrivals", "champion", version).await.ok();
    let model = app.send(Method::GET, "/api/v1/models/late_arrivals", Body::empty()).await.ok();
    let resolved = app.tracking.resolve_alias("late_arrivals", "champion").await.unwrap();
    assert_eq!(model["aliases"], json!({ "champion": 1 }));
    assert_eq!(model["versions"][0]["artifact_digest"], json!(resolved.artifact_digest));
    assert_eq!(model["versions"][0]["evaluations"][0]["value"], 0.7);
    assert_eq!(model["versions"][0]["evaluations"][0]["of_own_artifact"], true);
    let list = app.send(Method::GET, "/api/v1/models", Body::empty()).await.ok();
    assert_eq!(list["models"][0]["newest_version"], 1);
    let missing = app.send(Method::GET, "/api/v1/models/late_arival", Body::empty()).await;
    assert_eq!(missing.status, 404);
    assert_eq!(missing.json()["code"], "tracking.model_not_found");
    assert_eq!(missing.json()["hint"], "did you mean late_arrivals?");
}

#[tokio::test]
async fn an_alias_is_asked_for_set_and_taken_away_as_clients_expect() {
    let app = App::new().await;
    let model_id = app.logs_model("trees").await;
    let by_alias =
        async |alias: &str| app.get(&format!("registered-models/alias?name=late&alias={alias}")).await;
    assert_eq!(by_alias("latest").await.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()), "no model");
    app.post("registered-models/create", json!({ "name": "late" })).await.ok();
    assert_eq!(by_alias("latest").await.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()), "no version");
    app.registers("late", &model_id).await;
    app.registers("late", &model_id).await;
    let staged =
        json!({ "name": "late", "version": "1", "stage": "Production", "archive_existing_versions": false });
    app.post("model-versions/transition-stage", staged).await.ok();
    for latest in ["latest", "Latest"] {
        assert_eq!(by_alias(latest).await.ok()["model_version"]["version"], "2", "the newest of all stages");
    }
    assert_eq!(by_alias("none").await.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    let alias = json!({ "name": "late", "alias": "champion", "version": "1" });
    app.post("registered-models/alias", alias.clone()).await.ok();
    for _ in 0..2 {
        let path = "/api/2.0/mlflow/registered-models/alias";
        app.send(Method::DELETE, path, alias.to_string()).await.ok();
    }
    let native = app.send(Method::DELETE, "/api/v1/models/late/aliases/champion", Body::empty()).await;
    assert_eq!(native.status, 404, "the native API says that it is not there");
    let latest = json!({ "name": "late", "alias": "latest", "version": "1" });
    assert_eq!(app.post("registered-models/alias", latest).await.refused().0, 400);
}
