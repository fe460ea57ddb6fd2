//! Endpoints that log for a run: metrics, params, tags, inputs, outputs.

use shipway_core::Permission::Write;
use shipway_web::Routes;

use super::{
    Answer, Body, WireError, both,
    here::Here,
    message::Message,
    plain::{Logged, LoggedBatch, LoggedMetric},
};
use crate::{
    model::{DatasetInput, LinkedModel, Metric},
    service::Tracking,
};

/// The greatest body of a batch.
const BATCH_BYTES: u64 = 1_000_000;
/// The greatest body of inputs, whose profiles may be large.
const INPUTS_BYTES: u64 = 64 * 1024 * 1024;

pub(crate) fn routes() -> Routes<Tracking> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/runs/log-metric", Write, log_metric);
    let routes = both!(routes, post, "2.0/mlflow/runs/log-parameter", Write, log_parameter);
    let routes = both!(routes, post, "2.0/mlflow/runs/set-tag", Write, set_tag);
    let routes = both!(routes, post_with_limit, "2.0/mlflow/runs/log-batch", Write, BATCH_BYTES, log_batch);
    let routes =
        both!(routes, post_with_limit, "2.0/mlflow/runs/log-inputs", Write, INPUTS_BYTES, log_inputs);
    let routes = both!(routes, post, "2.0/mlflow/runs/log-model", Write, log_model);
    both!(routes, post, "2.0/mlflow/runs/outputs", Write, log_outputs)
}

fn metric(message: &Message) -> Result<Metric, WireError> {
    Ok(Metric {
        key: message.required_text("key")?,
        value: message.number("value")?.ok_or_else(|| message.missing("value"))?,
        timestamp_ms: message.integer("timestamp")?.ok_or_else(|| message.missing("timestamp"))?,
        step: message.integer("step")?.unwrap_or_default(),
        model_id: message.text_or_empty("model_id")?,
        run_id: String::new(),
        dataset_name: message.text_or_empty("dataset_name")?,
        dataset_digest: message.text_or_empty("dataset_digest")?,
    })
}

/// What a request that logs one point of a metric says.
pub(super) fn one_metric(message: &Message) -> Result<Logged, WireError> {
    Ok(Logged { run_id: message.run_id()?, metrics: vec![metric(message)?], ..Logged::default() })
}

/// What a request that logs a batch says.
pub(super) fn batch(message: &Message) -> Result<Logged, WireError> {
    let metrics = message.messages("metrics")?.iter().map(metric).collect::<Result<_, _>>()?;
    let (params, tags) = (message.pairs("params")?, message.pairs("tags")?);
    Ok(Logged { run_id: message.run_id()?, metrics, params, tags })
}

async fn log_metric(
    Here(tracking): Here,
    LoggedMetric(Logged { run_id, metrics, .. }): LoggedMetric,
) -> Answer {
    tracking.log_batch(&run_id, &metrics, &[], &[]).await?;
    Ok(Body::empty())
}

async fn log_parameter(Here(tracking): Here, message: Message) -> Answer {
    tracking.log_batch(&message.run_id()?, &[], &[message.pair()?], &[]).await?;
    Ok(Body::empty())
}

async fn set_tag(Here(tracking): Here, message: Message) -> Answer {
    tracking.log_batch(&message.run_id()?, &[], &[], &[message.pair()?]).await?;
    Ok(Body::empty())
}

async fn log_batch(
    Here(tracking): Here,
    LoggedBatch(Logged { run_id, metrics, params, tags }): LoggedBatch,
) -> Answer {
    tracking.log_batch(&run_id, &metrics, &params, &tags).await?;
    Ok(Body::empty())
}

fn dataset(message: &Message) -> Result<DatasetInput, WireError> {
    let dataset = message.message("dataset")?;
    Ok(DatasetInput {
        name: dataset.required_text("name")?,
        digest: dataset.required_text("digest")?,
        source_type: dataset.required_text("source_type")?,
        source: dataset.text_or_empty("source")?,
        schema: dataset.text("schema")?,
        profile: dataset.text("profile")?,
        tags: message.pairs("tags")?,
    })
}

fn linked_model(message: &Message) -> Result<LinkedModel, WireError> {
    let step = message.integer("step")?.unwrap_or_default();
    Ok(LinkedModel { model_id: message.required_text("model_id")?, step })
}

async fn log_inputs(Here(tracking): Here, message: Message) -> Answer {
    let datasets = message.messages("datasets")?.iter().map(dataset).collect::<Result<Vec<_>, _>>()?;
    let models = message.messages("models")?.iter().map(linked_model).collect::<Result<Vec<_>, _>>()?;
    tracking.log_inputs(&message.run_id()?, &datasets, &models).await?;
    Ok(Body::empty())
}

async fn log_model(Here(tracking): Here, message: Message) -> Answer {
    tracking.record_model(&message.run_id()?, &message.required_text("model_json")?).await?;
    Ok(Body::empty())
}

async fn log_outputs(Here(tracking): Here, message: Message) -> Answer {
    let models = message.messages("models")?.iter().map(linked_model).collect::<Result<Vec<_>, _>>()?;
    tracking.log_outputs(&message.run_id()?, &models).await?;
    Ok(Body::empty())
}
