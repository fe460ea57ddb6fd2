//! The store against real SQLite: what is durable, what conflicts, what a reader sees, what a full disk does.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod durability;
mod jobs;
mod migrations;
mod statements;
mod transactions;

use shipway_store::{Migration, Store};

pub(crate) const TABLES: &[Migration] = &[Migration {
    version: 1,
    name: "tables",
    sql:
        "CREATE TABLE models (name TEXT NOT NULL PRIMARY KEY, score DOUBLE PRECISION, size BIGINT, file BLOB);
          CREATE TABLE versions (model TEXT NOT NULL REFERENCES models (name), version BIGINT NOT NULL,
                                 PRIMARY KEY (model, version));",
}];

pub(crate) async fn store_with_tables() -> Store {
    let store = Store::in_memory().await.unwrap();
    store.migrate("test", TABLES).await.unwrap();
    store
}

pub(crate) async fn names(store: &Store) -> Vec<String> {
    let rows = store.fetch_all("SELECT name FROM models ORDER BY name", vec![]).await.unwrap();
    rows.iter().map(|row| row.text("name").unwrap()).collect()
}
