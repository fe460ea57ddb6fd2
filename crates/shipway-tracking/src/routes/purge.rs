//! `POST /api/v1/purge`: takes away for good what was deleted.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shipway_core::{Length, Permission};
use shipway_web::{Caller, Json, Problem, Routes};

use crate::{
    error::TrackingError,
    service::{PurgePlan, Tracking},
};

pub(crate) fn routes() -> Routes<Tracking> {
    Routes::new().post("/api/v1/purge", Permission::Manage, purge)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Purge {
    /// A length of time such as `30d`; `0` means whatever is deleted.
    older_than: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct PurgeView {
    #[serde(flatten)]
    plan: PurgePlan,
    /// The id of the job that does it; absent when nothing is done.
    job: Option<String>,
}

fn milliseconds(text: &str) -> Result<i64, TrackingError> {
    if text == "0" {
        return Ok(0);
    }
    let length: Length =
        text.parse().map_err(|error| TrackingError::invalid("older_than", format!("{error}, or 0")))?;
    Ok(length.micros().div_euclid(1_000))
}

async fn purge(
    State(tracking): State<Tracking>,
    caller: Caller,
    Json(body): Json<Purge>,
) -> Result<Json<PurgeView>, Problem> {
    let older_than_ms = milliseconds(&body.older_than)?;
    let (plan, job) = tracking.begin_purge(&caller.name, older_than_ms, body.dry_run).await?;
    Ok(Json(PurgeView { plan, job: job.map(|job| job.id) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_and_nothing_else() {
        assert_eq!((milliseconds("0").unwrap(), milliseconds("30d").unwrap()), (0, 2_592_000_000));
        assert!(["", "30", "-1d", "1y"].iter().all(|text| milliseconds(text).is_err()));
    }
}
