//! What guardrails send elsewhere: requests before anybody is asked, whole answers once, streams never.

use serde_json::{Value, json};
use shipway_gateway::{
    CacheScope, CacheSpec, CallFact,
    GuardrailAction::{Block, Reroute, Shadow},
    GuardrailOn::{Both, Input, Output},
    GuardrailSpec, ModelSpec, Outcome, Route,
};

use crate::{
    guardrails::{KEY, MAIL, SECRET, answers, ask, guardrail, says, streamed},
    world::{COST, End, Reply, World, deployment, model},
};

/// `chat` of the deployments `one` and `two`, whose calls go to `safe` and then to `spare` where a guardrail says so.
async fn world(guardrails: Vec<GuardrailSpec>, change: impl Fn(&mut ModelSpec)) -> World {
    let world = World::new().await;
    let deployments = ["one", "two", "safe", "spare"].map(|name| deployment(name, "openai"));
    let mut spec = model("chat", deployments.to_vec());
    spec.route = Route::Fallback(vec![Route::Deployment(0), Route::Deployment(1)]);
    spec.detours.on_guardrail = Some(Route::Fallback(vec![Route::Deployment(2), Route::Deployment(3)]));
    spec.guardrails = guardrails.iter().map(|guardrail| guardrail.name.clone()).collect();
    change(&mut spec);
    world.install_guarded(vec![spec], guardrails);
    world
}

fn told(call: &CallFact) -> Vec<(&str, &str, &str)> {
    let attempts = call.attempts.iter();
    attempts.map(|one| (one.deployment.as_str(), one.why.as_str(), one.result.as_str())).collect()
}

fn asked(world: &World) -> Vec<String> {
    world.provider.seen().iter().map(|seen| seen.json()["model"].as_str().unwrap().to_owned()).collect()
}

fn overloaded() -> Reply {
    Reply::json(503, &json!({ "error": { "message": "too many", "type": "server_error" } }))
}

fn said(answer: &crate::world::Answer) -> String {
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_request_in_which_something_is_found_goes_elsewhere_and_nowhere_else() {
    let world = world(vec![guardrail("people", Input, Reroute, MAIL)], |_| {}).await;
    world.provider.answers("up-one", answers("usual"));
    world.provider.answers("up-safe", answers("safe"));
    let usual = ask(&world, &says("nothing here")).await;
    assert_eq!((said(&usual).as_str(), usual.header("x-shipway-guardrails")), ("usual", Some("passed")));
    let rerouted = ask(&world, &says("I am ada@x.org")).await;
    assert_eq!((said(&rerouted).as_str(), rerouted.header("x-shipway-deployment")), ("safe", Some("safe")));
    assert_eq!(rerouted.header("x-shipway-guardrails"), Some("people=rerouted"));
    // Whoever fails there is followed by those of the same way only.
    world.provider.answers_only("up-safe", overloaded());
    world.provider.answers_only("up-spare", overloaded());
    let failed = ask(&world, &says("I am ada@x.org")).await;
    assert_eq!(failed.status, 502);
    assert_eq!(asked(&world), ["up-one", "up-safe", "up-safe", "up-spare"]);
    let calls = world.settled(3).await;
    assert_eq!(told(&calls[1]), [("safe", "guardrail people", "answered")]);
    assert_eq!(calls[1].guardrails[0].verdict, "rerouted");
    assert_eq!(told(&calls[2])[1], ("spare", "fallback after upstream of safe", "upstream"));
    assert_eq!((calls[1].cost_nanos, calls[2].cost_nanos), (COST, 0));
}

#[tokio::test]
async fn a_stream_is_rerouted_by_its_request_and_who_blocks_goes_before_who_reroutes() {
    let guardrails = vec![guardrail("people", Input, Reroute, MAIL), guardrail("keys", Input, Block, SECRET)];
    let world = world(guardrails, |_| {}).await;
    let chunk = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}\n\n";
    world.provider.answers("up-safe", Reply::events(&[chunk, "data: [DONE]\n\n"], End::Clean));
    let streamed = ask(&world, &streamed("I am ada@x.org")).await;
    assert_eq!(streamed.header("x-shipway-guardrails"), Some("people=rerouted"));
    assert_eq!((streamed.status, streamed.header("x-shipway-deployment")), (200, Some("safe")));
    let refused = ask(&world, &says(&format!("I am ada@x.org with {KEY}"))).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (400, Some("guardrail.keys")));
    assert_eq!(asked(&world), ["up-safe"]);
}

