//! Runs a model once when it is loaded: that the engine does not have an operator for some type or attribute it says only then.

use super::Fallback;
use crate::{
    error::RuntimeError,
    tensor::{Datatype, Elements, Tensor, TensorSignature, TensorSpec},
};

/// A trial with more elements than this in an input is left out, since nobody asked for it.
const MOST_ELEMENTS: usize = 1 << 20;

/// Refuses a model that the engine says it has something not for. Other errors may come of the sizes that are tried, and are left to
/// whoever asks the model.
pub(super) fn run(model: &Fallback, signature: &TensorSignature) -> Result<(), RuntimeError> {
    let Some(inputs) = signature.inputs.iter().map(zeros).collect::<Option<Vec<_>>>() else { return Ok(()) };
    let outputs: Vec<&str> = signature.outputs.iter().map(|spec| spec.name.as_str()).collect();
    match model.infer(inputs, &outputs) {
        Err(RuntimeError::Onnx { reason, .. }) if reason.contains("unsupported") => {
            Err(RuntimeError::Fallback { lacks: format!("what it needs: {reason}") })
        }
        _ => Ok(()),
    }
}

/// Zeros, one along each dimension whose size is open.
fn zeros(spec: &TensorSpec) -> Option<Tensor> {
    let shape: Vec<usize> = spec.shape.iter().map(|size| usize::try_from(*size).unwrap_or(1)).collect();
    let count = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size))?;
    let count = Some(count).filter(|count| *count <= MOST_ELEMENTS)?;
    let elements = match spec.datatype {
        Datatype::Fp32 => Elements::Fp32(vec![0.0; count]),
        Datatype::Fp16 => Elements::Fp16(vec![half::f16::ZERO; count]),
        Datatype::Int64 => Elements::Int64(vec![0; count]),
        Datatype::Int32 => Elements::Int32(vec![0; count]),
        Datatype::Int8 => Elements::Int8(vec![0; count]),
        Datatype::Uint8 => Elements::Uint8(vec![0; count]),
        Datatype::Bool => Elements::Bool(vec![false; count]),
        _ => return None,
    };
    Some(Tensor { name: spec.name.clone(), shape, elements })
}
