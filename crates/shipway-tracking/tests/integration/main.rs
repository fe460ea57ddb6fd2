//! Tracking as its clients see it: the router in process, over a database in memory and a folder of objects.
//!
//! - `app`: the server under test, and the words to drive it with
//! - `runs`, `search`, `artifacts`, `registry`, `promotion`, `wire`: what is promised, by family
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod app;
mod artifacts;
mod promotion;
mod registry;
mod runs;
mod search;
mod wire;
