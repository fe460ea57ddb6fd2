//! Models of any shape: the session's tensors as ours, and ours as the session's.

use bytes::Bytes;
use ort::{
    session::{HasSelectedOutputs, OutputSelector, RunOptions, Session},
    value::{DynValue, Outlet, Tensor as OrtTensor, TensorElementType, ValueType},
};

use super::unsupported;
use crate::{
    error::RuntimeError,
    tensor::{Datatype, Elements, Tensor, TensorSignature, TensorSpec},
};

/// What the session takes and gives. Lists and maps are refused by name.
pub(super) fn signature(session: &Session) -> Result<TensorSignature, RuntimeError> {
    let inputs = session.inputs().iter().map(|input| spec("input", input)).collect::<Result<_, _>>()?;
    let outputs = session.outputs().iter().map(|output| spec("output", output)).collect::<Result<_, _>>()?;
    Ok(TensorSignature { inputs, outputs })
}

fn spec(place: &str, outlet: &Outlet) -> Result<TensorSpec, RuntimeError> {
    let name = outlet.name();
    match outlet.dtype() {
        ValueType::Tensor { ty, shape, .. } => {
            let datatype =
                datatype_of(*ty).ok_or_else(|| unsupported(format!("{place} {name} of type {ty}")))?;
            let shape = shape.iter().map(|size| (*size).max(-1)).collect();
            Ok(TensorSpec { name: name.to_owned(), datatype, shape })
        }
        ValueType::Sequence(_) | ValueType::Map { .. } if place == "output" => Err(unsupported(
            "an output that is a list of maps (export the classifier with options={\"zipmap\": False})",
        )),
        _ => Err(unsupported(format!("{place} {name}, which is no tensor"))),
    }
}

const fn datatype_of(element: TensorElementType) -> Option<Datatype> {
    Some(match element {
        TensorElementType::Bool => Datatype::Bool,
        TensorElementType::Int8 => Datatype::Int8,
        TensorElementType::Int16 => Datatype::Int16,
        TensorElementType::Int32 => Datatype::Int32,
        TensorElementType::Int64 => Datatype::Int64,
        TensorElementType::Uint8 => Datatype::Uint8,
        TensorElementType::Uint16 => Datatype::Uint16,
        TensorElementType::Uint32 => Datatype::Uint32,
        TensorElementType::Uint64 => Datatype::Uint64,
        TensorElementType::Float16 => Datatype::Fp16,
        TensorElementType::Bfloat16 => Datatype::Bf16,
        TensorElementType::Float32 => Datatype::Fp32,
        TensorElementType::Float64 => Datatype::Fp64,
        TensorElementType::String => Datatype::Bytes,
        _ => return None,
    })
}

/// The elements as the session takes them, without a copy but for strings.
pub(super) fn into_value(elements: Elements, shape: Vec<usize>) -> Result<DynValue, RuntimeError> {
    let made = match elements {
        Elements::Bool(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Int8(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Int16(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Int32(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Int64(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Uint8(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Uint16(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Uint32(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Uint64(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Fp16(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Bf16(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Fp32(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Fp64(elements) => OrtTensor::from_array((shape, elements)).map(OrtTensor::into_dyn),
        Elements::Bytes(elements) => {
            let text = |string: &Bytes| String::from_utf8(string.to_vec()).map_err(|_| RuntimeError::NotText);
            let texts = elements.iter().map(text).collect::<Result<Vec<String>, _>>()?;
            OrtTensor::from_string_array((shape, texts.as_slice())).map(OrtTensor::into_dyn)
        }
    };
    made.map_err(RuntimeError::onnx("take the tensors"))
}

/// An output of the session, copied.
pub(super) fn from_value(name: &str, value: &DynValue) -> Result<Tensor, RuntimeError> {
    /// The elements of `value`, if they are of this type.
    macro_rules! extracted {
        ($variant:ident) => {
            value.try_extract_tensor().map(|(shape, elements)| (shape, Elements::$variant(elements.to_vec())))
        };
    }
    let ValueType::Tensor { ty, .. } = value.dtype() else {
        return Err(unsupported(format!("output {name}, which is no tensor")));
    };
    let datatype = datatype_of(*ty).ok_or_else(|| unsupported(format!("output {name} of type {ty}")))?;
    let extracted = match datatype {
        Datatype::Bool => extracted!(Bool),
        Datatype::Int8 => extracted!(Int8),
        Datatype::Int16 => extracted!(Int16),
        Datatype::Int32 => extracted!(Int32),
        Datatype::Int64 => extracted!(Int64),
        Datatype::Uint8 => extracted!(Uint8),
        Datatype::Uint16 => extracted!(Uint16),
        Datatype::Uint32 => extracted!(Uint32),
        Datatype::Uint64 => extracted!(Uint64),
        Datatype::Fp16 => extracted!(Fp16),
        Datatype::Bf16 => extracted!(Bf16),
        Datatype::Fp32 => extracted!(Fp32),
        Datatype::Fp64 => extracted!(Fp64),
        Datatype::Bytes => value
            .try_extract_strings()
            .map(|(shape, strings)| (shape, Elements::Bytes(strings.into_iter().map(Bytes::from).collect()))),
    };
    let (shape, elements) = extracted.map_err(RuntimeError::onnx("give its output"))?;
    let shape = shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).collect();
    Ok(Tensor { name: name.to_owned(), shape, elements })
}

/// Options of a run that computes only what these outputs need.
pub(super) fn only(wanted: &[&str]) -> Result<RunOptions<HasSelectedOutputs>, RuntimeError> {
    let selector = wanted.iter().fold(OutputSelector::no_default(), |selector, name| selector.with(*name));
    Ok(RunOptions::new().map_err(RuntimeError::onnx("prepare a run"))?.with_outputs(selector))
}
