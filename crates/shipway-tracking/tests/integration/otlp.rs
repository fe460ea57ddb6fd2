//! Spans over the OpenTelemetry protocol: what is taken, in every order, and how traces come back whole.

use std::io::Write as _;

use axum::body::Body;
use flate2::{Compression, write::GzEncoder};
use http::Method;
use serde_json::{Value, json};

use super::app::{App, span, trace_name};

async fn info(app: &App, trace: u8) -> Value {
    app.get_3(&format!("traces/{}", trace_name(trace))).await.ok()["trace"]["trace_info"].clone()
}

async fn whole(app: &App, trace: u8) -> Value {
    app.get_3(&format!("traces/get?trace_id={}", trace_name(trace))).await.ok()["trace"].clone()
}

#[tokio::test]
async fn a_trace_that_nobody_told_of_is_what_its_spans_say() {
    let app = App::new().await;
    let child = span(
        7,
        2,
        Some(1),
        (1_000, 1_400),
        json!({ "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4 }),
    );
    app.exports(json!([child])).await.ok();
    let open = info(&app, 7).await;
    assert_eq!((&open["state"], &open["execution_duration"]), (&json!("IN_PROGRESS"), &json!("0.400s")));
    let root = span(
        7,
        1,
        None,
        (900, 2_000),
        json!({
            "mlflow.spanInputs": "{\"x\": 3}", "mlflow.spanOutputs": "[1, 2]", "session.id": "s", "user.id": "u",
            "mlflow.traceTag.team": "ops", "mlflow.traceTag.mlflow.traceName": "named",
            "mlflow.traceTag.mlflow.trace.spansLocation": "ELSEWHERE",
        }),
    );
    app.exports(json!([root])).await.ok();
    let done = info(&app, 7).await;
    assert_eq!(done["state"], "OK");
    assert_eq!(
        (&done["request_time"], &done["execution_duration"]),
        (&json!("1970-01-01T00:00:00.900Z"), &json!("1.100s"))
    );
    assert_eq!(
        (&done["request_preview"], &done["response_preview"]),
        (&json!("{\"x\": 3}"), &json!("[1, 2]"))
    );
    assert_eq!(done["tags"]["team"], "ops");
    assert_eq!(done["tags"]["mlflow.traceName"], "named");
    assert_eq!(done["tags"]["mlflow.trace.spansLocation"], "TRACKING_STORE");
    let metadata = &done["trace_metadata"];
    assert_eq!(
        (&metadata["mlflow.trace.session"], &metadata["mlflow.trace.user"]),
        (&json!("s"), &json!("u"))
    );
    assert_eq!(
        metadata["mlflow.trace.tokenUsage"],
        "{\"input_tokens\": 3, \"output_tokens\": 4, \"total_tokens\": 7}"
    );
}

#[tokio::test]
async fn what_a_client_told_stays_whatever_order_spans_come_in() {
    let app = App::new().await;
    let spans = json!([
        span(1, 1, None, (500, 700), json!({ "mlflow.spanInputs": "\"from span\"" })),
        span(1, 2, Some(1), (510, 9_000), json!({ "mlflow.chat.tokenUsage": "{\"input_tokens\": 1}" })),
    ]);
    let told = json!({
        "execution_duration": "0.3s", "request_preview": "told", "state": "ERROR",
        "trace_metadata": { "mlflow.trace.tokenUsage": "{\"input_tokens\": 99}" },
    });
    let check = |info: &Value| {
        assert_eq!(info["request_time"], "1970-01-01T00:00:01Z");
        assert_eq!((&info["execution_duration"], &info["state"]), (&json!("0.300s"), &json!("ERROR")));
        assert_eq!(info["request_preview"], "told");
        assert_eq!(info["trace_metadata"]["mlflow.trace.tokenUsage"], "{\"input_tokens\": 99}");
        assert_eq!(info["tags"]["mlflow.trace.spansLocation"], "TRACKING_STORE");
    };
    app.exports(spans.clone()).await.ok();
    app.tells_trace(&trace_name(1), "1970-01-01T00:00:01Z", told.clone()).await;
    check(&info(&app, 1).await);
    app.exports(spans).await.ok();
    check(&info(&app, 1).await);
    assert_eq!(
        whole(&app, 1).await["spans"].as_array().unwrap().len(),
        2,
        "spans that come twice are there once"
    );
    let late = json!([span(2, 1, None, (500, 700), json!({ "mlflow.spanInputs": "\"from span\"" }))]);
    app.tells_trace(&trace_name(2), "1970-01-01T00:00:01Z", told).await;
    app.exports(late).await.ok();
    check(&info(&app, 2).await);
}

#[tokio::test]
async fn spans_come_back_as_they_were_sent_the_root_first() {
    let app = App::new().await;
    let mut root = span(1, 9, None, (5, 9), json!({ "plain": "text", "count": 3 }));
    root["status"] = json!({ "code": 2, "message": "no" });
    root["events"] = json!([{ "name": "exception", "timeUnixNano": "6", "attributes": [
        { "key": "exception.type", "value": { "stringValue": "ValueError" } },
    ] }]);
    root["links"] = json!([{ "traceId": "0b".repeat(16), "spanId": "0c".repeat(8) }]);
    root["attributes"].as_array_mut().unwrap().push(json!({ "key": "nested", "value": { "kvlistValue": {
        "values": [{ "key": "a", "value": { "arrayValue": { "values": [{ "doubleValue": 1.5 }, {}] } } }] } } }));
    let child = span(1, 1, Some(9), (3, 4), json!({}));
    app.exports(json!([child, root])).await.ok();
    let spans = whole(&app, 1).await["spans"].clone();
    assert_eq!((&spans[0]["name"], &spans[1]["name"]), (&json!("span 9"), &json!("span 1")));
    assert_eq!(
        spans[0],
        json!({
            "trace_id": "AQEBAQEBAQEBAQEBAQEBAQ==", "span_id": "CQkJCQkJCQk=", "name": "span 9",
            "start_time_unix_nano": 5_000_000, "end_time_unix_nano": 9_000_000,
            "attributes": [
                { "key": "plain", "value": { "string_value": "text" } },
                { "key": "count", "value": { "int_value": 3 } },
                { "key": "nested", "value": { "kvlist_value": { "values": [
                    { "key": "a", "value": { "array_value": { "values": [{ "double_value": 1.5 }, {}] } } },
                ] } } },
                { "key": "mlflow.traceRequestId", "value": { "string_value": trace_name(1) } },
            ],
            "events": [{ "time_unix_nano": 6, "name": "exception", "attributes": [
                { "key": "exception.type", "value": { "string_value": "ValueError" } },
            ] }],
            "links": [{ "trace_id": "CwsLCwsLCwsLCwsLCwsLCw==", "span_id": "DAwMDAwMDAw=" }],
            "status": { "message": "no", "code": "STATUS_CODE_ERROR" },
        })
    );
    assert_eq!(spans[1]["parent_span_id"], "CQkJCQkJCQk=");
    let path = format!("/ajax-api/3.0/mlflow/get-trace-artifact?request_id={}", trace_name(1));
    let file = app.send(Method::GET, &path, Body::empty()).await.ok();
    assert_eq!(file["spans"][0]["attributes"]["plain"], "\"text\"");
}

#[tokio::test]
async fn an_export_holds_many_traces_and_a_trace_many_spans() {
    let app = App::new().await;
    let mut spans: Vec<Value> = (1..=5).map(|trace| span(trace, 1, None, (5, 9), json!({}))).collect();
    for number in 0..9_000_u32 {
        let mut one = span(6, 2, Some(1), (10 + u64::from(number), 9_999), json!({ "n": number }));
        one["spanId"] = json!(format!("{:016x}", number + 1));
        spans.push(one);
    }
    app.exports(Value::Array(spans)).await.ok();
    assert_eq!(app.finds_traces("").await.len(), 6);
    let large = whole(&app, 6).await;
    let read = large["spans"].as_array().unwrap();
    assert_eq!(read.len(), 9_000);
    for (number, span) in read.iter().enumerate() {
        assert_eq!(span["attributes"][0]["value"]["int_value"], json!(number), "in the order of their start");
    }
    let query: Vec<String> = (1..=6).map(|trace| format!("trace_ids={}", trace_name(trace))).collect();
    let batch = app.get_3(&format!("traces/batchGet?{}", query.join("&"))).await.ok();
    let counts: Vec<usize> = batch["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|trace| trace["spans"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [1, 1, 1, 1, 1, 9_000]);
}

#[tokio::test]
async fn an_incomplete_trace_is_given_only_to_those_who_ask_for_a_part() {
    let app = App::new().await;
    app.exports(json!([span(1, 1, None, (5, 9), json!({}))])).await.ok();
    let stats = json!({ "trace_metadata": { "mlflow.trace.sizeStats": "{\"num_spans\": 2}" } });
    app.tells_trace(&trace_name(1), "1970-01-01T00:00:01Z", stats).await;
    let path = format!("traces/get?trace_id={}", trace_name(1));
    let refused = app.get_3(&path).await;
    assert_eq!(refused.refused(), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
    assert!(refused.message().contains("is not fully exported yet"), "{}", refused.message());
    let part = app.get_3(&format!("{path}&allow_partial=true")).await.ok();
    assert_eq!(part["trace"]["spans"].as_array().unwrap().len(), 1);
    app.exports(json!([span(1, 2, Some(1), (5, 9), json!({}))])).await.ok();
    assert_eq!(whole(&app, 1).await["spans"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn headers_say_where_spans_belong_and_how_they_are_written() {
    let app = App::new().await;
    let run = app.creates_run().await;
    let body =
        json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span(1, 1, None, (5, 9), json!({}))] }] }] });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body.to_string().as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    let headers = [
        ("content-type", "application/json; charset=utf-8"),
        ("content-encoding", "gzip"),
        ("x-mlflow-experiment-id", "0"),
        ("x-mlflow-run-id", run.as_str()),
    ];
    let answer = app.send_with(Method::POST, "/v1/traces", &headers, packed.clone()).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.ok(), json!({}));
    assert_eq!(app.finds_traces(&format!("run_id = '{run}'")).await, [trace_name(1)]);
    let plain = body.to_string();
    for (headers, status) in [
        (vec![("content-type", "application/json")], 400),
        (vec![("content-type", "text/plain"), ("x-mlflow-experiment-id", "0")], 400),
        (vec![("x-mlflow-experiment-id", "0")], 400),
        (
            vec![
                ("content-type", "application/json"),
                ("content-encoding", "br"),
                ("x-mlflow-experiment-id", "0"),
            ],
            400,
        ),
        (vec![("content-type", "application/x-protobuf"), ("x-mlflow-experiment-id", "0")], 400),
        (vec![("content-type", "application/json"), ("x-mlflow-experiment-id", "77")], 404),
        (
            vec![
                ("content-type", "application/json"),
                ("x-mlflow-experiment-id", "0"),
                ("x-mlflow-run-id", "nobody"),
            ],
            404,
        ),
    ] {
        let refused = app.send_with(Method::POST, "/v1/traces", &headers, plain.clone()).await;
        assert_eq!(refused.status, status, "{headers:?}: {}", refused.message());
        assert!(refused.json()["error_code"].is_string(), "{headers:?}");
    }
    let bad =
        app.exports(json!([span(1, 1, None, (5, 9), json!({})), { "traceId": "01", "spanId": "" }])).await;
    assert_eq!(bad.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()));
    assert_eq!(bad.message(), "otlp export: span 1: span_id is required and empty");
}
