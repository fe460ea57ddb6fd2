//! Answers that must be JSON of a shape: whole, and streamed, which are held to their end.

use serde_json::{Value, json};
use shipway_gateway::{
    GuardrailAction::{Annotate, Block, Reroute, Shadow},
    GuardrailOn::Output,
    GuardrailSpec, Outcome, Route,
};

use crate::{
    guardrails::{DONE, answers, ask, guardrail, install, says, stream_of, streamed, written},
    world::{End, Reply, World, completion, deployment, model},
};

const SHAPE: &str = r#"{"json_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}"#;
const FITS: &str = r#"{"fits":"request"}"#;
const GOOD: &str = r#"{"city":"Oslo"}"#;
const BAD: &str = r#"{"town":"Oslo"}"#;

async fn world(guardrails: Vec<GuardrailSpec>) -> World {
    let world = World::new().await;
    install(&world, guardrails, |_| {});
    world
}

fn wanting(mut body: Value) -> Value {
    let schema = json!({ "type": "object", "required": ["city"] });
    body["response_format"] =
        json!({ "type": "json_schema", "json_schema": { "name": "place", "schema": schema } });
    body
}

#[tokio::test]
async fn a_whole_answer_goes_on_only_if_it_fits() {
    let world = world(vec![guardrail("place", Output, Block, SHAPE)]).await;
    world.provider.answers("up-one", answers(GOOD));
    let good = ask(&world, &says("where?")).await;
    assert_eq!((good.status, good.header("x-shipway-guardrails")), (200, Some("passed")));
    for (text, label) in [
        (BAD, "JSON that does not fit the schema"),
        ("Oslo", "a text that is no JSON"),
        ("```json\n{\"city\":\"Oslo\"}\n```", "a text that is no JSON"),
    ] {
        world.provider.answers_only("up-one", answers(text));
        let refused = ask(&world, &says("where?")).await;
        let error = &refused.json()["error"];
        assert_eq!((refused.status, error["code"].as_str()), (400, Some("guardrail.place")));
        let expected = format!("guardrail place refuses the answer: it has {label} in it");
        assert_eq!(error["message"], expected);
        assert!(!refused.text().contains("Oslo"));
    }
    // An answer that only calls a tool has no text that could fit.
    let mut call = completion();
    call["choices"][0]["message"] = json!({ "role": "assistant", "content": null, "tool_calls": [
        { "id": "t", "type": "function", "function": { "name": "f", "arguments": "{}" } }] });
    world.provider.answers_only("up-one", Reply::json(200, &call));
    assert_eq!(ask(&world, &says("where?")).await.status, 200);
    let calls = world.settled(5).await;
    let outcomes: Vec<_> = calls.iter().map(|call| call.outcome).collect();
    let (answered, blocked) = (Outcome::Answered, Outcome::Blocked);
    assert_eq!(outcomes, [answered, blocked, blocked, blocked, answered]);
    assert!(calls[1].cost_nanos > 0);
}

