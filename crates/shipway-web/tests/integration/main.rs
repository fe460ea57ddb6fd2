//! Routes as a client meets them: what gets in, what is refused, and in which words.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bodies;
mod grpc;
mod observation;
mod refusals;
mod rendering;
mod spans;

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use http::{HeaderMap, Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shipway_core::{Kind, Name, Permission};
use shipway_web::{
    Authentication, BodyBytes, BodyStream, Caller, Guard, Json, Path, Problem, Query, RequestId, Routes,
    Token,
};
use tower::ServiceExt;

pub(crate) const SECRET: &str = "a secret of good length";

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    values: Vec<f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    limit: u32,
}

#[derive(Clone)]
pub(crate) struct Greeting(&'static str);

async fn greet(
    axum::extract::State(Greeting(greeting)): axum::extract::State<Greeting>,
    caller: Caller,
    Path(name): Path<Name>,
) -> String {
    format!("{greeting} {name}, says {}", caller.name)
}

async fn echo(Json(row): Json<Row>) -> Json<Row> {
    Json(row)
}

async fn page(Query(page): Query<Page>) -> String {
    page.limit.to_string()
}

async fn whole(BodyBytes(bytes): BodyBytes) -> String {
    bytes.len().to_string()
}

async fn stream(mut body: BodyStream) -> Result<String, Problem> {
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        length += chunk?.len();
    }
    Ok(length.to_string())
}

async fn refuse() -> Result<(), Problem> {
    Err(Problem::new(Kind::Conflict, "test.refused", "the thing is taken").with_hint("take another"))
}

async fn fall() -> String {
    panic!("a defect")
}

async fn own_id(RequestId(id): RequestId) -> String {
    id
}

pub(crate) fn foreign_body(problem: Problem) -> Response {
    let body = serde_json::json!({ "error_code": problem.code(), "message": problem.detail() });
    (problem.status(), axum::Json(body)).into_response()
}

pub(crate) fn native() -> Routes {
    Routes::new().get("/greet/{name}", Permission::Read, greet).with_state(Greeting("hello")).merge(
        Routes::new()
            .get("/healthz", Permission::Public, async || "ok")
            .post("/echo", Permission::Use, echo)
            .get("/page", Permission::Read, page)
            .get("/refuse", Permission::Read, refuse)
            .get("/panic", Permission::Read, fall)
            .get("/id", Permission::Read, own_id)
            .post_with_limit("/whole", Permission::Write, 10, whole)
            .put_with_limit("/stream", Permission::Write, 10, stream),
    )
}

pub(crate) fn foreign() -> Routes {
    Routes::new()
        .get("/foreign/refuse", Permission::Read, refuse)
        .get("/foreign/panic", Permission::Read, fall)
        .post("/foreign/echo", Permission::Write, echo)
        .post_with_limit("/foreign/whole", Permission::Write, 10, whole)
        .with_problem_renderer(foreign_body)
        .with_unknown_path_renderer("/foreign/", foreign_body)
}

pub(crate) fn open() -> Router {
    native().merge(foreign()).into_router(Arc::new(Guard::open_on_loopback()))
}

pub(crate) fn locked() -> Router {
    let token = Token::new(SECRET).unwrap();
    native().merge(foreign()).into_router(Arc::new(Guard::new(Authentication::Token(token))))
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Status, code and detail in one line.
    pub(crate) fn problem(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let body = self.json();
        format!("{} {}: {}", body["status"], body["code"].as_str().unwrap(), body["detail"].as_str().unwrap())
    }
}

pub(crate) async fn ask(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

pub(crate) async fn get(router: &Router, path: &str) -> Answer {
    ask(router, Request::get(path).body(Body::empty()).unwrap()).await
}

pub(crate) async fn post_json(router: &Router, path: &str, body: &str) -> Answer {
    let request = Request::post(path).header("content-type", "application/json");
    ask(router, request.body(Body::from(body.to_owned())).unwrap()).await
}
