//! Histories of metrics, as charts ask for them.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::app::{App, Response};

impl App {
    /// Logs one metric at these steps; the value is the step, the time ten times the step.
    async fn logs_steps(&self, run_id: &str, steps: impl Iterator<Item = i64>) {
        let points: Vec<Value> = steps
            .map(|step| json!({ "key": "loss", "value": step, "timestamp": step * 10, "step": step }))
            .collect();
        for points in points.chunks(1_000) {
            self.post("runs/log-batch", json!({ "run_id": run_id, "metrics": points })).await.ok();
        }
    }

    async fn interval(&self, query: &str) -> Response {
        self.get(&format!("metrics/get-history-bulk-interval?metric_key=loss&{query}")).await
    }

    async fn bulk(&self, query: &str) -> Response {
        let path = format!("/ajax-api/2.0/mlflow/metrics/get-history-bulk?metric_key=loss&{query}");
        self.send(Method::GET, &path, Body::empty()).await
    }
}

fn steps(answer: &Value) -> Vec<i64> {
    let list = answer["metrics"].as_array().cloned().unwrap_or_default();
    list.iter().map(|point| point["step"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_sample_is_even_and_keeps_the_first_and_the_last_point() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    app.logs_steps(&run_id, 0..1_000).await;
    let whole = app.interval(&format!("run_ids={run_id}")).await.ok();
    assert_eq!(steps(&whole), (0..1_000).collect::<Vec<_>>());
    assert_eq!(
        whole["metrics"][7],
        json!({ "key": "loss", "value": 7.0, "timestamp": 70, "step": 7, "run_id": run_id })
    );
    let sample = steps(&app.interval(&format!("run_ids={run_id}&max_results=10")).await.ok());
    assert_eq!(sample, [0, 100, 200, 300, 400, 500, 600, 700, 800, 999]);
    assert_eq!(steps(&app.interval(&format!("run_ids={run_id}&max_results=1")).await.ok()), [999]);
    let range = format!("run_ids={run_id}&start_step=10&end_step=20&max_results=3");
    assert_eq!(steps(&app.interval(&range).await.ok()), [10, 14, 20]);
    let nothing = format!("run_ids={run_id}&start_step=5000&end_step=6000");
    for query in [nothing.as_str(), "run_ids=none"] {
        assert_eq!(app.interval(query).await.ok(), json!({}), "{query}");
    }
}

#[tokio::test]
async fn points_of_one_step_are_sampled_too_and_nan_is_a_value() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let points: Vec<Value> = (0..100)
        .map(|number| json!({ "key": "loss", "value": number, "timestamp": number }))
        .chain([json!({ "key": "loss", "value": "NaN", "timestamp": 100 })])
        .collect();
    app.post("runs/log-batch", json!({ "run_id": run_id, "metrics": points })).await.ok();
    let sample = app.interval(&format!("run_ids={run_id}&max_results=5")).await.ok();
    let times: Vec<i64> = sample["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|point| point["timestamp"].as_i64().unwrap())
        .collect();
    assert_eq!(times, [0, 21, 41, 61, 100]);
    assert_eq!(sample["metrics"][4]["value"], "NaN");
}

#[tokio::test]
async fn several_runs_come_in_the_order_asked_for_or_together() {
    let app = App::new().await;
    let (first, second) = (app.creates_run().await, app.creates_run().await);
    app.logs_steps(&first, 0..3).await;
    app.logs_steps(&second, 5..7).await;
    let both = app.interval(&format!("run_ids={second}&run_ids={first}")).await.ok();
    assert_eq!(steps(&both), [5, 6, 0, 1, 2]);
    let joined = app.bulk(&format!("run_id={second}&run_id={first}&run_id=none")).await.ok();
    assert_eq!(steps(&joined), [0, 1, 2, 5, 6]);
    assert_eq!(steps(&app.bulk(&format!("run_id={first}&max_results=2")).await.ok()), [0, 1]);
    assert_eq!(app.bulk("run_id=none").await.ok(), json!({ "metrics": [] }));
}

#[tokio::test]
async fn what_cannot_be_sampled_is_refused() {
    let app = App::new().await;
    let run_id = app.creates_run().await;
    let many: Vec<String> = (0..101).map(|number| format!("run_ids=r{number}")).collect();
    for query in [
        String::new(),
        many.join("&"),
        format!("run_ids={run_id}&max_results=0"),
        format!("run_ids={run_id}&max_results=2501"),
        format!("run_ids={run_id}&start_step=1"),
        format!("run_ids={run_id}&start_step=2&end_step=1"),
        format!("run_ids={run_id}&start_step=a&end_step=b"),
    ] {
        assert_eq!(app.interval(&query).await.refused().0, 400, "{query}");
    }
    for query in
        [String::new(), many.join("&").replace("run_ids", "run_id"), format!("run_id={run_id}&max_results=0")]
    {
        assert_eq!(app.bulk(&query).await.refused().0, 400, "{query}");
    }
    let no_key = app.get(&format!("metrics/get-history-bulk-interval?run_ids={run_id}")).await;
    assert_eq!(no_key.refused().0, 400);
}
