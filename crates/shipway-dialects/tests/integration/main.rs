//! The public face of the crate: heads, rewriting, streams, usage, failures, prices.

mod failures;
mod heads;
mod prices;
mod streams;
mod usages;
