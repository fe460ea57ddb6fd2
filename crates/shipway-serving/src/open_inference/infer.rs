//! Predictions over tensors.

use std::time::Instant;

use axum::extract::State;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shipway_core::{Timestamp, Value as Scalar};
use shipway_web::{Json, Path, Problem};

use super::metadata::{OUTPUT, check_version};
use crate::{
    error::ServingError,
    model::prediction::PredictRequest,
    service::{Serving, Source},
    tensors::{self, Datatype, Tensor},
};

/// The header that announces raw tensors behind the JSON.
const BINARY_HEADER: &str = "inference-header-content-length";

#[derive(Debug, Deserialize)]
pub(super) struct InferRequest {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Parameters,
    inputs: Vec<Tensor>,
    #[serde(default)]
    outputs: Option<Vec<WantedOutput>>,
}

/// The parameters that mean something here; others are for other servers.
#[derive(Debug, Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    at: Option<Timestamp>,
    #[serde(default)]
    token: Option<String>,
}

#[derive(Debug, Deserialize)]
struct WantedOutput {
    name: String,
}

#[derive(Debug, Serialize)]
pub(super) struct InferResponse {
    model_name: String,
    model_version: String,
    id: String,
    outputs: Vec<OutputTensor>,
}

#[derive(Debug, Serialize)]
struct OutputTensor {
    name: &'static str,
    datatype: Datatype,
    shape: Vec<usize>,
    data: Vec<Value>,
}

/// Predict with whatever version serves.
pub(super) async fn infer(
    State(serving): State<Serving>,
    Path(name): Path<String>,
    headers: HeaderMap,
    Json(request): Json<InferRequest>,
) -> Result<Json<InferResponse>, Problem> {
    Ok(Json(answer(&serving, &name, None, &headers, request).await?))
}

/// Predict with one version, if it is the one that serves.
pub(super) async fn infer_version(
    State(serving): State<Serving>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
    Json(request): Json<InferRequest>,
) -> Result<Json<InferResponse>, Problem> {
    Ok(Json(answer(&serving, &name, Some(&version), &headers, request).await?))
}

async fn answer(
    serving: &Serving,
    name: &str,
    version: Option<&str>,
    headers: &HeaderMap,
    request: InferRequest,
) -> Result<InferResponse, ServingError> {
    let started = Instant::now();
    if headers.contains_key(BINARY_HEADER) {
        return Err(ServingError::WrongRequest(
            "binary tensors are not supported; send data as JSON".to_owned(),
        ));
    }
    if let Some(other) = request.outputs.iter().flatten().find(|output| output.name != OUTPUT) {
        return Err(ServingError::WrongRequest(format!(
            "there is no output `{}`; the output is `{OUTPUT}`",
            other.name
        )));
    }
    let deployment = serving.deployment(name)?;
    let served = deployment.served()?;
    if let Some(version) = version {
        check_version(name, version, &served)?;
    }
    let inputs: Vec<String> = match &served.source {
        Source::Direct { .. } => served.model.inputs().iter().map(|input| input.name.clone()).collect(),
        Source::Service(_) => Vec::new(),
    };
    let rows = tensors::rows(request.inputs, &inputs)?;
    let question = PredictRequest { rows, at: request.parameters.at, token: request.parameters.token };
    let prediction = serving.predict_with(&deployment, served, question, started).await?;
    let rows = prediction.predictions.len();
    let width = prediction.predictions.first().map_or(1, Vec::len);
    Ok(InferResponse {
        model_name: name.to_owned(),
        model_version: prediction.version.to_string(),
        id: request.id.unwrap_or(prediction.request_id),
        outputs: vec![OutputTensor {
            name: OUTPUT,
            datatype: Datatype::Fp64,
            shape: if width == 1 { vec![rows] } else { vec![rows, width] },
            data: prediction
                .predictions
                .iter()
                .flatten()
                .map(|number| Scalar::Float(*number).to_json())
                .collect(),
        }],
    })
}
