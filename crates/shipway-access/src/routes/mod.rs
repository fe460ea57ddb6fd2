//! The native API of accounts.
//!
//! - `users`: users, their roles and grants
//! - `roles`: roles and their grants
//! - `tokens`: tokens
//!
//! All of it demands a caller who is somebody; whom it obeys, `authority` judges.

mod roles;
mod tokens;
mod users;

use shipway_core::{Permission::Known, ResourceType};
use shipway_web::Routes;

use crate::service::Accounts;

/// All routes of accounts, with `accounts` plugged in.
pub fn routes(accounts: Accounts) -> Routes<()> {
    Routes::new()
        .get("/api/v1/me", Known, users::me)
        .get("/api/v1/users", Known, users::list)
        .post("/api/v1/users", Known, users::create)
        .get("/api/v1/users/{user}", Known, users::show)
        .patch("/api/v1/users/{user}", Known, users::change)
        .delete("/api/v1/users/{user}", Known, users::delete)
        .put("/api/v1/users/{user}/password", Known, users::set_password)
        .post("/api/v1/users/{user}/grants", Known, users::grant)
        .delete("/api/v1/users/{user}/grants", Known, users::revoke)
        .put("/api/v1/users/{user}/roles/{role}", Known, users::assign)
        .delete("/api/v1/users/{user}/roles/{role}", Known, users::unassign)
        .get("/api/v1/roles", Known, roles::list)
        .post("/api/v1/roles", Known, roles::create)
        .get("/api/v1/roles/{role}", Known, roles::show)
        .delete("/api/v1/roles/{role}", Known, roles::delete)
        .post("/api/v1/roles/{role}/grants", Known, roles::grant)
        .delete("/api/v1/roles/{role}/grants", Known, roles::revoke)
        .get("/api/v1/tokens", Known, tokens::list)
        .post("/api/v1/tokens", Known, tokens::create)
        .delete("/api/v1/tokens/{token}", Known, tokens::revoke)
        .about(ResourceType::Workspace)
        .with_state(accounts)
}
