//! Keys, budgets, rates.

use http::Method;
use serde_json::{Value, json};
use shipway_core::Timestamp;
use shipway_gateway::{Budget, CreateKey, Limits, Window};

use crate::world::{COST, NOON, Reply, World, completion, question};

fn budget(dollars: &str, window: Window) -> Limits {
    let budgets = vec![Budget { dollars: dollars.parse().unwrap(), window }];
    Limits { budgets, ..Limits::default() }
}

async fn answering() -> World {
    let world = World::new().await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    world
}

#[tokio::test]
async fn a_key_is_shown_once_and_can_be_rotated_expire_and_be_revoked() {
    let world = answering().await;
    let body = json!({ "name": "search", "models": ["chat"], "days": 1 });
    let made = world.native(Method::POST, "/api/v1/llm/keys", Some(body)).await;
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")));
    let (id, first) =
        (made.json()["id"].as_str().unwrap().to_owned(), made.json()["key"].as_str().unwrap().to_owned());
    assert!(first.starts_with("shipway_llm_"));
    let listed = world.native(Method::GET, "/api/v1/llm/keys", None).await;
    assert!(!listed.text().contains(&first) && listed.text().contains(&id));
    assert_eq!(world.chat(&first, &question("chat")).await.status, 200);
    let refused = world.chat(&first, &question("claude")).await;
    assert_eq!((refused.status, refused.header("x-shipway-error")), (403, Some("gateway.model_not_allowed")));

    let rotate = format!("/api/v1/llm/keys/{id}/rotate");
    let second =
        world.native(Method::POST, &rotate, Some(json!({ "grace_seconds": 60 }))).await.json()["key"]
            .as_str()
            .unwrap()
            .to_owned();
    for key in [&first, &second] {
        assert_eq!(world.chat(key, &question("chat")).await.status, 200);
    }
    world.clock.set(Timestamp(NOON.0 + 61_000_000));
    let wrong = world.chat(&first, &question("chat")).await;
    assert_eq!((wrong.status, wrong.header("x-shipway-error")), (401, Some("gateway.wrong_key")));
    assert_eq!(world.chat(&second, &question("chat")).await.status, 200);
    world.clock.set(Timestamp(NOON.0 + 86_400_000_000));
    assert_eq!(world.chat(&second, &question("chat")).await.status, 401);
    world.clock.set(NOON);
    assert_eq!(world.native(Method::DELETE, &format!("/api/v1/llm/keys/{id}"), None).await.status, 204);
    assert_eq!(world.chat(&second, &question("chat")).await.status, 401);
    assert_eq!(world.native(Method::GET, &format!("/api/v1/llm/keys/{id}"), None).await.status, 404);
}

#[tokio::test]
async fn a_key_sees_and_asks_the_models_that_it_is_for() {
    let world = answering().await;
    let key = world.key(CreateKey { models: vec!["chat-latest".to_owned()], ..CreateKey::default() }).await;
    let request = http::Request::builder().uri("/v1/models").header("authorization", format!("Bearer {key}"));
    let listed = world.raw(request.body(axum::body::Body::empty()).unwrap()).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(world.chat(&key, &question("chat-latest")).await.status, 200);
    assert_eq!(world.chat(&key, &question("chat")).await.status, 403);
}

#[tokio::test]
async fn what_keys_spend_is_charged_to_the_groups_above_them() {
    let world = answering().await;
    for (name, body) in [
        (
            "acme",
            json!({ "kind": "organisation", "limits": { "budgets": [{ "dollars": "0.0031", "window": "day" }] } }),
        ),
        ("retail", json!({ "kind": "team", "parent": "acme" })),
        ("search", json!({ "kind": "project", "parent": "retail" })),
    ] {
        let put = world.native(Method::PUT, &format!("/api/v1/llm/groups/{name}"), Some(body)).await;
        assert_eq!(put.status, 200, "{}", put.text());
    }
    let group = |name: &str| Some(name.parse().unwrap());
    let first = world.key(CreateKey { group: group("search"), ..CreateKey::default() }).await;
    let second = world.key(CreateKey { group: group("retail"), ..CreateKey::default() }).await;

    assert_eq!(world.chat(&first, &question("chat")).await.status, 200);
    assert_eq!(world.chat(&second, &question("chat")).await.status, 200);
    for (name, calls) in [("search", 1), ("retail", 2), ("acme", 2)] {
        let used =
            world.native(Method::GET, &format!("/api/v1/llm/groups/{name}"), None).await.json()["used"]
                .clone();
        let dollars: shipway_dialects::Nanos = used["dollars"]["day"].as_str().unwrap().parse().unwrap();
        assert_eq!((used["calls"].as_i64(), dollars.0), (Some(calls), calls * COST), "{name}");
    }
    // Each reserves 0.001 and a little for its input, and costs 0.0000868: what is left of 0.0031 after two is enough for 100 tokens, not for 300.
    let mut large = question("chat");
    large["max_tokens"] = json!(300);
    let refused = world.chat(&first, &large).await;
    assert_eq!((refused.status, refused.header("x-shipway-error")), (402, Some("gateway.budget_used_up")));
    assert_eq!(refused.header("x-should-retry"), Some("false"));
    assert!(refused.text().contains("group/acme"), "{}", refused.text());
    assert_eq!(world.chat(&first, &question("chat")).await.status, 200);
    world.clock.set(Timestamp(NOON.0 + 86_400_000_000));
    assert_eq!(world.chat(&first, &large).await.status, 200);
}

