//! Traces, spans and assessments as this wire writes them.

use bytes::Bytes;
use serde_json::{Map, Value, json};
use shipway_core::Timestamp;

use super::view::{Fields, artifact_uri};
use crate::{
    model::{Assessment, AssessmentError, AssessmentValue, Pair, TraceInfo, TraceState, trace::key},
    otlp::value::{attribute, attribute_of, spaced},
    service::Part,
};

/// A moment as protobuf writes it.
pub(crate) fn timestamp(ms: i64) -> Value {
    Timestamp(ms.saturating_mul(1_000)).to_string().into()
}

/// A length of time as protobuf writes it.
pub(crate) fn duration(ms: i64) -> Value {
    let (sign, seconds, rest) =
        (if ms < 0 { "-" } else { "" }, ms.unsigned_abs() / 1_000, ms.unsigned_abs() % 1_000);
    if rest == 0 { format!("{sign}{seconds}s") } else { format!("{sign}{seconds}.{rest:03}s") }.into()
}

fn map(pairs: &[Pair], more: &[(&str, Option<String>)]) -> Value {
    let mut fields: Map<String, Value> =
        pairs.iter().map(|pair| (pair.key.clone(), pair.value.as_str().into())).collect();
    for (key, value) in more {
        if let Some(value) = value {
            fields.insert((*key).to_owned(), value.as_str().into());
        }
    }
    Value::Object(fields)
}

fn tags(info: &TraceInfo) -> Value {
    let location = artifact_uri(&info.artifact_root);
    map(&info.tags, &[(key::TRACE_NAME, info.name.clone()), (key::ARTIFACT_LOCATION, Some(location))])
}

fn metadata(info: &TraceInfo) -> Value {
    let finalized = info.finalized.then(|| "true".to_owned());
    map(&info.metadata, &[(key::SESSION, info.session_id.clone()), (key::FINALIZED, finalized)])
}

fn not_empty(fields: Fields, name: &str, map: Value) -> Fields {
    if map.as_object().is_some_and(|map| !map.is_empty()) { fields.set(name, map) } else { fields }
}

/// A trace without its spans.
pub(crate) fn trace_info(info: &TraceInfo) -> Value {
    let location = json!({
        "type": "MLFLOW_EXPERIMENT",
        "mlflow_experiment": { "experiment_id": info.experiment_id.to_string() },
    });
    let fields = Fields::default()
        .set("trace_id", info.trace_id.as_str())
        .optional("client_request_id", info.client_request_id.as_deref())
        .set("trace_location", location)
        .optional("request_preview", info.request_preview.as_deref())
        .optional("response_preview", info.response_preview.as_deref())
        .set("request_time", timestamp(info.timestamp_ms))
        .optional("execution_duration", info.execution_ms.map(duration))
        .set("state", info.state.word());
    let fields = not_empty(fields, "trace_metadata", metadata(info))
        .list("assessments", info.assessments.iter().map(assessment).collect());
    not_empty(fields, "tags", tags(info)).value()
}

/// A trace as REST 2.0 has it.
pub(crate) fn trace_info_2(info: &TraceInfo) -> Value {
    let list = |map: Value| -> Vec<Value> {
        let fields = map.as_object().cloned().unwrap_or_default();
        fields.into_iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
    };
    let status = match info.state {
        TraceState::Unspecified => "TRACE_STATUS_UNSPECIFIED",
        other => other.word(),
    };
    Fields::default()
        .set("request_id", info.trace_id.as_str())
        .set("experiment_id", info.experiment_id.to_string())
        .set("timestamp_ms", info.timestamp_ms)
        .set("execution_time_ms", info.execution_ms.unwrap_or_default())
        .set("status", status)
        .list("request_metadata", list(metadata(info)))
        .list("tags", list(tags(info)))
        .value()
}

fn error(error: &AssessmentError) -> Value {
    Fields::default()
        .text("error_code", &error.code)
        .text("error_message", &error.message)
        .text("stack_trace", &error.stack_trace)
        .value()
}

pub(crate) fn assessment(one: &Assessment) -> Value {
    let fields = Fields::default()
        .set("assessment_id", one.assessment_id.as_str())
        .set("assessment_name", one.name.as_str())
        .set("trace_id", one.trace_id.as_str())
        .optional("span_id", one.span_id.as_deref())
        .set("source", json!({ "source_type": one.source_type.word(), "source_id": one.source_id }))
        .set("create_time", timestamp(one.created_ms))
        .set("last_update_time", timestamp(one.updated_ms));
    let fields = match &one.value {
        AssessmentValue::Feedback { value, error: why } => {
            let feedback = Fields::default().set("value", value.clone());
            fields.set("feedback", feedback.optional("error", why.as_ref().map(error)).value())
        }
        AssessmentValue::Expectation(value) if value.is_array() || value.is_object() => {
            let value = json!({ "serialization_format": "JSON_FORMAT", "value": spaced(value) });
            fields.set("expectation", json!({ "serialized_value": value }))
        }
        AssessmentValue::Expectation(value) => fields.set("expectation", json!({ "value": value })),
        AssessmentValue::Issue(name) => fields.set("issue", json!({ "issue_name": name })),
    };
    let fields = fields.optional("rationale", one.rationale.as_deref());
    not_empty(fields, "metadata", map(&one.metadata, &[]))
        .text("overrides", one.overrides.as_deref().unwrap_or_default())
        .set("valid", one.valid)
        .value()
}

