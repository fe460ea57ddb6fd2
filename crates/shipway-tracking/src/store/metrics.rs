//! Tables `metrics`, `latest_metrics`.

use std::collections::HashMap;

use shipway_store::{Row, Transaction, parameters};

use super::{Rows, Stored, all_of};
use crate::{
    filter::page::Page,
    model::{Metric, run::stored_value},
};

fn metric(row: &Row) -> Stored<Metric> {
    let value = if row.int("is_nan")? != 0 { f64::NAN } else { row.real("value")? };
    Ok(Metric {
        key: row.text("key")?,
        value,
        timestamp_ms: row.int("timestamp_ms")?,
        step: row.int("step")?,
        run_id: row.text("run_id")?,
        ..Metric::default()
    })
}

/// Adds points and moves the latest point of each metric forward, with two prepared statements whatever the number of
/// points. A point that is there already changes nothing, so that a request may be sent again.
pub(crate) async fn add(transaction: &mut Transaction, run_id: &str, points: &[Metric]) -> Stored<()> {
    let values = |point: &Metric| {
        let (value, is_nan) = stored_value(point.value);
        parameters![run_id, point.key.as_str(), point.step, point.timestamp_ms, value, is_nan]
    };
    transaction
        .execute_many(
            "INSERT INTO metrics (run_id, key, step, timestamp_ms, value, is_nan) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (run_id, key, step, timestamp_ms, value, is_nan) DO NOTHING",
            points.iter().map(values).collect(),
        )
        .await?;
    let mut latest: HashMap<&str, &Metric> = HashMap::new();
    for point in points {
        let entry = latest.entry(point.key.as_str()).or_insert(point);
        if point.recency(entry).is_gt() {
            *entry = point;
        }
    }
    // NaN counts as the smallest value of its moment, as in `Metric::recency`.
    transaction
        .execute_many(
            "INSERT INTO latest_metrics (run_id, key, step, timestamp_ms, value, is_nan) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (run_id, key) DO UPDATE SET step = excluded.step, \
             timestamp_ms = excluded.timestamp_ms, value = excluded.value, is_nan = excluded.is_nan \
             WHERE excluded.step > latest_metrics.step OR (excluded.step = latest_metrics.step \
             AND (excluded.timestamp_ms > latest_metrics.timestamp_ms \
             OR (excluded.timestamp_ms = latest_metrics.timestamp_ms \
             AND (excluded.is_nan < latest_metrics.is_nan \
             OR (excluded.is_nan = latest_metrics.is_nan AND excluded.value > latest_metrics.value)))))",
            latest.into_values().map(values).collect(),
        )
        .await?;
    Ok(())
}

pub(crate) async fn latest_of_all(
    rows: &mut impl Rows,
    run_ids: &[String],
) -> Stored<HashMap<String, Vec<Metric>>> {
    let sql = "SELECT * FROM latest_metrics WHERE run_id IN ({ids}) ORDER BY key";
    let mut found: HashMap<String, Vec<Metric>> = HashMap::new();
    for row in all_of(rows, sql, run_ids).await? {
        let metric = metric(&row)?;
        found.entry(metric.run_id.clone()).or_default().push(metric);
    }
    Ok(found)
}

/// The points of one metric by time, step and value, and whether there are more after the page.
pub(crate) async fn history(
    rows: &mut impl Rows,
    run_id: &str,
    key: &str,
    page: Page,
) -> Stored<(Vec<Metric>, bool)> {
    let sql = "SELECT * FROM metrics WHERE run_id = $1 AND key = $2 ORDER BY timestamp_ms, step, is_nan DESC, value \
               LIMIT $3 OFFSET $4";
    let found = rows.all(sql, parameters![run_id, key, page.size.saturating_add(1), page.offset]).await?;
    let wanted = usize::try_from(page.size).unwrap_or(usize::MAX);
    let points: Vec<Metric> = found.iter().take(wanted).map(metric).collect::<Stored<_>>()?;
    Ok((points, found.len() > wanted))
}
