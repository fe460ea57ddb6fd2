//! Predictions in the scoring protocol.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Json, extract::State};
use http::{HeaderMap, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shipway_core::Timestamp;
use shipway_web::{BodyBytes, Path, Problem};

use super::{frame, frame::Frame, tensors};
use crate::{
    batching::Urgency,
    error::ServingError,
    model::prediction::number_or_list,
    service::{Question, Rows, Served, Serving, Source, TensorQuestion},
};

/// The parameters that mean something here. Others are refused: a model server that drops them answers another question.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    at: Option<Timestamp>,
    token: Option<String>,
    priority: u32,
    timeout_ms: Option<u64>,
}

impl Parameters {
    fn urgency(&self) -> Urgency {
        Urgency { priority: self.priority, timeout: self.timeout_ms.map(Duration::from_millis) }
    }
}

fn wrong(reason: impl Into<String>) -> ServingError {
    ServingError::WrongRequest(reason.into())
}

/// Predict: a data frame as JSON or CSV.
pub(super) async fn invocations(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> Result<Json<Value>, Problem> {
    Ok(Json(answer(&serving, &name, &headers, &body).await?))
}

async fn answer(
    serving: &Serving,
    name: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Value, ServingError> {
    let started = Instant::now();
    let deployment = serving.deployment(name)?;
    let served = deployment.served()?;
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let (frame, parameters) = match kind {
        b"text/csv" => (Frame::Csv(body), Parameters::default()),
        b"" | b"application/json" => read(body)?,
        _ => return Err(wrong("Content-Type must be application/json or text/csv")),
    };
    if let (Source::Tensors, Some(signature)) = (&served.source, served.model.signature()) {
        let inputs = tensors::read(signature, frame)?;
        let question = TensorQuestion { inputs, wanted: Vec::new(), urgency: parameters.urgency() };
        let (_, outputs) = serving.infer_with(&deployment, &served, question, started).await?;
        return Ok(json!({ "predictions": tensors::write(&outputs) }));
    }
    let rows = frame.rows(&positions(&served), &texts(&served))?;
    let urgency = parameters.urgency();
    let question = Question { rows: Rows::Named(rows), at: parameters.at, token: parameters.token, urgency };
    let prediction = serving.predict_with(&deployment, Arc::clone(&served), question, started).await?;
    Ok(
        json!({ "predictions": prediction.predictions.iter().map(|row| number_or_list(row)).collect::<Value>() }),
    )
}

fn read(body: &[u8]) -> Result<(Frame<'_>, Parameters), ServingError> {
    let mut body: Map<String, Value> =
        serde_json::from_slice(body).map_err(|error| wrong(format!("request body: {error}")))?;
    let parameters = match body.remove("params") {
        None | Some(Value::Null) => Parameters::default(),
        Some(given) => serde_json::from_value(given).map_err(|error| wrong(format!("params: {error}")))?,
    };
    Ok((frame::of_json(body)?, parameters))
}

/// The names of values that come without names, in order.
fn positions(served: &Served) -> Vec<String> {
    match &served.source {
        Source::Service(service) => {
            let bound = service.current();
            let shape = &bound.binding.shape;
            shape.keys.iter().chain(&shape.request).map(|(name, _)| name.clone()).collect()
        }
        Source::Direct { .. } | Source::Tensors => {
            served.model.inputs().iter().map(|input| input.name.clone()).collect()
        }
    }
}

/// The names of columns that are text, whatever they look like.
fn texts(served: &Served) -> Vec<String> {
    let Source::Service(service) = &served.source else {
        return served.model.text().map(|_| positions(served)).unwrap_or_default();
    };
    let bound = service.current();
    let shape = &bound.binding.shape;
    let is_text =
        |(_, data_type): &&(String, shipway_core::DataType)| *data_type == shipway_core::DataType::Text;
    shape.keys.iter().chain(&shape.request).filter(is_text).map(|(name, _)| name.clone()).collect()
}
