//! Tags and params: tables of (owner, key, value), the same for every family.

use std::collections::{BTreeMap, HashMap};

use shipway_store::{Change, Row, SqlValue, Transaction, parameters};

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
pub(crate) const EVALUATION_DATASET_TAGS: PairTable =
    PairTable { table: "evaluation_dataset_tags", owner: "dataset_id" };

pub(crate) const TRACE_TAGS: PairTable = PairTable { table: "trace_tags", owner: "trace_id" };
pub(crate) const TRACE_METADATA: PairTable = PairTable { table: "trace_metadata", owner: "trace_id" };

/// A pair of a row of [`PairTable::query_of_all`].
pub(crate) fn pair(row: &Row) -> Stored<Pair> {
    Ok(Pair { key: row.text("key")?, value: row.text("value")? })
}

/// No statement may change a row twice, so of two equal keys only the last is written.
fn rows_of<'a>(owner: &SqlValue, pairs: impl Iterator<Item = &'a Pair>) -> Vec<Vec<SqlValue>> {
    let last: BTreeMap<&str, &str> = pairs.map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    last.into_iter().map(|(key, value)| vec![owner.clone(), key.into(), value.into()]).collect()
}

impl PairTable {
    /// The pairs of one owner, by key.
    pub(crate) async fn of(self, rows: &mut impl Rows, owner: impl Into<SqlValue>) -> Stored<Vec<Pair>> {
        let Self { table, owner: column } = self;
        let sql = format!("SELECT key, value FROM {table} WHERE {column} = $1 ORDER BY key");
        rows.all(&sql, vec![owner.into()]).await?.iter().map(pair).collect()
    }

    /// The query for the pairs of many owners.
    pub(crate) fn query_of_all(self) -> String {
        let Self { table, owner: column } = self;
        format!("SELECT {column} AS owner, key, value FROM {table} WHERE {column} IN ({{ids}})")
    }

    /// The pairs of many owners whose identity is a text, in one query.
    pub(crate) async fn of_all(
        self,
        rows: &mut impl Rows,
        owners: &[String],
    ) -> Stored<HashMap<String, Vec<Pair>>> {
        let found = all_of(rows, &self.query_of_all(), owners).await?;
        let mut pairs: HashMap<String, Vec<Pair>> = HashMap::new();
        for row in &found {
            match pairs.get_mut(row.str("owner")?) {
                Some(pairs) => pairs.push(pair(row)?),
                None => {
                    pairs.insert(row.text("owner")?, vec![pair(row)?]);
                }
            }
        }
        pairs.values_mut().for_each(|pairs| pairs.sort_by(|one, other| one.key.cmp(&other.key)));
        Ok(pairs)
    }

    /// Sets pairs; a key that exists takes the new value, and of two equal keys the last counts.
    pub(crate) async fn set(
        self,
        transaction: &mut Transaction,
        owner: &SqlValue,
        pairs: &[Pair],
    ) -> Stored<()> {
        transaction.execute_together(vec![self.setting(owner, pairs)]).await?;
        Ok(())
    }

    /// What [`PairTable::set`] changes.
    pub(crate) fn setting(self, owner: &SqlValue, pairs: &[Pair]) -> Change {
        let Self { table, owner: column } = self;
        let sql = format!(
            "INSERT INTO {table} ({column}, key, value) VALUES {{rows}} \
             ON CONFLICT ({column}, key) DO UPDATE SET value = excluded.value"
        );
        Change::rows(sql, rows_of(owner, pairs.iter()))
    }

    /// Adds pairs; a key that exists keeps its value, and of two equal keys the first counts.
    pub(crate) async fn add(
        self,
        transaction: &mut Transaction,
        owner: &SqlValue,
        pairs: &[Pair],
    ) -> Stored<()> {
        transaction.execute_together(vec![self.adding(owner, pairs)]).await?;
        Ok(())
    }

    /// What [`PairTable::add`] changes: one row for each key that is new.
    pub(crate) fn adding(self, owner: &SqlValue, pairs: &[Pair]) -> Change {
        let Self { table, owner: column } = self;
        let sql = format!(
            "INSERT INTO {table} ({column}, key, value) VALUES {{rows}} ON CONFLICT ({column}, key) DO NOTHING"
        );
        Change::rows(sql, rows_of(owner, pairs.iter().rev()))
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
