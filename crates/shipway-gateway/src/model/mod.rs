//! Types valid by construction.
//!
//! - `limits`: what a key or a group may use, and how that is written
//! - `window`: the calendar windows of budgets
//! - `scope`: whom a call is charged to
//! - `key`, `group`: virtual keys, and the groups that they belong to; `terms`: what a key says beside its models
//! - `label`: users and tags that limits hold for
//! - `directory`: all keys and groups together
//! - `guardrail`: what requests and answers must not hold
//! - `kept`: responses that providers keep for later calls
//! - `route`: in which order deployments are tried
//! - `cloud`: regions, projects and credentials of clouds
//! - `spec`: models and deployments, as the binary installs them

mod cloud;
mod directory;
mod group;
mod guardrail;
mod kept;
mod key;
mod label;
mod limits;
mod route;
mod scope;
mod spec;
mod stored;
mod terms;
mod window;

pub use cloud::{AwsKeys, Cloud};
pub(crate) use directory::Directory;
pub use group::{Group, GroupKind};
pub use guardrail::{GuardrailAction, GuardrailOn, GuardrailSpec, Side};
pub(crate) use kept::{KeptResponse, owner};
pub use key::VirtualKey;
pub use label::{Label, LabelKind};
pub use limits::{Budget, Limits, OnOutage};
pub use route::{Detours, Hedge, Route, Stickiness};
pub use scope::{Chain, Scope};
pub use spec::{
    CacheScope, CacheSpec, ContentKeep, ContentSpec, Cooldown, DeploymentSpec, Embedder, ModelSpec,
    ProviderKind, ProviderSpec, Retries, ServedApi, SimilarSpec, Timeouts, UnknownPrice,
};
pub(crate) use stored::{BatchCharge, BatchPlan, StoredBatch, StoredFile};
pub(crate) use terms::OURS;
pub use terms::{Denied, KeyRoute, KeyTerms};
pub use window::Window;
