//! Lines of histories: `time value step`, and for what was logged with a data set its name and its digest. Pure.

use serde_json::Value as Json;

use crate::import::item::Point;

/// What stands for the latest point of a metric whose history is not read yet.
pub(super) fn mark(key: String, bytes: u64) -> Point {
    point_of(&key, bytes.into(), 0, 0)
}

fn point_of(key: &str, value: Json, timestamp_ms: i64, step: i64) -> Point {
    Point {
        key: key.to_owned(),
        value,
        timestamp_ms,
        step,
        run_id: String::new(),
        dataset_name: String::new(),
        dataset_digest: String::new(),
    }
}

/// A number as Python writes it; JSON has no numbers for what is none.
fn value(text: &str) -> Option<Json> {
    let number: f64 = text.parse().ok()?;
    Some(if number.is_nan() {
        "NaN".into()
    } else if number.is_infinite() {
        (if number > 0.0 { "Infinity" } else { "-Infinity" }).into()
    } else {
        number.into()
    })
}

/// One point of a run's metric. Old lines have no step.
pub(super) fn point(key: &str, line: &str) -> Option<Point> {
    let mut parts = line.split_whitespace();
    let timestamp_ms = parts.next()?.parse().ok()?;
    let value = value(parts.next()?)?;
    let step = match parts.next() {
        Some(step) => step.parse().ok()?,
        None => 0,
    };
    Some(point_of(key, value, timestamp_ms, step))
}

/// One score of a logged model: `time value step run`, and the name and the digest of its data set. A name may hold spaces.
pub(super) fn score(key: &str, line: &str) -> Option<Point> {
    let parts: Vec<&str> = line.split_whitespace().collect();
    let (head, data) = parts.split_at_checked(4)?;
    let [timestamp, number, step, run_id] = head else { return None };
    let (dataset_digest, name) = match data {
        [] => ("", ""),
        [.., digest] => (*digest, line.split_once(*run_id)?.1.trim().strip_suffix(*digest)?.trim()),
    };
    Some(Point {
        run_id: (*run_id).to_owned(),
        dataset_name: name.to_owned(),
        dataset_digest: dataset_digest.to_owned(),
        ..point_of(key, value(number)?, timestamp.parse().ok()?, step.parse().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_every_age_are_read() {
        let read = |line: &str| point("auc", line).map(|point| (point.timestamp_ms, point.value, point.step));
        assert_eq!(read("5 0.25 3\n"), Some((5, 0.25.into(), 3)));
        assert_eq!(read("5 1e-05"), Some((5, 1e-5.into(), 0)));
        assert_eq!(read("5 nan 1"), Some((5, "NaN".into(), 1)));
        assert_eq!(read("5 -inf 1"), Some((5, "-Infinity".into(), 1)));
        assert_eq!(read("5 0.5 7 autumn d1"), Some((5, 0.5.into(), 7)));
        for wrong in ["", "\n", "x 1 2", "5", "5 x", "5 1 x"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_score_knows_its_run_and_its_data() {
        let scored = score("auc", "5 0.5 0 r1 late autumn d1\n").unwrap();
        assert_eq!(
            (scored.run_id.as_str(), scored.dataset_name.as_str(), scored.dataset_digest.as_str()),
            ("r1", "late autumn", "d1")
        );
        assert_eq!(score("auc", "5 0.5 0 r1").unwrap().dataset_name, "");
        assert_eq!(score("auc", "5 0.5 0"), None);
    }
}
