//! Users: who is let in, what they may do, and who may change it.

use http::Method;
use serde_json::{Value, json};
use shipway_core::{Permission, ResourceType};
use shipway_store::audit;
use shipway_web::Caller;

use super::app::{App, As, OPERATOR, PASSWORD, ana, code};

#[tokio::test]
async fn a_user_signs_in_with_their_password_and_nobody_else() {
    let app = App::with_ana().await;
    let (status, me) = app.get(ana(), "/api/v1/me").await;
    assert_eq!((status, me["name"].as_str()), (200, Some("ana")));
    assert_eq!((me["unrestricted"].clone(), me["by_token"].clone()), (json!(false), json!(false)));
    for wrong in [
        As::Password("ana", "correct horse batterz"),
        As::Password("anna", PASSWORD),
        As::Password("", PASSWORD),
        As::Token(PASSWORD),
        As::Token("shipway_0123456789abcdef_00"),
    ] {
        assert_eq!(code(&app.get(wrong, "/api/v1/me").await), (401, "web.wrong_credentials"));
    }
    // The operator's token is let in under any name.
    let (status, me) = app.get(As::Password("jo", OPERATOR), "/api/v1/me").await;
    assert_eq!((status, me["name"].as_str(), me["unrestricted"].clone()), (200, Some("jo"), json!(true)));
}

#[tokio::test]
async fn who_was_granted_nothing_may_do_nothing_and_a_grant_is_in_force_at_once() {
    let app = App::with_ana().await;
    assert_eq!(code(&app.get(ana(), "/tables").await), (403, "web.forbidden"));
    app.grants("ana", "table:read").await;
    assert_eq!(app.reads_tables(ana()).await, 200);
    assert_eq!(app.ask(ana(), Method::POST, "/tables", Value::Null).await.0, 403);
    app.grants("ana", "table:edit").await;
    assert_eq!(app.ask(ana(), Method::POST, "/tables", Value::Null).await.0, 200);
    let revoked = app.ask(As::Operator, Method::DELETE, "/api/v1/users/ana/grants?on=table", Value::Null).await;
    assert_eq!(revoked.0, 204);
    assert_eq!(app.reads_tables(ana()).await, 403);
    let again = app.ask(As::Operator, Method::DELETE, "/api/v1/users/ana/grants?on=table", Value::Null).await;
    assert_eq!(code(&again), (404, "access.not_found"));
}

#[tokio::test]
async fn a_route_of_which_nobody_says_what_it_is_about_is_closed_to_users() {
    let app = App::with_ana().await;
    for resource in ["experiment", "table", "server", "definition"] {
        app.grants("ana", &format!("{resource}:manage")).await;
    }
    assert_eq!(app.get(ana(), "/unsaid").await.0, 403);
    assert_eq!(app.get(As::Operator, "/unsaid").await.0, 200);
}

#[tokio::test]
async fn a_weak_password_is_refused_and_leaves_nobody() {
    let app = App::new().await;
    for password in ["short", "password1234", "bartholomew-1", "aaaaaaaaaaaaaaaa", "123456789012"] {
        let body = json!({ "name": "bartholomew", "password": password });
        let refused = app.ask(As::Operator, Method::POST, "/api/v1/users", body).await;
        assert_eq!(code(&refused), (400, "access.weak_password"), "{password}");
        assert!(!refused.1.to_string().contains(password), "a password is never repeated");
    }
    assert_eq!(app.get(As::Operator, "/api/v1/users/bartholomew").await.0, 404);
    let body = json!({ "name": "a:b", "password": PASSWORD });
    assert_eq!(code(&app.ask(As::Operator, Method::POST, "/api/v1/users", body).await), (400, "access.invalid"));
    app.has_user("ana").await;
    let body = json!({ "name": "ana", "password": PASSWORD });
    assert_eq!(code(&app.ask(As::Operator, Method::POST, "/api/v1/users", body).await), (409, "access.exists"));
}

