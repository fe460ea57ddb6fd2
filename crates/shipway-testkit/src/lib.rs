//! What tests share: data folders that vanish, the real binary as a process, a small HTTP client, a real Kafka, a real Redis.
//!
//! For dev-dependencies only: everything here panics where a test should fail.
//!
//! - `data`: data folders that vanish with the test
//! - `process`: a child process that cannot outlive its test
//! - `server`: the real binary, ready to answer; killed, restarted, stopped
//! - `client`: requests and answers in a line each
//! - `kafka`: a real Kafka broker; stopped, killed, restarted
//! - `kafka_wire`: the requests that prepare its topics
//! - `redis`: a real Redis server, or a cluster; killed, restarted empty or with its data
#![deny(missing_docs)]
#![expect(clippy::panic, clippy::expect_used, reason = "a test whose surroundings fail must fail")]

mod client;
mod data;
mod kafka;
mod kafka_wire;
mod process;
mod redis;
mod server;

pub use client::{Answer, Client};
pub use data::TempData;
pub use kafka::Kafka;
pub use redis::{Redis, RedisCluster};
pub use server::{Server, ServerOptions};
