//! Streams: bytes, hidden usage, honest ends, callers who leave.

use std::time::Duration;

use futures::StreamExt as _;
use serde_json::{Value, json};
use shipway_gateway::{CreateKey, Outcome};

use crate::world::{End, Reply, World, deployment, model, question};

const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n";
const WORD: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\u{e9}llo w\"},\"finish_reason\":null}]}\r\n\r\n";
const STOP: &str = ": comment\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13}}\n\n";
const DONE: &str = "data: [DONE]\n\n";
const COST: i64 = 10 * 2_000 + 3 * 10_000;

fn streamed(model: &str) -> Value {
    let mut body = question(model);
    body["stream"] = json!(true);
    body
}

#[tokio::test]
async fn a_stream_passes_byte_for_byte_and_usage_that_nobody_asked_for_is_left_out() {
    let world = World::new().await;
    let whole = [ROLE, WORD, STOP, USAGE, DONE].concat();
    // Cut anywhere, within a character too.
    let place = whole.find('\u{e9}').unwrap() + 1;
    let headers = vec![("content-type", "text/event-stream".to_owned())];
    let bytes = whole.clone().into_bytes();
    let chunks = vec![bytes[..place].to_vec().into(), bytes[place..].to_vec().into()];
    world.provider.answers("up-one", Reply { status: 200, headers, chunks, end: End::Clean });

    let got = world.ask("/v1/chat/completions", &[], &streamed("chat")).await;
    assert_eq!(got.text(), [ROLE, WORD, STOP, DONE].concat());
    assert_eq!(
        (got.header("content-type"), got.header("cache-control")),
        (Some("text/event-stream"), Some("no-cache"))
    );
    let asked: Value = serde_json::from_slice(&world.provider.seen()[0].body).unwrap();
    assert_eq!(asked["stream_options"]["include_usage"], true);

    let mut body = streamed("chat");
    body["stream_options"] = json!({ "include_usage": true });
    let got = world.ask("/v1/chat/completions", &[], &body).await;
    assert_eq!(got.text(), whole);
    for call in world.settled(2).await {
        assert_eq!((call.cost_nanos, call.outcome, call.is_estimated), (COST, Outcome::Answered, false));
    }
}

#[tokio::test]
async fn an_error_as_the_first_event_leads_to_the_next_deployment() {
    let world = World::new().await;
    let error = "data: {\"error\":{\"message\":\"The server is overloaded\",\"type\":\"server_error\",\"code\":\"overloaded\"}}\n\n";
    world.provider.answers("up-one", Reply::events(&[": ping\n\n", error], End::Clean));
    world.provider.answers("up-two", Reply::events(&[ROLE, WORD, STOP, USAGE, DONE], End::Clean));
    let got = world.ask("/v1/chat/completions", &[], &streamed("chat")).await;
    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("two")));
    assert!(!got.text().contains("overloaded"));
    let call = &world.settled(1).await[0];
    assert_eq!((call.attempts.len(), call.cost_nanos), (2, COST));
}

#[tokio::test]
async fn where_every_stream_begins_with_an_error_the_caller_gets_a_status_and_no_stream() {
    let world = World::new().await;
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";
    world.provider.answers("up-claude", Reply::events(&[error], End::Clean));
    let got = world.ask("/v1/messages", &[], &streamed("claude")).await;
    assert_eq!((got.status, got.json()["error"]["type"].as_str()), (529, Some("overloaded_error")));
}

#[tokio::test]
async fn a_stream_that_is_cut_ends_with_an_error_and_is_charged_what_was_written() {
    for end in [End::Clean, End::Cut] {
        let world = World::new().await;
        world.provider.answers("up-one", Reply::events(&[ROLE, WORD], end));
        let got = world.ask("/v1/chat/completions", &[], &streamed("chat")).await;
        let (passed, last) = got.text().split_at(ROLE.len() + WORD.len());
        assert_eq!(passed, [ROLE, WORD].concat());
        let error: Value = serde_json::from_str(last.trim().strip_prefix("data: ").unwrap()).unwrap();
        assert!(error["error"]["message"].is_string(), "{error}");
        assert!(!last.contains("[DONE]"));
        let call = &world.settled(1).await[0];
        assert_eq!((call.outcome, call.is_estimated), (Outcome::Broken, true));
        assert!(call.tokens.output > 0 && call.cost_nanos > 0, "{call:?}");
    }
}

