//! Scorers and their versions.

use http::Method;
use serde_json::{Value, json};

use super::app::App;

const NOTHING: Value = Value::Null;

impl App {
    async fn registers_scorer(&self, experiment_id: &str, name: &str, scorer: Value) -> Value {
        let body =
            json!({ "experiment_id": experiment_id, "name": name, "serialized_scorer": scorer.to_string() });
        self.v3(Method::POST, "scorers/register", body).await.ok()
    }

    async fn scorers(&self, query: &str) -> Vec<(i64, String, i64)> {
        let page = self.v3(Method::GET, &format!("scorers/{query}"), NOTHING).await.ok();
        let read = |one: &Value| {
            let name = one["scorer_name"].as_str().unwrap().to_owned();
            (one["experiment_id"].as_i64().unwrap(), name, one["scorer_version"].as_i64().unwrap())
        };
        page["scorers"].as_array().map(|list| list.iter().map(read).collect()).unwrap_or_default()
    }
}

#[tokio::test]
async fn scorers_are_kept_by_version() {
    let app = App::new().await;
    app.post("experiments/create", json!({ "name": "other" })).await.ok();
    let first = app.registers_scorer("0", "polite", json!({ "v": 1 })).await;
    assert_eq!(
        (&first["version"], &first["experiment_id"], &first["name"]),
        (&json!(1), &json!("0"), &json!("polite"))
    );
    let second = app.registers_scorer("0", "polite", json!({ "v": 2 })).await;
    assert_eq!((&second["version"], &second["scorer_id"]), (&json!(2), &first["scorer_id"]));
    app.registers_scorer("0", "brief", json!({})).await;
    app.registers_scorer("1", "polite", json!({})).await;
    let one = |name: &str, version| (0, name.to_owned(), version);
    assert_eq!(app.scorers("list?experiment_id=0").await, [one("brief", 1), one("polite", 2)]);
    assert_eq!(app.scorers("list?experiment_ids=1&experiment_ids=77").await, [(1, "polite".to_owned(), 1)]);
    assert_eq!(app.scorers("list").await.len(), 3);
    assert_eq!(
        app.scorers("versions?experiment_id=0&name=polite").await,
        [one("polite", 1), one("polite", 2)]
    );
    let newest = app.v3(Method::GET, "scorers/get?experiment_id=0&name=polite", NOTHING).await.ok();
    assert_eq!(newest["scorer"]["serialized_scorer"], r#"{"v":2}"#);
    let older = app.v3(Method::GET, "scorers/get?experiment_id=0&name=polite&version=1", NOTHING).await.ok();
    assert_eq!(older["scorer"]["serialized_scorer"], r#"{"v":1}"#);
    app.post("experiments/delete", json!({ "experiment_id": "1" })).await.ok();
    assert_eq!(app.scorers("list").await.len(), 2, "those of a deleted experiment are not listed");
    let refused = app.v3(Method::GET, "scorers/list?experiment_id=1", NOTHING).await;
    assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
}

#[tokio::test]
async fn scorers_are_deleted_by_version_or_whole() {
    let app = App::new().await;
    for version in 1..=3 {
        app.registers_scorer("0", "polite", json!({ "v": version })).await;
    }
    let delete = |body: Value| app.v3(Method::DELETE, "scorers/delete", body);
    delete(json!({ "experiment_id": "0", "name": "polite", "version": 2 })).await.ok();
    let refused = delete(json!({ "experiment_id": "0", "name": "polite", "version": 2 })).await;
    assert_eq!(refused.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
    assert_eq!(refused.message(), "Scorer with name 'polite' and version 2 not found for experiment 0.");
    assert_eq!(app.scorers("versions?experiment_id=0&name=polite").await.len(), 2);
    delete(json!({ "experiment_id": "0", "name": "polite" })).await.ok();
    let gone = app.v3(Method::GET, "scorers/get?experiment_id=0&name=polite", NOTHING).await;
    assert_eq!(gone.message(), "Scorer with name 'polite' not found for experiment 0.");
    assert_eq!(app.registers_scorer("0", "polite", json!({})).await["version"], 1);
}

#[tokio::test]
async fn a_scorer_that_cannot_be_kept_is_refused() {
    let app = App::new().await;
    for (body, status) in [
        (json!({ "experiment_id": "0", "name": "n" }), 400),
        (json!({ "experiment_id": "0", "name": " ", "serialized_scorer": "{}" }), 400),
        (json!({ "experiment_id": "0", "name": "n".repeat(257), "serialized_scorer": "{}" }), 400),
        (json!({ "experiment_id": "0", "name": "n", "serialized_scorer": "{" }), 400),
        (json!({ "experiment_id": "0", "name": "n", "serialized_scorer": "[]" }), 400),
        (json!({ "experiment_id": "77", "name": "n", "serialized_scorer": "{}" }), 404),
    ] {
        assert_eq!(app.v3(Method::POST, "scorers/register", body).await.refused().0, status);
    }
    for model in [json!("gateway:/chat"), json!(" "), json!(3)] {
        let scorer = json!({ "instructions_judge_pydantic_data": { "model": model } }).to_string();
        let body = json!({ "experiment_id": "0", "name": "n", "serialized_scorer": scorer });
        assert_eq!(app.v3(Method::POST, "scorers/register", body).await.refused().0, 400, "{model}");
    }
    for query in [
        "list?experiment_id=0&experiment_ids=1",
        "list?experiment_ids=x",
        "get?experiment_id=0",
        "online-configs",
    ] {
        assert_eq!(
            app.v3(Method::GET, &format!("scorers/{query}"), NOTHING).await.refused().0,
            400,
            "{query}"
        );
    }
    let configs = app.v3(Method::GET, "scorers/online-configs?scorer_ids=a", NOTHING).await.ok();
    assert_eq!(configs, json!({ "configs": [] }));
}
