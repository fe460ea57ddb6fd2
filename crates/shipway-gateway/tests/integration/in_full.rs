//! Images and documents that calls have by their address: for whom they are fetched, once, and what cannot be.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::State, routing::get};
use serde_json::{Value, json};
use shipway_gateway::{CreateKey, DeploymentSpec, Outcome};
use tokio_util::task::TaskTracker;

use crate::world::{Reply, World, completion, deployment_of};

const PNG: [u8; 5] = [0x89, b'P', b'N', b'G', 1];
const PNG_BASE64: &str = "iVBORwE=";

/// Where images lie: its address, and how often it was asked.
async fn images() -> (String, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let image = |State(asked): State<Arc<AtomicUsize>>| async move {
        asked.fetch_add(1, Ordering::Relaxed);
        ([("content-type", "application/octet-stream")], PNG)
    };
    let app = Router::new()
        .route("/x.png", get(image))
        .route("/page", get(|| async { ([("content-type", "text/html")], "<html>") }))
        .route("/large", get(|| async { vec![0; (1 << 20) + 1] }))
        .with_state(Arc::clone(&asked));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    TaskTracker::new().spawn(async move { axum::serve(listener, app).await });
    (format!("http://localhost:{port}"), asked)
}

fn chat(url: &str) -> Value {
    let image = json!({ "type": "image_url", "image_url": { "url": url } });
    json!({ "model": "m", "messages": [{ "role": "user", "content": [{ "type": "text", "text": "look" }, image] }] })
}

fn converse() -> Reply {
    let message = json!({ "role": "assistant", "content": [{ "text": "a dot" }] });
    Reply::json(
        200,
        &json!({ "output": { "message": message }, "stopReason": "end_turn", "usage": { "inputTokens": 10, "outputTokens": 3, "totalTokens": 13 } }),
    )
}

#[tokio::test]
async fn bedrock_and_claude_at_vertex_get_data_whatever_api_the_caller_speaks() {
    let (images, _) = images().await;
    let url = format!("{images}/x.png");
    let source = json!({ "type": "url", "url": url });
    let callers = [
        ("/v1/chat/completions", chat(&url)),
        (
            "/v1/responses",
            json!({ "model": "m", "input": [{ "role": "user", "content": [{ "type": "input_image", "image_url": url }] }] }),
        ),
        (
            "/v1/messages",
            json!({ "model": "m", "max_tokens": 10, "messages": [{ "role": "user", "content": [{ "type": "image", "source": source }] }] }),
        ),
        (
            "/v1beta/models/m:generateContent",
            json!({ "contents": [{ "parts": [{ "fileData": { "fileUri": url, "mimeType": "image/png" } }] }] }),
        ),
    ];
    let bedrock = World::of(vec![deployment_of("bedrock", "up")]).await;
    bedrock.provider.answers_only("converse", converse());
    let vertex = World::of(vec![deployment_of("vertex", "claude-x")]).await;
    let claude = json!({ "id": "msg", "type": "message", "role": "assistant", "model": "claude-x", "content": [{ "type": "text", "text": "a dot" }], "stop_reason": "end_turn", "usage": { "input_tokens": 10, "output_tokens": 3 } });
    vertex.provider.answers_only("claude-x", Reply::json(200, &claude));
    for (path, body) in callers {
        let got = bedrock.call(path, &body).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text());
        let sent = bedrock.provider.seen().pop().unwrap().json();
        let parts = sent["messages"][0]["content"].as_array().unwrap();
        let image = json!({ "image": { "format": "png", "source": { "bytes": PNG_BASE64 } } });
        assert!(parts.contains(&image), "{path}: {sent}");

        let got = vertex.call(path, &body).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text());
        let sent = vertex.provider.seen().pop().unwrap().json();
        let parts = sent["messages"][0]["content"].as_array().unwrap();
        let source = json!({ "type": "base64", "media_type": "image/png", "data": PNG_BASE64 });
        assert!(parts.iter().any(|part| part["source"] == source), "{path}: {sent}");
    }
}

