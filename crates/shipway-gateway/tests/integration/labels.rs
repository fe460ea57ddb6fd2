//! Users and tags with limits of their own, and what keys are bound to: routes, tools, whose calls they are.

use http::Method;
use serde_json::{Value, json};
use shipway_dialects::Nanos;
use shipway_gateway::{Budget, CreateKey, KeyRoute, KeyTerms, LabelKind, Limits, Window};

use crate::world::{COST, Reply, World, completion, question};

fn dollars(nanos: i64) -> Limits {
    Limits { budgets: vec![Budget { window: Window::Day, dollars: Nanos(nanos) }], ..Limits::default() }
}

async fn world() -> World {
    let world = World::new().await;
    world.provider.answers_only("up-one", Reply::json(200, &completion()));
    world
}

/// A question of this user, with these tags.
async fn ask(world: &World, key: &str, user: Option<&str>, tags: &[(&str, &str)]) -> (u16, String) {
    let mut body = question("chat");
    if let Some(user) = user {
        body["user"] = json!(user);
    }
    body["max_tokens"] = json!(10);
    let bearer = format!("Bearer {key}");
    let headers: Vec<(&str, &str)> =
        std::iter::once(("authorization", bearer.as_str())).chain(tags.iter().copied()).collect();
    let got = world.ask("/v1/chat/completions", &headers, &body).await;
    (got.status, got.text().to_owned())
}

#[tokio::test]
async fn a_user_has_one_budget_over_all_keys_and_others_have_theirs() {
    let world = world().await;
    let keys = [world.key(CreateKey::default()).await, world.key(CreateKey::default()).await];
    let eve = (LabelKind::User, "eve@example.com");
    // Calls before are not counted.
    assert_eq!(ask(&world, &keys[0], Some(eve.1), &[]).await.0, 200);
    world
        .gateway
        .put_label("tester", eve, Limits { requests_per_minute: Some(2), ..Limits::default() })
        .await
        .unwrap();
    assert_eq!(ask(&world, &keys[0], Some(eve.1), &[]).await.0, 200);
    assert_eq!(ask(&world, &keys[1], Some(eve.1), &[]).await.0, 200);
    let (status, text) = ask(&world, &keys[1], Some(eve.1), &[]).await;
    assert!(status == 429 && text.contains("user/eve@example.com"), "{status} {text}");
    assert_eq!(ask(&world, &keys[1], Some("bob"), &[]).await.0, 200);
    assert_eq!(ask(&world, &keys[1], None, &[]).await.0, 200);

    world.gateway.put_label("tester", eve, dollars(COST)).await.unwrap();
    let (status, text) = ask(&world, &keys[0], Some(eve.1), &[]).await;
    assert_eq!(status, 402, "{text}");
    let shown = world.native(Method::GET, "/api/v1/llm/labels/user/eve%40example.com", None).await.json();
    assert_eq!((&shown["kind"], &shown["used"]["calls"]), (&json!("user"), &json!(2)), "{shown}");
    world.gateway.delete_label("tester", eve.0, eve.1).await.unwrap();
    assert_eq!(ask(&world, &keys[0], Some(eve.1), &[]).await.0, 200);
    assert_eq!(
        world.native(Method::GET, "/api/v1/llm/labels/user/eve%40example.com", None).await.status,
        404
    );
}

#[tokio::test]
async fn tags_have_limits_each_and_a_key_may_have_tags_and_a_user_that_no_call_can_change() {
    let world = world().await;
    let search = (LabelKind::Tag, "team=search");
    world
        .gateway
        .put_label("tester", search, Limits { requests_per_minute: Some(1), ..Limits::default() })
        .await
        .unwrap();
    world
        .gateway
        .put_label(
            "tester",
            (LabelKind::User, "eve"),
            Limits { requests_per_minute: Some(1), ..Limits::default() },
        )
        .await
        .unwrap();
    let free = world.key(CreateKey::default()).await;
    let team = [("x-shipway-tag-team", "search")];
    assert_eq!(ask(&world, &free, None, &[("x-shipway-tag-team", "ads")]).await.0, 200);
    assert_eq!(ask(&world, &free, None, &team).await.0, 200);
    let (status, text) = ask(&world, &free, None, &team).await;
    assert!(status == 429 && text.contains("tag/team=search"), "{status} {text}");

    let names: Vec<String> = (0..40).map(|number| format!("x-shipway-tag-junk{number}")).collect();
    let mut many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    many.push(team[0]);
    assert_eq!(ask(&world, &free, None, &many).await.0, 429);

    let terms = KeyTerms {
        user: Some("eve".to_owned()),
        tags: [("team".to_owned(), "ads".to_owned())].into(),
        ..KeyTerms::default()
    };
    let bound = world.key(CreateKey { terms, ..CreateKey::default() }).await;
    assert_eq!(ask(&world, &bound, Some("bob"), &team).await.0, 200);
    let (status, text) = ask(&world, &bound, Some("bob"), &[]).await;
    assert!(status == 429 && text.contains("user/eve"), "{status} {text}");
    let calls = world.settled(3).await;
    let last = calls.iter().find(|call| call.user.is_some()).unwrap();
    assert_eq!(
        (last.user.as_deref(), last.labels.tags.get("team").map(String::as_str)),
        (Some("eve"), Some("ads"))
    );
}

