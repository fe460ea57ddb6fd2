//! Where the nodes of a small tree lie, so that a walk touches few lines of the cache.
//!
//! A line holds sixteen nodes of four bytes. The first line has the root and the children that most of the training data came
//! to; what is below it goes on in lines of its own in the same way. A walk of six steps touches two lines, and the
//! first of them is where the processor looks ahead.

use std::collections::VecDeque;

use super::tree::{Child, Tree};

/// Where a tree begins.
pub(super) const ROOT: usize = 1;

/// Pairs of children in a line.
const PAIRS: usize = 8;

/// The place of the left child of each split, even and with the right child behind it, within `places` places. There must be
/// room for all nodes and one more place.
pub(super) fn of_children(tree: &Tree, places: usize) -> Vec<usize> {
    let mut lefts = vec![0; tree.splits.len()];
    let sizes = sizes(tree);
    let (mut next, mut unplaced) = (2, tree.splits.len());
    let mut starts = VecDeque::new();
    if !tree.splits.is_empty() {
        starts.push_back(0);
    }
    while let Some(start) = starts.pop_front() {
        let room = PAIRS - next / 2 % PAIRS;
        let wanted = sizes.get(start).copied().unwrap_or(1).min(PAIRS);
        if wanted > room && next + (room + unplaced) * 2 <= places {
            next += room * 2;
        }
        let mut room = PAIRS - next / 2 % PAIRS;
        let mut frontier = vec![start];
        while room > 0 && !frontier.is_empty() {
            let split = frontier.swap_remove(likeliest(tree, &frontier));
            if let Some(left) = lefts.get_mut(split) {
                *left = next;
            }
            next += 2;
            room -= 1;
            unplaced -= 1;
            frontier.extend(below(tree, split));
        }
        frontier.sort_unstable();
        starts.extend(frontier);
    }
    lefts
}

/// The splits right below a split.
fn below(tree: &Tree, split: usize) -> impl Iterator<Item = usize> {
    let children = tree.splits.get(split).map(|split| [split.left, split.right]);
    children.into_iter().flatten().filter_map(|child| match child {
        Child::Split(split) => Some(split as usize),
        Child::Leaf(_) => None,
    })
}

/// The place in a list of the split that most of the training data came to; without covers, of the first one.
fn likeliest(tree: &Tree, splits: &[usize]) -> usize {
    let cover = |split: usize| tree.splits.get(split).map_or(0.0, |split| split.cover);
    let best = splits.iter().enumerate().max_by(|(_, left), (_, right)| {
        cover(**left).total_cmp(&cover(**right)).then_with(|| right.cmp(left))
    });
    best.map_or(0, |(place, _)| place)
}

/// How many splits there are from each split down, itself among them.
fn sizes(tree: &Tree) -> Vec<usize> {
    let mut sizes = vec![1; tree.splits.len()];
    for split in (0..sizes.len()).rev() {
        sizes[split] += below(tree, split).filter_map(|below| sizes.get(below)).sum::<usize>();
    }
    sizes
}
