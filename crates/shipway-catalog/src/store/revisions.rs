//! Recorded revisions: every definition that was ever applied, and which of them are in force.

use shipway_core::{Digest, Timestamp};
use shipway_definitions::DefinitionKind;
use shipway_store::{Migration, Row, Store, StoreError, Transaction, parameters};

pub(crate) const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "catalog", sql: include_str!("../../migrations/0001_catalog.sql") }];

/// The form in which contents are written now: the serde form of the definition as JSON.
const FORMAT: i64 = 1;

/// A revision as it is read.
#[derive(Debug, Clone)]
pub(crate) struct Revision {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) revision: i64,
    pub(crate) hash: String,
    /// The content is in the form that this program writes.
    pub(crate) form_is_known: bool,
    pub(crate) content: String,
    pub(crate) applied_at: Timestamp,
    pub(crate) applied_by: String,
    pub(crate) in_force: bool,
}

/// A revision to record.
#[derive(Debug, Clone)]
pub(crate) struct NewRevision<'a> {
    pub(crate) kind: DefinitionKind,
    pub(crate) name: &'a str,
    pub(crate) hash: Digest,
    pub(crate) content: String,
    pub(crate) applied_at: Timestamp,
    pub(crate) applied_by: &'a str,
}

/// All revisions, those of one definition in the order in which they were applied.
pub(crate) async fn load(store: &Store) -> Result<Vec<Revision>, StoreError> {
    let rows = store
        .fetch_all(
            "SELECT revisions.kind, revisions.name, revisions.revision, hash, format, content, applied_at_us, applied_by,
                    CASE WHEN in_force.revision IS NULL THEN 0 ELSE 1 END AS is_in_force
             FROM catalog_revisions AS revisions
             LEFT JOIN catalog_in_force AS in_force
               ON in_force.kind = revisions.kind AND in_force.name = revisions.name
              AND in_force.revision = revisions.revision
             ORDER BY revisions.kind, revisions.name, revisions.revision",
            parameters![],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// Which revision of each definition is in force, as a text that is another one whenever that changes.
pub(crate) async fn in_force(store: &Store) -> Result<String, StoreError> {
    let sql = "SELECT kind, name, revision FROM catalog_in_force ORDER BY kind, name";
    let mut mark = String::new();
    for row in store.fetch_all(sql, parameters![]).await? {
        mark.push_str(&format!("{}/{}/{}\n", row.str("kind")?, row.str("name")?, row.int("revision")?));
    }
    Ok(mark)
}

fn read(row: &Row) -> Result<Revision, StoreError> {
    Ok(Revision {
        kind: row.text("kind")?,
        name: row.text("name")?,
        revision: row.int("revision")?,
        hash: row.text("hash")?,
        form_is_known: row.int("format")? == FORMAT,
        content: row.text("content")?,
        applied_at: row.timestamp("applied_at_us")?,
        applied_by: row.text("applied_by")?,
        in_force: row.boolean("is_in_force")?,
    })
}

/// Records a revision after those of the same definition and puts it in force. Answers its number.
pub(crate) async fn record(transaction: &mut Transaction, new: &NewRevision<'_>) -> Result<i64, StoreError> {
    let kind = new.kind.word();
    let last = transaction
        .fetch_optional(
            "SELECT COALESCE(MAX(revision), 0) AS last FROM catalog_revisions WHERE kind = $1 AND name = $2",
            parameters![kind, new.name],
        )
        .await?;
    let revision = 1 + match last {
        Some(row) => row.int("last")?,
        None => 0,
    };
    transaction
        .execute(
            "INSERT INTO catalog_revisions (kind, name, revision, hash, format, content, applied_at_us, applied_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            parameters![
                kind,
                new.name,
                revision,
                new.hash,
                FORMAT,
                &new.content,
                new.applied_at,
                new.applied_by
            ],
        )
        .await?;
    transaction
        .execute(
            "INSERT INTO catalog_in_force (kind, name, revision) VALUES ($1, $2, $3)
             ON CONFLICT (kind, name) DO UPDATE SET revision = excluded.revision",
            parameters![kind, new.name, revision],
        )
        .await?;
    Ok(revision)
}

/// Puts a definition out of force. Its revisions stay.
pub(crate) async fn end(
    transaction: &mut Transaction,
    kind: DefinitionKind,
    name: &str,
) -> Result<(), StoreError> {
    transaction
        .execute("DELETE FROM catalog_in_force WHERE kind = $1 AND name = $2", parameters![kind.word(), name])
        .await?;
    Ok(())
}
