//! The server under test, and the words to drive it with.

use std::sync::Arc;

use axum::{Router, body::Body};
use http::{Method, Request};
use serde_json::{Value, json};
use shipway_access::Accounts;
use shipway_core::{ManualClock, Permission, ResourceType, Timestamp};
use shipway_store::Store;
use shipway_web::{Authentication, Caller, Guard, Routes, Token};
use tower::ServiceExt;

/// The token of the operator.
pub(crate) const OPERATOR: &str = "the operator's own token";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const BEGINNING: i64 = 1_700_000_000_000_000;

pub(crate) struct App {
    router: Router,
    pub(crate) accounts: Accounts,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
}

/// How a caller makes itself known.
#[derive(Clone, Copy)]
pub(crate) enum As<'a> {
    Operator,
    Password(&'a str, &'a str),
    Token(&'a str),
}

pub(crate) fn ana() -> As<'static> {
    As::Password("ana", PASSWORD)
}

async fn whoami(caller: Caller) -> String {
    caller.name
}

/// Things that are granted, as another part of the server has them.
fn things() -> Routes<()> {
    Routes::new()
        .get("/tables", Permission::Read, whoami)
        .post("/tables", Permission::Write, whoami)
        .about(ResourceType::Table)
        .merge(Routes::new().get("/unsaid", Permission::Read, whoami))
}

impl App {
    pub(crate) async fn new() -> Self {
        Self::over(super::empty_store().await).await
    }

    pub(crate) async fn over(store: Store) -> Self {
        let clock = Arc::new(ManualClock::at(Timestamp(BEGINNING)));
        let accounts = Accounts::open(store.clone(), clock.clone(), true).await.unwrap();
        let guard = Guard::new(Authentication::Token(Token::new(OPERATOR).unwrap()));
        let router = shipway_access::routes(accounts.clone())
            .merge(shipway_access::mlflow_routes(accounts.clone()))
            .merge(things())
            .into_router(Arc::new(guard.with_users(Arc::new(accounts.clone()))));
        Self { router, accounts, store, clock }
    }

    /// Where `ana` is a user who may do nothing.
    pub(crate) async fn with_ana() -> Self {
        let app = Self::new().await;
        app.has_user("ana").await;
        app
    }

    pub(crate) async fn has_user(&self, name: &str) {
        let body = json!({ "name": name, "password": PASSWORD });
        let made = self.ask(As::Operator, Method::POST, "/api/v1/users", body).await;
        assert_eq!(made.0, 201, "{}", made.1);
    }

    pub(crate) async fn grants(&self, user: &str, grant: &str) {
        let path = format!("/api/v1/users/{user}/grants");
        let granted = self.ask(As::Operator, Method::POST, &path, json!({ "grant": grant })).await;
        assert_eq!(granted.0, 204, "{}", granted.1);
    }

    /// A token of a user, made with their password.
    pub(crate) async fn token_of(&self, user: As<'_>, scopes: &[&str]) -> String {
        let body = json!({ "name": "a token", "scopes": scopes });
        let made = self.ask(user, Method::POST, "/api/v1/tokens", body).await;
        assert_eq!(made.0, 201, "{}", made.1);
        made.1["token"].as_str().unwrap().to_owned()
    }

    /// Status and JSON; null when there is none.
    pub(crate) async fn ask(&self, who: As<'_>, method: Method, path: &str, body: Value) -> (u16, Value) {
        let credentials = match who {
            As::Operator => format!("Bearer {OPERATOR}"),
            As::Token(token) => format!("Bearer {token}"),
            As::Password(user, password) => basic(user, password),
        };
        let mut request = Request::builder().method(method).uri(path).header("authorization", credentials);
        let body = if body.is_null() {
            Body::empty()
        } else {
            request = request.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub(crate) async fn get(&self, who: As<'_>, path: &str) -> (u16, Value) {
        self.ask(who, Method::GET, path, Value::Null).await
    }

    /// The status of a read of every table.
    pub(crate) async fn reads_tables(&self, who: As<'_>) -> u16 {
        self.get(who, "/tables").await.0
    }
}

fn basic(user: &str, password: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = format!("{user}:{password}").into_bytes();
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..=chunk.len() {
            text.push(char::from(LETTERS[(group >> (18 - 6 * place)) as usize & 63]));
        }
    }
    format!("Basic {text}")
}

pub(crate) fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}
