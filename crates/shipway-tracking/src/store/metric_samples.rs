//! Table `metrics`, as charts read it.

use shipway_store::{Row, SqlValue, parameters};

use super::{Rows, Stored, metrics::metric, placeholders};
use crate::model::Metric;

/// Where a point stands in the order by step.
fn place(row: &Row) -> Stored<(i64, i64, u64, i64)> {
    let value = row.real("value")?.to_bits();
    Ok((row.int("step")?, row.int("timestamp_ms")?, value, row.int("is_nan")?))
}

/// At most `size` points of one metric, by step: the first of each of `size` equal parts of its history, and the last point
/// in place of the last of these.
pub(crate) async fn sample(
    rows: &mut impl Rows,
    run_id: &str,
    key: &str,
    between: Option<(i64, i64)>,
    size: i64,
) -> Stored<Vec<Metric>> {
    let (start, end) = between.unwrap_or((i64::MIN, i64::MAX));
    let of_metric = "FROM metrics WHERE run_id = $1 AND key = $2 AND step >= $3 AND step <= $4";
    let order = "step, timestamp_ms, value, is_nan";
    let sql = format!(
        "SELECT * FROM (SELECT parted.*, ROW_NUMBER() OVER (PARTITION BY part ORDER BY {order}) AS place FROM \
         (SELECT metrics.*, NTILE(CAST($5 AS INTEGER)) OVER (ORDER BY {order}) AS part {of_metric}) parted) placed \
         WHERE place = 1 ORDER BY {order}"
    );
    let mut found = rows.all(&sql, parameters![run_id, key, start, end, size]).await?;
    let sql = format!(
        "SELECT * {of_metric} ORDER BY step DESC, timestamp_ms DESC, value DESC, is_nan DESC LIMIT 1"
    );
    if let Some(last) = rows.first(&sql, parameters![run_id, key, start, end]).await? {
        let is_there = found.last().map(place).transpose()? == Some(place(&last)?);
        if !is_there {
            if i64::try_from(found.len()).unwrap_or(i64::MAX) >= size {
                found.pop();
            }
            found.push(last);
        }
    }
    found.iter().map(metric).collect()
}

/// The first points of one metric of these runs, by run, time, step and value.
pub(crate) async fn joined(
    rows: &mut impl Rows,
    run_ids: &[String],
    key: &str,
    size: i64,
) -> Stored<Vec<Metric>> {
    let sql = format!(
        "SELECT * FROM metrics WHERE key = $1 AND run_id IN ({}) \
         ORDER BY run_id, timestamp_ms, step, is_nan DESC, value LIMIT $2",
        placeholders(3, run_ids.len())
    );
    let mut values = parameters![key, size];
    values.extend(run_ids.iter().map(|id| SqlValue::from(id.as_str())));
    rows.all(&sql, values).await?.iter().map(metric).collect()
}
