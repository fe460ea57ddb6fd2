//! Numbers over many traces, spans and assessments.

use http::Method;
use serde_json::{Value, json};

use super::app::{App, Response, span};

async fn asks(app: &App, question: Value) -> Response {
    let mut body = json!({ "experiment_ids": ["0"] });
    body.as_object_mut().unwrap().extend(question.as_object().unwrap().clone());
    app.call(Method::POST, "traces/metrics", body).await
}

async fn answer(app: &App, question: Value) -> Value {
    asks(app, question).await.ok()["data_points"].clone()
}

async fn some_traces(app: &App) {
    for (id, second, name, took, state) in [
        ("a", 1, "chat", "0.1s", "OK"),
        ("b", 2, "chat", "0.4s", "ERROR"),
        ("c", 61, "chat", "0.2s", "OK"),
        ("d", 62, "embed", "1s", "OK"),
    ] {
        let start = format!("1970-01-01T00:0{}:{:02}Z", second / 60, second % 60);
        let more = json!({
            "execution_duration": took, "state": state, "tags": { "mlflow.traceName": name },
            "trace_metadata": {
                "mlflow.trace.session": if name == "chat" { "s" } else { "t" },
                "mlflow.trace.tokenUsage": "{\"input_tokens\": 10, \"total_tokens\": 12}",
            },
        });
        app.tells_trace(&format!("tr-{id}"), &start, more).await;
    }
}

#[tokio::test]
async fn traces_are_counted_summed_and_ranked_in_groups() {
    let app = App::new().await;
    some_traces(&app).await;
    let count = json!([{ "aggregation_type": "COUNT" }]);
    let all =
        answer(&app, json!({ "view_type": "TRACES", "metric_name": "trace_count", "aggregations": count }))
            .await;
    assert_eq!(all, json!([{ "metric_name": "trace_count", "values": { "COUNT": 4.0 } }]));
    let grouped = json!({
        "view_type": "TRACES", "metric_name": "trace_count", "aggregations": count,
        "dimensions": ["trace_name", "trace_status"],
    });
    assert_eq!(
        answer(&app, grouped).await,
        json!([
            { "metric_name": "trace_count", "dimensions": { "trace_name": "chat", "trace_status": "ERROR" }, "values": { "COUNT": 1.0 } },
            { "metric_name": "trace_count", "dimensions": { "trace_name": "chat", "trace_status": "OK" }, "values": { "COUNT": 2.0 } },
            { "metric_name": "trace_count", "dimensions": { "trace_name": "embed", "trace_status": "OK" }, "values": { "COUNT": 1.0 } },
        ])
    );
    let latency = json!({
        "view_type": "TRACES", "metric_name": "latency", "dimensions": ["trace_name"],
        "aggregations": [
            { "aggregation_type": "AVG" }, { "aggregation_type": "MIN" }, { "aggregation_type": "MAX" },
            { "aggregation_type": "PERCENTILE", "percentile_value": 50 },
            { "aggregation_type": "PERCENTILE", "percentile_value": 75 },
            { "aggregation_type": "PERCENTILE", "percentile_value": 100 },
        ],
        "filters": ["trace.tag.`mlflow.traceName` = 'chat'"],
    });
    let values = answer(&app, latency).await[0]["values"].clone();
    let average = values["AVG"].as_f64().unwrap();
    assert!((average - 700.0 / 3.0).abs() < 1e-9, "{average}");
    assert_eq!((&values["MIN"], &values["MAX"]), (&json!(100.0), &json!(400.0)));
    assert_eq!(
        (&values["P50.0"], &values["P75.0"], &values["P100.0"]),
        (&json!(200.0), &json!(300.0), &json!(400.0))
    );
    let sessions = json!({ "view_type": "TRACES", "metric_name": "session_count", "aggregations": count });
    assert_eq!(answer(&app, sessions).await[0]["values"], json!({ "COUNT": 2.0 }));
    let buckets = json!({
        "view_type": "TRACES", "metric_name": "input_tokens", "aggregations": [{ "aggregation_type": "SUM" }],
        "time_interval_seconds": 60, "start_time_ms": 0, "end_time_ms": 61_500,
    });
    assert_eq!(
        answer(&app, buckets).await,
        json!([
            { "metric_name": "input_tokens", "dimensions": { "time_bucket": "1970-01-01T00:00:00+00:00" }, "values": { "SUM": 20.0 } },
            { "metric_name": "input_tokens", "dimensions": { "time_bucket": "1970-01-01T00:01:00+00:00" }, "values": { "SUM": 10.0 } },
        ])
    );
}

