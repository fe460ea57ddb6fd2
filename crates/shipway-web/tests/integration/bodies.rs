//! Bodies end at their limit: declared ones before they are read, streamed ones where the limit is passed.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::body::Body;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{Method, Request, StatusCode};

use crate::{SECRET, ask, locked, open, post_json};

const TOO_LARGE: &str = "413 web.body_too_large: the request body is larger than 10 bytes";

/// A body without a declared length, and how many of its chunks of 4 bytes were asked for.
fn counted_body(chunks: usize) -> (Body, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&read);
    let chunks = stream::iter(0..chunks).map(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Ok::<_, std::io::Error>(Bytes::from_static(b"1234"))
    });
    (Body::from_stream(chunks), read)
}

fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body).unwrap()
}

#[tokio::test]
async fn a_body_at_its_limit_fits_whole_or_streamed() {
    for (method, path) in [(Method::POST, "/whole"), (Method::PUT, "/stream")] {
        let answer = ask(&open(), request(method.clone(), path, Body::from("0123456789"))).await;
        assert_eq!(answer.text, "10");
        let (body, _) = counted_body(2);
        assert_eq!(ask(&open(), request(method, path, body)).await.text, "8");
    }
}

#[tokio::test]
async fn a_declared_length_over_the_limit_is_refused_before_the_body_is_read() {
    let (body, read) = counted_body(3);
    let mut request = request(Method::PUT, "/stream", body);
    request.headers_mut().insert("content-length", 12.into());
    assert_eq!(ask(&open(), request).await.problem(), TOO_LARGE);
    assert_eq!(read.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_stream_without_a_length_is_cut_at_the_limit() {
    for (method, path) in [(Method::POST, "/whole"), (Method::PUT, "/stream")] {
        let (body, read) = counted_body(1_000);
        assert_eq!(ask(&open(), request(method, path, body)).await.problem(), TOO_LARGE);
        assert!(read.load(Ordering::SeqCst) < 10, "read on after the limit");
    }
}

#[tokio::test]
async fn a_declared_length_that_lies_does_not_help() {
    let (body, _) = counted_body(1_000);
    let mut request = request(Method::PUT, "/stream", body);
    request.headers_mut().insert("content-length", 4.into());
    assert_eq!(ask(&open(), request).await.problem(), TOO_LARGE);
}

#[tokio::test]
async fn a_broken_connection_is_not_an_end_of_the_body() {
    let chunks = [Ok(Bytes::from_static(b"12")), Err(std::io::Error::other("reset"))];
    let body = Body::from_stream(stream::iter(chunks));
    let answer = ask(&open(), request(Method::PUT, "/stream", body)).await;
    assert_eq!(answer.problem(), "400 web.body_interrupted: the request body ended before its end");
}

#[tokio::test]
async fn the_default_limit_is_that_of_the_route_and_not_of_the_framework() {
    let padding = " ".repeat(3 * 1024 * 1024);
    let answer = post_json(&open(), "/echo", &format!("{{\"values\":[1.5]}}{padding}")).await;
    assert_eq!(answer.text, "{\"values\":[1.5]}");
    let over = " ".repeat(16 * 1024 * 1024 + 1);
    assert_eq!(post_json(&open(), "/echo", &over).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_stranger_is_refused_before_the_body_is_looked_at() {
    let (body, read) = counted_body(3);
    let answer = ask(&locked(), request(Method::PUT, "/stream", body)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(read.load(Ordering::SeqCst), 0);

    let mut known = request(Method::PUT, "/stream", Body::from("123"));
    known.headers_mut().insert("authorization", format!("Bearer {SECRET}").parse().unwrap());
    assert_eq!(ask(&locked(), known).await.text, "3");
}
