//! Writes anew what the engine reads otherwise than the standard means it. It has no truth values of its own and takes whole numbers for
//! them, so that its cast of 0.5 or of 5 to a truth value would not be `true`. It does not know what convolutions and
//! pools that say nothing of it do along each of their dimensions.

use std::collections::HashMap;

use rten_onnx::onnx::{
    AttributeProto, AttributeType, DataType, GraphProto, ModelProto, NodeProto, TensorProto,
};

use super::judge::{attribute, operator};

/// Changes what must be; whether anything was.
pub(super) fn repair(proto: &mut ModelProto) -> bool {
    let mut count = 0;
    proto.graph.iter_mut().for_each(|graph| of_graph(graph, &mut count));
    count > 0
}

fn of_graph(graph: &mut GraphProto, count: &mut usize) {
    let rank = |tensor: &TensorProto| Some((tensor.name.clone()?, tensor.dims.len()));
    let ranks: HashMap<String, usize> = graph.initializer.iter().filter_map(rank).collect();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for mut node in graph.node.drain(..) {
        node.attribute
            .iter_mut()
            .filter_map(|attribute| attribute.g.as_mut())
            .for_each(|inner| of_graph(inner, count));
        if is_truth(&node) {
            nodes.extend(unequal_to_zero(node, *count));
            *count += 1;
        } else {
            let missing = missing_steps(&node, &ranks);
            *count += missing.len();
            node.attribute.extend(missing);
            nodes.push(node);
        }
    }
    graph.node = nodes;
}

fn is_truth(node: &NodeProto) -> bool {
    let to = attribute(node, "to").and_then(|to| to.i);
    operator(node) == "Cast" && to == Some(i64::from(DataType::BOOL.0))
}

/// What a convolution or a pool does along its dimensions where it does not say so: steps of one, and nothing around.
fn missing_steps(node: &NodeProto, ranks: &HashMap<String, usize>) -> Vec<AttributeProto> {
    let operator = operator(node);
    if !matches!(operator, "AveragePool" | "Conv" | "MaxPool") {
        return Vec::new();
    }
    // Of weights the first two dimensions are channels.
    let of_weights = || node.input.get(1).and_then(|name| ranks.get(name)?.checked_sub(2));
    let rank =
        attribute(node, "kernel_shape").map(|kernel| kernel.ints.len()).or_else(of_weights).unwrap_or(2);
    let has = |name: &str| attribute(node, name).is_some();
    let mut missing = Vec::new();
    if !has("strides") {
        missing.push(numbers("strides", vec![1; rank]));
    }
    if operator == "Conv" && !has("dilations") {
        missing.push(numbers("dilations", vec![1; rank]));
    }
    if !has("pads") && !has("auto_pad") {
        missing.push(numbers("pads", vec![0; rank * 2]));
    }
    missing
}

fn numbers(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: Some(name.to_owned()),
        ints,
        r#type: Some(AttributeType::INTS),
        ..AttributeProto::default()
    }
}

/// `x` as a truth value: it is not what zero is. `x - x` is zero of the type of `x`; of NaN and infinities, which are true, it is NaN,
/// which equals nothing.
fn unequal_to_zero(cast: NodeProto, number: usize) -> [NodeProto; 3] {
    let node = |operator: &str, input: Vec<String>, output: Vec<String>| NodeProto {
        op_type: Some(operator.to_owned()),
        input,
        output,
        ..NodeProto::default()
    };
    let x = cast.input.first().cloned().unwrap_or_default();
    let (zero, equal) = (format!("shipway.zero.{number}"), format!("shipway.equal.{number}"));
    [
        node("Sub", vec![x.clone(), x.clone()], vec![zero.clone()]),
        node("Equal", vec![x, zero], vec![equal.clone()]),
        node("Not", vec![equal], cast.output),
    ]
}
