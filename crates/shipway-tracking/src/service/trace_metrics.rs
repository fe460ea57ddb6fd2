//! Numbers over many traces: what may be asked, and the answers.

use crate::{
    error::TrackingError,
    filter::{
        parse_clauses,
        traces::{METRIC_FILTER, MetricField},
    },
    service::Tracking,
    store::traces::metrics::{Aggregation, METRICS, Metric, Point, Question, View},
};

const GREATEST_PAGE: i64 = 1_000;

/// A question as a client words it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MetricRequest {
    pub(crate) experiment_ids: Vec<String>,
    pub(crate) view: View,
    pub(crate) metric: String,
    pub(crate) aggregations: Vec<Aggregation>,
    pub(crate) dimensions: Vec<String>,
    pub(crate) filters: Vec<String>,
    pub(crate) interval_seconds: Option<i64>,
    pub(crate) start_ms: Option<i64>,
    pub(crate) end_ms: Option<i64>,
    pub(crate) max_results: Option<i64>,
}

fn invalid(parameter: &str, reason: impl Into<String>) -> TrackingError {
    TrackingError::invalid(parameter, reason)
}

fn metric(view: View, name: &str) -> Result<&'static Metric, TrackingError> {
    METRICS.iter().find(|metric| metric.view == view && metric.name == name).ok_or_else(|| {
        let known: Vec<&str> =
            METRICS.iter().filter(|metric| metric.view == view).map(|metric| metric.name).collect();
        invalid("metric_name", format!("metric_name must be one of {}, got '{name}'", known.join(", ")))
    })
}

fn fits(metric: &Metric, aggregation: Aggregation) -> Result<(), TrackingError> {
    let fits = match aggregation {
        Aggregation::Count => metric.counts,
        Aggregation::Sum => metric.sums,
        Aggregation::Percentile(percent) if !(0.0..=100.0).contains(&percent) => {
            return Err(invalid("aggregations", "percentile_value must be between 0 and 100"));
        }
        _ => !metric.counts,
    };
    if fits {
        return Ok(());
    }
    let supported = match (metric.counts, metric.sums) {
        (true, _) => "COUNT",
        (false, true) => "SUM, AVG, MIN, MAX, PERCENTILE",
        (false, false) => "AVG, MIN, MAX, PERCENTILE",
    };
    Err(invalid(
        "aggregations",
        format!(
            "Found invalid aggregation_type(s): {aggregation:?}. Supported aggregation types: {supported}"
        ),
    ))
}

/// Spans and assessments can be filtered on in their own view only.
fn filterable(field: &MetricField, view: View) -> bool {
    match field {
        MetricField::TraceState | MetricField::TraceTag(_) | MetricField::TraceMetadata(_) => true,
        MetricField::SpanName | MetricField::SpanStatus | MetricField::SpanType => view == View::Spans,
        MetricField::AssessmentName | MetricField::AssessmentType => view == View::Assessments,
    }
}

fn question(request: &MetricRequest) -> Result<Question, TrackingError> {
    let metric = metric(request.view, &request.metric)?;
    if request.aggregations.is_empty() {
        return Err(invalid("aggregations", "Missing value for required parameter 'aggregations'"));
    }
    request.aggregations.iter().try_for_each(|aggregation| fits(metric, *aggregation))?;
    for dimension in &request.dimensions {
        if !metric.dimensions.contains(&dimension.as_str()) {
            let known = metric.dimensions.join(", ");
            let reason = format!("Found invalid dimension(s): {dimension}. Supported dimensions: {known}");
            return Err(invalid("dimensions", reason));
        }
    }
    if request.interval_seconds.is_some() && (request.start_ms.is_none() || request.end_ms.is_none()) {
        let reason = "start_time_ms and end_time_ms are required if time_interval_seconds is set";
        return Err(invalid("time_interval_seconds", reason));
    }
    if request.interval_seconds.is_some_and(|seconds| !(1..=1_000_000_000).contains(&seconds)) {
        return Err(invalid("time_interval_seconds", "it must be from 1 to 1000000000"));
    }
    let limit = request.max_results.unwrap_or(GREATEST_PAGE);
    if !(1..=GREATEST_PAGE).contains(&limit) {
        return Err(invalid("max_results", format!("it must be from 1 to {GREATEST_PAGE}")));
    }
    let mut filters = Vec::new();
    for text in &request.filters {
        let mut read = parse_clauses(text, &METRIC_FILTER)?;
        let Some(clause) = read.pop().filter(|_| read.is_empty()) else {
            return Err(invalid("filters", format!("Invalid filter: '{text}'. Expected one filter clause.")));
        };
        if !filterable(&clause.field, request.view) {
            let reason =
                format!("Invalid filter: '{text}'. It does not fit the view type {:?}", request.view);
            return Err(invalid("filters", reason));
        }
        filters.push(clause);
    }
    Ok(Question {
        metric,
        experiments: request.experiment_ids.iter().filter_map(|id| id.parse().ok()).collect(),
        aggregations: request.aggregations.clone(),
        dimensions: request.dimensions.clone(),
        filters,
        interval_seconds: request.interval_seconds,
        start_ms: request.start_ms,
        end_ms: request.end_ms,
        limit,
    })
}

impl Tracking {
    /// The answer in groups, by time and then by the dimensions; groups without any value are left out.
    pub(crate) async fn trace_metrics(&self, request: &MetricRequest) -> Result<Vec<Point>, TrackingError> {
        let experiment_ids = self.experiments_here(&request.experiment_ids).await?;
        let request = MetricRequest { experiment_ids, ..request.clone() };
        let mut points = question(&request)?.answer(&mut self.reader()).await?;
        points.retain(|point| point.values.iter().any(Option::is_some));
        Ok(points)
    }
}
