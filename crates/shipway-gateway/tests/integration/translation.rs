//! Whole answers across APIs: what goes to the provider, what comes back, what it costs, and what cannot be said.

use serde_json::{Value, json};
use shipway_dialects::translate::{Lossy, OutputLimit};
use shipway_gateway::{CreateKey, Limits, Outcome};

use crate::world::{Answer, COST, Reply, World, completion, deployment, model};

/// Of Anthropic: 3 tokens in, 5 out of the cache beside them, 2 out.
fn message() -> Value {
    json!({
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "up-claude",
        "content": [{ "type": "text", "text": "hi" }],
        "stop_reason": "end_turn",
        "stop_sequence": null,
        "usage": { "input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 2 }
    })
}
const MESSAGE_COST: i64 = 3 * 2_000 + 5 * 200 + 2 * 10_000;

/// Of Gemini: 9 tokens in, 4 of them out of the cache, 2 written and 3 thought beside them.
fn content() -> Value {
    json!({
        "candidates": [{ "content": { "role": "model", "parts": [{ "text": "hi" }] }, "finishReason": "STOP", "index": 0 }],
        "usageMetadata": {
            "promptTokenCount": 9, "cachedContentTokenCount": 4, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "totalTokenCount": 14
        },
        "modelVersion": "up-gem",
        "responseId": "r1"
    })
}
const CONTENT_COST: i64 = 5 * 2_000 + 4 * 200 + 5 * 10_000;

fn chat(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }] })
}

fn messages(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 50 })
}

/// A model with one deployment at each of these providers, named as they are.
async fn world_of(name: &str, providers: &[&str]) -> World {
    let world = World::new().await;
    world.install(vec![model(name, providers.iter().map(|one| deployment(one, one)).collect())]);
    world
}

fn refusal(got: &Answer) -> (u16, Option<&str>) {
    (got.status, got.header("x-shipway-error"))
}

#[tokio::test]
async fn a_chat_is_answered_by_anthropic_in_the_words_of_chat() {
    let world = world_of("m", &["anthropic"]).await;
    world.provider.answers("up-anthropic", Reply::json(200, &message()));
    let key = world.key(CreateKey::default()).await;
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str()), ("openai-beta", "x"), ("user-agent", "me/1")];

    let got = world.ask("/v1/chat/completions", &headers, &chat("m-latest")).await;

    assert_eq!(got.status, 200);
    let answer = got.json();
    assert_eq!(
        (&answer["object"], &answer["model"], &answer["choices"][0]["message"]["content"]),
        (&json!("chat.completion"), &json!("m-latest"), &json!("hi"))
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    // Cached tokens are within the input here, and were beside it there.
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["usage"]["prompt_tokens_details"]["cached_tokens"]),
        (&json!(8), &json!(5))
    );
    assert_eq!(got.header("x-shipway-cost"), Some("0.000027000"));
    assert_eq!(got.header("x-shipway-dropped"), Some("max_tokens"));
    let seen = &world.provider.seen()[0];
    assert_eq!(seen.path, "/v1/messages");
    // The limit that Anthropic insists on is the deployment's.
    assert_eq!((&seen.json()["model"], &seen.json()["max_tokens"]), (&json!("up-anthropic"), &json!(1_000)));
    assert_eq!(seen.headers["x-api-key"], "sk-of-the-operator");
    assert_eq!(
        (&seen.headers["user-agent"], &seen.headers["anthropic-version"]),
        (&"me/1".parse().unwrap(), &"2023-06-01".parse().unwrap())
    );
    assert!(!seen.headers.contains_key("openai-beta") && !format!("{:?}", seen.headers).contains(&key));
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.outcome, call.is_estimated), (MESSAGE_COST, Outcome::Answered, false));
    assert_eq!(call.response_bytes, got.body.len() as u64);
    let attempt = &call.attempts[0];
    assert_eq!(
        (attempt.translated_to.as_deref(), attempt.dropped.as_slice()),
        (Some("anthropic_messages"), ["max_tokens".to_owned()].as_slice())
    );
}

