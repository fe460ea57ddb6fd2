//! A foreign wire gives every problem its own body; the native API does not change.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;

use crate::{Answer, ask, foreign, get, locked, native, open, post_json};

fn foreign_problem(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.headers["content-type"], "application/json");
    (answer.status.as_u16(), answer.json()["error_code"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn what_a_handler_refuses_has_the_body_of_its_wire() {
    let answer = get(&open(), "/foreign/refuse").await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(answer.json(), json!({ "error_code": "test.refused", "message": "the thing is taken" }));
    assert_eq!(get(&open(), "/refuse").await.problem(), "409 test.refused: the thing is taken");
    assert_eq!(get(&open(), "/refuse").await.json()["hint"], "take another");
}

#[tokio::test]
async fn what_stands_in_front_of_the_handler_has_the_body_of_its_wire_too() {
    let large = post_json(&open(), "/foreign/whole", "12345678901").await;
    assert_eq!(foreign_problem(&large), (413, "web.body_too_large".into()));
    let invalid = post_json(&open(), "/foreign/echo", "[").await;
    assert_eq!(foreign_problem(&invalid), (400, "web.invalid_json".into()));
    let method = get(&open(), "/foreign/echo").await;
    assert_eq!(foreign_problem(&method), (405, "web.wrong_method".into()));
    let unknown = get(&open(), "/foreign/nothing").await;
    assert_eq!(foreign_problem(&unknown), (404, "web.unknown_path".into()));
    let panic = get(&open(), "/foreign/panic").await;
    assert_eq!(foreign_problem(&panic), (500, "web.panic".into()));
    let stranger = get(&locked(), "/foreign/refuse").await;
    assert_eq!(foreign_problem(&stranger), (401, "web.no_credentials".into()));
    let rebound = Request::get("/foreign/refuse").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(foreign_problem(&ask(&open(), rebound).await), (403, "web.unknown_host".into()));
}

#[test]
fn every_route_says_what_it_demands() {
    let described: Vec<String> = native()
        .merge(foreign())
        .descriptions()
        .map(|route| {
            format!("{} {} {:?} {}", route.method, route.path, route.permission, route.body_limit_bytes)
        })
        .collect();
    assert_eq!(described.len(), 13);
    assert_eq!(described[0], "GET /greet/{name} Read 16777216");
    assert!(described.contains(&"PUT /stream Write 10".to_owned()));
}

#[test]
#[should_panic(expected = "Overlapping method route")]
fn two_routes_for_one_method_and_path_do_not_start() {
    let _ = native().merge(native()).into_router(std::sync::Arc::new(shipway_web::Guard::open_on_loopback()));
}
