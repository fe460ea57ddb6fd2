//! Searches: filters, orders, pages.

use serde_json::{Value, json};

use super::app::App;

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

/// What a run of the random searches is, beside its name.
struct Made {
    name: String,
    auc: Option<f64>,
    loss: Option<f64>,
    kind: Option<&'static str>,
    start: i64,
}

/// Forty runs whose values repeat, are no numbers, or are missing.
async fn made_runs(app: &App) -> Vec<Made> {
    let mut made = Vec::new();
    for number in 0_i64..40 {
        let value = |modulus: i64, factor: i64| match (number * factor) % modulus {
            0 => None,
            1 => Some(f64::NAN),
            other => Some(other as f64 / 4.0 - 1.0),
        };
        let run = Made {
            name: format!("run-{number:02}"),
            auc: value(9, 7),
            loss: value(5, 3),
            kind: [None, Some("a"), Some("B"), Some("b")][(number % 4) as usize],
            start: (number * 11) % 13,
        };
        let body = json!({ "experiment_id": "0", "run_name": run.name, "start_time": run.start });
        let run_id = app.post("runs/create", body).await.ok()["run"]["info"]["run_id"].clone();
        let number = |value: f64| if value.is_nan() { json!("NaN") } else { json!(value) };
        let metric = |key, value: Option<f64>| {
            value.map(|value| json!({ "key": key, "value": number(value), "timestamp": 1 }))
        };
        let metrics: Vec<Value> = [metric("auc", run.auc), metric("loss", run.loss)].into_iter().flatten().collect();
        let params: Vec<Value> = run.kind.map(|kind| json!({ "key": "kind", "value": kind })).into_iter().collect();
        let batch = json!({ "run_id": run_id, "metrics": metrics, "params": params });
        app.post("runs/log-batch", batch).await.ok();
        made.push(run);
    }
    made
}

/// All names, read page after page of `size` rows.
async fn paged(app: &App, mut search: Value, size: usize) -> Vec<String> {
    search["experiment_ids"] = json!(["0"]);
    search["max_results"] = json!(size);
    let mut all = Vec::new();
    loop {
        let found = app.post("runs/search", search.clone()).await.ok();
        let page = names(&found).into_iter().map(str::to_owned).collect::<Vec<_>>();
        assert!(page.len() <= size);
        all.extend(page);
        match found["next_page_token"].as_str() {
            Some(token) => search["page_token"] = json!(token),
            None => return all,
        }
    }
}

/// Numbers in order, then what is no number, then what is missing.
fn by_metric(one: Option<f64>, other: Option<f64>, ascending: bool) -> std::cmp::Ordering {
    let rank = |value: Option<f64>| value.map_or(2, |value| u8::from(value.is_nan()));
    rank(one).cmp(&rank(other)).then_with(|| match (one, other) {
        (Some(one), Some(other)) if !one.is_nan() => {
            if ascending { one.total_cmp(&other) } else { other.total_cmp(&one) }
        }
        _ => std::cmp::Ordering::Equal,
    })
}

