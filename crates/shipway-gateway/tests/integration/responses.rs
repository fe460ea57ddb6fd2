//! Responses that providers keep: where later calls go, and who may make them.

use http::Method;
use serde_json::{Value, json};
use shipway_core::{Clock as _, Name, Timestamp};
use shipway_gateway::{CreateKey, GroupKind, Limits, PutGroup};

use crate::world::{Answer, End, Reply, World, deployment, model};

fn response(id: &str) -> Value {
    json!({
        "id": id,
        "object": "response",
        "status": "completed",
        "output": [{ "type": "message", "id": "msg_1", "role": "assistant", "content": [] }],
        "usage": { "input_tokens": 10, "output_tokens": 5, "total_tokens": 15 }
    })
}

fn asked(previous: Option<&str>) -> Value {
    match previous {
        None => json!({ "model": "chat", "input": "hello", "max_output_tokens": 10 }),
        Some(id) => {
            json!({ "model": "chat", "input": "hello", "max_output_tokens": 10, "previous_response_id": id })
        }
    }
}

/// A model of two deployments at two providers; the first is tried first.
async fn two_providers() -> World {
    let world = World::new().await;
    world.install(vec![model("chat", vec![deployment("one", "openai"), deployment("two", "other")])]);
    world
}

impl World {
    async fn respond(&self, key: &str, body: &Value) -> Answer {
        self.ask("/v1/responses", &[("authorization", &format!("Bearer {key}"))], body).await
    }

    fn models_asked(&self) -> Vec<String> {
        let of = |body: &[u8]| {
            serde_json::from_slice::<Value>(body).unwrap()["model"].as_str().unwrap().to_owned()
        };
        self.provider.seen().iter().filter(|seen| !seen.body.is_empty()).map(|seen| of(&seen.body)).collect()
    }
}

#[tokio::test]
async fn a_call_that_goes_on_from_a_response_goes_to_where_that_lies() {
    let world = two_providers().await;
    let key = world.key(CreateKey::default()).await;
    world.provider.answers("up-one", Reply::json(503, &json!({ "error": { "message": "busy" } })));
    world.provider.answers("up-two", Reply::json(200, &response("resp_a")));
    assert_eq!(world.respond(&key, &asked(None)).await.status, 200);
    let before = world.models_asked().len();

    world.provider.answers("up-one", Reply::json(200, &response("resp_b")));
    assert_eq!(world.respond(&key, &asked(Some("resp_a"))).await.status, 200);
    // Also when its provider fails: no other one knows what was said before.
    world.provider.answers("up-two", Reply::json(500, &json!({ "error": { "message": "down" } })));
    assert_eq!(world.respond(&key, &asked(Some("resp_a"))).await.status, 502);
    let after = world.models_asked().split_off(before);
    assert!(after.iter().all(|model| model == "up-two"), "{after:?}");

    world.install(vec![model("chat", vec![deployment("one", "openai")])]);
    let refused = world.respond(&key, &asked(Some("resp_a"))).await;
    assert_eq!(
        (refused.status, refused.header("x-shipway-error")),
        (400, Some("gateway.previous_response_elsewhere"))
    );
    assert_eq!(refused.json()["error"]["param"], "previous_response_id");
}

#[tokio::test]
async fn a_stream_is_kept_too_and_what_is_not_to_be_kept_is_not() {
    let world = two_providers().await;
    let key = world.key(CreateKey::default()).await;
    let created = json!({ "type": "response.created", "sequence_number": 0, "response": { "id": "resp_s", "status": "in_progress" } });
    let completed =
        json!({ "type": "response.completed", "sequence_number": 1, "response": response("resp_s") });
    let frame = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    world.provider.answers("up-one", Reply::events(&[&frame(&created), &frame(&completed)], End::Clean));
    let mut streamed = asked(None);
    streamed["stream"] = json!(true);
    assert_eq!(world.respond(&key, &streamed).await.status, 200);
    world.provider.answers("GET /v1/responses/resp_s", Reply::json(200, &response("resp_s")));
    let shown = world.follow_up(Method::GET, "/v1/responses/resp_s", &key).await;
    assert_eq!((shown.status, shown.json()), (200, response("resp_s")));

    world.provider.answers("up-one", Reply::json(200, &response("resp_not")));
    let mut unkept = asked(None);
    unkept["store"] = json!(false);
    assert_eq!(world.respond(&key, &unkept).await.status, 200);
    assert_eq!(world.follow_up(Method::GET, "/v1/responses/resp_not", &key).await.status, 404);
}

