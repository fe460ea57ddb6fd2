//! The tensors that a model takes and gives, as its file says: the engine itself knows them by the types that it computes with.

use std::collections::HashSet;

use rten::Dimension;
use rten_onnx::onnx::{DataType, ModelProto, TensorProto, ValueInfoProto};

use crate::{
    error::RuntimeError,
    onnx::unsupported,
    tensor::{Datatype, TensorSignature, TensorSpec},
};

/// The type of elements of the format, as far as we have it.
pub(super) const fn datatype_of(element: DataType) -> Option<Datatype> {
    Some(match element {
        DataType::FLOAT => Datatype::Fp32,
        DataType::UINT8 => Datatype::Uint8,
        DataType::INT8 => Datatype::Int8,
        DataType::UINT16 => Datatype::Uint16,
        DataType::INT16 => Datatype::Int16,
        DataType::INT32 => Datatype::Int32,
        DataType::INT64 => Datatype::Int64,
        DataType::STRING => Datatype::Bytes,
        DataType::BOOL => Datatype::Bool,
        DataType::FLOAT16 => Datatype::Fp16,
        DataType::DOUBLE => Datatype::Fp64,
        DataType::UINT32 => Datatype::Uint32,
        DataType::UINT64 => Datatype::Uint64,
        DataType::BFLOAT16 => Datatype::Bf16,
        _ => return None,
    })
}

/// The values that a caller gives: in old files constants are listed beside them.
pub(super) fn inputs(proto: &ModelProto) -> impl Iterator<Item = &ValueInfoProto> {
    let constant = |tensor: &TensorProto| tensor.name.clone();
    let graph = proto.graph.as_ref();
    let constants: HashSet<String> =
        graph.into_iter().flat_map(|graph| &graph.initializer).filter_map(constant).collect();
    graph
        .into_iter()
        .flat_map(|graph| &graph.input)
        .filter(move |input| input.name.as_ref().is_none_or(|name| !constants.contains(name)))
}

/// The values that it answers.
pub(super) fn outputs(proto: &ModelProto) -> impl Iterator<Item = &ValueInfoProto> {
    proto.graph.iter().flat_map(|graph| &graph.output)
}

/// The signature of a model that has been judged.
pub(super) fn signature(proto: &ModelProto, model: &rten::Model) -> Result<TensorSignature, RuntimeError> {
    let inputs = inputs(proto).map(|value| spec("input", value, model)).collect::<Result<_, _>>()?;
    let outputs = outputs(proto).map(|value| spec("output", value, model)).collect::<Result<_, _>>()?;
    Ok(TensorSignature { inputs, outputs })
}

fn spec(place: &str, value: &ValueInfoProto, model: &rten::Model) -> Result<TensorSpec, RuntimeError> {
    let name = value.name.clone().unwrap_or_default();
    let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| unsupported(format!("{place} {name}, which is no tensor")))?;
    let datatype = tensor.elem_type.and_then(datatype_of);
    let datatype = datatype.ok_or_else(|| unsupported(format!("{place} {name} of unknown type")))?;
    let said = tensor.shape.as_ref().map(|shape| {
        let size = |size: Option<i64>| size.filter(|size| *size >= 0).unwrap_or(-1);
        shape.dim.iter().map(|dimension| size(dimension.dim_value)).collect()
    });
    let shape = said.or_else(|| inferred(&name, model));
    let shape = shape.ok_or_else(|| unsupported(format!("{place} {name} of unknown shape")))?;
    Ok(TensorSpec { name, datatype, shape })
}

/// The shape that the engine worked out for a value.
fn inferred(name: &str, model: &rten::Model) -> Option<Vec<i64>> {
    let shape = model.node_info(model.find_node(name)?)?.shape()?;
    let size = |dimension: &Dimension| match dimension {
        Dimension::Fixed(size) => i64::try_from(*size).unwrap_or(-1),
        Dimension::Symbolic(_) => -1,
    };
    Some(shape.iter().map(size).collect())
}
