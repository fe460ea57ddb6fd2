//! `/api/v1/definitions`: plan, apply, list, read, schema.

use axum::extract::State;
use serde::Serialize;
use serde_json::json;
use shipway_web::{Caller, Json, Path, Problem};

use crate::{Catalog, CatalogError, DefinitionDetail, DefinitionSummary, Plan, Proposal};

/// A plan as it is answered.
#[derive(Serialize)]
pub(super) struct PlanView {
    /// Whether there is, or was, something to do.
    has_changes: bool,
    #[serde(flatten)]
    plan: Plan,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self { has_changes: plan.has_changes(), plan }
    }
}

/// The definitions in force.
#[derive(Serialize)]
pub(super) struct ListView {
    definitions: Vec<DefinitionSummary>,
}

/// Show what applying would change.
pub(super) async fn plan(
    State(catalog): State<Catalog>,
    Json(proposal): Json<Proposal>,
) -> Result<Json<PlanView>, Problem> {
    Ok(Json(catalog.plan(&proposal).await.map_err(problem)?.into()))
}

/// Apply definitions; the answer is the plan that was carried out.
pub(super) async fn apply(
    State(catalog): State<Catalog>,
    caller: Caller,
    Json(proposal): Json<Proposal>,
) -> Result<Json<PlanView>, Problem> {
    Ok(Json(catalog.apply(&caller.name, &proposal).await.map_err(problem)?.into()))
}

/// List the definitions in force.
pub(super) async fn list(State(catalog): State<Catalog>) -> Json<ListView> {
    Json(ListView { definitions: catalog.list().await })
}

/// Show one definition with all its revisions.
pub(super) async fn detail(
    State(catalog): State<Catalog>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<DefinitionDetail>, Problem> {
    Ok(Json(catalog.detail(&kind, &name).await.map_err(problem)?))
}

/// The JSON Schema of definition files.
pub(super) async fn schema() -> Json<schemars::Schema> {
    std::future::ready(Json(shipway_definitions::schema())).await
}

/// Every error of a proposal goes out as an entry of `errors`, besides a line in `detail`.
fn problem(error: CatalogError) -> Problem {
    let list = match &error {
        CatalogError::Definitions(errors) => Some(json!(errors.list())),
        CatalogError::Refused(refused) => Some(json!(refused.list())),
        // The listener's own error names its cause better than the catalog can.
        CatalogError::NotInstalled { failure } => {
            tracing::error!(code = failure.code(), error = %failure, "definitions are recorded but not installed");
            None
        }
        _ => None,
    };
    let problem = Problem::from(error);
    match list {
        Some(list) => problem.with_member("errors", list),
        None => problem,
    }
}
