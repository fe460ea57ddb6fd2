//! Tables `traces`, `trace_tags`, `trace_metadata`, and the assembly of what is known of a trace without its spans.
//!
//! - `spans`: the spans, written in few statements and read in bounded pieces
//! - `assessments`: feedback, expectations, issues
//! - `links`: runs and prompts that a trace is linked to
//! - `search`: checked filters and orders to SQL, page after page
//! - `checks`: what SQL cannot decide alike everywhere
//! - `metrics`: numbers over many traces

pub(crate) mod assessments;
mod checks;
pub(crate) mod links;
pub(crate) mod metrics;
pub(crate) mod search;
pub(crate) mod spans;

use std::collections::HashMap;

use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{
    Rows, Stored, all_of,
    pairs::{TRACE_METADATA, TRACE_TAGS},
    placeholders,
};
use crate::model::{TraceInfo, TraceState, trace::key};

fn info(row: &Row) -> Stored<TraceInfo> {
    Ok(TraceInfo {
        trace_id: row.text("trace_id")?,
        experiment_id: row.int("experiment_id")?,
        timestamp_ms: row.int("timestamp_ms")?,
        execution_ms: row.optional_int("execution_ms")?,
        state: TraceState::from_word(&row.text("state")?).unwrap_or(TraceState::Unspecified),
        client_request_id: row.optional_text("client_request_id")?,
        request_preview: row.optional_text("request_preview")?,
        response_preview: row.optional_text("response_preview")?,
        name: row.optional_text("name")?,
        session_id: row.optional_text("session_id")?,
        finalized: row.boolean("finalized")?,
        artifact_root: row.text("artifact_root")?,
        tags: Vec::new(),
        metadata: Vec::new(),
        assessments: Vec::new(),
    })
}

/// A trace's own row, without tags, metadata and assessments.
pub(crate) async fn row_of(rows: &mut impl Rows, trace_id: &str) -> Stored<Option<TraceInfo>> {
    let found = rows.first("SELECT * FROM traces WHERE trace_id = $1", parameters![trace_id]).await?;
    found.as_ref().map(info).transpose()
}

/// The own rows of those traces that exist.
pub(crate) async fn rows_of(rows: &mut impl Rows, ids: &[String]) -> Stored<HashMap<String, TraceInfo>> {
    let found = all_of(rows, "SELECT * FROM traces WHERE trace_id IN ({ids})", ids).await?;
    let keyed = |row: &Row| info(row).map(|info| (info.trace_id.clone(), info));
    found.iter().map(keyed).collect()
}

/// The trace that owns an artifact root.
pub(crate) async fn by_root(rows: &mut impl Rows, root: &str) -> Stored<Option<TraceInfo>> {
    let found = rows.first("SELECT * FROM traces WHERE artifact_root = $1", parameters![root]).await?;
    found.as_ref().map(info).transpose()
}

/// One trace with all that is known of it but its spans.
pub(crate) async fn by_id(rows: &mut impl Rows, trace_id: &str) -> Stored<Option<TraceInfo>> {
    let found = rows.first("SELECT * FROM traces WHERE trace_id = $1", parameters![trace_id]).await?;
    Ok(from_rows(rows, found.as_slice()).await?.pop())
}

/// Those traces that exist, in the order that was asked for.
pub(crate) async fn by_ids(rows: &mut impl Rows, ids: &[String]) -> Stored<Vec<TraceInfo>> {
    let found = all_of(rows, "SELECT * FROM traces WHERE trace_id IN ({ids})", ids).await?;
    let mut infos: HashMap<String, TraceInfo> =
        from_rows(rows, &found).await?.into_iter().map(|info| (info.trace_id.clone(), info)).collect();
    Ok(ids.iter().filter_map(|id| infos.remove(id)).collect())
}

