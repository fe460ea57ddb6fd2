//! A classifier that this server serves: which scores are findings, what it is given, and what counts where it does not answer.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shipway_gateway::{
    Classifiers,
    GuardrailAction::{Block, Shadow},
    GuardrailOn::{Both, Input, Output},
    GuardrailSpec, Outcome, Server, Servers, Unclassified,
};
use shipway_store::Store;

use crate::{
    guardrails::{answers, ask, guardrail, install, says, stream_of, streamed, written},
    world::{End, Provider, World, model},
};

const ATTACK: &str = r#"{"classifier":{"model":"prompt_guard","label":"attack","threshold":0.9}}"#;

/// Gives `attack` the score that stands behind `score ` in a text, the highest of several.
#[derive(Default)]
struct Fake {
    asked: Mutex<Vec<Vec<String>>>,
}

#[async_trait]
impl Classifiers for Fake {
    async fn scores(&self, name: &str, texts: Vec<String>) -> Result<Vec<(String, f32)>, Unclassified> {
        self.asked.lock().unwrap().push(texts.clone());
        match (name, texts.concat().as_str()) {
            ("prompt_guard", "busy") => return Err(Unclassified::Busy),
            ("prompt_guard", "broken") => return Err(Unclassified::Failed),
            ("prompt_guard", "slow") => std::future::pending().await,
            ("prompt_guard", _) => {}
            _ => return Err(Unclassified::Missing),
        }
        let score = |text: &String| text.split_once("score ").and_then(|(_, score)| score.parse().ok());
        let highest = texts.iter().filter_map(score).fold(0.0_f32, f32::max);
        Ok(vec![("benign".to_owned(), 1.0 - highest), ("attack".to_owned(), highest)])
    }
}

async fn world(guardrails: Vec<GuardrailSpec>) -> (World, Arc<Fake>) {
    let world = World::new().await;
    let fake = Arc::new(Fake::default());
    world.gateway.set_classifiers(Arc::clone(&fake) as Arc<dyn Classifiers>);
    install(&world, guardrails, |_| {});
    (world, fake)
}

#[tokio::test]
async fn a_score_of_the_label_from_the_threshold_on_is_a_finding() {
    let (world, fake) = world(vec![guardrail("attack", Input, Block, ATTACK)]).await;
    world.provider.answers_only("up-one", answers("hi"));
    let passed = ask(&world, &says("score 0.89")).await;
    assert_eq!((passed.status, passed.header("x-shipway-guardrails")), (200, Some("passed")));
    let refused = ask(&world, &says("score 0.9")).await;
    let message = "guardrail attack refuses the request: it has attack in it";
    assert_eq!((refused.status, refused.json()["error"]["message"].as_str()), (400, Some(message)));
    assert_eq!(world.provider.seen().len(), 1);
    assert_eq!(*fake.asked.lock().unwrap(), [["score 0.89"], ["score 0.9"]]);
    let calls = world.settled(2).await;
    assert_eq!((calls[1].outcome, calls[1].cost_nanos), (Outcome::Blocked, 0));
}

#[tokio::test]
async fn answers_are_classified_whole_and_streams_are_held_for_that() {
    let (world, _) = world(vec![guardrail("attack", Output, Block, ATTACK)]).await;
    world.provider.answers_only("up-one", answers("score 0.95"));
    assert_eq!(ask(&world, &says("hello")).await.status, 400);
    world.provider.answers_only("up-one", stream_of(&["sco", "re 0.9", "5"], End::Clean));
    let refused = ask(&world, &streamed("hello")).await;
    assert!(refused.text().contains("guardrail.attack") && !refused.text().contains("sco"));
    world.provider.answers_only("up-one", stream_of(&["sco", "re 0.5"], End::Clean));
    assert_eq!(written(&ask(&world, &streamed("hello")).await), "score 0.5");
}

#[tokio::test]
async fn a_shadow_counts_how_often_it_would_have_refused_and_how_often_nobody_answered() {
    let (world, _) = world(vec![guardrail("attack", Both, Shadow, ATTACK)]).await;
    world.provider.answers_only("up-one", answers("score 0.1"));
    for text in ["score 0.95", "score 0.2", "busy"] {
        assert_eq!(ask(&world, &says(text)).await.status, 200);
    }
    let listed = world.native(http::Method::GET, "/api/v1/llm/guardrails", None).await.json();
    let input = &listed["guardrails"][0]["input"];
    let counts = ["looked", "found", "failed"].map(|what| input[what].as_u64().unwrap());
    // Who blocks when nobody answers would have found something then too.
    assert_eq!(counts, [3, 2, 1]);
    assert_eq!(listed["guardrails"][0]["output"]["found"], 0);
}

#[tokio::test]
async fn a_classifier_that_gives_no_score_blocks_unless_it_is_said_otherwise() {
    let find = |more: &str| {
        format!(r#"{{"classifier":{{"model":"prompt_guard","label":"attack","timeout":"1s"{more}}}}}"#)
    };
    let other = r#"{"classifier":{"model":"nobody","label":"attack"}}"#.to_owned();
    let label = r#"{"classifier":{"model":"prompt_guard","label":"attak"}}"#.to_owned();
    for (find, text, reason) in [
        (find(""), "busy", "the classifier has too much to do"),
        (find(""), "broken", "the classifier failed"),
        (find(""), "slow", "the classifier did not answer in time"),
        (other, "hello", "there is no such classifier"),
        (label, "hello", "the classifier has no such label"),
    ] {
        let (world, _) = world(vec![guardrail("attack", Input, Block, &find)]).await;
        assert_eq!(ask(&world, &says(text)).await.status, 400);
        let labels = &world.settled(1).await[0].guardrails[0].labels;
        assert!(labels.contains(&reason.to_owned()), "{labels:?}");
    }
    let allowing = find(r#","on_failure":"allow""#);
    let (world, _) = world(vec![guardrail("attack", Input, Block, &allowing)]).await;
    world.provider.answers_only("up-one", answers("hi"));
    let allowed = ask(&world, &says("busy")).await;
    assert_eq!((allowed.status, allowed.header("x-shipway-guardrails")), (200, Some("attack=failed")));
}

#[tokio::test]
async fn a_replica_refuses_models_that_it_has_no_classifier_for() {
    let store = Store::in_memory().await.unwrap();
    let server = |id: &str, is_owner| Servers::Several(Server { id: id.to_owned(), is_owner });
    let install = |world: &World| {
        let mut spec = model("chat", Vec::new());
        spec.guardrails = vec!["attack".to_owned()];
        world.gateway.install_guarded(vec![spec], vec![guardrail("attack", Input, Block, ATTACK)], &[])
    };
    let owner = World::over(store.clone(), Provider::default(), server("owner", true)).await.unwrap();
    assert!(install(&owner).is_ok());
    let replica = World::over(store, Provider::default(), server("replica", false)).await.unwrap();
    let refused = install(&replica).unwrap_err().to_string();
    assert!(refused.contains("attack asks a classifier, and a replica serves no models"), "{refused}");
}
