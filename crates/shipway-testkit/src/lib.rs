//! What tests of the whole share: data folders that vanish, the real binary as a process, a small HTTP client.
//!
//! For dev-dependencies only: everything here panics where a test should fail.
//!
//! - `data`: data folders that vanish with the test
//! - `process`: a child process that cannot outlive its test
//! - `server`: the real binary, ready to answer; killed, restarted, stopped
//! - `client`: requests and answers in a line each
#![deny(missing_docs)]
#![expect(clippy::panic, clippy::expect_used, reason = "a test whose surroundings fail must fail")]

mod client;
mod data;
mod process;
mod server;

pub use client::{Answer, Client};
pub use data::TempData;
pub use server::{Server, ServerOptions};
