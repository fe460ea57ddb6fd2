//! Searches: filters, orders, pages.

use serde_json::{Value, json};

use crate::app::App;

/// Four runs, named by their param `p`: auc 0.5, 0.9, NaN and none.
async fn four_runs(app: &App) {
    for (name, start, auc) in
        [("low", 1, json!(0.5)), ("High", 2, json!(0.9)), ("nan", 3, json!("NaN")), ("none", 4, Value::Null)]
    {
        let body = json!({ "experiment_id": "0", "run_name": name, "start_time": start });
        let run = app.post("runs/create", body).await.ok();
        let run_id = run["run"]["info"]["run_id"].clone();
        let metrics =
            if auc.is_null() { json!([]) } else { json!([{ "key": "auc", "value": auc, "timestamp": 1 }]) };
        let batch = json!({
            "run_id": run_id, "metrics": metrics, "params": [{ "key": "p", "value": name }],
            "tags": if start % 2 == 0 { json!([{ "key": "even", "value": "Yes" }]) } else { json!([]) },
        });
        app.post("runs/log-batch", batch).await.ok();
        if name == "low" {
            let dataset = json!({ "name": "Autumn", "digest": "d1", "source_type": "local", "source": "x" });
            let tags = json!([{ "key": "mlflow.data.context", "value": "train" }]);
            let inputs = json!({ "run_id": run_id, "datasets": [{ "dataset": dataset, "tags": tags }] });
            app.post("runs/log-inputs", inputs).await.ok();
        }
    }
}

