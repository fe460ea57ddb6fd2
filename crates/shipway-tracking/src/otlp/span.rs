//! One span of a message to one that is kept, with what it says of its trace.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use super::{
    OtlpError,
    conventions::{self, COST, INPUTS, MODEL, OUTPUTS, PROVIDER, SPAN_TYPE, USAGE},
    messages::{Event, Export, KeyValue, Link, Span, Status},
    numbered::of_events,
    trace_labels,
    value::{spaced, to_fields, to_json, to_text},
};
use crate::model::{Pair, StoredSpan, bounds};

/// The attribute that names the trace of a span; what a sender puts there is not believed.
const TRACE_OF: &str = "mlflow.traceRequestId";
/// Attributes of the root that are tags of the trace.
const TAG_PREFIX: &str = "mlflow.traceTag.";
/// The most characters of the model and of its provider.
const MODEL_LENGTH: usize = 250;
/// The most bytes of one span.
const SPAN_BYTES: usize = 16 * 1024 * 1024;

/// A span, and what it says of its trace.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReceivedSpan {
    pub(crate) stored: StoredSpan,
    /// What its sender says of itself; the same for all spans of one sender.
    pub(crate) resource_tags: Arc<[Pair]>,
    pub(crate) session_id: Option<String>,
    pub(crate) user: Option<String>,
    /// Tags of the trace; the root has them.
    pub(crate) tags: Vec<Pair>,
    /// Metadata of the trace; the root has them.
    pub(crate) metadata: Vec<Pair>,
    /// JSON text of inputs and outputs.
    pub(crate) inputs: Option<String>,
    pub(crate) outputs: Option<String>,
}

impl ReceivedSpan {
    pub(crate) fn is_root(&self) -> bool {
        self.stored.parent_span_id.is_none()
    }
}

/// The spans of an export, in their order.
pub(crate) fn received(export: Export) -> Result<Vec<ReceivedSpan>, OtlpError> {
    let mut found = Vec::new();
    for resource in export.resource_spans {
        let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
        let tags: Arc<[Pair]> = resource_tags(&attributes).into();
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let index = found.len();
            let read = one(span, &tags).map_err(|reason| OtlpError::Span { index, reason })?;
            found.push(read);
        }
    }
    Ok(found)
}

/// Names of the sender's machinery and of this wire's own are no tags, and neither is what a tag cannot hold.
fn resource_tags(attributes: &[KeyValue]) -> Vec<Pair> {
    let tag = |pair: &KeyValue| {
        let value = match to_json(pair.value.as_ref()) {
            Value::String(text) => text,
            other => spaced(&other),
        };
        let tag = Pair::new(pair.key.as_str(), value);
        let own = tag.key.starts_with("telemetry.sdk.") || tag.key.starts_with("mlflow.");
        (!own && bounds::trace_tag(&tag).is_ok()).then_some(tag)
    };
    attributes.iter().filter_map(tag).collect()
}

fn id(bytes: &[u8], length: usize, name: &str) -> Result<Vec<u8>, String> {
    if bytes.is_empty() {
        return Err(format!("{name} is required and empty"));
    }
    if bytes.len() > length {
        return Err(format!("{name} has {} bytes, at most {length} are possible", bytes.len()));
    }
    let mut padded = vec![0; length - bytes.len()];
    padded.extend_from_slice(bytes);
    Ok(padded)
}

fn nanos(moment: u64, name: &str) -> Result<i64, String> {
    i64::try_from(moment).map_err(|_| format!("{name} {moment} is beyond the year 2262"))
}

/// The name under which a trace is known to the clients of the MLflow wire.
fn trace_name(trace_id: &[u8]) -> String {
    format!("tr-{}", hex::encode(trace_id))
}

