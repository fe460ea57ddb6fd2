//! The JSON form of an export: ids in hexadecimal, 64-bit numbers as texts or numbers, names in camelCase or as the protocol
//! writes them; unknown fields are passed over.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

use super::messages::{
    Any, AnyValue, ArrayValue, Event, Export, KeyValue, KeyValueList, Link, Resource, ResourceSpans,
    ScopeSpans, Span, Status,
};

type Read<T> = Result<T, String>;

pub(super) fn export(body: &[u8]) -> Read<Export> {
    let value: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let fields = Fields::of(&value, "the body")?;
    let resource_spans = fields.list("resourceSpans", "resource_spans", resource_spans)?;
    Ok(Export { resource_spans })
}

/// An object, with its name in messages.
struct Fields<'a> {
    fields: &'a Map<String, Value>,
    name: &'a str,
}

impl<'a> Fields<'a> {
    fn of(value: &'a Value, name: &'a str) -> Read<Self> {
        value.as_object().map(|fields| Self { fields, name }).ok_or_else(|| format!("{name} is no object"))
    }

    fn get(&self, name: &str, other: &str) -> Option<&'a Value> {
        self.fields.get(name).or_else(|| self.fields.get(other)).filter(|value| !value.is_null())
    }

    fn wrong(&self, name: &str, expected: &str) -> String {
        format!("{name} of {} is no {expected}", self.name)
    }

    fn list<T>(&self, name: &str, other: &str, item: impl Fn(&Value) -> Read<T>) -> Read<Vec<T>> {
        match self.get(name, other) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values.iter().map(item).collect(),
            Some(_) => Err(self.wrong(name, "list")),
        }
    }

    fn text(&self, name: &str, other: &str) -> Read<String> {
        match self.get(name, other) {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(self.wrong(name, "text")),
        }
    }

    fn id(&self, name: &str, other: &str) -> Read<Vec<u8>> {
        hex::decode(self.text(name, other)?).map_err(|_| self.wrong(name, "hexadecimal text"))
    }

    fn nanos(&self, name: &str, other: &str) -> Read<u64> {
        let read = match self.get(name, other) {
            None => Some(0),
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            Some(_) => None,
        };
        read.ok_or_else(|| self.wrong(name, "whole number"))
    }
}

fn resource_spans(value: &Value) -> Read<ResourceSpans> {
    let fields = Fields::of(value, "a resource span")?;
    let resource = match fields.get("resource", "resource") {
        None => None,
        Some(value) => Some(Resource { attributes: attributes(&Fields::of(value, "a resource")?)? }),
    };
    Ok(ResourceSpans { resource, scope_spans: fields.list("scopeSpans", "scope_spans", scope_spans)? })
}

fn scope_spans(value: &Value) -> Read<ScopeSpans> {
    Ok(ScopeSpans { spans: Fields::of(value, "a scope span")?.list("spans", "spans", span)? })
}

fn span(value: &Value) -> Read<Span> {
    let fields = Fields::of(value, "a span")?;
    let status = match fields.get("status", "status") {
        None => None,
        Some(value) => Some(status(&Fields::of(value, "a status")?)?),
    };
    Ok(Span {
        trace_id: fields.id("traceId", "trace_id")?,
        span_id: fields.id("spanId", "span_id")?,
        parent_span_id: fields.id("parentSpanId", "parent_span_id")?,
        name: fields.text("name", "name")?,
        start_time_unix_nano: fields.nanos("startTimeUnixNano", "start_time_unix_nano")?,
        end_time_unix_nano: fields.nanos("endTimeUnixNano", "end_time_unix_nano")?,
        attributes: attributes(&fields)?,
        events: fields.list("events", "events", event)?,
        links: fields.list("links", "links", link)?,
        status,
    })
}

fn status(fields: &Fields) -> Read<Status> {
    let code = match fields.get("code", "code") {
        None => 0,
        Some(Value::Number(number)) => number.as_i64().and_then(|code| i32::try_from(code).ok()).unwrap_or(0),
        Some(Value::String(word)) => match word.as_str() {
            "STATUS_CODE_OK" => 1,
            "STATUS_CODE_ERROR" => 2,
            _ => 0,
        },
        Some(_) => return Err(fields.wrong("code", "status code")),
    };
    Ok(Status { message: fields.text("message", "message")?, code })
}

fn event(value: &Value) -> Read<Event> {
    let fields = Fields::of(value, "an event")?;
    Ok(Event {
        time_unix_nano: fields.nanos("timeUnixNano", "time_unix_nano")?,
        name: fields.text("name", "name")?,
        attributes: attributes(&fields)?,
    })
}

