//! Numbers over many traces, spans or assessments: counted, summed and ranked by the database, in groups.
//!
//! A percentile lies between two ranked values, at the same place as in numpy's `quantile`: both are picked by their rank, and the
//! value between them is computed here.

use shipway_store::{Row, SqlValue};

use super::{Rows, Stored, placeholders};
use crate::{
    filter::{Clause, Condition, Test, traces::MetricField},
    model::trace::key,
};

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    Traces,
    Spans,
    Assessments,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aggregation {
    Count,
    Sum,
    Average,
    Least,
    Greatest,
    /// From 0 to 100.
    Percentile(f64),
}

/// One metric: the value that is aggregated, and what it may be aggregated and grouped by.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) view: View,
    pub(crate) name: &'static str,
    value: &'static str,
    /// Whether the metric counts; otherwise its value is a number.
    pub(crate) counts: bool,
    pub(crate) sums: bool,
    pub(crate) dimensions: &'static [&'static str],
}

const fn count(
    view: View,
    name: &'static str,
    value: &'static str,
    dimensions: &'static [&'static str],
) -> Metric {
    Metric { view, name, value, counts: true, sums: false, dimensions }
}

const fn number(
    view: View,
    name: &'static str,
    value: &'static str,
    sums: bool,
    dimensions: &'static [&'static str],
) -> Metric {
    Metric { view, name, value, counts: false, sums, dimensions }
}

const MODELS: &[&str] = &["span_model_name", "span_model_provider"];

pub(crate) static METRICS: [Metric; 15] = [
    count(View::Traces, "trace_count", "t.trace_id", &["trace_name", "trace_status"]),
    count(View::Traces, "session_count", "t.session_id", &[]),
    number(View::Traces, "latency", "t.execution_ms", false, &["trace_name"]),
    number(View::Traces, "input_tokens", "t.input_tokens", true, &["trace_name"]),
    number(View::Traces, "output_tokens", "t.output_tokens", true, &["trace_name"]),
    number(View::Traces, "total_tokens", "t.total_tokens", true, &["trace_name"]),
    number(View::Traces, "cache_read_input_tokens", "t.cache_read_input_tokens", true, &["trace_name"]),
    number(
        View::Traces,
        "cache_creation_input_tokens",
        "t.cache_creation_input_tokens",
        true,
        &["trace_name"],
    ),
    count(
        View::Spans,
        "span_count",
        "s.span_id",
        &["span_name", "span_type", "span_status", "span_model_name", "span_model_provider"],
    ),
    number(
        View::Spans,
        "latency",
        "((s.end_ns - s.start_ns) / 1000000)",
        false,
        &["span_name", "span_status"],
    ),
    number(View::Spans, "input_cost", "s.input_cost", true, MODELS),
    number(View::Spans, "output_cost", "s.output_cost", true, MODELS),
    number(View::Spans, "total_cost", "s.total_cost", true, MODELS),
    count(View::Assessments, "assessment_count", "a.assessment_id", &["assessment_name", "assessment_value"]),
    number(View::Assessments, "assessment_value", "a.number", false, &["assessment_name"]),
];

fn dimension(name: &str) -> &'static str {
    match name {
        "trace_name" => "t.name",
        "trace_status" => "t.state",
        "span_name" => "s.name",
        "span_type" => "s.span_type",
        "span_status" => "s.status",
        "span_model_name" => "s.model_name",
        "span_model_provider" => "s.model_provider",
        "assessment_name" => "a.name",
        "assessment_value" => "a.body",
        _ => "NULL",
    }
}

/// A question about one metric; every part of it was checked.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) metric: &'static Metric,
    pub(crate) experiments: Vec<i64>,
    pub(crate) aggregations: Vec<Aggregation>,
    pub(crate) dimensions: Vec<String>,
    pub(crate) filters: Vec<Clause<MetricField>>,
    pub(crate) interval_seconds: Option<i64>,
    pub(crate) start_ms: Option<i64>,
    pub(crate) end_ms: Option<i64>,
    pub(crate) limit: i64,
}

