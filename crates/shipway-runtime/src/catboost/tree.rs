//! One tree of a model file: checked, and grown.

use super::{
    damaged,
    features::Features,
    schema::{Node, ObliviousTree},
};
use crate::{
    error::RuntimeError,
    trees::{Described, Sets, Test, Tree, Ungrown},
};

/// The deepest oblivious tree that CatBoost trains is 16; its leaves are 2 to the power of that.
const DEEPEST: usize = 24;

/// Lays an oblivious tree, whose levels ask one split each, out as a tree of splits. The last split is the root, as
/// CatBoost's own explanations have it.
pub(super) fn oblivious(
    raw: &ObliviousTree,
    width: usize,
    features: &mut Features,
    sets: &mut Sets,
) -> Result<Tree, RuntimeError> {
    let depth = raw.splits.len();
    let leaves = if depth <= DEEPEST { 1_usize << depth } else { 0 };
    if leaves == 0 || raw.leaf_values.len() != leaves * width {
        return Err(damaged(format!("a tree of {depth} splits has {} leaf values", raw.leaf_values.len())));
    }
    let tests = raw.splits.iter().map(|split| features.test(split, sets)).collect::<Result<Vec<_>, _>>()?;
    // Nodes as in a heap: the children of node n are 2n and 2n + 1, and behind the splits stand the leaves.
    let mut covers = vec![f64::NAN; leaves];
    if raw.leaf_weights.len() == leaves {
        covers.extend_from_slice(&raw.leaf_weights);
        for node in (1..leaves).rev() {
            covers[node] = covers[node * 2] + covers[node * 2 + 1];
        }
    } else {
        covers.resize(leaves * 2, f64::NAN);
    }
    let grown = Tree::grow(leaves * 2, 1, |node| -> Result<Described, RuntimeError> {
        let cover = covers[node];
        if let Some(leaf) = node.checked_sub(leaves) {
            let label = u32::try_from(leaf).map_err(|_| damaged("too many leaves"))?;
            return Ok(Described::Leaf { label, cover, place: leaf });
        }
        let (feature, test) = tests[depth - 1 - node.ilog2() as usize];
        Ok(Described::Split { feature, test, left: node * 2, right: node * 2 + 1, cover })
    });
    let (mut tree, places) = grown.map_err(ungrown)?;
    tree.width = width;
    for leaf in places {
        tree.values.extend_from_slice(&raw.leaf_values[leaf * width..(leaf + 1) * width]);
    }
    Ok(tree)
}

/// A node of a nested tree, taken out of its nest.
struct Flat<'node> {
    node: &'node Node,
    test: Option<(u32, Test)>,
    left: usize,
    right: usize,
    cover: f64,
}

/// Lays out a tree whose nodes are nested in each other. Its leaves are numbered from left to right: the library's own numbers are
/// not in the file.
pub(super) fn nested(
    root: &Node,
    width: usize,
    features: &mut Features,
    sets: &mut Sets,
) -> Result<Tree, RuntimeError> {
    let mut nodes = vec![Flat { node: root, test: None, left: 0, right: 0, cover: f64::NAN }];
    let mut at = 0;
    while let Some(flat) = nodes.get(at) {
        let node = flat.node;
        match (&node.split, &node.left, &node.right) {
            (Some(split), Some(left), Some(right)) => {
                let test = features.test(split, sets)?;
                let next = nodes.len();
                for child in [left, right] {
                    nodes.push(Flat { node: child, test: None, left: 0, right: 0, cover: f64::NAN });
                }
                nodes[at] = Flat { node, test: Some(test), left: next, right: next + 1, cover: f64::NAN };
            }
            (None, None, None) => nodes[at].cover = node.weight.unwrap_or(f64::NAN),
            _ => return Err(damaged("a node is neither a split nor a leaf")),
        }
        at += 1;
    }
    for at in (0..nodes.len()).rev() {
        if nodes[at].test.is_some() {
            nodes[at].cover = nodes[nodes[at].left].cover + nodes[nodes[at].right].cover;
        }
    }
    let labels = from_left_to_right(&nodes);
    let grown = Tree::grow(nodes.len(), 0, |place| -> Result<Described, RuntimeError> {
        let Flat { test, left, right, cover, .. } = nodes[place];
        if let Some((feature, test)) = test {
            return Ok(Described::Split { feature, test, left, right, cover });
        }
        Ok(Described::Leaf { label: labels[place], cover, place })
    });
    let (mut tree, places) = grown.map_err(ungrown)?;
    tree.width = width;
    for place in places {
        let values = nodes[place].node.value.as_ref().map(super::schema::Numbers::list).unwrap_or_default();
        if values.len() != width {
            return Err(damaged(format!("a leaf of {} values, expected {width}", values.len())));
        }
        tree.values.extend_from_slice(values);
    }
    Ok(tree)
}

/// The number of each leaf.
fn from_left_to_right(nodes: &[Flat<'_>]) -> Vec<u32> {
    let mut labels = vec![0; nodes.len()];
    let (mut pending, mut next) = (vec![0], 0);
    while let Some(at) = pending.pop() {
        if nodes[at].test.is_some() {
            pending.extend([nodes[at].right, nodes[at].left]);
        } else {
            labels[at] = next;
            next += 1;
        }
    }
    labels
}

fn ungrown(error: Ungrown<RuntimeError>) -> RuntimeError {
    match error {
        Ungrown::Node(error) => error,
        Ungrown::Child(node) => damaged(format!("node {node} does not exist or is reached twice")),
    }
}