#[tokio::test]
async fn limits_of_labels_outlive_a_kill() {
    let world = world().await;
    let key = world.key(CreateKey::default()).await;
    world.gateway.put_label("tester", (LabelKind::User, "eve"), dollars(100 * COST)).await.unwrap();
    assert_eq!(ask(&world, &key, Some("eve"), &[]).await.0, 200);
    world.settled(1).await;
    let world = world.killed().await;
    let shown = world.native(Method::GET, "/api/v1/llm/labels", None).await.json();
    let label = &shown["labels"][0];
    assert_eq!((&label["name"], &label["used"]["calls"]), (&json!("eve"), &json!(1)), "{shown}");
    assert_eq!(label["limits"]["budgets"][0]["window"], "day");
}

#[tokio::test]
async fn names_that_no_call_could_say_are_refused() {
    let world = world().await;
    for (path, words) in [
        ("tag/team", "NAME=VALUE"),
        ("tag/team%3D", "NAME=VALUE"),
        ("user/%0A", "on one line"),
        ("group/x", "group"),
    ] {
        let got = world.native(Method::PUT, &format!("/api/v1/llm/labels/{path}"), Some(json!({}))).await;
        assert!(got.status == 400 && got.text().contains(words), "{path}: {} {}", got.status, got.text());
    }
    let (user, key) = (json!({ "name": "k", "user": "" }), json!({ "name": "k", "routes": ["telex"] }));
    for body in [user, key] {
        let got = world.native(Method::POST, "/api/v1/llm/keys", Some(body)).await;
        assert_eq!(got.status, 400, "{}", got.text());
    }
}

#[tokio::test]
async fn a_key_asks_by_its_routes_only() {
    let world = world().await;
    let terms = KeyTerms { routes: vec![KeyRoute::Chat], ..KeyTerms::default() };
    let key = world.key(CreateKey { terms, ..CreateKey::default() }).await;
    assert_eq!(ask(&world, &key, None, &[]).await.0, 200);
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    let contents = json!({ "contents": [{ "parts": [{ "text": "hello" }] }] });
    for (path, body) in [
        ("/v1/responses", json!({ "model": "chat", "input": "hello" })),
        ("/v1/responses/input_tokens", json!({ "model": "chat", "input": "hello" })),
        ("/v1/completions", json!({ "model": "chat", "prompt": "hello" })),
        ("/v1/embeddings", json!({ "model": "chat", "input": "hello" })),
        ("/v1/messages", json!({ "model": "claude", "max_tokens": 1, "messages": [] })),
        ("/v1beta/models/chat:generateContent", contents),
        ("/v1/images/generations", json!({ "model": "chat", "prompt": "a dot" })),
        ("/v1/audio/speech", json!({ "model": "chat", "input": "hello", "voice": "x" })),
        ("/v1/moderations", json!({ "model": "chat", "input": "hello" })),
        ("/v1/batches", json!({ "input_file_id": "f", "endpoint": "/v1/chat/completions" })),
        ("/v1/responses/resp_1/cancel", json!({})),
    ] {
        let got = world.ask(path, &headers, &body).await;
        assert_eq!(
            (got.status, got.header("x-shipway-error")),
            (403, Some("gateway.route_not_allowed")),
            "{path}: {}",
            got.text()
        );
    }
    assert_eq!(world.provider.seen().len(), 1);
}

/// Chat, messages and responses that offer tools in all the ways that there are.
fn offers() -> Vec<(&'static str, Value, &'static str)> {
    let function = json!({ "type": "function", "function": { "name": "shell" } });
    let messages = json!([{ "role": "user", "content": "hello" }]);
    vec![
        (
            "/v1/chat/completions",
            json!({ "model": "chat", "messages": messages, "tools": [function] }),
            "shell",
        ),
        (
            "/v1/chat/completions",
            json!({ "model": "chat", "messages": messages, "functions": [{ "name": "shell" }] }),
            "shell",
        ),
        (
            "/v1/chat/completions",
            json!({ "model": "chat", "messages": messages, "web_search_options": {} }),
            "web_search",
        ),
        (
            "/v1/responses",
            json!({ "model": "chat", "input": "x", "tools": [{ "type": "code_interpreter" }] }),
            "code_interpreter",
        ),
        (
            "/v1/responses",
            json!({ "model": "chat", "input": "x", "tools": [{ "type": "mcp", "server_url": "https://x" }] }),
            "mcp",
        ),
        ("/v1/responses", json!({ "model": "chat", "input": "x", "prompt": { "id": "pmpt_1" } }), "prompt"),
        (
            "/v1/messages",
            json!({ "model": "claude", "max_tokens": 1, "messages": messages, "tools": [{ "name": "shell", "input_schema": {} }] }),
            "shell",
        ),
        (
            "/v1/messages",
            json!({ "model": "claude", "max_tokens": 1, "messages": messages, "mcp_servers": [{ "url": "https://x" }] }),
            "mcp",
        ),
        (
            "/v1beta/models/chat:generateContent",
            json!({ "contents": [{ "parts": [{ "text": "x" }] }], "tools": [{ "functionDeclarations": [{ "name": "shell" }] }, { "googleSearch": {} }] }),
            "shell",
        ),
    ]
}

