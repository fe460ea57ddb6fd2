//! What the server is, whether it is well, and what each deployment takes and gives.

use axum::{Json, extract::State};
use http::StatusCode;
use serde_json::{Value, json};
use shipway_core::DataType;
use shipway_runtime::{
    InputKind, ModelFormat, OnnxEngine,
    tensor::{Datatype, TensorSpec},
};
use shipway_web::{Path, Problem};

use super::ensembles;
use crate::{
    error::ServingError,
    service::{Served, Serving, Source},
};

/// The name of the tensor that a model of rows answers.
pub(super) const OUTPUT: &str = "predict";

/// The name that the server gives itself.
pub(super) const SERVER: &str = "shipway";

/// The version of the server.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The protocol's extensions that are spoken here.
pub(super) const EXTENSIONS: [&str; 7] = [
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "parameters",
    "schedule_policy",
    "statistics",
];

/// What a deployment takes and gives.
pub(super) struct Description {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) platform: &'static str,
    pub(super) inputs: Vec<TensorSpec>,
    pub(super) outputs: Vec<TensorSpec>,
}

/// What this server is.
pub(super) async fn server() -> Json<Value> {
    Json(json!({ "name": SERVER, "version": VERSION, "extensions": EXTENSIONS }))
}

/// The process answers.
pub(super) async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

/// Every deployment has a version that answers.
pub(super) async fn ready(State(serving): State<Serving>) -> (StatusCode, Json<Value>) {
    readiness(serving.ready())
}

fn readiness(ready: bool) -> (StatusCode, Json<Value>) {
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready })))
}

/// The names of all deployments.
pub(super) async fn models(State(serving): State<Serving>) -> Json<Value> {
    let deployments = serving.all().into_iter().map(|deployment| deployment.name.to_string());
    let ensembles = serving.all_ensembles().into_iter().map(|ensemble| ensemble.name.to_string());
    let mut names: Vec<String> = deployments.chain(ensembles).collect();
    names.sort_unstable();
    Json(json!({ "models": names }))
}

/// One deployment.
pub(super) async fn model(
    State(serving): State<Serving>,
    Path(name): Path<String>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(described(&describe(&serving, &name, None).await?)))
}

/// One deployment, if it serves that version.
pub(super) async fn version(
    State(serving): State<Serving>,
    Path((name, version)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    Ok(Json(described(&describe(&serving, &name, Some(&version)).await?)))
}

/// Whether a deployment answers.
pub(super) async fn model_ready(
    State(serving): State<Serving>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    Ok(named_readiness(&name, serving.is_ready(&name, None)?))
}

/// Whether a deployment answers with that version.
pub(super) async fn version_ready(
    State(serving): State<Serving>,
    Path((name, version)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !serving.is_ready(&name, Some(&version))? {
        serving.must_answer(&name, Some(&version))?;
    }
    Ok(named_readiness(&name, true))
}

fn named_readiness(name: &str, ready: bool) -> (StatusCode, Json<Value>) {
    let (status, _) = readiness(ready);
    (status, Json(json!({ "name": name, "ready": ready })))
}

/// What a deployment takes and gives, if it serves the version asked for.
pub(super) async fn describe(
    serving: &Serving,
    name: &str,
    version: Option<&str>,
) -> Result<Description, ServingError> {
    if let Some(ensemble) = serving.ensemble_version(name, version)? {
        return ensembles::describe(serving, &ensemble).await;
    }
    let served = serving.target(name, version).await?.served;
    let (inputs, outputs) = tensors(&served);
    Ok(Description {
        name: name.to_owned(),
        version: served.resolved.version.to_string(),
        platform: platform(&served),
        inputs,
        outputs,
    })
}

fn described(description: &Description) -> Value {
    let tensors = |specs: &[TensorSpec]| -> Value {
        let tensor = |spec: &TensorSpec| json!({ "name": spec.name, "datatype": spec.datatype.word(), "shape": spec.shape });
        specs.iter().map(tensor).collect()
    };
    json!({
        "name": description.name,
        "versions": [description.version],
        "platform": description.platform,
        "inputs": tensors(&description.inputs),
        "outputs": tensors(&description.outputs),
    })
}

pub(super) fn platform(served: &Served) -> &'static str {
    match served.model.format() {
        ModelFormat::LightGbmText => "lightgbm_text",
        ModelFormat::XgBoost => "xgboost_json",
        ModelFormat::CatBoostJson => "catboost_json",
        ModelFormat::Onnx if served.model.onnx_engine() == Some(OnnxEngine::Rten) => "rten_onnx",
        ModelFormat::Onnx => "onnxruntime_onnx",
        ModelFormat::Python => "python",
    }
}

/// The tensors that a version takes and gives.
pub(super) fn tensors(served: &Served) -> (Vec<TensorSpec>, Vec<TensorSpec>) {
    let column =
        |name: &str, datatype: Datatype| TensorSpec { name: name.to_owned(), datatype, shape: vec![-1] };
    let inputs = match (&served.source, served.model.signature()) {
        (Source::Direct { .. } | Source::Tensors, Some(signature)) => {
            return (signature.inputs.clone(), signature.outputs.clone());
        }
        (Source::Service(service), _) => {
            let bound = service.current();
            let shape = &bound.binding.shape;
            let request =
                shape.request.iter().filter(|(name, _)| shape.keys.iter().all(|(key, _)| key != name));
            shape
                .keys
                .iter()
                .chain(request)
                .map(|(name, data_type)| column(name, tensor_type(*data_type)))
                .collect()
        }
        (Source::Direct { .. } | Source::Tensors, None) => served
            .model
            .inputs()
            .iter()
            .map(|input| match input.kind {
                InputKind::Number => column(&input.name, Datatype::Fp64),
                InputKind::Category => column(&input.name, Datatype::Bytes),
            })
            .collect(),
    };
    let outputs = served.model.outputs();
    let shape = if outputs == 1 { vec![-1] } else { vec![-1, i64::try_from(outputs).unwrap_or(i64::MAX)] };
    (inputs, vec![TensorSpec { name: OUTPUT.to_owned(), datatype: Datatype::Fp64, shape }])
}

const fn tensor_type(data_type: DataType) -> Datatype {
    match data_type {
        DataType::Bool => Datatype::Bool,
        DataType::Int => Datatype::Int64,
        DataType::Float => Datatype::Fp64,
        // A float has not the digits of a decimal. Keys and request columns are single values; a list would go as text too.
        DataType::Text
        | DataType::Timestamp
        | DataType::Decimal(_)
        | DataType::List(_)
        | DataType::Map(_) => Datatype::Bytes,
    }
}
