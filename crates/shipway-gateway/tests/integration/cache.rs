//! Answers that are given again: whole and streamed, to whom, for how long, and what they cost.

use std::time::Duration;

use serde_json::{Value, json};
use shipway_core::{Name, Timestamp};
use shipway_gateway::{
    Budget, CacheScope, CacheSpec, CreateKey, GroupKind, Limits, Outcome, PutGroup, Window,
};

use crate::world::{Answer, COST, End, NOON, Reply, World, completion, deployment, model, question};

const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n";
const WORD: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\u{e9}llo\"},\"finish_reason\":null}]}\r\n\r\n";
const STOP: &str = ": comment\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// A model `chat` of one deployment that keeps its answers for an hour.
async fn world(scope: CacheScope) -> World {
    let world = World::new().await;
    let mut chat = model("chat", vec![deployment("one", "openai")]);
    chat.cache = Some(CacheSpec { time: Duration::from_secs(3_600), scope, together: false, similar: None });
    world.install(vec![chat]);
    world
}

fn streamed() -> Value {
    let mut body = question("chat");
    body["stream"] = json!(true);
    body
}

async fn ask(world: &World, body: &Value) -> Answer {
    world.ask("/v1/chat/completions", &[], body).await
}

#[tokio::test]
async fn a_whole_answer_is_given_again_byte_for_byte_and_costs_nothing() {
    let world = world(CacheScope::Key).await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let first = ask(&world, &question("chat")).await;
    // The same in other words: another name of the model, another order, another user.
    let mut again = json!({ "max_tokens": 100, "user": "u", "model": "chat-latest" });
    again["messages"] = question("chat")["messages"].clone();
    let second = ask(&world, &again).await;
    assert_eq!(
        (first.header("x-shipway-cache"), second.header("x-shipway-cache")),
        (Some("miss"), Some("hit"))
    );
    assert_eq!((&first.body, first.status), (&second.body, second.status));
    assert_eq!(second.header("content-type"), Some("application/json"));
    assert_eq!((second.header("x-shipway-cost"), second.header("age")), (Some("0.000000000"), Some("0")));
    assert_eq!(second.header("x-shipway-deployment"), Some("one"));
    assert_eq!(world.provider.seen().len(), 1);
    let calls = world.settled(2).await;
    assert_eq!(
        (calls[0].cost_nanos, calls[0].saved_nanos, calls[0].cache.as_deref()),
        (COST, 0, Some("miss"))
    );
    let hit = &calls[1];
    assert_eq!((hit.cost_nanos, hit.reserved_nanos, hit.saved_nanos), (0, 0, COST));
    assert_eq!((hit.outcome, hit.status, hit.tokens.total()), (Outcome::Answered, Some(200), 0));
    assert_eq!((hit.cache.as_deref(), hit.attempts.len(), hit.is_unpriced), (Some("hit"), 0, false));
    assert_eq!(hit.response_bytes, second.body.len() as u64);
}

#[tokio::test]
async fn a_stream_is_given_again_frame_by_frame_with_usage_for_who_asks_for_it() {
    let world = world(CacheScope::Key).await;
    world.provider.answers("up-one", Reply::events(&[ROLE, WORD, STOP, USAGE, DONE], End::Clean));
    let first = ask(&world, &streamed()).await;
    assert_eq!(first.text(), [ROLE, WORD, STOP, DONE].concat());
    let again = ask(&world, &streamed()).await;
    assert_eq!((again.header("x-shipway-cache"), &again.body), (Some("hit"), &first.body));
    let mut with_usage = streamed();
    with_usage["stream_options"] = json!({ "include_usage": true });
    // One with its usage is another stream.
    for word in ["miss", "hit"] {
        let answer = ask(&world, &with_usage).await;
        assert_eq!(answer.header("x-shipway-cache"), Some(word));
        assert_eq!(answer.text(), [ROLE, WORD, STOP, USAGE, DONE].concat());
    }
    let calls = world.settled(4).await;
    let cost = 10 * 2_000 + 3 * 10_000;
    assert_eq!(calls.iter().map(|call| call.cost_nanos).collect::<Vec<_>>(), [cost, 0, cost, 0]);
    assert_eq!(calls.iter().map(|call| call.saved_nanos).collect::<Vec<_>>(), [0, cost, 0, cost]);
    // A stream is no whole answer.
    world.provider.answers("up-one", Reply::json(200, &completion()));
    assert_eq!(ask(&world, &question("chat")).await.header("x-shipway-cache"), Some("miss"));
}

