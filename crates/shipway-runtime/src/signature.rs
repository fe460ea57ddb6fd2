//! Decides whether tensors fit what a model takes. Pure.

use std::collections::BTreeSet;

use shipway_core::nearest;

use crate::{
    error::RuntimeError,
    tensor::{Tensor, TensorSignature, TensorSpec},
};

/// Refuses tensors that are not exactly the model's inputs, and wanted outputs that it does not give.
pub(crate) fn check(
    signature: &TensorSignature,
    inputs: &[Tensor],
    wanted: &[&str],
) -> Result<(), RuntimeError> {
    let mut seen = BTreeSet::new();
    for tensor in inputs {
        let spec = signature
            .inputs
            .iter()
            .find(|spec| spec.name == tensor.name)
            .ok_or_else(|| unknown("input", &tensor.name, &signature.inputs))?;
        let wrong = |reason: String| RuntimeError::WrongTensor { name: tensor.name.clone(), reason };
        if !seen.insert(tensor.name.as_str()) {
            return Err(wrong("it comes twice".to_owned()));
        }
        if let Some(refusal) = spec.refusal(tensor) {
            return Err(wrong(refusal));
        }
        let expected = tensor.shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        if expected != Some(tensor.elements.len()) {
            let got = tensor.elements.len();
            return Err(wrong(format!(
                "shape {:?} has another number of elements than the {got} given",
                tensor.shape
            )));
        }
        if tensor.elements.is_empty() {
            return Err(wrong("it has no elements".to_owned()));
        }
    }
    if let (true, Some(first)) = (signature.batches(), inputs.first())
        && let Some(other) = inputs.iter().find(|tensor| tensor.shape.first() != first.shape.first())
    {
        let (rows, got) = (first.shape.first().copied(), other.shape.first().copied());
        let reason =
            format!("expected {} rows as in `{}`, got {}", rows.unwrap_or(0), first.name, got.unwrap_or(0));
        return Err(RuntimeError::WrongTensor { name: other.name.clone(), reason });
    }
    if let Some(missing) = signature.inputs.iter().find(|spec| !seen.contains(spec.name.as_str())) {
        let TensorSpec { name, datatype, shape } = missing;
        return Err(RuntimeError::WrongTensor {
            name: name.clone(),
            reason: format!("it is missing; the model takes {datatype} of shape {shape:?}"),
        });
    }
    check_wanted(signature, wanted)
}

/// Refuses wanted outputs that a model does not give.
pub(crate) fn check_wanted(signature: &TensorSignature, wanted: &[&str]) -> Result<(), RuntimeError> {
    let is_output = |name: &str| signature.outputs.iter().any(|spec| spec.name == name);
    match wanted.iter().find(|name| !is_output(name)) {
        Some(name) => Err(unknown("output", name, &signature.outputs)),
        None => Ok(()),
    }
}

fn unknown(place: &'static str, name: &str, known: &[TensorSpec]) -> RuntimeError {
    RuntimeError::UnknownTensor {
        place,
        name: name.chars().take(80).collect(),
        known: known.iter().map(|spec| spec.name.as_str()).take(20).collect::<Vec<_>>().join(", "),
        nearest: nearest(name, known.iter().map(|spec| spec.name.as_str())).map(str::to_owned),
    }
}
