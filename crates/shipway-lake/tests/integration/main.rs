//! Tables, appends, queries and files, against real folders.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test whose set-up fails must fail")]

mod added;
mod appends;
mod files;
mod lake;
mod outside;
mod queries;
mod tables;
mod upkeep;
mod versions;