/// One group: its start where groups are of time, its dimensions, and the values in the order of the aggregations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    pub(crate) bucket_ms: Option<i64>,
    pub(crate) dimensions: Vec<String>,
    pub(crate) values: Vec<Option<f64>>,
}

impl Question {
    pub(crate) async fn answer(&self, rows: &mut impl Rows) -> Stored<Vec<Point>> {
        if self.experiments.is_empty() {
            return Ok(Vec::new());
        }
        let (sql, parameters) = self.statement();
        rows.all(&sql, parameters).await?.iter().map(|row| self.point(row)).collect()
    }

    fn groups(&self) -> Vec<(String, String)> {
        let mut groups = Vec::new();
        if let Some(seconds) = self.interval_seconds {
            let size = seconds.saturating_mul(1_000);
            let moment = match self.metric.view {
                View::Spans => "(s.start_ns / 1000000)",
                _ => "t.timestamp_ms",
            };
            groups.push((format!("({moment} / {size}) * {size}"), "bucket".to_owned()));
        }
        let named = self.dimensions.iter().enumerate();
        groups.extend(named.map(|(index, name)| (dimension(name).to_owned(), format!("dimension_{index}"))));
        groups
    }

    fn statement(&self) -> (String, Vec<SqlValue>) {
        let groups = self.groups();
        let Metric { view, value, counts, .. } = self.metric;
        let from = match view {
            View::Traces => "traces t",
            View::Spans => "trace_spans s JOIN traces t ON t.trace_id = s.trace_id",
            View::Assessments => "trace_assessments a JOIN traces t ON t.trace_id = a.trace_id",
        };
        let mut parameters = Vec::new();
        let mut conditions = self.conditions(&mut parameters);
        conditions.extend(groups.iter().map(|(expression, _)| format!("{expression} IS NOT NULL")));
        let mut columns: Vec<String> =
            groups.iter().map(|(expression, name)| format!("{expression} AS {name}")).collect();
        columns.push(if *counts {
            format!("{value} AS v")
        } else {
            format!("CAST({value} AS DOUBLE PRECISION) AS v")
        });
        let base = format!("SELECT {} FROM {from} WHERE {}", columns.join(", "), conditions.join(" AND "));
        let names: Vec<&str> = groups.iter().map(|(_, name)| name.as_str()).collect();
        let names = names.join(", ");
        let partition = if names.is_empty() { String::new() } else { format!("PARTITION BY {names}") };
        let ranked = format!(
            "SELECT b.*, ROW_NUMBER() OVER ({partition} ORDER BY b.v) - 1 AS rank_from_0, \
             COUNT(*) OVER ({partition}) AS members FROM ({base}) b"
        );
        let mut selected: Vec<String> = groups.iter().map(|(_, name)| name.clone()).collect();
        for (index, aggregation) in self.aggregations.iter().enumerate() {
            selected.push(self.aggregate(index, *aggregation));
        }
        selected.push("MAX(members) AS members".to_owned());
        let mut sql = format!("SELECT {} FROM ({ranked}) r", selected.join(", "));
        if !names.is_empty() {
            sql.push_str(&format!(" GROUP BY {names} ORDER BY {names}"));
        }
        sql.push_str(&format!(" LIMIT {}", self.limit));
        (sql, parameters)
    }

    fn aggregate(&self, index: usize, aggregation: Aggregation) -> String {
        let function = match aggregation {
            Aggregation::Count if self.metric.name == "session_count" => "COUNT(DISTINCT v)",
            Aggregation::Count => "COUNT(v)",
            Aggregation::Sum => "SUM(v)",
            Aggregation::Average => "AVG(v)",
            Aggregation::Least => "MIN(v)",
            Aggregation::Greatest => "MAX(v)",
            Aggregation::Percentile(percent) => {
                let millionths = millionths(percent);
                let below = format!("({millionths} * (members - 1)) / 1000000");
                let above = format!("({millionths} * (members - 1) + 999999) / 1000000");
                return format!(
                    "MAX(CASE WHEN rank_from_0 = {below} THEN v END) AS below_{index}, \
                     MAX(CASE WHEN rank_from_0 = {above} THEN v END) AS above_{index}"
                );
            }
        };
        format!("{function} AS value_{index}")
    }

