//! SQL of this crate's own tables; no SQL elsewhere.
//!
//! - `keys`, `groups`: one table each
//! - `books`: what the ledger came to at the last snapshot
//! - `responses`: where responses lie that providers keep
//! - `files`, `batches`: likewise, in pages (`page`)

pub(crate) mod batches;
pub(crate) mod books;
pub(crate) mod files;
pub(crate) mod groups;
pub(crate) mod keys;
pub(crate) mod page;
pub(crate) mod responses;

use shipway_store::{Migration, Row, StoreError};

use crate::{error::GatewayError, model::Limits};

/// Whose tables these are, for the record of migrations.
pub(crate) const OWNER: &str = "gateway";

/// This crate's migrations, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "gateway", sql: include_str!("../../migrations/0001_gateway.sql") },
    Migration { version: 2, name: "responses", sql: include_str!("../../migrations/0002_responses.sql") },
    Migration { version: 3, name: "files", sql: include_str!("../../migrations/0003_files.sql") },
];

fn limits(row: &Row) -> Result<Limits, StoreError> {
    serde_json::from_str(row.str("limits")?).map_err(|error| StoreError::Damaged(error.into()))
}

fn json(value: &impl serde::Serialize) -> Result<String, GatewayError> {
    Ok(serde_json::to_string(value)?)
}
