//! The port over brokers that run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails by panicking"
)]

mod conformance;
mod faults;
mod group;
mod pulsar;
mod support;
mod topics;
