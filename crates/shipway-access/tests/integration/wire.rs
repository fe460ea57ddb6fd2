//! The endpoints of MLflow's client of users and roles.

use http::Method;
use serde_json::{Value, json};

use super::app::{App, As, PASSWORD, ana};

#[tokio::test]
async fn users_roles_and_permissions_are_told_as_that_client_reads_them() {
    let app = App::new().await;
    let body = json!({ "username": "ana", "password": PASSWORD });
    let (status, made) = app.ask(As::Operator, Method::POST, "/api/2.0/mlflow/users/create", body).await;
    assert_eq!((status, made["user"]["username"].as_str()), (200, Some("ana")));
    let user_id = made["user"]["id"].as_i64().unwrap();
    let (_, current) = app.get(ana(), "/ajax-api/2.0/mlflow/users/current").await;
    assert_eq!(current["user"], json!({ "id": user_id, "username": "ana", "is_admin": false }));

    let body = json!({ "workspace": "default", "name": "readers" });
    let (_, made) = app.ask(As::Operator, Method::POST, "/api/3.0/mlflow/roles/create", body).await;
    let role_id = made["role"]["id"].as_i64().unwrap();
    assert_eq!((made["role"]["workspace"].as_str(), made["role"]["permissions"].clone()), (Some("default"), json!([])));
    let body = json!({ "role_id": role_id, "resource_type": "experiment", "resource_pattern": "*", "permission": "READ" });
    let (_, added) = app.ask(As::Operator, Method::POST, "/api/3.0/mlflow/roles/permissions/add", body).await;
    let permission = &added["role_permission"];
    assert_eq!((permission["resource_pattern"].as_str(), permission["permission"].as_str()), (Some("*"), Some("READ")));
    let body = json!({ "role_permission_id": permission["id"], "permission": "EDIT" });
    let (_, changed) = app.ask(As::Operator, Method::PATCH, "/api/3.0/mlflow/roles/permissions/update", body).await;
    assert_eq!(changed["role_permission"]["permission"], "EDIT");
    assert_eq!(changed["role_permission"]["id"], permission["id"]);
    let body = json!({ "username": "ana", "role_id": role_id });
    let (_, assigned) = app.ask(As::Operator, Method::POST, "/api/3.0/mlflow/roles/assign", body).await;
    assert_eq!(assigned["assignment"]["user_id"], user_id);
    let path = format!("/api/3.0/mlflow/roles/users/list?role_id={role_id}");
    assert_eq!(app.get(As::Operator, &path).await.1["assignments"][0]["role_id"], role_id);

    let level = |resource: &str, id: &str| {
        format!("/api/3.0/mlflow/users/permissions/get?username=ana&resource_type={resource}&resource_id={id}")
    };
    assert_eq!(app.get(ana(), &level("experiment", "7")).await.1, json!({ "allowed": true, "permission": "EDIT" }));
    assert_eq!(
        app.get(ana(), &level("prompt", "greeting")).await.1,
        json!({ "allowed": false, "permission": "NO_PERMISSIONS" })
    );
    let body = json!({ "username": "ana", "resource_type": "prompt", "resource_id": "greeting", "permission": "USE" });
    assert_eq!(app.ask(As::Operator, Method::POST, "/api/3.0/mlflow/users/permissions/grant", body).await.0, 200);
    assert_eq!(app.get(ana(), &level("registered_model", "greeting")).await.1["permission"], "USE");
    let (_, own) = app.get(ana(), "/api/3.0/mlflow/users/current/permissions").await;
    assert_eq!(own["permissions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_wrong_is_refused_by_name() {
    let app = App::with_ana().await;
    for (path, body) in [
        ("roles/create", json!({ "workspace": "elsewhere", "name": "x" })),
        ("roles/assign", json!({ "username": "ana" })),
        ("roles/permissions/add", json!({ "role_id": 1, "resource_type": "gateway_secret", "resource_pattern": "*", "permission": "READ" })),
        ("users/permissions/grant", json!({ "username": "ana", "resource_type": "experiment", "resource_id": "", "permission": "READ" })),
        ("users/permissions/grant", json!({ "username": "ana", "resource_type": "experiment", "resource_id": "1", "permission": "OWN" })),
    ] {
        let refused = app.ask(As::Operator, Method::POST, &format!("/api/3.0/mlflow/{path}"), body).await;
        assert_eq!(refused.0, 400, "{path}: {}", refused.1);
    }
    let missing = app.ask(As::Operator, Method::DELETE, "/api/3.0/mlflow/roles/delete", json!({ "role_id": 99 })).await;
    assert_eq!(missing.0, 404);
    // Every endpoint obeys who manages accounts, and nobody else.
    for (method, path) in [
        (Method::GET, "/api/2.0/mlflow/users/list"),
        (Method::GET, "/api/3.0/mlflow/roles/list"),
        (Method::GET, "/api/3.0/mlflow/roles/get?role_id=1"),
        (Method::GET, "/api/3.0/mlflow/roles/users/list?role_id=1"),
        (Method::GET, "/api/2.0/mlflow/users/get?username=bo"),
        (Method::GET, "/api/3.0/mlflow/users/permissions/list?username=bo"),
        (Method::DELETE, "/api/2.0/mlflow/users/delete?username=ana"),
    ] {
        assert_eq!(app.ask(ana(), method, path, Value::Null).await.0, 403, "{path}");
    }
}
