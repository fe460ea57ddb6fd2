//! One answer for many: who asks the same at once, and who asks about the same.

use std::{sync::Arc, time::Duration};

use http::Method;
use serde_json::{Value, json};
use shipway_core::Sampling;
use shipway_gateway::{CacheScope, CacheSpec, CreateKey, Embedder, Outcome, SimilarSpec};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::world::{Answer, COST, Reply, World, completion, deployment, model, question};

const TOWER: &str = "How tall is the tower?";
const SAME: &str = "What is the height of that tower, please?";
const OTHER: &str = "Who built such a thing?";

fn similar() -> SimilarSpec {
    SimilarSpec {
        embeddings: Embedder::Model("embed".to_owned()),
        is_shadow: false,
        least: 950_000,
        same: 900_000,
        wrong: 20_000,
        check: Sampling::Off,
    }
}

/// A model `chat` that keeps its answers, and `embed` beside it.
async fn world(together: bool, similar: Option<SimilarSpec>) -> World {
    let world = World::new().await;
    let mut chat = model("chat", vec![deployment("one", "openai")]);
    chat.cache =
        Some(CacheSpec { time: Duration::from_secs(3_600), scope: CacheScope::Key, together, similar });
    world.install(vec![chat, model("embed", vec![deployment("vectors", "openai")])]);
    world.provider.means(TOWER, &[1.0, 0.0, 0.0]);
    world.provider.means(SAME, &[0.99, 0.1, 0.0]);
    world.provider.means(OTHER, &[0.0, 1.0, 0.0]);
    world
}

fn asking(words: &str) -> Value {
    json!({ "model": "chat", "messages": [{ "role": "user", "content": words }], "max_tokens": 100 })
}

fn saying(words: &str) -> Reply {
    let mut answer = completion();
    answer["choices"][0]["message"]["content"] = json!(words);
    Reply::json(200, &answer)
}

async fn ask(world: &World, body: &Value) -> Answer {
    world.ask("/v1/chat/completions", &[], body).await
}

/// Asks while the test goes on.
fn asked_beside(world: &Arc<World>, body: Value) -> JoinHandle<Answer> {
    let world = Arc::clone(world);
    TaskTracker::new().spawn(async move { ask(&world, &body).await })
}

async fn listed(world: &World) -> Value {
    world.native(Method::GET, "/api/v1/llm/cache", None).await.json()
}

/// Waits until so many questions are kept beside their answers.
async fn until_kept(world: &World, questions: u64) {
    let find = async {
        while listed(world).await["questions"].as_u64().unwrap() < questions {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), find).await.unwrap();
}

