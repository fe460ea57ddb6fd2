//! Types of serving, valid by construction.
//!
//! - `deployment`: what is deployed, what serves it, what went wrong
//! - `prediction`: what is asked and answered, and the limits

pub(crate) mod deployment;
pub(crate) mod prediction;