fn one(span: Span, resource_tags: &Arc<[Pair]>) -> Result<ReceivedSpan, String> {
    let trace_id = id(&span.trace_id, 16, "trace_id")?;
    let span_id = id(&span.span_id, 8, "span_id")?;
    let parent = match span.parent_span_id.iter().all(|byte| *byte == 0) {
        true => None,
        false => Some(id(&span.parent_span_id, 8, "parent_span_id")?),
    };
    let start_ns = nanos(span.start_time_unix_nano, "start_time_unix_nano")?;
    let end_ns = Some(nanos(span.end_time_unix_nano, "end_time_unix_nano")?).filter(|end| *end > 0);
    let name = span.name.replace('\0', "\u{fffd}");
    let trace = trace_name(&trace_id);
    let mut attributes = Map::new();
    for pair in &span.attributes {
        attributes.insert(pair.key.clone(), to_text(pair.value.as_ref()).into());
    }
    attributes.insert(TRACE_OF.to_owned(), Value::from(trace.as_str()).to_string().into());
    conventions::translate(&mut attributes);
    say_what_events_say(&span.events, &mut attributes);
    let status = span.status.unwrap_or_default();
    let words = status_words(&status);
    let root_tags = if parent.is_none() { tags(&attributes) } else { Vec::new() };
    let metadata = if parent.is_none() { trace_labels::metadata(&attributes) } else { Vec::new() };
    let text = |key: &str| conventions::text(&attributes, key);
    let json_text = |key: &str| attributes.get(key).and_then(Value::as_str).map(str::to_owned);
    let bounded = |text: String| text.chars().take(MODEL_LENGTH).collect::<String>();
    let (session, user) = (trace_labels::session(&attributes), trace_labels::user(&attributes));
    let content = spaced(&json!({
        "trace_id": STANDARD.encode(&trace_id),
        "span_id": STANDARD.encode(&span_id),
        "parent_span_id": parent.as_ref().map(|parent| STANDARD.encode(parent)),
        "name": name,
        "start_time_unix_nano": start_ns,
        "end_time_unix_nano": end_ns,
        "events": span.events.iter().map(event).collect::<Vec<_>>(),
        "status": { "code": words.0, "message": status.message },
        "attributes": attributes,
        "links": span.links.iter().filter_map(link).collect::<Vec<_>>(),
    }));
    if content.len() > SPAN_BYTES {
        return Err(format!("it has {} bytes, at most {SPAN_BYTES} are possible", content.len()));
    }
    Ok(ReceivedSpan {
        resource_tags: Arc::clone(resource_tags),
        session_id: session.filter(|session| session.chars().count() <= bounds::KEY_LENGTH),
        user,
        tags: root_tags,
        metadata,
        inputs: json_text(INPUTS),
        outputs: json_text(OUTPUTS),
        stored: StoredSpan {
            trace_id: trace,
            span_id: hex::encode(&span_id),
            parent_span_id: parent.as_ref().map(hex::encode),
            name,
            span_type: text(SPAN_TYPE),
            status: words.1,
            start_ns,
            end_ns,
            usage: conventions::object(&attributes, USAGE),
            cost: conventions::object(&attributes, COST),
            model_name: text(MODEL).map(bounded),
            model_provider: text(PROVIDER).map(bounded),
            content,
        },
    })
}

/// The status as the protocol names it, and as searches do.
const fn status_words(status: &Status) -> (&'static str, &'static str) {
    match status.code {
        1 => ("STATUS_CODE_OK", "OK"),
        2 => ("STATUS_CODE_ERROR", "ERROR"),
        _ => ("STATUS_CODE_UNSET", "UNSET"),
    }
}

fn tags(attributes: &Map<String, Value>) -> Vec<Pair> {
    let tag = |(key, value): (&String, &Value)| {
        let text = value.as_str()?;
        let value = match serde_json::from_str(text) {
            Ok(Value::String(text)) => text,
            _ => text.to_owned(),
        };
        let tag = Pair::new(key.strip_prefix(TAG_PREFIX)?, value);
        bounds::trace_tag(&tag).is_ok().then_some(tag)
    };
    // What a user chose goes before what a convention says.
    trace_labels::tags(attributes).into_iter().chain(attributes.iter().filter_map(tag)).collect()
}

/// Where no attribute says what was asked and answered, events may.
fn say_what_events_say(events: &[Event], attributes: &mut Map<String, Value>) {
    if attributes.contains_key(INPUTS) && attributes.contains_key(OUTPUTS) {
        return;
    }
    let told: Vec<(&str, Map<String, Value>)> = events
        .iter()
        .filter(|event| event.name.starts_with("gen_ai."))
        .map(|event| {
            let pairs = event.attributes.iter();
            let fields = pairs.map(|pair| (pair.key.clone(), to_json(pair.value.as_ref()))).collect();
            (event.name.as_str(), fields)
        })
        .collect();
    let (asked, answered) = of_events(&told);
    for (key, value) in [(INPUTS, asked), (OUTPUTS, answered)] {
        if let (false, Some(value)) = (attributes.contains_key(key), value) {
            attributes.insert(key.to_owned(), value.into());
        }
    }
}

