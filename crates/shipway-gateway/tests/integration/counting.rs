//! The counting of tokens: who is asked, in which words, and that it costs nothing and is never a guess.

use serde_json::{Value, json};
use shipway_dialects::Nanos;
use shipway_gateway::{Budget, CreateKey, DeploymentSpec, Limits, Outcome, ServedApi, Window};

use crate::world::{Reply, World, deployment_of};

/// A client of each API: its path, what it asks, and where its answer has the count.
fn clients() -> [(&'static str, Value, &'static str); 3] {
    let messages = json!([{ "role": "user", "content": "hello" }]);
    [
        (
            "/v1/messages/count_tokens",
            json!({ "model": "m", "messages": messages, "system": "be brief" }),
            "input_tokens",
        ),
        (
            "/v1/responses/input_tokens",
            json!({ "model": "m", "input": "hello", "instructions": "be brief" }),
            "input_tokens",
        ),
        (
            "/v1beta/models/m:countTokens",
            json!({ "contents": [{ "parts": [{ "text": "hello" }] }], "systemInstruction": { "parts": [{ "text": "be brief" }] } }),
            "totalTokens",
        ),
    ]
}

#[tokio::test]
async fn a_client_of_each_api_has_its_tokens_counted_at_a_provider_of_each_kind() {
    let providers = [
        ("anthropic", "up", "up", "/v1/messages/count_tokens", json!({ "input_tokens": 12 })),
        (
            "openai",
            "up",
            "up",
            "/v1/responses/input_tokens",
            json!({ "object": "response.input_tokens", "input_tokens": 12 }),
        ),
        ("gemini", "up", "up", "/v1/models/up:countTokens", json!({ "totalTokens": 12 })),
        (
            "vertex",
            "gem",
            "gem",
            "/v1/v1/projects//locations//publishers/google/models/gem:countTokens",
            json!({ "totalTokens": 12 }),
        ),
        // A profile across regions counts as the model that it leads to.
        (
            "bedrock",
            "eu.anthropic.claude-x-v1:0",
            "count-tokens",
            "/v1/model/anthropic.claude-x-v1%3A0/count-tokens",
            json!({ "inputTokens": 12 }),
        ),
    ];
    for (provider, upstream, asked, seen_at, said) in providers {
        let world = World::of(vec![deployment_of(provider, upstream)]).await;
        world.provider.answers_only(asked, Reply::json(200, &said));
        for (path, body, name) in clients() {
            let got = world.call(path, &body).await;
            assert_eq!(
                (got.status, &got.json()[name]),
                (200, &json!(12)),
                "{provider} {path}: {}",
                got.text()
            );
            let seen = world.provider.seen().pop().unwrap();
            assert_eq!(seen.path, seen_at);
            let sent = String::from_utf8(seen.body.to_vec()).unwrap();
            assert!(sent.contains("hello") && sent.contains("be brief"), "{provider} {path}: {sent}");
            assert!(!sent.contains("max_tokens") && !sent.contains("stream"), "{sent}");
        }
        let calls = world.settled(3).await;
        assert!(calls.iter().all(|call| call.cost_nanos == 0 && call.outcome == Outcome::Answered));
    }
}

#[tokio::test]
async fn a_request_within_another_one_names_the_model_as_its_provider_does() {
    let world = World::of(vec![deployment_of("gemini", "up")]).await;
    world.provider.answers_only("up", Reply::json(200, &json!({ "totalTokens": 3 })));
    let within = json!({ "model": "models/m", "contents": [{ "parts": [{ "text": "hello" }] }] });
    let got = world.call("/v1beta/models/m:countTokens", &json!({ "generateContentRequest": within })).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let sent = world.provider.seen()[0].json();
    assert_eq!(sent["generateContentRequest"]["model"], "models/up");
    let messages = clients()[0].1.clone();
    assert_eq!(world.call("/v1/messages/count_tokens", &messages).await.json(), json!({ "input_tokens": 3 }));
    assert_eq!(world.provider.seen()[1].json()["generateContentRequest"]["model"], "models/up");
}

