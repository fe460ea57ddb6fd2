//! Users, roles and permissions over the endpoints that MLflow's client of them asks. It calls `service/` and holds no rules.
//!
//! - `users`, `roles`, `permissions`: the endpoints
//! - here: what they share
//!
//! Every endpoint answers under `/api/…`, where the Python client asks, and under `/ajax-api/…`, where the browser does. Roles and
//! grants are for the whole server: they say that they are of `default`, and a grant may be on one workspace. Refusals get the error body of that wire from whoever plugs the routes in.

mod permissions;
mod roles;
mod users;

use axum::extract::FromRequest;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use shipway_core::{Grant, Level, Permission::Known, ResourceType};
use shipway_web::{Caller, Json, JsonBody, Problem, Query, Routes};

use crate::{
    error::AccessError,
    model::{Role, RoleGrant},
    service::Accounts,
};

const WORKSPACE: &str = "default";

type Answer = Result<Json<Value>, Problem>;

/// Adds one endpoint under both prefixes.
macro_rules! both {
    ($routes:expr, $method:ident, $path:literal, $handler:expr) => {
        $routes.$method(concat!("/api/", $path), Known, $handler).$method(
            concat!("/ajax-api/", $path),
            Known,
            $handler,
        )
    };
}

/// All endpoints of this wire, with `accounts` plugged in.
pub fn mlflow_routes(accounts: Accounts) -> Routes<()> {
    let routes = Routes::new();
    let routes = both!(routes, post, "2.0/mlflow/users/create", users::create);
    let routes = both!(routes, get, "2.0/mlflow/users/get", users::get);
    let routes = both!(routes, get, "2.0/mlflow/users/current", users::current);
    let routes = both!(routes, get, "2.0/mlflow/users/list", users::list);
    let routes = both!(routes, patch, "2.0/mlflow/users/update-password", users::update_password);
    let routes = both!(routes, patch, "2.0/mlflow/users/update-admin", users::update_admin);
    let routes = both!(routes, delete, "2.0/mlflow/users/delete", users::delete);
    let routes = both!(routes, get, "3.0/mlflow/users/roles/list", users::roles);
    let routes = both!(routes, get, "3.0/mlflow/users/current/permissions", permissions::own);
    let routes = both!(routes, get, "3.0/mlflow/users/permissions/list", permissions::list);
    let routes = both!(routes, post, "3.0/mlflow/users/permissions/grant", permissions::grant);
    let routes = both!(routes, post, "3.0/mlflow/users/permissions/revoke", permissions::revoke);
    let routes = both!(routes, get, "3.0/mlflow/users/permissions/get", permissions::get);
    let routes = both!(routes, post, "3.0/mlflow/roles/create", roles::create);
    let routes = both!(routes, get, "3.0/mlflow/roles/get", roles::get);
    let routes = both!(routes, get, "3.0/mlflow/roles/list", roles::list);
    let routes = both!(routes, patch, "3.0/mlflow/roles/update", roles::update);
    let routes = both!(routes, delete, "3.0/mlflow/roles/delete", roles::delete);
    let routes = both!(routes, post, "3.0/mlflow/roles/permissions/add", roles::add_permission);
    let routes = both!(routes, delete, "3.0/mlflow/roles/permissions/remove", roles::remove_permission);
    let routes = both!(routes, get, "3.0/mlflow/roles/permissions/list", roles::permissions);
    let routes = both!(routes, patch, "3.0/mlflow/roles/permissions/update", roles::update_permission);
    let routes = both!(routes, post, "3.0/mlflow/roles/assign", roles::assign);
    let routes = both!(routes, delete, "3.0/mlflow/roles/unassign", roles::unassign);
    let routes = both!(routes, get, "3.0/mlflow/roles/users/list", roles::users);
    routes.about(ResourceType::Workspace).with_state(accounts)
}

/// What a person grants on this wire: a type, an id or `*`, and a permission in capitals.
fn granted(resource_type: &str, pattern: &str, permission: &str) -> Result<Grant, AccessError> {
    let (resource, id) = target(resource_type, pattern)?;
    let level: Level = permission.parse()?;
    Ok(Grant::new(resource, id, level)?)
}

fn target(resource_type: &str, pattern: &str) -> Result<(ResourceType, Option<String>), AccessError> {
    let resource: ResourceType = match resource_type {
        // They are registered models here, and are granted as such.
        "prompt" => ResourceType::RegisteredModel,
        other => other.parse()?,
    };
    if pattern.is_empty() {
        return Err(AccessError::invalid("resource_pattern", "it is empty; * is every one"));
    }
    Ok((resource, (pattern != "*").then(|| pattern.to_owned())))
}

fn word(level: Option<Level>) -> String {
    level.map_or_else(|| "NO_PERMISSIONS".to_owned(), |level| level.word().to_uppercase())
}

fn permission_view(one: &RoleGrant) -> Value {
    json!({
        "id": one.id,
        "role_id": one.role_id,
        "resource_type": one.grant.resource().word(),
        "resource_pattern": one.grant.id().unwrap_or("*"),
        "permission": word(Some(one.grant.level())),
    })
}

fn role_view(role: &Role) -> Value {
    json!({
        "id": role.id,
        "name": role.name,
        "workspace": WORKSPACE,
        "description": role.description,
        "permissions": role.grants.iter().map(permission_view).collect::<Vec<_>>(),
    })
}

/// Refuses roles of another workspace than `default`: they are for the whole server.
fn must_be_the_workspace(workspace: Option<&str>) -> Result<(), AccessError> {
    match workspace {
        None | Some("" | WORKSPACE) => Ok(()),
        Some(other) => Err(AccessError::invalid(
            "workspace",
            format!("{other} has no roles of its own: roles are for the whole server, and say {WORKSPACE}"),
        )),
    }
}

/// The fields of a request, from its body, or from its query where it has none, as some clients send deletions.
struct Fields<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Fields<T> {
    type Rejection = Problem;

    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        let uri = request.uri().clone();
        let body = JsonBody::from_request(request, state).await?;
        if !body.0.is_empty() {
            return body.parse().map(Self);
        }
        let mut parts = http::Request::new(()).into_parts().0;
        parts.uri = uri;
        let Query(fields) =
            <Query<T> as axum::extract::FromRequestParts<S>>::from_request_parts(&mut parts, state).await?;
        Ok(Self(fields))
    }
}

fn nothing() -> Json<Value> {
    Json(Value::Object(Map::new()))
}

/// An id, which comes as a number in a body and as a text in a query.
fn id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(i64),
        Text(String),
    }
    match <Written as serde::Deserialize>::deserialize(deserializer)? {
        Written::Number(id) => Ok(id),
        Written::Text(text) => text.parse().map_err(|_| serde::de::Error::custom("expected a whole number")),
    }
}
