//! Endpoints that give numbers over many traces.

use serde_json::{Map, Value, json};
use shipway_core::{Permission::Read, Timestamp};
use shipway_web::Routes;

use super::{Answer, Body, WireError, both, here::Here, message::Message, view};
use crate::{
    service::{MetricRequest, Tracking},
    store::traces::metrics::{Aggregation, Point, View},
};

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "3.0/mlflow/traces/metrics", Read, metrics);
    both!(routes, post, "3.0/mlflow/traces/calculate-filter-correlation", Read, correlation)
}

const VIEWS: [(&str, i64, View); 3] =
    [("TRACES", 1, View::Traces), ("SPANS", 2, View::Spans), ("ASSESSMENTS", 3, View::Assessments)];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Simple(Aggregation),
    Percentile,
}

const KINDS: [(&str, i64, Kind); 6] = [
    ("COUNT", 1, Kind::Simple(Aggregation::Count)),
    ("SUM", 2, Kind::Simple(Aggregation::Sum)),
    ("AVG", 3, Kind::Simple(Aggregation::Average)),
    ("PERCENTILE", 4, Kind::Percentile),
    ("MIN", 5, Kind::Simple(Aggregation::Least)),
    ("MAX", 6, Kind::Simple(Aggregation::Greatest)),
];

fn aggregation(message: &Message) -> Result<Aggregation, WireError> {
    match message.word("aggregation_type", &KINDS)?.ok_or_else(|| message.missing("aggregation_type"))? {
        Kind::Simple(aggregation) => Ok(aggregation),
        Kind::Percentile => {
            let percent = message.number("percentile_value")?;
            Ok(Aggregation::Percentile(percent.ok_or_else(|| message.missing("percentile_value"))?))
        }
    }
}

/// What clients call the value of an aggregation.
fn label(aggregation: Aggregation) -> String {
    match aggregation {
        Aggregation::Count => "COUNT".to_owned(),
        Aggregation::Sum => "SUM".to_owned(),
        Aggregation::Average => "AVG".to_owned(),
        Aggregation::Least => "MIN".to_owned(),
        Aggregation::Greatest => "MAX".to_owned(),
        Aggregation::Percentile(percent) => format!("P{percent:?}"),
    }
}

fn point(request: &MetricRequest, point: &Point) -> Value {
    let mut dimensions = Map::new();
    if let Some(ms) = point.bucket_ms {
        let moment = Timestamp(ms.saturating_mul(1_000)).to_string().replace('Z', "+00:00");
        dimensions.insert("time_bucket".to_owned(), moment.into());
    }
    for (name, value) in request.dimensions.iter().zip(&point.dimensions) {
        dimensions.insert(name.clone(), value.as_str().into());
    }
    let values = request.aggregations.iter().zip(&point.values);
    let values: Map<String, Value> =
        values.filter_map(|(one, value)| Some((label(*one), view::double((*value)?)))).collect();
    let fields = view::Fields::default().set("metric_name", request.metric.as_str());
    let fields = if dimensions.is_empty() { fields } else { fields.set("dimensions", dimensions) };
    fields.set("values", values).value()
}

async fn metrics(Here(tracking): Here, message: Message) -> Answer {
    let request = MetricRequest {
        experiment_ids: message.texts("experiment_ids")?,
        view: message.word("view_type", &VIEWS)?.ok_or_else(|| message.missing("view_type"))?,
        metric: message.required_text("metric_name")?,
        aggregations: message
            .messages("aggregations")?
            .iter()
            .map(aggregation)
            .collect::<Result<Vec<_>, _>>()?,
        dimensions: message.texts("dimensions")?,
        filters: message.texts("filters")?,
        interval_seconds: message.integer("time_interval_seconds")?,
        start_ms: message.integer("start_time_ms")?,
        end_ms: message.integer("end_time_ms")?,
        max_results: message.integer("max_results")?,
    };
    if request.experiment_ids.is_empty() {
        return Err(message.missing("experiment_ids"));
    }
    let points = tracking.trace_metrics(&request).await?;
    let list = points.iter().map(|one| point(&request, one)).collect();
    Ok(Body(view::Fields::default().list("data_points", list).value()))
}

async fn correlation(Here(tracking): Here, message: Message) -> Answer {
    let experiments = message.texts("experiment_ids")?;
    if experiments.is_empty() {
        return Err(message.missing("experiment_ids"));
    }
    let first = message.required_text("filter_string1")?;
    let second = message.required_text("filter_string2")?;
    let base = message.text_or_empty("base_filter")?;
    let found = tracking.correlate_traces(&experiments, &first, &second, &base).await?;
    Ok(Body(json!({
        "npmi": view::double(found.npmi(0.0)),
        "npmi_smoothed": view::double(found.npmi(0.5)),
        "filter1_count": found.first,
        "filter2_count": found.second,
        "joint_count": found.both,
        "total_count": found.all,
    })))
}
