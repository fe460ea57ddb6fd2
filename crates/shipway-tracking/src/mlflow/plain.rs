//! Requests that training code sends over and over, read without a tree of values between.
//!
//! Only what every client of today sends is read here: the names in `snake_case`, numbers as numbers, nothing unknown. Whatever else
//! this wire allows, and everything that is wrong, is left to [`Message`], which says what is wrong by its name.

use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use shipway_web::{BodyBytes, Problem};

use super::{error::WireError, logging, message::Message};
use crate::model::{Metric, Pair};

/// What is logged for a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Logged {
    pub(super) run_id: String,
    pub(super) metrics: Vec<Metric>,
    pub(super) params: Vec<Pair>,
    pub(super) tags: Vec<Pair>,
}

/// A request that logs a batch.
pub(super) struct LoggedBatch(pub(super) Logged);

/// A request that logs one point of a metric.
pub(super) struct LoggedMetric(pub(super) Logged);

impl<S: Send + Sync> FromRequest<S> for LoggedBatch {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        read(request, state, plain_batch, logging::batch).await.map(Self)
    }
}

impl<S: Send + Sync> FromRequest<S> for LoggedMetric {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        read(request, state, plain_metric, logging::one_metric).await.map(Self)
    }
}

async fn read<S: Send + Sync>(
    request: Request,
    state: &S,
    plain: fn(&[u8]) -> Option<Logged>,
    message: fn(&Message) -> Result<Logged, WireError>,
) -> Result<Logged, Problem> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let BodyBytes(body) = BodyBytes::from_request(request, state).await?;
    match plain(&body) {
        Some(logged) => Ok(logged),
        None => Message::read(&query, &body).and_then(|read| message(&read)).map_err(Problem::from),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainBatch {
    run_id: String,
    #[serde(default)]
    metrics: Vec<PlainPoint>,
    #[serde(default)]
    params: Vec<PlainPair>,
    #[serde(default)]
    tags: Vec<PlainPair>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPoint {
    key: String,
    value: f64,
    timestamp: i64,
    #[serde(default)]
    step: i64,
    #[serde(default)]
    model_id: String,
    #[serde(default)]
    dataset_name: String,
    #[serde(default)]
    dataset_digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainMetric {
    run_id: String,
    /// The name of old for the same.
    #[serde(default, rename = "run_uuid")]
    _run_uuid: String,
    key: String,
    value: f64,
    timestamp: i64,
    #[serde(default)]
    step: i64,
    #[serde(default)]
    model_id: String,
    #[serde(default)]
    dataset_name: String,
    #[serde(default)]
    dataset_digest: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlainPair {
    key: String,
    #[serde(default)]
    value: String,
}

impl From<PlainPoint> for Metric {
    fn from(point: PlainPoint) -> Self {
        Self {
            key: point.key,
            value: point.value,
            timestamp_ms: point.timestamp,
            step: point.step,
            model_id: point.model_id,
            run_id: String::new(),
            dataset_name: point.dataset_name,
            dataset_digest: point.dataset_digest,
        }
    }
}

fn plain_batch(body: &[u8]) -> Option<Logged> {
    let batch: PlainBatch = serde_json::from_slice(body).ok()?;
    let pairs = |pairs: Vec<PlainPair>| {
        pairs.into_iter().map(|PlainPair { key, value }| Pair { key, value }).collect()
    };
    required(Logged {
        run_id: batch.run_id,
        metrics: batch.metrics.into_iter().map(Metric::from).collect(),
        params: pairs(batch.params),
        tags: pairs(batch.tags),
    })
}

fn plain_metric(body: &[u8]) -> Option<Logged> {
    let PlainMetric { run_id, key, value, timestamp, step, model_id, dataset_name, dataset_digest, .. } =
        serde_json::from_slice(body).ok()?;
    let point = PlainPoint { key, value, timestamp, step, model_id, dataset_name, dataset_digest };
    required(Logged { run_id, metrics: vec![point.into()], ..Logged::default() })
}

/// What must not be empty is not.
fn required(logged: Logged) -> Option<Logged> {
    let keys = logged.metrics.iter().map(|metric| &metric.key);
    let pairs = logged.params.iter().chain(&logged.tags).map(|pair| &pair.key);
    let is_complete = keys.chain(pairs).chain([&logged.run_id]).all(|text| !text.is_empty());
    is_complete.then_some(logged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn slowly(body: &[u8], read: fn(&Message) -> Result<Logged, WireError>) -> Option<Logged> {
        Message::read("", body).and_then(|message| read(&message)).ok()
    }

    #[test]
    fn what_clients_send_is_read_at_once() {
        let body = br#"{"run_id": "r", "metrics": [{"key": "a", "value": 1, "timestamp": 5, "step": 2}], "params": [], "tags": [{"key": "t", "value": ""}]}"#;
        let read = plain_batch(body).unwrap();
        assert_eq!((read.metrics[0].value, read.metrics[0].step, read.tags.len()), (1.0, 2, 1));
        let body =
            br#"{"run_uuid": "r", "run_id": "r", "key": "a", "value": 0.1, "timestamp": 5, "step": 0}"#;
        assert_eq!(plain_metric(body).unwrap().metrics[0].value, 0.1);
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_the_message() {
        for body in [
            r#"{"runId": "r", "key": "a", "value": 1, "timestamp": 5}"#,
            r#"{"run_uuid": "r", "key": "a", "value": 1, "timestamp": 5}"#,
            r#"{"run_id": "r", "key": "a", "value": "NaN", "timestamp": "5"}"#,
            r#"{"run_id": "r", "key": "a", "value": 1, "timestamp": 5.0, "step": null}"#,
            r#""{\"run_id\": \"r\", \"key\": \"a\", \"value\": 1, \"timestamp\": 5}""#,
        ] {
            assert_eq!(plain_metric(body.as_bytes()), None, "{body}");
            assert!(slowly(body.as_bytes(), logging::one_metric).is_some(), "{body}");
        }
        for body in [r#"{"run_id": "r", "key": "", "value": 1, "timestamp": 5}"#, "{", "", "[]"] {
            assert_eq!(plain_metric(body.as_bytes()), None, "{body}");
            assert_eq!(slowly(body.as_bytes(), logging::one_metric), None, "{body}");
        }
    }

    fn field() -> impl Strategy<Value = Value> {
        let name = prop::sample::select(vec!["a", "", "r", "NaN", "5"]).prop_map(Value::from);
        let number = prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from)
        ];
        prop_oneof![4 => name, 4 => number, 1 => Just(Value::Null), 1 => Just(json!(true)), 1 => Just(json!([]))]
    }

    fn object(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
        prop::collection::vec((prop::sample::select(names), field()), 0..names.len() + 2)
            .prop_map(|fields| fields.into_iter().collect::<Value>())
    }

    const POINT: &[&str] =
        &["key", "value", "timestamp", "step", "model_id", "dataset_name", "dataset_digest", "other"];

    proptest! {
        /// What is read at once is what the message reads.
        #[test]
        fn both_ways_read_the_same(
            run in field(),
            points in prop::collection::vec(object(POINT), 0..3),
            pairs in prop::collection::vec(object(&["key", "value", "other"]), 0..3),
        ) {
            let batch = json!({ "run_id": run, "metrics": points, "tags": pairs }).to_string();
            if let Some(read) = plain_batch(batch.as_bytes()) {
                prop_assert_eq!(Some(read), slowly(batch.as_bytes(), logging::batch));
            }
            for mut point in points {
                point["run_id"] = run.clone();
                let body = point.to_string();
                if let Some(read) = plain_metric(body.as_bytes()) {
                    prop_assert_eq!(Some(read), slowly(body.as_bytes(), logging::one_metric));
                }
            }
        }
    }
}