#[tokio::test]
async fn every_answer_of_several_must_fit() {
    let world = world(vec![guardrail("place", Output, Block, SHAPE)]).await;
    let mut two = completion();
    let choice = |index: u64, text: &str| json!({ "index": index, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" });
    two["choices"] = json!([choice(0, GOOD), choice(1, BAD)]);
    world.provider.answers("up-one", Reply::json(200, &two));
    assert_eq!(ask(&world, &says("where?")).await.status, 400);
    let call = &world.settled(1).await[0];
    assert_eq!(call.guardrails[0].findings, 1);
}

#[tokio::test]
async fn a_stream_is_held_to_its_end_and_goes_on_as_it_came_or_not_at_all() {
    for cut in 1..GOOD.len() {
        let world = world(vec![guardrail("place", Output, Block, SHAPE)]).await;
        let stream = stream_of(&[&GOOD[..cut], &GOOD[cut..]], End::Clean);
        world.provider.answers_only("up-one", stream);
        let answer = ask(&world, &streamed("where?")).await;
        assert_eq!(written(&answer), GOOD);
        assert!(answer.text().ends_with(DONE));
        world.provider.answers_only("up-one", stream_of(&[&BAD[..cut], &BAD[cut..]], End::Clean));
        let refused = ask(&world, &streamed("where?")).await;
        assert!(refused.text().contains("guardrail.place") && !refused.text().contains("Oslo"));
        assert!(!refused.text().contains("town") && !refused.text().contains("[DONE]"));
        let calls = world.settled(2).await;
        assert_eq!((calls[0].outcome, calls[1].outcome), (Outcome::Answered, Outcome::Blocked));
        assert_eq!(calls[1].guardrails[0].verdict, "blocked");
        assert!(calls[1].cost_nanos > 0);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_and_nothing_of_what_was_held() {
    let world = world(vec![guardrail("place", Output, Block, SHAPE)]).await;
    world.provider.answers("up-one", stream_of(&["{\"city\":", "\"Os"], End::Cut));
    let broken = ask(&world, &streamed("where?")).await;
    assert_eq!(broken.status, 200);
    assert!(broken.text().contains("error") && !broken.text().contains("city"));
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.guardrails.len()), (Outcome::Broken, 0));
}

#[tokio::test]
async fn who_does_not_refuse_holds_nothing_and_has_its_say_in_the_record() {
    for (action, verdict) in [(Shadow, "shadowed"), (Annotate, "annotated")] {
        let world = world(vec![guardrail("place", Output, action, SHAPE)]).await;
        // The stream never ends, and its beginning is there.
        world.provider.answers("up-one", stream_of(&["{\"town\":"], End::Hang));
        let response = world.send("/v1/chat/completions", &[], &streamed("where?")).await;
        let mut body = response.into_body().into_data_stream();
        let first = futures::StreamExt::next(&mut body).await.unwrap().unwrap();
        assert!(String::from_utf8_lossy(&first).contains("town"));
        drop(body);
        world.provider.answers_only("up-one", stream_of(&[BAD], End::Clean));
        assert_eq!(written(&ask(&world, &streamed("where?")).await), BAD);
        let calls = world.settled(2).await;
        assert_eq!(calls[1].guardrails[0].verdict, verdict);
    }
}

#[tokio::test]
async fn an_answer_fits_what_its_own_request_asks_for() {
    let world = world(vec![guardrail("asked", Output, Block, FITS)]).await;
    world.provider.answers_only("up-one", answers(BAD));
    assert_eq!(ask(&world, &wanting(says("where?"))).await.status, 400);
    // Who asks for no shape gets any.
    let free = ask(&world, &says("where?")).await;
    assert_eq!((free.status, free.header("x-shipway-guardrails")), (200, Some("passed")));
    world.provider.answers_only("up-one", stream_of(&[BAD], End::Clean));
    let refused = ask(&world, &wanting(streamed("where?"))).await;
    assert!(refused.text().contains("guardrail.asked") && !refused.text().contains("town"));
    assert_eq!(written(&ask(&world, &streamed("where?")).await), BAD);
    world.provider.answers_only("up-one", answers(r#"{"city":1}"#));
    assert_eq!(ask(&world, &wanting(says("where?"))).await.status, 200);
    // What a schema of a request has that cannot be checked says nothing.
    let mut odd = wanting(says("where?"));
    odd["response_format"]["json_schema"]["schema"] = json!({ "unevaluatedProperties": false, "properties": { "city": { "$ref": "http://127.0.0.1:9/" } } });
    assert_eq!(ask(&world, &odd).await.status, 200);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_elsewhere() {
    let world = World::new().await;
    let mut spec = model("chat", ["one", "strong"].map(|name| deployment(name, "openai")).to_vec());
    spec.route = Route::Deployment(0);
    spec.detours.on_guardrail = Some(Route::Deployment(1));
    spec.guardrails = vec!["place".to_owned()];
    world.install_guarded(vec![spec], vec![guardrail("place", Output, Reroute, SHAPE)]);
    world.provider.answers_only("up-one", answers("I think it is Oslo"));
    world.provider.answers_only("up-strong", answers(GOOD));
    let answer = ask(&world, &says("where?")).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], GOOD);
    assert_eq!(answer.header("x-shipway-guardrails"), Some("place=rerouted"));
    world.provider.answers_only("up-one", stream_of(&[BAD], End::Clean));
    let refused = ask(&world, &streamed("where?")).await;
    assert!(refused.text().contains("guardrail.place") && !refused.text().contains("town"));
}

#[tokio::test]
async fn answers_of_other_apis_are_held_to_their_end_too() {
    let world = world(vec![guardrail("place", Output, Block, SHAPE)]).await;
    let frames = |text: &str| {
        let text = serde_json::to_string(text).unwrap();
        format!(
            "event: message_start\ndata: {{\"type\":\"message_start\",\"message\":{{\"id\":\"m\",\"usage\":{{\"input_tokens\":5,\"output_tokens\":1}}}}}}\n\nevent: content_block_start\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}}}\n\nevent: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":{text}}}}}\n\nevent: content_block_stop\ndata: {{\"type\":\"content_block_stop\",\"index\":0}}\n\nevent: message_delta\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{{\"output_tokens\":9}}}}\n\nevent: message_stop\ndata: {{\"type\":\"message_stop\"}}\n\n"
        )
    };
    for (text, fits) in [(GOOD, true), (BAD, false)] {
        world.provider.answers_only("up-claude", Reply::events(&[&frames(text)], End::Clean));
        let mut body = streamed("where?");
        body["model"] = json!("claude");
        let answer = world.ask("/v1/messages", &[], &body).await;
        assert_eq!(answer.text() == frames(text), fits, "{}", answer.text());
        assert_eq!(answer.text().contains("guardrail place"), !fits);
        // The same told in the words of another API.
        let answer = ask(&world, &body).await;
        assert_eq!(answer.text().contains("guardrail.place"), !fits);
        assert_eq!(written(&answer).is_empty(), !fits);
    }
}
