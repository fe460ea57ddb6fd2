//! The SQL of this crate's own tables; no SQL elsewhere. One file per family of tables.
//!
//! - `experiments`, `runs`, `metrics`, `metric_samples`, `inputs`: what runs record
//! - `logged_models`, `evaluations`: models and their scores
//! - `artifacts`: which blob lies at which path
//! - `registry`, `versions`: registered models, versions, aliases
//! - `evaluation_datasets`, `evaluation_records`: data sets of evaluations; `dataset_search`: how they are searched
//! - `purge`: what is taken away for good
//! - `imports`: what was brought from elsewhere
//! - `scorers`, `webhooks`, `deliveries`: judges, and who is told of changes
//! - `workspaces`: which there are, and what lies in them
//! - `pairs`: tags and params, which every family has in the same form
//! - `search`: checked filters to SQL
//! - `traces`: traces, spans, assessments, and their own searches

pub(crate) mod artifacts;
pub(crate) mod dataset_search;
pub(crate) mod deliveries;
pub(crate) mod evaluation_datasets;
pub(crate) mod evaluation_records;
pub(crate) mod evaluations;
pub(crate) mod experiments;
pub(crate) mod imports;
pub(crate) mod inputs;
pub(crate) mod logged_models;
pub(crate) mod metric_samples;
pub(crate) mod metrics;
pub(crate) mod pairs;
pub(crate) mod purge;
pub(crate) mod registry;
pub(crate) mod runs;
pub(crate) mod scorers;
pub(crate) mod search;
pub(crate) mod traces;
pub(crate) mod versions;
pub(crate) mod webhooks;
pub(crate) mod workspaces;

use std::future::Future;

use futures::future::try_join_all;
use shipway_store::{Migration, Row, SqlValue, Store, StoreError, Transaction};

/// This crate's tables, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "tracking", sql: include_str!("../../migrations/0001_tracking.sql") },
    Migration { version: 2, name: "traces", sql: include_str!("../../migrations/0002_traces.sql") },
    Migration {
        version: 3,
        name: "datasets_scorers_webhooks",
        sql: include_str!("../../migrations/0003_datasets_scorers_webhooks.sql"),
    },
    Migration {
        version: 4,
        name: "latest metrics by value",
        sql: include_str!("../../migrations/0004_latest_metrics_by_value.sql"),
    },
    Migration {
        version: 5,
        name: "logged values in order of their keys",
        sql: include_str!("../../migrations/0005_logged_values_by_key.sql"),
    },
    Migration { version: 6, name: "imports", sql: include_str!("../../migrations/0006_imports.sql") },
    Migration { version: 7, name: "deletions", sql: include_str!("../../migrations/0007_deletions.sql") },
    Migration { version: 8, name: "workspaces", sql: include_str!("../../migrations/0008_workspaces.sql") },
];

pub(crate) type Stored<T> = Result<T, StoreError>;

/// Reads rows, inside a transaction or outside of one, so that each query is written once.
pub(crate) trait Rows: Send {
    fn all(&mut self, sql: &str, parameters: Vec<SqlValue>) -> impl Future<Output = Stored<Vec<Row>>> + Send;

    fn first(
        &mut self,
        sql: &str,
        parameters: Vec<SqlValue>,
    ) -> impl Future<Output = Stored<Option<Row>>> + Send;

    /// The rows of each of these queries, which have `IN ({ids})` and no other parameters.
    fn among(
        &mut self,
        queries: &[&str],
        ids: &[String],
    ) -> impl Future<Output = Stored<Vec<Vec<Row>>>> + Send;
}

impl Rows for &Store {
    async fn all(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Stored<Vec<Row>> {
        self.fetch_all(sql, parameters).await
    }

    async fn first(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Stored<Option<Row>> {
        self.fetch_optional(sql, parameters).await
    }

    /// All queries at the same time.
    async fn among(&mut self, queries: &[&str], ids: &[String]) -> Stored<Vec<Vec<Row>>> {
        try_join_all(queries.iter().map(|sql| self.fetch_among(sql, ids))).await
    }
}

impl Rows for Transaction {
    async fn all(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Stored<Vec<Row>> {
        self.fetch_all(sql, parameters).await
    }

    async fn first(&mut self, sql: &str, parameters: Vec<SqlValue>) -> Stored<Option<Row>> {
        self.fetch_optional(sql, parameters).await
    }

    async fn among(&mut self, queries: &[&str], ids: &[String]) -> Stored<Vec<Vec<Row>>> {
        let mut found = Vec::new();
        for sql in queries {
            found.push(self.fetch_among(sql, ids).await?);
        }
        Ok(found)
    }
}

/// How many values go into one `IN (…)` as parameters of their own: below the number that every database takes.
pub(crate) const CHUNK: usize = 500;

/// `$from, $from+1, …`: the placeholders of `count` values.
pub(crate) fn placeholders(from: usize, count: usize) -> String {
    (from..from + count).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// All rows of a query with `IN ({ids})` and no other parameters.
pub(crate) async fn all_of(rows: &mut impl Rows, sql: &str, ids: &[String]) -> Stored<Vec<Row>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    Ok(rows.among(&[sql], ids).await?.pop().unwrap_or_default())
}
