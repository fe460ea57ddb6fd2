//! Tree ensembles of every format, evaluated by one engine.
//!
//! - `tree`: one tree in plain form, checked as it is grown
//! - `sets`: sets of categories that splits ask
//! - `forest`: all trees in plain form, and the rules by which the library compares
//! - `codes`: a row as small codes, by rank among the thresholds
//! - `walk`: which packed form a forest takes; `packed` for any forest
//! - `quick`: for small trees: `small` and `lines` one row at a time, `planes` and `block` a block of rows without walking
//! - `contributions`: TreeSHAP
//! - `model`: a forest with its link: what the formats make, and what `Model` runs

mod block;
mod codes;
mod contributions;
mod forest;
mod lines;
mod model;
mod packed;
mod planes;
mod quick;
mod sets;
mod small;
mod tree;
mod walk;

pub(crate) use forest::{CategoryRule, Forest, Rounding, Rules};
pub(crate) use model::{Column, Link, Task, TreeModel, TreeParts};
pub(crate) use sets::Sets;
pub(crate) use tree::{Described, LinearLeaf, Missing, Test, Tree, Ungrown};

#[cfg(test)]
mod tests;
