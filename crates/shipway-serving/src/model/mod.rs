//! Types of serving, valid by construction.
//!
//! - `deployment`: what is deployed, what serves it, what went wrong
//! - `prediction`: what is asked and answered, and the limits
//! - `share`: a share of many things
//! - `settings`: how a deployment batches, and how long its callers may wait

pub(crate) mod deployment;
pub(crate) mod prediction;
pub(crate) mod settings;
pub(crate) mod share;