#[tokio::test]
async fn what_is_not_complete_is_not_kept() {
    let world = world(CacheScope::Key).await;
    let refused = json!({ "error": { "message": "no", "type": "invalid_request_error" } });
    let mut half = completion();
    half["choices"][0]["finish_reason"] = Value::Null;
    for reply in [Reply::json(400, &refused), Reply::json(200, &half), Reply::json(200, &completion())] {
        world.provider.answers("up-one", reply);
    }
    for _ in 0..3 {
        assert_eq!(ask(&world, &question("chat")).await.header("x-shipway-cache"), Some("miss"));
    }
    assert_eq!(ask(&world, &question("chat")).await.header("x-shipway-cache"), Some("hit"));

    let world = self::world(CacheScope::Key).await;
    for end in [End::Cut, End::Clean] {
        world.provider.answers("up-one", Reply::events(&[ROLE, WORD], end));
        assert!(ask(&world, &streamed()).await.text().contains("error"));
    }
    assert_eq!(ask(&world, &streamed()).await.header("x-shipway-cache"), Some("miss"));
}

#[tokio::test]
async fn a_request_may_ask_for_a_new_answer() {
    let world = world(CacheScope::Key).await;
    for id in ["first", "second", "third"] {
        let mut answer = completion();
        answer["id"] = json!(id);
        world.provider.answers("up-one", Reply::json(200, &answer));
    }
    let says = async |directive: Option<&str>| {
        let headers: Vec<_> = directive.map(|value| ("cache-control", value)).into_iter().collect();
        let answer = world.ask("/v1/chat/completions", &headers, &question("chat")).await;
        (
            answer.header("x-shipway-cache").unwrap().to_owned(),
            answer.json()["id"].as_str().unwrap().to_owned(),
        )
    };
    let pair = |word: &str, id: &str| (word.to_owned(), id.to_owned());
    assert_eq!(says(None).await, pair("miss", "first"));
    assert_eq!(says(Some("no-store")).await, pair("bypass", "second"));
    assert_eq!(says(None).await, pair("hit", "first"));
    assert_eq!(says(Some("no-cache")).await, pair("bypass", "third"));
    assert_eq!(says(None).await, pair("hit", "third"));
}

#[tokio::test]
async fn an_answer_is_good_for_its_time_and_for_the_model_that_gave_it() {
    let world = world(CacheScope::Key).await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    ask(&world, &question("chat")).await;
    world.clock.set(Timestamp(NOON.0 + 3_599_000_000));
    let late = ask(&world, &question("chat")).await;
    assert_eq!((late.header("x-shipway-cache"), late.header("age")), (Some("hit"), Some("3599")));
    world.clock.set(Timestamp(NOON.0 + 3_600_000_000));
    assert_eq!(ask(&world, &question("chat")).await.header("x-shipway-cache"), Some("miss"));
    assert_eq!(ask(&world, &question("chat")).await.header("x-shipway-cache"), Some("hit"));
    // What decides the answer is another question.
    let mut other = question("chat");
    other["temperature"] = json!(0);
    assert_eq!(ask(&world, &other).await.header("x-shipway-cache"), Some("miss"));
    let beta = world.ask("/v1/chat/completions", &[("openai-beta", "x")], &question("chat")).await;
    assert_eq!(beta.header("x-shipway-cache"), Some("miss"));
    // So is a model that another provider answers for.
    let mut chat = model("chat", vec![deployment("two", "openai")]);
    chat.cache = Some(CacheSpec {
        time: Duration::from_secs(3_600),
        scope: CacheScope::Key,
        together: false,
        similar: None,
    });
    world.install(vec![chat]);
    world.provider.answers("up-two", Reply::json(200, &completion()));
    assert_eq!(ask(&world, &question("chat")).await.header("x-shipway-cache"), Some("miss"));
    // And one without a cache says nothing of it.
    world.install(vec![model("chat", vec![deployment("one", "openai")])]);
    assert_eq!(ask(&world, &question("chat")).await.header("x-shipway-cache"), None);
}