/// Calls that offer a tool that is allowed and, by a member that is easily overlooked, another one.
fn hidden_offers() -> Vec<(&'static str, Value, &'static str)> {
    let messages = json!([{ "role": "user", "content": "hello" }]);
    let chat = |more: Value| {
        let mut body = json!({ "model": "chat", "messages": messages });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let contents = json!([{ "parts": [{ "text": "x" }] }]);
    let weather = json!([{ "name": "weather" }]);
    vec![
        ("/v1/chat/completions", chat(json!({ "tools": [{ "type": "mcp", "name": "weather" }] })), "mcp"),
        (
            "/v1/chat/completions",
            chat(
                json!({ "tools": [{ "type": "namespace", "name": "weather", "tools": [{ "type": "function", "name": "shell" }] }] }),
            ),
            "shell",
        ),
        (
            "/v1/chat/completions",
            chat(json!({ "additionalModelRequestFields": { "tools": [] } })),
            "additionalModelRequestFields",
        ),
        ("/v1/chat/completions", chat(json!({ "prompt": { "id": "pmpt_1" } })), "prompt"),
        (
            "/v1/responses",
            json!({ "model": "chat", "input": "x", "functions": [{ "name": "shell" }] }),
            "functions",
        ),
        (
            "/v1/responses",
            json!({ "model": "chat", "input": [{ "type": "tool_search_output", "tools": [{ "name": "shell" }] }] }),
            "input",
        ),
        (
            "/v1/messages",
            json!({ "model": "claude", "max_tokens": 1, "messages": messages, "toolConfig": { "tools": [] } }),
            "toolConfig",
        ),
        (
            "/v1beta/models/chat:generateContent",
            json!({ "contents": contents, "tools": [{ "functionDeclarations": weather, "googleSearch": {} }] }),
            "googleSearch",
        ),
        (
            "/v1beta/models/chat:generateContent",
            json!({ "contents": contents, "cachedContent": "cachedContents/1" }),
            "cachedContent",
        ),
    ]
}

#[tokio::test]
async fn no_member_brings_a_tool_that_the_key_is_not_for() {
    let world = world().await;
    let terms = KeyTerms { tools: Some(vec!["weather".to_owned()]), ..KeyTerms::default() };
    let key = world.key(CreateKey { terms, ..CreateKey::default() }).await;
    let bearer = format!("Bearer {key}");
    for (path, body, word) in hidden_offers() {
        let got = world.ask(path, &[("authorization", &bearer)], &body).await;
        assert_eq!(
            (got.status, got.header("x-shipway-error")),
            (403, Some("gateway.tool_not_allowed")),
            "{path} {body}: {}",
            got.text()
        );
        assert!(got.text().contains(word), "{path}: {}", got.text());
    }
    // What cannot be read wholly may hide one.
    let body = r#"{"model":"chat","messages":[],"tools":[{"\ud800":1},{"type":"function","function":{"name":"shell"}}]}"#;
    let request = http::Request::post("/v1/chat/completions")
        .header("authorization", &bearer)
        .body(body.into())
        .unwrap();
    assert_eq!(world.raw(request).await.status, 403);
    let batch = json!({ "input_file_id": "f", "endpoint": "/v1/chat/completions" });
    let got = world.ask("/v1/batches", &[("authorization", &bearer)], &batch).await;
    assert_eq!((got.status, got.header("x-shipway-error")), (403, Some("gateway.tool_not_allowed")));
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn a_key_offers_its_tools_only_however_a_call_offers_them() {
    let world = world().await;
    for tools in [vec![], vec!["weather".to_owned()]] {
        let terms = KeyTerms { tools: Some(tools.clone()), ..KeyTerms::default() };
        let key = world.key(CreateKey { terms, ..CreateKey::default() }).await;
        let bearer = format!("Bearer {key}");
        for (path, body, word) in offers() {
            let got = world.ask(path, &[("authorization", &bearer)], &body).await;
            let refused = (got.status, got.header("x-shipway-error"));
            assert_eq!(refused, (403, Some("gateway.tool_not_allowed")), "{path}: {}", got.text());
            assert!(got.text().contains(word), "{path}: {}", got.text());
        }
        let weather = json!([{ "type": "function", "function": { "name": "weather" } }]);
        let mut body = question("chat");
        body["tools"] = weather;
        let expected = if tools.is_empty() { 403 } else { 200 };
        assert_eq!(world.chat(&key, &body).await.status, expected);
        assert_eq!(world.chat(&key, &question("chat")).await.status, 200);
    }
    assert_eq!(world.provider.seen().len(), 3);
}