#[tokio::test]
async fn a_client_of_each_api_is_answered_by_a_provider_of_each_kind() {
    let asked = [
        ("/v1/chat/completions", chat("m"), "/choices/0/message/content", "/usage/completion_tokens"),
        ("/v1/messages", messages("m"), "/content/0/text", "/usage/output_tokens"),
        (
            "/v1/responses",
            json!({ "model": "m", "input": "hello" }),
            "/output/0/content/0/text",
            "/usage/output_tokens",
        ),
        (
            "/v1beta/models/m:generateContent",
            json!({ "contents": [{ "parts": [{ "text": "hello" }] }] }),
            "/candidates/0/content/parts/0/text",
            "/usageMetadata/totalTokenCount",
        ),
    ];
    let said = [
        ("openai", completion(), COST, "/v1/chat/completions"),
        ("anthropic", message(), MESSAGE_COST, "/v1/messages"),
        ("gemini", content(), CONTENT_COST, "/v1/models/up-gemini:generateContent"),
    ];
    for (path, body, text, tokens) in &asked {
        for (provider, answer, cost, upstream_path) in &said {
            if (*path, *provider) == ("/v1/responses", "openai") {
                // Bytes pass: it has responses of its own.
                continue;
            }
            let world = world_of("m", &[provider]).await;
            world.provider.answers(&format!("up-{provider}"), Reply::json(200, answer));
            let got = world.ask(path, &[], body).await;
            let place = format!("{path} by {provider}: {}", got.text());
            assert_eq!(got.status, 200, "{place}");
            assert_eq!(got.json().pointer(text), Some(&json!("hi")), "{place}");
            assert!(got.json().pointer(tokens).unwrap().as_u64().unwrap() > 0, "{place}");
            assert_eq!(world.provider.seen()[0].path, *upstream_path, "{place}");
            let call = &world.settled(1).await[0];
            assert_eq!((call.cost_nanos, call.is_estimated), (*cost, false), "{place}");
        }
    }
}

