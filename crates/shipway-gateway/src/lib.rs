//! Decides what happens to a call of a model of language: who may make it, where it goes, what it costs, and what its caller sees.
//!
//! Callers keep the clients that they have; bytes pass through as they came, or are translated where a provider speaks another API.
//! Nothing is asked of a database while a call runs: keys, groups, limits and models are in memory, and what calls cost is in a ledger in
//! the event log.
//!
//! - `model`: keys, groups, limits, budgets, models, deployments; valid by construction
//! - `order`, `stick`, `prefer`, `retry`: where a call goes, and what is done when that fails; pure
//! - `health`, `figures`: deployments that failed lately, and how fast they answer
//! - `meter`: limits and budgets: reserve, settle; what several servers share of them
//! - `sharing`: asks the store that several servers share, beside the calls
//! - `ledger`: what every call cost, durable
//! - `guard`: what requests and answers must not hold
//! - `cache`: answers that are given again to who asks the same
//! - `kept`: where responses lie that providers keep
//! - `files`: files at providers, and batches of calls that they work off later
//! - `call`: one call from its body to its answer
//! - `upstream`: requests to providers
//! - `unpacking`: answers that a provider packs
//! - `address`: where a call lies at a provider, by its kind
//! - `credentials`: how a request shows who asks
//! - `event_stream`: the binary streams of AWS
//! - `wire`: refusals in the words of each API
//! - `secret`: the secrets of virtual keys
//! - `traces`: what was asked and answered, and the finding of calls
//! - `vault`: secrets of providers that are kept here, encrypted
//! - `service`: the use cases: fetch, judge, record
//! - `store`: the SQL of this crate's tables
//! - `routes`: the native API, and the APIs of providers
//! - `ports`: what this crate needs of others
//! - `error`: what can go wrong
#![deny(missing_docs)]

mod address;
mod cache;
mod call;
mod credentials;
mod error;
mod event_stream;
mod figures;
mod files;
mod guard;
mod health;
mod kept;
mod ledger;
mod meter;
mod model;
mod order;
mod ports;
mod prefer;
mod retry;
mod routes;
mod secret;
mod service;
mod sharing;
mod stick;
mod store;
mod traces;
mod unpacking;
mod upstream;
mod vault;
mod wire;

pub use error::{GatewayError, Thing};
pub use ledger::{
    AttemptFact, CallFact, CallTable, CarryError, Entry, KeptAt, Labels, Opened, Outcome, Priced,
    TokenCounts, VerdictFact,
};
pub use meter::{Amount, Bound, Meter, Reservation, Standing, Usage};
pub use model::{
    AwsKeys, Budget, CacheScope, CacheSpec, Chain, Cloud, ContentKeep, ContentSpec, Cooldown, Denied,
    DeploymentSpec, Detours, Embedder, Group, GroupKind, GuardrailAction, GuardrailOn, GuardrailSpec, Hedge,
    KeyRoute, KeyTerms, Label, LabelKind, Limits, ModelSpec, OnOutage, ProviderKind, ProviderSpec, Retries,
    Route, Scope, ServedApi, Side, SimilarSpec, Stickiness, Timeouts, UnknownPrice, VirtualKey, Window,
};
pub use ports::{Classifiers, LocalModels, Unclassified};
pub use routes::routes;
pub use service::{CreateKey, Gateway, GatewayParts, IdentifyKeys, KeptSecret, NewKey, PutGroup};
pub use sharing::{Server, Servers};
pub use shipway_condition::Condition;
pub use traces::{AskedFor, CallContent, CallRow, ContentLimits, Found, Question, TraceStore};
pub use vault::{Keyring, KeyringError, Unopened};