#[tokio::test]
async fn who_changes_their_password_must_know_it_and_the_old_one_is_good_no_more() {
    let app = App::with_ana().await;
    let path = "/api/v1/users/ana/password";
    let new = "battery staple horse";
    for (current, expected) in
        [(None, (400, "access.invalid")), (Some("not the password"), (403, "access.wrong_password"))]
    {
        let body = json!({ "password": new, "current_password": current });
        assert_eq!(code(&app.ask(ana(), Method::PUT, path, body).await), expected);
    }
    let body = json!({ "password": new, "current_password": PASSWORD });
    assert_eq!(app.ask(ana(), Method::PUT, path, body).await.0, 204);
    assert_eq!(app.get(ana(), "/api/v1/me").await.0, 401, "it was known by its digest before");
    assert_eq!(app.get(As::Password("ana", new), "/api/v1/me").await.0, 200);
    // Who rules the account needs none.
    let body = json!({ "password": PASSWORD });
    assert_eq!(app.ask(As::Operator, Method::PUT, path, body).await.0, 204);
    assert_eq!(app.get(ana(), "/api/v1/me").await.0, 200);
}

#[tokio::test]
async fn who_tries_passwords_is_stopped_and_who_is_known_is_not() {
    let app = App::with_ana().await;
    assert_eq!(app.get(ana(), "/api/v1/me").await.0, 200);
    for attempt in 0..10 {
        let guess = format!("correct horse {attempt:08}");
        assert_eq!(app.get(As::Password("ana", &guess), "/api/v1/me").await.0, 401);
    }
    let stopped = app.get(As::Password("ana", "one more guess"), "/api/v1/me").await;
    assert_eq!(code(&stopped), (429, "access.too_many_attempts"));
    assert_eq!(app.get(ana(), "/api/v1/me").await.0, 200, "a secret that was compared before is known");
    assert_eq!(app.get(As::Password("bo", "another user"), "/api/v1/me").await.0, 401);
}

#[tokio::test]
async fn who_manages_the_workspace_manages_users_but_no_admin() {
    let app = App::with_ana().await;
    app.has_user("bo").await;
    let body = json!({ "name": "root", "password": PASSWORD, "admin": true });
    assert_eq!(app.ask(As::Operator, Method::POST, "/api/v1/users", body).await.0, 201);
    for path in ["/api/v1/users", "/api/v1/users/bo", "/api/v1/roles"] {
        assert_eq!(code(&app.get(ana(), path).await), (403, "access.forbidden"), "{path}");
    }
    // Whether somebody has an account is nobody's business.
    assert_eq!(app.get(ana(), "/api/v1/users/nobody").await.0, 403);

    app.grants("ana", "workspace:manage").await;
    let (status, users) = app.get(ana(), "/api/v1/users").await;
    assert_eq!((status, users["users"].as_array().unwrap().len()), (200, 3));
    assert!(!users.to_string().contains("argon2"));
    for (method, path, body) in [
        (Method::PATCH, "/api/v1/users/ana", json!({ "admin": true })),
        (Method::PUT, "/api/v1/users/root/password", json!({ "password": "battery staple horse" })),
        (Method::DELETE, "/api/v1/users/root", Value::Null),
        (Method::POST, "/api/v1/users", json!({ "name": "eve", "password": PASSWORD, "admin": true })),
        (Method::POST, "/api/v1/tokens", json!({ "name": "t", "user": "root" })),
    ] {
        assert_eq!(code(&app.ask(ana(), method, path, body).await), (403, "access.forbidden"), "{path}");
    }
    assert_eq!(app.ask(ana(), Method::DELETE, "/api/v1/users/bo", Value::Null).await.0, 204);
    assert_eq!(app.get(As::Password("bo", PASSWORD), "/api/v1/me").await.0, 401);
    let admin = As::Password("root", PASSWORD);
    assert_eq!(app.ask(admin, Method::PATCH, "/api/v1/users/ana", json!({ "admin": true })).await.0, 200);
    assert_eq!(app.get(ana(), "/unsaid").await.0, 200);
}