#[tokio::test]
async fn what_is_asked_about_a_response_passes_through_and_costs_nothing() {
    let world = two_providers().await;
    let key = world.key(CreateKey::default()).await;
    world.provider.answers("up-one", Reply::json(200, &response("resp_a")));
    world.respond(&key, &asked(None)).await;
    let items = json!({ "object": "list", "data": [{ "id": "item_1" }], "has_more": false });
    world
        .provider
        .answers("GET /v1/responses/resp_a/input_items?limit=1&order=asc", Reply::json(200, &items));
    let shown =
        world.follow_up(Method::GET, "/v1/responses/resp_a/input_items?limit=1&order=asc", &key).await;
    assert_eq!(shown.json(), items);
    let refusal = json!({ "error": { "message": "Only responses created with background=true can be cancelled.", "type": "invalid_request_error" } });
    world.provider.answers("POST /v1/responses/resp_a/cancel", Reply::json(400, &refusal));
    let cancelled = world.follow_up(Method::POST, "/v1/responses/resp_a/cancel", &key).await;
    assert_eq!((cancelled.status, cancelled.json()), (400, refusal));
    let sent = world.provider.seen().pop().unwrap();
    assert_eq!(sent.headers["authorization"], "Bearer sk-of-the-operator");

    let deleted = json!({ "id": "resp_a", "object": "response", "deleted": true });
    world.provider.answers("DELETE /v1/responses/resp_a", Reply::json(200, &deleted));
    assert_eq!(world.follow_up(Method::DELETE, "/v1/responses/resp_a", &key).await.json(), deleted);
    let asked_so_far = world.provider.seen().len();
    let gone = world.follow_up(Method::GET, "/v1/responses/resp_a", &key).await;
    assert_eq!((gone.status, world.provider.seen().len()), (404, asked_so_far));
    assert_eq!(world.settled(1).await.len(), 1);
}

#[tokio::test]
async fn a_response_is_its_groups_and_nobody_elses() {
    let world = two_providers().await;
    let group = |name: &str| PutGroup {
        name: Name::new(name).unwrap(),
        kind: GroupKind::Project,
        parent: None,
        limits: Limits::default(),
    };
    for name in ["search", "ads"] {
        world.gateway.put_group("tester", group(name)).await.unwrap();
    }
    let of = |group: Option<&str>| CreateKey {
        group: group.map(|group| Name::new(group).unwrap()),
        ..CreateKey::default()
    };
    let (mine, colleague) = (world.key(of(Some("search"))).await, world.key(of(Some("search"))).await);
    let (stranger, alone) = (world.key(of(Some("ads"))).await, world.key(of(None)).await);
    world.provider.answers("up-one", Reply::json(200, &response("resp_a")));
    world.respond(&mine, &asked(None)).await;
    world.provider.answers("GET /v1/responses/resp_a", Reply::json(200, &response("resp_a")));

    assert_eq!(world.follow_up(Method::GET, "/v1/responses/resp_a", &colleague).await.status, 200);
    let seen = world.provider.seen().len();
    for other in [&stranger, &alone] {
        let hidden = world.follow_up(Method::GET, "/v1/responses/resp_a", other).await;
        let unknown = world.follow_up(Method::GET, "/v1/responses/resp_b", other).await;
        assert_eq!((hidden.status, unknown.status), (404, 404));
        assert_eq!(hidden.text().replace("resp_a", "resp_b"), unknown.text());
        assert_eq!(world.follow_up(Method::DELETE, "/v1/responses/resp_a", other).await.status, 404);
        let refused = world.respond(other, &asked(Some("resp_a"))).await;
        assert_eq!(
            (refused.status, &refused.json()["error"]["code"]),
            (400, &json!("previous_response_not_found"))
        );
    }
    assert_eq!(
        world.follow_up(Method::GET, "/v1/responses/resp_a", "shipway_llm_none_none").await.status,
        401
    );
    assert_eq!(world.provider.seen().len(), seen);
}

