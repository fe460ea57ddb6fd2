//! The one expression language of feature definitions: SQL scalar expressions, typed once, the same on every path.
//!
//! A text becomes an [`Expression`] or a refusal that names the place and the remedy. An expression is deterministic (no
//! clock, no chance, one row), and total: an operation that has no answer, such as a division by zero or an integer that
//! does not fit, is null, so no event and no request can stop what runs. The meaning is fixed here, function by function,
//! because the text is part of a definition's hash: an upgrade of an engine must not change a feature. The language is
//! described for people in `docs/expressions.md`.
//!
//! - `expression`: the compiled form, and what can be known about it
//! - `scope`: the columns that a text may name, and a row of them
//! - `select`: a `SELECT` over events, whose parts are expressions
//! - `compile`: text to tree: parsing, names, types, constants
//! - `node`: the tree and its evaluation
//! - `functions`: the table of functions
//! - `values`: what operators and functions do to values: numbers, texts, times, casts
//! - `error`: the refusals that a person reads

#![deny(missing_docs)]

mod compile;
mod error;
mod expression;
mod functions;
mod node;
mod scope;
mod select;
mod values;

pub use error::{ExpressionError, Place, Refusal};
pub use expression::{Condition, Expression};
pub use functions::function_signatures;
pub use node::Comparison;
pub use scope::{Row, Scope};
pub use select::{Join, Projection, Select};

/// The version of the language's meaning; part of the hash of every definition with an expression. It is raised when any
/// text would give another value than before.
pub const LANGUAGE_VERSION: u32 = 1;

/// The longest text, in bytes.
pub const LONGEST_TEXT: usize = 4_000;
