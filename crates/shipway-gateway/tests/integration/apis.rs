//! Servers that have some of OpenAI's APIs only: calls by the others are translated to those that they have, or go elsewhere.

use serde_json::{Value, json};
use shipway_gateway::{Outcome, ServedApi};

use crate::world::{Answer, COST, End, Reply, World, completion, deployment, model};

const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n";
const CHUNK: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\u{e9}llo w\"},\"finish_reason\":null}]}\n\n";
const FINISH: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// A model `m` whose servers have these APIs alone, each at a provider.
async fn world_with(servers: &[(&str, &[ServedApi])]) -> World {
    let world = World::new().await;
    let deployments = servers.iter().map(|(provider, apis)| {
        let mut one = deployment(provider, provider);
        one.apis = apis.to_vec();
        one
    });
    world.install(vec![model("m", deployments.collect())]);
    world
}

fn refusal(got: &Answer) -> (u16, Option<&str>) {
    (got.status, got.header("x-shipway-error"))
}

fn response(more: Value) -> Value {
    let mut body =
        json!({ "model": "m", "instructions": "be brief", "input": "hello", "max_output_tokens": 10 });
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
    }
    body
}

#[tokio::test]
async fn a_response_is_asked_of_a_server_that_has_only_chat() {
    let world = world_with(&[("openai", &[ServedApi::Chat])]).await;
    world.provider.answers("up-openai", Reply::json(200, &completion()));

    let got = world.call("/v1/responses", &response(json!({ "store": true }))).await;

    assert_eq!(got.status, 200, "{}", got.text());
    let answer = got.json();
    assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(answer["output"][0]["content"][0]["text"], "hi");
    assert_eq!((&answer["instructions"], &answer["store"]), (&json!("be brief"), &json!(true)));
    assert_eq!(answer["usage"]["input_tokens_details"]["cached_tokens"], 4);
    let seen = &world.provider.seen()[0];
    assert_eq!(seen.path, "/v1/chat/completions");
    let sent = seen.json();
    assert_eq!(
        sent["messages"],
        json!([{ "role": "system", "content": "be brief" }, { "role": "user", "content": "hello" }])
    );
    assert_eq!((&sent["model"], &sent["max_completion_tokens"]), (&json!("up-openai"), &json!(10)));
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.outcome, call.is_estimated), (COST, Outcome::Answered, false));
    assert_eq!(call.attempts[0].translated_to.as_deref(), Some("open_ai_chat"));
    // It lies nowhere: nobody can go on from it.
    assert_eq!(call.kept, None);
    let id = answer["id"].as_str().unwrap();
    let next = world.call("/v1/responses", &response(json!({ "previous_response_id": id }))).await;
    assert_eq!(refusal(&next), (400, Some("gateway.unknown_previous_response")));
    assert_eq!(next.json()["error"]["param"], "previous_response_id");
}

#[tokio::test]
async fn a_streamed_response_of_a_server_that_has_only_chat_has_the_events_of_responses() {
    let world = world_with(&[("openai", &[ServedApi::Chat])]).await;
    world.provider.answers("up-openai", Reply::events(&[ROLE, CHUNK, FINISH, USAGE, DONE], End::Clean));

    let got = world.call("/v1/responses", &response(json!({ "stream": true }))).await;

    let text = got.text();
    for event in ["response.created", "response.output_text.delta", "response.completed"] {
        assert!(text.contains(&format!("event: {event}\n")), "{event} in {text}");
    }
    assert!(!text.contains("[DONE]"), "{text}");
    let last = text.trim_end().rsplit("\n\n").next().unwrap();
    let last: Value = serde_json::from_str(last.split_once("data: ").unwrap().1).unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "h\u{e9}llo w");
    assert_eq!(last["response"]["usage"]["input_tokens"], 10);
    let sent = world.provider.seen()[0].json();
    assert_eq!(sent["stream_options"], json!({ "include_usage": true }));
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.outcome), (10 * 2_000 + 3 * 10_000, Outcome::Answered));
}

#[tokio::test]
async fn a_stream_that_is_cut_is_an_error_in_the_words_of_responses() {
    let world = world_with(&[("openai", &[ServedApi::Chat])]).await;
    world.provider.answers("up-openai", Reply::events(&[ROLE, CHUNK], End::Cut));

    let got = world.call("/v1/responses", &response(json!({ "stream": true }))).await;

    let text = got.text();
    assert!(text.contains("event: error\n") && !text.contains("response.completed"), "{text}");
    assert_eq!(world.settled(1).await[0].outcome, Outcome::Broken);
}

#[tokio::test]
async fn what_chat_has_no_words_for_goes_to_the_next_deployment_or_is_refused_by_name() {
    let world = world_with(&[("openai", &[ServedApi::Chat]), ("other", &[])]).await;
    let background = response(json!({ "background": true }));
    let whole = json!({ "id": "resp_1", "object": "response", "status": "queued", "output": [] });
    world.provider.answers_only("up-other", Reply::json(200, &whole));
    let got = world.call("/v1/responses", &background).await;
    assert_eq!((got.status, &got.json()["id"]), (200, &json!("resp_1")));
    let call = &world.settled(1).await[0];
    assert_eq!(call.attempts[0].result, "not_translatable");
    assert_eq!((call.attempts[1].deployment.as_str(), &call.attempts[1].translated_to), ("other", &None));

    let alone = world_with(&[("openai", &[ServedApi::Chat])]).await;
    let refused = alone.call("/v1/responses", &background).await;
    assert_eq!(refusal(&refused), (400, Some("gateway.not_translatable")));
    assert_eq!(refused.json()["error"]["param"], "background");
    let tool = response(json!({ "tools": [{ "type": "web_search" }] }));
    let refused = alone.call("/v1/responses", &tool).await;
    assert_eq!(refused.json()["error"]["param"], "tools[0].type");
    assert!(alone.provider.seen().is_empty());
    assert_eq!(alone.settled(2).await.iter().map(|call| call.cost_nanos).sum::<i64>(), 0);
}

#[tokio::test]
async fn an_error_of_the_server_is_told_in_the_words_of_openai() {
    let world = world_with(&[("openai", &[ServedApi::Chat])]).await;
    let wrong = json!({ "error": { "message": "temperature is too high", "type": "invalid_request_error", "param": "temperature", "code": null } });
    world.provider.answers("up-openai", Reply::json(400, &wrong));
    let got = world.call("/v1/responses", &response(json!({}))).await;
    assert_eq!((got.status, &got.json()["error"]["param"]), (400, &json!("temperature")));
}

#[tokio::test]
async fn an_api_that_no_server_has_is_refused_and_nothing_is_sent() {
    let world = world_with(&[("openai", &[ServedApi::Chat]), ("anthropic", &[ServedApi::Chat])]).await;
    let embeddings = json!({ "model": "m", "input": "hello" });
    let refused = world.call("/v1/embeddings", &embeddings).await;
    assert_eq!(refusal(&refused), (400, Some("gateway.no_such_api")));
    let speech = json!({ "model": "m", "input": "hello", "voice": "alloy" });
    assert_eq!(refusal(&world.call("/v1/audio/speech", &speech).await).0, 400);
    assert!(world.provider.seen().is_empty());
}