fn event(event: &Event) -> Value {
    json!({
        "name": event.name,
        "time_unix_nano": event.time_unix_nano,
        "attributes": to_fields(&event.attributes),
    })
}

/// A link to nothing is left out.
fn link(link: &Link) -> Option<Value> {
    let trace_id = id(&link.trace_id, 16, "trace_id").ok()?;
    let span_id = id(&link.span_id, 8, "span_id").ok()?;
    Some(json!({
        "trace_id": trace_name(&trace_id),
        "span_id": hex::encode(span_id),
        "attributes": to_fields(&link.attributes),
    }))
}

#[cfg(test)]
mod tests {
    use super::{
        super::messages::{Any, AnyValue, Resource, ResourceSpans, ScopeSpans},
        *,
    };

    fn text(key: &str, value: &str) -> KeyValue {
        KeyValue { key: key.into(), value: Some(AnyValue { value: Some(Any::Text(value.into())) }) }
    }

    fn export(span: Span) -> Export {
        let resource = Resource {
            attributes: vec![
                text("service.name", "shop"),
                text("telemetry.sdk.name", "x"),
                text("mlflow.a", "x"),
            ],
        };
        let scope_spans = vec![ScopeSpans { spans: vec![span] }];
        Export { resource_spans: vec![ResourceSpans { resource: Some(resource), scope_spans }] }
    }

    #[test]
    fn a_span_is_kept_with_what_it_says_of_its_trace() {
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            name: "root\0".into(),
            start_time_unix_nano: 5,
            end_time_unix_nano: 9,
            attributes: vec![
                text("mlflow.spanInputs", "{\"x\": 1}"),
                text("session.id", "s"),
                text("user.id", "u"),
                text("mlflow.traceTag.team", "ops"),
                text("mlflow.traceRequestId", "tr-forged"),
            ],
            status: Some(Status { code: 2, message: "no".into() }),
            ..Span::default()
        };
        let read = received(export(span)).unwrap().remove(0);
        assert!(read.is_root());
        assert_eq!(read.stored.trace_id, format!("tr-{}", "01".repeat(16)));
        assert_eq!((read.stored.span_id.as_str(), read.stored.status), ("0202020202020202", "ERROR"));
        assert_eq!(read.stored.name, "root\u{fffd}");
        assert_eq!((read.session_id.as_deref(), read.user.as_deref()), (Some("s"), Some("u")));
        assert_eq!(read.tags, [Pair::new("team", "ops")]);
        assert_eq!(&*read.resource_tags, [Pair::new("service.name", "shop")]);
        assert_eq!(read.inputs.as_deref(), Some("{\"x\": 1}"));
        let content: Value = serde_json::from_str(&read.stored.content).unwrap();
        assert_eq!(content["attributes"]["mlflow.traceRequestId"], format!("\"{}\"", read.stored.trace_id));
        assert_eq!(content["status"], json!({ "code": "STATUS_CODE_ERROR", "message": "no" }));
        assert_eq!(content["parent_span_id"], Value::Null);
    }

    #[test]
    fn a_span_without_an_identity_is_refused_by_its_place() {
        let good = Span { trace_id: vec![1], span_id: vec![2], ..Span::default() };
        assert!(received(export(good.clone())).is_ok());
        for (bad, reason) in [
            (Span { trace_id: vec![], ..good.clone() }, "trace_id is required and empty"),
            (Span { span_id: vec![1; 9], ..good.clone() }, "span_id has 9 bytes, at most 8 are possible"),
            (
                Span { start_time_unix_nano: u64::MAX, ..good.clone() },
                "start_time_unix_nano 18446744073709551615 is beyond the year 2262",
            ),
        ] {
            let refused = received(export(bad)).unwrap_err();
            assert_eq!(refused, OtlpError::Span { index: 0, reason: reason.into() });
        }
        let root = Span { parent_span_id: vec![0; 8], ..good };
        assert!(received(export(root)).unwrap()[0].is_root(), "a parent of zeros is none");
    }
}
