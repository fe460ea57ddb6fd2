//! Table `artifacts`: which blob lies at which path of a run or a logged model.

use shipway_core::Digest;
use shipway_store::{Row, StoreError, Transaction, parameters};

use super::{Rows, Stored};

/// One stored file; `path` is relative to its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredFile {
    pub(crate) path: String,
    pub(crate) digest: Digest,
    pub(crate) bytes: i64,
}

/// `None` for a row whose digest is not one: damage, which must not look like a missing file.
fn file(row: &Row) -> Stored<Option<StoredFile>> {
    let digest = row.text("digest")?.parse().ok();
    let (path, bytes) = (row.text("path")?, row.int("bytes")?);
    Ok(digest.map(|digest| StoredFile { path, digest, bytes }))
}

/// All files of a root, by path.
pub(crate) async fn of_root(rows: &mut impl Rows, root: &str) -> Stored<Vec<StoredFile>> {
    let found = rows.all("SELECT * FROM artifacts WHERE root = $1 ORDER BY path", parameters![root]).await?;
    found.iter().filter_map(|row| file(row).transpose()).collect::<Result<_, StoreError>>()
}

pub(crate) async fn at(rows: &mut impl Rows, root: &str, path: &str) -> Stored<Option<StoredFile>> {
    let sql = "SELECT * FROM artifacts WHERE root = $1 AND path = $2";
    let found = rows.first(sql, parameters![root, path]).await?;
    Ok(found.as_ref().map(file).transpose()?.flatten())
}

pub(crate) async fn put(
    transaction: &mut Transaction,
    root: &str,
    file: &StoredFile,
    now_ms: i64,
) -> Stored<()> {
    transaction
        .execute(
            "INSERT INTO artifacts (root, path, digest, bytes, updated_ms) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (root, path) DO UPDATE SET digest = excluded.digest, bytes = excluded.bytes, \
             updated_ms = excluded.updated_ms",
            parameters![root, file.path.as_str(), file.digest.to_string(), file.bytes, now_ms],
        )
        .await?;
    Ok(())
}

pub(crate) async fn delete(transaction: &mut Transaction, root: &str, paths: &[String]) -> Stored<()> {
    let values = paths.iter().map(|path| parameters![root, path.as_str()]).collect();
    transaction.execute_many("DELETE FROM artifacts WHERE root = $1 AND path = $2", values).await?;
    Ok(())
}
