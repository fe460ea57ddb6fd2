//! Runs in answers of this wire. A page may have thousands of them, so they are written as they are, without a tree of values between.

use serde::{Serialize, Serializer};

use super::view::artifact_uri;
use crate::{
    model::{DatasetInput, LinkedModel, Metric, Pair, Run, RunInfo},
    service::Found,
};

/// A list of the views of what a slice holds.
struct Each<'a, T, V>(&'a [T], fn(&'a T) -> V);

impl<T, V> Each<'_, T, V> {
    const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T, V: Serialize> Serialize for Each<'_, T, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}

/// One page of runs.
#[derive(Serialize)]
pub(crate) struct RunsView<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    runs: Each<'a, Run, RunView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<&'a str>,
}

impl<'a> RunsView<'a> {
    pub(crate) fn of(found: &'a Found<Run>) -> Self {
        Self { runs: Each(&found.items, RunView::of), next_page_token: found.next_page_token.as_deref() }
    }
}

/// One run, under its name.
#[derive(Serialize)]
pub(crate) struct NamedRunView<'a> {
    run: RunView<'a>,
}

impl<'a> NamedRunView<'a> {
    pub(crate) fn of(run: &'a Run) -> Self {
        Self { run: RunView::of(run) }
    }
}

/// A run's own row, under its name.
#[derive(Serialize)]
pub(crate) struct NamedInfoView<'a> {
    run_info: InfoView<'a>,
}

impl<'a> NamedInfoView<'a> {
    pub(crate) fn of(info: &'a RunInfo) -> Self {
        Self { run_info: InfoView::of(info) }
    }
}

#[derive(Serialize)]
struct RunView<'a> {
    info: InfoView<'a>,
    data: DataView<'a>,
    inputs: InputsView<'a>,
    outputs: OutputsView<'a>,
}

impl<'a> RunView<'a> {
    fn of(run: &'a Run) -> Self {
        Self {
            info: InfoView::of(&run.info),
            data: DataView {
                metrics: Each(&run.metrics, MetricView::of),
                params: Each(&run.params, PairView::of),
                tags: Each(&run.tags, PairView::of),
            },
            inputs: InputsView {
                dataset_inputs: Each(&run.datasets, InputView::of),
                model_inputs: Each(&run.model_inputs, |model| ModelView {
                    model_id: &model.model_id,
                    step: None,
                }),
            },
            outputs: OutputsView {
                model_outputs: Each(&run.model_outputs, |model| ModelView {
                    model_id: &model.model_id,
                    step: Some(model.step),
                }),
            },
        }
    }
}

#[derive(Serialize)]
struct InfoView<'a> {
    run_id: &'a str,
    run_uuid: &'a str,
    run_name: &'a str,
    experiment_id: String,
    user_id: &'a str,
    status: &'static str,
    start_time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<i64>,
    artifact_uri: String,
    lifecycle_stage: &'static str,
}

impl<'a> InfoView<'a> {
    fn of(info: &'a RunInfo) -> Self {
        Self {
            run_id: &info.run_id,
            run_uuid: &info.run_id,
            run_name: &info.name,
            experiment_id: info.experiment_id.to_string(),
            user_id: &info.user_id,
            status: info.status.word(),
            start_time: info.start_ms,
            end_time: info.end_ms,
            artifact_uri: artifact_uri(&info.artifact_root),
            lifecycle_stage: info.lifecycle.word(),
        }
    }
}

#[derive(Serialize)]
struct DataView<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    metrics: Each<'a, Metric, MetricView<'a>>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    params: Each<'a, Pair, PairView<'a>>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    tags: Each<'a, Pair, PairView<'a>>,
}

/// A point of a metric; what is unset is left out.
#[derive(Serialize)]
pub(super) struct MetricView<'a> {
    key: &'a str,
    value: Double,
    timestamp: i64,
    step: i64,
    #[serde(skip_serializing_if = "str::is_empty")]
    dataset_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    dataset_digest: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    model_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    run_id: &'a str,
}

impl<'a> MetricView<'a> {
    pub(super) fn of(metric: &'a Metric) -> Self {
        Self {
            key: &metric.key,
            value: Double(metric.value),
            timestamp: metric.timestamp_ms,
            step: metric.step,
            dataset_name: &metric.dataset_name,
            dataset_digest: &metric.dataset_digest,
            model_id: &metric.model_id,
            run_id: &metric.run_id,
        }
    }
}

/// A double; what JSON has no number for is a text.
struct Double(f64);

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_nan() => serializer.serialize_str("NaN"),
            f64::INFINITY => serializer.serialize_str("Infinity"),
            f64::NEG_INFINITY => serializer.serialize_str("-Infinity"),
            number => serializer.serialize_f64(number),
        }
    }
}

#[derive(Serialize)]
struct PairView<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> PairView<'a> {
    fn of(pair: &'a Pair) -> Self {
        Self { key: &pair.key, value: &pair.value }
    }
}

