//! The table of deployments: one row per name, with what it is bound to.

use serde::{Deserialize, Serialize};
use serde_json::json;
use shipway_core::{Name, Timestamp};
use shipway_store::{
    Row, Store, StoreError,
    audit::{self, AuditEntry},
    parameters,
};

use crate::{
    error::ServingError,
    model::{
        deployment::DeploymentSpec,
        settings::{BatchingSettings, CacheSettings, QueueSettings},
        share::Share,
    },
};

/// What the column `settings` holds, as JSON; rows of before it have none.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    batching: BatchingSettings,
    queue: QueueSettings,
    cache: CacheSettings,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_share: Option<Share>,
}

/// All deployments, by name.
pub(crate) async fn all(store: &Store) -> Result<Vec<(Name, DeploymentSpec)>, ServingError> {
    let rows = store
        .fetch_all(
            "SELECT name, model, alias, service, settings FROM deployments ORDER BY name",
            parameters![],
        )
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<(Name, DeploymentSpec), ServingError> {
    let name = |text: String| {
        Name::new(text)
            .map_err(|error| ServingError::WrongName { name: error.0.clone(), reason: error.to_string() })
    };
    let service = row.optional_text("service")?.map(name).transpose()?;
    let settings: Settings = match row.optional_text("settings")? {
        Some(json) => serde_json::from_str(&json).map_err(|error| {
            ServingError::WrongRequest(format!("the settings of a deployment are damaged: {error}"))
        })?,
        None => Settings::default(),
    };
    let spec = DeploymentSpec {
        model: row.text("model")?,
        alias: row.text("alias")?,
        service,
        batching: settings.batching,
        queue: settings.queue,
        cache: settings.cache,
        log_share: settings.log_share,
        is_step: false,
    };
    Ok((name(row.text("name")?)?, spec))
}

/// Records a deployment, or what it is bound to from now on, with who did it.
pub(crate) async fn put(
    store: &Store,
    name: &Name,
    spec: &DeploymentSpec,
    caller: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let settings = json!(Settings {
        batching: spec.batching,
        queue: spec.queue,
        cache: spec.cache,
        log_share: spec.log_share
    })
    .to_string();
    let mut transaction = store.begin().await?;
    transaction
        .execute(
            "INSERT INTO deployments (name, model, alias, service, created_at, updated_at, updated_by, settings) \
             VALUES ($1, $2, $3, $4, $5, $5, $6, $7) \
             ON CONFLICT (name) DO UPDATE SET model = excluded.model, alias = excluded.alias, \
             service = excluded.service, settings = excluded.settings, updated_at = excluded.updated_at, updated_by = excluded.updated_by",
            parameters![
                name.as_str(),
                spec.model.as_str(),
                spec.alias.as_str(),
                spec.service.as_ref().map(|service| service.as_str().to_owned()),
                now.micros(),
                caller,
                settings
            ],
        )
        .await?;
    let entry = AuditEntry {
        actor: caller.to_owned(),
        action: "serving.deploy".to_owned(),
        subject: format!("deployment/{name}"),
        detail: json!({ "model": spec.model, "alias": spec.alias, "service": spec.service,
            "batching": spec.batching, "queue": spec.queue, "cache": spec.cache, "log_share": spec.log_share }),
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
