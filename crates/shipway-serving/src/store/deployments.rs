//! The table of deployments: one row per name, with what it is bound to.

use serde_json::json;
use shipway_core::{Name, Timestamp};
use shipway_store::{
    Row, Store, StoreError,
    audit::{self, AuditEntry},
    parameters,
};

use crate::{error::ServingError, model::deployment::DeploymentSpec};

/// All deployments, by name.
pub(crate) async fn all(store: &Store) -> Result<Vec<(Name, DeploymentSpec)>, ServingError> {
    let rows = store
        .fetch_all("SELECT name, model, alias, service FROM deployments ORDER BY name", parameters![])
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<(Name, DeploymentSpec), ServingError> {
    let name = |text: String| {
        Name::new(text)
            .map_err(|error| ServingError::WrongName { name: error.0.clone(), reason: error.to_string() })
    };
    let service = row.optional_text("service")?.map(name).transpose()?;
    Ok((
        name(row.text("name")?)?,
        DeploymentSpec { model: row.text("model")?, alias: row.text("alias")?, service },
    ))
}

/// Records a deployment, or what it is bound to from now on, with who did it.
pub(crate) async fn put(
    store: &Store,
    name: &Name,
    spec: &DeploymentSpec,
    caller: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    transaction
        .execute(
            "INSERT INTO deployments (name, model, alias, service, created_at, updated_at, updated_by) \
             VALUES ($1, $2, $3, $4, $5, $5, $6) \
             ON CONFLICT (name) DO UPDATE SET model = excluded.model, alias = excluded.alias, \
             service = excluded.service, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
            parameters![
                name.as_str(),
                spec.model.as_str(),
                spec.alias.as_str(),
                spec.service.as_ref().map(|service| service.as_str().to_owned()),
                now.micros(),
                caller
            ],
        )
        .await?;
    let entry = AuditEntry {
        actor: caller.to_owned(),
        action: "serving.deploy".to_owned(),
        subject: format!("deployment/{name}"),
        detail: json!({ "model": spec.model, "alias": spec.alias, "service": spec.service }),
    };
    audit::record(&mut transaction, &entry, now).await?;
    transaction.commit().await
}

/// Forgets a deployment. Its prediction log stays.
pub(crate) async fn delete(
    store: &Store,
    name: &Name,
    caller: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    transaction.execute("DELETE FROM deployments WHERE name = $1", parameters![name.as_str()]).await?;
    let entry = AuditEntry {
        actor: caller.to_owned(),
        action: "serving.undeploy".to_owned(),
        subject: format!("deployment/{name}"),
        detail: json!({}),
    };
    audit::record(&mut transaction, &entry, now).await?;
    transaction.commit().await
}