#[tokio::test]
async fn a_stream_of_anthropic_that_is_cut_ends_with_an_error_event() {
    let world = World::new().await;
    let start = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\"output_tokens\":1}}}\n\n";
    let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hello\"}}\n\n";
    world.provider.answers("up-claude", Reply::events(&[start, delta], End::Cut));
    let got = world.ask("/v1/messages", &[], &streamed("claude")).await;
    let last = got.text().strip_prefix(&[start, delta].concat()).unwrap();
    assert!(last.starts_with("event: error\ndata: {\"type\":\"error\""), "{last}");
    assert_eq!(world.settled(1).await[0].tokens.input, 25);
}

#[tokio::test]
async fn a_caller_who_leaves_ends_the_request_to_the_provider_and_is_charged_what_was_written() {
    let world = World::new().await;
    world.provider.answers("up-one", Reply::events(&[ROLE, WORD], End::Hang));
    let key = world.key(CreateKey::default()).await;
    let headers = [("authorization", format!("Bearer {key}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let response = world.send("/v1/chat/completions", &headers, &streamed("chat")).await;
    let mut body = response.into_body().into_data_stream();
    assert_eq!(body.next().await.unwrap().unwrap(), ROLE);
    assert_eq!(body.next().await.unwrap().unwrap(), WORD);
    drop(body);
    world.provider.is_cancelled().await;
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.is_estimated), (Outcome::Abandoned, true));
    assert!(call.tokens.output > 0 && call.cost_nanos > 0, "{call:?}");
}

#[tokio::test]
async fn a_caller_who_leaves_before_a_whole_answer_ends_the_request_and_is_charged_what_was_reserved() {
    let world = World::new().await;
    let reply = Reply {
        status: 200,
        headers: vec![("content-type", "application/json".to_owned())],
        chunks: vec!["{".into()],
        end: End::Hang,
    };
    world.provider.answers("up-one", reply);
    let body = question("chat");
    {
        let asking = world.ask("/v1/chat/completions", &[], &body);
        tokio::pin!(asking);
        let asked = async {
            while world.provider.seen().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            _ = &mut asking => panic!("it never answers"),
            () = asked => {}
        }
    }
    world.provider.is_cancelled().await;
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.status, call.is_estimated), (Outcome::Abandoned, None, true));
    assert_eq!(call.cost_nanos, call.reserved_nanos);
    assert!(call.cost_nanos >= 100 * 10_000);
}

#[tokio::test]
async fn a_stream_that_stands_still_ends_with_an_error() {
    let world = World::new().await;
    let mut hasty = model("hasty", vec![deployment("one", "openai"), deployment("two", "openai")]);
    hasty.timeouts.idle = Duration::from_millis(50);
    hasty.timeouts.first_token = Duration::from_millis(200);
    world.install(vec![hasty]);
    // The first never says a word, so the second is asked; the second stops in the middle.
    world.provider.answers("up-one", Reply::events(&[], End::Hang));
    world.provider.answers("up-two", Reply::events(&[ROLE, WORD], End::Hang));
    let got = world.ask("/v1/chat/completions", &[], &streamed("hasty")).await;
    assert!(got.text().contains("stood still"), "{}", got.text());
    let call = &world.settled(1).await[0];
    assert_eq!(call.attempts[0].result, "timeout");
    assert_eq!(call.outcome, Outcome::Broken);
    assert_eq!(world.gateway.usage(&"key/none".parse().unwrap()).running, 0);
}

#[tokio::test]
async fn a_stream_that_lacks_only_its_terminator_is_not_said_to_be_whole_and_is_charged_what_was_stated() {
    let world = World::new().await;
    world.provider.answers("up-one", Reply::events(&[ROLE, WORD, STOP, USAGE], End::Clean));
    let got = world.ask("/v1/chat/completions", &[], &streamed("chat")).await;
    assert!(!got.text().contains("[DONE]") && got.text().contains("\"error\""), "{}", got.text());
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos, call.is_estimated), (Outcome::Broken, COST, false));
}

#[tokio::test]
async fn a_stream_that_ends_without_a_reason_is_not_said_to_be_whole() {
    let world = World::new().await;
    world.provider.answers("up-one", Reply::events(&[ROLE, WORD, USAGE, DONE], End::Clean));
    let got = world.ask("/v1/chat/completions", &[], &streamed("chat")).await;
    assert!(got.text().starts_with(&[ROLE, WORD].concat()), "{}", got.text());
    assert!(!got.text().contains("[DONE]") && got.text().contains("without a reason"), "{}", got.text());
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos), (Outcome::Broken, COST));
}
