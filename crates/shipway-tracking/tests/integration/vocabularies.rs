//! Spans of unmodified instrumentations: their attributes as they were sent, recorded out of the packages that `sender` names, of one and
//! the same call of OpenAI's client. Whatever they call things, traces show tokens, cost, model, session, user and previews, and are found.

use serde_json::{Value, json};

use super::app::{App, trace_name};

const OPEN_INFERENCE: &str = include_str!("../vocabularies/openinference.json");
const OPEN_LLMETRY: &str = include_str!("../vocabularies/traceloop.json");
const SEMANTIC_CONVENTIONS: &str = include_str!("../vocabularies/v2.json");
const LANGFUSE: &str = include_str!("../vocabularies/langfuse.json");

const MODEL: &str = "gpt-5-mini-2025";

fn value(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({ "stringValue": text }),
        Value::Bool(flag) => json!({ "boolValue": flag }),
        Value::Number(number) if number.is_f64() => json!({ "doubleValue": number }),
        Value::Number(number) => json!({ "intValue": number }),
        Value::Array(values) => {
            json!({ "arrayValue": { "values": values.iter().map(self::value).collect::<Vec<_>>() } })
        }
        other => panic!("{other} is no value of an attribute"),
    }
}

/// The recorded spans as an export, all in trace `trace`; the one of this name is the root of the others.
fn export(recorded: &str, trace: u8, root: &str) -> Value {
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let hex = |byte: u8, length: usize| format!("{byte:02x}").repeat(length);
    let mut is_first = true;
    let spans = recorded["spans"].as_array().unwrap().iter().zip(2_u8..).map(|(span, id)| {
        let is_root = span["name"] == root && std::mem::replace(&mut is_first, false);
        let attributes = span["attributes"].as_object().unwrap().iter();
        let attributes: Vec<Value> =
            attributes.map(|(key, one)| json!({ "key": key, "value": value(one) })).collect();
        json!({
            "traceId": hex(trace, 16), "spanId": hex(if is_root { 1 } else { id }, 8),
            "parentSpanId": if is_root { String::new() } else { hex(1, 8) }, "name": span["name"],
            "startTimeUnixNano": "1000000", "endTimeUnixNano": "2000000", "attributes": attributes,
        })
    });
    Value::Array(spans.collect())
}

async fn info_of(app: &App, recorded: &str, root: &str) -> Value {
    app.exports(export(recorded, 7, root)).await.ok();
    app.get_3(&format!("traces/{}", trace_name(7))).await.ok()["trace"]["trace_info"].clone()
}

fn usage(info: &Value) -> Value {
    serde_json::from_str(info["trace_metadata"]["mlflow.trace.tokenUsage"].as_str().unwrap()).unwrap()
}

async fn finds(app: &App, filter: &str) -> bool {
    app.finds_traces(filter).await == [trace_name(7)]
}

async fn is_found_by_its_model(app: &App) {
    for filter in [
        "span.type = 'CHAT_MODEL'".to_owned(),
        format!("span.attributes.mlflow.llm.model = '{MODEL}'"),
        "span.attributes.mlflow.llm.provider = 'openai'".to_owned(),
    ] {
        assert!(finds(app, &filter).await, "{filter}");
    }
}

#[tokio::test]
async fn spans_of_openinference_are_understood() {
    let app = App::new().await;
    let info = info_of(&app, OPEN_INFERENCE, "ChatCompletion").await;
    assert_eq!(
        (&info["request_preview"], &info["response_preview"]),
        (&json!("capital of France?"), &json!("Paris is the capital."))
    );
    // The root sums up what is below it.
    assert_eq!(
        usage(&info),
        json!({ "input_tokens": 12, "output_tokens": 7, "total_tokens": 19, "cache_read_input_tokens": 4 })
    );
    let metadata = &info["trace_metadata"];
    assert_eq!(
        (&metadata["mlflow.trace.session"], &metadata["mlflow.trace.user"], &metadata["tier"]),
        (&json!("s1"), &json!("u1"), &json!("gold"))
    );
    assert_eq!(info["tags"]["tags"], "[\"beta\"]");
    for filter in [
        "span.type = 'LLM'".to_owned(),
        format!("span.attributes.mlflow.llm.model = '{MODEL}'"),
        "metadata.tier = 'gold'".to_owned(),
        "tag.tags LIKE '%\"beta\"%'".to_owned(),
    ] {
        assert!(finds(&app, &filter).await, "{filter}");
    }
}

#[tokio::test]
async fn spans_of_openllmetry_are_understood() {
    let app = App::new().await;
    let info = info_of(&app, OPEN_LLMETRY, "openai.chat").await;
    assert_eq!(
        (&info["request_preview"], &info["response_preview"]),
        (&json!("capital of France?"), &json!("Paris is the capital."))
    );
    assert_eq!(
        usage(&info),
        json!({ "input_tokens": 12, "output_tokens": 7, "total_tokens": 19, "cache_read_input_tokens": 4 })
    );
    is_found_by_its_model(&app).await;
}

#[tokio::test]
async fn spans_of_the_semantic_conventions_are_understood() {
    let app = App::new().await;
    let info = info_of(&app, SEMANTIC_CONVENTIONS, "chat gpt-5-mini").await;
    assert_eq!(usage(&info), json!({ "input_tokens": 12, "output_tokens": 7, "total_tokens": 19 }));
    is_found_by_its_model(&app).await;
}

#[tokio::test]
async fn spans_of_langfuse_are_understood() {
    let app = App::new().await;
    let info = info_of(&app, LANGFUSE, "answers").await;
    // As MLflow shows what is a text and no conversation.
    assert_eq!(info["response_preview"], "\"Paris is the capital.\"");
    assert_eq!(info["tags"]["mlflow.traceName"], "named");
    assert_eq!(info["tags"]["tags"], "[\"beta\"]");
    // Both generations, and the agent above them has none of its own.
    assert_eq!(
        usage(&info),
        json!({ "input_tokens": 15, "output_tokens": 9, "total_tokens": 24, "cache_read_input_tokens": 4 })
    );
    let metadata = &info["trace_metadata"];
    let cost: Value = serde_json::from_str(metadata["mlflow.trace.cost"].as_str().unwrap()).unwrap();
    assert_eq!(cost, json!({ "input_cost": 0.25, "output_cost": 0.5, "total_cost": 0.75 }));
    assert_eq!(
        (&metadata["mlflow.trace.session"], &metadata["mlflow.trace.user"], &metadata["tier"]),
        (&json!("s1"), &json!("u1"), &json!("gold"))
    );
    for filter in [
        "span.type = 'AGENT'".to_owned(),
        "span.type = 'TOOL' AND span.name = 'find'".to_owned(),
        format!("span.type = 'LLM' AND span.attributes.mlflow.llm.model = '{MODEL}'"),
        "trace.name = 'named'".to_owned(),
    ] {
        assert!(finds(&app, &filter).await, "{filter}");
    }
}
