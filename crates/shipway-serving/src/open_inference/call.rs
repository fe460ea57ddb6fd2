//! A request and its answer as both wires have them, and what happens in between.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Map, Value as Json};
use shipway_core::Timestamp;
use shipway_runtime::tensor::{Datatype, Elements, Tensor, TensorSignature};

use super::{
    classification, ensembles,
    metadata::OUTPUT,
    rows::{self, Takes},
};
use crate::{
    batching::Urgency,
    error::ServingError,
    launch::stage::Variant,
    service::{EnsembleQuestion, Inferred, Question, Served, Serving, Source, Target, TensorQuestion},
    tensor_json,
};

/// A request to run a model.
pub(super) struct Call {
    pub(super) id: Option<String>,
    pub(super) parameters: Parameters,
    pub(super) inputs: Inputs,
    /// Without any, every output.
    pub(super) outputs: Vec<Wanted>,
}

/// What a model is run on.
pub(super) enum Inputs {
    Named(Vec<Input>),
    /// The bytes of a model's only input, whose type and shape are the model's.
    Raw(Bytes),
}

/// A tensor as it came.
pub(super) struct Input {
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    pub(super) datatype: Datatype,
    pub(super) content: Content,
}

/// The elements of a tensor as they came.
pub(super) enum Content {
    /// JSON, nested or flat, not read yet.
    Json(Bytes),
    Typed(Elements),
}

/// An output that is asked for.
pub(super) struct Wanted {
    pub(super) name: String,
    /// Its best classes instead of its elements.
    pub(super) classes: Option<usize>,
}

/// The parameters of a request.
#[derive(Default)]
pub(super) struct Parameters {
    at: Option<Timestamp>,
    token: Option<String>,
    urgency: Urgency,
    key: Option<String>,
    /// Those that mean nothing here; they are sent back.
    others: Map<String, Json>,
}

/// What is answered.
pub(super) struct Reply {
    pub(super) model: String,
    pub(super) version: String,
    pub(super) id: String,
    pub(super) parameters: Map<String, Json>,
    pub(super) outputs: Vec<Tensor>,
}

pub(super) fn wrong(reason: impl Into<String>) -> ServingError {
    ServingError::WrongRequest(reason.into())
}

impl Parameters {
    /// Reads the parameters that have a meaning here.
    pub(super) fn read(mut given: Map<String, Json>) -> Result<Self, ServingError> {
        if given.get("sequence_id").is_some_and(|id| id.as_u64() != Some(0) && id.as_str() != Some("")) {
            return Err(wrong(
                "parameter sequence_id: models that keep state between requests are not served",
            ));
        }
        for name in ["sequence_id", "sequence_start", "sequence_end"] {
            given.remove(name);
        }
        let at = match given.remove("at") {
            Some(at) => {
                Some(serde_json::from_value(at).map_err(|error| wrong(format!("parameter at: {error}")))?)
            }
            None => None,
        };
        let token = text(&mut given, "token")?;
        let key = text(&mut given, "key")?;
        let priority = whole(&mut given, "priority")?.unwrap_or(0);
        let priority = u32::try_from(priority).map_err(|_| wrong("parameter priority is too large"))?;
        let timeout = whole(&mut given, "timeout")?.filter(|timeout| *timeout > 0).map(Duration::from_micros);
        Ok(Self { at, token, urgency: Urgency { priority, timeout }, key, others: given })
    }

    /// A question of these rows to an ensemble, and the parameters that mean nothing here.
    pub(super) fn question(self, rows: Vec<Map<String, Json>>) -> (EnsembleQuestion, Map<String, Json>) {
        let Self { at, token, urgency, key, others } = self;
        (EnsembleQuestion { rows, at, token, urgency, key }, others)
    }
}

/// A parameter that is text.
fn text(given: &mut Map<String, Json>, name: &str) -> Result<Option<String>, ServingError> {
    match given.remove(name) {
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(format!("parameter {name} must be text"))),
        None => Ok(None),
    }
}

/// A parameter that is a whole number, or one as text.
fn whole(given: &mut Map<String, Json>, name: &str) -> Result<Option<u64>, ServingError> {
    let Some(value) = given.remove(name) else { return Ok(None) };
    let number = value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()));
    number.map(Some).ok_or_else(|| wrong(format!("parameter {name} must be a whole number, not negative")))
}

impl Input {
    /// The tensor, with the elements that its shape and type say.
    fn into_tensor(self) -> Result<Tensor, ServingError> {
        let elements = match self.content {
            Content::Typed(elements) => elements,
            Content::Json(json) => tensor_json::from_json(self.datatype, &self.shape, &json)
                .map_err(|reason| wrong(format!("input {}: {reason}", self.name)))?,
        };
        Ok(Tensor { name: self.name, shape: self.shape, elements })
    }
}

