//! The table of launches: one row each, with where it stands or how it ended.

use serde_json::json;
use shipway_core::{Name, Timestamp};
use shipway_store::{
    Row, Store, StoreError,
    audit::{self, AuditEntry},
    parameters,
};
use uuid::Uuid;

use crate::{
    error::ServingError,
    launch::{
        stage::Stage,
        status::{Begun, LaunchStatus},
    },
};

/// Where a launch stands, or how it ended and why.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) stage: Stage,
    pub(crate) since: Timestamp,
    pub(crate) reason: Option<String>,
}

const COLUMNS: &str =
    "id, deployment, model, candidate, stable, spec, started_at, started_by, stage, step, since, reason";

/// Those that had not ended, of all deployments.
pub(crate) async fn going_on(store: &Store) -> Result<Vec<(Begun, Standing)>, ServingError> {
    let sql =
        format!("SELECT {COLUMNS} FROM launches WHERE stage IN ('shadow', 'canary') ORDER BY started_at, id");
    store.fetch_all(&sql, parameters![]).await?.iter().map(read).collect()
}

/// The last `limit` launches of a deployment, the newest first.
pub(crate) async fn of_deployment(
    store: &Store,
    deployment: &Name,
    limit: i64,
) -> Result<Vec<LaunchStatus>, ServingError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM launches WHERE deployment = $1 ORDER BY started_at DESC, id DESC LIMIT $2"
    );
    let rows = store.fetch_all(&sql, parameters![deployment.as_str(), limit]).await?;
    let status = |row: &Row| {
        let (begun, standing) = read(row)?;
        Ok(begun.status(standing.stage, standing.since, standing.reason))
    };
    rows.iter().map(status).collect()
}

fn read(row: &Row) -> Result<(Begun, Standing), ServingError> {
    let damaged = |what: &str| ServingError::WrongRequest(format!("a launch is damaged: {what}"));
    let whole = |column: &str| Ok::<_, ServingError>(u64::try_from(row.int(column)?).unwrap_or_default());
    let step = usize::try_from(row.int("step")?).unwrap_or_default();
    let begun = Begun {
        id: Uuid::parse_str(row.str("id")?).map_err(|_| damaged("its id"))?,
        deployment: Name::new(row.text("deployment")?).map_err(|_| damaged("its deployment"))?,
        model: row.text("model")?,
        candidate: whole("candidate")?,
        stable: whole("stable")?,
        spec: serde_json::from_str(row.str("spec")?).map_err(|error| damaged(&error.to_string()))?,
        started_at: Timestamp(row.int("started_at")?),
        started_by: row.text("started_by")?,
    };
    let standing = Standing {
        stage: Stage::of(row.str("stage")?, step).ok_or_else(|| damaged("its stage"))?,
        since: Timestamp(row.int("since")?),
        reason: row.optional_text("reason")?,
    };
    Ok((begun, standing))
}

/// Records a launch that begins, with who began it.
pub(crate) async fn begin(store: &Store, begun: &Begun, stage: Stage) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    transaction
        .execute(
            &format!(
                "INSERT INTO launches ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $7, NULL)"
            ),
            parameters![
                begun.id.to_string(),
                begun.deployment.as_str(),
                begun.model.as_str(),
                number(begun.candidate),
                number(begun.stable),
                json!(begun.spec).to_string(),
                begun.started_at.micros(),
                begun.started_by.as_str(),
                stage.word(),
                number(stage.step() as u64)
            ],
        )
        .await?;
    let detail = json!({ "id": begun.id, "candidate": begun.candidate, "spec": begun.spec });
    let entry = audited(begun, &begun.started_by, "serving.launch", detail);
    audit::record(&mut transaction, &entry, begun.started_at).await?;
    transaction.commit().await
}

/// Records where a launch stands from now on, with who or what moved it.
pub(crate) async fn stand(
    store: &Store,
    begun: &Begun,
    standing: &Standing,
    mover: &str,
) -> Result<(), StoreError> {
    let Standing { stage, since, reason } = standing;
    let mut transaction = store.begin().await?;
    transaction
        .execute(
            "UPDATE launches SET stage = $2, step = $3, since = $4, reason = $5 WHERE id = $1",
            parameters![
                begun.id.to_string(),
                stage.word(),
                number(stage.step() as u64),
                since.micros(),
                reason.clone()
            ],
        )
        .await?;
    let detail = json!({ "id": begun.id, "candidate": begun.candidate, "stage": stage, "step": stage.step(), "reason": reason });
    let entry = audited(begun, mover, "serving.launch_moved", detail);
    audit::record(&mut transaction, &entry, *since).await?;
    transaction.commit().await
}

fn audited(begun: &Begun, actor: &str, action: &str, detail: serde_json::Value) -> AuditEntry {
    AuditEntry {
        actor: actor.to_owned(),
        action: action.to_owned(),
        subject: format!("deployment/{}", begun.deployment),
        detail,
    }
}

fn number(whole: u64) -> i64 {
    i64::try_from(whole).unwrap_or(i64::MAX)
}
