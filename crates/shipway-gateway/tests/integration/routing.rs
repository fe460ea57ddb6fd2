//! Where calls go: strategies, detours, hedges, breakers, and what callers wish of providers.

use std::{collections::BTreeSet, time::Duration};

use http::Method;
use serde_json::{Value, json};
use shipway_core::{Name, Timestamp};
use shipway_dialects::Nanos;
use shipway_gateway::{
    CallFact, Condition, CreateKey, Detours, GroupKind, Hedge, Limits, ModelSpec, Outcome, PutGroup, Route,
    Stickiness,
};

use crate::world::{COST, End, NOON, Reply, World, completion, deployment, model, question};

const CHAT: &str = "/v1/chat/completions";

fn both() -> Vec<Route> {
    vec![Route::Deployment(0), Route::Deployment(1)]
}

fn two(route: Route) -> ModelSpec {
    ModelSpec { route, ..model("chat", vec![deployment("one", "openai"), deployment("two", "openai")]) }
}

async fn world(spec: ModelSpec) -> World {
    let world = World::new().await;
    world.install(vec![spec]);
    world
}

fn answers(world: &World, names: &[&str]) {
    for name in names {
        world.provider.answers(&format!("up-{name}"), Reply::json(200, &completion()));
    }
}

fn error(code: &str) -> Value {
    json!({ "error": { "message": "no", "type": "invalid_request_error", "param": null, "code": code } })
}

/// Every attempt of a call: deployment, why, what came of it.
fn told(call: &CallFact) -> Vec<(&str, &str, &str)> {
    let attempts = call.attempts.iter();
    attempts.map(|one| (one.deployment.as_str(), one.why.as_str(), one.result.as_str())).collect()
}

#[tokio::test]
async fn the_deployment_that_answers_faster_is_asked_first() {
    let mut spec = two(Route::Latency(both()));
    spec.timeouts.first_token = Duration::from_millis(400);
    spec.cooldown.failures = 1_000;
    let world = world(spec).await;
    world.provider.answers("up-one", Reply::events(&[], End::Hang));
    let stream =
        "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
    world.provider.answers("up-two", Reply::events(&[stream], End::Clean));
    let mut body = question("chat");
    body["stream"] = json!(true);

    // Nobody knows anything of either: both are tried, and one takes its time.
    for _ in 0..3 {
        assert_eq!(world.ask(CHAT, &[], &body).await.status, 200);
    }

    let calls = world.settled(3).await;
    assert_eq!(
        told(&calls[0]),
        [("one", "latency", "timeout"), ("two", "fallback after timeout of one", "answered")]
    );
    for call in &calls[1..] {
        assert_eq!(told(call), [("two", "latency", "answered")]);
    }
    let models = world.native(Method::GET, "/api/v1/llm/models", None).await.json();
    let first = &models["models"][0]["deployments"][0];
    assert!(first["average_us"]["first_token"].as_f64().unwrap() >= 400_000.0, "{first}");
}

#[tokio::test]
async fn the_deployment_that_a_call_costs_less_at_is_asked_first() {
    let mut spec = two(Route::Cost(both()));
    for (place, (input, output)) in [(1, 100), (20, 10)].into_iter().enumerate() {
        let rates = &mut spec.deployments[place].price.as_mut().unwrap().per_million_tokens;
        (rates.input, rates.output) = (Nanos(input * 1_000_000_000), Nanos(output * 1_000_000_000));
    }
    let world = world(spec).await;
    answers(&world, &["one", "two"]);
    for (most, expected) in [(1, "one"), (1_000, "two")] {
        let mut body = question("chat");
        body["max_tokens"] = json!(most);
        let got = world.ask(CHAT, &[], &body).await;
        assert_eq!(got.header("x-shipway-deployment"), Some(expected));
    }
    assert_eq!(told(&world.settled(2).await[1]), [("two", "cost", "answered")]);
}

#[tokio::test]
async fn a_condition_on_the_call_decides_and_nobody_else_is_asked() {
    let when = |text: &str, place| (Condition::parse(text).unwrap(), Route::Deployment(place));
    let route = Route::Conditional(
        vec![when("tags.tier == 'gold'", 1), when("'shop' in groups && key == 'test'", 1)],
        Box::new(Route::Deployment(0)),
    );
    let world = world(two(route)).await;
    answers(&world, &["one"]);
    world.provider.answers("up-two", Reply::json(503, &json!({ "error": { "message": "busy" } })));
    let got = world.ask(CHAT, &[], &question("chat")).await;
    assert_eq!(got.header("x-shipway-deployment"), Some("one"));

    let got = world.ask(CHAT, &[("x-shipway-tag-tier", "gold")], &question("chat")).await;
    assert_eq!(got.status, 503, "{}", got.text());
    let name = Name::new("shop").unwrap();
    let put =
        PutGroup { name: name.clone(), kind: GroupKind::Project, parent: None, limits: Limits::default() };
    world.gateway.put_group("tester", put).await.unwrap();
    let key = world.key(CreateKey { group: Some(name), ..CreateKey::default() }).await;
    assert_eq!(world.chat(&key, &question("chat")).await.status, 503);

    let calls = world.settled(3).await;
    assert_eq!(told(&calls[0]), [("one", "no condition", "answered")]);
    assert_eq!(told(&calls[1])[0], ("two", "condition 1", "overloaded"));
    assert_eq!(told(&calls[2])[0].1, "condition 2");
    assert!(world.provider.seen().iter().all(|seen| !seen.headers.contains_key("x-shipway-tag-tier")));
}