/// A kept span as the message that it came as.
fn span(content: &str) -> Value {
    let kept: Value = serde_json::from_str(content).unwrap_or(Value::Null);
    let field = |name: &str| kept.get(name).filter(|value| !value.is_null()).cloned();
    let list = |name: &str, item: fn(&Value) -> Value| -> Vec<Value> {
        kept.get(name)
            .and_then(Value::as_array)
            .map(|list| list.iter().map(item).collect())
            .unwrap_or_default()
    };
    let attributes = kept.get("attributes").and_then(Value::as_object);
    let attributes: Vec<Value> = attributes
        .into_iter()
        .flatten()
        .map(|(key, text)| attribute(key, text.as_str().unwrap_or_default()))
        .collect();
    let status = kept.get("status").cloned().unwrap_or(Value::Null);
    let word = |name: &str| status.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code = Some(word("code")).filter(|code| !code.is_empty() && code != "STATUS_CODE_UNSET");
    Fields::default()
        .optional("trace_id", field("trace_id"))
        .optional("span_id", field("span_id"))
        .optional("parent_span_id", field("parent_span_id"))
        .optional("name", field("name").filter(|name| name != ""))
        .optional("start_time_unix_nano", field("start_time_unix_nano").filter(|start| *start != 0))
        .optional("end_time_unix_nano", field("end_time_unix_nano"))
        .list("attributes", attributes)
        .list("events", list("events", event))
        .list("links", list("links", link))
        .set("status", Fields::default().text("message", &word("message")).optional("code", code).value())
        .value()
}

fn attributes(value: &Value) -> Vec<Value> {
    let fields = value.get("attributes").and_then(Value::as_object);
    fields.into_iter().flatten().map(|(key, value)| attribute_of(key, value)).collect()
}

fn event(event: &Value) -> Value {
    Fields::default()
        .optional("time_unix_nano", event.get("time_unix_nano").cloned())
        .optional("name", event.get("name").cloned())
        .list("attributes", attributes(event))
        .value()
}

/// A link names its trace as clients do; in the message it is the bytes of that name.
fn link(link: &Value) -> Value {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let id = |name: &str| {
        let text = link.get(name).and_then(Value::as_str).unwrap_or_default();
        hex::decode(text.strip_prefix("tr-").unwrap_or(text)).map(|bytes| STANDARD.encode(bytes)).ok()
    };
    Fields::default()
        .optional("trace_id", id("trace_id"))
        .optional("span_id", id("span_id"))
        .list("attributes", attributes(link))
        .value()
}

/// Writes whole traces part by part. A client sees the JSON of one answer.
pub(crate) struct TraceWriter {
    /// Whether spans go out as they are kept, without the traces around them.
    pub(crate) only_spans: bool,
    traces: usize,
    spans: usize,
}

impl TraceWriter {
    pub(crate) const fn new(only_spans: bool) -> Self {
        Self { only_spans, traces: 0, spans: 0 }
    }

    pub(crate) fn write(&mut self, part: Part) -> Bytes {
        let mut text = String::new();
        match part {
            Part::Begin(_) | Part::End if self.only_spans => {}
            Part::Begin(info) => {
                text.push_str(if self.traces == 0 { "{\"trace_info\":" } else { ",{\"trace_info\":" });
                text.push_str(&trace_info(&info).to_string());
                (self.traces, self.spans) = (self.traces + 1, 0);
            }
            Part::Spans(contents) => {
                for content in contents {
                    text.push_str(match (self.spans, self.only_spans) {
                        (0, true) => "",
                        (0, false) => ",\"spans\":[",
                        _ => ",",
                    });
                    match self.only_spans {
                        true => text.push_str(&content),
                        false => text.push_str(&span(&content).to_string()),
                    }
                    self.spans += 1;
                }
            }
            Part::End => text.push_str(if self.spans == 0 { "}" } else { "]}" }),
        }
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_protobuf_writes_them() {
        assert_eq!(timestamp(1_700_000_000_505), "2023-11-14T22:13:20.505Z");
        assert_eq!(timestamp(0), "1970-01-01T00:00:00Z");
        for (ms, expected) in [(0, "0s"), (70, "0.070s"), (1_500, "1.500s"), (3_000, "3s"), (-250, "-0.250s")]
        {
            assert_eq!(duration(ms), expected);
        }
    }

    #[test]
    fn a_span_goes_out_as_the_message_that_it_came_as() {
        let kept = json!({
            "trace_id": "AQE=", "span_id": "Ag==", "parent_span_id": null, "name": "a",
            "start_time_unix_nano": 5, "end_time_unix_nano": 9,
            "events": [{ "name": "e", "time_unix_nano": 6, "attributes": { "n": 1 } }],
            "status": { "code": "STATUS_CODE_UNSET", "message": "" },
            "attributes": { "k": "\"v\"", "gone": "null" },
            "links": [{ "trace_id": "tr-0aff", "span_id": "01", "attributes": {} }],
        });
        assert_eq!(
            span(&kept.to_string()),
            json!({
                "trace_id": "AQE=", "span_id": "Ag==", "name": "a", "start_time_unix_nano": 5,
                "end_time_unix_nano": 9,
                "attributes": [{ "key": "k", "value": { "string_value": "v" } }, { "key": "gone" }],
                "events": [{ "time_unix_nano": 6, "name": "e",
                    "attributes": [{ "key": "n", "value": { "int_value": 1 } }] }],
                "links": [{ "trace_id": "Cv8=", "span_id": "AQ==" }], "status": {},
            })
        );
    }

    #[test]
    fn parts_make_one_answer() {
        let mut writer = TraceWriter::new(true);
        let parts = [Part::Spans(vec!["1".into(), "2".into()]), Part::Spans(vec!["3".into()]), Part::End];
        let text: Vec<u8> = parts.into_iter().flat_map(|part| writer.write(part)).collect();
        assert_eq!(text, b"1,2,3");
    }
}
