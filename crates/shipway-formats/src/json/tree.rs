//! Where the columns lie in an object, as a tree of names.

use std::cmp::Ordering;

use crate::{columns::Places, json::connect::Described};

/// The names of fields under which columns lie. Node 0 is the message itself.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    /// Per slot, the column that it may become.
    pub(super) slots: Vec<Slot>,
    /// Per column its slots; the first that the message has counts.
    pub(super) choices: Vec<Vec<usize>>,
}

/// One field on the way to columns.
#[derive(Debug, Default)]
pub(super) struct Node {
    /// Sorted by the length of the name, and then by the name: two names are seldom equally long.
    pub(super) children: Vec<(Box<str>, usize)>,
    /// The slots at and under this node: numbers from the first to before the second.
    pub(super) slots: (usize, usize),
    /// Whether the value itself is wanted: then it is for the first of `slots`.
    pub(super) is_value: bool,
}

/// A place that is filled while a message is read.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) column: usize,
    pub(super) described: Described,
}

impl Tree {
    pub(super) fn new(places: &Places) -> Self {
        Self::described(places, &|_| Described::default())
    }

    /// A tree where `describe` says what the message's own schema has at a path.
    pub(super) fn described(places: &Places, describe: &dyn Fn(&[Box<str>]) -> Described) -> Self {
        let mut paths: Vec<(&[Box<str>], usize, usize)> = Vec::new();
        for (column, declared) in places.columns.iter().enumerate() {
            let ranked = declared.paths.iter().enumerate();
            paths.extend(ranked.map(|(rank, path)| (path.as_slice(), column, rank)));
        }
        // Sorted paths lie under their nodes one after the other, so the slots of a node are consecutive.
        paths.sort();
        let mut tree = Self {
            nodes: Vec::new(),
            slots: Vec::with_capacity(paths.len()),
            choices: places.columns.iter().map(|column| vec![0; column.paths.len()]).collect(),
        };
        for (path, column, rank) in &paths {
            tree.choices[*column][*rank] = tree.slots.len();
            tree.slots.push(Slot { column: *column, described: describe(path) });
        }
        let paths: Vec<&[Box<str>]> = paths.into_iter().map(|(path, ..)| path).collect();
        tree.node(&paths, 0, 0);
        tree
    }

    /// Adds the node that all of `paths` go through at `depth`; `first` is the slot of the first of them.
    fn node(&mut self, paths: &[&[Box<str>]], depth: usize, first: usize) -> usize {
        let id = self.nodes.len();
        let is_value = paths.first().is_some_and(|path| path.len() == depth);
        self.nodes.push(Node { children: Vec::new(), slots: (first, first + paths.len()), is_value });
        if is_value {
            return id;
        }
        let mut children = Vec::new();
        let mut from = 0;
        while let Some(name) = paths.get(from).and_then(|path| path.get(depth)) {
            let until = paths[from..].partition_point(|path| path.get(depth) == Some(name)) + from;
            children.push((name.clone(), self.node(&paths[from..until], depth + 1, first + from)));
            from = until;
        }
        children.sort_by(|(left, _), (right, _)| by_length(left, right));
        self.nodes[id].children = children;
        id
    }
}

#[inline]
fn by_length(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

impl Node {
    #[inline]
    pub(super) fn child(&self, name: &str) -> Option<usize> {
        let found = self.children.binary_search_by(|(child, _)| by_length(child, name)).ok()?;
        Some(self.children[found].1)
    }
}
