//! Predictions in the scoring protocol.

use std::time::{Duration, Instant};

use axum::{Json, extract::State};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use shipway_core::{DataType, Timestamp};
use shipway_runtime::{InputKind, ModelFormat};
use shipway_web::{BodyBytes, Path, Problem};

use super::{ensembles, frame, frame::Frame, tensors};
use crate::{
    batching::Urgency,
    error::ServingError,
    launch::stage::Variant,
    model::prediction::number_or_list,
    service::{EnsembleQuestion, Inferred, Question, Rows, Served, Serving, Source, TensorQuestion},
};

/// The parameters that mean something here. Others are refused: a model server that drops them answers another question.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Parameters {
    at: Option<Timestamp>,
    token: Option<String>,
    priority: u32,
    timeout_ms: Option<u64>,
    key: Option<String>,
}

impl Parameters {
    fn urgency(&self) -> Urgency {
        Urgency { priority: self.priority, timeout: self.timeout_ms.map(Duration::from_millis) }
    }
}

fn wrong(reason: impl Into<String>) -> ServingError {
    ServingError::WrongRequest(reason.into())
}

/// Predict: a data frame as JSON or CSV. Who answered is in the headers, because the protocol's answer has no place for it.
pub(super) async fn invocations(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    headers: HeaderMap,
    BodyBytes(body): BodyBytes,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let Answered { request_id, version, variant, predictions } =
        answer(&serving, &name, &headers, &body).await?;
    let said = [
        (REQUEST_ID, HeaderValue::from_str(&request_id)),
        (MODEL_VERSION, HeaderValue::from_str(&version.to_string())),
        (VARIANT, Ok(HeaderValue::from_static(variant.word()))),
    ];
    let said = said.into_iter().filter_map(|(name, value)| Some((name, value.ok()?))).collect();
    Ok((said, Json(json!({ "predictions": predictions }))))
}

/// The id by which the prediction log and labels know the request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-shipway-request-id");

/// The version that answered.
const MODEL_VERSION: HeaderName = HeaderName::from_static("x-shipway-model-version");

/// As what it answered: `stable`, or `canary` while it is launched.
const VARIANT: HeaderName = HeaderName::from_static("x-shipway-variant");

struct Answered {
    request_id: String,
    version: u64,
    variant: Variant,
    predictions: Value,
}

async fn answer(
    serving: &Serving,
    name: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Answered, ServingError> {
    let started = Instant::now();
    if let Some(ensemble) = serving.ensemble(name) {
        let (frame, parameters) = read(headers, body)?;
        let urgency = parameters.urgency();
        let Parameters { at, token, key, .. } = parameters;
        let question = EnsembleQuestion { rows: Vec::new(), at, token, urgency, key };
        let (request_id, version, predictions) =
            ensembles::score(serving, &ensemble, frame, question, started).await?;
        return Ok(Answered { request_id, version, variant: Variant::Stable, predictions });
    }
    let target = serving.target(name, None).await?;
    let served = &target.served;
    let (frame, parameters) = read(headers, body)?;
    let urgency = parameters.urgency();
    let Parameters { at, token, key, .. } = parameters;
    if let (Source::Tensors, Some(signature)) = (&served.source, served.model.signature()) {
        let inputs = tensors::read(signature, frame)?;
        let question = TensorQuestion { inputs, wanted: Vec::new(), urgency, key };
        let Inferred { request_id, version, variant, outputs } =
            serving.ask(&target, question, started).await?;
        let predictions = tensors::write(&outputs);
        return Ok(Answered { request_id, version, variant, predictions });
    }
    let rows = Rows::Named(frame.rows(&positions(served), &texts(served))?);
    let prediction = serving.ask(&target, Question { rows, at, token, urgency, key }, started).await?;
    Ok(Answered {
        request_id: prediction.request_id,
        version: prediction.version,
        variant: prediction.variant,
        predictions: prediction.predictions.iter().map(|row| number_or_list(row)).collect(),
    })
}

/// The frame of a request, and its parameters.
fn read<'body>(headers: &HeaderMap, body: &'body [u8]) -> Result<(Frame<'body>, Parameters), ServingError> {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    match kind {
        b"text/csv" => Ok((Frame::Csv(body), Parameters::default())),
        b"" | b"application/json" => read_json(body),
        _ => Err(wrong("Content-Type must be application/json or text/csv")),
    }
}

fn read_json(body: &[u8]) -> Result<(Frame<'_>, Parameters), ServingError> {
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
    match &served.source {
        Source::Service(service) => {
            let bound = service.current();
            let shape = &bound.binding.shape;
            let is_text = |(_, data_type): &&(String, DataType)| *data_type == DataType::Text;
            shape.keys.iter().chain(&shape.request).filter(is_text).map(|(name, _)| name.clone()).collect()
        }
        // The signature of a model of Python says what is text; a category elsewhere may be a number.
        Source::Direct { .. } if served.model.format() == ModelFormat::Python => {
            let texts = served.model.inputs().iter().filter(|input| input.kind == InputKind::Category);
            texts.map(|input| input.name.clone()).collect()
        }
        Source::Direct { .. } | Source::Tensors => {
            served.model.text().map(|_| positions(served)).unwrap_or_default()
        }
    }
}
