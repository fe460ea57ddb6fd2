//! The laws of the aggregation core.

#![expect(clippy::unwrap_used, reason = "a test whose set-up fails must fail")]

mod golden;
mod laws;
mod sweep;