#[tokio::test]
async fn a_session_stays_at_its_deployment_while_that_is_well() {
    let mut spec = two(Route::Sticky(Stickiness::Session, both()));
    spec.cooldown.failures = 1_000;
    let world = world(spec).await;
    answers(&world, &["one", "two"]);
    let ask = async |session: &str| {
        let got = world.ask(CHAT, &[("x-shipway-session", session)], &question("chat")).await;
        got.header("x-shipway-deployment").unwrap().to_owned()
    };
    let mut used = BTreeSet::new();
    for session in 0..40 {
        let session = format!("s{session}");
        let first = ask(&session).await;
        assert_eq!(first, ask(&session).await);
        used.insert(first);
    }
    assert_eq!(used.len(), 2);
    // What the request itself calls its session counts as well, and is sent on.
    let mut body = question("chat");
    body["prompt_cache_key"] = json!("s7");
    let got = world.ask(CHAT, &[], &body).await;
    assert_eq!(got.header("x-shipway-deployment").unwrap(), ask("s7").await);
    let calls = world.settled(82).await;
    assert_eq!(told(&calls[80])[0].1, "sticky by session");
}

#[tokio::test]
async fn a_context_that_is_too_small_and_a_filter_lead_elsewhere_only_if_that_is_declared() {
    let mut spec = model("chat", ["one", "large", "lenient"].map(|name| deployment(name, "openai")).to_vec());
    spec.route = Route::Deployment(0);
    let plain = ModelSpec { name: "plain".to_owned(), called: Vec::new(), ..spec.clone() };
    spec.detours = Detours {
        on_context_window: Some(Route::Deployment(1)),
        on_content_policy: Some(Route::Fallback(vec![Route::Deployment(0), Route::Deployment(2)])),
        on_guardrail: None,
    };
    let world = World::new().await;
    world.install(vec![spec, plain]);
    let window = error("context_length_exceeded");
    world.provider.answers("up-one", Reply::json(400, &window));
    world.provider.answers("up-one", Reply::json(400, &error("content_policy_violation")));
    world.provider.answers("up-one", Reply::json(400, &window));
    answers(&world, &["large", "lenient"]);

    for expected in ["large", "lenient"] {
        let got = world.ask(CHAT, &[], &question("chat")).await;
        assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some(expected)));
    }
    let got = world.ask(CHAT, &[], &question("plain")).await;
    assert_eq!((got.status, got.text()), (400, window.to_string().as_str()));

    let calls = world.settled(3).await;
    assert_eq!(told(&calls[0])[1], ("large", "on_context_window of one", "answered"));
    assert_eq!(told(&calls[1])[1], ("lenient", "on_content_policy of one", "answered"));
    assert_eq!((calls[0].cost_nanos, calls[2].outcome), (COST, Outcome::Refused));
}

fn hedged(after_ms: u64) -> ModelSpec {
    let mut spec = two(Route::Deployment(0));
    spec.hedge = Some(Hedge { after: Duration::from_millis(after_ms), to: Route::Deployment(1) });
    spec
}

fn hangs(world: &World, name: &str) {
    let mut reply = Reply::json(200, &completion());
    (reply.chunks, reply.end) = (Vec::new(), End::Hang);
    world.provider.answers(&format!("up-{name}"), reply);
}

#[tokio::test]
async fn a_second_attempt_is_made_where_the_first_takes_its_time_and_both_are_charged() {
    let world = world(hedged(20)).await;
    hangs(&world, "one");
    answers(&world, &["two"]);

    let got = world.ask(CHAT, &[], &question("chat")).await;

    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("two")));
    world.provider.is_cancelled().await;
    let call = &world.settled(1).await[0];
    assert_eq!(
        told(call),
        [("two", "hedge after 20 ms", "answered"), ("one", "first of the route", "cancelled")]
    );
    // What the one that was given up had done, nobody knows: it counts as much as the one that answered.
    assert_eq!((call.cost_nanos, call.priced.beside_nanos, call.is_estimated), (2 * COST, COST, true));
    assert!(call.reserved_nanos >= call.cost_nanos);
}

#[tokio::test]
async fn a_first_attempt_that_answers_in_time_has_no_second() {
    let world = world(hedged(60_000)).await;
    answers(&world, &["one"]);
    assert_eq!(world.ask(CHAT, &[], &question("chat")).await.status, 200);
    let call = &world.settled(1).await[0];
    assert_eq!((call.cost_nanos, call.attempts.len(), call.is_estimated), (COST, 1, false));
}