fn link(value: &Value) -> Read<Link> {
    let fields = Fields::of(value, "a link")?;
    Ok(Link {
        trace_id: fields.id("traceId", "trace_id")?,
        span_id: fields.id("spanId", "span_id")?,
        attributes: attributes(&fields)?,
    })
}

fn attributes(fields: &Fields) -> Read<Vec<KeyValue>> {
    fields.list("attributes", "attributes", key_value)
}

fn key_value(value: &Value) -> Read<KeyValue> {
    let fields = Fields::of(value, "an attribute")?;
    let value = fields.get("value", "value").map(any_value).transpose()?;
    Ok(KeyValue { key: fields.text("key", "key")?, value })
}

fn any_value(value: &Value) -> Read<AnyValue> {
    let fields = Fields::of(value, "a value")?;
    let get = |name: &str, other: &str| fields.get(name, other);
    let value = if let Some(text) = get("stringValue", "string_value") {
        Some(Any::Text(text.as_str().ok_or_else(|| fields.wrong("stringValue", "text"))?.to_owned()))
    } else if let Some(flag) = get("boolValue", "bool_value") {
        Some(Any::Flag(flag.as_bool().ok_or_else(|| fields.wrong("boolValue", "true or false"))?))
    } else if let Some(number) = get("intValue", "int_value") {
        let read = number.as_i64().or_else(|| number.as_str()?.parse().ok());
        Some(Any::Int(read.ok_or_else(|| fields.wrong("intValue", "whole number"))?))
    } else if let Some(number) = get("doubleValue", "double_value") {
        // The text of a number, NaN and the infinities among them, reads as that number.
        let read = number.as_f64().or_else(|| number.as_str()?.parse().ok());
        Some(Any::Double(read.ok_or_else(|| fields.wrong("doubleValue", "number"))?))
    } else if let Some(array) = get("arrayValue", "array_value") {
        let values = Fields::of(array, "an array")?.list("values", "values", any_value)?;
        Some(Any::Array(ArrayValue { values }))
    } else if let Some(list) = get("kvlistValue", "kvlist_value") {
        let values = Fields::of(list, "a list of pairs")?.list("values", "values", key_value)?;
        Some(Any::Fields(KeyValueList { values }))
    } else if let Some(bytes) = get("bytesValue", "bytes_value") {
        let decoded = bytes.as_str().and_then(|text| STANDARD.decode(text).ok());
        Some(Any::Bytes(decoded.ok_or_else(|| fields.wrong("bytesValue", "base64 text"))?))
    } else {
        None
    };
    Ok(AnyValue { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_and_both_forms_of_numbers_are_read() {
        let body = br#"{"resourceSpans": [{"resource": {"attributes": [{"key": "service.name",
            "value": {"stringValue": "shop"}}]}, "scope_spans": [{"spans": [{"traceId": "0AFF", "span_id": "01",
            "name": "a", "startTimeUnixNano": "5", "endTimeUnixNano": 7, "status": {"code": 2, "message": "no"},
            "attributes": [{"key": "i", "value": {"intValue": "3"}}, {"key": "d", "value": {"doubleValue": "NaN"}},
            {"key": "l", "value": {"arrayValue": {"values": [{"boolValue": true}, {}]}}}],
            "unknown": {"x": 1}}]}]}]}"#;
        let read = export(body).unwrap();
        let span = &read.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!((span.trace_id.as_slice(), span.span_id.as_slice()), (&[10, 255][..], &[1][..]));
        assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (5, 7));
        assert_eq!(span.status.as_ref().map(|status| status.code), Some(2));
        assert_eq!(span.attributes[0].value.as_ref().unwrap().value, Some(Any::Int(3)));
        assert!(
            matches!(span.attributes[1].value.as_ref().unwrap().value, Some(Any::Double(d)) if d.is_nan())
        );
    }

    #[test]
    fn what_has_another_form_is_refused_by_its_name() {
        for (body, reason) in [
            (r#"{"resourceSpans": {}}"#, "resourceSpans of the body is no list"),
            (
                r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xy"}]}]}]}"#,
                "traceId of a span is no hexadecimal text",
            ),
            (
                r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": -1}]}]}]}"#,
                "startTimeUnixNano of a span is no whole number",
            ),
            ("3", "the body is no object"),
        ] {
            assert_eq!(export(body.as_bytes()), Err(reason.to_owned()), "{body}");
        }
    }
}
