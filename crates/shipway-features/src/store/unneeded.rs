//! Versions of views that nothing needs, since when; and whether their marker is in the log.

use std::collections::BTreeMap;

use shipway_core::{Digest, Timestamp};
use shipway_store::{
    Store, StoreError,
    audit::{self, AuditEntry},
    parameters,
};

/// Since when each is not needed.
pub(crate) async fn all(store: &Store) -> Result<BTreeMap<Digest, Timestamp>, StoreError> {
    let rows = store.fetch_all("SELECT view_hash, since_us FROM feature_unneeded_views", vec![]).await?;
    let read = |row: &shipway_store::Row| {
        let hash = row
            .text("view_hash")?
            .parse()
            .map_err(|_| StoreError::Damaged("view_hash is no digest".into()))?;
        Ok((hash, Timestamp(row.int("since_us")?)))
    };
    rows.iter().map(read).collect()
}

/// Notes that nothing needs `view`; the first moment stays.
pub(crate) async fn note(store: &Store, view: &Digest, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO feature_unneeded_views (view_hash, since_us) VALUES ($1, $2) ON CONFLICT (view_hash) DO NOTHING";
    store.execute(sql, parameters![view.to_string(), now.micros()]).await.map(|_| ())
}

/// Notes that something needs `view` again.
pub(crate) async fn forget(store: &Store, view: &Digest) -> Result<(), StoreError> {
    let sql = "DELETE FROM feature_unneeded_views WHERE view_hash = $1";
    store.execute(sql, parameters![view.to_string()]).await.map(|_| ())
}

/// Records that the states of `view` are removed, and that it has no marker any more: who needs it again puts a new one.
pub(crate) async fn retire(
    store: &Store,
    view: &Digest,
    entry: &AuditEntry,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    for sql in [
        "DELETE FROM feature_view_markers WHERE view_hash = $1",
        "DELETE FROM feature_unneeded_views WHERE view_hash = $1",
    ] {
        transaction.execute(sql, parameters![view.to_string()]).await?;
    }
    audit::record(&mut transaction, entry, now).await?;
    transaction.commit().await
}
