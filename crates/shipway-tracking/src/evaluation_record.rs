//! Reads the records that clients give to an evaluation data set, merges them, and infers what fields they have.
//!
//! Pure. Two records are the same when their inputs are, whatever the order of the keys.

use serde_json::{Map, Value, json};
use shipway_core::Digest;

use crate::{
    error::TrackingError,
    model::{EvaluationRecord, RecordSource},
};

/// The tag that says who wrote a record.
pub(crate) const USER_TAG: &str = "mlflow.user";

/// A record as a client gives it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GivenRecord {
    pub(crate) inputs: Map<String, Value>,
    /// `None` when the client said nothing, which is not the same as null.
    pub(crate) outputs: Option<Value>,
    pub(crate) expectations: Option<Map<String, Value>>,
    pub(crate) tags: Map<String, Value>,
    pub(crate) source: Option<RecordSource>,
}

/// Reads a JSON list of records; a wrong one is named by its place.
pub(crate) fn read(text: &str) -> Result<Vec<GivenRecord>, TrackingError> {
    let wrong = |reason: String| TrackingError::invalid("records", reason);
    let list: Value =
        serde_json::from_str(text).map_err(|error| wrong(format!("it is not JSON: {error}")))?;
    let Value::Array(list) = list else { return Err(wrong("expected a list of records".to_owned())) };
    let record = |(index, value): (usize, Value)| match value {
        Value::Object(fields) => {
            given(fields).map_err(|reason| TrackingError::invalid(format!("records[{index}]"), reason))
        }
        _ => Err(TrackingError::invalid(format!("records[{index}]"), "expected an object")),
    };
    list.into_iter().enumerate().map(record).collect()
}

fn given(mut fields: Map<String, Value>) -> Result<GivenRecord, String> {
    let object = |value: Option<Value>, name: &str| match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(map)) => Ok(Some(map)),
        Some(_) => Err(format!("{name} must be an object")),
    };
    let inputs = object(fields.remove("inputs"), "inputs")?.ok_or("it has no inputs")?;
    let expectations = object(fields.remove("expectations"), "expectations")?;
    let tags = object(fields.remove("tags"), "tags")?.unwrap_or_default();
    let source = object(fields.remove("source"), "source")?.map(source).transpose()?;
    Ok(GivenRecord { inputs, outputs: fields.remove("outputs"), expectations, tags, source })
}

fn source(mut fields: Map<String, Value>) -> Result<RecordSource, String> {
    let word = fields.get("source_type").and_then(Value::as_str).unwrap_or_default();
    let kind = RecordSource::kind_from_word(word).ok_or_else(|| {
        let known = RecordSource::KINDS.join(", ");
        format!("Invalid dataset record source type: {word}. Valid source types: {known}")
    })?;
    match fields.remove("source_data") {
        None | Some(Value::Null) => Ok(RecordSource { kind, data: Map::new() }),
        Some(Value::Object(data)) => Ok(RecordSource { kind, data }),
        Some(_) => Err("source.source_data must be an object".to_owned()),
    }
}

impl GivenRecord {
    /// What two records with the same inputs share.
    pub(crate) fn inputs_digest(&self) -> String {
        Digest::of(Value::Object(sorted(&self.inputs)).to_string()).to_string()
    }

    /// Who wrote it; empty when it does not say.
    pub(crate) fn user(&self) -> &str {
        self.tags.get(USER_TAG).and_then(Value::as_str).unwrap_or_default()
    }

    /// A record that was not there before.
    pub(crate) fn begin(&self, record_id: String, dataset_id: &str, now_ms: i64) -> EvaluationRecord {
        EvaluationRecord {
            record_id,
            dataset_id: dataset_id.to_owned(),
            inputs: self.inputs.clone(),
            outputs: match &self.outputs {
                None => Some(json!({})),
                Some(Value::Null) => None,
                Some(outputs) => Some(outputs.clone()),
            },
            expectations: self.expectations.clone(),
            tags: self.tags.clone(),
            source: self.source.clone(),
            created_ms: now_ms,
            updated_ms: now_ms,
            created_by: self.user().to_owned(),
            updated_by: self.user().to_owned(),
        }
    }

