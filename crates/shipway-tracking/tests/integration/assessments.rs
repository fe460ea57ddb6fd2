//! Assessments: what is thought of a trace, changed, overridden and taken away.

use http::Method;
use serde_json::{Value, json};

use super::app::App;

const NOON: &str = "2026-01-31T12:00:00Z";

fn feedback(name: &str, value: Value) -> Value {
    json!({
        "assessment_name": name, "source": { "source_type": "HUMAN", "source_id": "ann" },
        "create_time": NOON, "last_update_time": NOON, "feedback": { "value": value },
    })
}

async fn creates(app: &App, assessment: Value) -> Value {
    let body = json!({ "assessment": assessment });
    app.call(Method::POST, "traces/tr-1/assessments", body).await.ok()["assessment"].clone()
}

#[tokio::test]
async fn an_assessment_comes_back_as_it_was_given() {
    let app = App::new().await;
    app.tells_trace("tr-1", NOON, json!({})).await;
    let mut given = feedback("correct", json!(1.0));
    given["rationale"] = json!("because");
    given["span_id"] = json!("0a");
    given["metadata"] = json!({ "a": "b" });
    given["feedback"]["error"] = json!({ "error_code": "E", "error_message": "m" });
    let created = creates(&app, given).await;
    let id = created["assessment_id"].as_str().unwrap();
    assert!(id.starts_with("a-") && id.len() == 34, "{id}");
    assert_eq!(
        created,
        json!({
            "assessment_id": id, "assessment_name": "correct", "trace_id": "tr-1", "span_id": "0a",
            "source": { "source_type": "HUMAN", "source_id": "ann" }, "create_time": NOON, "last_update_time": NOON,
            "feedback": { "value": 1, "error": { "error_code": "E", "error_message": "m" } }, "rationale": "because",
            "metadata": { "a": "b" }, "valid": true,
        })
    );
    let read = app.get_3(&format!("traces/tr-1/assessments/{id}")).await.ok();
    assert_eq!(read["assessment"], created);
    let info = app.get_3("traces/tr-1").await.ok();
    assert_eq!(info["trace"]["trace_info"]["assessments"], json!([created]));
    let expected = json!({
        "assessment_name": "answer", "source": { "source_type": "HUMAN", "source_id": "ann" },
        "expectation": { "serialized_value": { "serialization_format": "JSON_FORMAT", "value": "{\"a\":[1]}" } },
    });
    let created = creates(&app, expected).await;
    assert_eq!(created["expectation"]["serialized_value"]["value"], "{\"a\": [1]}");
}

#[tokio::test]
async fn an_assessment_that_overrides_takes_the_place_until_it_goes() {
    let app = App::new().await;
    app.tells_trace("tr-1", NOON, json!({})).await;
    let first = creates(&app, feedback("ok", json!(true))).await;
    let mut second = feedback("ok", json!(false));
    second["overrides"] = first["assessment_id"].clone();
    let second = creates(&app, second).await;
    let path = |one: &Value| format!("traces/tr-1/assessments/{}", one["assessment_id"].as_str().unwrap());
    assert_eq!(app.get_3(&path(&first)).await.ok()["assessment"]["valid"], false);
    assert_eq!(app.finds_traces("feedback.ok = 'true'").await, Vec::<String>::new());
    assert_eq!(app.finds_traces("feedback.ok = 'false'").await, ["tr-1"]);
    for _ in 0..2 {
        app.call(Method::DELETE, &path(&second), json!({})).await.ok();
    }
    assert_eq!(app.get_3(&path(&first)).await.ok()["assessment"]["valid"], true);
    assert_eq!(app.get_3(&path(&second)).await.refused().0, 404);
    let mut orphan = feedback("ok", json!(true));
    orphan["overrides"] = json!("a-none");
    let body = json!({ "assessment": orphan });
    assert_eq!(app.call(Method::POST, "traces/tr-1/assessments", body).await.refused().0, 404);
}

#[tokio::test]
async fn an_update_changes_what_its_mask_names() {
    let app = App::new().await;
    app.tells_trace("tr-1", NOON, json!({})).await;
    let mut given = feedback("ok", json!("yes"));
    given["metadata"] = json!({ "a": "1", "b": "1" });
    let id = creates(&app, given).await["assessment_id"].as_str().unwrap().to_owned();
    let path = format!("traces/tr-1/assessments/{id}");
    let change = json!({
        "assessment": { "assessment_name": "fine", "feedback": { "value": 0.5 }, "rationale": "new",
            "metadata": { "b": "2" }, "source": { "source_type": "CODE", "source_id": "x" } },
        "update_mask": "assessmentName,feedback,metadata",
    });
    let updated = app.call(Method::PATCH, &path, change).await.ok()["assessment"].clone();
    assert_eq!((&updated["assessment_name"], &updated["feedback"]["value"]), (&json!("fine"), &json!(0.5)));
    assert_eq!(updated["metadata"], json!({ "a": "1", "b": "2" }));
    assert_eq!(updated["source"]["source_id"], "ann", "the source stays");
    assert!(updated.get("rationale").is_none(), "the mask does not name it");
    assert_ne!(updated["last_update_time"], updated["create_time"]);
    for (change, mask) in [
        (json!({ "expectation": { "value": 1 } }), "expectation"),
        (json!({ "assessment_name": "" }), "assessment_name"),
        (json!({ "source": {} }), "source"),
    ] {
        let body = json!({ "assessment": change, "update_mask": mask });
        assert_eq!(app.call(Method::PATCH, &path, body).await.refused().0, 400, "{mask}");
    }
}

#[tokio::test]
async fn what_cannot_be_an_assessment_is_refused() {
    let app = App::new().await;
    app.tells_trace("tr-1", NOON, json!({})).await;
    let source = json!({ "source_type": "HUMAN", "source_id": "ann" });
    for assessment in [
        json!({ "assessment_name": "a", "source": source }),
        json!({ "assessment_name": "a", "feedback": { "value": 1 } }),
        json!({ "source": source, "feedback": { "value": 1 } }),
        json!({ "assessment_name": "a", "source": { "source_type": "ORACLE" }, "feedback": { "value": 1 } }),
        json!({ "assessment_name": "a", "source": source, "feedback": { "value": 1 }, "expectation": { "value": 1 } }),
        json!({ "assessment_name": "a", "source": source, "feedback": { "value": "x".repeat(1_000_001) } }),
        json!({ "assessment_name": "a", "source": source,
            "expectation": { "serialized_value": { "serialization_format": "PICKLE", "value": "" } } }),
    ] {
        let body = json!({ "assessment": assessment });
        let refused = app.call(Method::POST, "traces/tr-1/assessments", body).await;
        assert_eq!(refused.refused().0, 400, "{}", refused.message());
    }
    let body = json!({ "assessment": feedback("a", json!(1)) });
    assert_eq!(app.call(Method::POST, "traces/tr-9/assessments", body).await.refused().0, 404);
}

#[tokio::test]
async fn a_trace_that_is_told_twice_has_its_assessments_once() {
    let app = App::new().await;
    for _ in 0..2 {
        let more = json!({ "assessments": [feedback("a", json!(1)), feedback("b", json!("x"))] });
        let told = app.tells_trace("tr-1", NOON, more).await;
        assert_eq!(told["assessments"].as_array().unwrap().len(), 2);
    }
}
