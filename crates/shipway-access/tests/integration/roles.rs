//! Roles: what they grant, and to whom.

use http::Method;
use serde_json::{Value, json};

use super::app::{App, As, ana, code};

#[tokio::test]
async fn a_role_grants_to_everybody_who_has_it_while_they_have_it() {
    let app = App::with_ana().await;
    let body = json!({ "name": "data scientists", "description": "read tables", "grants": ["table:read", "experiment:edit"] });
    let (status, made) = app.ask(As::Operator, Method::POST, "/api/v1/roles", body.clone()).await;
    assert_eq!((status, made["grants"].clone()), (201, json!(["table:read", "experiment:edit"])));
    assert_eq!(code(&app.ask(As::Operator, Method::POST, "/api/v1/roles", body).await), (409, "access.exists"));
    assert_eq!(app.reads_tables(ana()).await, 403);

    let assigned = "/api/v1/users/ana/roles/data%20scientists";
    assert_eq!(app.ask(As::Operator, Method::PUT, assigned, Value::Null).await.0, 204);
    assert_eq!(app.ask(As::Operator, Method::PUT, assigned, Value::Null).await.0, 204, "once more is the same");
    assert_eq!(app.reads_tables(ana()).await, 200);
    let (_, me) = app.get(ana(), "/api/v1/me").await;
    assert_eq!(me["account"]["roles"], json!(["data scientists"]));
    assert_eq!(me["account"]["grants"][0], json!({ "grant": "table:read", "role": "data scientists" }));
    let (_, shown) = app.get(As::Operator, "/api/v1/roles/data%20scientists").await;
    assert_eq!(shown["users"], json!(["ana"]));

    let on = "/api/v1/roles/data%20scientists/grants?on=table";
    assert_eq!(app.ask(As::Operator, Method::DELETE, on, Value::Null).await.0, 204);
    assert_eq!(app.reads_tables(ana()).await, 403);
    let grants = "/api/v1/roles/data%20scientists/grants";
    assert_eq!(app.ask(As::Operator, Method::POST, grants, json!({ "grant": "table:manage" })).await.0, 204);
    assert_eq!(app.reads_tables(ana()).await, 200);
    assert_eq!(app.ask(As::Operator, Method::DELETE, "/api/v1/roles/data%20scientists", Value::Null).await.0, 204);
    assert_eq!(app.reads_tables(ana()).await, 403);
}

#[tokio::test]
async fn a_denial_in_one_role_outweighs_another_role() {
    let app = App::with_ana().await;
    for (name, grant) in [("readers", "table:edit"), ("suspended", "table:deny")] {
        let body = json!({ "name": name, "grants": [grant] });
        assert_eq!(app.ask(As::Operator, Method::POST, "/api/v1/roles", body).await.0, 201);
        let path = format!("/api/v1/users/ana/roles/{name}");
        assert_eq!(app.ask(As::Operator, Method::PUT, &path, Value::Null).await.0, 204);
    }
    assert_eq!(app.reads_tables(ana()).await, 403);
    let path = "/api/v1/users/ana/roles/suspended";
    assert_eq!(app.ask(As::Operator, Method::DELETE, path, Value::Null).await.0, 204);
    assert_eq!(app.reads_tables(ana()).await, 200);
    assert_eq!(code(&app.ask(As::Operator, Method::DELETE, path, Value::Null).await), (404, "access.not_found"));
}

#[tokio::test]
async fn what_is_no_grant_is_refused_with_what_would_be_one() {
    let app = App::with_ana().await;
    for (grant, hint) in [
        ("tables:read", "types: experiment"),
        ("table:own", "levels: deny"),
        ("table/x:read", "leave the id out"),
        ("workspace:edit", "use: create"),
        ("table", "TYPE:LEVEL"),
    ] {
        let refused = app
            .ask(As::Operator, Method::POST, "/api/v1/users/ana/grants", json!({ "grant": grant }))
            .await;
        assert_eq!(code(&refused), (400, "access.not_a_grant"), "{grant}");
        assert!(refused.1["hint"].as_str().unwrap().contains(hint), "{}", refused.1);
    }
    // A role is made with all of its grants or not at all.
    let body = json!({ "name": "half", "grants": ["table:read", "nonsense"] });
    assert_eq!(app.ask(As::Operator, Method::POST, "/api/v1/roles", body).await.0, 400);
    assert_eq!(app.get(As::Operator, "/api/v1/roles/half").await.0, 404);
}
