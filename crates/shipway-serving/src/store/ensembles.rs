//! The table of ensembles: one row per name, with the graph and how it is deployed.

use serde_json::json;
use shipway_core::{Name, Timestamp};
use shipway_store::{
    Row, Store, StoreError,
    audit::{self, AuditEntry},
    parameters,
};

use crate::{ensemble::spec::EnsembleSpec, error::ServingError};

/// An ensemble as it was deployed last.
pub(crate) struct Kept {
    pub(crate) name: Name,
    pub(crate) spec: EnsembleSpec,
    pub(crate) version: u64,
}

/// All ensembles, by name.
pub(crate) async fn all(store: &Store) -> Result<Vec<Kept>, ServingError> {
    let sql = "SELECT name, spec, version FROM ensembles ORDER BY name";
    store.fetch_all(sql, parameters![]).await?.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Kept, ServingError> {
    let damaged = |what: String| ServingError::WrongRequest(format!("an ensemble is damaged: {what}"));
    Ok(Kept {
        name: Name::new(row.text("name")?).map_err(|error| damaged(error.to_string()))?,
        spec: serde_json::from_str(row.str("spec")?).map_err(|error| damaged(error.to_string()))?,
        version: u64::try_from(row.int("version")?).unwrap_or_default(),
    })
}

/// Records an ensemble as it is deployed from now on, with who did it.
pub(crate) async fn put(store: &Store, kept: &Kept, caller: &str, now: Timestamp) -> Result<(), StoreError> {
    let Kept { name, spec, version } = kept;
    let mut transaction = store.begin().await?;
    transaction
        .execute(
            "INSERT INTO ensembles (name, spec, version, created_at, updated_at, updated_by) \
             VALUES ($1, $2, $3, $4, $4, $5) \
             ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, version = excluded.version, \
             updated_at = excluded.updated_at, updated_by = excluded.updated_by",
            parameters![
                name.as_str(),
                json!(spec).to_string(),
                i64::try_from(*version).unwrap_or(i64::MAX),
                now.micros(),
                caller
            ],
        )
        .await?;
    let entry = AuditEntry {
        actor: caller.to_owned(),
        action: "serving.deploy".to_owned(),
        subject: format!("deployment/{name}"),
        detail: json!({ "version": version, "spec": spec }),
    };
    audit::record(&mut transaction, &entry, now).await?;
    transaction.commit().await
}

/// Forgets an ensemble. Its prediction log stays.
pub(crate) async fn delete(
    store: &Store,
    name: &Name,
    caller: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    transaction.execute("DELETE FROM ensembles WHERE name = $1", parameters![name.as_str()]).await?;
    let entry = AuditEntry {
        actor: caller.to_owned(),
        action: "serving.undeploy".to_owned(),
        subject: format!("deployment/{name}"),
        detail: json!({}),
    };
    audit::record(&mut transaction, &entry, now).await?;
    transaction.commit().await
}
