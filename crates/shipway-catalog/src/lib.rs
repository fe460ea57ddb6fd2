//! What exists: the definitions that are in force, every version that ever was, and how the next set replaces them.
//!
//! A definition goes through here in one direction: files → `plan` (what would change, what it leads to, what cannot be) →
//! `apply` (all of it recorded in one transaction, or nothing) → the listeners, who install it → everybody who subscribed.
//!
//! - `plan`: compares what is in force with what is proposed; pure
//! - `service`: opening, planning, applying, dropping, reading, searching
//! - `store`: the tables of recorded revisions
//! - `routes`: the native API under `/api/v1/definitions`, and the list of features
//! - `ports`: what the catalog asks of other capabilities
//! - `listener`: what a capability that installs definitions implements
//! - `error`: what can go wrong

#![deny(missing_docs)]

mod error;
mod listener;
mod plan;
mod ports;
mod routes;
mod service;
mod store;

pub use error::CatalogError;
pub use listener::{DefinitionListener, ListenerError};
pub use plan::{
    Action, Change, Consumer, ConsumerKind, FieldChange, InUse, PersonalData, Plan, RefusedChange,
    RefusedChanges, Subject, Used,
};
pub use ports::{Binding, CatalogPorts, PortError, Rebuild, RebuildCosts, ServiceBindings};
pub use routes::routes;
pub use service::{
    Catalog, DefinitionDetail, DefinitionSummary, FeatureFilter, FeatureSummary, Proposal, RecordedRevision,
    definitions_mark,
};
