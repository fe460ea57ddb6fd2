//! Table `trace_assessments`.

use std::collections::HashMap;

use serde_json::Value;
use shipway_store::{Row, Transaction, parameters};

use super::{Rows, Stored, all_of};
use crate::model::{Assessment, AssessmentError, AssessmentValue, Pair, SourceType, trace::key};

fn assessment(row: &Row) -> Stored<Assessment> {
    let body: Value = serde_json::from_str(&row.text("body")?).unwrap_or(Value::Null);
    let value = match row.text("kind")?.as_str() {
        "expectation" => AssessmentValue::Expectation(body),
        "issue" => AssessmentValue::Issue(body.as_str().unwrap_or_default().to_owned()),
        _ => AssessmentValue::Feedback {
            value: body,
            error: row.optional_text("error")?.map(|text| error(&text)),
        },
    };
    let metadata = row.optional_text("metadata")?.unwrap_or_default();
    Ok(Assessment {
        assessment_id: row.text("assessment_id")?,
        trace_id: row.text("trace_id")?,
        name: row.text("name")?,
        value,
        created_ms: row.int("created_ms")?,
        updated_ms: row.int("updated_ms")?,
        source_type: SourceType::from_word(&row.text("source_type")?).unwrap_or(SourceType::Unspecified),
        source_id: row.text("source_id")?,
        span_id: row.optional_text("span_id")?,
        rationale: row.optional_text("rationale")?,
        metadata: pairs(&metadata),
        overrides: row.optional_text("overrides")?,
        valid: row.boolean("valid")?,
    })
}

fn pairs(text: &str) -> Vec<Pair> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => fields
            .into_iter()
            .filter_map(|(key, value)| value.as_str().map(|value| Pair::new(key, value)))
            .collect(),
        _ => Vec::new(),
    }
}

fn error(text: &str) -> AssessmentError {
    let fields: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let field = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    AssessmentError { code: field("code"), message: field("message"), stack_trace: field("stack_trace") }
}

/// The assessments of many traces, the oldest first.
pub(crate) async fn of_all(rows: &mut impl Rows, ids: &[String]) -> Stored<HashMap<String, Vec<Assessment>>> {
    let sql = "SELECT * FROM trace_assessments WHERE trace_id IN ({ids}) ORDER BY created_ms, assessment_id";
    let mut found: HashMap<String, Vec<Assessment>> = HashMap::new();
    for row in all_of(rows, sql, ids).await? {
        let assessment = assessment(&row)?;
        found.entry(assessment.trace_id.clone()).or_default().push(assessment);
    }
    Ok(found)
}

pub(crate) async fn by_id(rows: &mut impl Rows, trace_id: &str, id: &str) -> Stored<Option<Assessment>> {
    let sql = "SELECT * FROM trace_assessments WHERE trace_id = $1 AND assessment_id = $2";
    let found = rows.first(sql, parameters![trace_id, id]).await?;
    found.as_ref().map(assessment).transpose()
}

/// Whether the id is taken, by any trace.
pub(crate) async fn exists(rows: &mut impl Rows, id: &str) -> Stored<bool> {
    let sql = "SELECT assessment_id FROM trace_assessments WHERE assessment_id = $1";
    Ok(rows.first(sql, parameters![id]).await?.is_some())
}

/// Writes an assessment; one of the same id of the same trace is replaced.
pub(crate) async fn put(transaction: &mut Transaction, one: &Assessment) -> Stored<()> {
    let error = match &one.value {
        AssessmentValue::Feedback { error: Some(error), .. } => Some(
            serde_json::json!({ "code": error.code, "message": error.message, "stack_trace": error.stack_trace })
                .to_string(),
        ),
        _ => None,
    };
    let metadata = (!one.metadata.is_empty()).then(|| {
        let fields = one.metadata.iter().map(|pair| (pair.key.clone(), Value::from(pair.value.as_str())));
        Value::Object(fields.collect()).to_string()
    });
    let (number, is_number) = one.value.number();
    let session_scoped = one.metadata.iter().any(|pair| pair.key == key::SESSION);
    let sql = "INSERT INTO trace_assessments (assessment_id, trace_id, name, kind, body, error, created_ms, updated_ms, \
               source_type, source_id, span_id, rationale, metadata, overrides, valid, number, is_number, session_scoped) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
               ON CONFLICT (assessment_id) DO UPDATE SET name = excluded.name, body = excluded.body, \
               error = excluded.error, updated_ms = excluded.updated_ms, rationale = excluded.rationale, \
               metadata = excluded.metadata, valid = excluded.valid, number = excluded.number, \
               is_number = excluded.is_number, session_scoped = excluded.session_scoped \
               WHERE trace_assessments.trace_id = excluded.trace_id";
    let values = parameters![
        one.assessment_id.as_str(),
        one.trace_id.as_str(),
        one.name.as_str(),
        one.value.kind().word(),
        one.value.json().to_string(),
        error,
        one.created_ms,
        one.updated_ms,
        one.source_type.word(),
        one.source_id.as_str(),
        one.span_id.as_deref(),
        one.rationale.as_deref(),
        metadata,
        one.overrides.as_deref(),
        i64::from(one.valid),
        number,
        i64::from(is_number),
        i64::from(session_scoped)
    ];
    transaction.execute(sql, values).await?;
    Ok(())
}

/// Marks an assessment as holding or not; false when the trace has none of that id.
pub(crate) async fn set_valid(
    transaction: &mut Transaction,
    trace_id: &str,
    id: &str,
    valid: bool,
) -> Stored<bool> {
    let sql = "UPDATE trace_assessments SET valid = $3 WHERE trace_id = $1 AND assessment_id = $2";
    Ok(transaction.execute(sql, parameters![trace_id, id, i64::from(valid)]).await? > 0)
}

pub(crate) async fn delete(transaction: &mut Transaction, id: &str) -> Stored<()> {
    let sql = "DELETE FROM trace_assessments WHERE assessment_id = $1";
    transaction.execute(sql, parameters![id]).await?;
    Ok(())
}
