//! Whole answers: what passes through, fallback, errors.

use http::Method;
use serde_json::json;
use shipway_gateway::{CreateKey, DeploymentSpec, Outcome, Retries, Route, ServedApi, UnknownPrice};

use crate::world::{COST, Reply, World, completion, deployment, model, question};

#[tokio::test]
async fn an_answer_passes_through_byte_for_byte_and_says_what_it_cost() {
    let world = World::new().await;
    let answer = completion();
    world.provider.answers("up-one", Reply::json(200, &answer));
    let body =
        json!({ "z_first": 1, "model": "chat-latest", "messages": [], "unknown": { "b": 1, "a": [1.50] } });
    let key = world.key(CreateKey::default()).await;

    let got = world.chat(&key, &body).await;

    assert_eq!(got.status, 200);
    assert_eq!(got.text(), answer.to_string());
    assert_eq!(got.header("x-shipway-cost"), Some("0.000086800"));
    assert_eq!(
        (got.header("x-shipway-model"), got.header("x-shipway-deployment")),
        (Some("chat"), Some("one"))
    );
    let seen = &world.provider.seen()[0];
    assert_eq!(seen.path, "/v1/chat/completions");
    // Only the name of the model is another one.
    assert_eq!(seen.body, body.to_string().replace("chat-latest", "up-one"));
    assert_eq!(seen.headers["authorization"], "Bearer sk-of-the-operator");
    assert_eq!(seen.headers["accept-encoding"], "identity");
    assert!(!format!("{:?}", seen.headers).contains(&key));
    let calls = world.settled(1).await;
    assert_eq!(
        (calls[0].cost_nanos, calls[0].outcome, calls[0].is_estimated),
        (COST, Outcome::Answered, false)
    );
    assert_eq!(calls[0].call, got.header("x-shipway-call").unwrap());
    assert_eq!((calls[0].tokens.input, calls[0].tokens.cache_read, calls[0].tokens.output), (8, 4, 7));
}

#[tokio::test]
async fn an_anthropic_client_is_answered_in_its_own_api() {
    let world = World::new().await;
    let answer = json!({ "type": "message", "content": [], "stop_reason": "end_turn", "usage": { "input_tokens": 3, "cache_read_input_tokens": 5, "output_tokens": 2 } });
    world.provider.answers("up-claude", Reply::json(200, &answer));
    let key = world.key(CreateKey::default()).await;
    let headers = [("x-api-key", key.as_str()), ("anthropic-beta", "tools-1")];

    let got = world.ask("/v1/messages", &headers, &question("claude")).await;

    assert_eq!((got.status, got.text()), (200, answer.to_string().as_str()));
    let seen = &world.provider.seen()[0];
    assert_eq!(seen.path, "/v1/messages");
    assert_eq!(
        (&seen.headers["x-api-key"], &seen.headers["anthropic-version"]),
        (&"sk-of-the-operator".parse().unwrap(), &"2023-06-01".parse().unwrap())
    );
    assert_eq!(seen.headers["anthropic-beta"], "tools-1");
    assert!(got.header("request-id").is_some());
    // 3 in, 5 out of the cache beside them, 2 out.
    assert_eq!(world.settled(1).await[0].cost_nanos, 3 * 2_000 + 5 * 200 + 2 * 10_000);

    let got = world.ask("/v1/messages", &headers, &question("nothing")).await;
    assert_eq!(
        (got.status, &got.json()["type"], &got.json()["error"]["type"]),
        (404, &json!("error"), &json!("not_found_error"))
    );
    let only_chat = DeploymentSpec { apis: vec![ServedApi::Chat], ..deployment("one", "openai") };
    world.install(vec![model("chat", vec![only_chat])]);
    let got = world.ask("/v1/messages/count_tokens", &headers, &question("chat")).await;
    assert_eq!((got.status, got.header("x-shipway-error")), (400, Some("gateway.no_such_api")));
    assert!(got.text().contains("no deployment that speaks"), "{}", got.text());
}

#[tokio::test]
async fn counting_tokens_costs_nothing() {
    let world = World::new().await;
    world.provider.answers("up-claude", Reply::json(200, &json!({ "input_tokens": 9 })));
    let got = world.ask("/v1/messages/count_tokens", &[], &question("claude")).await;
    assert_eq!((got.status, got.json()["input_tokens"].as_u64()), (200, Some(9)));
    assert_eq!(world.provider.seen()[0].path, "/v1/messages/count_tokens");
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.is_estimated), (0, false));
}

