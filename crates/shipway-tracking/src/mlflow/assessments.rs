//! Endpoints of assessments.

use serde_json::{Value, json};
use shipway_core::Permission::{Read, Write};
use shipway_web::{Path, Routes};

use super::{Answer, Body, WireError, both, here::Here, message::Message, trace_view};
use crate::{
    error::TrackingError,
    model::{Assessment, AssessmentError, AssessmentValue, SourceType},
    service::{AssessmentChange, Tracking, whole},
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "3.0/mlflow/traces/{trace_id}/assessments", Write, create);
    let routes = both!(routes, get, "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", Read, get);
    let routes =
        both!(routes, patch, "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", Write, update);
    both!(routes, delete, "3.0/mlflow/traces/{trace_id}/assessments/{assessment_id}", Write, delete)
}

const SOURCES: [(&str, i64, SourceType); 4] = [
    ("SOURCE_TYPE_UNSPECIFIED", 0, SourceType::Unspecified),
    ("HUMAN", 1, SourceType::Human),
    ("LLM_JUDGE", 2, SourceType::LlmJudge),
    ("CODE", 3, SourceType::Code),
];

/// The value of a message that is set to it, where null is a value too.
fn json_value(message: &Message) -> Value {
    whole(message.value("value").cloned().unwrap_or(Value::Null))
}

fn error(message: &Message) -> Result<Option<AssessmentError>, WireError> {
    if message.value("error").is_none() {
        return Ok(None);
    }
    let error = message.message("error")?;
    Ok(Some(AssessmentError {
        code: error.text_or_empty("error_code")?,
        message: error.text_or_empty("error_message")?,
        stack_trace: error.text_or_empty("stack_trace")?,
    }))
}

fn expectation(message: &Message) -> Result<Value, WireError> {
    if message.value("serialized_value").is_none() {
        return Ok(json_value(message));
    }
    let serialized = message.message("serialized_value")?;
    let format = serialized.text_or_empty("serialization_format")?;
    if format != "JSON_FORMAT" {
        let reason = format!("Unknown serialization format: {format}. Only JSON_FORMAT is supported.");
        return Err(TrackingError::invalid("assessment.expectation", reason).into());
    }
    let text = serialized.text_or_empty("value")?;
    let unreadable = |error: serde_json::Error| {
        TrackingError::invalid("assessment.expectation", format!("the serialized value is not JSON: {error}"))
    };
    Ok(serde_json::from_str(&text).map_err(unreadable)?)
}

/// The value that an assessment holds; exactly one.
fn value(message: &Message) -> Result<Option<AssessmentValue>, WireError> {
    let mut values = Vec::new();
    if message.value("feedback").is_some() {
        let feedback = message.message("feedback")?;
        values.push(AssessmentValue::Feedback { value: json_value(&feedback), error: error(&feedback)? });
    }
    if message.value("expectation").is_some() {
        values.push(AssessmentValue::Expectation(expectation(&message.message("expectation")?)?));
    }
    if message.value("issue").is_some() {
        values.push(AssessmentValue::Issue(message.message("issue")?.required_text("issue_name")?));
    }
    if values.len() > 1 {
        let reason = "Exactly one of `expectation`, `feedback`, or `issue` should be specified.";
        return Err(TrackingError::invalid("assessment", reason).into());
    }
    Ok(values.pop())
}

/// An assessment as a client tells it; its times are 0 where the client leaves them out.
pub(crate) fn read(message: &Message) -> Result<Assessment, WireError> {
    let source = message.message("source")?;
    let created_ms = message.timestamp_ms("create_time")?.unwrap_or_default();
    let optional = |name: &str| Ok::<_, WireError>(message.text(name)?.filter(|text| !text.is_empty()));
    let value = value(message)?.ok_or_else(|| {
        let reason = "Exactly one of `expectation`, `feedback`, or `issue` should be specified.";
        WireError::from(TrackingError::invalid("assessment", reason))
    })?;
    Ok(Assessment {
        assessment_id: message.text_or_empty("assessment_id")?,
        trace_id: message.text_or_empty("trace_id")?,
        name: message.required_text("assessment_name")?,
        value,
        created_ms,
        updated_ms: message.timestamp_ms("last_update_time")?.unwrap_or(created_ms),
        source_type: source.word("source_type", &SOURCES)?.ok_or_else(|| source.missing("source_type"))?,
        source_id: source.text_or_empty("source_id")?,
        span_id: optional("span_id")?,
        rationale: optional("rationale")?,
        metadata: message.map("metadata")?,
        overrides: optional("overrides")?,
        valid: message.flag("valid")?.unwrap_or(true),
    })
}

fn body(assessment: &Assessment) -> Body {
    Body(json!({ "assessment": trace_view::assessment(assessment) }))
}

async fn create(Here(tracking): Here, Path(trace_id): Path<String>, message: Message) -> Answer {
    let assessment = Assessment { trace_id, ..read(&message.message("assessment")?)? };
    Ok(body(&tracking.create_assessment(assessment).await?))
}

async fn get(Here(tracking): Here, Path((trace_id, id)): Path<(String, String)>) -> Answer {
    Ok(body(&tracking.assessment(&trace_id, &id).await?))
}

/// What is changed is named by a mask: names with commas between them, in either spelling.
async fn update(
    Here(tracking): Here,
    Path((trace_id, id)): Path<(String, String)>,
    message: Message,
) -> Answer {
    let assessment = message.message("assessment")?;
    let mut change = AssessmentChange::default();
    for path in message.required_text("update_mask")?.split(',') {
        match path.trim() {
            "assessment_name" | "assessmentName" => change.name = assessment.text("assessment_name")?,
            "feedback" | "expectation" => change.value = value(&assessment)?,
            "rationale" => change.rationale = assessment.text("rationale")?,
            "metadata" => change.metadata = assessment.map("metadata")?,
            "valid" => change.valid = assessment.flag("valid")?,
            other => {
                let reason = format!("`{other}` cannot be changed");
                return Err(TrackingError::invalid("update_mask", reason).into());
            }
        }
    }
    Ok(body(&tracking.update_assessment(&trace_id, &id, change).await?))
}

async fn delete(Here(tracking): Here, Path((trace_id, id)): Path<(String, String)>) -> Answer {
    tracking.delete_assessment(&trace_id, &id).await?;
    Ok(Body::empty())
}
