//! Table `evaluation_records`.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{CHUNK, Rows, Stored, all_of, placeholders};
use crate::model::{EvaluationRecord, RecordSource};

/// JSON of a column that this crate wrote; what cannot be read is as if it were not there.
fn json_of<T: serde::de::DeserializeOwned>(text: Option<String>) -> Option<T> {
    text.and_then(|text| serde_json::from_str(&text).ok())
}

fn source(text: Option<String>) -> Option<RecordSource> {
    let mut fields: Map<String, Value> = json_of(text)?;
    let kind = RecordSource::kind_from_word(fields.get("source_type")?.as_str()?)?;
    let data = match fields.remove("source_data") {
        Some(Value::Object(data)) => data,
        _ => Map::new(),
    };
    Some(RecordSource { kind, data })
}

fn record(row: &Row) -> Stored<EvaluationRecord> {
    Ok(EvaluationRecord {
        record_id: row.text("record_id")?,
        dataset_id: row.text("dataset_id")?,
        inputs: json_of(Some(row.text("inputs_json")?)).unwrap_or_default(),
        outputs: json_of(row.optional_text("outputs_json")?),
        expectations: json_of(row.optional_text("expectations_json")?),
        tags: json_of(Some(row.text("tags_json")?)).unwrap_or_default(),
        source: source(row.optional_text("source_json")?),
        created_ms: row.int("created_ms")?,
        updated_ms: row.int("updated_ms")?,
        created_by: row.text("created_by")?,
        updated_by: row.text("updated_by")?,
    })
}

fn text_of(map: &Map<String, Value>) -> String {
    Value::Object(map.clone()).to_string()
}

/// The record of a data set with these inputs.
pub(crate) async fn by_inputs(
    rows: &mut impl Rows,
    dataset_id: &str,
    inputs_digest: &str,
) -> Stored<Option<EvaluationRecord>> {
    let sql = "SELECT * FROM evaluation_records WHERE dataset_id = $1 AND inputs_digest = $2";
    let found = rows.first(sql, parameters![dataset_id, inputs_digest]).await?;
    found.as_ref().map(record).transpose()
}

/// Records in the order in which they came, after the place `(created_ms, record_id)`; and whether there are more.
pub(crate) async fn page(
    rows: &mut impl Rows,
    dataset_id: &str,
    after: Option<(i64, String)>,
    size: i64,
) -> Stored<(Vec<EvaluationRecord>, bool)> {
    let sql = "SELECT * FROM evaluation_records WHERE dataset_id = $1 AND (created_ms > $2 \
               OR (created_ms = $2 AND record_id > $3)) ORDER BY created_ms, record_id LIMIT $4";
    let (created_ms, record_id) = after.unwrap_or((i64::MIN, String::new()));
    let values = parameters![dataset_id, created_ms, record_id, size.saturating_add(1)];
    let found = rows.all(sql, values).await?;
    let wanted = usize::try_from(size).unwrap_or(usize::MAX);
    let records = found.iter().take(wanted).map(record).collect::<Stored<_>>()?;
    Ok((records, found.len() > wanted))
}

/// How many records each of these data sets has; those without any are left out.
pub(crate) async fn counts(rows: &mut impl Rows, dataset_ids: &[String]) -> Stored<HashMap<String, i64>> {
    let sql = "SELECT dataset_id, COUNT(*) AS records FROM evaluation_records WHERE dataset_id IN ({ids}) \
               GROUP BY dataset_id";
    let found = all_of(rows, sql, dataset_ids).await?;
    found.iter().map(|row| Ok((row.text("dataset_id")?, row.int("records")?))).collect()
}

pub(crate) async fn insert(
    transaction: &mut Transaction,
    record: &EvaluationRecord,
    inputs_digest: &str,
) -> Stored<()> {
    let source = record.source.as_ref().map(|source| {
        json!({ "source_type": source.kind, "source_data": Value::Object(source.data.clone()) }).to_string()
    });
    transaction
        .execute(
            "INSERT INTO evaluation_records (record_id, dataset_id, inputs_digest, inputs_json, outputs_json, \
             expectations_json, tags_json, source_json, created_ms, updated_ms, created_by, updated_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            parameters![
                record.record_id.as_str(),
                record.dataset_id.as_str(),
                inputs_digest,
                text_of(&record.inputs),
                record.outputs.as_ref().map(Value::to_string),
                record.expectations.as_ref().map(text_of),
                text_of(&record.tags),
                source,
                record.created_ms,
                record.updated_ms,
                record.created_by.as_str(),
                record.updated_by.as_str()
            ],
        )
        .await?;
    Ok(())
}

/// Writes what can change of a record: outputs, expectations, tags, and when and by whom.
pub(crate) async fn update(transaction: &mut Transaction, record: &EvaluationRecord) -> Stored<()> {
    let sql = "UPDATE evaluation_records SET outputs_json = $2, expectations_json = $3, tags_json = $4, updated_ms = $5, \
               updated_by = $6 WHERE record_id = $1";
    let values = parameters![
        record.record_id.as_str(),
        record.outputs.as_ref().map(Value::to_string),
        record.expectations.as_ref().map(text_of),
        text_of(&record.tags),
        record.updated_ms,
        record.updated_by.as_str()
    ];
    transaction.execute(sql, values).await?;
    Ok(())
}

/// Takes records out of a data set, and says how many were there.
pub(crate) async fn delete(
    transaction: &mut Transaction,
    dataset_id: &str,
    record_ids: &[String],
) -> Stored<u64> {
    let mut deleted = 0;
    for chunk in record_ids.chunks(CHUNK) {
        let list = placeholders(2, chunk.len());
        let sql = format!("DELETE FROM evaluation_records WHERE dataset_id = $1 AND record_id IN ({list})");
        let mut values = parameters![dataset_id];
        values.extend(chunk.iter().map(|id| SqlValue::from(id.as_str())));
        deleted += transaction.execute(&sql, values).await?;
    }
    Ok(deleted)
}