fn names(found: &Value) -> Vec<&str> {
    let runs = found["runs"].as_array().map(Vec::as_slice).unwrap_or_default();
    runs.iter().map(|run| run["info"]["run_name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn filters_match_what_they_say() {
    let app = App::new().await;
    four_runs(&app).await;
    for (filter, expected) in [
        ("", vec!["none", "nan", "High", "low"]),
        ("metrics.auc > 0.5", vec!["High"]),
        ("metrics.auc >= 0.5", vec!["High", "low"]),
        ("metrics.auc != 0.5", vec!["High"]),
        ("params.p = 'low'", vec!["low"]),
        ("params.p != 'low'", vec!["none", "nan", "High"]),
        ("params.p LIKE 'H%'", vec!["High"]),
        ("params.p LIKE 'h%'", vec![]),
        ("params.p ILIKE 'h%'", vec!["High"]),
        ("params.p LIKE 'n_n%'", vec!["none", "nan"]),
        ("tags.even IS NULL", vec!["nan", "low"]),
        ("tags.even IS NOT NULL and params.p ILIKE '%'", vec!["none", "High"]),
        ("tags.even != 'No'", vec!["none", "High"]),
        ("attributes.run_name = 'nan'", vec!["nan"]),
        ("start_time >= 2 and start_time < 4", vec!["nan", "High"]),
        ("status = 'RUNNING' and params.none = 'x'", vec![]),
        ("dataset.name = 'Autumn'", vec!["low"]),
        ("dataset.name LIKE 'autumn'", vec![]),
        ("dataset.name ILIKE 'autumn' and dataset.context IN ('train', 'eval')", vec!["low"]),
        ("dataset.name LIKE 'Aut%'", vec!["low"]),
        ("dataset.digest != 'd1'", vec![]),
        ("params.`p` = 'low''", vec!["error"]),
        ("params.p = 'x' OR params.p = 'low'", vec!["error"]),
        ("params.p LIKE '%''; DROP TABLE runs; --'", vec!["error"]),
    ] {
        let response = app.post("runs/search", json!({ "experiment_ids": ["0"], "filter": filter })).await;
        if expected == ["error"] {
            assert_eq!(response.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{filter}");
        } else {
            assert_eq!(names(&response.ok()), expected, "{filter}");
        }
    }
}

#[tokio::test]
async fn what_is_no_number_and_what_is_missing_come_last_in_both_directions() {
    let app = App::new().await;
    four_runs(&app).await;
    for (order, expected) in [
        ("metrics.auc DESC", ["High", "low", "nan", "none"]),
        ("metrics.auc ASC", ["low", "High", "nan", "none"]),
        ("tags.even DESC", ["none", "High", "nan", "low"]),
        ("attributes.start_time", ["low", "High", "nan", "none"]),
        ("params.p", ["High", "low", "nan", "none"]),
    ] {
        let body = json!({ "experiment_ids": ["0"], "order_by": [order] });
        assert_eq!(names(&app.post("runs/search", body).await.ok()), expected, "{order}");
    }
}

#[tokio::test]
async fn pages_follow_one_another_with_and_without_a_pattern() {
    let app = App::new().await;
    four_runs(&app).await;
    for filter in ["", "params.p LIKE '%'"] {
        let mut seen = Vec::new();
        let mut token = String::new();
        loop {
            let body =
                json!({ "experiment_ids": ["0"], "filter": filter, "max_results": 3, "page_token": token });
            let found = app.post("runs/search", body).await.ok();
            seen.extend(names(&found).into_iter().map(str::to_owned));
            match found["next_page_token"].as_str() {
                Some(next) => token = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, ["none", "nan", "High", "low"], "{filter}");
    }
    for (size, token) in [(0, ""), (-1, ""), (50_001, ""), (5, "bogus")] {
        let body = json!({ "experiment_ids": ["0"], "max_results": size, "page_token": token });
        assert_eq!(app.post("runs/search", body).await.refused().0, 400, "{size} {token}");
    }
}

#[tokio::test]
async fn a_search_sees_only_its_experiments_and_lifecycle() {
    let app = App::new().await;
    four_runs(&app).await;
    let run = app.post("runs/search", json!({ "experiment_ids": ["0"], "max_results": 1 })).await.ok();
    app.post("runs/delete", json!({ "run_id": run["runs"][0]["info"]["run_id"] })).await.ok();
    for (body, count) in [
        (json!({ "experiment_ids": ["0"] }), 3),
        (json!({ "experiment_ids": ["0"], "run_view_type": "DELETED_ONLY" }), 1),
        (json!({ "experiment_ids": ["0"], "run_view_type": "ALL" }), 4),
        (json!({ "experiment_ids": ["1", "x"] }), 0),
        (json!({}), 0),
    ] {
        assert_eq!(names(&app.post("runs/search", body.clone()).await.ok()).len(), count, "{body}");
    }
}

#[tokio::test]
async fn logged_models_are_found_by_their_scores_on_a_data_set() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    for (content, auc) in [("a", 0.6), ("b", 0.8)] {
        let model_id = app.logs_model(content).await;
        app.evaluates(&run_id, &model_id, auc).await;
        let spring = json!({
            "run_id": run_id, "key": "auc", "value": 1.0 - auc, "timestamp": 9, "model_id": model_id,
            "dataset_name": "spring",
        });
        app.post("runs/log-metric", spring).await.ok();
    }
    let values = |found: &Value| -> Vec<f64> {
        let models = found["models"].as_array().cloned().unwrap_or_default();
        let score = |model: &Value| model["data"]["metrics"][0]["value"].as_f64().unwrap();
        models.iter().map(score).collect()
    };
    let autumn = json!([{ "dataset_name": "autumn" }]);
    let body = json!({ "experiment_ids": ["0"], "filter": "metrics.auc > 0.7", "datasets": autumn });
    assert_eq!(values(&app.post("logged-models/search", body).await.ok()), [0.8]);
    let order = json!([{ "field_name": "metrics.auc", "ascending": false, "dataset_name": "autumn" }]);
    let body = json!({ "experiment_ids": ["0"], "order_by": order });
    assert_eq!(values(&app.post("logged-models/search", body).await.ok()), [0.8, 0.6]);
}
