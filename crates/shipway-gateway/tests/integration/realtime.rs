//! Connections of OpenAI's realtime API: what passes, how they end, and what they cost.

use std::time::Duration;

use futures::SinkExt as _;
use http::Method;
use serde_json::json;
use shipway_gateway::{
    Budget, CallFact, CreateKey, GuardrailAction, GuardrailOn, Limits, Outcome, Timeouts, Window,
};
use tokio_tungstenite::tungstenite::{Bytes, Message, protocol::CloseFrame};

use crate::guardrails::{MAIL, guardrail};
use crate::realtime_world::{
    COST, RESERVED, Realtime, answer, closed, created, event, next, priced, said, say, text, voice,
};
use crate::world::model;

const CREATE: &str = r#"{"type": "response.create", "event_id": "mine"}"#;

fn budget(nanos: i64) -> Limits {
    let dollars = format!("0.{nanos:09}").parse().unwrap();
    Limits { budgets: vec![Budget { dollars, window: Window::Day }], ..Limits::default() }
}

async fn keyed(limits: Limits) -> (Realtime, String) {
    let realtime = Realtime::new(vec![voice()]).await;
    let key = realtime.world.key(CreateKey { limits, ..CreateKey::default() }).await;
    (realtime, key)
}

/// The records of responses, and that of the connection, which has no cost.
fn split(facts: Vec<CallFact>) -> (Vec<CallFact>, Vec<CallFact>) {
    facts.into_iter().partition(|fact| fact.attempts.iter().any(|attempt| attempt.why.contains(" within ")))
}

