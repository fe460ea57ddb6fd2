//! The native API of the catalog: `/api/v1/definitions`, and the list of features at `/api/v1/features`.

mod definitions;
mod features;

use shipway_core::{Permission, ResourceType};
use shipway_web::Routes;

use crate::Catalog;

/// The routes of the catalog.
pub fn routes(catalog: Catalog) -> Routes<()> {
    Routes::new()
        .post("/api/v1/definitions/plan", Permission::Read, definitions::plan)
        .post("/api/v1/definitions/apply", Permission::Manage, definitions::apply)
        .get("/api/v1/definitions", Permission::Read, definitions::list)
        .get("/api/v1/definitions/schema", Permission::Read, definitions::schema)
        .get("/api/v1/definitions/{kind}/{name}", Permission::Read, definitions::detail)
        .delete("/api/v1/definitions/{kind}/{name}", Permission::Manage, definitions::drop)
        .get("/api/v1/features", Permission::Read, features::list)
        .about(ResourceType::Definition)
        .with_state(catalog)
}