#[tokio::test]
async fn the_first_of_two_answers_where_the_second_fails() {
    let world = world(hedged(1)).await;
    let mut late = Reply::events(&[], End::Hang);
    late.chunks = vec![];
    world.provider.answers("up-one", late);
    world.provider.answers("up-two", Reply::json(503, &json!({ "error": { "message": "busy" } })));
    let mut body = question("chat");
    body["stream"] = json!(true);
    let mut spec = hedged(1);
    spec.timeouts.first_token = Duration::from_millis(200);
    world.install(vec![spec]);
    let got = world.ask(CHAT, &[], &body).await;
    assert_eq!(got.status, 504, "{}", got.text());
    let call = &world.settled(1).await[0];
    assert_eq!(
        told(call),
        [("two", "hedge after 1 ms", "overloaded"), ("one", "first of the route", "timeout")]
    );
}

#[tokio::test]
async fn a_caller_who_leaves_while_two_are_asked_is_charged_what_was_reserved_for_both() {
    let alone = world(two(Route::Deployment(0))).await;
    answers(&alone, &["one"]);
    alone.ask(CHAT, &[], &question("chat")).await;
    let once = alone.settled(1).await[0].reserved_nanos;

    let world = world(hedged(1)).await;
    hangs(&world, "one");
    hangs(&world, "two");
    let body = question("chat");
    let asks = world.ask(CHAT, &[], &body);
    let both_asked = async {
        while world.provider.seen().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = asks => panic!("nobody answers"),
        () = both_asked => {}
    }
    let call = &world.settled(1).await[0];
    assert_eq!((call.outcome, call.cost_nanos), (Outcome::Abandoned, 2 * once));
}

#[tokio::test]
async fn after_its_pause_one_call_tries_a_deployment_and_the_others_go_elsewhere() {
    let world = world(two(Route::Fallback(both()))).await;
    for _ in 0..2 {
        world.provider.answers("up-one", Reply::json(503, &json!({ "error": { "message": "busy" } })));
    }
    hangs(&world, "one");
    answers(&world, &["two"]);
    for _ in 0..2 {
        assert_eq!(world.ask(CHAT, &[], &question("chat")).await.status, 200);
    }
    world.clock.set(Timestamp(NOON.0 + 31_000_000));
    let asked = world.provider.seen().len();
    let body = question("chat");
    let trial = world.ask(CHAT, &[], &body);
    let others = async {
        while world.provider.seen().len() == asked {
            tokio::task::yield_now().await;
        }
        for _ in 0..3 {
            let got = world.ask(CHAT, &[], &body).await;
            assert_eq!(
                (got.header("x-shipway-deployment"), got.header("x-shipway-attempts")),
                (Some("two"), Some("1"))
            );
        }
        let models = world.native(Method::GET, "/api/v1/llm/models", None).await.json();
        assert_eq!(models["models"][0]["deployments"][0]["state"], "on_trial");
    };
    tokio::select! {
        _ = trial => panic!("it hangs"),
        () = others => {}
    }
    // The trial went away without an answer, so the next call is the next trial.
    let calls = world.settled(6).await;
    assert_eq!(told(&calls[2]), [("two", "one is left out", "answered")]);
}

#[tokio::test]
async fn what_a_caller_wishes_of_providers_is_kept_and_not_sent_on() {
    let world = world(two(Route::Fallback(both()))).await;
    answers(&world, &["one", "two"]);
    let ask = async |provider: Value| {
        let mut body = question("chat");
        body["provider"] = provider;
        body["z_last"] = json!(1);
        world.ask(CHAT, &[], &body).await
    };
    let got = ask(json!({ "order": ["two"], "allow_fallbacks": false })).await;
    assert_eq!((got.status, got.header("x-shipway-deployment")), (200, Some("two")));
    let mut plain = question("chat");
    plain["z_last"] = json!(1);
    let sent = plain.to_string().replace("\"chat\"", "\"up-two\"");
    assert_eq!(world.provider.seen()[0].body, sent);
    assert_eq!(told(&world.settled(1).await[0])[0].1, "preference of the request");
    let got = ask(json!({ "ignore": ["one"] })).await;
    assert_eq!(got.header("x-shipway-deployment"), Some("two"));

    let got = ask(json!({ "only": ["somebody"] })).await;
    assert_eq!(
        (got.status, got.header("x-shipway-error"), got.json()["error"]["param"].as_str()),
        (400, Some("gateway.none_wished"), Some("provider"))
    );
    let got = ask(json!({ "max_price": { "prompt": 0.5 } })).await;
    assert_eq!(got.status, 400);
    let got = ask(json!({ "data_collection": "deny" })).await;
    assert_eq!((got.status, got.json()["error"]["param"].as_str()), (400, Some("provider")));
    assert!(got.text().contains("data_collection"), "{}", got.text());
    assert_eq!(world.provider.seen().len(), 2);
}