#[tokio::test]
async fn what_responses_repeat_of_their_request_is_there() {
    let world = world_of("m", &["anthropic"]).await;
    world.provider.answers("up-anthropic", Reply::json(200, &message()));
    let asked = json!({ "model": "m", "input": "hello", "instructions": "be kind", "max_output_tokens": 77, "metadata": { "a": "b" } });
    let answer = world.ask("/v1/responses", &[], &asked).await.json();
    assert_eq!(
        (&answer["instructions"], &answer["max_output_tokens"], &answer["metadata"]["a"]),
        (&json!("be kind"), &json!(77), &json!("b"))
    );
    assert!(answer["id"].as_str().unwrap().starts_with("resp_"));
    assert_eq!(world.provider.seen()[0].json()["max_tokens"], 77);
    // An answer that nobody here knows cannot be gone on from.
    let asked = json!({ "model": "m", "input": "hello", "previous_response_id": "resp_1" });
    let got = world.ask("/v1/responses", &[], &asked).await;
    assert_eq!(refusal(&got), (400, Some("gateway.unknown_previous_response")));
    assert_eq!(got.json()["error"]["param"], "previous_response_id");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_by_name_in_the_words_of_each_api() {
    let world = world_of("m", &["anthropic"]).await;
    let mut asked = chat("m");
    asked["seed"] = json!(1);
    let got = world.ask("/v1/chat/completions", &[], &asked).await;
    assert_eq!(refusal(&got), (400, Some("gateway.not_translatable")));
    let error = &got.json()["error"];
    assert_eq!(
        (&error["type"], &error["param"], &error["code"]),
        (&json!("invalid_request_error"), &json!("seed"), &json!("gateway.not_translatable"))
    );
    assert!(error["message"].as_str().unwrap().starts_with("seed: "), "{error}");
    assert_eq!(world.provider.seen().len(), 0);
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos, call.status), (Outcome::Refused, 0, Some(400)));
    assert_eq!((call.attempts[0].result.as_str(), call.attempts[0].status), ("not_translatable", None));

    world.install(vec![model("m", vec![deployment("openai", "openai")])]);
    let mut asked = messages("m");
    asked["top_k"] = json!(3);
    let got = world.ask("/v1/messages", &[], &asked).await;
    assert_eq!(refusal(&got), (400, Some("gateway.not_translatable")));
    assert_eq!(
        (&got.json()["type"], &got.json()["error"]["type"]),
        (&json!("error"), &json!("invalid_request_error"))
    );
    assert!(got.text().contains("top_k"), "{}", got.text());
    let asked = json!({ "contents": [], "cachedContent": "cachedContents/1" });
    let got = world.ask("/v1beta/models/m:generateContent", &[], &asked).await;
    assert_eq!((got.status, &got.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    assert!(got.text().contains("cachedContent"), "{}", got.text());
}

#[tokio::test]
async fn what_may_be_dropped_is_dropped_and_told_where_the_model_says_so() {
    let world = World::new().await;
    let mut lenient = model("m", vec![deployment("anthropic", "anthropic")]);
    lenient.lossy = Lossy::Drop;
    world.install(vec![lenient]);
    world.provider.answers("up-anthropic", Reply::json(200, &message()));
    let mut asked = chat("m");
    (asked["seed"], asked["max_tokens"], asked["user"]) = (json!(1), json!(5), json!("u1"));
    let got = world.ask("/v1/chat/completions", &[], &asked).await;
    assert_eq!((got.status, got.header("x-shipway-dropped")), (200, Some("seed")));
    let seen = world.provider.seen()[0].json();
    assert_eq!(
        (&seen["seed"], &seen["max_tokens"], &seen["metadata"]["user_id"]),
        (&Value::Null, &json!(5), &json!("u1"))
    );
    let call = &world.settled(1).await[0];
    assert_eq!(
        (call.attempts[0].dropped.as_slice(), call.user.as_deref()),
        (["seed".to_owned()].as_slice(), Some("u1"))
    );
    // What would change the shape of the answer is refused all the same.
    asked["n"] = json!(2);
    let got = world.ask("/v1/chat/completions", &[], &asked).await;
    assert_eq!(
        (refusal(&got), &got.json()["error"]["param"]),
        ((400, Some("gateway.not_translatable")), &json!("n"))
    );
}

#[tokio::test]
async fn a_deployment_that_has_no_words_for_a_call_leaves_it_to_the_next() {
    let world = world_of("m", &["anthropic", "openai"]).await;
    world.provider.answers("up-openai", Reply::json(200, &completion()));
    let mut asked = chat("m");
    asked["seed"] = json!(1);
    for _ in 0..3 {
        let got = world.ask("/v1/chat/completions", &[], &asked).await;
        assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("openai")));
        assert_eq!(got.header("x-shipway-dropped"), None);
    }
    for call in world.settled(3).await {
        let tried: Vec<&str> = call.attempts.iter().map(|one| one.result.as_str()).collect();
        // It speaks against nobody: the first is asked first again.
        assert_eq!((tried, call.cost_nanos), (vec!["not_translatable", "answered"], COST));
    }
    assert_eq!(world.provider.seen().len(), 3);
}

#[tokio::test]
async fn what_a_provider_said_is_told_before_what_could_not_be_said_to_another() {
    let error =
        json!({ "error": { "message": "busy", "type": "server_error", "param": null, "code": null } });
    for providers in [["openai", "anthropic"], ["anthropic", "openai"]] {
        let world = world_of("m", &providers).await;
        world.provider.answers("up-openai", Reply::json(503, &error));
        let mut asked = chat("m");
        asked["seed"] = json!(1);
        let got = world.ask("/v1/chat/completions", &[], &asked).await;
        assert_eq!((got.status, got.header("x-shipway-error")), (502, None), "{}", got.text());
        assert!(got.text().contains("busy"), "{}", got.text());
    }
}

