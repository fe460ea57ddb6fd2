//! Why predictions are what they are.

use axum::extract::State;
use shipway_web::{Json, Path, Problem};

use crate::service::{ExplainRequest, Explanation, Serving};

/// What each column contributed to the prediction of each row, or another view of the same rows.
pub(super) async fn explain(
    State(serving): State<Serving>,
    Path(deployment): Path<String>,
    Json(request): Json<ExplainRequest>,
) -> Result<Json<Explanation>, Problem> {
    Ok(Json(serving.explain(&deployment, request).await?))
}
