//! The HTTP surface of tracking: the native API, and the MLflow wire beside it.
//!
//! - `models`: registered models, their versions and what is known of them
//! - `aliases`: promotion

mod aliases;
mod models;

use shipway_web::Routes;

use crate::{mlflow, service::Tracking};

/// All routes of tracking, native and foreign, with `tracking` plugged in.
pub fn routes(tracking: Tracking) -> Routes<()> {
    Routes::new()
        .merge(models::routes())
        .merge(aliases::routes())
        .merge(mlflow::routes())
        .with_state(tracking)
}
