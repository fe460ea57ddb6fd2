//! What a candidate would have decided otherwise than what was served: judged row by row, told by segments, with examples. Pure.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value as Json};
use shipway_core::Value;

/// The most values of a column that are told apart; a column of numbers with more is told by fifths.
const MOST_VALUES: usize = 20;

/// The parts that a column of many numbers is told by.
const PARTS: usize = 5;

/// When two predictions are two decisions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// One number each, which decide by being at this or above.
    Threshold(f64),
    /// One number each, which differ by more than this.
    Tolerance(f64),
    /// Several numbers each, the largest of which decides.
    Largest,
}

/// A row that was served, and what the candidate says of it.
#[derive(Debug, Clone)]
pub(crate) struct Compared {
    pub(crate) request_id: String,
    pub(crate) row: i64,
    pub(crate) version: i64,
    pub(crate) served: Vec<f64>,
    pub(crate) candidate: Vec<f64>,
    /// In the order of the columns.
    pub(crate) inputs: Vec<Value>,
}

/// How often decisions changed, all in all or in a segment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Rows compared.
    pub rows: u64,
    /// Rows decided otherwise.
    pub changed: u64,
}

/// One value or range of a column.
#[derive(Debug, Clone, Serialize)]
pub struct Segment {
    /// The column.
    pub column: String,
    /// The value, or the range of numbers, as text.
    pub value: String,
    /// What changed in it.
    #[serde(flatten)]
    pub changes: Changes,
}

/// A row decided otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// The request and the row in it.
    pub request_id: String,
    /// From 0.
    pub row: i64,
    /// The version that served it.
    pub version: i64,
    /// What was served.
    pub served: Vec<f64>,
    /// What the candidate says.
    pub candidate: Vec<f64>,
    /// The model's inputs.
    pub inputs: Map<String, Json>,
}

/// The judgement of all rows.
#[derive(Debug, Clone, Serialize)]
pub struct Judgement {
    /// When two predictions are two decisions.
    pub rule: Rule,
    /// All in all.
    #[serde(flatten)]
    pub changes: Changes,
    /// How far single numbers moved, on average and at most.
    pub mean_difference: f64,
    /// The largest.
    pub largest_difference: f64,
    /// By segment, those with the largest share of changes first.
    pub segments: Vec<Segment>,
    /// Those that moved furthest first.
    pub examples: Vec<Example>,
}

/// The rule for these rows: what is asked for; else a threshold of one half where everything is a probability, and any difference where
/// not.
pub(crate) fn rule_for(rows: &[Compared], threshold: Option<f64>, tolerance: Option<f64>) -> Rule {
    if rows.iter().any(|row| row.served.len() > 1) {
        return Rule::Largest;
    }
    let numbers = || rows.iter().flat_map(|row| row.served.iter().chain(&row.candidate));
    match (threshold, tolerance) {
        (Some(threshold), _) => Rule::Threshold(threshold),
        (None, Some(tolerance)) => Rule::Tolerance(tolerance),
        (None, None) if numbers().all(|number| (0.0..=1.0).contains(number)) => Rule::Threshold(0.5),
        (None, None) => Rule::Tolerance(1e-9),
    }
}

impl Rule {
    fn changes(self, row: &Compared) -> bool {
        if row.served.len() != row.candidate.len() {
            return true;
        }
        let (served, candidate) = (row.served.first(), row.candidate.first());
        match (self, served, candidate) {
            (Self::Threshold(threshold), Some(served), Some(candidate)) => {
                (*served >= threshold) != (*candidate >= threshold)
            }
            (Self::Tolerance(tolerance), ..) => distance(row) > tolerance,
            (Self::Largest, ..) => largest(&row.served) != largest(&row.candidate),
            _ => false,
        }
    }
}

/// The place of the first of the largest numbers.
fn largest(numbers: &[f64]) -> Option<usize> {
    let better = |best: Option<(usize, f64)>, (place, number): (usize, &f64)| match best {
        Some((_, highest)) if *number <= highest || number.is_nan() => best,
        _ => Some((place, *number)),
    };
    numbers.iter().enumerate().fold(None, better).map(|(place, _)| place)
}

