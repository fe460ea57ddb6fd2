//! Prompts across APIs: servers that only chat, and providers of other APIs, write what completes them.

use serde_json::{Value, json};
use shipway_gateway::{CreateKey, DeploymentSpec, Outcome, ServedApi};

use crate::world::{Answer, COST, End, Reply, World, completion, deployment, model};

const ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n";
const CHUNK: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\u{e9}llo w\"},\"finish_reason\":null}]}\n\n";
const FINISH: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n";
const USAGE: &str = "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":3,\"total_tokens\":13}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

async fn world_of(provider: &str, apis: &[ServedApi]) -> World {
    let world = World::new().await;
    let one =
        DeploymentSpec { apis: apis.to_vec(), model: "up".to_owned(), ..deployment(provider, provider) };
    world.install(vec![model("m", vec![one])]);
    world
}

async fn ask(world: &World, body: &Value) -> Answer {
    let key = world.key(CreateKey::default()).await;
    world.ask("/v1/completions", &[("authorization", &format!("Bearer {key}"))], body).await
}

#[tokio::test]
async fn a_server_that_only_chats_completes_a_prompt() {
    let world = world_of("openai", &[ServedApi::Chat]).await;
    world.provider.answers("up", Reply::json(200, &completion()));
    let body = json!({ "model": "m", "prompt": "once upon", "max_tokens": 20, "stop": ["\n"], "seed": 7 });

    let got = ask(&world, &body).await;

    let answer = got.json();
    assert_eq!(
        (got.status, &answer["object"], &answer["model"]),
        (200, &json!("text_completion"), &json!("m"))
    );
    assert_eq!(
        answer["choices"],
        json!([{ "text": "hi", "index": 0, "logprobs": null, "finish_reason": "stop" }])
    );
    assert_eq!(answer["usage"]["prompt_tokens"], 12);
    let seen = &world.provider.seen()[0];
    assert_eq!(seen.path, "/v1/chat/completions");
    assert_eq!(
        seen.json(),
        json!({ "model": "up", "messages": [{ "role": "user", "content": "once upon" }], "max_completion_tokens": 20, "stop": ["\n"], "seed": 7 })
    );
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.outcome), (COST, Outcome::Answered));
}

#[tokio::test]
async fn a_streamed_completion_has_the_chunks_of_completions_and_ends_honestly() {
    let world = world_of("openai", &[ServedApi::Chat]).await;
    world.provider.answers("up", Reply::events(&[ROLE, CHUNK, FINISH, USAGE, DONE], End::Clean));
    let body = json!({ "model": "m", "prompt": "once upon", "stream": true });
    let got = ask(&world, &body).await;
    let text = got.text();
    assert!(
        text.contains("\"text\":\"h\u{e9}llo w\"") && text.contains("\"finish_reason\":\"length\""),
        "{text}"
    );
    // Usage that was not asked for is not in it.
    assert!(text.ends_with("data: [DONE]\n\n") && !text.contains("usage"), "{text}");
    world.provider.answers_only("up", Reply::events(&[ROLE, CHUNK], End::Cut));
    let cut = ask(&world, &body).await;
    assert!(cut.text().contains("data: {\"error\":") && !cut.text().contains("[DONE]"), "{}", cut.text());
    let calls = world.settled(2).await;
    assert_eq!((calls[0].cost_nanos, calls[0].outcome), (10 * 2_000 + 3 * 10_000, Outcome::Answered));
    assert_eq!(calls[1].outcome, Outcome::Broken);
}

#[tokio::test]
async fn providers_of_other_apis_complete_prompts_too() {
    let world = world_of("anthropic", &[]).await;
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "content": [{ "type": "text", "text": "a time" }],
        "stop_reason": "max_tokens", "usage": { "input_tokens": 3, "output_tokens": 2 }
    });
    world.provider.answers("up", Reply::json(200, &message));
    let got = ask(&world, &json!({ "model": "m", "prompt": "once upon" })).await;
    assert_eq!(got.json()["choices"][0]["text"], "a time");
    assert_eq!(got.json()["choices"][0]["finish_reason"], "length");
    assert_eq!(world.settled(1).await[0].cost_nanos, 3 * 2_000 + 2 * 10_000);
}

#[tokio::test]
async fn what_a_chat_cannot_do_is_refused_by_name() {
    let world = world_of("openai", &[ServedApi::Chat]).await;
    for (name, value) in [
        ("suffix", json!("the end")),
        ("logprobs", json!(0)),
        ("echo", json!(true)),
        ("best_of", json!(2)),
        ("n", json!(2)),
        ("prompt", json!(["a", "b"])),
        ("prompt", json!([1, 2])),
    ] {
        let mut body = json!({ "model": "m", "prompt": "a" });
        body[name] = value;
        let refused = ask(&world, &body).await;
        assert_eq!(
            (refused.status, refused.header("x-shipway-error")),
            (400, Some("gateway.not_translatable"))
        );
        assert_eq!(refused.json()["error"]["param"], name);
    }
    assert!(world.provider.seen().is_empty());
}

#[tokio::test]
async fn a_server_that_has_only_responses_chats() {
    let world = world_of("openai", &[ServedApi::Responses]).await;
    let response = json!({
        "id": "resp_1", "object": "response", "status": "completed", "error": null,
        "output": [{ "type": "message", "id": "msg_1", "role": "assistant", "content": [{ "type": "output_text", "text": "hi", "annotations": [] }] }],
        "usage": { "input_tokens": 10, "output_tokens": 5, "total_tokens": 15 }
    });
    world.provider.answers_only("up", Reply::json(200, &response));
    let key = world.key(CreateKey::default()).await;
    let chat =
        json!({ "model": "m", "messages": [{ "role": "user", "content": "hello" }], "max_tokens": 20 });
    let got = world.chat(&key, &chat).await;
    assert_eq!(got.json()["choices"][0]["message"]["content"], "hi", "{}", got.text());
    let seen = &world.provider.seen()[0];
    assert_eq!((seen.path.as_str(), &seen.json()["store"]), ("/v1/responses", &json!(false)));
    assert_eq!(seen.json()["max_output_tokens"], 20);
    let completed = ask(&world, &json!({ "model": "m", "prompt": "hello" })).await;
    assert_eq!(completed.json()["choices"][0]["text"], "hi");
    let calls = world.settled(2).await;
    assert_eq!((calls[0].cost_nanos, &calls[0].kept), (10 * 2_000 + 5 * 10_000, &None));
    let delta = |text: &str| {
        format!(
            "event: response.output_text.delta\ndata: {{\"type\":\"response.output_text.delta\",\"delta\":\"{text}\"}}\n\n"
        )
    };
    let created =
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n";
    let end = format!(
        "event: response.completed\ndata: {{\"type\":\"response.completed\",\"response\":{response}}}\n\n"
    );
    world
        .provider
        .answers_only("up", Reply::events(&[created, &delta("hel"), &delta("lo"), &end], End::Clean));
    let mut streamed = chat.clone();
    streamed["stream"] = json!(true);
    let got = world.chat(&key, &streamed).await;
    assert!(
        got.text().contains("\"content\":\"hel\"") && got.text().ends_with("data: [DONE]\n\n"),
        "{}",
        got.text()
    );
    assert_eq!(world.settled(3).await[2].cost_nanos, 10 * 2_000 + 5 * 10_000);
}
