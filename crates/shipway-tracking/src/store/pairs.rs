//! Tags and params: tables of (owner, key, value), the same for every family.

use std::collections::HashMap;

use shipway_store::{Row, SqlValue, Transaction, parameters};

use super::{Rows, Stored, all_of};
use crate::model::Pair;

/// A table of pairs and the column of its owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairTable {
    pub(crate) table: &'static str,
    pub(crate) owner: &'static str,
}

pub(crate) const EXPERIMENT_TAGS: PairTable = PairTable { table: "experiment_tags", owner: "experiment_id" };
pub(crate) const RUN_TAGS: PairTable = PairTable { table: "run_tags", owner: "run_id" };
pub(crate) const RUN_PARAMS: PairTable = PairTable { table: "run_params", owner: "run_id" };
pub(crate) const LOGGED_MODEL_TAGS: PairTable = PairTable { table: "logged_model_tags", owner: "model_id" };
pub(crate) const LOGGED_MODEL_PARAMS: PairTable =
    PairTable { table: "logged_model_params", owner: "model_id" };
pub(crate) const REGISTERED_MODEL_TAGS: PairTable =
    PairTable { table: "registered_model_tags", owner: "name" };

fn pair(row: &Row) -> Stored<Pair> {
    Ok(Pair { key: row.text("key")?, value: row.text("value")? })
}

impl PairTable {
    /// The pairs of one owner, by key.
    pub(crate) async fn of(self, rows: &mut impl Rows, owner: impl Into<SqlValue>) -> Stored<Vec<Pair>> {
        let Self { table, owner: column } = self;
        let sql = format!("SELECT key, value FROM {table} WHERE {column} = $1 ORDER BY key");
        rows.all(&sql, vec![owner.into()]).await?.iter().map(pair).collect()
    }

    /// The pairs of many owners whose identity is a text, in as few queries as possible.
    pub(crate) async fn of_all(
        self,
        rows: &mut impl Rows,
        owners: &[String],
    ) -> Stored<HashMap<String, Vec<Pair>>> {
        let Self { table, owner: column } = self;
        let sql =
            format!("SELECT {column}, key, value FROM {table} WHERE {column} IN ({{ids}}) ORDER BY key");
        let mut found: HashMap<String, Vec<Pair>> = HashMap::new();
        for row in all_of(rows, &sql, owners).await? {
            found.entry(row.text(column)?).or_default().push(pair(&row)?);
        }
        Ok(found)
    }

    /// Sets pairs; a key that exists takes the new value, and of two equal keys the last counts.
    pub(crate) async fn set(
        self,
        transaction: &mut Transaction,
        owner: &SqlValue,
        pairs: &[Pair],
    ) -> Stored<()> {
        let Self { table, owner: column } = self;
        let sql = format!(
            "INSERT INTO {table} ({column}, key, value) VALUES ($1, $2, $3) \
             ON CONFLICT ({column}, key) DO UPDATE SET value = excluded.value"
        );
        self.write(transaction, &sql, owner, pairs).await
    }

    /// Adds pairs; a key that exists keeps its value.
    pub(crate) async fn add(
        self,
        transaction: &mut Transaction,
        owner: &SqlValue,
        pairs: &[Pair],
    ) -> Stored<()> {
        let Self { table, owner: column } = self;
        let sql = format!(
            "INSERT INTO {table} ({column}, key, value) VALUES ($1, $2, $3) ON CONFLICT ({column}, key) DO NOTHING"
        );
        self.write(transaction, &sql, owner, pairs).await
    }

    async fn write(
        self,
        transaction: &mut Transaction,
        sql: &str,
        owner: &SqlValue,
        pairs: &[Pair],
    ) -> Stored<()> {
        if pairs.is_empty() {
            return Ok(());
        }
        let values = pairs
            .iter()
            .map(|pair| vec![owner.clone(), pair.key.as_str().into(), pair.value.as_str().into()])
            .collect();
        transaction.execute_many(sql, values).await?;
        Ok(())
    }

    /// Takes one pair away; false when there was none.
    pub(crate) async fn delete(
        self,
        transaction: &mut Transaction,
        owner: &SqlValue,
        key: &str,
    ) -> Stored<bool> {
        let Self { table, owner: column } = self;
        let sql = format!("DELETE FROM {table} WHERE {column} = $1 AND key = $2");
        Ok(transaction.execute(&sql, parameters![owner.clone(), key]).await? > 0)
    }
}
