//! Google's API, as clients and as providers speak it: paths, keys, bytes that pass; and Azure's paths.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use shipway_gateway::{CreateKey, Outcome};

use crate::world::{End, Reply, World, completion, deployment, model, question};

const FIRST: &str = "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"h\u{e9}llo \"}]},\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":9,\"candidatesTokenCount\":1,\"totalTokenCount\":10}}\r\n\r\n";
const LAST: &str = "data: {\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"w\"}]},\"finishReason\":\"STOP\",\"index\":0}],\"usageMetadata\":{\"promptTokenCount\":9,\"cachedContentTokenCount\":4,\"candidatesTokenCount\":2,\"thoughtsTokenCount\":3,\"totalTokenCount\":14}}\n\n";
const COST: i64 = 5 * 2_000 + 4 * 200 + 5 * 10_000;

async fn world() -> World {
    let world = World::new().await;
    let mut named = model("m", vec![deployment("gem", "gemini")]);
    named.called = vec!["vendor/gem-1".to_owned()];
    world.install(vec![named]);
    world
}

fn hello() -> Value {
    json!({ "contents": [{ "role": "user", "parts": [{ "text": "hello" }] }], "zz_unknown": 1.50 })
}

#[tokio::test]
async fn bytes_pass_between_a_client_and_a_provider_of_gemini() {
    let world = world().await;
    let answer = json!({
        "candidates": [{ "content": { "parts": [{ "text": "hi" }] }, "finishReason": "STOP" }],
        "usageMetadata": { "promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 14 }
    });
    world.provider.answers("up-gem", Reply::json(200, &answer));
    let key = world.key(CreateKey::default()).await;
    for path in [
        "/v1beta/models/m:generateContent",
        "/v1/models/m:generateContent",
        "/v1/models/vendor%2Fgem-1:generateContent",
        "/v1beta/models/vendor/gem-1:generateContent",
        "/v1beta/models/vendor%2Fgem-1:generateContent",
    ] {
        let got = world.ask(path, &[("x-goog-api-key", &key)], &hello()).await;
        assert_eq!((got.status, got.text()), (200, answer.to_string().as_str()), "{path}");
        let seen = world.provider.seen().pop().unwrap();
        assert_eq!((seen.path.as_str(), seen.query.as_deref()), ("/v1/models/up-gem:generateContent", None));
        assert_eq!(
            (&seen.headers["x-goog-api-key"], seen.body.as_ref()),
            (&"sk-of-the-operator".parse().unwrap(), hello().to_string().as_bytes())
        );
        assert!(!format!("{seen:?}").contains(&key));
    }
    for call in world.settled(5).await {
        assert_eq!((call.cost_nanos, call.is_estimated, call.caller.as_str()), (COST, false, "key test"));
        assert_eq!(call.attempts[0].translated_to, None);
    }
}

#[tokio::test]
async fn a_stream_passes_without_comments_and_ends_with_its_reason() {
    let world = world().await;
    world
        .provider
        .answers("up-gem", Reply::events(&[": hello\n\n", FIRST, ": still there\n\n", LAST], End::Clean));
    let got = world.ask("/v1beta/models/m:streamGenerateContent?alt=sse", &[], &hello()).await;
    assert_eq!((got.status, got.text()), (200, [FIRST, LAST].concat().as_str()));
    let seen = &world.provider.seen()[0];
    assert_eq!(
        (seen.path.as_str(), seen.query.as_deref()),
        ("/v1/models/up-gem:streamGenerateContent", Some("alt=sse"))
    );
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.is_stream, call.outcome), (COST, true, Outcome::Answered));
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error_of_gemini() {
    let world = world().await;
    world.provider.answers("up-gem", Reply::events(&[FIRST], End::Cut));
    let got = world.ask("/v1beta/models/m:streamGenerateContent?alt=sse", &[], &hello()).await;
    let last = got.text().strip_prefix(FIRST).unwrap();
    let error: Value = serde_json::from_str(last.trim().strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["status"]), (&json!(502), &json!("INTERNAL")));
    assert_eq!(world.settled(1).await[0].outcome, Outcome::Broken);
}