#[tokio::test]
async fn who_cannot_count_is_passed_over_and_nobody_guesses() {
    let chat_only = DeploymentSpec { apis: vec![ServedApi::Chat], ..deployment_of("openai", "up-chat") };
    let nova = deployment_of("bedrock", "amazon.nova-pro-v1:0");
    let world = World::of(vec![chat_only.clone(), nova.clone(), deployment_of("anthropic", "up")]).await;
    world.provider.answers_only("up", Reply::json(200, &json!({ "input_tokens": 4 })));
    for (path, body, name) in clients() {
        let got = world.call(path, &body).await;
        assert_eq!((got.status, &got.json()[name]), (200, &json!(4)), "{path}");
        assert_eq!(got.header("x-shipway-deployment"), Some("anthropic"));
    }
    let alone = World::of(vec![chat_only, nova]).await;
    for (path, body, _) in clients() {
        let refused = alone.call(path, &body).await;
        assert_eq!((refused.status, refused.header("x-shipway-error")), (400, Some("gateway.no_such_api")));
        assert!(refused.text().contains("for counting"), "{}", refused.text());
    }
    assert!(alone.provider.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_counts_nothing_is_not_left_out_of_other_calls() {
    let world = World::of(vec![deployment_of("openai", "up"), deployment_of("anthropic", "other")]).await;
    let missing = json!({ "error": { "message": "not found", "type": "invalid_request_error" } });
    world.provider.answers_only("up", Reply::json(404, &missing));
    world.provider.answers_only("other", Reply::json(200, &json!({ "input_tokens": 4 })));
    let (path, body, _) = clients()[0].clone();
    for _ in 0..4 {
        assert_eq!(world.call(path, &body).await.status, 200);
    }
    let written = json!({ "id": "c", "object": "chat.completion", "choices": [{ "index": 0, "message": { "role": "assistant", "content": "hi" }, "finish_reason": "stop" }] });
    world.provider.answers_only("up", Reply::json(200, &written));
    let chat = json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }] });
    let got = world.call("/v1/chat/completions", &chat).await;
    assert_eq!(got.header("x-shipway-deployment"), Some("openai"));
}

#[tokio::test]
async fn an_answer_without_a_count_leads_to_the_next_deployment_and_an_error_comes_back_in_the_callers_words()
{
    let world = World::of(vec![deployment_of("gemini", "up"), deployment_of("anthropic", "other")]).await;
    world.provider.answers_only("up", Reply::json(200, &json!({ "totalBillableCharacters": 3 })));
    world.provider.answers_only("other", Reply::json(200, &json!({ "input_tokens": 4 })));
    let (path, body, _) = clients()[1].clone();
    assert_eq!(world.call(path, &body).await.json()["input_tokens"], 4);
    let wrong =
        json!({ "error": { "code": 400, "message": "too many parts", "status": "INVALID_ARGUMENT" } });
    world.provider.answers_only("up", Reply::json(400, &wrong));
    let (path, body, _) = clients()[0].clone();
    let got = world.call(path, &body).await;
    assert_eq!((got.status, &got.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    assert_eq!(got.json()["error"]["message"], "too many parts");
}

#[tokio::test]
async fn counting_costs_a_budget_nothing_and_what_lies_elsewhere_is_refused_by_name() {
    let world = World::of(vec![deployment_of("anthropic", "up")]).await;
    world.provider.answers_only("up", Reply::json(200, &json!({ "input_tokens": 4 })));
    let budget = Budget { dollars: Nanos(1), window: Window::Day };
    let limits = Limits { budgets: vec![budget], ..Limits::default() };
    let key = world.key(CreateKey { limits, ..CreateKey::default() }).await;
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let (path, mut body, _) = clients()[1].clone();
    assert_eq!(world.ask(path, &headers, &body).await.status, 200);
    body["conversation"] = json!("conv_1");
    let refused = world.ask(path, &headers, &body).await;
    assert_eq!((refused.status, refused.header("x-shipway-error")), (400, Some("gateway.not_translatable")));
    assert_eq!(refused.json()["error"]["param"], "conversation");
}