#[tokio::test]
async fn a_creator_manages_what_they_made_and_passes_it_on() {
    let app = App::with_ana().await;
    app.has_user("bo").await;
    app.grants("ana", "workspace:use").await;
    let caller = as_caller(&app, ana()).await;
    assert!(caller.access.may_create_in(ResourceType::Experiment, "default"));
    app.accounts.made(&caller, ResourceType::Experiment, "7").await.unwrap();

    assert!(may(&app, "ana", "7", Permission::Manage).await);
    let body = json!({ "grant": "experiment/7:edit" });
    assert_eq!(app.ask(ana(), Method::POST, "/api/v1/users/bo/grants", body).await.0, 204);
    assert!(may(&app, "bo", "7", Permission::Write).await);
    for grant in ["experiment/8:read", "experiment:read", "workspace:use", "table:read"] {
        let refused = app.ask(ana(), Method::POST, "/api/v1/users/bo/grants", json!({ "grant": grant })).await;
        assert_eq!(code(&refused), (403, "access.forbidden"), "{grant}");
    }
    // Who may only edit grants nothing.
    let body = json!({ "grant": "experiment/7:manage" });
    let bo = As::Password("bo", PASSWORD);
    assert_eq!(app.ask(bo, Method::POST, "/api/v1/users/bo/grants", body).await.0, 403);
}

#[tokio::test]
async fn grants_follow_a_new_name_and_end_with_the_thing() {
    let app = App::with_ana().await;
    let operator = Caller::operator("operator");
    let models = ResourceType::RegisteredModel;
    app.grants("ana", "registered_model/churn:edit").await;
    app.grants("ana", "registered_model/fraud:manage").await;
    app.accounts.renamed(&operator, models, "churn", "fraud").await.unwrap();
    assert_eq!(level(&app, "fraud").await, "edit", "what was granted on an earlier model of that name is gone");
    assert_eq!(level(&app, "churn").await, "none");
    app.accounts.gone(&operator, models, "fraud").await.unwrap();
    assert_eq!(level(&app, "fraud").await, "none");
}

#[tokio::test]
async fn accounts_survive_a_restart_and_their_history_holds_no_secret() {
    let app = App::with_ana().await;
    app.grants("ana", "table:read").await;
    let token = app.token_of(ana(), &[]).await;
    let entries = audit::list(&app.store, 100).await.unwrap();
    let history: String = entries.iter().map(|one| format!("{:?}", one.entry)).collect();
    for secret in [PASSWORD, OPERATOR, &token, "argon2", token.rsplit('_').next().unwrap()] {
        assert!(!history.contains(secret), "{secret}");
    }
    let actions: Vec<&str> = entries.iter().rev().map(|one| one.entry.action.as_str()).collect();
    assert_eq!(actions, ["access.create_user", "access.grant", "access.create_token"]);
    assert_eq!(entries[0].entry.actor, "ana");

    let app = App::over(app.store.clone()).await;
    assert_eq!(app.reads_tables(ana()).await, 200);
    assert_eq!(app.reads_tables(As::Token(&token)).await, 200);
}

#[tokio::test]
async fn where_nobody_is_asked_no_accounts_are_made() {
    let app = App::new().await;
    let accounts = shipway_access::Accounts::open(app.store.clone(), app.clock.clone(), false).await.unwrap();
    let guard = shipway_web::Guard::open_on_loopback();
    let router = shipway_access::routes(accounts).into_router(std::sync::Arc::new(guard));
    let request = http::Request::post("/api/v1/users")
        .body(axum::body::Body::from(json!({ "name": "ana", "password": PASSWORD }).to_string()));
    let response = tower::ServiceExt::oneshot(router, request.unwrap()).await.unwrap();
    assert_eq!(response.status().as_u16(), 409);
}

async fn as_caller(app: &App, who: As<'_>) -> Caller {
    use shipway_web::{Credentials, Identify};
    let As::Password(user, password) = who else { return Caller::operator("operator") };
    let credentials = Credentials::Basic { user: user.into(), password: password.into() };
    app.accounts.identify(&credentials).await.unwrap().unwrap()
}

async fn may(app: &App, user: &str, id: &str, permission: Permission) -> bool {
    as_caller(app, As::Password(user, PASSWORD)).await.access.allows(ResourceType::Experiment, id, permission)
}

async fn level(app: &App, model: &str) -> String {
    let access = as_caller(app, ana()).await.access;
    access.level(ResourceType::RegisteredModel, Some(model)).map_or("none", shipway_core::Level::word).to_owned()
}