#[derive(Serialize)]
struct InputsView<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    dataset_inputs: Each<'a, DatasetInput, InputView<'a>>,
    #[serde(skip_serializing_if = "Each::is_empty")]
    model_inputs: Each<'a, LinkedModel, ModelView<'a>>,
}

#[derive(Serialize)]
struct OutputsView<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    model_outputs: Each<'a, LinkedModel, ModelView<'a>>,
}

#[derive(Serialize)]
struct InputView<'a> {
    #[serde(skip_serializing_if = "Each::is_empty")]
    tags: Each<'a, Pair, PairView<'a>>,
    dataset: DatasetView<'a>,
}

impl<'a> InputView<'a> {
    fn of(input: &'a DatasetInput) -> Self {
        Self {
            tags: Each(&input.tags, PairView::of),
            dataset: DatasetView {
                name: &input.name,
                digest: &input.digest,
                source_type: &input.source_type,
                source: &input.source,
                schema: input.schema.as_deref(),
                profile: input.profile.as_deref(),
            },
        }
    }
}

#[derive(Serialize)]
struct DatasetView<'a> {
    name: &'a str,
    digest: &'a str,
    source_type: &'a str,
    source: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<&'a str>,
}

#[derive(Serialize)]
struct ModelView<'a> {
    model_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Lifecycle, RunStatus};

    fn info() -> RunInfo {
        RunInfo {
            run_id: "r".to_owned(),
            experiment_id: 7,
            name: "a \"name\"".to_owned(),
            user_id: "ada".to_owned(),
            status: RunStatus::Running,
            start_ms: 1,
            end_ms: None,
            artifact_root: "7/r/artifacts".to_owned(),
            lifecycle: Lifecycle::Active,
        }
    }

    #[test]
    fn what_is_unset_is_left_out() {
        let page = Found { items: Vec::new(), next_page_token: None };
        assert_eq!(serde_json::to_string(&RunsView::of(&page)).unwrap(), "{}");
        let page = Found { items: vec![Run::new(info())], next_page_token: Some("t".to_owned()) };
        let expected = r#"{"runs":[{"info":{"run_id":"r","run_uuid":"r","run_name":"a \"name\"","experiment_id":"7","user_id":"ada","status":"RUNNING","start_time":1,"artifact_uri":"mlflow-artifacts:/7/r/artifacts","lifecycle_stage":"active"},"data":{},"inputs":{},"outputs":{}}],"next_page_token":"t"}"#;
        assert_eq!(serde_json::to_string(&RunsView::of(&page)).unwrap(), expected);
    }

    #[test]
    fn what_was_logged_is_written_whole() {
        let metric = |value| Metric {
            key: "auc".to_owned(),
            value,
            timestamp_ms: 5,
            step: -1,
            run_id: "r".to_owned(),
            ..Metric::default()
        };
        let link = |model_id: &str| LinkedModel { model_id: model_id.to_owned(), step: 3 };
        let dataset = DatasetInput {
            name: "flights".to_owned(),
            digest: "abc".to_owned(),
            source_type: "local".to_owned(),
            profile: Some("{}".to_owned()),
            tags: vec![Pair::new("use", "training")],
            ..DatasetInput::default()
        };
        let run = Run {
            metrics: vec![metric(1.0), metric(f64::NAN), metric(f64::NEG_INFINITY), metric(0.1)],
            params: vec![Pair::new("rate", "0.1")],
            tags: vec![Pair::new("kind", "k")],
            datasets: vec![dataset],
            model_inputs: vec![link("m-1")],
            model_outputs: vec![link("m-2")],
            info: RunInfo { end_ms: Some(2), ..info() },
        };
        let written = serde_json::to_value(NamedRunView::of(&run)).unwrap();
        assert_eq!(written["run"]["info"]["end_time"], 2);
        let point =
            |value: &str| format!(r#"{{"key":"auc","value":{value},"timestamp":5,"step":-1,"run_id":"r"}}"#);
        let points = ["1.0", "\"NaN\"", "\"-Infinity\"", "0.1"].map(point).join(",");
        let expected = format!(
            r#"{{"metrics":[{points}],"params":[{{"key":"rate","value":"0.1"}}],"tags":[{{"key":"kind","value":"k"}}]}}"#
        );
        assert_eq!(written["run"]["data"].to_string(), expected);
        let expected = r#"{"dataset_inputs":[{"tags":[{"key":"use","value":"training"}],"dataset":{"name":"flights","digest":"abc","source_type":"local","source":"","profile":"{}"}}],"model_inputs":[{"model_id":"m-1"}]}"#;
        assert_eq!(written["run"]["inputs"].to_string(), expected);
        let expected = r#"{"model_outputs":[{"model_id":"m-2","step":3}]}"#;
        assert_eq!(written["run"]["outputs"].to_string(), expected);
    }
}