/// Traces of searched rows, in their order, with tags, metadata and assessments. Costs three queries per 500 traces.
pub(crate) async fn from_rows(rows: &mut impl Rows, found: &[Row]) -> Stored<Vec<TraceInfo>> {
    let mut infos: Vec<TraceInfo> = found.iter().map(info).collect::<Stored<_>>()?;
    let ids: Vec<String> = infos.iter().map(|info| info.trace_id.clone()).collect();
    let mut tags = TRACE_TAGS.of_all(rows, &ids).await?;
    let mut metadata = TRACE_METADATA.of_all(rows, &ids).await?;
    let mut assessed = assessments::of_all(rows, &ids).await?;
    for info in &mut infos {
        info.tags = tags.remove(&info.trace_id).unwrap_or_default();
        info.metadata = metadata.remove(&info.trace_id).unwrap_or_default();
        info.assessments = assessed.remove(&info.trace_id).unwrap_or_default();
    }
    Ok(infos)
}

const COLUMNS: &str = "trace_id, experiment_id, timestamp_ms, execution_ms, state, client_request_id, request_preview, \
                       response_preview, name, session_id, source_run_id, finalized, artifact_root, input_tokens, \
                       output_tokens, total_tokens, cache_read_input_tokens, cache_creation_input_tokens";

fn values(info: &TraceInfo) -> Vec<SqlValue> {
    let mut values = parameters![
        info.trace_id.as_str(),
        info.experiment_id,
        info.timestamp_ms,
        info.execution_ms,
        info.state.word(),
        info.client_request_id.as_deref(),
        info.request_preview.as_deref(),
        info.response_preview.as_deref(),
        info.name.as_deref(),
        info.session_id.as_deref(),
        info.metadata_value(key::SOURCE_RUN),
        i64::from(info.finalized),
        info.artifact_root.as_str()
    ];
    values.extend(info.tokens().map(SqlValue::from));
    values
}

/// Writes a new trace with its tags and metadata; one that exists keeps what it has.
pub(crate) async fn add(transaction: &mut Transaction, info: &TraceInfo) -> Stored<()> {
    let sql = format!(
        "INSERT INTO traces ({COLUMNS}) VALUES ({}) ON CONFLICT (trace_id) DO NOTHING",
        placeholders(1, 18)
    );
    transaction.execute(&sql, values(info)).await?;
    set_pairs(transaction, info).await
}

/// Writes what a client tells of a trace. Of one that exists it takes the place of what spans had told before; what the client
/// leaves out stays, and so does the place of its artifacts.
pub(crate) async fn put(transaction: &mut Transaction, info: &TraceInfo) -> Stored<()> {
    let replaced =
        ["experiment_id", "timestamp_ms", "execution_ms", "state", "client_request_id", "finalized"]
            .map(|column| format!("{column} = excluded.{column}"));
    let kept = [
        "request_preview",
        "response_preview",
        "name",
        "session_id",
        "source_run_id",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "cache_read_input_tokens",
        "cache_creation_input_tokens",
    ]
    .map(|column| format!("{column} = COALESCE(excluded.{column}, traces.{column})"));
    let sql = format!(
        "INSERT INTO traces ({COLUMNS}) VALUES ({}) ON CONFLICT (trace_id) DO UPDATE SET {}, {}",
        placeholders(1, 18),
        replaced.join(", "),
        kept.join(", ")
    );
    transaction.execute(&sql, values(info)).await?;
    set_pairs(transaction, info).await
}

async fn set_pairs(transaction: &mut Transaction, info: &TraceInfo) -> Stored<()> {
    let owner = info.trace_id.as_str().into();
    TRACE_TAGS.set(transaction, &owner, &info.tags).await?;
    TRACE_METADATA.set(transaction, &owner, &info.metadata).await
}

