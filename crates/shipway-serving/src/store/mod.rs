//! SQL of this crate's own tables; no SQL elsewhere.
//!
//! - `deployments`: what is deployed

pub(crate) mod deployments;

use shipway_store::Migration;

/// Whose tables these are, for the record of migrations.
pub(crate) const OWNER: &str = "serving";

/// This crate's migrations, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "deployments", sql: include_str!("../../migrations/0001_deployments.sql") },
    Migration { version: 2, name: "settings", sql: include_str!("../../migrations/0002_settings.sql") },
];
