//! Streams across APIs: what each client reads, honest ends, callers who leave, and what they cost.

use std::time::Duration;

use futures::StreamExt as _;
use http::Method;
use serde_json::{Value, json};
use shipway_gateway::{CallFact, Outcome};

use crate::world::{Answer, End, Reply, World, deployment, model};

const START: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":5,\"output_tokens\":1}}}\n\n";
const PING: &str = "event: ping\ndata: {\"type\":\"ping\"}\n\n";
const OPEN: &str = "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const WORD: &str = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"h\u{e9}llo w\"}}\r\n\r\n";
const CLOSE: &str = "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n";
const STOP: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n";
const OVER: &str = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
const COST: i64 = 10 * 2_000 + 5 * 200 + 3 * 10_000;

const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n";
const CHUNK: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\u{e9}llo w\"},\"finish_reason\":null}]}\n\n";
const FINISH: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const CHAT_COST: i64 = 10 * 2_000 + 3 * 10_000;

const OVERLOADED: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

/// A client of each API: its path, what it asks, and the frame that begins an error there.
fn clients() -> [(&'static str, Value, &'static str); 4] {
    let messages = json!([{ "role": "user", "content": "hello" }]);
    [
        (
            "/v1/chat/completions",
            json!({ "model": "m", "messages": messages, "stream": true }),
            "data: {\"error\":",
        ),
        (
            "/v1/messages",
            json!({ "model": "m", "messages": messages, "max_tokens": 50, "stream": true }),
            "event: error\ndata: {\"type\":\"error\"",
        ),
        (
            "/v1/responses",
            json!({ "model": "m", "input": "hello", "stream": true }),
            "event: error\ndata: {\"type\":\"error\"",
        ),
        (
            "/v1beta/models/m:streamGenerateContent?alt=sse",
            json!({ "contents": [{ "parts": [{ "text": "hello" }] }] }),
            "data: {\"error\":",
        ),
    ]
}

/// What says in each API that an answer is whole.
const WHOLE: [&str; 4] = ["[DONE]", "message_stop", "response.completed", "finishReason"];

async fn asked(reply: Reply, path: &str, body: &Value) -> (Answer, CallFact) {
    let world = World::new().await;
    world.install(vec![model("m", vec![deployment("anthropic", "anthropic")])]);
    world.provider.answers("up-anthropic", reply);
    let got = world.ask(path, &[], body).await;
    let call = world.settled(1).await.remove(0);
    (got, call)
}

/// All clients but Anthropic's own.
fn others() -> impl Iterator<Item = ((&'static str, Value, &'static str), &'static str)> {
    clients().into_iter().zip(WHOLE).filter(|((path, ..), _)| *path != "/v1/messages")
}

#[tokio::test]
async fn a_stream_is_told_in_the_callers_api_however_it_is_cut() {
    let whole = [START, PING, OPEN, WORD, CLOSE, STOP, OVER].concat().into_bytes();
    for ((path, body, _), end) in others() {
        let mut told = Vec::new();
        for step in [whole.len(), 7, 1] {
            let headers = vec![("content-type", "text/event-stream; charset=utf-8".to_owned())];
            let chunks = whole.chunks(step).map(|chunk| chunk.to_vec().into()).collect();
            let (got, call) =
                asked(Reply { status: 200, headers, chunks, end: End::Clean }, path, &body).await;
            assert_eq!(got.status, 200, "{}", got.text());
            assert!(got.text().contains("h\u{e9}llo w") && got.text().contains(end), "{}", got.text());
            assert_eq!(got.header("cache-control"), Some("no-cache"));
            assert!(got.header("content-type").unwrap().starts_with("text/event-stream"));
            assert_eq!(
                (call.cost_nanos, call.outcome, call.is_estimated),
                (COST, Outcome::Answered, false),
                "{path}"
            );
            assert_eq!(call.response_bytes, got.body.len() as u64);
            assert_eq!((call.tokens.input, call.tokens.cache_read, call.tokens.output), (10, 5, 3));
            told.push(got.text().to_owned());
        }
        assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    }
}

