//! The native API of serving, and the routes of the foreign protocols beside it.
//!
//! - `deployments`: what is deployed
//! - `predict`: predictions
//! - `explain`: why they are what they are
//! - `preview`: what a candidate would decide otherwise
//! - `launches`: a candidate comes to serve step by step
//! - `labels`: what came true of them

mod deployments;
mod explain;
mod labels;
mod launches;
mod predict;
mod preview;

use shipway_core::{Permission, ResourceType};
use shipway_web::Routes;

use crate::{open_inference, scoring, service::Serving};

/// All routes of serving. Embeddings under OpenAI's API share their paths with models that are served elsewhere: see [`crate::OpenAiModels`].
pub fn routes(serving: Serving) -> Routes<()> {
    Routes::new()
        .get("/api/v1/deployments", Permission::Read, deployments::list)
        .get("/api/v1/deployments/{name}", Permission::Read, deployments::show)
        .put("/api/v1/deployments/{name}", Permission::Manage, deployments::put)
        .delete("/api/v1/deployments/{name}", Permission::Manage, deployments::delete)
        .post("/api/v1/deployments/{name}/preview", Permission::Read, preview::preview)
        .post("/api/v1/deployments/{name}/launch", Permission::Manage, launches::begin)
        .get("/api/v1/deployments/{name}/launch", Permission::Read, launches::show)
        .delete("/api/v1/deployments/{name}/launch", Permission::Manage, launches::abort)
        .post("/api/v1/deployments/{name}/launch/advance", Permission::Manage, launches::advance)
        .get("/api/v1/deployments/{name}/launches", Permission::Read, launches::list)
        .post("/api/v1/predict/{deployment}", Permission::Use, predict::predict)
        .post("/api/v1/explain/{deployment}", Permission::Use, explain::explain)
        .post("/api/v1/labels/{deployment}", Permission::Write, labels::post)
        .merge(open_inference::routes(&serving))
        .merge(scoring::routes())
        .about(ResourceType::Deployment)
        .with_state(serving)
}