#[tokio::test]
async fn spans_and_assessments_have_their_own_numbers() {
    let app = App::new().await;
    let cost = |amount: &str| json!({ "mlflow.llm.cost": format!("{{\"total_cost\": {amount}}}"), "mlflow.llm.model": "m" });
    app.exports(json!([
        span(1, 1, None, (1_000, 1_400), json!({ "mlflow.spanType": "CHAIN" })),
        span(1, 2, Some(1), (1_000, 1_100), cost("0.25")),
        span(1, 3, Some(1), (1_000, 1_300), cost("0.5")),
    ]))
    .await
    .ok();
    let costs = json!({
        "view_type": "SPANS", "metric_name": "total_cost", "dimensions": ["span_model_name"],
        "aggregations": [{ "aggregation_type": "SUM" }, { "aggregation_type": "MAX" }],
    });
    let point = answer(&app, costs).await[0].clone();
    assert_eq!(
        (&point["dimensions"]["span_model_name"], &point["values"]["SUM"]),
        (&json!("m"), &json!(0.75))
    );
    let latency = json!({
        "view_type": "SPANS", "metric_name": "latency", "aggregations": [{ "aggregation_type": "MAX" }],
        "filters": ["span.type = 'CHAIN'", "trace.status = 'OK'"],
    });
    assert_eq!(answer(&app, latency).await[0]["values"], json!({ "MAX": 400.0 }));
    app.tells_trace("tr-a", "1970-01-01T00:00:01Z", json!({})).await;
    for value in [json!(true), json!("no"), json!(1)] {
        let one = json!({
            "assessment_name": "ok", "source": { "source_type": "CODE", "source_id": "c" }, "feedback": { "value": value },
        });
        app.call(Method::POST, "traces/tr-a/assessments", json!({ "assessment": one })).await.ok();
    }
    let average = json!({
        "view_type": "ASSESSMENTS", "metric_name": "assessment_value", "dimensions": ["assessment_name"],
        "aggregations": [{ "aggregation_type": "AVG" }], "filters": ["assessment.type = 'feedback'"],
    });
    let found = answer(&app, average).await[0]["values"]["AVG"].as_f64().unwrap();
    assert!((found - 2.0 / 3.0).abs() < 1e-12, "{found}");
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let app = App::new().await;
    let sum = json!([{ "aggregation_type": "SUM" }]);
    let count = json!([{ "aggregation_type": "COUNT" }]);
    for question in [
        json!({ "view_type": "TRACES", "metric_name": "nothing", "aggregations": count }),
        json!({ "view_type": "TRACES", "metric_name": "trace_count", "aggregations": sum }),
        json!({ "view_type": "TRACES", "metric_name": "trace_count", "aggregations": [] }),
        json!({ "view_type": "RUNS", "metric_name": "trace_count", "aggregations": count }),
        json!({ "view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "dimensions": ["span_name"] }),
        json!({ "view_type": "TRACES", "metric_name": "latency",
            "aggregations": [{ "aggregation_type": "PERCENTILE", "percentile_value": 101 }] }),
        json!({ "view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "time_interval_seconds": 60 }),
        json!({ "view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "filters": ["span.name = 'x'"] }),
        json!({ "view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "filters": ["trace.status LIKE 'x'"] }),
        json!({ "view_type": "TRACES", "metric_name": "trace_count", "aggregations": count, "max_results": 0 }),
    ] {
        assert_eq!(asks(&app, question.clone()).await.refused().0, 400, "{question}");
    }
    let empty = json!({ "view_type": "TRACES", "metric_name": "latency", "aggregations": [{ "aggregation_type": "AVG" }] });
    assert_eq!(asks(&app, empty).await.ok(), json!({}));
}
