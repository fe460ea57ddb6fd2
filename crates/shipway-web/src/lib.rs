//! The conventions of every HTTP surface: what a route must state, how a caller is known, how a failure is answered.
//!
//! - `routes`: routes that carry their permission and their body limit; the only way to an `axum::Router`
//! - `guard`: who may come in: addresses, host names, origins, credentials
//! - `access`: what the caller of a route may do to what it touches
//! - `host`: host names as requests write them; pure
//! - `credentials`: bearer tokens and basic passwords; pure
//! - `caller`: who asks, as a handler sees it
//! - `gate`: the steps in front of a handler, in order: guard, limit, panic
//! - `body`: request bodies that end at their limit
//! - `extract`: JSON, path and query extractors whose refusals are problems
//! - `problem`: the body of every refusal (RFC 9457)
//! - `grpc`: what a problem is on the gRPC wire
//! - `observe`: request ids and metrics
//! - `current`: the request that a thread works for, for the lines of the log
//! - `spans`: spans of sampled requests for a collector of OpenTelemetry; the only way to make one
#![deny(missing_docs)]

mod access;
mod body;
mod caller;
mod credentials;
mod current;
mod extract;
mod gate;
mod grpc;
mod guard;
mod host;
mod observe;
mod problem;
mod routes;
pub mod spans;

pub use access::{Locate, Located, Touched, must_be_allowed, must_be_allowed_every};
pub use body::{BodyBytes, BodyError, BodyStream};
pub use caller::Caller;
pub use credentials::{Credentials, Token, WeakToken};
pub use current::{CurrentRequest, current_request};
pub use extract::{Json, JsonBody, JsonText, Path, Query};
pub use grpc::{GRPC_CODE, GRPC_HINT, grpc_code_of};
pub use guard::{Authentication, BindRefused, Guard, Identify};
pub use observe::RequestId;
pub use problem::{Problem, ProblemRenderer, status_of};
pub use routes::{DEFAULT_BODY_LIMIT_BYTES, RouteDescription, Routes};
