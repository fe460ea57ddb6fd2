//! Decides what happens to a call of a model of language: who may make it, where it goes, what it costs, and what its caller sees.
//!
//! Callers keep the clients that they have; bytes pass through as they came. Nothing is asked of a database while a call runs: keys,
//! groups, limits and models are in memory, and what calls cost is in a ledger in the event log.
//!
//! - `model`: keys, groups, limits, budgets, models, deployments; valid by construction
//! - `order`, `retry`: where a call goes, and what is done when that fails; pure
//! - `health`: deployments that failed lately
//! - `meter`: limits and budgets: reserve, settle
//! - `ledger`: what every call cost, durable
//! - `guard`: what requests and answers must not hold
//! - `cache`: answers that are given again to who asks the same
//! - `call`: one call from its body to its answer
//! - `upstream`: requests to providers
//! - `wire`: refusals in the words of each API
//! - `secret`: the secrets of virtual keys
//! - `service`: the use cases: fetch, judge, record
//! - `store`: the SQL of this crate's tables
//! - `routes`: the native API, and the APIs of providers
//! - `ports`: what this crate needs of others
//! - `error`: what can go wrong
#![deny(missing_docs)]

mod cache;
mod call;
mod error;
mod guard;
mod health;
mod ledger;
mod meter;
mod model;
mod order;
mod ports;
mod retry;
mod routes;
mod secret;
mod service;
mod store;
mod upstream;
mod wire;

pub use error::{GatewayError, Thing};
pub use ledger::{
    AttemptFact, CallFact, CallTable, CarryError, Entry, Opened, Outcome, TokenCounts, VerdictFact,
};
pub use meter::{Amount, Bound, Meter, Reservation, Standing, Usage};
pub use model::{
    Budget, CacheScope, CacheSpec, Chain, Cooldown, DeploymentSpec, Group, GroupKind, GuardrailAction,
    GuardrailOn, GuardrailSpec, Limits, ModelSpec, ProviderKind, ProviderSpec, Retries, Route, Scope, Side,
    Timeouts, UnknownPrice, VirtualKey, Window,
};
pub use ports::LocalModels;
pub use routes::routes;
pub use service::{CreateKey, Gateway, GatewayParts, IdentifyKeys, NewKey, PutGroup};
