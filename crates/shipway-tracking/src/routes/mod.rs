//! The HTTP surface of tracking: the native API, and the MLflow wire beside it.
//!
//! - `models`: registered models, their versions and what is known of them
//! - `aliases`: promotion
//! - `workspaces`: what keeps the things of groups apart
//! - `purge`: what is taken away for good
//! - `import`: what was recorded by another server

mod aliases;
mod import;
mod models;
mod purge;
mod workspaces;

use std::sync::Arc;

use shipway_core::ResourceType;
use shipway_web::{Locate, Routes};

use crate::{mlflow, service::Tracking};

/// All routes of tracking, native and foreign, with `tracking` plugged in.
pub fn routes(tracking: Tracking) -> Routes<()> {
    let locator: Arc<dyn Locate> = Arc::new(mlflow::Locator(tracking.clone()));
    Routes::new()
        .merge(models::routes())
        .merge(aliases::routes())
        .about(ResourceType::RegisteredModel)
        .merge(workspaces::routes().about(ResourceType::Workspace))
        .merge(import::routes().about(ResourceType::Workspace))
        .merge(purge::routes().about(ResourceType::Experiment))
        .merge(mlflow::routes())
        .located_by(&locator)
        .with_state(tracking)
}
