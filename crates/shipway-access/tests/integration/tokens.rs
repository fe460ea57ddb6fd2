//! Tokens: what they can do, for how long, and who makes them.

use http::Method;
use serde_json::{Value, json};
use shipway_core::Timestamp;

use super::app::{App, As, BEGINNING, ana, code};

const DAY_US: i64 = 86_400_000_000;

#[tokio::test]
async fn a_token_stands_for_its_user_within_its_scopes() {
    let app = App::with_ana().await;
    app.grants("ana", "table:edit").await;
    let (whole, reading) = (app.token_of(ana(), &[]).await, app.token_of(ana(), &["table:read"]).await);
    assert!(whole.starts_with("shipway_"), "{whole}");
    assert_eq!(app.ask(As::Token(&whole), Method::POST, "/tables", Value::Null).await.0, 200);
    // As a password too, for clients that know nothing else.
    assert_eq!(app.reads_tables(As::Password("whoever", &reading)).await, 200);
    assert_eq!(app.ask(As::Token(&reading), Method::POST, "/tables", Value::Null).await.0, 403);
    let (_, me) = app.get(As::Token(&reading), "/api/v1/me").await;
    assert_eq!((me["name"].as_str(), me["by_token"].clone()), (Some("ana"), json!(true)));

    // Scopes give nothing that the user may not do.
    let dreaming = app.token_of(ana(), &["workspace:manage"]).await;
    assert_eq!(app.reads_tables(As::Token(&dreaming)).await, 200);
    assert_eq!(app.get(As::Token(&dreaming), "/api/v1/users").await.0, 403);
    let revoked = app.ask(As::Operator, Method::DELETE, "/api/v1/users/ana/grants?on=table", Value::Null).await;
    assert_eq!(revoked.0, 204);
    assert_eq!(app.reads_tables(As::Token(&whole)).await, 403);
}

#[tokio::test]
async fn a_token_of_an_admin_is_bounded_by_its_scopes() {
    let app = App::with_ana().await;
    assert_eq!(app.ask(As::Operator, Method::PATCH, "/api/v1/users/ana", json!({ "admin": true })).await.0, 200);
    let reading = app.token_of(ana(), &["table:read"]).await;
    assert_eq!(app.reads_tables(As::Token(&reading)).await, 200);
    for path in ["/unsaid", "/api/v1/users"] {
        assert_eq!(app.get(As::Token(&reading), path).await.0, 403, "{path}");
    }
    let body = json!({ "admin": false });
    assert_eq!(app.ask(As::Token(&reading), Method::PATCH, "/api/v1/users/ana", body).await.0, 403);
}

#[tokio::test]
async fn a_token_expires_on_its_day_and_can_be_taken_back_before() {
    let app = App::with_ana().await;
    app.grants("ana", "table:read").await;
    let body = json!({ "name": "a week", "days": 7 });
    let (_, made) = app.ask(ana(), Method::POST, "/api/v1/tokens", body).await;
    let token = made["token"].as_str().unwrap().to_owned();
    app.clock.set(Timestamp(BEGINNING + 7 * DAY_US - 1));
    assert_eq!(app.reads_tables(As::Token(&token)).await, 200);
    app.clock.set(Timestamp(BEGINNING + 7 * DAY_US));
    assert_eq!(app.reads_tables(As::Token(&token)).await, 401, "although it was known before");
    let (_, listed) = app.get(ana(), "/api/v1/tokens").await;
    assert_eq!((listed["tokens"][0]["expired"].clone(), listed["tokens"][0]["name"].clone()), (json!(true), json!("a week")));
    assert!(!listed.to_string().contains(token.rsplit('_').next().unwrap()), "a token is shown once");

    let other = app.token_of(ana(), &[]).await;
    assert_eq!(app.reads_tables(As::Token(&other)).await, 200);
    let id = other.split('_').nth(1).unwrap();
    assert_eq!(app.ask(ana(), Method::DELETE, &format!("/api/v1/tokens/{id}"), Value::Null).await.0, 204);
    assert_eq!(app.reads_tables(As::Token(&other)).await, 401);
}

#[tokio::test]
async fn a_token_makes_no_tokens_and_nobody_makes_one_for_another_or_without_an_end() {
    let app = App::with_ana().await;
    app.has_user("bo").await;
    app.grants("ana", "workspace:manage").await;
    let token = app.token_of(ana(), &[]).await;
    let body = |more: Value| {
        let mut body = json!({ "name": "t" });
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    };
    let path = "/api/v1/tokens";
    let refused = app.ask(As::Token(&token), Method::POST, path, body(json!({}))).await;
    assert_eq!(code(&refused), (403, "access.forbidden"));
    let bo = As::Password("bo", super::app::PASSWORD);
    assert_eq!(app.ask(bo, Method::POST, path, body(json!({ "user": "ana" }))).await.0, 403);
    for days in [0, 367] {
        assert_eq!(app.ask(ana(), Method::POST, path, body(json!({ "days": days }))).await.0, 400, "{days}");
    }
    assert_eq!(app.ask(ana(), Method::POST, path, body(json!({ "name": "" }))).await.0, 400);
    assert_eq!(app.ask(ana(), Method::POST, path, body(json!({ "scopes": ["all"] }))).await.0, 400);
    // The operator has no account, so they say for whom.
    assert_eq!(app.ask(As::Operator, Method::POST, path, body(json!({}))).await.0, 400);
    assert_eq!(app.ask(As::Operator, Method::POST, path, body(json!({ "user": "bo" }))).await.0, 201);
    // Somebody else's token is none.
    let own = app.token_of(bo, &[]).await;
    let id = own.split('_').nth(1).unwrap();
    let stranger = App::with_ana().await;
    assert_eq!(stranger.ask(ana(), Method::DELETE, &format!("{path}/{id}"), Value::Null).await.0, 404);
    let revoke = app.ask(As::Operator, Method::DELETE, "/api/v1/users/ana/grants?on=workspace", Value::Null).await;
    assert_eq!(revoke.0, 204);
    assert_eq!(app.ask(ana(), Method::DELETE, &format!("{path}/{id}"), Value::Null).await.0, 404);
    assert_eq!(app.get(As::Token(&own), "/api/v1/me").await.0, 200);
}

#[tokio::test]
async fn a_user_without_a_password_signs_in_with_tokens_only() {
    let app = App::new().await;
    let body = json!({ "name": "ci" });
    assert_eq!(app.ask(As::Operator, Method::POST, "/api/v1/users", body).await.0, 201);
    app.grants("ci", "table:read").await;
    let body = json!({ "name": "pipeline", "user": "ci" });
    let (_, made) = app.ask(As::Operator, Method::POST, "/api/v1/tokens", body).await;
    assert_eq!(app.reads_tables(As::Token(made["token"].as_str().unwrap())).await, 200);
    for guess in ["", "null", "ci"] {
        assert_eq!(app.reads_tables(As::Password("ci", guess)).await, 401);
    }
    assert_eq!(app.ask(As::Operator, Method::DELETE, "/api/v1/users/ci", Value::Null).await.0, 204);
    assert_eq!(app.reads_tables(As::Token(made["token"].as_str().unwrap())).await, 401);
}
