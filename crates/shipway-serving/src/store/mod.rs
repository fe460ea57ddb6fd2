//! SQL of this crate's own tables; no SQL elsewhere.
//!
//! - `deployments`: what is deployed
//! - `ensembles`: what is deployed as a graph of models
//! - `launches`: how candidates came to serve, or did not

pub(crate) mod deployments;
pub(crate) mod ensembles;
pub(crate) mod launches;

use shipway_store::Migration;

/// Whose tables these are, for the record of migrations.
pub(crate) const OWNER: &str = "serving";

/// This crate's migrations, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "deployments", sql: include_str!("../../migrations/0001_deployments.sql") },
    Migration { version: 2, name: "settings", sql: include_str!("../../migrations/0002_settings.sql") },
    Migration { version: 3, name: "launches", sql: include_str!("../../migrations/0003_launches.sql") },
    Migration { version: 4, name: "ensembles", sql: include_str!("../../migrations/0004_ensembles.sql") },
];
