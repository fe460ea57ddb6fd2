//! What tests share: data folders that vanish, the real binary as a process, a small HTTP client, a real Kafka and what it needs, a real
//! Pulsar, a real Redis, a real PostgreSQL.
//!
//! For dev-dependencies only: everything here panics where a test should fail.
//!
//! - `data`: data folders that vanish with the test
//! - `process`: a child process that cannot outlive its test
//! - `server`: the real binary, ready to answer; killed, restarted, stopped
//! - `client`: requests and answers in a line each
//! - `kafka`: a real Kafka broker; stopped, killed, restarted
//! - `kafka_wire`: the requests that prepare its topics
//! - `registry`: a schema registry, with faults on demand
//! - `authority`: a certificate authority and what it signs
//! - `stepped_clock`: a wall clock that is set while a process runs by it
//! - `pulsar`: a real Pulsar, and topics of any
//! - `postgres`: a real PostgreSQL; shared, or crashed and restarted
//! - `redis`: a real Redis server, or a cluster; killed, restarted empty or with its data
#![deny(missing_docs)]
#![expect(clippy::panic, clippy::expect_used, reason = "a test whose surroundings fail must fail")]

mod authority;
mod client;
mod data;
mod kafka;
mod kafka_wire;
mod postgres;
mod process;
mod pulsar;
mod redis;
mod registry;
mod server;
mod stepped_clock;

pub use authority::{Authority, Signed};
pub use client::{Answer, Client};
pub use data::TempData;
pub use kafka::Kafka;
pub use postgres::Postgres;
pub use pulsar::{Pulsar, PulsarTopics};
pub use redis::{Redis, RedisCluster};
pub use registry::{Registry, RegistryFault};
pub use server::{Server, ServerOptions};
pub use stepped_clock::SteppedClock;
