//! Evaluation data sets and their records.

use http::Method;
use serde_json::{Value, json};

use super::app::App;

const NOTHING: Value = Value::Null;

impl App {
    async fn creates_dataset(&self, name: &str, tags: Value) -> String {
        let body = json!({ "name": name, "experiment_ids": ["0"], "tags": tags.to_string() });
        let made = self.v3(Method::POST, "datasets/create", body).await.ok();
        made["dataset"]["dataset_id"].as_str().unwrap().to_owned()
    }

    async fn adds_records(&self, dataset_id: &str, records: Value) -> (u64, u64) {
        let body = json!({ "records": records.to_string() });
        let path = format!("datasets/{dataset_id}/records");
        let counts = self.v3(Method::POST, &path, body).await.ok();
        (counts["inserted_count"].as_u64().unwrap(), counts["updated_count"].as_u64().unwrap())
    }

    async fn records(&self, dataset_id: &str, query: &str) -> (Vec<Value>, Option<String>) {
        let path = format!("datasets/{dataset_id}/records?{query}");
        let page = self.v3(Method::GET, &path, NOTHING).await.ok();
        let records = serde_json::from_str(page["records"].as_str().unwrap()).unwrap();
        (records, page["next_page_token"].as_str().map(str::to_owned))
    }

    async fn dataset(&self, dataset_id: &str) -> Value {
        self.v3(Method::GET, &format!("datasets/{dataset_id}"), NOTHING).await.ok()["dataset"].clone()
    }

    async fn finds_datasets(&self, body: Value) -> (Vec<String>, Option<String>) {
        let page = self.v3(Method::POST, "datasets/search", body).await.ok();
        let names = page["datasets"]
            .as_array()
            .map(|list| list.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect());
        (names.unwrap_or_default(), page["next_page_token"].as_str().map(str::to_owned))
    }
}

