//! Calls and replies as gRPC messages.

use std::collections::HashMap;

use bytes::Bytes;
use serde_json::{Map, Value as Json};
use shipway_runtime::tensor::{Datatype, Elements, TensorSpec, UnknownDatatype};

use super::v2::{
    InferParameter, InferTensorContents, ModelInferRequest, ModelInferResponse,
    infer_parameter::ParameterChoice,
    model_infer_request::{InferInputTensor, InferRequestedOutputTensor},
    model_infer_response::InferOutputTensor,
    model_metadata_response::TensorMetadata,
};
use crate::{
    error::ServingError,
    open_inference::{
        body::classes,
        call::{Call, Content, Input, Inputs, Parameters, Reply, Wanted, wrong},
    },
};

/// The call that a message is.
pub(super) fn read(request: ModelInferRequest) -> Result<Call, ServingError> {
    let ModelInferRequest { id, parameters, inputs, outputs, raw_input_contents, .. } = request;
    let raw = !raw_input_contents.is_empty();
    if raw && raw_input_contents.len() != inputs.len() {
        return Err(wrong(format!(
            "raw_input_contents has {} tensors, inputs has {}: all go raw, or none",
            raw_input_contents.len(),
            inputs.len()
        )));
    }
    let mut raw_contents = raw_input_contents.into_iter();
    let inputs = inputs
        .into_iter()
        .map(|input| read_input(input, raw_contents.next()))
        .collect::<Result<Vec<Input>, ServingError>>()?;
    let wanted = |output: InferRequestedOutputTensor| {
        let parameters = from_parameters(output.parameters);
        Ok(Wanted { classes: classes(&parameters, &output.name)?, name: output.name })
    };
    Ok(Call {
        id: Some(id).filter(|id| !id.is_empty()),
        parameters: Parameters::read(from_parameters(parameters))?,
        inputs: Inputs::Named(inputs),
        outputs: outputs.into_iter().map(wanted).collect::<Result<_, ServingError>>()?,
    })
}

fn read_input(input: InferInputTensor, raw: Option<Bytes>) -> Result<Input, ServingError> {
    let InferInputTensor { name, datatype, shape, parameters, contents } = input;
    let refused = |reason: String| wrong(format!("input {name}: {reason}"));
    if parameters.keys().any(|key| key.starts_with("shared_memory")) {
        return Err(refused("shared memory is not supported; send the bytes".to_owned()));
    }
    let datatype: Datatype = datatype.parse().map_err(|error: UnknownDatatype| refused(error.to_string()))?;
    let size = |size: &i64| usize::try_from(*size);
    let sizes = shape.iter().map(size).collect::<Result<Vec<usize>, _>>();
    let sizes = sizes.map_err(|_| refused(format!("expected a shape of sizes, got {shape:?}")))?;
    let count = sizes.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
    let count = count.ok_or_else(|| refused(format!("the shape {sizes:?} has too many elements")))?;
    let elements = match (raw, contents) {
        (Some(_), Some(_)) => {
            return Err(refused("it has contents although raw_input_contents are given".to_owned()));
        }
        (Some(bytes), None) => {
            Elements::from_raw(datatype, count, &bytes).map_err(|error| refused(error.to_string()))?
        }
        (None, contents) => {
            let elements = from_contents(datatype, contents.unwrap_or_default()).map_err(refused)?;
            if elements.len() != count {
                let got = elements.len();
                return Err(refused(format!("contents has {got} elements, the shape {sizes:?} has {count}")));
            }
            elements
        }
    };
    Ok(Input { name, shape: sizes, datatype, content: Content::Typed(elements) })
}

