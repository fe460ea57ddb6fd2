//! Decides who a caller is and what they may do: users, roles, grants, tokens.
//!
//! - `model`: the things that are kept; `directory` all of them together, as requests are judged by it
//! - `password`: which passwords are too weak; pure
//! - `secret`: hashes of passwords and tokens, and the tokens themselves
//! - `authority`: who may change whose account and which grant; pure
//! - `error`: what can go wrong
//! - `service`: the use cases: fetch, judge, record
//! - `store`: the SQL of this crate's tables
//! - `routes`: the native API
//! - `mlflow`: the same over the endpoints that MLflow's client of users and roles asks
#![deny(missing_docs)]

mod authority;
mod error;
mod mlflow;
mod model;
mod password;
mod routes;
mod secret;
mod service;
mod store;

pub use error::AccessError;
pub use mlflow::mlflow_routes;
pub use routes::routes;
pub use service::{Accounts, NewToken};
