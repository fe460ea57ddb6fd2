//! Webhooks: what is told, to whom it may be told, how it is signed, sent, and sent again.
//!
//! - `news`: what an event says; pure
//! - `seal`: secrets as they are kept, and the signatures made with them; pure
//! - `settings`: what the operator decides
//! - `send`: one request to one receiver
//! - `worker`: sends what waits, and again what failed

pub(crate) mod news;
pub(crate) mod seal;
pub(crate) mod send;
mod settings;
pub(crate) mod worker;

pub use settings::{WebhookSettings, WebhookSetupError};