#[tokio::test]
async fn a_chain_across_apis_costs_to_the_nano_what_each_provider_says() {
    let world = world_of("m", &["anthropic", "gemini", "openai"]).await;
    let overloaded =
        json!({ "type": "error", "error": { "type": "overloaded_error", "message": "Overloaded" } });
    world.provider.answers("up-anthropic", Reply::json(529, &overloaded));
    let limited = json!({ "error": { "code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down" } });
    world.provider.answers("up-gemini", Reply::json(429, &limited));
    world.provider.answers("up-openai", Reply::json(200, &completion()));
    let got = world.ask("/v1/messages", &[], &messages("m")).await;
    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("openai")));
    assert_eq!(got.json()["content"][0]["text"], "hi");
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.is_estimated), (COST, false));
    let tried: Vec<_> = call
        .attempts
        .iter()
        .map(|one| (one.result.as_str(), one.status, one.translated_to.as_deref()))
        .collect();
    assert_eq!(
        tried,
        [
            ("overloaded", Some(529), None),
            ("rate_limit", Some(429), Some("gemini_generate")),
            ("answered", Some(200), Some("open_ai_chat")),
        ]
    );
}

#[tokio::test]
async fn errors_of_a_provider_are_told_in_the_callers_api() {
    let anthropic =
        |kind: &str, message: &str| json!({ "type": "error", "error": { "type": kind, "message": message } });
    let world = world_of("m", &["anthropic"]).await;
    let mut limited = Reply::json(429, &anthropic("rate_limit_error", "slow down"));
    limited.headers.extend([("retry-after", "7".to_owned()), ("request-id", "req_a".to_owned())]);
    world.provider.answers("up-anthropic", limited);
    let got = world.ask("/v1/chat/completions", &[], &chat("m")).await;
    assert_eq!(
        (got.status, got.header("retry-after"), got.header("retry-after-ms")),
        (429, Some("7"), Some("7000"))
    );
    assert_eq!(got.header("x-upstream-request-id"), Some("req_a"));
    assert_eq!(got.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(got.header("content-type"), Some("application/json"));

    for (status, kind, message, code, told) in [
        (
            400,
            "invalid_request_error",
            "prompt is too long: 9 tokens > 8 maximum",
            Some("context_length_exceeded"),
            true,
        ),
        (400, "invalid_request_error", "messages.0: no", None, true),
        (401, "authentication_error", "invalid x-api-key sk-of-the-operator", Some("upstream_error"), false),
    ] {
        let world = world_of("m", &["anthropic"]).await;
        world.provider.answers("up-anthropic", Reply::json(status, &anthropic(kind, message)));
        let got = world.ask("/v1/chat/completions", &[], &chat("m")).await;
        let error = &got.json()["error"];
        assert_eq!(
            (got.status, error["message"] == message),
            (if told { 400 } else { 502 }, told),
            "{error}"
        );
        if code.is_some() {
            assert_eq!(error["code"].as_str(), code);
        }
        assert!(!got.text().contains("sk-of"), "{error}");
        assert_eq!(world.settled(1).await[0].cost_nanos, 0);
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_told_leads_to_the_next_deployment_and_is_charged() {
    let world = world_of("m", &["openai", "anthropic"]).await;
    let mut broken = completion();
    broken["choices"][0]["message"]["tool_calls"] =
        json!([{ "id": "c1", "type": "function", "function": { "name": "f", "arguments": "{\"city\": " } }]);
    world.provider.answers("up-openai", Reply::json(200, &broken));
    world.provider.answers("up-anthropic", Reply::json(200, &message()));
    let got = world.ask("/v1/messages", &[], &messages("m")).await;
    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("anthropic")));
    let call = &world.settled(1).await[0];
    // The first said what it used, so that is no estimate.
    assert_eq!((call.cost_nanos, call.is_estimated), (COST + MESSAGE_COST, false));
    assert_eq!(call.attempts[0].result, "upstream");

    for (status, answer) in [
        (200, json!({ "error": { "message": "no", "type": "server_error" } })),
        (200, json!([])),
        (200, json!({ "choices": [] })),
        (500, json!("oops")),
    ] {
        let world = world_of("m", &["openai", "anthropic"]).await;
        world.provider.answers("up-openai", Reply::json(status, &answer));
        world.provider.answers("up-anthropic", Reply::json(200, &message()));
        let got = world.ask("/v1/messages", &[], &messages("m")).await;
        assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("anthropic")), "{answer}");
    }
}

