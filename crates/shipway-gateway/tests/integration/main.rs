//! What callers see of the gateway, and what its ledger says of them, with providers that answer as they are told to.
//!
//! - `world`: a gateway over a folder of its own, and providers
//! - `cache`: answers that are given again
//! - `calls`: whole answers: what passes through, fallback, errors
//! - `streams`: streams: bytes, hidden usage, honest ends, callers who leave
//! - `guardrails`: what requests and answers must not hold
//! - `limits`: keys, budgets, rates
//! - `ledger`: what is charged, also after a crash

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop with the error")]

mod cache;
mod calls;
mod guardrails;
mod ledger;
mod limits;
mod streams;
mod world;
