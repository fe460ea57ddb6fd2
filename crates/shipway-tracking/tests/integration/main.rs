//! Tracking as its clients see it: the router in process, over SQLite and over PostgreSQL, with a folder of objects.
//!
//! - `app`: the server under test, and the words to drive it with
//! - `runs`, `search`, `artifacts`, `registry`, `promotion`, `datasets`, `scorers`, `metrics`, `webhooks`, `wire`: what is
//!   promised, by family
//! - `graphql`: the queries of MLflow's own interface
//! - `traces`, `trace_search`, `trace_metrics`, `assessments`, `otlp`, `vocabularies`: traces and their spans
//! - `import`: what comes from another server
//! - `purge`: what goes for good
//! - `workspaces`, `workspace_walls`, `workspace_world`: what keeps the things of groups apart
//! - `upgrade`: earlier forms of the tables
//! - `receiver`: a receiver of webhooks
//! - `endpoints`: nothing of the protocol is forgotten
#![expect(clippy::duplicate_mod, reason = "every test runs over both engines")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod receiver;

/// Every test of these files runs over both engines.
macro_rules! over {
    ($engine:ident, $store:expr) => {
        #[path = "."]
        mod $engine {
            #[path = "app.rs"]
            mod app;
            #[path = "artifacts.rs"]
            mod artifacts;
            #[path = "assessments.rs"]
            mod assessments;
            #[path = "datasets.rs"]
            mod datasets;
            #[path = "endpoints.rs"]
            mod endpoints;
            #[path = "graphql.rs"]
            mod graphql;
            #[path = "import.rs"]
            mod import;
            #[path = "metrics.rs"]
            mod metrics;
            #[path = "otlp.rs"]
            mod otlp;
            #[path = "promotion.rs"]
            mod promotion;
            #[path = "purge.rs"]
            mod purge;
            #[path = "registry.rs"]
            mod registry;
            #[path = "runs.rs"]
            mod runs;
            #[path = "scorers.rs"]
            mod scorers;
            #[path = "search.rs"]
            mod search;
            #[path = "trace_metrics.rs"]
            mod trace_metrics;
            #[path = "trace_search.rs"]
            mod trace_search;
            #[path = "traces.rs"]
            mod traces;
            #[path = "upgrade.rs"]
            mod upgrade;
            #[path = "vocabularies.rs"]
            mod vocabularies;
            #[path = "webhooks.rs"]
            mod webhooks;
            #[path = "wire.rs"]
            mod wire;
            #[path = "workspace_walls.rs"]
            mod workspace_walls;
            #[path = "workspace_world.rs"]
            mod workspace_world;
            #[path = "workspaces.rs"]
            mod workspaces;

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