#[tokio::test]
async fn groups_are_above_one_another_in_their_order_and_are_not_removed_while_something_is_in_them() {
    let world = World::new().await;
    let put = |name: &'static str, body: Value| {
        let path = format!("/api/v1/llm/groups/{name}");
        let world = &world;
        async move { world.native(Method::PUT, &path, Some(body)).await.status }
    };
    assert_eq!(put("acme", json!({ "kind": "organisation" })).await, 200);
    assert_eq!(put("retail", json!({ "kind": "team", "parent": "acme" })).await, 200);
    assert_eq!(put("other", json!({ "kind": "team", "parent": "retail" })).await, 400);
    assert_eq!(put("acme", json!({ "kind": "project" })).await, 400);
    assert_eq!(put("lost", json!({ "kind": "project", "parent": "nothing" })).await, 404);
    assert_eq!(put("Bad", json!({ "kind": "project" })).await, 400);
    let delete = world.native(Method::DELETE, "/api/v1/llm/groups/acme", None).await;
    assert_eq!((delete.status, delete.json()["code"].as_str()), (409, Some("gateway.group_in_use")));
    assert_eq!(world.native(Method::DELETE, "/api/v1/llm/groups/retail", None).await.status, 204);
    assert_eq!(world.native(Method::DELETE, "/api/v1/llm/groups/acme", None).await.status, 204);
}

#[tokio::test]
async fn requests_for_a_minute_are_exact_and_say_how_they_stand() {
    let world = answering().await;
    let limits = Limits { requests_per_minute: Some(3), ..Limits::default() };
    let key = world.key(CreateKey { limits, ..CreateKey::default() }).await;
    for left in ["2", "1", "0"] {
        let got = world.chat(&key, &question("chat")).await;
        assert_eq!((got.status, got.header("x-ratelimit-remaining-requests")), (200, Some(left)));
        assert_eq!(got.header("x-ratelimit-limit-requests"), Some("3"));
    }
    let refused = world.chat(&key, &question("chat")).await;
    assert_eq!((refused.status, refused.header("x-shipway-error")), (429, Some("gateway.rate_limited")));
    let wait: i64 = refused.header("retry-after").unwrap().parse().unwrap();
    world.clock.set(Timestamp(NOON.0 + wait * 1_000_000 - 1));
    assert_eq!(world.chat(&key, &question("chat")).await.status, 429);
    world.clock.set(Timestamp(NOON.0 + wait * 1_000_000));
    assert_eq!(world.chat(&key, &question("chat")).await.status, 200);
}

#[tokio::test]
async fn two_hundred_calls_at_once_do_not_pass_a_budget() {
    let world = std::sync::Arc::new(answering().await);
    // Each reserves 100 tokens out and a few in, a little more than 0.001, and costs 0.0000868.
    let key = world.key(CreateKey { limits: budget("0.02", Window::Total), ..CreateKey::default() }).await;
    let body = question("chat");
    let calls = (0..200).map(|_| world.chat(&key, &body));
    let answers = futures::future::join_all(calls).await;
    let answered = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(answers.iter().all(|answer| matches!(answer.status, 200 | 402)));
    assert!(answered >= 1, "{answered}");
    let settled = world.settled(answered).await;
    let spent: i64 = settled.iter().map(|call| call.cost_nanos).sum();
    assert_eq!(spent, answered as i64 * COST);
    assert!(spent <= 20_000_000);
    let id = key.split('_').nth(2).unwrap();
    let usage = world.gateway.usage(&format!("key/{id}").parse().unwrap());
    assert_eq!((usage.reserved_nanos, usage.running), (0, 0));
    assert_eq!(usage.spent.last(), Some(&(Window::Total, spent)));
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused() {
    let world = World::new().await;
    for limits in [
        json!({ "budgets": [{ "dollars": "-1", "window": "day" }] }),
        json!({ "budgets": [{ "dollars": "1", "window": "day" }, { "dollars": "2", "window": "day" }] }),
        json!({ "budgets": [{ "dollars": "1", "window": "year" }] }),
        json!({ "requests": 5 }),
    ] {
        let body = json!({ "name": "k", "limits": limits });
        assert_eq!(world.native(Method::POST, "/api/v1/llm/keys", Some(body)).await.status, 400, "{limits}");
    }
    for body in
        [json!({ "name": "" }), json!({ "name": "k", "days": 0 }), json!({ "name": "k", "group": "none" })]
    {
        let refused = world.native(Method::POST, "/api/v1/llm/keys", Some(body)).await;
        assert!(matches!(refused.status, 400 | 404), "{}", refused.text());
    }
    assert_eq!(world.native(Method::GET, "/api/v1/llm/keys", None).await.json()["keys"], json!([]));
}
