//! Decides whether a model is run by the engine, and names all that keeps it from that. Pure, but for [`softmax`].

use std::collections::{BTreeSet, HashMap, HashSet};

use rten_onnx::onnx::{
    AttributeProto, DataLocation, DataType, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto,
};

use super::{damaged, operators, signature, sizes};
use crate::{data::DataFile, error::RuntimeError, tensor::Datatype};

/// Versions of the operators before this one mean other things than those that the engine evaluates.
const FIRST_VERSION: i64 = 11;

/// Until this version a softmax went over the axis and all behind it; since then over the axis.
const SOFTMAX_VERSION: i64 = 13;

/// The engine walks from an output to what it is computed from, one call inside the other.
const LONGEST_CHAIN: usize = 4_000;

/// What takes the engine a time that grows with the square of it.
const MOST_NODES: usize = 20_000;
const MOST_VALUES: usize = 1_000;

/// The type of what says none.
const UNSAID: DataType = DataType(0);

/// So many reasons are named.
const MOST_REASONS: usize = 12;

/// Refuses a model that the engine does not run as the standard says, with everything that it lacks.
pub(super) fn judge(proto: &ModelProto, data: &[DataFile]) -> Result<(), RuntimeError> {
    let graph = proto.graph.as_ref().ok_or_else(|| damaged("it has no graph"))?;
    let mut judge = Judge { data, nodes: 0, operators: BTreeSet::new(), others: BTreeSet::new() };
    let version = version(proto);
    if version < FIRST_VERSION {
        judge
            .others
            .insert(format!("version {version} of the operators, {FIRST_VERSION} or newer is needed"));
    }
    judge.values("input", signature::inputs(proto))?;
    judge.values("output", signature::outputs(proto))?;
    judge.graph(graph, &mut HashMap::new(), 0)?;
    judge.others.extend(sizes::named_by_callers(proto));
    judge.refusal()
}

/// The version of the standard's operators that a model was written for.
fn version(proto: &ModelProto) -> i64 {
    let standard = |domain: &Option<String>| matches!(domain.as_deref(), None | Some("" | "ai.onnx"));
    let found = proto.opset_import.iter().find(|import| standard(&import.domain));
    found.and_then(|import| import.version).unwrap_or(1)
}

/// Refuses a softmax of an old version over another axis than the last, where the two meanings differ.
pub(super) fn softmax(proto: &ModelProto, model: &rten::Model) -> Result<(), RuntimeError> {
    if version(proto) >= SOFTMAX_VERSION {
        return Ok(());
    }
    let mut nodes = Vec::new();
    proto.graph.iter().for_each(|graph| nodes_of(graph, &mut nodes));
    for node in nodes.into_iter().filter(|node| matches!(operator(node), "Softmax" | "LogSoftmax")) {
        let axis = attribute(node, "axis").and_then(|axis| axis.i).unwrap_or(1);
        let rank = || {
            let values = node.output.iter().chain(&node.input);
            let mut known = values.filter_map(|name| model.node_info(model.find_node(name)?)?.shape());
            known.next().and_then(|shape| i64::try_from(shape.len()).ok())
        };
        if axis != -1 && rank().is_none_or(|rank| axis != rank - 1) {
            let lacks = format!("{} of version {} over several axes", operator(node), version(proto));
            return Err(RuntimeError::Fallback { lacks });
        }
    }
    Ok(())
}

fn nodes_of<'model>(graph: &'model GraphProto, into: &mut Vec<&'model NodeProto>) {
    for node in &graph.node {
        into.push(node);
        node.attribute
            .iter()
            .filter_map(|attribute| attribute.g.as_ref())
            .for_each(|inner| nodes_of(inner, into));
    }
}

pub(super) fn operator(node: &NodeProto) -> &str {
    node.op_type.as_deref().unwrap_or_default()
}

pub(super) fn attribute<'node>(node: &'node NodeProto, name: &str) -> Option<&'node AttributeProto> {
    node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some(name))
}

