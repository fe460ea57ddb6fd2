//! Searches of traces: filters, orders, pages, and how filters come together.

use http::Method;
use serde_json::{Value, json};

use super::app::{App, span, trace_name, zero};

/// Five traces, told a second apart: a, b, c told by a client, and two that came as spans.
async fn five_traces(app: &App) {
    for (id, second, more) in [
        (
            "tr-a",
            1,
            json!({
                "state": "OK", "execution_duration": "0.5s", "client_request_id": "Req-1",
                "tags": { "mlflow.traceName": "Answer", "team": "Ops", "note": "\u{c4}rger" },
                "trace_metadata": { "mlflow.trace.session": "s1", "lang": "en" },
            }),
        ),
        (
            "tr-b",
            2,
            json!({
                "state": "ERROR", "execution_duration": "2s", "tags": { "mlflow.traceName": "answer later", "team": "dev" },
                "trace_metadata": { "mlflow.trace.session": "s1" },
            }),
        ),
        ("tr-c", 3, json!({ "state": "IN_PROGRESS", "tags": { "team": "Ops" } })),
    ] {
        app.tells_trace(id, &format!("1970-01-01T00:00:0{second}Z"), more).await;
    }
    for (trace, start, name, kind, key, value) in
        [(1, 4_000, "Fetch", "TOOL", "model", "gpt"), (2, 5_000, "think", "LLM", "model", "Claude 3")]
    {
        let mut root =
            span(trace, 1, None, (start, start + 300), json!({ key: value, "mlflow.spanType": kind }));
        root["name"] = json!(name);
        let mut child = span(trace, 2, Some(1), (start, start + 100), json!({ "note": "late_arrival" }));
        child["status"] = json!({ "code": 2 });
        app.exports(json!([root, child])).await.ok();
    }
    for (id, name, value, session) in [
        ("tr-a", "score", json!(0.9), true),
        ("tr-b", "score", json!(3), false),
        ("tr-c", "good", json!("Yes, very"), false),
    ] {
        let mut one = json!({
            "assessment_name": name, "source": { "source_type": "CODE", "source_id": "c" }, "feedback": { "value": value },
        });
        if session && id == "tr-a" {
            one["metadata"] = json!({ "mlflow.trace.session": "s1" });
        }
        app.call(Method::POST, &format!("traces/{id}/assessments"), json!({ "assessment": one })).await.ok();
    }
}

fn short(ids: &[String]) -> Vec<String> {
    let name = |id: &String| {
        if id == &trace_name(1) {
            "1"
        } else if id == &trace_name(2) {
            "2"
        } else {
            &id[3..]
        }
        .to_owned()
    };
    ids.iter().map(name).collect()
}

