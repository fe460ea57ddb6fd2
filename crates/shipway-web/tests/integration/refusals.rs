//! What is refused, and in which words.

use axum::body::Body;
use http::{Request, StatusCode};

use crate::{SECRET, ask, get, locked, open, post_json};

#[tokio::test]
async fn a_handler_sees_its_state_its_caller_and_its_path() {
    assert_eq!(get(&open(), "/greet/world").await.text, "hello world, says local");
}

#[tokio::test]
async fn an_unknown_path_and_a_wrong_method_are_problems() {
    let unknown = get(&open(), "/nowhere").await;
    assert_eq!(unknown.problem(), "404 web.unknown_path: path /nowhere: nothing is there");

    let wrong = get(&open(), "/echo").await;
    assert_eq!(wrong.problem(), "405 web.wrong_method: path /echo: GET is not possible");
    assert_eq!(wrong.headers["allow"], "POST");
}

#[tokio::test]
async fn a_wrong_field_is_named_with_its_line() {
    let answer = post_json(&open(), "/echo", "{\n  \"values\": [1, 2, \"x\"]\n}").await;
    assert_eq!(
        answer.problem(),
        "400 web.invalid_body: request body: values[2]: invalid type: string \"x\", expected f64 at line 2 column 22"
    );
}

#[tokio::test]
async fn a_body_that_is_not_json_is_told_where_it_stops_being_it() {
    let answer = post_json(&open(), "/echo", "{\n  \"values\": [1,]}").await;
    assert!(
        answer.problem().starts_with("400 web.invalid_json: request body is not JSON: "),
        "{}",
        answer.text
    );
    assert!(answer.problem().ends_with("at line 2 column 16"), "{}", answer.text);
    let trailing = post_json(&open(), "/echo", "{\"values\": []} x").await;
    assert_eq!(trailing.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_body_of_another_type_is_not_taken_for_json() {
    let request = Request::post("/echo").header("content-type", "text/plain").body(Body::from("{}")).unwrap();
    let answer = ask(&open(), request).await;
    assert_eq!(answer.problem(), "415 web.not_json: content type text/plain: this route takes JSON");

    let unsaid = Request::post("/echo").body(Body::from("{\"values\":[]}")).unwrap();
    assert_eq!(ask(&open(), unsaid).await.status, StatusCode::OK);
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let path = get(&open(), "/greet/Wrong").await;
    assert!(path.problem().starts_with("400 web.invalid_path: path: "), "{}", path.text);
    assert!(path.problem().contains("`Wrong` is not a name"), "{}", path.text);

    let query = get(&open(), "/page?limit=many").await;
    assert_eq!(query.problem(), "400 web.invalid_query: query: limit: invalid digit found in string");
    assert!(get(&open(), "/page").await.problem().contains("missing field `limit`"));
}

#[tokio::test]
async fn a_handler_that_panics_answers_and_says_nothing_of_the_inside() {
    let answer = get(&open(), "/panic").await;
    assert_eq!(answer.problem(), "500 web.panic: the server met a defect while it answered");
    assert_eq!(get(&open(), "/healthz").await.text, "ok");
}

#[tokio::test]
async fn a_locked_server_asks_for_its_token_and_says_how() {
    let router = locked();
    assert_eq!(get(&router, "/healthz").await.text, "ok");

    let stranger = get(&router, "/greet/world").await;
    assert_eq!(stranger.problem(), "401 web.no_credentials: the request says nothing about who sends it");
    assert!(stranger.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));

    let request = Request::get("/greet/world").header("authorization", format!("Bearer {SECRET}"));
    assert_eq!(ask(&router, request.body(Body::empty()).unwrap()).await.text, "hello world, says token");
}

#[tokio::test]
async fn a_rebound_name_and_a_foreign_page_are_refused() {
    let rebound =
        Request::get("/greet/world").header("host", "evil.example:8700").body(Body::empty()).unwrap();
    assert_eq!(
        ask(&open(), rebound).await.problem(),
        "403 web.unknown_host: host evil.example:8700: this server does not answer to that name"
    );
    let forged = Request::post("/echo")
        .header("host", "127.0.0.1:8700")
        .header("origin", "https://evil.example")
        .body(Body::from("{\"values\":[]}"))
        .unwrap();
    assert_eq!(ask(&open(), forged).await.status, StatusCode::FORBIDDEN);
}
