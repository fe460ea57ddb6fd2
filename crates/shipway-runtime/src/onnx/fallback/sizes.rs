//! Finds operators whose outputs are as large as numbers in a caller's tensors say: one small request could ask for all memory. Sizes that
//! follow from the shapes of what was sent are bounded by it, and those in the file are its author's.

use std::collections::{BTreeSet, HashSet};

use rten_onnx::onnx::{GraphProto, ModelProto, NodeProto};

use super::{judge::operator, signature};

/// The inputs of an operator that say how large its output is.
const fn sizing(operator: &str) -> &'static [usize] {
    match operator.as_bytes() {
        b"ConstantOfShape" => &[0],
        b"Expand" | b"Tile" | b"Pad" => &[1],
        b"Range" => &[0, 1, 2],
        _ => &[],
    }
}

/// What the values of a caller decide the size of, in words.
pub(super) fn named_by_callers(proto: &ModelProto) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut sent: HashSet<&str> =
        signature::inputs(proto).filter_map(|input| input.name.as_deref()).collect();
    if let Some(graph) = &proto.graph {
        walk(graph, &mut sent, &mut found);
    }
    found
}

/// Adds to `sent` the values that follow from values of a caller.
fn walk<'model>(graph: &'model GraphProto, sent: &mut HashSet<&'model str>, found: &mut BTreeSet<String>) {
    for node in &graph.node {
        let operator = operator(node);
        let is_sent = |place: &usize| node.input.get(*place).is_some_and(|name| sent.contains(name.as_str()));
        if sizing(operator).iter().any(is_sent) {
            found.insert(format!("{operator} by what a caller sends"));
        }
        if follows(node, sent) {
            sent.extend(node.output.iter().map(String::as_str));
        }
        for inner in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
            walk(inner, sent, found);
            // Which of the branches runs may follow from a caller too.
            sent.extend(node.output.iter().map(String::as_str));
        }
    }
}

/// Whether the values of an operator's outputs follow from values of a caller, and not from shapes alone.
fn follows(node: &NodeProto, sent: &HashSet<&str>) -> bool {
    let is_shape = matches!(operator(node), "Shape" | "Size");
    !is_shape && node.input.iter().any(|name| sent.contains(name.as_str()))
}
