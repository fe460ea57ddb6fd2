//! The words that every other crate speaks: names, time, values, keys, failures and permissions. No I/O.
//!
//! - `access`: what a caller may do: grants, levels, scopes
//! - `failure`: the nine kinds of failure and the trait that every domain error answers
//! - `location`: where files and tables of somebody else lie
//! - `name`: validated names, and the nearest name for a misspelt one
//! - `time`: event time in microseconds, lengths of time as people write them, the clock port
//! - `data_type`: the types of columns and features; `decimal` exact numbers
//! - `exact_json`: JSON whose numbers keep the digits that they are written with
//! - `value`: the values that flow through features, with their JSON and binary forms
//! - `key`: the encoding of entity keys
//! - `digest`: SHA-256 content digests
//! - `permission`: what a route may demand of its caller
//! - `sampling`: which keys are kept of many
//! - `workspace`: what keeps the experiments and models of groups apart

#![deny(missing_docs)]

pub mod access;
pub mod data_type;
pub mod decimal;
pub mod digest;
pub mod exact_json;
pub mod failure;
pub mod key;
pub mod location;
pub mod name;
pub mod permission;
pub mod sampling;
pub mod time;
pub mod value;
pub mod workspace;

pub use access::{Access, Grant, Granted, Level, NotAGrant, ResourceType, Visible};
pub use data_type::{DataType, ItemType, ScalarType};
pub use decimal::{Decimal, DecimalType};
pub use digest::Digest;
pub use exact_json::ExactJson;
pub use failure::{Failure, Kind};
pub use key::EntityKey;
pub use location::{Location, NotALocation, Place};
pub use name::{Name, nearest};
pub use permission::Permission;
pub use sampling::Sampling;
pub use time::{Clock, Length, ManualClock, SystemClock, Timestamp};
pub use value::Value;
pub use workspace::{DEFAULT_WORKSPACE, NotAWorkspace, Workspace, of_model_key};