#[tokio::test]
async fn who_takes_addresses_gets_them_unless_the_definition_says_otherwise() {
    let (images, asked) = images().await;
    let body = chat(&format!("{images}/x.png"));
    let world = World::of(vec![deployment_of("openai", "up")]).await;
    world.provider.answers_only("up", Reply::json(200, &completion()));
    assert_eq!(world.call("/v1/chat/completions", &body).await.status, 200);
    let sent = world.provider.seen().pop().unwrap().json();
    assert_eq!(sent["messages"], body["messages"]);
    assert_eq!(asked.load(Ordering::Relaxed), 0);

    let fetched = DeploymentSpec { fetch_media: Some(true), ..deployment_of("openai", "up") };
    let world = World::of(vec![fetched]).await;
    world.provider.answers_only("up", Reply::json(200, &completion()));
    assert_eq!(world.call("/v1/chat/completions", &body).await.status, 200);
    let sent = world.provider.seen().pop().unwrap().json();
    let expected = format!("data:image/png;base64,{PNG_BASE64}");
    assert_eq!(
        (&sent["model"], &sent["messages"][0]["content"][1]["image_url"]["url"]),
        (&json!("up"), &json!(expected))
    );

    // What its server might fetch by itself is not sent there.
    for part in [
        json!({ "type": "video_url", "video_url": { "url": "http://10.0.0.1/v" } }),
        json!({ "image_url": { "url": "file:///etc/passwd" } }),
    ] {
        let mut other = body.clone();
        other["messages"][0]["content"][1] = part;
        let got = world.call("/v1/chat/completions", &other).await;
        assert_eq!(
            (got.status, got.header("x-shipway-error")),
            (400, Some("gateway.not_fetched")),
            "{}",
            got.text()
        );
    }
    assert_eq!(world.provider.seen().len(), 1);

    let refused = DeploymentSpec { fetch_media: Some(false), ..deployment_of("bedrock", "up") };
    let world = World::of(vec![refused]).await;
    let got = world.call("/v1/chat/completions", &body).await;
    assert_eq!((got.status, got.header("x-shipway-error")), (400, Some("gateway.not_translatable")));
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_lies_there_is_fetched_once_for_all_attempts() {
    let (images, asked) = images().await;
    let world = World::of(vec![deployment_of("bedrock", "up"), deployment_of("vertex", "claude-x")]).await;
    world.provider.answers_only("converse", Reply::json(503, &json!({ "message": "later" })));
    let claude = json!({ "id": "msg", "type": "message", "role": "assistant", "model": "claude-x", "content": [{ "type": "text", "text": "a dot" }], "stop_reason": "end_turn", "usage": { "input_tokens": 10, "output_tokens": 3 } });
    world.provider.answers_only("claude-x", Reply::json(200, &claude));
    let got = world.call("/v1/chat/completions", &chat(&format!("{images}/x.png"))).await;
    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("vertex")), "{}", got.text());
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_cannot_be_fetched_is_refused_by_its_member_and_costs_nothing() {
    let (images, _) = images().await;
    let private = images.replace("localhost", "127.0.0.1");
    let world = World::of(vec![deployment_of("bedrock", "up")]).await;
    let refusals = [
        (format!("{private}/x.png"), "not public"),
        ("http://169.254.169.254/latest/meta-data".to_owned(), "not public"),
        (format!("{images}/nothing"), "404"),
        (format!("{images}/page"), "text/html, no image"),
        (format!("{images}/large"), "longer than"),
        ("https://user:hush@example.com/x.png".to_owned(), "credentials"),
    ];
    let count = refusals.len();
    for (url, words) in refusals {
        let got = world.call("/v1/chat/completions", &chat(&url)).await;
        assert_eq!(
            (got.status, got.header("x-shipway-error")),
            (400, Some("gateway.not_fetched")),
            "{url}: {}",
            got.text()
        );
        let error = &got.json()["error"];
        assert_eq!(error["param"], "messages[0].content[1]");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words) && !message.contains("hush"), "{url}: {message}");
    }
    assert!(world.provider.seen().is_empty());
    let calls = world.settled(count).await;
    assert!(calls.iter().all(|call| call.outcome == Outcome::Refused && call.cost_nanos == 0));
    assert!(calls.iter().all(|call| call.attempts[0].result == "not_fetched"));
}

#[tokio::test]
async fn another_deployment_that_fetches_by_itself_is_asked_where_nothing_can_be_fetched_here() {
    let world = World::of(vec![deployment_of("bedrock", "up"), deployment_of("openai", "other")]).await;
    world.provider.answers_only("other", Reply::json(200, &completion()));
    let key = world.key(CreateKey::default()).await;
    let got = world.chat(&key, &chat("https://nowhere.invalid/x.png")).await;
    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("openai")), "{}", got.text());
    let call = &world.settled(1).await[0];
    let results: Vec<&str> = call.attempts.iter().map(|attempt| attempt.result.as_str()).collect();
    assert_eq!(results, ["not_fetched", "answered"]);
}