    fn conditions(&self, parameters: &mut Vec<SqlValue>) -> Vec<String> {
        let Metric { view, value, .. } = self.metric;
        parameters.extend(self.experiments.iter().map(|id| SqlValue::from(*id)));
        let mut conditions = vec![
            format!("t.experiment_id IN ({})", placeholders(1, self.experiments.len())),
            format!("{value} IS NOT NULL"),
        ];
        if *view == View::Assessments {
            conditions.push("a.valid = 1".to_owned());
        }
        let costs = *view == View::Spans && self.metric.sums;
        let moment = if costs { "(s.start_ns / 1000000)" } else { "t.timestamp_ms" };
        for (bound, relation) in [(self.start_ms, ">="), (self.end_ms, "<=")] {
            if let Some(bound) = bound {
                parameters.push(bound.into());
                conditions.push(format!("{moment} {relation} ${}", parameters.len()));
            }
        }
        for filter in &self.filters {
            conditions.push(condition(filter, parameters));
        }
        conditions
    }

    fn point(&self, row: &Row) -> Stored<Point> {
        let bucket_ms = self.interval_seconds.map(|_| row.int("bucket")).transpose()?;
        let dimensions = (0..self.dimensions.len())
            .map(|index| row.text(&format!("dimension_{index}")))
            .collect::<Stored<_>>()?;
        let members = row.optional_int("members")?.unwrap_or_default();
        let mut values = Vec::new();
        for (index, aggregation) in self.aggregations.iter().enumerate() {
            values.push(match aggregation {
                Aggregation::Percentile(percent) => {
                    let below = row.optional_real(&format!("below_{index}"))?;
                    let above = row.optional_real(&format!("above_{index}"))?;
                    let way = millionths(*percent) * (members - 1).max(0) % 1_000_000;
                    below.zip(above).map(|(below, above)| below + (above - below) * (way as f64 / 1e6))
                }
                _ => row.optional_real(&format!("value_{index}"))?,
            });
        }
        Ok(Point { bucket_ms, dimensions, values })
    }
}

/// A percentage as whole millionths, so that every database finds the same rank by whole numbers.
fn millionths(percent: f64) -> i64 {
    (percent * 10_000.0).round() as i64
}

fn condition(filter: &Clause<MetricField>, parameters: &mut Vec<SqlValue>) -> String {
    let Condition::Test(Test::Text { value, .. }) = &filter.condition else { return "1 = 0".to_owned() };
    parameters.push(value.as_str().into());
    let value = format!("${}", parameters.len());
    let mut pair = |table: &str, key: &str| {
        parameters.push(key.into());
        format!(
            "EXISTS (SELECT 1 FROM {table} p WHERE p.trace_id = t.trace_id AND p.value = {value} AND p.key = ${})",
            parameters.len()
        )
    };
    match &filter.field {
        MetricField::TraceState => format!("t.state = {value}"),
        MetricField::TraceTag(name) if name == key::TRACE_NAME => format!("t.name = {value}"),
        MetricField::TraceTag(name) => pair("trace_tags", name),
        MetricField::TraceMetadata(name) if name == key::SESSION => format!("t.session_id = {value}"),
        MetricField::TraceMetadata(name) if name == key::SOURCE_RUN => format!(
            "(t.source_run_id = {value} OR EXISTS (SELECT 1 FROM trace_runs l WHERE l.trace_id = t.trace_id \
             AND l.run_id = {value}))"
        ),
        MetricField::TraceMetadata(name) => pair("trace_metadata", name),
        MetricField::SpanName => format!("s.name = {value}"),
        MetricField::SpanStatus => format!("s.status = {value}"),
        MetricField::SpanType => format!("s.span_type = {value}"),
        MetricField::AssessmentName => format!("a.name = {value}"),
        MetricField::AssessmentType => format!("a.kind = {value}"),
    }
}
