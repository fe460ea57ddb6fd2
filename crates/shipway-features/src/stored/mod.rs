//! Training sets that are kept: each a Delta table with the recipe that makes it again, bit for bit.
//!
//! - `recipe`: what a training set is made of, pinned: definitions, inputs, rules
//! - `digest`: the digest of a training set's content, rows in order
//! - `error`: what can be refused
//! - `plan`: from a request to a recipe, and from a recipe back to what the engine computes
//! - `build`: makes the table, or finds that it is made already
//! - `rebuild`: makes it again and compares every bit
//! - `job`: both as durable jobs

mod build;
mod digest;
mod error;
mod job;
mod plan;
mod rebuild;
mod recipe;

pub use build::{StoreOptions, StoredTrainingSet};
pub use error::StoredError;
use error::error;
pub use job::TRAINING_SET_JOB;
pub use rebuild::{KeptTrainingSet, Rebuilt};
pub use recipe::{Recipe, RecipeAsOf, RecipeSource, RecipeSpine};
