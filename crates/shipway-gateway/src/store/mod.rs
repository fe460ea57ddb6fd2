//! SQL of this crate's own tables; no SQL elsewhere.
//!
//! - `keys`, `groups`, `labels`: one table each
//! - `books`: what the ledger came to at the last snapshot
//! - `responses`: where responses lie that providers keep
//! - `files`, `batches`: likewise, in pages (`page`)
//! - `secrets`: secrets of providers, encrypted
//! - `servers`: which servers share limits, and what each has leased of them
//! - `calls`: settled calls on the way from replicas to the owner

pub(crate) mod batches;
pub(crate) mod books;
pub(crate) mod calls;
pub(crate) mod files;
pub(crate) mod groups;
pub(crate) mod keys;
pub(crate) mod labels;
pub(crate) mod page;
pub(crate) mod responses;
pub(crate) mod secrets;
pub(crate) mod servers;

use shipway_store::{Migration, Row, StoreError};

use crate::{error::GatewayError, model::Limits};

/// Whose tables these are, for the record of migrations.
pub(crate) const OWNER: &str = "gateway";

/// This crate's migrations, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "gateway", sql: include_str!("../../migrations/0001_gateway.sql") },
    Migration { version: 2, name: "responses", sql: include_str!("../../migrations/0002_responses.sql") },
    Migration { version: 3, name: "servers", sql: include_str!("../../migrations/0003_servers.sql") },
    Migration { version: 4, name: "secrets", sql: include_str!("../../migrations/0004_secrets.sql") },
    Migration { version: 5, name: "files", sql: include_str!("../../migrations/0005_files.sql") },
    Migration { version: 6, name: "labels", sql: include_str!("../../migrations/0006_labels.sql") },
];

fn limits(row: &Row) -> Result<Limits, StoreError> {
    serde_json::from_str(row.str("limits")?).map_err(|error| StoreError::Damaged(error.into()))
}

fn json(value: &impl serde::Serialize) -> Result<String, GatewayError> {
    Ok(serde_json::to_string(value)?)
}
