//! Who changed what: written in the same transaction as the change, so that neither exists without the other.

use serde_json::Value;
use shipway_core::Timestamp;
use uuid::Uuid;

use crate::{Row, Store, StoreError, Transaction, parameters};

/// A change, in the words of its capability.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// The caller.
    pub actor: String,
    /// What was done, `area.verb`: `tracking.promote`.
    pub action: String,
    /// To what: `model/late_arrivals`.
    pub subject: String,
    /// What else is worth keeping, as JSON. Never a secret.
    pub detail: Value,
}

/// An entry of the audit log.
#[derive(Debug, Clone, PartialEq)]
pub struct RecordedEntry {
    /// When it was recorded.
    pub at: Timestamp,
    /// What was recorded.
    pub entry: AuditEntry,
}

/// Records `entry` as a part of `transaction`.
pub async fn record(
    transaction: &mut Transaction,
    entry: &AuditEntry,
    at: Timestamp,
) -> Result<(), StoreError> {
    transaction
        .execute(
            "INSERT INTO audit_entries (id, at_us, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5, $6)",
            parameters![
                Uuid::now_v7().to_string(),
                at,
                &entry.actor,
                &entry.action,
                &entry.subject,
                entry.detail.to_string()
            ],
        )
        .await?;
    Ok(())
}

/// The newest `limit` entries, newest first.
pub async fn list(store: &Store, limit: u32) -> Result<Vec<RecordedEntry>, StoreError> {
    let rows = store
        .fetch_all(
            "SELECT at_us, actor, action, subject, detail FROM audit_entries ORDER BY at_us DESC, id DESC LIMIT $1",
            parameters![limit],
        )
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<RecordedEntry, StoreError> {
    let detail =
        serde_json::from_str(&row.text("detail")?).map_err(|error| StoreError::Damaged(error.into()))?;
    let entry = AuditEntry {
        actor: row.text("actor")?,
        action: row.text("action")?,
        subject: row.text("subject")?,
        detail,
    };
    Ok(RecordedEntry { at: row.timestamp("at_us")?, entry })
}
