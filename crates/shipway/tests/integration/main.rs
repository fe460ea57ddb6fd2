//! The real binary, from outside.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails must fail")]

mod backfills;
mod catalog;
mod chains;
mod command_line;
mod crash;
mod read_copy;
mod shutdown;
mod sources;
mod streams;
mod world;
