//! The native API of serving, and the routes of the foreign protocol beside it.
//!
//! - `deployments`: what is deployed
//! - `predict`: predictions

mod deployments;
mod predict;

use shipway_core::{Permission, ResourceType};
use shipway_web::Routes;

use crate::{open_inference, service::Serving};

/// All routes of serving.
pub fn routes(serving: Serving) -> Routes<()> {
    Routes::new()
        .get("/api/v1/deployments", Permission::Read, deployments::list)
        .get("/api/v1/deployments/{name}", Permission::Read, deployments::show)
        .put("/api/v1/deployments/{name}", Permission::Manage, deployments::put)
        .delete("/api/v1/deployments/{name}", Permission::Manage, deployments::delete)
        .post("/api/v1/predict/{deployment}", Permission::Use, predict::predict)
        .merge(open_inference::routes())
        .about(ResourceType::Deployment)
        .with_state(serving)
}