#[tokio::test]
async fn a_server_that_knows_only_the_older_name_of_the_limit_is_told_that() {
    let world = World::new().await;
    let mut older = deployment("openai", "openai");
    older.output_limit = OutputLimit::MaxTokens;
    world.install(vec![model("m", vec![older]), model("n", vec![deployment("openai", "openai")])]);
    world.provider.answers("up-openai", Reply::json(200, &completion()));
    for (name, place) in [("m", "max_tokens"), ("n", "max_completion_tokens")] {
        world.ask("/v1/messages", &[], &messages(name)).await;
        let seen = world.provider.seen().pop().unwrap().json();
        let limits: Vec<&str> =
            ["max_tokens", "max_completion_tokens"].into_iter().filter(|limit| seen[*limit] == 50).collect();
        assert_eq!(limits, [place], "{seen}");
    }
}

#[tokio::test]
async fn what_is_wrong_in_a_call_is_named_and_nothing_is_sent() {
    let world = world_of("m", &["anthropic"]).await;
    let tool_call = |arguments: &str| {
        json!([
            { "role": "user", "content": "hello" },
            { "role": "assistant", "tool_calls": [{ "id": "a", "type": "function", "function": { "name": "f", "arguments": arguments } }] },
            { "role": "tool", "tool_call_id": "a", "content": "1" }
        ])
    };
    for (member, value, words) in [
        ("messages", json!("hello"), "messages"),
        ("messages", json!([{ "role": "robot", "content": "x" }]), "messages[0].role"),
        (
            "messages",
            json!([{ "role": "user", "content": [{ "type": "hologram" }] }]),
            "messages[0].content[0]",
        ),
        ("messages", tool_call("{"), "arguments"),
        ("temperature", json!("hot"), "temperature"),
        ("tools", json!([{ "type": "web_search" }]), "tools[0]"),
        ("max_tokens", json!(-1), "max_tokens"),
        ("stop", json!(7), "stop"),
    ] {
        let mut asked = chat("m");
        asked[member] = value;
        let got = world.ask("/v1/chat/completions", &[], &asked).await;
        assert_eq!(got.status, 400, "{asked} {}", got.text());
        assert!(got.json()["error"]["message"].as_str().unwrap().contains(words), "{words}: {}", got.text());
    }
    assert_eq!(world.provider.seen().len(), 0);
    for call in world.settled(8).await {
        assert_eq!((call.cost_nanos, call.outcome), (0, Outcome::Refused), "{call:?}");
    }
    // What is no chat at all goes to nobody who has none.
    let got = world.ask("/v1/embeddings", &[], &json!({ "model": "m", "input": "a" })).await;
    assert_eq!(refusal(&got), (400, Some("gateway.no_such_api")));
    let got = world.ask("/v1/moderations", &[], &json!({ "model": "m", "input": "a" })).await;
    assert_eq!(refusal(&got), (400, Some("gateway.no_such_api")));
    assert!(got.text().contains("are not translated"), "{}", got.text());
}

#[tokio::test]
async fn limits_and_budgets_hold_for_calls_that_are_translated() {
    let world = world_of("m", &["anthropic"]).await;
    world.provider.answers("up-anthropic", Reply::json(200, &message()));
    let limits = Limits { requests_per_minute: Some(1), ..Limits::default() };
    let key = world.key(CreateKey { limits, ..CreateKey::default() }).await;
    assert_eq!(world.chat(&key, &chat("m")).await.status, 200);
    let got = world.chat(&key, &chat("m")).await;
    assert_eq!(refusal(&got), (429, Some("gateway.rate_limited")));
    assert_eq!(world.provider.seen().len(), 1);
    // As much is reserved as the deployment lets an answer have.
    let calls = world.settled(1).await;
    assert!(calls[0].reserved_nanos >= 1_000 * 10_000, "{:?}", calls[0]);
}
