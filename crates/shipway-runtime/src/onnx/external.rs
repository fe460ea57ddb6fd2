//! Weights that an ONNX model keeps in other files. The model names them, and a name is a path: only files that were logged with it
//! are read, and none from this machine's disk.

use std::collections::BTreeSet;

use prost::Message;

use super::FORMAT;
use crate::{data::DataFile, error::RuntimeError};

/// The parts of the format that may hold weights, and those that nest: this reader bounds their depth for the readers after it.
/// Everything else is skipped.
#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, optional, boxed, tag = "7")]
    graph: Option<Box<GraphProto>>,
    #[prost(message, repeated, tag = "25")]
    functions: Vec<FunctionProto>,
}

#[derive(Clone, PartialEq, Message)]
struct FunctionProto {
    #[prost(message, repeated, tag = "7")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "11")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "13")]
    value_info: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "15")]
    sparse_initializer: Vec<SparseTensorProto>,
}

#[derive(Clone, PartialEq, Message)]
struct ValueInfoProto {
    #[prost(message, optional, boxed, tag = "2")]
    r#type: Option<Box<TypeProto>>,
}

#[derive(Clone, PartialEq, Message)]
struct TypeProto {
    #[prost(message, optional, boxed, tag = "4")]
    sequence_type: Option<Box<SequenceType>>,
}

#[derive(Clone, PartialEq, Message)]
struct SequenceType {
    #[prost(message, optional, boxed, tag = "1")]
    elem_type: Option<Box<TypeProto>>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeProto {
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<AttributeProto>,
}

#[derive(Clone, PartialEq, Message)]
struct AttributeProto {
    #[prost(message, optional, tag = "5")]
    t: Option<TensorProto>,
    #[prost(message, optional, boxed, tag = "6")]
    g: Option<Box<GraphProto>>,
    #[prost(message, repeated, tag = "10")]
    tensors: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    graphs: Vec<GraphProto>,
    #[prost(message, optional, tag = "22")]
    sparse_tensor: Option<SparseTensorProto>,
    #[prost(message, repeated, tag = "23")]
    sparse_tensors: Vec<SparseTensorProto>,
}

#[derive(Clone, PartialEq, Message)]
struct SparseTensorProto {
    #[prost(message, optional, tag = "1")]
    values: Option<TensorProto>,
    #[prost(message, optional, tag = "2")]
    indices: Option<TensorProto>,
}

#[derive(Clone, PartialEq, Message)]
struct TensorProto {
    #[prost(message, repeated, tag = "13")]
    external_data: Vec<StringStringEntryProto>,
}

#[derive(Clone, PartialEq, Message)]
struct StringStringEntryProto {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// The files that a model keeps weights in, by the names that it has for them, each once.
pub(super) fn locations(bytes: &[u8]) -> Result<BTreeSet<String>, RuntimeError> {
    let model = ModelProto::decode(bytes).map_err(|error| RuntimeError::Damaged {
        format: FORMAT,
        reason: format!("not an ONNX model: {error}"),
    })?;
    let mut tensors = Vec::new();
    model.graph.iter().for_each(|graph| of_graph(graph, &mut tensors));
    for function in &model.functions {
        function.node.iter().for_each(|node| of_attributes(&node.attribute, &mut tensors));
        of_attributes(&function.attribute, &mut tensors);
    }
    let entries = tensors.into_iter().flat_map(|tensor| &tensor.external_data);
    Ok(entries.filter(|entry| entry.key == "location").map(|entry| entry.value.clone()).collect())
}

/// Refuses a model that keeps weights in a file which is not among `data`.
pub(super) fn check(bytes: &[u8], data: &[DataFile]) -> Result<(), RuntimeError> {
    let missing = |location: &String| data.iter().all(|file| file.path != *location);
    match locations(bytes)?.into_iter().find(missing) {
        None => Ok(()),
        Some(location) => {
            let location: String = location.chars().take(200).collect();
            let reason = format!("its weights are in `{location}`, which was not logged with it");
            Err(RuntimeError::Damaged { format: FORMAT, reason })
        }
    }
}

fn of_graph<'model>(graph: &'model GraphProto, into: &mut Vec<&'model TensorProto>) {
    into.extend(&graph.initializer);
    graph.sparse_initializer.iter().for_each(|sparse| of_sparse(sparse, into));
    graph.node.iter().for_each(|node| of_attributes(&node.attribute, into));
}

fn of_attributes<'model>(attributes: &'model [AttributeProto], into: &mut Vec<&'model TensorProto>) {
    for attribute in attributes {
        into.extend(attribute.t.iter().chain(&attribute.tensors));
        attribute.g.iter().for_each(|graph| of_graph(graph, into));
        attribute.graphs.iter().for_each(|graph| of_graph(graph, into));
        attribute
            .sparse_tensor
            .iter()
            .chain(&attribute.sparse_tensors)
            .for_each(|sparse| of_sparse(sparse, into));
    }
}

fn of_sparse<'model>(sparse: &'model SparseTensorProto, into: &mut Vec<&'model TensorProto>) {
    into.extend(sparse.values.iter().chain(&sparse.indices));
}
