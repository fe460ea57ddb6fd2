//! The book of batch sources: what was seen, what of it is loaded, and how the last look ended.

use std::collections::BTreeMap;

use shipway_core::Timestamp;
use shipway_store::{Row, Store, StoreError, jobs::JobProblem, parameters};

/// How a look for news stands.
#[derive(Debug, Clone)]
pub(crate) struct LookRow {
    pub(crate) definition: String,
    pub(crate) asked: Timestamp,
    pub(crate) job_id: String,
    pub(crate) ended: Option<Timestamp>,
    pub(crate) problem: Option<JobProblem>,
}

/// How far an item came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemState {
    /// Its rows may or may not be in the table.
    Loading,
    /// Its rows are in the table.
    Loaded,
    /// Nothing of it is in the table.
    Failed,
}

/// A file, or a version of a table.
#[derive(Debug, Clone)]
pub(crate) struct ItemRow {
    pub(crate) item: String,
    /// The pattern or table under which it was found.
    pub(crate) location: String,
    pub(crate) stamp: String,
    pub(crate) digest: String,
    pub(crate) load_id: String,
    pub(crate) state: ItemState,
    pub(crate) rows: u64,
    pub(crate) skipped: u64,
    pub(crate) problem: Option<JobProblem>,
    /// The last look did not find it any more.
    pub(crate) is_gone: bool,
    pub(crate) changed: Timestamp,
}

/// How far a Delta table was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableRow {
    pub(crate) location: String,
    pub(crate) table_id: String,
    pub(crate) first_version: u64,
    pub(crate) read_version: Option<u64>,
}

impl ItemState {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Loaded => "loaded",
            Self::Failed => "failed",
        }
    }

    fn from_word(word: &str) -> Self {
        match word {
            "loaded" => Self::Loaded,
            "failed" => Self::Failed,
            _ => Self::Loading,
        }
    }
}

fn problem(row: &Row) -> Result<Option<JobProblem>, StoreError> {
    let Some(code) = row.optional_text("problem_code")? else { return Ok(None) };
    let message = row.optional_text("problem_message")?.unwrap_or_default();
    Ok(Some(JobProblem { code, message, hint: row.optional_text("problem_hint")? }))
}

/// Notes that `source` was asked to look for news.
pub(crate) async fn asked(
    store: &Store,
    source: &str,
    definition: &str,
    job_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO batch_sources (source, definition, asked_us, job_id) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (source) DO UPDATE SET definition = excluded.definition, asked_us = excluded.asked_us, \
               job_id = excluded.job_id";
    store.execute(sql, parameters![source, definition, now, job_id]).await.map(|_| ())
}

/// Notes how the last look of `source` ended.
pub(crate) async fn ended(
    store: &Store,
    source: &str,
    problem: Option<&JobProblem>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE batch_sources SET ended_us = $2, problem_code = $3, problem_message = $4, problem_hint = $5 \
               WHERE source = $1";
    let parameters = parameters![
        source,
        now,
        problem.map(|problem| problem.code.as_str()),
        problem.map(|problem| problem.message.as_str()),
        problem.and_then(|problem| problem.hint.as_deref())
    ];
    store.execute(sql, parameters).await.map(|_| ())
}

/// The last look of every source.
pub(crate) async fn looks(store: &Store) -> Result<BTreeMap<String, LookRow>, StoreError> {
    let sql = "SELECT source, definition, asked_us, job_id, ended_us, problem_code, problem_message, problem_hint \
               FROM batch_sources";
    let rows = store.fetch_all(sql, parameters![]).await?;
    let read = |row: &Row| {
        let look = LookRow {
            definition: row.text("definition")?,
            asked: row.timestamp("asked_us")?,
            job_id: row.text("job_id")?,
            ended: row.optional_timestamp("ended_us")?,
            problem: problem(row)?,
        };
        Ok((row.text("source")?, look))
    };
    rows.iter().map(read).collect()
}

const ITEM: &str = "item, location, stamp, digest, load_id, state, row_count, skipped_count, problem_code, problem_message, \
     problem_hint, is_gone, changed_us";

/// Every item of `source`, by name.
pub(crate) async fn items(store: &Store, source: &str) -> Result<BTreeMap<String, ItemRow>, StoreError> {
    let sql = format!("SELECT {ITEM} FROM batch_items WHERE source = $1");
    let rows = store.fetch_all(&sql, parameters![source]).await?;
    rows.iter().map(|row| read_item(row).map(|item| (item.item.clone(), item))).collect()
}

