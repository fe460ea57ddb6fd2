//! `/api/v1/definitions`: plan, apply, drop, list, read, schema.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shipway_web::{Caller, Json, Path, Problem, Query};

use crate::{Catalog, CatalogError, DefinitionDetail, DefinitionSummary, Plan, Proposal, Used};

/// A plan as it is answered.
#[derive(Serialize)]
pub(super) struct PlanView {
    /// Whether there is, or was, something to do.
    has_changes: bool,
    /// What all builds of the plan cost together; none where nothing is built.
    cost: Option<Cost>,
    #[serde(flatten)]
    plan: Plan,
}

impl From<Plan> for PlanView {
    fn from(plan: Plan) -> Self {
        Self { has_changes: plan.has_changes(), cost: Cost::of(&plan), plan }
    }
}

/// What the builds of a plan cost together. Builds of one source share nothing, so their costs add up.
#[derive(Serialize)]
struct Cost {
    views: u64,
    rows: u64,
    bytes: u64,
    seconds: f64,
}

impl Cost {
    fn of(plan: &Plan) -> Option<Self> {
        let rebuilds = plan.changes.iter().filter_map(|change| change.rebuild);
        rebuilds.fold(None, |sum: Option<Self>, rebuild| {
            let sum = sum.unwrap_or(Self { views: 0, rows: 0, bytes: 0, seconds: 0.0 });
            Some(Self {
                views: sum.views + 1,
                rows: sum.rows + rebuild.rows,
                bytes: sum.bytes + rebuild.bytes,
                seconds: sum.seconds + rebuild.seconds,
            })
        })
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

/// How a definition is dropped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Drop {
    /// Only say what would happen.
    #[serde(default)]
    dry_run: bool,
}

/// Take a definition out of force; the answer is the plan that was carried out, or would be.
pub(super) async fn drop(
    State(catalog): State<Catalog>,
    caller: Caller,
    Path((kind, name)): Path<(String, String)>,
    Query(Drop { dry_run }): Query<Drop>,
) -> Result<Json<PlanView>, Problem> {
    let plan = match dry_run {
        true => catalog.plan_drop(&kind, &name).await,
        false => catalog.drop(&caller.name, &kind, &name).await,
    };
    Ok(Json(plan.map_err(problem)?.into()))
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
        CatalogError::InUse(in_use) => Some(json!(in_use.list().iter().map(used).collect::<Vec<_>>())),
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

/// In the form of every other entry of `errors`, with the consumers beside it.
fn used(used: &Used) -> serde_json::Value {
    json!({
        "kind": used.subject.kind,
        "name": used.subject.name,
        "message": used.to_string(),
        "hint": used.hint,
        "consumers": used.consumers,
    })
}
