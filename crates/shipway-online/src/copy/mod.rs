//! The read copy: rows that the owner of a store keeps in Redis or Valkey, for readers elsewhere.
//!
//! A copy is divided into *buckets*: one for a server alone, [`CLUSTER_BUCKETS`] for a cluster, where each bucket is one
//! hash slot. A bucket has a *head*: a few bytes, made by the owner, that say what its rows stand for. What happens to a
//! bucket happens at once: [`CopyStore::commit`] changes rows and head if the head is still the one that the owner expects,
//! and nothing otherwise; [`CopyStore::read`] brings head and rows of one moment. So whoever was taken for dead cannot
//! write, a copy that was lost or put back is noticed by its next write, and a reader never sees half a batch.
//!
//! - `options`: where the copy is
//! - `layout`: how keys are called, and which bucket has which
//! - `connection`: one connection, made anew after it was lost
//! - `store`: reading and committing
//! - `survey`: going through all keys, and the checks of the server
//! - `answer`: what a server answers, as bytes
//! - `error`: what can go wrong

mod answer;
mod connection;
mod error;
mod layout;
mod options;
mod store;
mod survey;

pub use error::CopyError;
pub use layout::{CLUSTER_BUCKETS, CopyKey};
pub use options::{CopyOptions, CopySecret};
pub use store::{BucketRead, Committed, CopyCommit, CopyStore};
pub use survey::{FoundKey, Survey};