#[tokio::test]
async fn filters_match_what_they_say() {
    let app = App::new().await;
    five_traces(&app).await;
    for (filter, expected) in [
        ("", vec!["2", "1", "c", "b", "a"]),
        ("status = 'OK'", vec!["2", "1", "a"]),
        ("status IN ('ERROR', 'IN_PROGRESS')", vec!["c", "b"]),
        ("status NOT IN ('OK')", vec!["c", "b"]),
        ("attributes.timestamp_ms >= 2000 AND timestamp < 4000", vec!["c", "b"]),
        ("execution_time_ms > 400", vec!["b", "a"]),
        ("end_time = 4300", vec!["1"]),
        ("trace.name LIKE 'Answer%'", vec!["a"]),
        ("name ILIKE 'answer%'", vec!["b", "a"]),
        ("name RLIKE '^answer\\s'", vec!["b"]),
        ("name IS NULL", vec!["2", "1", "c"]),
        ("tags.`mlflow.traceName` = 'Answer'", vec!["a"]),
        ("client_request_id LIKE 'Req%'", vec!["a"]),
        ("client_request_id != 'x'", vec!["a"]),
        ("request_id = 'tr-b'", vec!["b"]),
        ("tag.team = 'Ops'", vec!["c", "a"]),
        ("tag.team != 'Ops'", vec!["b"]),
        ("tag.team LIKE 'ops'", vec![]),
        ("tag.team IS NOT NULL", vec!["c", "b", "a"]),
        ("tag.note LIKE '\u{c4}%'", vec!["a"]),
        ("tag.note ILIKE '\u{e4}rger'", vec!["a"]),
        ("tag.note LIKE '\u{e4}%'", vec![]),
        ("metadata.lang = 'en'", vec!["a"]),
        ("request_metadata.`mlflow.trace.session` = 's1'", vec!["b", "a"]),
        ("metadata.lang IS NULL AND tag.team = 'Ops'", vec!["c"]),
        ("span.name = 'Fetch'", vec!["1"]),
        ("span.name LIKE 'f%'", vec![]),
        ("span.name RLIKE 'k$'", vec!["2"]),
        ("span.type IN ('LLM', 'TOOL')", vec!["2", "1"]),
        ("span.type = 'LLM' AND span.status = 'ERROR'", vec![]),
        ("span.status = 'ERROR'", vec!["2", "1"]),
        ("span.attributes.model = 'gpt'", vec!["1"]),
        ("span.attributes.model != 'gpt'", vec!["2"]),
        ("span.attributes.model LIKE 'Claude%'", vec!["2"]),
        ("span.attributes.model RLIKE '\\d'", vec!["2"]),
        ("span.attributes.odel = 'gpt'", vec![]),
        ("span.name = 'think' AND span.attributes.note = 'late_arrival'", vec![]),
        ("trace.text LIKE '%late_arrival%'", vec!["2", "1"]),
        ("span.content ILIKE '%CLAUDE%'", vec!["2"]),
        ("feedback.score > 1", vec!["b"]),
        ("feedback.score > 0.5", vec!["b", "a"]),
        ("feedback.score = '3'", vec!["b"]),
        ("feedback.score = '3.0'", vec!["b"]),
        ("feedback.score != '3' AND request_id = 'tr-b'", vec!["b"]),
        ("feedback.score != '0.90'", vec!["b"]),
        ("feedback.score < 1", vec!["b", "a"]),
        ("feedback.good LIKE 'Yes%'", vec!["c"]),
        ("feedback.good RLIKE 'very$'", vec!["c"]),
        ("feedback.score IS NOT NULL", vec!["b", "a"]),
        ("feedback.good IS NULL", vec!["2", "1", "b", "a"]),
        ("expectation.score = '3'", vec![]),
        ("issue.id = 'none'", vec![]),
    ] {
        let found = app.finds_traces(filter).await;
        assert_eq!(short(&found), expected, "{filter}");
    }
}