/// Writes the columns that spans decide, of a trace that exists. Usage is written by [`set_tokens`].
pub(crate) async fn update(transaction: &mut Transaction, info: &TraceInfo) -> Stored<()> {
    let sql = "UPDATE traces SET timestamp_ms = $2, execution_ms = $3, state = $4, request_preview = $5, \
               response_preview = $6, name = $7, session_id = $8 WHERE trace_id = $1";
    let values = parameters![
        info.trace_id.as_str(),
        info.timestamp_ms,
        info.execution_ms,
        info.state.word(),
        info.request_preview.as_deref(),
        info.response_preview.as_deref(),
        info.name.as_deref(),
        info.session_id.as_deref()
    ];
    transaction.execute(sql, values).await?;
    Ok(())
}

/// Writes the numbers of tokens; a kind that is not told stays.
pub(crate) async fn set_tokens(
    transaction: &mut Transaction,
    trace_id: &str,
    tokens: [Option<i64>; 5],
) -> Stored<()> {
    let sql = "UPDATE traces SET input_tokens = COALESCE($2, input_tokens), output_tokens = COALESCE($3, output_tokens), \
               total_tokens = COALESCE($4, total_tokens), \
               cache_read_input_tokens = COALESCE($5, cache_read_input_tokens), \
               cache_creation_input_tokens = COALESCE($6, cache_creation_input_tokens) WHERE trace_id = $1";
    let mut values = parameters![trace_id];
    values.extend(tokens.map(SqlValue::from));
    transaction.execute(sql, values).await?;
    Ok(())
}

pub(crate) async fn rename(transaction: &mut Transaction, trace_id: &str, name: Option<&str>) -> Stored<()> {
    transaction
        .execute("UPDATE traces SET name = $2 WHERE trace_id = $1", parameters![trace_id, name])
        .await?;
    Ok(())
}

/// Which traces of an experiment a deletion means: the oldest first, at most `limit`.
pub(crate) async fn oldest(
    rows: &mut impl Rows,
    experiment_id: i64,
    until_ms: Option<i64>,
    among: &[String],
    limit: i64,
) -> Stored<Vec<String>> {
    let mut sql = "SELECT trace_id FROM traces WHERE experiment_id = $1".to_owned();
    let mut values = parameters![experiment_id];
    if let Some(until_ms) = until_ms {
        values.push(until_ms.into());
        sql.push_str(&format!(" AND timestamp_ms <= ${}", values.len()));
    }
    if !among.is_empty() {
        sql.push_str(&format!(" AND trace_id IN ({})", placeholders(values.len() + 1, among.len())));
        values.extend(among.iter().map(|id| SqlValue::from(id.as_str())));
    }
    values.push(limit.into());
    sql.push_str(&format!(" ORDER BY timestamp_ms, trace_id LIMIT ${}", values.len()));
    rows.all(&sql, values).await?.iter().map(|row| row.text("trace_id")).collect()
}

/// Takes traces away with all that hangs on them, and says how many there were. The blobs of their artifacts go with the next purge, unless
/// other paths share them.
pub(crate) async fn delete(transaction: &mut Transaction, ids: &[String]) -> Stored<u64> {
    let list = placeholders(1, ids.len());
    let values = || ids.iter().map(|id| SqlValue::from(id.as_str())).collect::<Vec<_>>();
    let sql = format!(
        "INSERT INTO loose_blobs (digest) SELECT DISTINCT digest FROM artifacts WHERE root IN (SELECT artifact_root \
         FROM traces WHERE trace_id IN ({list})) ON CONFLICT (digest) DO NOTHING"
    );
    transaction.execute(&sql, values()).await?;
    let sql = format!(
        "DELETE FROM artifacts WHERE root IN (SELECT artifact_root FROM traces WHERE trace_id IN ({list}))"
    );
    transaction.execute(&sql, values()).await?;
    transaction.execute(&format!("DELETE FROM trace_runs WHERE trace_id IN ({list})"), values()).await?;
    transaction.execute(&format!("DELETE FROM traces WHERE trace_id IN ({list})"), values()).await
}