#[tokio::test]
async fn usage_comes_at_the_end_of_a_chat_to_who_asks_for_it() {
    let (path, mut body, _) = clients()[0].clone();
    let stream = || Reply::events(&[START, OPEN, WORD, CLOSE, STOP, OVER], End::Clean);
    let (got, _) = asked(stream(), path, &body).await;
    assert!(!got.text().contains("prompt_tokens") && got.text().ends_with(DONE), "{}", got.text());
    body["stream_options"] = json!({ "include_usage": true });
    let (got, call) = asked(stream(), path, &body).await;
    let frames: Vec<&str> = got.text().split_inclusive("\n\n").collect();
    let last: Value =
        serde_json::from_str(frames[frames.len() - 2].trim().trim_start_matches("data: ")).unwrap();
    assert_eq!(
        (&last["choices"], &last["usage"]["prompt_tokens"], &last["usage"]["completion_tokens"]),
        (&json!([]), &json!(15), &json!(3))
    );
    assert_eq!(last["model"], "m");
    assert_eq!(call.cost_nanos, COST);
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error_in_the_callers_api_and_is_charged_what_was_written() {
    for ((path, body, error), whole) in others() {
        for end in [End::Clean, End::Cut] {
            let (got, call) = asked(Reply::events(&[START, OPEN, WORD], end), path, &body).await;
            let last = got.text().split_inclusive("\n\n").last().unwrap();
            assert!(last.starts_with(error), "{path}: {last}");
            assert!(
                got.text().contains("h\u{e9}llo w") && !got.text().contains(whole),
                "{path}: {}",
                got.text()
            );
            assert_eq!((call.outcome, call.is_estimated), (Outcome::Broken, true), "{path}");
            assert_eq!(call.tokens.input, 10);
            assert!(call.cost_nanos > 10 * 2_000 && call.error.is_some(), "{call:?}");
        }
    }
}

#[tokio::test]
async fn an_error_within_a_stream_is_told_in_the_callers_api_and_nothing_follows() {
    for ((path, body, error), whole) in others() {
        let frames = [START, OPEN, WORD, OVERLOADED, CLOSE, STOP, OVER];
        let (got, call) = asked(Reply::events(&frames, End::Clean), path, &body).await;
        let last = got.text().split_inclusive("\n\n").last().unwrap();
        assert!(last.starts_with(error) && last.contains("Overloaded"), "{path}: {last}");
        assert!(!got.text().contains(whole), "{path}: {}", got.text());
        assert_eq!((call.outcome, call.error.as_deref()), (Outcome::Broken, Some("Overloaded")));
    }
}

#[tokio::test]
async fn a_stream_with_a_reason_to_finish_and_no_terminator_is_whole_and_gets_one() {
    let world = World::new().await;
    world.install(vec![model("m", vec![deployment("openai", "openai")])]);
    world.provider.answers("up-openai", Reply::events(&[ROLE, CHUNK, FINISH, USAGE], End::Clean));
    for ((path, body, _), whole) in
        clients().into_iter().zip(WHOLE).skip(1).filter(|((path, ..), _)| *path != "/v1/responses")
    {
        let got = world.ask(path, &[], &body).await;
        assert!(got.text().contains(whole) && !got.text().contains("error"), "{path}: {}", got.text());
    }
    for call in world.settled(2).await {
        assert_eq!((call.outcome, call.cost_nanos, call.is_estimated), (Outcome::Answered, CHAT_COST, false));
    }
}

#[tokio::test]
async fn a_terminator_without_a_reason_to_finish_is_an_error() {
    let world = World::new().await;
    world.install(vec![model("m", vec![deployment("openai", "openai")])]);
    world.provider.answers("up-openai", Reply::events(&[ROLE, CHUNK, USAGE, DONE], End::Clean));
    for (path, body, error) in [clients()[1].clone(), clients()[3].clone()] {
        let got = world.ask(path, &[], &body).await;
        let last = got.text().split_inclusive("\n\n").last().unwrap();
        assert!(last.starts_with(error) && last.contains("without a reason"), "{path}: {last}");
    }
    for call in world.settled(2).await {
        assert_eq!((call.outcome, call.cost_nanos), (Outcome::Broken, CHAT_COST));
    }
}

#[tokio::test]
async fn an_error_as_the_first_event_leads_to_a_deployment_of_another_kind() {
    for (path, body, _) in clients() {
        let world = World::new().await;
        let kinds = ["anthropic", "openai"].map(|one| deployment(one, one));
        world.install(vec![model("m", kinds.to_vec())]);
        world.provider.answers("up-anthropic", Reply::events(&[PING, OVERLOADED], End::Clean));
        if path == "/v1/responses" {
            // It is passed there, and the provider has responses of its own.
            world.provider.answers(
                "up-openai",
                Reply::json(200, &json!({ "usage": { "input_tokens": 10, "output_tokens": 3 } })),
            );
        } else {
            world
                .provider
                .answers("up-openai", Reply::events(&[ROLE, CHUNK, FINISH, USAGE, DONE], End::Clean));
        }
        let got = world.ask(path, &[], &body).await;
        assert_eq!(
            (got.status, got.header("x-shipway-deployment")),
            (200, Some("openai")),
            "{path}: {}",
            got.text()
        );
        assert!(!got.text().contains("Overloaded"), "{}", got.text());
        let call = &world.settled(1).await[0];
        let tried: Vec<&str> = call.attempts.iter().map(|one| one.result.as_str()).collect();
        assert_eq!((tried, call.cost_nanos), (vec!["overloaded", "answered"], CHAT_COST), "{path}");
    }
}

#[tokio::test]
async fn where_nobody_else_answers_the_caller_gets_a_status_and_no_stream() {
    for ((path, body, _), _) in others() {
        let (got, call) = asked(Reply::events(&[OVERLOADED], End::Clean), path, &body).await;
        assert_eq!((got.status, got.header("content-type")), (503, Some("application/json")), "{path}");
        assert!(got.json()["error"]["message"] == "Overloaded", "{}", got.text());
        assert_eq!((call.outcome, call.cost_nanos), (Outcome::Failed, 0));
    }
}

#[tokio::test]
async fn what_is_no_stream_of_the_providers_leads_to_the_next_deployment() {
    let garbage = "event: message_start\ndata: {not json}\n\n";
    let whole = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "content": [{ "type": "text", "text": "hi" }],
        "stop_reason": "end_turn", "usage": { "input_tokens": 3, "output_tokens": 2 }
    });
    let (path, body, _) = clients()[0].clone();
    for (reply, lost) in [
        (Reply::events(&[garbage], End::Clean), None),
        (Reply::events(&[": nothing\n\n"], End::Clean), None),
        (Reply::events(&[], End::Cut), None),
        // It was asked to stream; what it said it used is charged.
        (Reply::json(200, &whole), Some(3 * 2_000 + 2 * 10_000)),
    ] {
        let world = World::new().await;
        world.install(vec![model("m", ["anthropic", "openai"].map(|one| deployment(one, one)).to_vec())]);
        world.provider.answers("up-anthropic", reply);
        world.provider.answers("up-openai", Reply::events(&[ROLE, CHUNK, FINISH, USAGE, DONE], End::Clean));
        let got = world.ask(path, &[], &body).await;
        assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("openai")), "{}", got.text());
        let call = &world.settled(1).await[0];
        match lost {
            Some(nanos) => assert_eq!((call.cost_nanos, call.is_estimated), (CHAT_COST + nanos, false)),
            None => assert!(call.cost_nanos > CHAT_COST && call.is_estimated, "{call:?}"),
        }
    }
}