/// The furthest that a number of a row moved; what is no number on one side only is infinitely far.
fn distance(row: &Compared) -> f64 {
    let moved = |(served, candidate): (&f64, &f64)| match (served.is_nan(), candidate.is_nan()) {
        (true, true) => 0.0,
        (false, false) if served == candidate => 0.0,
        (false, false) => (served - candidate).abs(),
        _ => f64::INFINITY,
    };
    row.served.iter().zip(&row.candidate).map(moved).fold(0.0, f64::max)
}

/// Judges the rows. `columns` are the names of their inputs; `segments` those to tell by.
pub(crate) fn judge(
    rows: &[Compared],
    rule: Rule,
    columns: &[String],
    segments: &[String],
    examples: usize,
) -> Judgement {
    let changed: Vec<bool> = rows.iter().map(|row| rule.changes(row)).collect();
    let distances: Vec<f64> = rows.iter().map(distance).collect();
    let finite = || distances.iter().filter(|distance| distance.is_finite());
    #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^52 rows")]
    let mean = finite().sum::<f64>() / finite().count().max(1) as f64;
    let mut told = Vec::new();
    for name in segments {
        if let Some(at) = columns.iter().position(|column| column == name) {
            let values: Vec<&Value> = rows.iter().filter_map(|row| row.inputs.get(at)).collect();
            told.extend(by_segment(name, &values, &changed));
        }
    }
    let mut order: Vec<usize> =
        changed.iter().enumerate().filter(|(_, changed)| **changed).map(|(place, _)| place).collect();
    let furthest = |place: &usize| distances.get(*place).copied().unwrap_or(0.0);
    order.sort_by(|left, right| furthest(right).total_cmp(&furthest(left)));
    let example = |place: usize| {
        let row = rows.get(place)?;
        let inputs = columns.iter().zip(&row.inputs).map(|(name, value)| (name.clone(), value.to_json()));
        Some(Example {
            request_id: row.request_id.clone(),
            row: row.row,
            version: row.version,
            served: row.served.clone(),
            candidate: row.candidate.clone(),
            inputs: inputs.collect(),
        })
    };
    Judgement {
        rule,
        changes: counted(changed.iter().copied()),
        mean_difference: mean,
        largest_difference: distances.iter().copied().fold(0.0, f64::max),
        segments: told,
        examples: order.into_iter().take(examples).filter_map(example).collect(),
    }
}

fn counted(changed: impl Iterator<Item = bool>) -> Changes {
    changed.fold(Changes::default(), |changes, changed| Changes {
        rows: changes.rows + 1,
        changed: changes.changed + u64::from(changed),
    })
}

fn by_segment(column: &str, values: &[&Value], changed: &[bool]) -> Vec<Segment> {
    let names = segment_names(values);
    let mut groups: BTreeMap<&str, Changes> = BTreeMap::new();
    for (name, changed) in names.iter().zip(changed) {
        let group = groups.entry(name).or_default();
        group.rows += 1;
        group.changed += u64::from(*changed);
    }
    let mut segments: Vec<Segment> = groups
        .into_iter()
        .map(|(value, changes)| Segment { column: column.to_owned(), value: value.to_owned(), changes })
        .collect();
    // a/b > c/d without dividing.
    segments.sort_by(|left, right| {
        (right.changes.changed * left.changes.rows).cmp(&(left.changes.changed * right.changes.rows))
    });
    segments
}

/// The segment of each value: itself, or where there are many, its fifth of the numbers or `others`.
fn segment_names(values: &[&Value]) -> Vec<String> {
    let shown: Vec<String> = values.iter().map(|value| shown(value)).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in &shown {
        *counts.entry(name).or_default() += 1;
    }
    if counts.len() <= MOST_VALUES {
        return shown;
    }
    let number = |value: &&Value| match value {
        Value::Int(_) | Value::Float(_) | Value::Decimal(_) => value.to_json().as_f64(),
        _ => None,
    };
    let mut numbers: Vec<f64> = values.iter().filter_map(number).collect();
    if numbers.len() * 2 > values.len() {
        numbers.sort_by(f64::total_cmp);
        let edge = |part: usize| numbers.get(part * numbers.len() / PARTS).copied();
        let edges: Vec<f64> = (1..PARTS).filter_map(edge).collect();
        return values
            .iter()
            .zip(&shown)
            .map(|(value, shown)| number(value).map_or_else(|| shown.clone(), |number| range(&edges, number)))
            .collect();
    }
    let mut often: Vec<(&str, usize)> = counts.iter().map(|(name, count)| (*name, *count)).collect();
    often.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let kept: Vec<String> = often.iter().take(MOST_VALUES).map(|(name, _)| (*name).to_owned()).collect();
    shown.into_iter().map(|name| if kept.contains(&name) { name } else { "others".to_owned() }).collect()
}

