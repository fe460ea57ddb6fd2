//! The online store as its users see it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails by panicking")]

mod batches;
mod conformance;
mod copies;
mod crash;
mod snapshots;