#[tokio::test]
async fn messages_pass_as_they_are_and_each_response_is_charged() {
    let mut realtime = Realtime::new(vec![voice()]).await;
    let key = realtime.world.key(CreateKey::default()).await;
    let authorization = format!("Bearer {key}");
    let headers = [
        ("authorization", authorization.as_str()),
        ("openai-beta", "realtime=v1"),
        ("cookie", "a=b"),
        ("sec-websocket-protocol", "realtime, openai-insecure-api-key.x, openai-beta.realtime-v1"),
    ];
    let mut client = realtime.connect("?model=voice-latest&intent=x&key=y", &headers).await.unwrap();
    let (asked, mut provider) = realtime.opened().await;
    assert_eq!(asked.target, "/v1/realtime?model=up-one&intent=x");
    assert_eq!(asked.headers["authorization"], "Bearer sk-of-the-operator");
    assert_eq!(asked.headers["openai-beta"], "realtime=v1");
    assert_eq!(asked.headers["sec-websocket-protocol"], "realtime, openai-beta.realtime-v1");
    assert!(!asked.headers.contains_key("cookie"));
    assert_eq!(client.headers["sec-websocket-protocol"], "realtime");
    assert_eq!(client.headers["x-shipway-deployment"], "one");
    assert_eq!(client.headers["x-upstream-x-request-id"], "req_1");

    // Neither order of members nor white space changes.
    let odd =
        "{ \"type\":\"conversation.item.create\",\n \"item\":{\"content\":[{\"text\":\"\u{1f6a2}\"}]} }";
    say(&mut client.socket, odd).await;
    assert_eq!(text(&mut provider).await, odd);
    let bytes = Bytes::from_static(&[0, 255, 7]);
    client.socket.send(Message::Binary(bytes.clone())).await.unwrap();
    assert_eq!(next(&mut provider).await, Some(Message::Binary(bytes.clone())));
    provider.send(Message::Binary(bytes.clone())).await.unwrap();
    assert_eq!(next(&mut client.socket).await, Some(Message::Binary(bytes)));
    say(&mut provider, "no event at all").await;
    assert_eq!(text(&mut client.socket).await, "no event at all");

    say(&mut client.socket, CREATE).await;
    assert_eq!(text(&mut provider).await, CREATE);
    answer(&mut client, &mut provider, "r1").await;
    answer(&mut client, &mut provider, "r2").await;
    let goodbye = CloseFrame { code: 4001.into(), reason: "enough".into() };
    client.socket.close(Some(goodbye)).await.unwrap();
    assert_eq!(closed(&mut provider).await, Some((4001, "enough".to_owned())));

    let (responses, connections) = split(realtime.world.settled(3).await);
    let [connection] = &connections[..] else { panic!("{connections:?}") };
    assert_eq!(
        (connection.cost_nanos, connection.status, connection.outcome),
        (0, Some(101), Outcome::Answered)
    );
    assert_eq!(connection.attempts[0].why, "first of the route");
    assert_eq!(responses.len(), 2);
    for fact in &responses {
        assert_eq!((fact.cost_nanos, fact.is_estimated, fact.outcome), (COST, false, Outcome::Answered));
        assert_eq!((fact.api.as_str(), fact.asked.as_str()), ("open_ai_realtime", "voice-latest"));
        assert_eq!(
            (fact.deployment.as_deref(), fact.upstream_model.as_deref()),
            (Some("one"), Some("up-one"))
        );
        assert_eq!((fact.tokens.input, fact.tokens.cache_read, fact.tokens.output), (70, 30, 50));
        assert_eq!((fact.priced.input_audio, fact.priced.output_audio), (50, 40));
        assert_eq!(fact.attempts[0].why, format!("response within {}", connection.call));
        assert_eq!(fact.reserved_nanos, RESERVED);
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_leads_to_the_next_deployment() {
    let mut realtime =
        Realtime::new(vec![model("voice", vec![priced("one", "openai"), priced("two", "older")])]).await;
    realtime.refuses(&[429]);
    let client = realtime.connect("?model=voice", &[]).await.unwrap();
    assert_eq!(
        (&client.headers["x-shipway-deployment"], &client.headers["x-shipway-attempts"]),
        (&"two".parse().unwrap(), &"2".parse().unwrap())
    );
    let (asked, mut provider) = realtime.opened().await;
    assert_eq!(asked.target, "/openai/realtime?api-version=2025-04-01-preview&deployment=up-two");
    assert_eq!(asked.headers["api-key"], "sk-of-the-operator");
    drop(client);
    assert_eq!(closed(&mut provider).await.map(|(code, _)| code), Some(1001));
    let facts = realtime.world.settled(1).await;
    let whys: Vec<_> = facts[0].attempts.iter().map(|one| (one.why.as_str(), one.result.as_str())).collect();
    assert_eq!(
        whys,
        [("first of the route", "rate_limit"), ("fallback after rate_limit of one", "answered")]
    );
    assert_eq!((facts[0].outcome, facts[0].cost_nanos), (Outcome::Abandoned, 0));
}

#[tokio::test]
async fn what_no_provider_opens_is_a_status() {
    let realtime = Realtime::new(vec![voice()]).await;
    for (theirs, ours) in [(401, 502), (429, 429), (500, 502), (404, 502)] {
        realtime.refuses(&[theirs]);
        let refusal = realtime.connect("?model=voice", &[]).await.err().unwrap();
        assert_eq!((refusal.status, theirs), (ours, theirs), "{}", refusal.body);
    }
    let facts = realtime.world.settled(4).await;
    assert!(facts.iter().all(|fact| fact.outcome == Outcome::Failed && fact.cost_nanos == 0));
}

#[tokio::test]
async fn a_budget_that_runs_out_ends_the_connection_before_the_next_response() {
    let (mut realtime, key) = keyed(budget(RESERVED + COST + COST / 2)).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    // The provider begins by itself, as it does when somebody has spoken.
    answer(&mut client, &mut provider, "r1").await;
    answer(&mut client, &mut provider, "r2").await;
    let error = event(&mut client.socket).await;
    assert_eq!((&error["type"], &error["error"]["code"]), (&json!("error"), &json!("insufficient_quota")));
    assert_eq!(closed(&mut client.socket).await, Some((1008, "gateway.budget_used_up".to_owned())));
    assert_eq!(closed(&mut provider).await.map(|(code, _)| code), Some(1001));
    let (responses, connections) = split(realtime.world.settled(3).await);
    assert_eq!(responses.iter().map(|fact| fact.cost_nanos).sum::<i64>(), 2 * COST);
    assert_eq!(connections[0].outcome, Outcome::Refused);
    let refusal = realtime.connect("?model=voice", &[("authorization", &format!("Bearer {key}"))]).await;
    assert_eq!(refusal.err().unwrap().status, 402);
}

#[tokio::test]
async fn responses_that_are_asked_for_at_once_are_each_reserved_for() {
    let (mut realtime, key) = keyed(budget(RESERVED + RESERVED / 2)).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    say(&mut client.socket, CREATE).await;
    assert_eq!(text(&mut provider).await, CREATE);
    say(&mut client.socket, CREATE.replace("mine", "second")).await;
    let error = event(&mut client.socket).await;
    assert_eq!(
        (&error["error"]["code"], &error["error"]["event_id"]),
        (&json!("insufficient_quota"), &json!("second"))
    );
    assert_eq!(closed(&mut client.socket).await.map(|(code, _)| code), Some(1008));
    // It was not passed on.
    assert_eq!(closed(&mut provider).await.map(|(code, _)| code), Some(1001));
}

#[tokio::test]
async fn what_is_said_makes_the_reservation_larger_and_ends_where_there_is_no_room() {
    let (mut realtime, key) = keyed(budget(RESERVED + RESERVED / 8)).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    let long =
        json!({"type": "conversation.item.create", "item": {"content": [{"text": "x".repeat(40_000)}]}});
    say(&mut client.socket, long.to_string()).await;
    assert_eq!(event(&mut client.socket).await["error"]["code"], "insufficient_quota");
    assert_eq!(closed(&mut provider).await.map(|(code, _)| code), Some(1001));
    assert_eq!(realtime.world.settled(1).await[0].cost_nanos, 0);
}

#[tokio::test]
async fn requests_within_a_minute_count_responses() {
    let limits = Limits { requests_per_minute: Some(2), ..Limits::default() };
    let (mut realtime, key) = keyed(limits).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    answer(&mut client, &mut provider, "r1").await;
    answer(&mut client, &mut provider, "r2").await;
    assert_eq!(event(&mut client.socket).await["error"]["code"], "rate_limit_exceeded");
    assert_eq!(closed(&mut client.socket).await, Some((1008, "gateway.rate_limited".to_owned())));
}

#[tokio::test]
async fn a_connection_is_one_of_the_calls_at_once() {
    let limits = Limits { concurrency: Some(1), ..Limits::default() };
    let (mut realtime, key) = keyed(limits).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    answer(&mut client, &mut provider, "r1").await;
    let authorization = format!("Bearer {key}");
    let refusal = realtime.connect("?model=voice", &[("authorization", &authorization)]).await.err().unwrap();
    assert_eq!((refusal.status, refusal.code()), (429, "gateway.rate_limited"));
    client.socket.close(None).await.unwrap();
    assert_eq!(closed(&mut provider).await, Some((1005, String::new())));
    realtime.world.settled(2).await;
    realtime.talk(&key).await;
}

#[tokio::test]
async fn a_key_that_is_revoked_ends_its_connections() {
    let (mut realtime, key) = keyed(Limits::default()).await;
    let (mut client, _provider) = realtime.talk(&key).await;
    let id = key.trim_start_matches("shipway_llm_").split('_').next().unwrap();
    let revoked = realtime.world.native(Method::DELETE, &format!("/api/v1/llm/keys/{id}"), None).await;
    assert_eq!(revoked.status, 204);
    assert_eq!(event(&mut client.socket).await["error"]["code"], "invalid_api_key");
    assert_eq!(closed(&mut client.socket).await, Some((1008, "gateway.wrong_key".to_owned())));
}

#[tokio::test]
async fn a_provider_that_breaks_is_an_error_and_no_clean_end() {
    let (mut realtime, key) = keyed(Limits::default()).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    say(&mut provider, created("r1")).await;
    say(&mut provider, said("r1")).await;
    text(&mut client.socket).await;
    text(&mut client.socket).await;
    drop(provider);
    assert_eq!(event(&mut client.socket).await["error"]["code"], "upstream_error");
    assert_eq!(closed(&mut client.socket).await.map(|(code, _)| code), Some(1011));
    let (responses, connections) = split(realtime.world.settled(2).await);
    assert_eq!((responses[0].outcome, responses[0].cost_nanos), (Outcome::Broken, RESERVED));
    assert!(responses[0].is_estimated);
    assert_eq!(connections[0].outcome, Outcome::Broken);
}

#[tokio::test]
async fn a_provider_that_closes_is_passed_on_with_its_reason() {
    let (mut realtime, key) = keyed(Limits::default()).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    let goodbye = CloseFrame { code: 1000.into(), reason: "session expired".into() };
    provider.close(Some(goodbye)).await.unwrap();
    assert_eq!(closed(&mut client.socket).await, Some((1000, "session expired".to_owned())));
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_provider_and_pays_for_what_ran() {
    let (mut realtime, key) = keyed(Limits::default()).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    say(&mut provider, created("r1")).await;
    text(&mut client.socket).await;
    drop(client);
    assert_eq!(closed(&mut provider).await.map(|(code, _)| code), Some(1001));
    let (responses, _) = split(realtime.world.settled(2).await);
    assert_eq!((responses[0].outcome, responses[0].cost_nanos), (Outcome::Abandoned, RESERVED));
}

#[tokio::test]
async fn a_provider_that_does_not_go_on_is_given_up() {
    let hasty = Timeouts {
        first_token: Duration::from_millis(100),
        idle: Duration::from_secs(5),
        total: Duration::from_secs(20),
    };
    let mut spec = voice();
    spec.timeouts = hasty;
    let mut realtime = Realtime::new(vec![spec]).await;
    let mut client = realtime.connect("?model=voice", &[]).await.unwrap();
    let (_, _provider) = realtime.opened().await;
    say(&mut client.socket, CREATE).await;
    assert_eq!(event(&mut client.socket).await["error"]["code"], "timeout");
    assert_eq!(closed(&mut client.socket).await.map(|(code, _)| code), Some(1011));
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let (mut realtime, key) = keyed(Limits::default()).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    let gateway = realtime.world.gateway.clone();
    let (stopped, client, provider) =
        tokio::join!(gateway.shutdown(), closed(&mut client.socket), closed(&mut provider));
    stopped.unwrap();
    assert_eq!(client, Some((1001, "the server stops".to_owned())));
    assert_eq!(provider.map(|(code, _)| code), Some(1001));
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection() {
    let (mut realtime, key) = keyed(Limits::default()).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    // The gateway stops reading in the middle of it.
    let _ = client.socket.send(Message::binary(vec![0; (16 << 20) + 1])).await;
    assert_eq!(closed(&mut provider).await.map(|(code, _)| code), Some(1001));
    assert_eq!(realtime.world.settled(1).await[0].outcome, Outcome::Refused);
}

#[tokio::test]
async fn what_was_heard_is_charged_when_it_is_written_down() {
    let mut scribe = priced("scribe", "openai");
    scribe.model = "gpt-4o-transcribe".to_owned();
    let mut realtime = Realtime::new(vec![voice(), model("scribe", vec![scribe])]).await;
    let key = realtime.world.key(CreateKey::default()).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    let session = |model: &str| {
        let audio = json!({"input": {"transcription": {"model": model}}});
        json!({"type": "session.updated", "session": {"audio": audio}}).to_string()
    };
    let written = |usage| {
        let kind = "conversation.item.input_audio_transcription.completed";
        json!({"type": kind, "transcript": "ahoy", "usage": usage}).to_string()
    };
    let tokens = json!({"type": "tokens", "input_tokens": 10, "output_tokens": 2, "input_token_details": {"audio_tokens": 10}});
    let seconds = json!({"type": "duration", "seconds": 1.95});
    for message in [
        session("gpt-4o-transcribe"),
        written(tokens.clone()),
        session("whisper-1"),
        written(tokens),
        written(seconds),
    ] {
        say(&mut provider, message.clone()).await;
        assert_eq!(text(&mut client.socket).await, message);
    }
    let facts = realtime.world.settled(3).await;
    let costs: Vec<_> = facts.iter().map(|fact| (fact.cost_nanos, fact.is_estimated)).collect();
    let by_tokens = 10 * 32_000 + 2 * 16_000;
    // A price that is not known is that of the deployment, and says so; seconds are ten tokens of sound each.
    assert_eq!(costs, [(by_tokens, false), (by_tokens, true), (20 * 32_000, true)]);
    assert!(facts[0].attempts[0].why.starts_with("transcription by gpt-4o-transcribe within "), "{facts:?}");
}

#[tokio::test]
async fn usage_that_is_not_said_is_estimated_and_failures_are_free() {
    let (mut realtime, key) = keyed(Limits::default()).await;
    let (mut client, mut provider) = realtime.talk(&key).await;
    let ends = |id: &str, status: &str| {
        json!({"type": "response.done", "response": {"id": id, "status": status, "usage": null}}).to_string()
    };
    for message in [created("r1"), said("r1"), ends("r1", "completed"), created("r2"), ends("r2", "failed")] {
        say(&mut provider, message.clone()).await;
        assert_eq!(text(&mut client.socket).await, message);
    }
    let facts = realtime.world.settled(2).await;
    assert!(facts[0].cost_nanos > 0 && facts[0].is_estimated, "{:?}", facts[0]);
    assert_eq!((facts[1].cost_nanos, facts[1].outcome), (0, Outcome::Failed));
}

#[tokio::test]
async fn what_leads_past_the_books_and_what_is_no_connection_is_refused() {
    let elsewhere = model("elsewhere", vec![priced("one", "anthropic")]);
    let realtime = Realtime::new(vec![voice(), elsewhere]).await;
    let limited =
        realtime.world.key(CreateKey { models: vec!["other".to_owned()], ..CreateKey::default() }).await;
    let authorization = format!("Bearer {limited}");
    for (query, headers, status, code) in [
        ("", vec![], 400, ""),
        ("?model=voice&call_id=rtc_1", vec![], 400, "gateway.realtime_unmetered"),
        ("?model=nobody", vec![], 404, "gateway.not_found"),
        ("?model=elsewhere", vec![], 400, "gateway.no_such_api"),
        ("?model=voice", vec![("origin", "https://evil.example")], 403, "gateway.page_without_key"),
        ("?model=voice", vec![("authorization", authorization.as_str())], 403, "gateway.model_not_allowed"),
        ("?model=voice", vec![("authorization", "Bearer shipway_llm_0_0")], 401, "gateway.wrong_key"),
    ] {
        let refusal = realtime.connect(query, &headers).await.err().unwrap();
        assert_eq!((refusal.status, refusal.code()), (status, code), "{query} {headers:?}");
    }
    for path in ["client_secrets", "sessions", "transcription_sessions", "calls", "calls/rtc_1/accept"] {
        let refused = realtime.world.ask(&format!("/v1/realtime/{path}"), &[], &json!({})).await;
        assert_eq!(
            (refused.status, refused.header("x-shipway-error")),
            (400, Some("gateway.realtime_unmetered")),
            "{path}"
        );
    }
    let plain = realtime.world.native(Method::GET, "/v1/realtime?model=voice", None).await;
    assert_eq!((plain.status, plain.json()["error"]["type"].as_str()), (400, Some("invalid_request_error")));
}

#[tokio::test]
async fn what_guardrails_cannot_look_at_is_refused() {
    let realtime = Realtime::new(vec![voice()]).await;
    let mut guarded = voice();
    guarded.guardrails = vec!["mail".to_owned()];
    let mail = guardrail("mail", GuardrailOn::Both, GuardrailAction::Block, MAIL);
    realtime.world.gateway.install_guarded(vec![guarded], vec![mail], &realtime.providers).unwrap();
    let refusal = realtime.connect("?model=voice", &[]).await.err().unwrap();
    assert_eq!((refusal.status, refusal.code()), (400, "gateway.realtime_unguarded"));
}

#[tokio::test]
async fn a_page_shows_its_key_as_a_subprotocol() {
    let (mut realtime, key) = keyed(budget(RESERVED * 2)).await;
    let protocols = format!("realtime, openai-insecure-api-key.{key}, openai-beta.realtime-v1");
    let headers = [("origin", "https://app.example"), ("sec-websocket-protocol", protocols.as_str())];
    let mut client = realtime.connect("?model=voice", &headers).await.unwrap();
    let (asked, mut provider) = realtime.opened().await;
    assert!(!format!("{:?}", asked.headers).contains(&key));
    answer(&mut client, &mut provider, "r1").await;
    let facts = realtime.world.settled(1).await;
    assert_eq!((facts[0].caller.as_str(), facts[0].cost_nanos), ("key test", COST));
}
