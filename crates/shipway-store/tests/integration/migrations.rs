//! Migrations run once, and a failed one leaves nothing behind.

use std::sync::Arc;

use shipway_core::{Failure, ManualClock, Timestamp};
use shipway_store::{Migration, Store};

use crate::{TABLES, names};

#[tokio::test]
async fn migrations_run_once_and_are_dated() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp(42)));
    let store = Store::open_with_clock(&folder.path().join("meta.db"), clock).await.unwrap();
    for _ in 0..2 {
        store.migrate("test", TABLES).await.unwrap();
    }
    let rows = store
        .fetch_all("SELECT name, applied_at_us FROM store_migrations WHERE owner = 'test'", vec![])
        .await
        .unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].int("applied_at_us").unwrap(), 42);
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_behind() {
    let store = super::empty_store().await;
    let broken = [
        TABLES[0],
        Migration {
            version: 2,
            name: "broken",
            sql: "CREATE TABLE extra (x BIGINT); CREATE TABLE models (x BIGINT);",
        },
    ];
    let error = store.migrate("test", &broken).await.unwrap_err();
    assert_eq!(error.to_string(), "migration test 2 broken: failed");
    assert!(
        store.fetch_all("SELECT * FROM models", vec![]).await.is_err(),
        "no table of the first migration"
    );

    store.migrate("test", TABLES).await.unwrap();
    assert_eq!(names(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_edited_migration_is_refused_by_name() {
    let store = super::empty_store().await;
    store.migrate("test", TABLES).await.unwrap();
    let edited = [Migration { sql: "CREATE TABLE models (x BIGINT)", ..TABLES[0] }];
    let error = store.migrate("test", &edited).await.unwrap_err();
    assert_eq!(error.code(), "store.migration_changed");
    assert!(error.to_string().contains("test 1 tables"), "{error}");
}

#[tokio::test]
async fn owners_number_their_migrations_on_their_own() {
    let store = super::empty_store().await;
    store.migrate("test", TABLES).await.unwrap();
    let other = [Migration { version: 1, name: "other", sql: "CREATE TABLE other (x BIGINT)" }];
    store.migrate("other", &other).await.unwrap();
    assert!(store.fetch_all("SELECT * FROM other", vec![]).await.unwrap().is_empty());
}