    /// Adds what is new to a record with the same inputs: outputs are replaced, expectations and tags are merged by key, and
    /// where it came from stays.
    pub(crate) fn merge_into(&self, record: &mut EvaluationRecord, now_ms: i64) {
        match &self.outputs {
            None => {}
            Some(Value::Null) => record.outputs = None,
            Some(outputs) => record.outputs = Some(outputs.clone()),
        }
        if let Some(expectations) = self.expectations.as_ref().filter(|given| !given.is_empty()) {
            let merged = record.expectations.get_or_insert_default();
            merged.extend(expectations.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
        record.tags.extend(self.tags.iter().map(|(key, value)| (key.clone(), value.clone())));
        record.updated_ms = now_ms;
        if !self.user().is_empty() {
            record.updated_by = self.user().to_owned();
        }
    }
}

fn sorted(map: &Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries.into_iter().map(|(key, value)| (key.clone(), sorted_value(value))).collect()
}

fn sorted_value(value: &Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(sorted(map)),
        Value::Array(list) => list.iter().map(sorted_value).collect(),
        other => other.clone(),
    }
}

/// Adds the fields of these records to a schema (empty for none yet). A field keeps the type that it had first.
pub(crate) fn extend_schema(schema: &str, records: &[GivenRecord]) -> String {
    if records.is_empty() {
        return schema.to_owned();
    }
    let empty = json!({ "inputs": {}, "outputs": {}, "expectations": {}, "version": "1.0" });
    let mut schema: Value = serde_json::from_str(schema).unwrap_or(empty);
    for record in records {
        add_fields(&mut schema["inputs"], &record.inputs);
        match &record.outputs {
            Some(Value::Object(outputs)) => add_fields(&mut schema["outputs"], outputs),
            None | Some(Value::Null) => {}
            Some(single) => {
                if schema["outputs"].as_object().is_some_and(Map::is_empty) {
                    schema["outputs"] = type_of(single).into();
                }
            }
        }
        if let Some(expectations) = &record.expectations {
            add_fields(&mut schema["expectations"], expectations);
        }
    }
    schema.to_string()
}

fn add_fields(part: &mut Value, fields: &Map<String, Value>) {
    let Some(part) = part.as_object_mut() else { return };
    for (key, value) in fields {
        if !part.contains_key(key) {
            part.insert(key.clone(), type_of(value).into());
        }
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(record: Value) -> GivenRecord {
        read(&json!([record]).to_string()).unwrap().remove(0)
    }

    #[test]
    fn records_with_the_same_inputs_are_the_same_whatever_the_order_of_their_keys() {
        let first = one(json!({ "inputs": { "a": 1, "b": { "x": [1, 2], "y": null } } }));
        let again = one(json!({ "inputs": { "b": { "y": null, "x": [1, 2] }, "a": 1 }, "outputs": 3 }));
        assert_eq!(first.inputs_digest(), again.inputs_digest());
        for other in [json!({ "a": 1.0, "b": 2 }), json!({ "a": "1" }), json!({ "a": 2 }), json!({})] {
            assert_ne!(one(json!({ "inputs": other })).inputs_digest(), first.inputs_digest());
        }
    }

    #[test]
    fn what_is_given_again_is_merged_and_what_is_not_said_stays() {
        let first = one(json!({
            "inputs": { "q": 1 }, "outputs": "old", "expectations": { "a": 1, "b": 1 },
            "tags": { "mlflow.user": "ann", "t": "1" }, "source": { "source_type": "human" },
        }));
        let mut record = first.begin("dr-1".into(), "d-1", 5);
        let again = one(json!({
            "inputs": { "q": 1 }, "expectations": { "b": 2 }, "tags": { "u": "2" }, "source": { "source_type": "CODE" },
        }));
        again.merge_into(&mut record, 9);
        assert_eq!(record.outputs, Some(json!("old")));
        assert_eq!(Value::Object(record.expectations.clone().unwrap()), json!({ "a": 1, "b": 2 }));
        assert_eq!(record.tags.len(), 3);
        assert_eq!(record.source.as_ref().map(|source| source.kind), Some("HUMAN"));
        assert_eq!((record.created_ms, record.updated_ms, record.updated_by.as_str()), (5, 9, "ann"));
        one(json!({ "inputs": { "q": 1 }, "outputs": null })).merge_into(&mut record, 9);
        assert_eq!(record.outputs, None);
    }

    #[test]
    fn a_source_names_what_it_comes_from() {
        let source = |kind: &str, data: Value| {
            let fields = json!({ "source_type": kind, "source_data": data });
            one(json!({ "inputs": {}, "source": fields })).source.unwrap()
        };
        assert_eq!(source("TRACE", json!({ "trace_id": "tr-1" })).id(), Some("tr-1"));
        assert_eq!(source("code", json!({ "source_id": "x" })).id(), Some("x"));
        assert_eq!(source("HUMAN", json!({})).id(), None);
    }

    #[test]
    fn wrong_records_are_refused_by_their_place() {
        for (text, words) in [
            ("{", "not JSON"),
            ("{}", "expected a list"),
            ("[1]", "records[0]: expected an object"),
            (r#"[{"inputs": {}}, {"outputs": 1}]"#, "records[1]: it has no inputs"),
            (r#"[{"inputs": 3}]"#, "inputs must be an object"),
            (r#"[{"inputs": {}, "expectations": [1]}]"#, "expectations must be an object"),
            (r#"[{"inputs": {}, "source": {"source_type": "MAGIC"}}]"#, "Valid source types"),
            (r#"[{"inputs": {}, "source": {"source_type": "CODE", "source_data": 1}}]"#, "source_data"),
        ] {
            let refused = read(text).unwrap_err().to_string();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }

    #[test]
    fn a_schema_grows_and_keeps_the_first_type_of_a_field() {
        let records = [
            one(
                json!({ "inputs": { "q": "x", "n": 1, "f": 0.5 }, "outputs": { "a": [1] }, "expectations": { "e": true } }),
            ),
            one(json!({ "inputs": { "q": 7, "o": {}, "z": null } })),
        ];
        let schema = extend_schema("", &records);
        let expected = json!({
            "inputs": { "q": "string", "n": "integer", "f": "float", "o": "object", "z": "null" },
            "outputs": { "a": "array" }, "expectations": { "e": "boolean" }, "version": "1.0",
        });
        assert_eq!(serde_json::from_str::<Value>(&schema).unwrap(), expected);
        let single = extend_schema("", &[one(json!({ "inputs": {}, "outputs": "text" }))]);
        assert_eq!(serde_json::from_str::<Value>(&single).unwrap()["outputs"], "string");
        let then_object = extend_schema(&single, &[one(json!({ "inputs": {}, "outputs": { "a": 1 } }))]);
        assert_eq!(serde_json::from_str::<Value>(&then_object).unwrap()["outputs"], "string");
        assert_eq!(extend_schema("", &[]), "");
    }

    proptest! {
        #[test]
        fn no_text_upsets_the_reader(text in "\\PC{0,80}") {
            let _ = read(&text);
        }
    }
}