struct Judge<'data> {
    data: &'data [DataFile],
    nodes: usize,
    operators: BTreeSet<String>,
    others: BTreeSet<String>,
}

impl Judge<'_> {
    fn values<'model>(
        &mut self,
        place: &str,
        values: impl Iterator<Item = &'model ValueInfoProto>,
    ) -> Result<(), RuntimeError> {
        for (count, value) in values.enumerate() {
            if count >= MOST_VALUES {
                return Err(damaged(format!("it has more than {MOST_VALUES} {place}s")));
            }
            let name = short(value.name.as_deref().unwrap_or_default());
            let tensor = value.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
            match tensor.map(|tensor| tensor.elem_type.unwrap_or(UNSAID)) {
                None => drop(self.others.insert(format!("{place} `{name}`, which is no tensor"))),
                Some(element) if is_value(element) => {}
                Some(element) => {
                    self.others.insert(format!("{} of {place} `{name}`", word(element)));
                }
            }
        }
        Ok(())
    }

    /// Judges a graph inside of `known` values, each with the length of the longest chain that leads to it.
    fn graph<'model>(
        &mut self,
        graph: &'model GraphProto,
        known: &mut HashMap<&'model str, usize>,
        depth: usize,
    ) -> Result<(), RuntimeError> {
        self.nodes += graph.node.len();
        if self.nodes > MOST_NODES {
            return Err(damaged(format!("it has more than {MOST_NODES} operators")));
        }
        let mut vectors = HashSet::new();
        for tensor in &graph.initializer {
            self.constant(tensor)?;
            if tensor.dims.len() == 1 {
                vectors.insert(tensor.name.as_deref().unwrap_or_default());
            }
            known.insert(tensor.name.as_deref().unwrap_or_default(), depth);
        }
        for value in &graph.input {
            known.insert(value.name.as_deref().unwrap_or_default(), depth);
        }
        for node in &graph.node {
            self.operator(node);
            // Of three and more dimensions times one it keeps a dimension too many.
            if operator(node) == "MatMul"
                && node.input.get(1).is_some_and(|name| vectors.contains(name.as_str()))
            {
                self.others.insert("MatMul with a vector".to_owned());
            }
            let mut longest = depth;
            for name in node.input.iter().filter(|name| !name.is_empty()) {
                let unknown = || damaged(format!("`{}` comes from nothing before it is used", short(name)));
                longest = longest.max(*known.get(name.as_str()).ok_or_else(unknown)?);
            }
            longest += 1;
            if longest > LONGEST_CHAIN {
                return Err(damaged(format!("more than {LONGEST_CHAIN} operators follow each other")));
            }
            for attribute in &node.attribute {
                attribute.t.iter().try_for_each(|tensor| self.constant(tensor))?;
                if let Some(inner) = &attribute.g {
                    self.graph(inner, known, longest)?;
                }
            }
            known.extend(node.output.iter().map(|name| (name.as_str(), longest)));
        }
        let missing = graph
            .output
            .iter()
            .find(|output| !known.contains_key(output.name.as_deref().unwrap_or_default()));
        match missing {
            None => Ok(()),
            Some(output) => {
                let name = short(output.name.as_deref().unwrap_or_default());
                Err(damaged(format!("its output `{name}` comes from nothing")))
            }
        }
    }

    fn operator(&mut self, node: &NodeProto) {
        let (domain, name) = (node.domain.as_deref().unwrap_or_default(), operator(node));
        if !operators::is_covered(domain, name) {
            let of = if matches!(domain, "" | "ai.onnx") {
                String::new()
            } else {
                format!(" of {}", short(domain))
            };
            self.operators.insert(format!("{}{of}", short(name)));
        }
        // It puts what an odd size leaves over on the other side.
        let padding = attribute(node, "auto_pad").and_then(|padding| padding.s.as_deref());
        if padding == Some("SAME_LOWER") {
            self.others.insert(format!("{} padded SAME_LOWER", short(name)));
        }
        // It computes in single precision, which is not what a model that goes to double precision asks for.
        let to = attribute(node, "to").filter(|_| name == "Cast").and_then(|to| to.i);
        if to == Some(i64::from(DataType::DOUBLE.0)) {
            self.others.insert("casts to FP64".to_owned());
        }
    }

    fn constant(&mut self, tensor: &TensorProto) -> Result<(), RuntimeError> {
        let name = short(tensor.name.as_deref().unwrap_or_default());
        let count = tensor
            .dims
            .iter()
            .try_fold(1_u64, |product, size| product.checked_mul(u64::try_from(*size).ok()?));
        let count = count
            .filter(|count| *count <= u64::from(u32::MAX))
            .ok_or_else(|| damaged(format!("constant `{name}` is of no size")))?;
        let element = tensor.data_type.unwrap_or(UNSAID);
        // Exporters write numbers of their own in double precision, which the model then casts to what it computes with.
        let is_single_double = element == DataType::DOUBLE && count == 1;
        if !(is_value(element) || is_single_double) {
            self.others.insert(format!("constants of {}", word(element)));
        }
        if element == DataType::INT64 && !self.is_narrow(tensor) {
            self.others.insert(format!("whole numbers beyond 32 bits in constant `{name}`"));
        }
        Ok(())
    }

    /// Whether whole numbers of 64 bits go into 32, or are one of the two that stand for no end, which stay what they mean.
    fn is_narrow(&self, tensor: &TensorProto) -> bool {
        let fits = |number: i64| i32::try_from(number).is_ok() || number == i64::MAX || number == i64::MIN;
        let all = |bytes: &[u8]| {
            bytes
                .chunks_exact(8)
                .all(|chunk| chunk.try_into().is_ok_and(|number| fits(i64::from_le_bytes(number))))
        };
        if tensor.data_location == Some(DataLocation::EXTERNAL) {
            return self.outside(tensor).is_none_or(all);
        }
        tensor.int64_data.iter().copied().all(fits)
            && tensor.raw_data.as_ref().is_none_or(|bytes| all(&bytes.borrow()))
    }

    /// The bytes of a constant in another file; none where the engine will refuse to find them.
    fn outside(&self, tensor: &TensorProto) -> Option<&[u8]> {
        let entry = |key: &str| {
            let found = tensor.external_data.iter().find(|entry| entry.key.as_deref() == Some(key));
            found.and_then(|entry| entry.value.as_deref())
        };
        let place = |key: &str| entry(key)?.parse::<usize>().ok();
        let file = self.data.iter().find(|file| Some(file.path.as_str()) == entry("location"))?;
        let start = place("offset")?;
        file.content.get(start..start.checked_add(place("length")?)?)
    }

    fn refusal(self) -> Result<(), RuntimeError> {
        let Self { operators, others, .. } = self;
        let mut lacks: Vec<String> = Vec::new();
        if !operators.is_empty() {
            let word = if operators.len() == 1 { "operator" } else { "operators" };
            lacks.push(format!("the {word} {}", named(operators)));
        }
        if !others.is_empty() {
            lacks.push(named(others));
        }
        if lacks.is_empty() { Ok(()) } else { Err(RuntimeError::Fallback { lacks: lacks.join("; ") }) }
    }
}

fn named(reasons: BTreeSet<String>) -> String {
    let more = reasons.len().saturating_sub(MOST_REASONS);
    let mut named: Vec<String> = reasons.into_iter().take(MOST_REASONS).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}

/// Names come out of the file, and may be of any length.
fn short(name: &str) -> String {
    name.chars().take(60).collect()
}

/// The types that the engine has, or takes as another one without losing anything that our checks do not find.
const fn is_value(element: DataType) -> bool {
    matches!(
        element,
        DataType::FLOAT
            | DataType::FLOAT16
            | DataType::INT32
            | DataType::INT64
            | DataType::INT8
            | DataType::UINT8
            | DataType::BOOL
    )
}

fn word(element: DataType) -> String {
    signature::datatype_of(element)
        .map_or_else(|| format!("type {}", element.0), |datatype: Datatype| datatype.word().to_owned())
}