#[tokio::test]
async fn a_stream_of_gemini_is_told_to_other_clients_with_all_of_its_usage() {
    let world = world().await;
    world.provider.answers("up-gem", Reply::events(&[FIRST, LAST], End::Clean));
    // The connection stays open, and nobody waits for it.
    world.provider.answers("up-gem", Reply::events(&[FIRST, LAST], End::Hang));
    for _ in 0..2 {
        let mut body = question("m");
        body["stream"] = json!(true);
        let got = world.ask("/v1/messages", &[], &body).await;
        assert!(
            got.text().starts_with("event: message_start") && got.text().contains("\"h\u{e9}llo \""),
            "{}",
            got.text()
        );
        assert!(
            got.text().ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
            "{}",
            got.text()
        );
        assert!(got.text().contains("\"output_tokens\":5"), "{}", got.text());
    }
    for call in world.settled(2).await {
        assert_eq!((call.cost_nanos, call.outcome, call.is_estimated), (COST, Outcome::Answered, false));
    }
}

#[tokio::test]
async fn a_key_comes_in_any_of_the_ways_that_googles_clients_know() {
    let world = world().await;
    world.provider.answers("up-gem", Reply::json(200, &json!({ "totalTokens": 4 })));
    let key = world.key(CreateKey { models: vec!["m".to_owned()], ..CreateKey::default() }).await;
    let (path, in_query) =
        ("/v1beta/models/m:countTokens", format!("/v1beta/models/m:countTokens?key={key}"));
    let bearer = format!("Bearer {key}");
    for (path, headers) in [
        (path, vec![("x-goog-api-key", key.as_str())]),
        (path, vec![("authorization", bearer.as_str())]),
        (in_query.as_str(), vec![]),
    ] {
        let got = world.ask(path, &headers, &hello()).await;
        assert_eq!((got.status, &got.json()["totalTokens"]), (200, &json!(4)), "{path}");
        let seen = world.provider.seen().pop().unwrap();
        // Neither the address nor a header takes the key of a caller to a provider.
        assert_eq!(seen.query, None);
        assert!(!format!("{seen:?}").contains(&key));
    }
    for call in world.settled(3).await {
        assert_eq!((call.caller.as_str(), call.cost_nanos), ("key test", 0));
    }
    let wrong = format!("{key}x");
    for (path, headers) in [
        (path, vec![("x-goog-api-key", wrong.as_str())]),
        ("/v1beta/models/m:countTokens?key=shipway_llm_wrong", vec![]),
    ] {
        let got = world.ask(path, &headers, &hello()).await;
        assert_eq!((got.status, &got.json()["error"]["status"]), (401, &json!("UNAUTHENTICATED")), "{path}");
    }
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused_in_the_words_of_gemini() {
    let world = world().await;
    for (path, body, status, words) in [
        ("/v1beta/models/m", hello(), 404, "method  does not exist"),
        ("/v1beta/models/m:unheardOf", hello(), 404, "method unheardOf does not exist"),
        ("/v1beta/models/none:generateContent", hello(), 404, "model none does not exist"),
        ("/v1beta/models/:generateContent", hello(), 404, "does not exist"),
        ("/v1beta/models/m:streamGenerateContent", hello(), 400, "alt=sse"),
        ("/v1beta/models/m:streamGenerateContent?alt=json", hello(), 400, "alt=sse"),
        ("/v1beta/models/m:generateContent", json!([]), 400, "not a JSON object"),
        ("/v1beta/elsewhere", hello(), 404, "nothing is there"),
        ("/v1/models/m:unheardOf", hello(), 404, "method unheardOf does not exist"),
        ("/v1/models/m:streamGenerateContent", hello(), 400, "alt=sse"),
    ] {
        let got = world.ask(path, &[], &body).await;
        assert_eq!(
            (got.status, got.json()["error"]["code"].as_u64()),
            (status, Some(u64::from(status))),
            "{path}: {}",
            got.text()
        );
        assert!(got.text().contains(words), "{path}: {}", got.text());
    }
    assert_eq!(world.provider.seen().len(), 0);
    // Embeddings come from who has them, and nobody else.
    world.install(vec![model("m", vec![deployment("claude", "anthropic")])]);
    let one = json!({ "content": { "parts": [{ "text": "hello" }] } });
    let got = world.ask("/v1beta/models/m:embedContent", &[], &one).await;
    assert_eq!((got.status, got.header("x-shipway-error")), (400, Some("gateway.no_such_api")));
}

#[tokio::test]
async fn models_are_shown_as_google_shows_them_to_who_may_ask_them() {
    let world = world().await;
    let listed = world.native(Method::GET, "/v1beta/models", None).await.json();
    let names: Vec<&str> =
        listed["models"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["models/m", "models/vendor/gem-1"]);
    assert_eq!(listed["models"][0]["supportedGenerationMethods"][0], "generateContent");
    let shown = world.native(Method::GET, "/v1beta/models/vendor/gem-1", None).await;
    assert_eq!((shown.status, &shown.json()["baseModelId"]), (200, &json!("vendor/gem-1")));
    let missing = world.native(Method::GET, "/v1beta/models/none", None).await;
    assert_eq!((missing.status, &missing.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    let key = world.key(CreateKey { models: vec!["other".to_owned()], ..CreateKey::default() }).await;
    let request =
        http::Request::builder().uri("/v1beta/models").header("x-goog-api-key", key).body(Body::empty());
    assert_eq!(world.raw(request.unwrap()).await.json()["models"], json!([]));
    // On the paths that other clients have too, the key says whose client it is.
    let key = world.key(CreateKey::default()).await;
    for (path, member) in [
        ("/v1/models".to_owned(), "data"),
        (format!("/v1/models?key={key}"), "models"),
        (format!("/v1/models/m?key={key}"), "baseModelId"),
    ] {
        let got = world.native(Method::GET, &path, None).await;
        assert!(got.status == 200 && !got.json()[member].is_null(), "{path}: {}", got.text());
    }
}

#[tokio::test]
async fn a_wrong_key_of_the_operator_is_not_told_and_others_are_asked() {
    let world = World::new().await;
    world.install(vec![model("m", vec![deployment("gem", "gemini"), deployment("one", "openai")])]);
    let wrong = json!({ "error": {
        "code": 400, "message": "API key not valid: sk-of-the-operator", "status": "INVALID_ARGUMENT",
        "details": [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" }]
    } });
    world.provider.answers("up-gem", Reply::json(400, &wrong));
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let got = world.ask("/v1beta/models/m:generateContent", &[], &hello()).await;
    // What nobody here knows goes on under its own name, and the provider may refuse it.
    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("one")), "{}", got.text());
    assert!(!got.text().contains("sk-of"));
}

#[tokio::test]
async fn azure_is_asked_on_its_own_paths_with_its_own_header() {
    let world = World::new().await;
    world.install(vec![
        model("new", vec![deployment("a", "azure")]),
        model("old", vec![deployment("b", "older")]),
    ]);
    for name in ["up-a", "up-b"] {
        world.provider.answers(name, Reply::json(200, &completion()));
    }
    for (name, path, query) in [
        ("new", "/v1/openai/v1/chat/completions", None),
        ("old", "/v1/openai/deployments/up-b/chat/completions", Some("api-version=2024-10-21")),
    ] {
        let got = world.ask("/v1/chat/completions", &[], &question(name)).await;
        assert_eq!((got.status, got.text()), (200, completion().to_string().as_str()));
        let seen = world.provider.seen().pop().unwrap();
        assert_eq!((seen.path.as_str(), seen.query.as_deref()), (path, query));
        assert_eq!(seen.headers["api-key"], "sk-of-the-operator");
        assert!(!seen.headers.contains_key("authorization"));
        // Other clients are translated for it as for OpenAI.
        assert_eq!(world.ask("/v1/messages", &[], &question(name)).await.json()["content"][0]["text"], "hi");
    }
}