/// One item of `source`.
pub(crate) async fn item(store: &Store, source: &str, item: &str) -> Result<Option<ItemRow>, StoreError> {
    let sql = format!("SELECT {ITEM} FROM batch_items WHERE source = $1 AND item = $2");
    store.fetch_optional(&sql, parameters![source, item]).await?.as_ref().map(read_item).transpose()
}

fn read_item(row: &Row) -> Result<ItemRow, StoreError> {
    Ok(ItemRow {
        item: row.text("item")?,
        location: row.text("location")?,
        stamp: row.text("stamp")?,
        digest: row.text("digest")?,
        load_id: row.text("load_id")?,
        state: ItemState::from_word(&row.text("state")?),
        rows: row.int("row_count")?.unsigned_abs(),
        skipped: row.int("skipped_count")?.unsigned_abs(),
        problem: problem(row)?,
        is_gone: row.boolean("is_gone")?,
        changed: row.timestamp("changed_us")?,
    })
}

/// Records an item as it stands now.
pub(crate) async fn record(store: &Store, source: &str, item: &ItemRow) -> Result<(), StoreError> {
    let sql = format!(
        "INSERT INTO batch_items (source, {ITEM}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) \
         ON CONFLICT (source, item) DO UPDATE SET location = excluded.location, stamp = excluded.stamp, \
         digest = excluded.digest, load_id = excluded.load_id, state = excluded.state, row_count = excluded.row_count, \
         skipped_count = excluded.skipped_count, problem_code = excluded.problem_code, \
         problem_message = excluded.problem_message, problem_hint = excluded.problem_hint, is_gone = excluded.is_gone, \
         changed_us = excluded.changed_us"
    );
    let problem = item.problem.as_ref();
    let parameters = parameters![
        source,
        item.item.as_str(),
        item.location.as_str(),
        item.stamp.as_str(),
        item.digest.as_str(),
        item.load_id.as_str(),
        item.state.word(),
        item.rows.cast_signed(),
        item.skipped.cast_signed(),
        problem.map(|problem| problem.code.as_str()),
        problem.map(|problem| problem.message.as_str()),
        problem.and_then(|problem| problem.hint.as_deref()),
        item.is_gone,
        item.changed
    ];
    store.execute(&sql, parameters).await.map(|_| ())
}

/// Notes of these items whether they are gone, of all or of none.
pub(crate) async fn gone(store: &Store, source: &str, items: &[(String, bool)]) -> Result<(), StoreError> {
    if items.is_empty() {
        return Ok(());
    }
    let mut transaction = store.begin().await?;
    for (item, is_gone) in items {
        let sql = "UPDATE batch_items SET is_gone = $3 WHERE source = $1 AND item = $2";
        transaction.execute(sql, parameters![source, item.as_str(), *is_gone]).await?;
    }
    transaction.commit().await
}

/// Forgets an item of which nothing is loaded.
pub(crate) async fn forget(store: &Store, source: &str, item: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM batch_items WHERE source = $1 AND item = $2 AND state <> 'loaded'";
    store.execute(sql, parameters![source, item]).await.map(|_| ())
}

/// How far the table at `location` was read.
pub(crate) async fn table(
    store: &Store,
    source: &str,
    location: &str,
) -> Result<Option<TableRow>, StoreError> {
    let sql = "SELECT location, table_id, first_version, read_version FROM batch_tables \
               WHERE source = $1 AND location = $2";
    let row = store.fetch_optional(sql, parameters![source, location]).await?;
    let read = |row: &Row| {
        Ok(TableRow {
            location: row.text("location")?,
            table_id: row.text("table_id")?,
            first_version: row.int("first_version")?.unsigned_abs(),
            read_version: row.optional_int("read_version")?.map(i64::unsigned_abs),
        })
    };
    row.as_ref().map(read).transpose()
}

/// Records how far a table was read.
pub(crate) async fn record_table(store: &Store, source: &str, table: &TableRow) -> Result<(), StoreError> {
    let sql = "INSERT INTO batch_tables (source, location, table_id, first_version, read_version) \
               VALUES ($1, $2, $3, $4, $5) ON CONFLICT (source, location) DO UPDATE SET table_id = excluded.table_id, \
               first_version = excluded.first_version, read_version = excluded.read_version";
    let parameters = parameters![
        source,
        table.location.as_str(),
        table.table_id.as_str(),
        table.first_version.cast_signed(),
        table.read_version.map(u64::cast_signed)
    ];
    store.execute(sql, parameters).await.map(|_| ())
}
