//! A value that follows a JSON schema: what the model fills in where structure is asked for. Always the same for the same schema.

use serde_json::{Map, Value, json};

/// Schemas deeper than this, or that name themselves, are cut off.
const DEPTH: usize = 24;

/// A value of `schema`; where a schema allows many, the plainest one.
pub(crate) fn of_schema(schema: &Value) -> Value {
    value(schema, schema, DEPTH)
}

fn value(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth == 0 {
        return Value::Null;
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(Value::Null, |target| value(target, root, depth - 1));
    }
    if let Some(given) = schema.get("const").or_else(|| schema.get("enum").and_then(|options| options.get(0)))
    {
        return given.clone();
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(first) = schema.get(key).and_then(|options| options.get(0)) {
            return value(first, root, depth - 1);
        }
    }
    let kind = schema.get("type").and_then(|kind| kind.as_str().or_else(|| kind.get(0)?.as_str()));
    match kind.map(str::to_ascii_lowercase).as_deref() {
        Some("string") => text(schema),
        Some("integer") => schema.get("minimum").cloned().unwrap_or_else(|| json!(7)),
        Some("number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1.5)),
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => array(schema, root, depth),
        Some("object") => object(schema, root, depth),
        _ if schema.get("properties").is_some() => object(schema, root, depth),
        _ => json!("text"),
    }
}

fn text(schema: &Value) -> Value {
    let given = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-02T03:04:05Z",
        Some("date") => "2026-01-02",
        Some("time") => "03:04:05Z",
        Some("email") => "someone@example.com",
        Some("uuid") => "01234567-89ab-4def-8123-456789abcdef",
        Some("uri") => "https://example.com/",
        _ => "text é",
    };
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or_default();
    let missing = usize::try_from(least).unwrap_or_default().min(4096).saturating_sub(given.chars().count());
    Value::String(format!("{given}{}", "x".repeat(missing)))
}

fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 64);
    let item = schema.get("items").map_or_else(|| json!("text"), |items| value(items, root, depth - 1));
    Value::Array((0..least).map(|_| item.clone()).collect())
}

/// All properties: where a schema is strict they are all required.
fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let filled = properties
        .into_iter()
        .flatten()
        .map(|(name, property)| (name.clone(), value(property, root, depth - 1)));
    Value::Object(filled.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_property_is_filled_in() {
        let schema = json!({
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "fahrenheit"]},
                "days": {"type": "array", "minItems": 2, "items": {"$ref": "#/$defs/day"}},
                "note": {"anyOf": [{"type": "string", "minLength": 8}, {"type": "null"}]},
                "loud": {"type": ["boolean", "null"]},
            },
            "$defs": {"day": {"type": "object", "properties": {"high": {"type": "number"}, "on": {"type": "string", "format": "date"}}}},
        });
        let day = json!({"high": 1.5, "on": "2026-01-02"});
        assert_eq!(
            of_schema(&schema),
            json!({"city": "text é", "unit": "celsius", "days": [day, day], "note": "text éxx", "loud": true})
        );
    }

    #[test]
    fn a_schema_that_names_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(of_schema(&schema).to_string().ends_with("null}}}}}}}}}}}}"));
        assert_eq!(of_schema(&json!({"$ref": "#/nowhere"})), Value::Null);
    }
}
