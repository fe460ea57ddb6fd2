//! Tables `metrics`, `latest_metrics`.

use std::collections::BTreeMap;

use shipway_store::{Change, Row, parameters};

use super::{
    Rows, Stored,
    search::keyset::{self, Term, TermKind},
};
use crate::{
    filter::page::{Page, Place},
    model::{Metric, RunInfo, run::stored_value},
};

/// A point as it is kept.
pub(crate) fn metric(row: &Row) -> Stored<Metric> {
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

/// What adding points changes, with the latest point of each metric moved forward. A point that is there already changes nothing, so that a
/// request may be sent again.
pub(crate) fn adding(run: &RunInfo, points: &[Metric]) -> [Change; 2] {
    let run_id = run.run_id.as_str();
    let values = |point: &&Metric| {
        let (value, is_nan) = stored_value(point.value);
        parameters![run_id, point.key.as_str(), point.step, point.timestamp_ms, value, is_nan]
    };
    // In the order in which they are kept, so that one is put beside the other.
    let mut ordered: Vec<&Metric> = points.iter().collect();
    let place = |point: &&Metric| (point.step, point.timestamp_ms);
    ordered.sort_by(|one, other| one.key.cmp(&other.key).then_with(|| place(one).cmp(&place(other))));
    let mut latest: BTreeMap<&str, &Metric> = BTreeMap::new();
    for point in points {
        let entry = latest.entry(point.key.as_str()).or_insert(point);
        if point.recency(entry).is_gt() {
            *entry = point;
        }
    }
    let latest_values = |point: &Metric| {
        let (value, is_nan) = stored_value(point.value);
        let (key, experiment) = (point.key.as_str(), run.experiment_id);
        parameters![run_id, key, experiment, point.step, point.timestamp_ms, value, is_nan]
    };
    [
        Change::rows(
            "INSERT INTO metrics (run_id, key, step, timestamp_ms, value, is_nan) VALUES {rows} \
             ON CONFLICT (run_id, key, step, timestamp_ms, value, is_nan) DO NOTHING",
            ordered.iter().map(values).collect(),
        ),
        // NaN counts as the smallest value of its moment, as in `Metric::recency`.
        Change::rows(
            "INSERT INTO latest_metrics (run_id, key, experiment_id, step, timestamp_ms, value, is_nan) \
             VALUES {rows} ON CONFLICT (run_id, key) DO UPDATE SET step = excluded.step, \
             timestamp_ms = excluded.timestamp_ms, value = excluded.value, is_nan = excluded.is_nan \
             WHERE excluded.step > latest_metrics.step OR (excluded.step = latest_metrics.step \
             AND (excluded.timestamp_ms > latest_metrics.timestamp_ms \
             OR (excluded.timestamp_ms = latest_metrics.timestamp_ms \
             AND (excluded.is_nan < latest_metrics.is_nan \
             OR (excluded.is_nan = latest_metrics.is_nan AND excluded.value > latest_metrics.value)))))",
            latest.into_values().map(latest_values).collect(),
        ),
    ]
}

/// The latest point of each metric of many runs.
pub(crate) const LATEST_OF_ALL: &str =
    "SELECT run_id, key, step, timestamp_ms, value, is_nan FROM latest_metrics WHERE run_id IN ({ids})";

/// The points of one metric by time, step and value, and the place where the page ends if there are more after it. `None` when the
/// place that it begins after is none of this order.
pub(crate) async fn history(
    rows: &mut impl Rows,
    run_id: &str,
    key: &str,
    page: &Page,
) -> Stored<Option<(Vec<Metric>, Option<Place>)>> {
    let terms = [("timestamp_ms", true), ("step", true), ("is_nan", false)].map(|(column, ascending)| Term {
        rank: None,
        value: column.to_owned(),
        ascending,
        kind: TermKind::Integer,
    });
    let by_value = Term { rank: None, value: "value".to_owned(), ascending: true, kind: TermKind::Number };
    let terms: Vec<Term> = terms.into_iter().chain([by_value]).collect();
    if page.after.as_ref().is_some_and(|place| !keyset::fits(place, &terms)) {
        return Ok(None);
    }
    let mut parameters = parameters![run_id, key];
    let after = page.after.as_ref().map_or_else(
        || "1 = 1".to_owned(),
        |place| {
            keyset::after(place, &terms, |value| {
                parameters.push(value);
                format!("${}", parameters.len())
            })
        },
    );
    let sql = format!(
        "SELECT m.*, {} FROM metrics m WHERE run_id = $1 AND key = $2 AND {after} ORDER BY {} LIMIT {}",
        keyset::selected(&terms).join(", "),
        keyset::order(&terms),
        page.size.saturating_add(1)
    );
    let found = rows.all(&sql, parameters).await?;
    let (wanted, more) = (page.wanted(), found.len() > page.wanted());
    let last = found.get(wanted.saturating_sub(1)).filter(|_| more);
    let end = last.map(|row| keyset::place_of(row, &terms)).transpose()?;
    let points = found.iter().take(wanted).map(metric).collect::<Stored<_>>()?;
    Ok(Some((points, end)))
}
