//! Table `trace_spans`. A trace may have tens of thousands of spans: they are written many to a statement, and read in pieces.

use std::collections::HashMap;

use serde_json::Value;
use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{Rows, Stored, all_of, placeholders};
use crate::model::StoredSpan;

const COLUMNS: [&str; 18] = [
    "trace_id",
    "span_id",
    "parent_span_id",
    "place",
    "name",
    "span_type",
    "status",
    "start_ns",
    "end_ns",
    "usage",
    "cost",
    "input_cost",
    "output_cost",
    "total_cost",
    "model_name",
    "model_provider",
    "content_bytes",
    "content",
];

/// How many spans one statement writes.
const ROWS: usize = 24;

fn values(span: &StoredSpan) -> Vec<SqlValue> {
    let money = |kind: &str| -> Option<f64> {
        let amount = span.cost.as_ref()?.get(kind)?.as_f64()?;
        amount.is_finite().then_some(amount)
    };
    parameters![
        span.trace_id.as_str(),
        span.span_id.as_str(),
        span.parent_span_id.as_deref(),
        i64::from(span.parent_span_id.is_some()),
        span.name.as_str(),
        span.span_type.as_deref(),
        span.status,
        span.start_ns,
        span.end_ns,
        span.usage.as_ref().map(Value::to_string),
        span.cost.as_ref().map(Value::to_string),
        money("input_cost"),
        money("output_cost"),
        money("total_cost"),
        span.model_name.as_deref(),
        span.model_provider.as_deref(),
        i64::try_from(span.content.len()).unwrap_or(i64::MAX),
        span.content.as_str()
    ]
}

/// Writes spans; one that exists is replaced. No span may be among them twice.
pub(crate) async fn put(transaction: &mut Transaction, spans: &[StoredSpan]) -> Stored<()> {
    let replaced: Vec<String> =
        COLUMNS[2..].iter().map(|column| format!("{column} = excluded.{column}")).collect();
    for chunk in spans.chunks(ROWS) {
        let rows: Vec<String> = (0..chunk.len())
            .map(|row| format!("({})", placeholders(row * COLUMNS.len() + 1, COLUMNS.len())))
            .collect();
        let sql = format!(
            "INSERT INTO trace_spans ({}) VALUES {} ON CONFLICT (trace_id, span_id) DO UPDATE SET {}",
            COLUMNS.join(", "),
            rows.join(", "),
            replaced.join(", ")
        );
        transaction.execute(&sql, chunk.iter().flat_map(values).collect()).await?;
    }
    Ok(())
}

/// What sums over the tree of a trace need of one span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) span_id: String,
    pub(crate) parent_span_id: Option<String>,
    pub(crate) usage: Option<Value>,
    pub(crate) cost: Option<Value>,
}

/// All spans of a trace, without their content.
pub(crate) async fn nodes_of(rows: &mut impl Rows, trace_id: &str) -> Stored<Vec<Node>> {
    let sql = "SELECT span_id, parent_span_id, usage, cost FROM trace_spans WHERE trace_id = $1";
    let json = |row: &Row, column: &str| -> Stored<Option<Value>> {
        Ok(row.optional_text(column)?.and_then(|text| serde_json::from_str(&text).ok()))
    };
    let node = |row: &Row| {
        Ok(Node {
            span_id: row.text("span_id")?,
            parent_span_id: row.optional_text("parent_span_id")?,
            usage: json(row, "usage")?,
            cost: json(row, "cost")?,
        })
    };
    rows.all(sql, parameters![trace_id]).await?.iter().map(node).collect()
}

/// How many spans a trace has, and how many bytes their content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    pub(crate) spans: i64,
    pub(crate) bytes: i64,
}

pub(crate) async fn sizes_of(rows: &mut impl Rows, ids: &[String]) -> Stored<HashMap<String, Size>> {
    let sql = "SELECT trace_id, COUNT(*) AS spans, CAST(SUM(content_bytes) AS BIGINT) AS bytes FROM trace_spans \
               WHERE trace_id IN ({ids}) GROUP BY trace_id";
    let size = |row: &Row| {
        let size = Size { spans: row.int("spans")?, bytes: row.optional_int("bytes")?.unwrap_or_default() };
        Ok((row.text("trace_id")?, size))
    };
    all_of(rows, sql, ids).await?.iter().map(size).collect()
}

/// The content of all spans of several small traces, those without a parent first, then by their start.
pub(crate) async fn of_all(rows: &mut impl Rows, ids: &[String]) -> Stored<HashMap<String, Vec<String>>> {
    let sql = "SELECT trace_id, content FROM trace_spans WHERE trace_id IN ({ids}) \
               ORDER BY trace_id, place, start_ns, span_id";
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    for row in all_of(rows, sql, ids).await? {
        found.entry(row.text("trace_id")?).or_default().push(row.text("content")?);
    }
    Ok(found)
}

/// Where a piece of a trace ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    place: i64,
    start_ns: i64,
    span_id: String,
}

impl Mark {
    /// Before the first span.
    pub(crate) fn start() -> Self {
        Self { place: -1, start_ns: 0, span_id: String::new() }
    }
}

/// The content of the next `limit` spans of a trace after a mark, in the order of [`of_all`], and the mark after them.
pub(crate) async fn piece(
    rows: &mut impl Rows,
    trace_id: &str,
    after: &Mark,
    limit: i64,
) -> Stored<(Vec<String>, Option<Mark>)> {
    let sql = "SELECT place, start_ns, span_id, content FROM trace_spans WHERE trace_id = $1 AND (place > $2 \
               OR (place = $2 AND (start_ns > $3 OR (start_ns = $3 AND span_id > $4)))) \
               ORDER BY place, start_ns, span_id LIMIT $5";
    let values = parameters![trace_id, after.place, after.start_ns, after.span_id.as_str(), limit];
    let found = rows.all(sql, values).await?;
    let mark = match found.last() {
        Some(row) if found.len() as i64 == limit => Some(Mark {
            place: row.int("place")?,
            start_ns: row.int("start_ns")?,
            span_id: row.text("span_id")?,
        }),
        _ => None,
    };
    let contents = found.iter().map(|row| row.text("content")).collect::<Stored<_>>()?;
    Ok((contents, mark))
}
