//! Training sets against the naive oracle: random data, every trap of the semantics that applies to history, several
//! partitions, shared hashes, little memory, and replay as of arrival.

mod chains;
mod labels;
mod measure;
mod random;
mod refused;
mod resources;
mod traps;
pub(crate) mod world;