fn from_contents(datatype: Datatype, contents: InferTensorContents) -> Result<Elements, String> {
    fn narrowed<From: Copy + std::fmt::Display, To: TryFrom<From>>(
        elements: &[From],
        datatype: Datatype,
    ) -> Result<Vec<To>, String> {
        let narrow =
            |element: &From| To::try_from(*element).map_err(|_| format!("{element} is no {datatype}"));
        elements.iter().map(narrow).collect()
    }
    Ok(match datatype {
        Datatype::Bool => Elements::Bool(contents.bool_contents),
        Datatype::Int8 => Elements::Int8(narrowed(&contents.int_contents, datatype)?),
        Datatype::Int16 => Elements::Int16(narrowed(&contents.int_contents, datatype)?),
        Datatype::Int32 => Elements::Int32(contents.int_contents),
        Datatype::Int64 => Elements::Int64(contents.int64_contents),
        Datatype::Uint8 => Elements::Uint8(narrowed(&contents.uint_contents, datatype)?),
        Datatype::Uint16 => Elements::Uint16(narrowed(&contents.uint_contents, datatype)?),
        Datatype::Uint32 => Elements::Uint32(contents.uint_contents),
        Datatype::Uint64 => Elements::Uint64(contents.uint64_contents),
        Datatype::Fp32 => Elements::Fp32(contents.fp32_contents),
        Datatype::Fp64 => Elements::Fp64(contents.fp64_contents),
        Datatype::Bytes => Elements::Bytes(contents.bytes_contents),
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(format!("{datatype} goes in raw_input_contents only"));
        }
    })
}

fn from_parameters(parameters: HashMap<String, InferParameter>) -> Map<String, Json> {
    let value = |parameter: InferParameter| {
        Some(match parameter.parameter_choice? {
            ParameterChoice::BoolParam(flag) => Json::from(flag),
            ParameterChoice::Int64Param(number) => Json::from(number),
            ParameterChoice::Uint64Param(number) => Json::from(number),
            ParameterChoice::DoubleParam(number) => Json::from(number),
            ParameterChoice::StringParam(text) => Json::from(text),
        })
    };
    parameters.into_iter().filter_map(|(name, parameter)| Some((name, value(parameter)?))).collect()
}

fn into_parameters(parameters: Map<String, Json>) -> HashMap<String, InferParameter> {
    let choice = |value: Json| match value {
        Json::Bool(flag) => Some(ParameterChoice::BoolParam(flag)),
        Json::String(text) => Some(ParameterChoice::StringParam(text)),
        Json::Number(number) => number
            .as_i64()
            .map(ParameterChoice::Int64Param)
            .or_else(|| number.as_u64().map(ParameterChoice::Uint64Param))
            .or_else(|| number.as_f64().map(ParameterChoice::DoubleParam)),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    parameters
        .into_iter()
        .filter_map(|(name, value)| Some((name, InferParameter { parameter_choice: Some(choice(value)?) })))
        .collect()
}

fn sizes(shape: &[usize]) -> Vec<i64> {
    shape.iter().map(|size| i64::try_from(*size).unwrap_or(i64::MAX)).collect()
}

/// The message that a reply is; its tensors go raw.
pub(super) fn write(reply: Reply) -> ModelInferResponse {
    let Reply { model, version, id, parameters, outputs } = reply;
    let (outputs, raw_output_contents) = outputs
        .into_iter()
        .map(|tensor| {
            let output = InferOutputTensor {
                datatype: tensor.elements.datatype().word().to_owned(),
                shape: sizes(&tensor.shape),
                name: tensor.name,
                parameters: HashMap::new(),
                contents: None,
            };
            (output, Bytes::from(tensor.elements.to_raw()))
        })
        .unzip();
    ModelInferResponse {
        model_name: model,
        model_version: version,
        id,
        parameters: into_parameters(parameters),
        outputs,
        raw_output_contents,
    }
}

/// What a model says of its tensors.
pub(super) fn tensors(specs: &[TensorSpec]) -> Vec<TensorMetadata> {
    let tensor = |spec: &TensorSpec| TensorMetadata {
        name: spec.name.clone(),
        datatype: spec.datatype.word().to_owned(),
        shape: spec.shape.clone(),
    };
    specs.iter().map(tensor).collect()
}