#[tokio::test]
async fn a_stream_that_stands_still_ends_with_an_error_in_the_callers_api() {
    for ((path, body, error), whole) in others() {
        let world = World::new().await;
        let mut hasty = model("m", vec![deployment("anthropic", "anthropic")]);
        hasty.timeouts.idle = Duration::from_millis(50);
        world.install(vec![hasty]);
        world.provider.answers("up-anthropic", Reply::events(&[START, OPEN, WORD], End::Hang));
        let got = world.ask(path, &[], &body).await;
        let last = got.text().split_inclusive("\n\n").last().unwrap();
        assert!(last.starts_with(error) && last.contains("stood still"), "{path}: {last}");
        assert!(!got.text().contains(whole), "{path}");
        world.provider.is_cancelled().await;
        assert_eq!(world.settled(1).await[0].outcome, Outcome::Broken);
    }
}

#[tokio::test]
async fn a_whole_answer_does_not_wait_for_its_connection_and_a_caller_who_leaves_ends_it() {
    // The provider says all, and keeps the connection.
    let (path, body, _) = clients()[0].clone();
    let (got, call) =
        asked(Reply::events(&[START, OPEN, WORD, CLOSE, STOP, OVER], End::Hang), path, &body).await;
    assert!(got.text().ends_with(DONE), "{}", got.text());
    assert_eq!((call.outcome, call.cost_nanos), (Outcome::Answered, COST));

    let world = World::new().await;
    world.install(vec![model("m", vec![deployment("anthropic", "anthropic")])]);
    world.provider.answers("up-anthropic", Reply::events(&[START, OPEN, WORD], End::Hang));
    let mut stream = world.send(path, &[], &body).await.into_body().into_data_stream();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("llo w") {
        read.extend_from_slice(&stream.next().await.unwrap().unwrap());
    }
    drop(stream);
    world.provider.is_cancelled().await;
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.is_estimated, call.tokens.input), (Outcome::Abandoned, true, 10));
    assert_eq!(world.native(Method::GET, "/v1/models", None).await.status, 200);
}

#[tokio::test]
async fn signs_of_life_are_those_of_each_api() {
    let comment = ": still there\n\n";
    for (place, keeps) in [(1, "event: ping"), (3, "")] {
        let (path, body, _) = clients()[place].clone();
        let world = World::new().await;
        world.install(vec![model("m", vec![deployment("openai", "openai")])]);
        world.provider.answers(
            "up-openai",
            Reply::events(&[ROLE, comment, CHUNK, comment, FINISH, USAGE, DONE], End::Clean),
        );
        let got = world.ask(path, &[], &body).await;
        assert!(got.text().contains(keeps) && !got.text().contains("still there"), "{path}: {}", got.text());
        assert!(!got.text().lines().any(|line| line.starts_with(':')), "{path}: {}", got.text());
    }
}

#[tokio::test]
async fn arguments_that_are_no_object_are_an_error_where_the_client_wants_them_whole() {
    let call = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"city\\\"\"}}]},\"finish_reason\":null}]}\n\n";
    let (path, body, error) = clients()[3].clone();
    let world = World::new().await;
    world.install(vec![model("m", vec![deployment("openai", "openai")])]);
    world.provider.answers("up-openai", Reply::events(&[ROLE, call, FINISH, USAGE, DONE], End::Clean));
    let got = world.ask(path, &[], &body).await;
    assert!(got.text().starts_with(error) && !got.text().contains("finishReason"), "{}", got.text());
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos), (Outcome::Broken, CHAT_COST));
}