async fn group(world: &World, name: &str, kind: GroupKind, parent: Option<&str>) {
    let parent = parent.map(|parent| Name::new(parent).unwrap());
    let put = PutGroup { name: Name::new(name).unwrap(), kind, parent, limits: Limits::default() };
    world.gateway.put_group("tester", put).await.unwrap();
}

async fn key_in(world: &World, group: Option<&str>) -> String {
    world.key(CreateKey { group: group.map(|name| Name::new(name).unwrap()), ..CreateKey::default() }).await
}

#[tokio::test]
async fn answers_are_shared_within_the_scope_and_never_beyond_it() {
    for (scope, shared) in [
        (CacheScope::Key, ["hit", "miss", "miss", "miss", "miss", "miss"]),
        (CacheScope::Project, ["hit", "hit", "miss", "miss", "miss", "miss"]),
        (CacheScope::Team, ["hit", "hit", "hit", "miss", "miss", "miss"]),
        (CacheScope::Organisation, ["hit", "hit", "hit", "hit", "miss", "miss"]),
    ] {
        let world = world(scope).await;
        group(&world, "org", GroupKind::Organisation, None).await;
        group(&world, "team", GroupKind::Team, Some("org")).await;
        group(&world, "search", GroupKind::Project, Some("team")).await;
        group(&world, "ads", GroupKind::Project, Some("team")).await;
        group(&world, "other", GroupKind::Organisation, None).await;
        world.provider.answers("up-one", Reply::json(200, &completion()));
        let first = key_in(&world, Some("search")).await;
        assert_eq!(world.chat(&first, &question("chat")).await.header("x-shipway-cache"), Some("miss"));
        let others = [Some("search"), Some("ads"), Some("org"), Some("other"), None];
        let mut keys = vec![first];
        for group in others {
            keys.push(key_in(&world, group).await);
        }
        for (key, expected) in keys.iter().zip(shared) {
            let answer = world.chat(key, &question("chat")).await;
            assert_eq!(answer.header("x-shipway-cache"), Some(expected), "{scope:?}");
        }
    }
}

#[tokio::test]
async fn a_hit_counts_as_a_request_and_needs_no_budget() {
    let world = world(CacheScope::Key).await;
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let limits =
        Limits { requests_per_minute: Some(3), tokens_per_minute: Some(10_000), ..Limits::default() };
    let key = world.key(CreateKey { limits, ..CreateKey::default() }).await;
    let first = world.chat(&key, &question("chat")).await;
    let second = world.chat(&key, &question("chat")).await;
    assert_eq!(second.header("x-shipway-cache"), Some("hit"));
    let left = |answer: &Answer, what: &str| {
        answer.header(&format!("x-ratelimit-remaining-{what}")).unwrap().to_owned()
    };
    assert_eq!((left(&first, "requests"), left(&second, "requests")), ("2".to_owned(), "1".to_owned()));
    assert_eq!(left(&first, "tokens"), left(&second, "tokens"));
    // With nothing left to spend, what is kept is still given.
    let id = key.trim_start_matches("shipway_llm_").split('_').next().unwrap().to_owned();
    let budget = Budget { dollars: "0".parse().unwrap(), window: Window::Total };
    world
        .gateway
        .limit_key("tester", &id, Limits { budgets: vec![budget], ..Limits::default() })
        .await
        .unwrap();
    assert_eq!(world.chat(&key, &question("chat")).await.header("x-shipway-cache"), Some("hit"));
    let mut other = question("chat");
    other["temperature"] = json!(0);
    assert_eq!(world.chat(&key, &other).await.status, 402);
    // Nor is it given to a key that may not use the model.
    let outside = world.key(CreateKey { models: vec!["else".to_owned()], ..CreateKey::default() }).await;
    assert_eq!(world.chat(&outside, &question("chat")).await.status, 403);
}

#[tokio::test]
async fn what_is_longer_than_a_part_of_the_bound_passes_and_is_not_kept() {
    let world = world(CacheScope::Key).await;
    let mut long = completion();
    long["choices"][0]["message"]["content"] = json!("x".repeat(2 << 20));
    world.provider.answers("up-one", Reply::json(200, &long));
    for _ in 0..2 {
        let answer = ask(&world, &question("chat")).await;
        assert_eq!((answer.status, answer.header("x-shipway-cache")), (200, Some("miss")));
    }
}