#[tokio::test]
async fn every_page_size_gives_the_same_order_with_ties_and_missing_values() {
    let app = App::new().await;
    let mut made = made_runs(&app).await;
    type Fits = fn(&Made) -> bool;
    let filters: [(&str, Fits); 5] = [
        ("", |_| true),
        ("metrics.auc > 0.1", |run| run.auc.is_some_and(|auc| auc > 0.1)),
        ("metrics.loss != -0.5 and metrics.auc <= 0.75", |run| {
            run.loss.is_some_and(|loss| !loss.is_nan() && loss != -0.5) && run.auc.is_some_and(|auc| auc <= 0.75)
        }),
        ("params.kind LIKE 'b'", |run| run.kind == Some("b")),
        ("params.kind ILIKE 'b' and metrics.loss < 5", |run| {
            run.kind.is_some_and(|kind| kind != "a") && run.loss.is_some_and(|loss| loss < 5.0)
        }),
    ];
    for ascending in [true, false] {
        let direction = if ascending { "ASC" } else { "DESC" };
        for leading in ["metrics.auc", "metrics.loss", "params.kind", "start_time"] {
            made.sort_by(|one, other| {
                let first = match leading {
                    "metrics.auc" => by_metric(one.auc, other.auc, ascending),
                    "metrics.loss" => by_metric(one.loss, other.loss, ascending),
                    "params.kind" => one.kind.is_none().cmp(&other.kind.is_none()).then_with(|| {
                        if ascending { one.kind.cmp(&other.kind) } else { other.kind.cmp(&one.kind) }
                    }),
                    _ if ascending => one.start.cmp(&other.start),
                    _ => other.start.cmp(&one.start),
                };
                // Names are unique, so the order is whole.
                first.then_with(|| by_metric(one.loss, other.loss, true)).then_with(|| one.name.cmp(&other.name))
            });
            let order = json!([format!("{leading} {direction}"), "metrics.loss", "run_name"]);
            for (filter, fits) in filters {
                let expected: Vec<&str> =
                    made.iter().filter(|run| fits(run)).map(|run| run.name.as_str()).collect();
                for size in [1, 7, 1_000] {
                    let found = paged(&app, json!({ "filter": filter, "order_by": order }), size).await;
                    assert_eq!(found, expected, "{filter} by {leading} {direction}, pages of {size}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_page_begins_where_the_one_before_ended_whatever_came_or_went_meanwhile() {
    let app = App::new().await;
    made_runs(&app).await;
    for order in [json!(["metrics.auc DESC", "run_name"]), json!(["run_name"])] {
        let mut search = json!({ "experiment_ids": ["0"], "max_results": 10, "order_by": order });
        let all = paged(&app, search.clone(), 1_000).await;
        let first = app.post("runs/search", search.clone()).await.ok();
        // A run that is before all others, and one of the first page that goes.
        let body = json!({ "experiment_id": "0", "run_name": " first" });
        let run_id = app.post("runs/create", body).await.ok()["run"]["info"]["run_id"].clone();
        let metric = json!({ "run_id": run_id, "key": "auc", "value": 99, "timestamp": 1 });
        app.post("runs/log-metric", metric).await.ok();
        let gone = first["runs"][3]["info"]["run_id"].clone();
        app.post("runs/delete", json!({ "run_id": gone })).await.ok();

        search["page_token"] = first["next_page_token"].clone();
        let second = app.post("runs/search", search).await.ok();

        assert_eq!(names(&second), all[10..20].iter().map(String::as_str).collect::<Vec<_>>());
        app.post("runs/restore", json!({ "run_id": gone })).await.ok();
        app.post("runs/delete", json!({ "run_id": run_id })).await.ok();
    }
}

/// Above a bound a condition is asked of each run instead of beginning with those that fit.
#[tokio::test]
async fn a_condition_that_many_fit_finds_what_one_that_few_fit_finds() {
    let app = App::new().await;
    let mut transaction = app.store.begin().await.unwrap();
    let (mut runs, mut metrics) = (Vec::new(), Vec::new());
    for number in 0_i64..2_100 {
        let run_id = format!("{number:032}");
        runs.push(shipway_store::parameters![
            run_id.as_str(), 0_i64, format!("run-{number:04}"), "unknown", "RUNNING", number, run_id.as_str(), "active"
        ]);
        metrics.push(shipway_store::parameters![run_id.as_str(), "auc", 0_i64, 0_i64, 1_i64, number as f64, 0_i64]);
    }
    let sql = "INSERT INTO runs (run_id, experiment_id, name, user_id, status, start_ms, artifact_root, lifecycle) VALUES {rows}";
    transaction.insert_rows(sql, runs).await.unwrap();
    let sql = "INSERT INTO latest_metrics (run_id, key, experiment_id, step, timestamp_ms, value, is_nan) VALUES {rows}";
    transaction.insert_rows(sql, metrics).await.unwrap();
    transaction.commit().await.unwrap();
    let expected: Vec<String> = (0..2_100).rev().map(|number| format!("run-{number:04}")).collect();
    for (filter, count) in [("metrics.auc >= 0", 2_100), ("metrics.auc >= 2090", 10), ("metrics.auc < 0", 0)] {
        for order in [json!([]), json!(["metrics.auc DESC"]), json!(["metrics.loss", "start_time DESC"])] {
            let found = paged(&app, json!({ "filter": filter, "order_by": order }), 900).await;
            assert_eq!(found, expected[..count], "{filter} {order}");
        }
    }
}

/// Thirty runs called 0 to 29; those that 3 divides have `m0`, counted from 0, every run but the last three has `m1`, in sevens.
async fn thirty_runs(app: &App) {
    for number in 0..30_i64 {
        let body = json!({ "experiment_id": "0", "run_name": number.to_string(), "start_time": number });
        let run = app.post("runs/create", body).await.ok();
        let mut metrics = Vec::new();
        if number % 3 == 0 {
            metrics.push(json!({ "key": "m0", "value": number / 3, "timestamp": 1 }));
        }
        match number {
            27.. => {}
            26 => metrics.push(json!({ "key": "m1", "value": "NaN", "timestamp": 1 })),
            _ => metrics.push(json!({ "key": "m1", "value": number % 7, "timestamp": 1 })),
        }
        let batch = json!({ "run_id": run["run"]["info"]["run_id"], "metrics": metrics });
        app.post("runs/log-batch", batch).await.ok();
    }
}

async fn all_pages(app: &App, filter: &str, order: &str, size: i64) -> Vec<i64> {
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let body = json!({
            "experiment_ids": ["0"], "filter": filter, "order_by": [order], "max_results": size, "page_token": token,
        });
        let found = app.post("runs/search", body).await.ok();
        seen.extend(names(&found).into_iter().map(|name| name.parse::<i64>().unwrap()));
        match found["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return seen,
        }
    }
}

/// Few runs fit the first two filters, and many the others: the two ways of a condition on a metric.
#[tokio::test]
async fn a_condition_on_a_metric_finds_the_same_runs_whether_few_or_many_fit_and_page_by_page() {
    let app = App::new().await;
    thirty_runs(&app).await;
    let fits = |filter: &str, number: i64| match filter {
        "metrics.m0 > 7" => number % 3 == 0 && number / 3 > 7,
        "metrics.m0 = 0" => number == 0,
        "metrics.m0 >= 2" => number % 3 == 0 && number / 3 >= 2,
        _ => true,
    };
    // The place of a run by `m1`: numbers, then what is none, then runs without it; later starts first.
    let place = |number: i64, direction: i64| match number {
        27.. => (2, 0, -number),
        26 => (1, 0, -number),
        _ => (0, direction * (number % 7), -number),
    };
    for filter in ["metrics.m0 > 7", "metrics.m0 = 0", "metrics.m0 >= 2", ""] {
        for (order, direction) in [("metrics.m1 DESC", -1), ("metrics.m1 ASC", 1)] {
            let mut expected: Vec<i64> = (0..30).filter(|number| fits(filter, *number)).collect();
            expected.sort_by_key(|number| place(*number, direction));
            for size in [1, 4, 100] {
                let found = all_pages(&app, filter, order, size).await;
                assert_eq!(found, expected, "{filter} {order} {size}");
            }
        }
    }
}