/// What was measured of `chat`, once so many answers were compared or could not be.
async fn measured(world: &World, count: u64) -> Value {
    let find = async {
        loop {
            let listed = listed(world).await;
            let similar = listed["models"][0]["similar"].clone();
            let steps = similar["steps"].as_array().unwrap();
            let compared: u64 = steps
                .iter()
                .map(|step| step["same"].as_u64().unwrap() + step["different"].as_u64().unwrap())
                .sum();
            if compared + similar["failed"].as_u64().unwrap() >= count {
                return similar;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), find).await.unwrap()
}

/// Asks for embeddings that were sent so far, once there are so many.
async fn embedded(world: &World, count: usize) -> Vec<Value> {
    let find = async {
        loop {
            let seen = world.provider.seen();
            let asked: Vec<Value> = seen
                .iter()
                .filter(|seen| seen.path.ends_with("/embeddings"))
                .map(|seen| seen.json()["input"].clone())
                .collect();
            if asked.len() >= count {
                return asked;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), find).await.unwrap()
}

/// A question that was asked is on its shelf when another one like it finds it.
async fn until_given(world: &World, body: &Value) -> Answer {
    let find = async {
        loop {
            let answer = ask(world, body).await;
            if answer.header("x-shipway-cache") == Some("similar") {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), find).await.unwrap()
}

fn chats(world: &World) -> usize {
    world.provider.seen().iter().filter(|seen| seen.path.ends_with("/chat/completions")).count()
}

#[tokio::test]
async fn who_asks_the_same_at_once_waits_for_one_answer() {
    let world = Arc::new(world(true, None).await);
    let gate = world.provider.holds("up-one");
    world.provider.answers("up-one", saying("once"));
    let asking = (0..20).map(|_| asked_beside(&world, question("chat")));
    let asking: Vec<_> = asking.collect();
    while world.provider.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    gate.add_permits(1);
    let mut words = Vec::new();
    for answer in asking {
        let answer = answer.await.unwrap();
        assert_eq!(
            (answer.status, answer.json()["choices"][0]["message"]["content"].as_str()),
            (200, Some("once"))
        );
        words.push(answer.header("x-shipway-cache").unwrap().to_owned());
    }
    words.sort();
    assert_eq!((words.iter().filter(|word| *word == "miss").count(), chats(&world)), (1, 1));
    assert_eq!(words.iter().filter(|word| *word == "together" || *word == "hit").count(), 19);
    let calls = world.settled(20).await;
    assert_eq!(calls.iter().map(|call| call.cost_nanos).sum::<i64>(), COST);
    assert_eq!(calls.iter().map(|call| call.saved_nanos).sum::<i64>(), 19 * COST);
}

#[tokio::test]
async fn who_waited_for_an_answer_that_failed_asks_alone() {
    let world = Arc::new(world(true, None).await);
    let gate = world.provider.holds("up-one");
    let refused = json!({ "error": { "message": "no", "type": "invalid_request_error" } });
    world.provider.answers("up-one", Reply::json(400, &refused));
    world.provider.answers("up-one", saying("second"));
    let first = asked_beside(&world, question("chat"));
    while world.provider.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    let second = asked_beside(&world, question("chat"));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(chats(&world), 1);
    gate.add_permits(2);
    assert_eq!(first.await.unwrap().status, 400);
    assert_eq!((second.await.unwrap().status, chats(&world)), (200, 2));
    // Who leaves lets those go on that waited for them.
    let gate = world.provider.holds("up-one");
    let mut other = question("chat");
    other["max_tokens"] = json!(7);
    let leaves = asked_beside(&world, other.clone());
    while chats(&world) < 3 {
        tokio::task::yield_now().await;
    }
    let stays = asked_beside(&world, other);
    tokio::time::sleep(Duration::from_millis(50)).await;
    leaves.abort();
    gate.add_permits(2);
    assert_eq!((stays.await.unwrap().status, chats(&world)), (200, 4));
}

#[tokio::test]
async fn streams_do_not_wait_for_each_other() {
    let world = Arc::new(world(true, None).await);
    let gate = world.provider.holds("up-one");
    let events = [
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
    ];
    world.provider.answers("up-one", Reply::events(&events, crate::world::End::Clean));
    let mut body = question("chat");
    body["stream"] = json!(true);
    let both: Vec<_> = (0..2).map(|_| asked_beside(&world, body.clone())).collect();
    while chats(&world) < 2 {
        tokio::task::yield_now().await;
    }
    gate.add_permits(2);
    for answer in both {
        assert_eq!(answer.await.unwrap().header("x-shipway-cache"), Some("miss"));
    }
}

#[tokio::test]
async fn a_question_about_the_same_gets_the_answer_again() {
    let world = world(false, Some(similar())).await;
    world.provider.answers("up-one", saying("324 m"));
    assert_eq!(ask(&world, &asking(TOWER)).await.header("x-shipway-cache"), Some("miss"));
    let again = until_given(&world, &asking(SAME)).await;
    assert_eq!(again.json()["choices"][0]["message"]["content"], "324 m");
    assert_eq!(
        (again.header("x-shipway-cost"), again.header("x-shipway-similarity")),
        (Some("0.000000000"), Some("0.995"))
    );
    // The same words need no vector.
    let before = embedded(&world, 0).await.len();
    let same_words = ask(&world, &asking("how tall is the tower")).await;
    assert_eq!(
        (same_words.header("x-shipway-cache"), same_words.header("x-shipway-similarity")),
        (Some("similar"), Some("1.000"))
    );
    assert_eq!(embedded(&world, 0).await.len(), before);
    // About something else, by its vector and by its words.
    let asked = chats(&world);
    assert_eq!(ask(&world, &asking(OTHER)).await.header("x-shipway-cache"), Some("miss"));
    world.provider.means("How tall is the house?", &[1.0, 0.0, 0.0]);
    assert_eq!(ask(&world, &asking("How tall is the house?")).await.header("x-shipway-cache"), Some("miss"));
    assert_eq!(chats(&world), asked + 2);
    let all = world.settled(5).await;
    let given: Vec<_> = all.iter().filter(|call| call.cache.as_deref() == Some("similar")).collect();
    assert!(
        given.iter().all(|call| (call.cost_nanos, call.saved_nanos, call.attempts.len()) == (0, COST, 0))
    );
    assert_eq!(given.len(), 2);
    // What turns texts into vectors is charged to the same caller, and says what it was for.
    let vectors: Vec<_> = all.iter().filter(|call| call.model == "embed").collect();
    assert!(!vectors.is_empty());
    assert!(
        vectors
            .iter()
            .all(|call| call.labels.tags["shipway.compares"] == "chat" && call.caller == given[0].caller)
    );
    assert!(vectors.iter().all(|call| call.outcome == Outcome::Answered && call.cost_nanos > 0));
}

#[tokio::test]
async fn what_stands_around_a_question_must_be_the_same() {
    let world = world(false, Some(similar())).await;
    world.provider.answers("up-one", saying("324 m"));
    ask(&world, &asking(TOWER)).await;
    until_given(&world, &asking(SAME)).await;
    let with = |name: &str, value: Value| {
        let mut body = asking(SAME);
        body[name] = value;
        body
    };
    let tools = json!([{ "type": "function", "function": { "name": "f", "parameters": {} } }]);
    for body in [with("temperature", json!(0)), with("tools", tools), with("max_tokens", json!(5))] {
        assert_eq!(ask(&world, &body).await.header("x-shipway-cache"), Some("miss"), "{body}");
    }
    let mut earlier = asking(SAME);
    earlier["messages"] =
        json!([{ "role": "system", "content": "In feet." }, { "role": "user", "content": SAME }]);
    assert_eq!(ask(&world, &earlier).await.header("x-shipway-cache"), Some("miss"));
    let fresh = world.ask("/v1/chat/completions", &[("cache-control", "no-cache")], &asking(SAME)).await;
    assert_eq!(fresh.header("x-shipway-cache"), Some("bypass"));
}

#[tokio::test]
async fn in_the_shadow_nothing_is_given_and_all_is_measured() {
    let world = world(false, Some(SimilarSpec { is_shadow: true, ..similar() })).await;
    world.provider.means("324 m", &[1.0, 0.0, 0.0]);
    world.provider.means("It is 324 metres tall.", &[0.98, 0.1, 0.0]);
    world.provider.means("I do not know.", &[0.0, 0.0, 1.0]);
    for words in ["324 m", "It is 324 metres tall.", "I do not know."] {
        world.provider.answers("up-one", saying(words));
    }
    assert_eq!(ask(&world, &asking(TOWER)).await.header("x-shipway-cache"), Some("miss"));
    until_kept(&world, 1).await;
    assert_eq!(ask(&world, &asking(SAME)).await.header("x-shipway-cache"), Some("miss"));
    measured(&world, 1).await;
    world.provider.means("Say how high this tower is", &[0.995, 0.05, 0.0]);
    assert_eq!(
        ask(&world, &asking("Say how high this tower is")).await.header("x-shipway-cache"),
        Some("miss")
    );
    let similar = measured(&world, 2).await;
    assert_eq!(
        (&similar["mode"], &similar["gives"], &similar["given"]),
        (&json!("shadow"), &json!(false), &json!(0))
    );
    assert_eq!((&similar["from_least"]["same"], &similar["from_least"]["different"]), (&json!(1), &json!(1)));
    assert_eq!(similar["advised_least"], Value::Null);
}

#[tokio::test]
async fn what_is_often_wrong_is_withdrawn() {
    let world = world(false, Some(SimilarSpec { check: Sampling::All, ..similar() })).await;
    // Every answer is another one, and the questions all mean the same.
    for number in 0..30_u8 {
        let (answer, question) = (format!("{number}"), word(number));
        let mut vector = vec![0.0; 30];
        vector[usize::from(number)] = 1.0;
        world.provider.means(&answer, &vector);
        world.provider.means(&question, &[1.0, 0.0, 0.0]);
        world.provider.answers("up-one", saying(&answer));
    }
    for number in 0..25 {
        assert_eq!(ask(&world, &asking(&word(number))).await.header("x-shipway-cache"), Some("miss"));
        until_kept(&world, u64::from(number) + 1).await;
        measured(&world, u64::from(number)).await;
    }
    let similar = measured(&world, 20).await;
    assert_eq!((&similar["mode"], &similar["gives"]), (&json!("serve"), &json!(false)));
    assert!(similar["from_least"]["wrong_from"].as_f64().unwrap() > 0.5);
}

/// Words that have nothing in common.
fn word(number: u8) -> String {
    let letter = char::from(b'a' + number % 26);
    letter.to_string().repeat(usize::from(3 + number / 26))
}

#[tokio::test]
async fn without_vectors_calls_go_on() {
    let world = world(false, Some(similar())).await;
    world.provider.answers("up-one", saying("yes"));
    let nobody_knows = "words without a meaning";
    let answer = ask(&world, &asking(nobody_knows)).await;
    assert_eq!((answer.status, answer.header("x-shipway-cache")), (200, Some("miss")));
    assert!(measured(&world, 1).await["failed"].as_u64().unwrap() >= 1);
    // A model that is not there, and one that is not served here.
    for embeddings in [Embedder::Model("gone".to_owned()), Embedder::Served("gone".to_owned())] {
        let world = self::world(false, Some(SimilarSpec { embeddings, ..similar() })).await;
        world.provider.answers("up-one", saying("yes"));
        assert_eq!(ask(&world, &asking(TOWER)).await.status, 200);
        assert!(measured(&world, 1).await["failed"].as_u64().unwrap() >= 1);
    }
}

#[tokio::test]
async fn a_key_that_may_not_ask_for_vectors_has_them_all_the_same() {
    let world = world(false, Some(similar())).await;
    world.provider.answers("up-one", saying("324 m"));
    let key = world
        .key(CreateKey { name: "k".to_owned(), models: vec!["chat".to_owned()], ..CreateKey::default() })
        .await;
    let bearer = format!("Bearer {key}");
    let headers = [("authorization", bearer.as_str())];
    for body in [asking(TOWER), asking(SAME)] {
        assert_eq!(world.ask("/v1/chat/completions", &headers, &body).await.status, 200);
    }
    embedded(&world, 1).await;
    let refused = json!({ "model": "embed", "input": [TOWER] });
    assert_eq!(world.ask("/v1/embeddings", &headers, &refused).await.status, 403);
}
