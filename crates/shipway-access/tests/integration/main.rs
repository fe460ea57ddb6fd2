//! Accounts as callers meet them: the routes behind a guard, over SQLite and over PostgreSQL.
//!
//! - `app`: the server under test, and the words to drive it with
//! - `users`, `roles`, `tokens`: what is promised, by family
//! - `wire`: the endpoints of MLflow's client
#![expect(clippy::duplicate_mod, reason = "every test runs over both engines")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Every test of these files runs over both engines.
macro_rules! over {
    ($engine:ident, $store:expr) => {
        #[path = "."]
        mod $engine {
            #[path = "app.rs"]
            mod app;
            #[path = "roles.rs"]
            mod roles;
            #[path = "tokens.rs"]
            mod tokens;
            #[path = "users.rs"]
            mod users;
            #[path = "wire.rs"]
            mod wire;

            async fn empty_store() -> shipway_store::Store {
                $store
            }
        }
    };
}

over!(sqlite, shipway_store::Store::in_memory().await.unwrap());
over!(postgres, {
    let url = shipway_testkit::Postgres::shared().await.new_database();
    shipway_store::Store::open_postgres(&url, 4).await.unwrap()
});