#[tokio::test]
async fn a_data_set_comes_back_as_it_was_made() {
    let app = App::new().await;
    let dataset_id =
        app.creates_dataset("questions", json!({ "mlflow.user": "ann", "n": 3, "on": true })).await;
    let dataset = app.dataset(&dataset_id).await;
    assert!(dataset_id.starts_with("d-"));
    assert_eq!(dataset["name"], "questions");
    assert_eq!(dataset["created_by"], "ann");
    assert_eq!(dataset["experiment_ids"], json!(["0"]));
    assert_eq!(dataset["digest"].as_str().map(str::len), Some(8));
    let tags: Value = serde_json::from_str(dataset["tags"].as_str().unwrap()).unwrap();
    assert_eq!(tags, json!({ "mlflow.user": "ann", "n": "3", "on": "True" }));
    assert_eq!((dataset.get("schema"), dataset.get("profile")), (None, None), "it has no records yet");
    for _ in 0..2 {
        let gone = app.v3(Method::DELETE, &format!("datasets/{dataset_id}"), NOTHING).await;
        assert_eq!(gone.ok(), json!({}));
    }
    let missing = app.v3(Method::GET, &format!("datasets/{dataset_id}"), NOTHING).await;
    assert_eq!(missing.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
    let none = app.v3(Method::GET, &format!("datasets/{dataset_id}/experiment-ids"), NOTHING).await;
    assert_eq!(none.ok(), json!({}));
}

#[tokio::test]
async fn records_with_the_same_inputs_are_one_record() {
    let app = App::new().await;
    let dataset_id = app.creates_dataset("questions", json!({})).await;
    let first = json!([
        { "inputs": { "a": 1, "b": 2 }, "outputs": "x", "expectations": { "e": 1 }, "tags": { "mlflow.user": "ann" },
          "source": { "source_type": "trace", "source_data": { "trace_id": "tr-1" } } },
        { "inputs": { "b": 2, "a": 1 }, "expectations": { "f": 2 } },
        { "inputs": { "a": 2 } },
    ]);
    assert_eq!(app.adds_records(&dataset_id, first).await, (2, 1));
    let (records, _) = app.records(&dataset_id, "").await;
    assert_eq!(records.len(), 2);
    let one = &records[0];
    assert_eq!(one["inputs"].to_string(), r#"{"a":1,"b":2}"#);
    assert_eq!((one["outputs"].as_str(), &one["expectations"]), (Some("x"), &json!({ "e": 1, "f": 2 })));
    assert_eq!(one["source"], json!({ "source_type": "TRACE", "source_data": { "trace_id": "tr-1" } }));
    assert_eq!((one["source_id"].as_str(), one["source_type"].as_str()), (Some("tr-1"), Some("TRACE")));
    assert_eq!((one["created_by"].as_str(), one["last_updated_by"].as_str()), (Some("ann"), Some("ann")));
    assert_eq!(records[1]["outputs"], json!({}), "what is not said is an empty object");
    let dataset = app.dataset(&dataset_id).await;
    assert_eq!(dataset["profile"], r#"{"num_records":2}"#);
    let schema: Value = serde_json::from_str(dataset["schema"].as_str().unwrap()).unwrap();
    assert_eq!(schema["inputs"], json!({ "a": "integer", "b": "integer" }));
    assert_eq!(
        app.adds_records(&dataset_id, json!([{ "inputs": { "a": 2 }, "outputs": null }])).await,
        (0, 1)
    );
    let (records, _) = app.records(&dataset_id, "").await;
    assert_eq!(records[1].get("outputs"), None);
    assert_eq!(app.adds_records(&dataset_id, json!([])).await, (0, 0));
}

#[tokio::test]
async fn records_are_read_page_by_page_and_deleted_by_id() {
    let app = App::new().await;
    let dataset_id = app.creates_dataset("questions", json!({})).await;
    let given: Vec<Value> = (0..7).map(|number| json!({ "inputs": { "n": number } })).collect();
    app.adds_records(&dataset_id, json!(given)).await;
    let (first, token) = app.records(&dataset_id, "max_results=3").await;
    let token = token.unwrap();
    let ids: Vec<&str> = first.iter().map(|one| one["dataset_record_id"].as_str().unwrap()).collect();
    // A record of the first page that goes away moves nothing on the second.
    let body = json!({ "dataset_record_ids": [ids[0], "dr-none"] });
    let path = format!("datasets/{dataset_id}/records");
    assert_eq!(app.v3(Method::DELETE, &path, body).await.ok()["deleted_count"], 1);
    let query = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("max_results", "3")
        .append_pair("page_token", &token)
        .finish();
    let (second, more) = app.records(&dataset_id, &query).await;
    let numbers: Vec<i64> = second.iter().map(|one| one["inputs"]["n"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [3, 4, 5]);
    assert!(more.is_some());
    assert_eq!(app.dataset(&dataset_id).await["profile"], r#"{"num_records":6}"#);
    let other = app.creates_dataset("answers", json!({})).await;
    for (path, status) in [
        (format!("datasets/{other}/records?page_token={token}"), 400),
        (format!("datasets/{dataset_id}/records?page_token=x"), 400),
        (format!("datasets/{dataset_id}/records?max_results=-1"), 400),
        ("datasets/d-none/records".to_owned(), 404),
    ] {
        assert_eq!(app.v3(Method::GET, &path, NOTHING).await.refused().0, status, "{path}");
    }
}

#[tokio::test]
async fn wrong_records_leave_no_trace() {
    let app = App::new().await;
    let dataset_id = app.creates_dataset("questions", json!({})).await;
    let path = format!("datasets/{dataset_id}/records");
    for records in [
        "{".to_owned(),
        "{}".to_owned(),
        json!([{ "inputs": { "a": 1 } }, { "outputs": 1 }]).to_string(),
        json!([{ "inputs": { "a": 1 }, "source": { "source_type": "MAGIC" } }]).to_string(),
    ] {
        let refused = app.v3(Method::POST, &path, json!({ "records": records })).await;
        assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{records}");
    }
    assert_eq!(app.records(&dataset_id, "").await.0.len(), 0);
    let nowhere = app.v3(Method::POST, "datasets/d-none/records", json!({ "records": "[]" })).await;
    assert_eq!(nowhere.refused().0, 404);
}

#[tokio::test]
async fn searches_filter_order_and_continue_after_the_last_row() {
    let app = App::new().await;
    app.post("experiments/create", json!({ "name": "other" })).await.ok();
    for (name, team) in
        [("alpha", "ops"), ("Beta", "ops"), ("gamma", "dev"), ("delta", "dev"), ("beta", "dev")]
    {
        app.creates_dataset(name, json!({ "team": team, "mlflow.user": team })).await;
    }
    let find = |filter: &str| json!({ "filter_string": filter, "order_by": ["name ASC"] });
    for (filter, names) in [
        ("", vec!["Beta", "alpha", "beta", "delta", "gamma"]),
        ("name = 'alpha'", vec!["alpha"]),
        ("name LIKE 'b%'", vec!["beta"]),
        ("name ILIKE 'B%'", vec!["Beta", "beta"]),
        ("name IN ('alpha', 'gamma')", vec!["alpha", "gamma"]),
        ("tags.team = 'ops'", vec!["Beta", "alpha"]),
        ("tags.team LIKE 'd%' AND name != 'beta'", vec!["delta", "gamma"]),
        ("created_by = 'ops'", vec!["Beta", "alpha"]),
        (
            "created_time >= 1700000000000 AND last_update_time < 1700000000001 AND name = 'delta'",
            vec!["delta"],
        ),
        ("created_time > 1700000000000", vec![]),
        ("tags.none = 'x'", vec![]),
    ] {
        assert_eq!(app.finds_datasets(find(filter)).await.0, names, "{filter}");
    }
    for filter in ["", "name LIKE '%a%'", "name LIKE '%a'"] {
        let mut body = json!({ "filter_string": filter, "order_by": ["name DESC"], "max_results": 2 });
        let mut names = Vec::new();
        loop {
            let (found, token) = app.finds_datasets(body.clone()).await;
            assert!(found.len() <= 2 && !found.is_empty());
            names.extend(found);
            match token {
                Some(token) => body["page_token"] = token.into(),
                None => break,
            }
        }
        assert_eq!(names, ["gamma", "delta", "beta", "alpha", "Beta"], "{filter}");
    }
    assert_eq!(app.finds_datasets(json!({ "experiment_ids": ["0"] })).await.0.len(), 5);
    for none in ["1", "x"] {
        assert_eq!(app.finds_datasets(json!({ "experiment_ids": [none] })).await.0.len(), 0);
    }
    let query =
        "datasets/search?experiment_ids=0&filter_string=name%3D%27alpha%27&max_results=1&order_by=name";
    let found = app.v3(Method::GET, query, NOTHING).await.ok();
    assert_eq!(found["datasets"][0]["name"], "alpha");
}

#[tokio::test]
async fn a_search_that_cannot_be_read_is_refused() {
    let app = App::new().await;
    let (_, token) = {
        app.creates_dataset("a", json!({})).await;
        app.creates_dataset("b", json!({})).await;
        app.finds_datasets(json!({ "max_results": 1 })).await
    };
    for body in [
        json!({ "filter_string": "colour = 'red'" }),
        json!({ "filter_string": "name = 'a' OR name = 'b'" }),
        json!({ "filter_string": "created_time = 'x'" }),
        json!({ "filter_string": "metrics.a > 1" }),
        json!({ "order_by": ["created_by"] }),
        json!({ "order_by": ["tags.team"] }),
        json!({ "max_results": 0 }),
        json!({ "max_results": 50_001 }),
        json!({ "page_token": "x" }),
        json!({ "page_token": token, "order_by": ["name"] }),
    ] {
        let refused = app.v3(Method::POST, "datasets/search", body.clone()).await;
        assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{body}");
    }
}

#[tokio::test]
async fn tags_and_experiments_are_set_and_taken_away() {
    let app = App::new().await;
    let other =
        app.post("experiments/create", json!({ "name": "other" })).await.ok()["experiment_id"].clone();
    let dataset_id = app.creates_dataset("questions", json!({ "a": "1", "b": "1" })).await;
    let path = format!("datasets/{dataset_id}/tags");
    let tags = json!({ "a": "2", "b": null, "c": 3 }).to_string();
    app.v3(Method::PATCH, &path, json!({ "tags": tags })).await.ok();
    app.v3(Method::DELETE, &format!("{path}/c"), NOTHING).await.ok();
    app.v3(Method::DELETE, &format!("{path}/c"), NOTHING).await.ok();
    assert_eq!(app.dataset(&dataset_id).await["tags"], r#"{"a":"2"}"#);
    let add = format!("datasets/{dataset_id}/add-experiments");
    for _ in 0..2 {
        let added = app.v3(Method::POST, &add, json!({ "experiment_ids": [other] })).await.ok();
        assert_eq!(added["dataset"]["experiment_ids"], json!(["0", "1"]));
    }
    let ids = app.v3(Method::GET, &format!("datasets/{dataset_id}/experiment-ids"), NOTHING).await.ok();
    assert_eq!(ids, json!({ "experiment_ids": ["0", "1"] }));
    let remove = format!("datasets/{dataset_id}/remove-experiments");
    let removed = app.v3(Method::POST, &remove, json!({ "experiment_ids": ["0", "77"] })).await.ok();
    assert_eq!(removed["dataset"]["experiment_ids"], json!(["1"]));
    for (path, body, status) in [
        (path.as_str(), json!({ "tags": "[]" }), 400),
        (path.as_str(), json!({ "tags": "{\"a\": {}}" }), 400),
        (path.as_str(), json!({ "tags": json!({ "k": "v".repeat(5_001) }).to_string() }), 400),
        ("datasets/d-none/tags", json!({ "tags": "{}" }), 404),
    ] {
        assert_eq!(app.v3(Method::PATCH, path, body).await.refused().0, status);
    }
    for (id, status) in [("77", 404), ("x", 400)] {
        let refused = app.v3(Method::POST, &add, json!({ "experiment_ids": [id] })).await;
        assert_eq!(refused.refused().0, status, "{id}");
    }
    for (body, status) in [
        (json!({}), 400),
        (json!({ "name": " " }), 400),
        (json!({ "name": "n".repeat(256) }), 400),
        (json!({ "name": "n", "experiment_ids": ["77"] }), 404),
        (json!({ "name": "n", "tags": "x" }), 400),
    ] {
        assert_eq!(app.v3(Method::POST, "datasets/create", body).await.refused().0, status);
    }
}
