//! Aliases: giving one is a promotion.

use axum::extract::State;
use serde::Deserialize;
use shipway_core::Permission;
use shipway_web::{Caller, Json, Path, Problem, Routes};

use crate::service::{Promotion, Tracking};

pub(crate) fn routes() -> Routes<Tracking> {
    Routes::new().post("/api/v1/models/{name}/aliases/{alias}", Permission::Manage, promote).delete(
        "/api/v1/models/{name}/aliases/{alias}",
        Permission::Manage,
        delete,
    )
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Promote {
    version: u32,
}

/// Gives an alias to a version, if its gates are met.
async fn promote(
    State(tracking): State<Tracking>,
    caller: Caller,
    Path((name, alias)): Path<(String, String)>,
    Json(body): Json<Promote>,
) -> Result<Json<Promotion>, Problem> {
    Ok(Json(tracking.promote(&caller.name, &name, &alias, body.version.into()).await?))
}

/// Takes an alias away.
async fn delete(
    State(tracking): State<Tracking>,
    caller: Caller,
    Path((name, alias)): Path<(String, String)>,
) -> Result<http::StatusCode, Problem> {
    tracking.delete_alias(&caller.name, &name, &alias).await?;
    Ok(http::StatusCode::NO_CONTENT)
}