#[tokio::test]
async fn an_answer_in_which_something_is_found_is_asked_for_elsewhere_once_and_both_are_charged() {
    let world = world(vec![guardrail("keys", Output, Reroute, SECRET)], |_| {}).await;
    let leak = format!("use {KEY}");
    world.provider.answers_only("up-one", answers(&leak));
    world.provider.answers("up-safe", answers("no key"));
    let answer = ask(&world, &says("hello")).await;
    assert_eq!((said(&answer).as_str(), answer.header("x-shipway-deployment")), ("no key", Some("safe")));
    assert_eq!(answer.header("x-shipway-guardrails"), Some("keys=rerouted"));
    assert_eq!(answer.header("x-shipway-attempts"), Some("2"));
    // What is found in the second answer refuses the call.
    world.provider.answers_only("up-safe", answers(&leak));
    let refused = ask(&world, &says("hello")).await;
    assert_eq!((refused.status, refused.json()["error"]["code"].as_str()), (400, Some("guardrail.keys")));
    assert_eq!(refused.header("x-shipway-guardrails"), Some("keys=rerouted, keys=blocked"));
    assert!(!refused.text().contains(KEY));
    // Where nobody of the other way answers, the caller is told what they said.
    world.provider.answers_only("up-safe", overloaded());
    world.provider.answers_only("up-spare", overloaded());
    assert_eq!(ask(&world, &says("hello")).await.status, 502);
    let calls = world.settled(3).await;
    assert_eq!(
        told(&calls[0]),
        [("one", "first of the route", "answered"), ("safe", "guardrail keys", "answered")]
    );
    let costs: Vec<_> = calls.iter().map(|call| (call.cost_nanos, call.outcome)).collect();
    let expected = [(2 * COST, Outcome::Answered), (2 * COST, Outcome::Blocked), (COST, Outcome::Failed)];
    assert_eq!(costs, expected);
    assert!(calls.iter().all(|call| call.reserved_nanos >= call.cost_nanos && !call.is_estimated));
    let verdicts: Vec<&str> = calls[1].guardrails.iter().map(|fact| fact.verdict.as_str()).collect();
    assert_eq!(verdicts, ["rerouted", "blocked"]);
}

#[tokio::test]
async fn what_is_found_in_a_stream_or_behind_a_reroute_is_blocked() {
    let world = world(vec![guardrail("keys", Both, Reroute, SECRET)], |_| {}).await;
    let text = serde_json::to_string(&format!("use {KEY} now")).unwrap();
    let chunk = format!(
        "data: {{\"id\":\"c\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":{text}}},\"finish_reason\":\"stop\"}}]}}\n\n"
    );
    world.provider.answers_only("up-one", Reply::events(&[&chunk, "data: [DONE]\n\n"], End::Clean));
    let broken = ask(&world, &streamed("hello")).await;
    assert_eq!(broken.status, 200);
    assert!(broken.text().contains("guardrail.keys") && !broken.text().contains(KEY));
    // It is at the other deployments already: nobody is left to ask.
    world.provider.answers_only("up-safe", answers(&format!("use {KEY}")));
    let refused = ask(&world, &says(&format!("is {KEY} good?"))).await;
    assert_eq!(refused.status, 400);
    assert_eq!(refused.header("x-shipway-guardrails"), Some("keys=rerouted, keys=blocked"));
    assert_eq!(asked(&world), ["up-one", "up-safe"]);
    let calls = world.settled(2).await;
    assert_eq!(calls[0].guardrails[0].verdict, "blocked");
}

#[tokio::test]
async fn the_answer_that_the_caller_gets_is_the_one_that_is_kept() {
    let world = world(vec![guardrail("keys", Output, Reroute, SECRET)], |model| {
        model.cache = Some(CacheSpec {
            time: std::time::Duration::from_secs(60),
            scope: CacheScope::Key,
            together: false,
            similar: None,
        });
    })
    .await;
    world.provider.answers("up-one", answers(&format!("use {KEY}")));
    world.provider.answers("up-safe", answers("no key"));
    for word in ["miss", "hit"] {
        let answer = ask(&world, &says("hello")).await;
        assert_eq!((said(&answer).as_str(), answer.header("x-shipway-cache")), ("no key", Some(word)));
    }
    assert_eq!(asked(&world), ["up-one", "up-safe"]);
}

#[tokio::test]
async fn wishes_hold_elsewhere_too_and_a_way_without_anybody_refuses() {
    let world = world(vec![guardrail("people", Input, Reroute, MAIL)], |_| {}).await;
    world.provider.answers("up-spare", answers("spare"));
    let wishing = |names: Value| {
        let mut body = says("I am ada@x.org");
        body["provider"] = json!({ "only": names });
        body
    };
    assert_eq!(ask(&world, &wishing(json!(["spare"]))).await.header("x-shipway-deployment"), Some("spare"));
    let refused = ask(&world, &wishing(json!(["one"]))).await;
    assert_eq!((refused.status, asked(&world).len()), (400, 1));
}

#[tokio::test]
async fn a_model_that_does_not_say_where_to_is_not_put_in_force() {
    let world = World::new().await;
    let mut spec = model("chat", vec![deployment("one", "openai")]);
    spec.guardrails = vec!["keys".to_owned()];
    let install = |action| {
        let guardrails = vec![guardrail("keys", Both, action, SECRET)];
        world.gateway.install_guarded(vec![spec.clone()], guardrails, &[])
    };
    assert!(install(Shadow).is_ok());
    assert!(install(Reroute).unwrap_err().to_string().contains("nothing says where to"));
}
