//! The store over real SQLite and real PostgreSQL: what is durable, what conflicts, what a reader sees, what a full disk does.
#![expect(clippy::duplicate_mod, reason = "every test runs over both engines")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod durability;
mod groups;
mod outages;

use shipway_store::{Migration, Store};

/// Every test in these files runs over both engines.
macro_rules! over {
    ($engine:ident, $store:expr) => {
        #[path = "."]
        mod $engine {
            #[path = "audit.rs"]
            mod audit;
            #[path = "jobs.rs"]
            mod jobs;
            #[path = "migrations.rs"]
            mod migrations;
            #[path = "statements.rs"]
            mod statements;
            #[path = "transactions.rs"]
            mod transactions;

            async fn empty_store() -> shipway_store::Store {
                $store
            }

            async fn store_with_tables() -> shipway_store::Store {
                crate::with_tables(empty_store().await).await
            }
        }
    };
}

over!(sqlite, shipway_store::Store::in_memory().await.unwrap());
over!(postgres, crate::new_postgres().await);

pub(crate) async fn new_postgres() -> Store {
    let url = shipway_testkit::Postgres::shared().await.new_database();
    Store::open_postgres(&url, 4).await.unwrap()
}

pub(crate) const TABLES: &[Migration] = &[Migration {
    version: 1,
    name: "tables",
    sql:
        "CREATE TABLE models (name TEXT NOT NULL PRIMARY KEY, score DOUBLE PRECISION, size BIGINT, file BLOB);
          CREATE TABLE versions (model TEXT NOT NULL REFERENCES models (name), version BIGINT NOT NULL,
                                 PRIMARY KEY (model, version));",
}];

pub(crate) async fn with_tables(store: Store) -> Store {
    store.migrate("test", TABLES).await.unwrap();
    store
}

pub(crate) async fn names(store: &Store) -> Vec<String> {
    let rows = store.fetch_all("SELECT name FROM models ORDER BY name", vec![]).await.unwrap();
    rows.iter().map(|row| row.text("name").unwrap()).collect()
}
