//! gRPC methods are routes: they demand a permission, and their refusals are those of their wire.

use std::{convert::Infallible, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
};
use http::StatusCode;
use shipway_core::{Kind, Permission};
use shipway_web::{Authentication, BodyError, Caller, Guard, Problem, Routes, Token};
use tonic::Status;

use crate::{Answer, SECRET, ask, get};

/// Answers with the caller's name, or refuses by the name of the method.
async fn call(request: Request) -> Result<Response, Infallible> {
    let caller = request.extensions().get::<Caller>().unwrap().name.clone();
    let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
    let body = axum::body::to_bytes(request.into_body(), usize::MAX).await;
    Ok(match method.as_str() {
        "Panic" => panic!("a defect"),
        "Refuse" => {
            let problem = Problem::new(Kind::Conflict, "test.refused", "taken").with_hint("take another");
            Status::from(problem).into_http()
        }
        _ if body.is_err() => {
            Status::from(Problem::from(BodyError::TooLarge { limit_bytes: 10 })).into_http()
        }
        _ => caller.into_response(),
    })
}

fn router(guard: Guard) -> Router {
    Routes::new()
        .grpc_with_limit("/test.Things/Use", Permission::Use, 10, tower::service_fn(call))
        .grpc("/test.Others/{*method}", Permission::Public, tower::service_fn(call))
        .with_unknown_grpc_methods("/test.Things/")
        .into_router(Arc::new(guard))
}

fn locked() -> Router {
    router(Guard::new(Authentication::Token(Token::new(SECRET).unwrap())))
}

async fn call_on(router: &Router, path: &str, authorization: &str, body: Body) -> Answer {
    let request = Request::post(path).header("content-type", "application/grpc");
    ask(router, request.header("authorization", authorization).body(body).unwrap()).await
}

fn failure(answer: &Answer) -> [&str; 4] {
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (StatusCode::OK, &"application/grpc".parse().unwrap())
    );
    ["grpc-status", "grpc-message", "shipway-code", "shipway-hint"]
        .map(|name| answer.headers.get(name).map_or("", |value| value.to_str().unwrap()))
}

#[tokio::test]
async fn a_method_demands_its_permission_and_sees_its_caller() {
    let right = call_on(&locked(), "/test.Things/Use", &format!("Bearer {SECRET}"), Body::empty()).await;
    assert_eq!(right.text, "token");
    let stranger = call_on(&locked(), "/test.Things/Use", "", Body::empty()).await;
    assert_eq!(failure(&stranger)[0], "16");
    assert_eq!(failure(&stranger)[2], "web.unreadable_credentials");
    let public = call_on(&locked(), "/test.Others/Anything", "", Body::empty()).await;
    assert_eq!(public.text, "anonymous");
}

#[tokio::test]
async fn what_is_refused_has_a_grpc_status_with_code_and_hint() {
    let open = router(Guard::open_on_loopback());
    let refused = call_on(&open, "/test.Others/Refuse", "", Body::empty()).await;
    assert_eq!(failure(&refused), ["9", "taken", "test.refused", "take another"]);
    let panic = call_on(&open, "/test.Others/Panic", "", Body::empty()).await;
    assert_eq!(
        failure(&panic)[..3],
        ["13", "the%20server%20met%20a%20defect%20while%20it%20answered", "web.panic"]
    );
    let large = call_on(&open, "/test.Things/Use", "", Body::from("12345678901")).await;
    assert_eq!((failure(&large)[0], failure(&large)[2]), ("11", "web.body_too_large"));
    let rebound =
        Request::post("/test.Things/Use").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(failure(&ask(&open, rebound).await)[0], "7");
}

#[tokio::test]
async fn a_method_that_is_not_there_is_unimplemented() {
    let open = router(Guard::open_on_loopback());
    let unknown = call_on(&open, "/test.Things/Nothing", "", Body::empty()).await;
    assert_eq!((failure(&unknown)[0], failure(&unknown)[2]), ("12", "web.unknown_path"));
    assert_eq!(failure(&get(&open, "/test.Things/Use").await)[0], "12");
}