#[tokio::test]
async fn where_a_response_lies_is_known_after_a_kill_and_long_after() {
    let world = World::new().await;
    let key = world.key(CreateKey::default()).await;
    world.provider.answers("up-one", Reply::json(200, &response("resp_a")));
    world.respond(&key, &asked(None)).await;
    world.settled(1).await;
    world.provider.answers("GET /v1/responses/resp_a", Reply::json(200, &response("resp_a")));

    let world = world.killed().await;
    assert_eq!(world.follow_up(Method::GET, "/v1/responses/resp_a", &key).await.status, 200);
    world.provider.answers("up-one", Reply::json(200, &response("resp_b")));
    world.respond(&key, &asked(Some("resp_a"))).await;
    world.settled(2).await;
    world.gateway.shutdown().await.unwrap();

    let world = world.killed().await;
    world.clock.set(Timestamp(world.clock.now().0 + 3_600_000_000));
    assert_eq!(world.respond(&key, &asked(Some("resp_b"))).await.status, 200);
}

#[tokio::test]
async fn a_stream_of_a_kept_response_that_breaks_ends_in_an_error() {
    let world = two_providers().await;
    let key = world.key(CreateKey::default()).await;
    world.provider.answers("up-one", Reply::json(200, &response("resp_a")));
    world.respond(&key, &asked(None)).await;
    let created = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":0,\"response\":{\"id\":\"resp_a\"}}\n\n";
    for end in [End::Clean, End::Cut] {
        world.provider.answers("GET /v1/responses/resp_a?stream=true", Reply::events(&[created], end));
        let cut = world.follow_up(Method::GET, "/v1/responses/resp_a?stream=true", &key).await;
        let rest = cut.text().strip_prefix(created).unwrap();
        assert!(rest.starts_with("event: error\n") && rest.contains("\"sequence_number\":1"), "{rest}");
    }
}

#[tokio::test]
async fn no_id_leads_to_another_path_and_no_refusal_tells_of_the_gateways_account() {
    let world = two_providers().await;
    let key = world.key(CreateKey::default()).await;
    for id in ["..%2Ffiles", "resp_a%3Fx", "resp%20a", &"a".repeat(300)] {
        let refused = world.follow_up(Method::GET, &format!("/v1/responses/{id}"), &key).await;
        assert_eq!(refused.status, 404, "{id}");
    }
    assert!(world.provider.seen().is_empty());

    world.provider.answers("up-one", Reply::json(200, &response("resp_a")));
    world.respond(&key, &asked(None)).await;
    let refusal =
        json!({ "error": { "message": "Incorrect API key provided: sk-of", "code": "invalid_api_key" } });
    world.provider.answers("GET /v1/responses/resp_a", Reply::json(401, &refusal));
    let refused = world.follow_up(Method::GET, "/v1/responses/resp_a", &key).await;
    assert_eq!((refused.status, refused.text().contains("sk-of")), (502, false));
    // What the provider does not know any more is the caller's to hear.
    let expired = json!({ "error": { "message": "Response with id 'resp_a' not found.", "type": "invalid_request_error" } });
    world.provider.answers("GET /v1/responses/resp_a", Reply::json(404, &expired));
    let refused = world.follow_up(Method::GET, "/v1/responses/resp_a", &key).await;
    assert_eq!((refused.status, refused.json()), (404, expired));
}

#[tokio::test]
async fn counting_tokens_is_free() {
    let world = two_providers().await;
    let key = world.key(CreateKey::default()).await;
    let counted = json!({ "object": "response.input_tokens", "input_tokens": 11 });
    world.provider.answers("up-one", Reply::json(200, &counted));
    let body = json!({ "model": "chat", "input": "hello" });
    let answer =
        world.ask("/v1/responses/input_tokens", &[("authorization", &format!("Bearer {key}"))], &body).await;
    assert_eq!(answer.json(), counted);
    assert_eq!(world.provider.seen()[0].path, "/v1/responses/input_tokens");
    assert_eq!(world.settled(1).await[0].cost_nanos, 0);
}
