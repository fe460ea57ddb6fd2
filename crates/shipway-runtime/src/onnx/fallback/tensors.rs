//! The engine's tensors as ours, and ours as its: it has floats of 32 bits and whole numbers of 8 and 32 bits.

use half::f16;
use rten::Value;
use rten_tensor::{AsView as _, Layout as _};

use super::ENGINE;
use crate::{
    error::RuntimeError,
    tensor::{Datatype, Elements, Tensor, TensorSpec},
};

/// The elements as the engine takes them: without a copy where it has their type.
pub(super) fn into_value(tensor: Tensor) -> Result<Value, RuntimeError> {
    let Tensor { name, shape, elements } = tensor;
    let wrong = |reason: String| RuntimeError::WrongTensor { name: name.clone(), reason };
    let mismatch = |error: &dyn std::error::Error| wrong(error.to_string());
    match elements {
        Elements::Fp32(numbers) => Value::from_shape(shape, numbers).map_err(|error| mismatch(&error)),
        Elements::Fp16(numbers) => {
            let single: Vec<f32> = numbers.into_iter().map(f16::to_f32).collect();
            Value::from_shape(shape, single).map_err(|error| mismatch(&error))
        }
        Elements::Int32(numbers) => Value::from_shape(shape, numbers).map_err(|error| mismatch(&error)),
        Elements::Int64(numbers) => {
            let narrow = |number: i64| {
                i32::try_from(number).map_err(|_| {
                    wrong(format!(
                        "{number} is beyond 32 bits, the whole numbers that {ENGINE} computes with"
                    ))
                })
            };
            let numbers = numbers.into_iter().map(narrow).collect::<Result<Vec<i32>, _>>()?;
            Value::from_shape(shape, numbers).map_err(|error| mismatch(&error))
        }
        Elements::Bool(flags) => {
            let flags: Vec<i32> = flags.into_iter().map(i32::from).collect();
            Value::from_shape(shape, flags).map_err(|error| mismatch(&error))
        }
        Elements::Int8(numbers) => Value::from_shape(shape, numbers).map_err(|error| mismatch(&error)),
        Elements::Uint8(numbers) => Value::from_shape(shape, numbers).map_err(|error| mismatch(&error)),
        other => Err(wrong(format!("{ENGINE} does not have {}", other.datatype()))),
    }
}

/// An output of the engine, which must be what the model says of it.
pub(super) fn from_value(spec: &TensorSpec, value: &Value) -> Result<Tensor, RuntimeError> {
    let wrong = |reason: String| {
        let reason = format!("output {}: {reason}", spec.name);
        RuntimeError::Onnx { engine: ENGINE, action: "give its output", reason }
    };
    let elements = match (spec.datatype, value) {
        (Datatype::Fp32, Value::FloatTensor(tensor)) => Elements::Fp32(tensor.to_vec()),
        (Datatype::Fp16, Value::FloatTensor(tensor)) => {
            Elements::Fp16(tensor.iter().copied().map(f16::from_f32).collect())
        }
        (Datatype::Int32, Value::Int32Tensor(tensor)) => Elements::Int32(tensor.to_vec()),
        (Datatype::Int64, Value::Int32Tensor(tensor)) => {
            Elements::Int64(tensor.iter().copied().map(i64::from).collect())
        }
        (Datatype::Bool, Value::Int32Tensor(tensor)) => {
            Elements::Bool(tensor.iter().map(|flag| *flag != 0).collect())
        }
        (Datatype::Int8, Value::Int8Tensor(tensor)) => Elements::Int8(tensor.to_vec()),
        (Datatype::Uint8, Value::UInt8Tensor(tensor)) => Elements::Uint8(tensor.to_vec()),
        (datatype, other) => return Err(wrong(format!("expected {datatype}, got {}", other.dtype()))),
    };
    let tensor = Tensor { name: spec.name.clone(), shape: value.shape().to_vec(), elements };
    match spec.refusal(&tensor) {
        None => Ok(tensor),
        Some(refusal) => Err(wrong(refusal)),
    }
}