fn range(edges: &[f64], number: f64) -> String {
    let place = edges.partition_point(|edge| *edge <= number);
    match (place.checked_sub(1).and_then(|below| edges.get(below)), edges.get(place)) {
        (None, Some(high)) => format!("< {high}"),
        (Some(low), Some(high)) => format!("{low} to < {high}"),
        (Some(low), None) => format!(">= {low}"),
        (None, None) => "all".to_owned(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => text.to_string(),
        Value::Null => "missing".to_owned(),
        other => other.to_json().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(number: i64, served: &[f64], candidate: &[f64], inputs: Vec<Value>) -> Compared {
        let (served, candidate) = (served.to_vec(), candidate.to_vec());
        Compared { request_id: "r".to_owned(), row: number, version: 1, served, candidate, inputs }
    }

    #[test]
    fn probabilities_decide_at_one_half_and_other_numbers_by_any_difference() {
        let rows = [row(0, &[0.4], &[0.6], vec![]), row(1, &[0.7], &[0.9], vec![])];
        assert_eq!(rule_for(&rows, None, None), Rule::Threshold(0.5));
        assert_eq!(rule_for(&rows, Some(0.8), None), Rule::Threshold(0.8));
        let judged = judge(&rows, Rule::Threshold(0.5), &[], &[], 9);
        assert_eq!(judged.changes, Changes { rows: 2, changed: 1 });
        assert_eq!(judged.examples[0].row, 0);
        let rows = [row(0, &[3.0], &[3.0], vec![]), row(1, &[3.0], &[3.5], vec![])];
        let rule = rule_for(&rows, None, None);
        assert_eq!(judge(&rows, rule, &[], &[], 9).changes.changed, 1);
        assert_eq!(judge(&rows, Rule::Tolerance(0.5), &[], &[], 9).changes.changed, 0);
        let nan = [row(0, &[f64::NAN], &[f64::NAN], vec![]), row(1, &[f64::NAN], &[1.0], vec![])];
        assert_eq!(judge(&nan, Rule::Tolerance(0.1), &[], &[], 9).changes.changed, 1);
    }

    #[test]
    fn the_largest_of_several_decides() {
        let rows = [
            row(0, &[0.2, 0.8], &[0.6, 0.4], vec![]),
            row(1, &[0.2, 0.8], &[0.3, 0.7], vec![]),
            row(2, &[0.2, 0.8], &[0.1, 0.2, 0.7], vec![]),
        ];
        assert_eq!(rule_for(&rows, Some(0.5), None), Rule::Largest);
        assert_eq!(judge(&rows, Rule::Largest, &[], &[], 9).changes.changed, 2);
    }

    #[test]
    fn segments_are_values_or_fifths_with_the_most_changed_first() {
        let columns = ["carrier".to_owned(), "distance".to_owned()];
        let rows: Vec<Compared> = (0..100)
            .map(|number| {
                let carrier = Value::text(if number % 4 == 0 { "UA" } else { "B6" });
                let served = if number % 4 == 0 || number >= 80 { 0.1 } else { 0.9 };
                row(number, &[served], &[0.9], vec![carrier, Value::Int(number)])
            })
            .collect();
        let judged = judge(&rows, Rule::Threshold(0.5), &columns, &columns, 3);
        let told: Vec<(String, u64, u64)> = judged
            .segments
            .iter()
            .map(|segment| (segment.value.clone(), segment.changes.rows, segment.changes.changed))
            .collect();
        assert_eq!(told[0], ("UA".to_owned(), 25, 25));
        assert_eq!(told[1], ("B6".to_owned(), 75, 15));
        assert_eq!(told[2], (">= 80".to_owned(), 20, 20));
        assert_eq!(told.len(), 7);
        assert_eq!(judged.examples.len(), 3);
        assert_eq!(judged.examples[0].inputs["carrier"], "UA");
    }
}
