//! One tree of a model file: checked, and grown.

use super::{damaged, schema::RawTree, unsupported};
use crate::{
    error::RuntimeError,
    trees::{Described, Missing, Sets, Test, Tree, Ungrown},
};

/// What all trees of a model have in common.
pub(super) struct Shape {
    pub(super) features: usize,
    pub(super) outputs: usize,
}

/// Reads a tree, its leaves multiplied by `weight`.
pub(super) fn read(
    raw: &RawTree,
    name: usize,
    shape: &Shape,
    weight: f32,
    sets: &mut Sets,
) -> Result<Tree, RuntimeError> {
    let count = raw.left_children.len();
    let fits = |what: &str, length: usize| match length == count {
        true => Ok(()),
        false => Err(damaged(format!("tree {name}: {what} has {length} entries, expected {count}"))),
    };
    fits("right_children", raw.right_children.len())?;
    fits("split_indices", raw.split_indices.len())?;
    fits("split_conditions", raw.split_conditions.len())?;
    fits("default_left", raw.default_left.len())?;
    if !raw.split_type.is_empty() {
        fits("split_type", raw.split_type.len())?;
    }
    if !raw.sum_hessian.is_empty() {
        fits("sum_hessian", raw.sum_hessian.len())?;
    }
    let width = match raw.tree_param.size_leaf_vector.as_deref() {
        None | Some("0" | "1") => 1,
        Some(text) if text.parse() == Ok(shape.outputs) => shape.outputs,
        Some(text) => {
            return Err(damaged(format!(
                "tree {name}: size_leaf_vector {text} with {} outputs",
                shape.outputs
            )));
        }
    };
    let set_of_node = read_sets(raw, name, sets)?;
    let grown = Tree::grow(count, 0, |node| describe(raw, (name, node), shape, &set_of_node));
    let (mut tree, places) = grown.map_err(|error| match error {
        Ungrown::Node(error) => error,
        Ungrown::Child(node) => {
            damaged(format!("tree {name}: node {node} does not exist or is reached twice"))
        }
    })?;
    tree.width = width;
    for node in places {
        if width == 1 {
            tree.values.push(f64::from(raw.split_conditions[node] * weight));
            continue;
        }
        // A leaf's right child is the number of its vector; in a file of before that was so, leaves keep their order.
        let values = usize::try_from(raw.right_children[node])
            .ok()
            .and_then(|vector| raw.leaf_weights.get(vector.checked_mul(width)?..)?.get(..width))
            .ok_or_else(|| damaged(format!("tree {name}: leaf {node} has no vector")))?;
        tree.values.extend(values.iter().map(|value| f64::from(value * weight)));
    }
    Ok(tree)
}

fn describe(
    raw: &RawTree,
    (name, node): (usize, usize),
    shape: &Shape,
    set_of_node: &[Option<u32>],
) -> Result<Described, RuntimeError> {
    let cover = raw.sum_hessian.get(node).copied().map_or(f64::NAN, f64::from);
    let left = raw.left_children[node];
    if left < 0 {
        let label = u32::try_from(node).map_err(|_| unsupported("trees of more than 2^32 nodes"))?;
        return Ok(Described::Leaf { label, cover, place: node });
    }
    let feature = raw.split_indices[node];
    if feature as usize >= shape.features {
        return Err(damaged(format!("tree {name}: split on feature {feature} of {}", shape.features)));
    }
    let missing_left = raw.default_left[node].is_set();
    let test = match (raw.split_type.get(node), set_of_node.get(node).copied().flatten()) {
        (None | Some(0), _) => {
            let threshold = f64::from(raw.split_conditions[node]);
            if threshold.is_nan() {
                return Err(damaged(format!("tree {name}: the threshold of node {node} is not a number")));
            }
            Test::Number { threshold, missing: if missing_left { Missing::Left } else { Missing::Right } }
        }
        (Some(1), Some(set)) => Test::Category { set, members_left: false, missing_left },
        (Some(1), None) => return Err(damaged(format!("tree {name}: node {node} has no categories"))),
        (Some(other), _) => return Err(unsupported(format!("split type {other}"))),
    };
    let child = |child: i32| {
        usize::try_from(child).map_err(|_| damaged(format!("tree {name}: node {node} has the child {child}")))
    };
    Ok(Described::Split { feature, test, left: child(left)?, right: child(raw.right_children[node])?, cover })
}

/// Adds the tree's category sets and answers the set of each node.
fn read_sets(raw: &RawTree, name: usize, sets: &mut Sets) -> Result<Vec<Option<u32>>, RuntimeError> {
    if raw.categories_nodes.is_empty() {
        return Ok(Vec::new());
    }
    let wrong = || damaged(format!("tree {name}: the categories of its nodes do not fit together"));
    let (nodes, segments, sizes) = (&raw.categories_nodes, &raw.categories_segments, &raw.categories_sizes);
    let covered: Option<usize> = sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size));
    // Each category belongs to one node: without that, nodes could share, and a small file ask for much memory.
    if nodes.len() != segments.len() || nodes.len() != sizes.len() || covered != Some(raw.categories.len()) {
        return Err(wrong());
    }
    let mut set_of_node = vec![None; raw.left_children.len()];
    for ((node, segment), size) in nodes.iter().zip(segments).zip(sizes) {
        let members = segment
            .checked_add(*size)
            .and_then(|end| raw.categories.get(*segment..end))
            .ok_or_else(wrong)?
            .iter()
            .map(|member| u32::try_from(*member).map_err(|_| wrong()))
            .collect::<Result<Vec<u32>, _>>()?;
        let set = sets.push(members).ok_or_else(wrong)?;
        *set_of_node.get_mut(*node).ok_or_else(wrong)? = Some(set);
    }
    Ok(set_of_node)
}