#[tokio::test]
async fn the_next_deployment_answers_where_the_first_is_overloaded_and_every_attempt_is_told() {
    let world = World::new().await;
    let overloaded =
        json!({ "error": { "message": "busy", "type": "server_error", "param": null, "code": null } });
    world.provider.answers("up-one", Reply::json(503, &overloaded));
    world.provider.answers("up-two", Reply::json(200, &completion()));

    for _ in 0..3 {
        let got = world.ask("/v1/chat/completions", &[], &question("chat")).await;
        assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("two")));
    }

    let calls = world.settled(3).await;
    let attempts: Vec<Vec<(&str, &str, Option<u16>)>> = calls
        .iter()
        .map(|call| {
            call.attempts
                .iter()
                .map(|one| (one.deployment.as_str(), one.result.as_str(), one.status))
                .collect()
        })
        .collect();
    let both = vec![("one", "upstream", Some(503)), ("two", "answered", Some(200))];
    // After two failures in a row the first is left out.
    assert_eq!(attempts, [both.clone(), both, vec![("two", "answered", Some(200))]]);
    let models = world.native(Method::GET, "/api/v1/llm/models", None).await.json();
    assert!(models["models"][0]["deployments"][0]["paused_until"].is_string(), "{models}");
    // Where nothing else is left it is tried all the same, and it is asked again when its pause is over.
    world.clock.set(shipway_core::Timestamp(crate::world::NOON.0 + 31_000_000));
    let got = world.ask("/v1/chat/completions", &[], &question("chat")).await;
    assert_eq!(got.header("x-shipway-attempts"), Some("2"));
}

#[tokio::test]
async fn a_deployment_is_tried_again_as_often_as_its_model_says() {
    let world = World::new().await;
    let mut patient = model("patient", vec![deployment("one", "openai")]);
    patient.retries = Retries { overloaded: 2, ..Retries::default() };
    world.install(vec![patient]);
    world.provider.answers("up-one", Reply::json(500, &json!({ "error": { "message": "oops" } })));
    world.provider.answers("up-one", Reply::json(529, &json!({ "error": { "message": "oops" } })));
    world.provider.answers("up-one", Reply::json(200, &completion()));
    let got = world.ask("/v1/chat/completions", &[], &question("patient")).await;
    assert_eq!((got.status, got.header("x-shipway-attempts")), (200, Some("3")));
    assert_eq!(world.settled(1).await[0].cost_nanos, COST);
}

#[tokio::test]
async fn an_error_of_the_call_itself_passes_through_and_nobody_else_is_asked() {
    let world = World::new().await;
    let error = json!({ "error": { "message": "temperature is too high", "type": "invalid_request_error", "param": "temperature", "code": null } });
    world.provider.answers("up-one", Reply::json(400, &error));
    let got = world.ask("/v1/chat/completions", &[], &question("chat")).await;
    assert_eq!((got.status, got.text()), (400, error.to_string().as_str()));
    assert_eq!(world.provider.seen().len(), 1);
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos, call.status), (Outcome::Refused, 0, Some(400)));
}

#[tokio::test]
async fn what_a_provider_says_of_the_operators_secret_stays_here() {
    let world = World::new().await;
    let error = json!({ "error": { "message": "Incorrect API key provided: sk-of-the-operator", "type": "invalid_request_error", "param": null, "code": "invalid_api_key" } });
    for name in ["up-one", "up-two"] {
        world.provider.answers(name, Reply::json(401, &error));
    }
    let got = world.ask("/v1/chat/completions", &[], &question("chat")).await;
    assert_eq!(got.status, 502);
    assert!(!got.text().contains("sk-of"), "{}", got.text());
    assert_eq!(world.provider.seen().len(), 2);
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos), (Outcome::Failed, 0));
}

