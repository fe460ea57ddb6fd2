//! This crate's tables in the metadata database; no SQL elsewhere.

pub(crate) mod batch;
pub(crate) mod builds;
pub(crate) mod loads;
pub(crate) mod log_starts;
pub(crate) mod schemas;
pub(crate) mod sinks;
pub(crate) mod training_sets;
pub(crate) mod unneeded;
pub(crate) mod verifications;
pub(crate) mod versions;
pub(crate) mod views;

use shipway_store::{Migration, Store, StoreError};

const MIGRATIONS: [Migration; 2] = [
    Migration { version: 1, name: "features", sql: include_str!("../../migrations/0001_features.sql") },
    Migration {
        version: 2,
        name: "verifications",
        sql: include_str!("../../migrations/0002_verifications.sql"),
    },
];

const TRAINING_SETS: [Migration; 1] = [Migration {
    version: 1,
    name: "training_sets",
    sql: include_str!("../../migrations/training_sets_0001.sql"),
}];

const BUILDS: [Migration; 1] =
    [Migration { version: 1, name: "builds", sql: include_str!("../../migrations/builds_0001.sql") }];
const BATCH_SOURCES: [Migration; 1] = [Migration {
    version: 1,
    name: "batch_sources",
    sql: include_str!("../../migrations/batch_sources_0001.sql"),
}];
const SINKS: [Migration; 1] =
    [Migration { version: 1, name: "sinks", sql: include_str!("../../migrations/sinks_0001.sql") }];
const LOG_STARTS: [Migration; 1] =
    [Migration { version: 1, name: "log_starts", sql: include_str!("../../migrations/log_starts_0001.sql") }];

/// Creates or updates the tables of this crate.
pub(crate) async fn migrate(store: &Store) -> Result<(), StoreError> {
    store.migrate("features", &MIGRATIONS).await?;
    store.migrate("training_sets", &TRAINING_SETS).await?;
    store.migrate("feature_builds", &BUILDS).await?;
    store.migrate("batch_sources", &BATCH_SOURCES).await?;
    store.migrate("feature_sinks", &SINKS).await?;
    store.migrate("feature_log_starts", &LOG_STARTS).await
}
