//! The real binary, from outside.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails must fail")]

mod access;
mod backfills;
mod catalog;
mod chains;
mod command_line;
mod crash;
mod metadata;
mod read_copy;
mod rest;
mod shutdown;
mod sink_formats;
mod sinks;
mod sources;
mod stream_backpressure;
mod stream_changes;
mod stream_faults;
mod stream_formats;
mod stream_tls;
mod stream_wire;
mod stream_world;
mod streams;
mod tracking_crash;
mod world;