#[tokio::test]
async fn a_rate_limit_of_every_provider_is_told_with_its_wait() {
    let world = World::new().await;
    let error = json!({ "error": { "message": "slow down", "type": "rate_limit_error", "param": null, "code": null } });
    for name in ["up-one", "up-two"] {
        let mut reply = Reply::json(429, &error);
        reply.headers.push(("retry-after", "7".to_owned()));
        reply.headers.push(("x-ratelimit-remaining-requests", "0".to_owned()));
        world.provider.answers(name, reply);
    }
    let got = world.ask("/v1/chat/completions", &[], &question("chat")).await;
    assert_eq!((got.status, got.text()), (429, error.to_string().as_str()));
    assert_eq!(got.header("retry-after"), Some("7"));
    // The limits under the plain names are those of the caller's key, and it has none.
    assert_eq!(got.header("x-ratelimit-remaining-requests"), None);
    assert_eq!(got.header("x-upstream-x-ratelimit-remaining-requests"), Some("0"));
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_or_sends_elsewhere_is_passed_over() {
    let world = World::new().await;
    let mut redirect = Reply::json(307, &json!({}));
    redirect.headers.push(("location", "http://169.254.169.254/latest".to_owned()));
    world.provider.answers("up-one", redirect);
    world.provider.answers("up-two", Reply::json(200, &completion()));
    let got = world.ask("/v1/chat/completions", &[], &question("chat")).await;
    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("two")));

    let lost = model("lost", vec![deployment("one", "nowhere")]);
    world.install(vec![lost]);
    let got = world.ask("/v1/chat/completions", &[], &question("lost")).await;
    assert_eq!(got.status, 503);
    assert!(got.text().contains("no provider of it is configured"), "{}", got.text());
}

#[tokio::test]
async fn an_unknown_price_blocks_or_is_flagged_and_is_never_silently_nothing() {
    let world = World::new().await;
    let mut unpriced = deployment("one", "openai");
    unpriced.price = None;
    let blocked = model("blocked", vec![unpriced.clone()]);
    let mut flagged = model("flagged", vec![unpriced]);
    flagged.unknown_price = UnknownPrice::Flag;
    world.install(vec![blocked, flagged]);
    world.provider.answers("up-one", Reply::json(200, &completion()));

    let got = world.ask("/v1/chat/completions", &[], &question("blocked")).await;
    assert_eq!((got.status, got.header("x-shipway-error")), (403, Some("gateway.no_price")));
    assert_eq!(world.provider.seen().len(), 0);

    let got = world.ask("/v1/chat/completions", &[], &question("flagged")).await;
    assert_eq!((got.status, got.header("x-shipway-cost")), (200, None));
    let call = &world.settled(1).await[0];
    assert!(call.is_unpriced && call.tokens.output == 7);
}

#[tokio::test]
async fn weights_decide_who_is_asked_first() {
    let world = World::new().await;
    let mut weighted = model("weighted", vec![deployment("one", "openai"), deployment("two", "openai")]);
    weighted.route = Route::Weighted(vec![(Route::Deployment(0), 1), (Route::Deployment(1), 1)]);
    world.install(vec![weighted]);
    for name in ["up-one", "up-two"] {
        world.provider.answers(name, Reply::json(200, &completion()));
    }
    let mut answered = std::collections::BTreeSet::new();
    // The chance that one of two is never first in 200 calls is one in 10^60.
    for _ in 0..200 {
        let got = world.ask("/v1/chat/completions", &[], &question("weighted")).await;
        answered.insert(got.header("x-shipway-deployment").unwrap().to_owned());
    }
    assert_eq!(answered.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_in_the_words_of_the_api() {
    let world = World::new().await;
    for (body, words) in [(json!([]), "not a JSON object"), (json!({ "messages": [] }), "names no model")] {
        let got = world.ask("/v1/chat/completions", &[], &body).await;
        assert_eq!((got.status, got.json()["error"]["type"].as_str()), (400, Some("invalid_request_error")));
        assert!(got.text().contains(words), "{}", got.text());
    }
    let got = world.ask("/v1/chat/completions", &[], &question("chta")).await;
    assert_eq!((got.status, got.json()["error"]["code"].as_str()), (404, Some("model_not_found")));
    let got = world.native(Method::GET, "/v1/chat/completions", None).await;
    assert_eq!((got.status, got.json()["error"]["code"].as_str()), (405, Some("web.wrong_method")));
    let got = world.native(Method::GET, "/v1/messages/other", None).await;
    assert_eq!((got.status, got.json()["type"].as_str()), (404, Some("error")));
}

#[tokio::test]
async fn models_are_listed_by_every_name_that_the_caller_may_ask_for() {
    let world = World::new().await;
    let listed = world.native(Method::GET, "/v1/models", None).await.json();
    let ids: Vec<&str> =
        listed["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["chat", "chat-latest", "claude", "claude-latest"]);
    assert_eq!(world.native(Method::GET, "/v1/models/chat-latest", None).await.status, 200);
    assert_eq!(world.native(Method::GET, "/v1/models/none", None).await.status, 404);
}