#[tokio::test]
async fn a_filter_that_cannot_be_read_is_refused_with_its_position() {
    let app = App::new().await;
    for (filter, message) in [
        (
            "status = 'OK' OR name = 'x'",
            "Invalid clause(s) in filter string: 'OR' at position 15; expected AND or the end of the filter",
        ),
        (
            "name RLIKE '('",
            "Invalid regular expression '(' for attribute 'name' at position 12; expected a regular expression",
        ),
        (
            "tag.a = 'x'; DROP TABLE traces",
            "Invalid clause(s) in filter string: '; DROP TABLE traces' at position 12",
        ),
        (
            "prompt = 'hello'",
            "Invalid value 'hello' for attribute 'prompt' at position 10; expected a prompt version",
        ),
    ] {
        let body = json!({ "locations": [zero()], "filter": filter });
        let refused = app.call(Method::POST, "traces/search", body).await;
        assert_eq!(refused.refused(), (400, "INVALID_PARAMETER_VALUE".to_owned()), "{filter}");
        assert!(refused.message().starts_with(message), "{}", refused.message());
    }
    assert_eq!(app.call(Method::POST, "traces/search", json!({})).await.refused().0, 400);
    for more in [
        json!({ "max_results": 0 }),
        json!({ "max_results": 501 }),
        json!({ "page_token": "bogus" }),
        json!({ "order_by": ["span.name"] }),
        json!({ "order_by": ["timestamp_ms", "timestamp DESC"] }),
    ] {
        let mut body = json!({ "locations": [zero()] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(app.call(Method::POST, "traces/search", body).await.refused().0, 400, "{more}");
    }
}

/// All pages of a search, `size` at a time.
async fn pages(app: &App, filter: &str, order_by: &[&str], size: i64) -> Vec<String> {
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let body = json!({
            "locations": [zero()], "filter": filter, "order_by": order_by, "max_results": size, "page_token": token,
        });
        let found = app.call(Method::POST, "traces/search", body).await.ok();
        let traces = found["traces"].as_array().cloned().unwrap_or_default();
        assert!(traces.len() <= usize::try_from(size).unwrap());
        seen.extend(traces.iter().map(|trace| trace["trace_id"].as_str().unwrap().to_owned()));
        match found["next_page_token"].as_str() {
            Some(next) => token = next.to_owned(),
            None => return short(&seen),
        }
    }
}

#[tokio::test]
async fn every_order_gives_each_trace_once_whatever_the_size_of_pages() {
    let app = App::new().await;
    five_traces(&app).await;
    for (order, expected) in [
        (vec![], ["2", "1", "c", "b", "a"]),
        (vec!["timestamp_ms ASC"], ["a", "b", "c", "1", "2"]),
        (vec!["execution_time DESC"], ["b", "a", "2", "1", "c"]),
        (vec!["execution_time"], ["2", "1", "a", "b", "c"]),
        (vec!["tag.team ASC"], ["c", "a", "b", "2", "1"]),
        (vec!["tag.team DESC", "timestamp ASC"], ["b", "a", "c", "1", "2"]),
        (vec!["name DESC"], ["b", "a", "2", "1", "c"]),
        (vec!["status", "request_id DESC"], ["b", "c", "a", "2", "1"]),
        (vec!["metadata.lang"], ["a", "2", "1", "c", "b"]),
    ] {
        for size in 1..=6 {
            assert_eq!(pages(&app, "", &order, size).await, expected, "{order:?} by {size}");
        }
    }
    assert_eq!(pages(&app, "span.attributes.model RLIKE '.'", &["timestamp_ms"], 1).await, ["1", "2"]);
    let body = json!({ "locations": [zero()], "max_results": 2 });
    let token = app.call(Method::POST, "traces/search", body).await.ok()["next_page_token"].clone();
    let other =
        json!({ "locations": [zero()], "max_results": 2, "page_token": token, "filter": "status = 'OK'" });
    assert_eq!(
        app.call(Method::POST, "traces/search", other).await.refused().0,
        400,
        "a token of another search"
    );
    app.tells_trace("tr-z", "1970-01-01T00:00:09Z", json!({})).await;
    let same = json!({ "locations": [zero()], "max_results": 2, "page_token": token });
    let next = app.call(Method::POST, "traces/search", same).await.ok();
    assert_eq!(next["traces"][0]["trace_id"], "tr-c", "a new trace shifts nothing");
}

#[tokio::test]
async fn many_candidates_are_looked_at_in_bounded_pieces() {
    let app = App::new().await;
    let mut spans = Vec::new();
    for trace in 1..=250_u32 {
        let mut one = span(0, 1, None, (u64::from(trace), 500), json!({ "n": trace }));
        one["traceId"] = json!(format!("{trace:032x}"));
        one["name"] = json!(if trace % 50 == 0 { "Rare" } else { "rare" });
        spans.push(one);
    }
    app.exports(Value::Array(spans)).await.ok();
    let found = app.finds_traces("span.name LIKE 'Rare'").await;
    let expected: Vec<String> = [250, 200, 150, 100, 50].map(|trace| format!("tr-{trace:032x}")).into();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn how_often_filters_come_together_is_counted() {
    let app = App::new().await;
    five_traces(&app).await;
    let ask = async |first: &str, second: &str, base: &str| {
        let body = json!({
            "experiment_ids": ["0"], "filter_string1": first, "filter_string2": second, "base_filter": base,
        });
        app.call(Method::POST, "traces/calculate-filter-correlation", body).await
    };
    let found = ask("tag.team = 'Ops'", "timestamp <= 3000", "").await.ok();
    assert_eq!(
        (&found["filter1_count"], &found["filter2_count"], &found["joint_count"], &found["total_count"]),
        (&json!(2), &json!(3), &json!(2), &json!(5))
    );
    let npmi = found["npmi"].as_f64().unwrap();
    assert!((npmi - (10.0_f64 / 6.0).ln() / (5.0_f64 / 2.0).ln()).abs() < 1e-12, "{npmi}");
    let spans = ask("span.name RLIKE '^F'", "span.type = 'TOOL'", "timestamp > 3000").await.ok();
    assert_eq!((&spans["joint_count"], &spans["total_count"]), (&json!(1), &json!(2)));
    let never = ask("tag.team = 'none'", "status = 'OK'", "").await.ok();
    assert_eq!((&never["npmi"], &never["npmi_smoothed"]), (&json!("NaN"), &json!("NaN")));
    assert_eq!(ask("nonsense", "status = 'OK'", "").await.refused().0, 400);
}