/// Answers a call with whatever version serves, or with `version` if that is one that does.
pub(super) async fn answer(
    serving: &Serving,
    name: &str,
    version: Option<&str>,
    call: Call,
) -> Result<Reply, ServingError> {
    let started = Instant::now();
    if let Some(ensemble) = serving.ensemble_version(name, version)? {
        return ensembles::answer(serving, &ensemble, call, started).await;
    }
    let target = serving.target(name, version).await?;
    let served = &target.served;
    let Call { id, mut parameters, inputs, outputs } = call;
    let mut others = std::mem::take(&mut parameters.others);
    let answered = if asks_for_tensors(served, &inputs) {
        let wanted = outputs.iter().map(|output| output.name.clone()).collect();
        let inputs = match (inputs, served.model.signature()) {
            (Inputs::Raw(bytes), Some(signature)) => vec![only_input(signature, &bytes)?],
            (Inputs::Named(inputs), _) => {
                inputs.into_iter().map(Input::into_tensor).collect::<Result<_, _>>()?
            }
            (Inputs::Raw(_), None) => return Err(wrong("the model has no tensors of its own")),
        };
        let Parameters { urgency, key, .. } = parameters;
        serving.ask(&target, TensorQuestion { inputs, wanted, urgency, key }, started).await?
    } else {
        let Inputs::Named(inputs) = inputs else {
            return Err(wrong("a request of bytes alone is for models of tensors; this one takes columns"));
        };
        if let Some(other) = outputs.iter().find(|output| output.name != OUTPUT) {
            return Err(wrong(format!("there is no output `{}`; the output is `{OUTPUT}`", other.name)));
        }
        predicted(serving, &target, (inputs, parameters), started).await?
    };
    if answered.variant != Variant::Stable {
        others.insert("variant".to_owned(), answered.variant.word().into());
    }
    Ok(Reply {
        model: name.to_owned(),
        version: answered.version.to_string(),
        id: id.unwrap_or(answered.request_id),
        parameters: others,
        outputs: classification::apply(answered.outputs, &outputs)?,
    })
}

/// Whether the model's own tensors are meant: they are all that it has, or their names are given.
fn asks_for_tensors(served: &Served, inputs: &Inputs) -> bool {
    let Some(signature) = served.model.signature() else { return false };
    match (&served.source, inputs) {
        (Source::Tensors, _) | (Source::Direct { .. }, Inputs::Raw(_)) => true,
        (Source::Service(_), _) => false,
        (Source::Direct { .. }, Inputs::Named(inputs)) => {
            inputs.iter().all(|input| signature.inputs.iter().any(|spec| spec.name == input.name))
        }
    }
}

/// The model's only input, of bytes alone: at most one of its dimensions is open, and the number of bytes says its size.
fn only_input(signature: &TensorSignature, bytes: &Bytes) -> Result<Tensor, ServingError> {
    let [spec] = signature.inputs.as_slice() else {
        return Err(wrong(format!(
            "a request of bytes alone is for models with one input; this one has {}",
            signature.inputs.len()
        )));
    };
    let refused = |reason: String| wrong(format!("input {}: {reason}", spec.name));
    let Some(size) = spec.datatype.size() else {
        let shape = vec![1; spec.shape.len().max(1)];
        let elements = Elements::Bytes(vec![bytes.clone()]);
        return Ok(Tensor { name: spec.name.clone(), shape, elements });
    };
    let known: usize = spec.shape.iter().filter_map(|size| usize::try_from(*size).ok()).product();
    let count = bytes.len() / size;
    let open = spec.shape.iter().filter(|size| **size < 0).count();
    if open > 1 || known == 0 || !bytes.len().is_multiple_of(size) || !count.is_multiple_of(known) {
        return Err(refused(format!(
            "{} bytes do not say a shape of {} like {:?}",
            bytes.len(),
            spec.datatype,
            spec.shape
        )));
    }
    let shape = spec.shape.iter().map(|size| usize::try_from(*size).unwrap_or(count / known)).collect();
    let elements =
        Elements::from_raw(spec.datatype, count, bytes).map_err(|error| refused(error.to_string()))?;
    Ok(Tensor { name: spec.name.clone(), shape, elements })
}

/// Predicts rows; the answer is the one output of models of rows.
async fn predicted(
    serving: &Serving,
    target: &Target,
    (inputs, parameters): (Vec<Input>, Parameters),
    started: Instant,
) -> Result<Inferred, ServingError> {
    let takes = match &target.served.source {
        Source::Service(_) => Takes::Ids,
        Source::Direct { .. } | Source::Tensors => Takes::Columns(target.served.model.inputs()),
    };
    let rows = rows::rows(inputs, takes)?;
    let Parameters { at, token, urgency, key, .. } = parameters;
    let prediction = serving.ask(target, Question { rows, at, token, urgency, key }, started).await?;
    let rows = prediction.predictions.len();
    let width = prediction.predictions.first().map_or(1, Vec::len);
    let output = Tensor {
        name: OUTPUT.to_owned(),
        shape: if width == 1 { vec![rows] } else { vec![rows, width] },
        elements: Elements::Fp64(prediction.predictions.into_iter().flatten().collect()),
    };
    Ok(Inferred {
        request_id: prediction.request_id,
        version: prediction.version,
        variant: prediction.variant,
        outputs: vec![output],
    })
}
