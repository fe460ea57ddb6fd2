//! A candidate comes to serve step by step, or goes; nobody who asks meanwhile gets no answer.

use std::time::Duration;

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::Int64Type,
};
use futures::TryStreamExt as _;
use serde_json::{Value as Json, json};
use shipway_core::{DataType, Digest, Failure as _};
use shipway_serving::{LaunchSpec, LaunchStatus, PredictRequest, Prediction, Stage, Variant};

use crate::world::{COLUMNS, World, model_text, one_flight, rows, shape};

const NAME: &str = "late_arrivals";

/// A launch of version 2 that looks at ten requests and at no drift: the two versions of these tests always answer otherwise.
fn quick(changes: &Json) -> LaunchSpec {
    let mut spec = json!({
        "version": 2, "canary_shares": [0.5], "hold_s": 0,
        "gates": { "min_requests": 10, "max_latency_ratio": null, "max_drift": null },
    });
    for (name, value) in changes.as_object().unwrap() {
        spec[name] = value.clone();
    }
    serde_json::from_value(spec).unwrap()
}

async fn deployed() -> World {
    let world = World::new().await;
    world.deploys(NAME, Some("traffic")).await;
    world
}

impl World {
    async fn launches(&self, changes: Json) -> LaunchStatus {
        self.serving.launch("ada", NAME, quick(&changes)).await.unwrap()
    }

    async fn asks(&self, request: PredictRequest) -> Prediction {
        self.serving.predict(NAME, request).await.unwrap()
    }

    /// Asks until the launch is over, and tells what was answered.
    async fn asks_until_it_is_over(
        &self,
        request: impl Fn(usize) -> PredictRequest,
    ) -> (Vec<Prediction>, LaunchStatus) {
        let mut answers = Vec::new();
        for number in 0..4_000 {
            answers.push(self.asks(request(number)).await);
            let launch = self.serving.launch_of(NAME).await.unwrap();
            if launch.stage.is_ended() {
                return (answers, launch);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the launch goes on: {:?}", self.serving.launch_of(NAME).await);
    }

    async fn table(&self, sql: &str) -> RecordBatch {
        self.serving.flush().await.unwrap();
        let batches: Vec<RecordBatch> = self.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
        arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
    }

    pub(crate) async fn count(&self, what: &str) -> i64 {
        self.table(&format!("SELECT count(*) AS n FROM {what}")).await["n"]
            .as_primitive::<Int64Type>()
            .value(0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_candidate_shadows_then_answers_some_then_takes_over() {
    let world = deployed().await;
    let begun = world.launches(json!({})).await;
    assert_eq!((begun.stage, begun.candidate, begun.stable), (Stage::Shadow, 2, 1));
    assert_eq!(begun.waits_for.as_deref(), Some("the candidate has 0 of 10 requests"));

    let (answers, launch) = world.asks_until_it_is_over(|_| one_flight()).await;

    assert_eq!((launch.stage, launch.reason), (Stage::Full, None));
    for answer in &answers {
        let version = if answer.variant == Variant::Canary { 2 } else { answer.version };
        assert_eq!(answer.version, version);
        assert_eq!(answer.predictions, [[if answer.version == 1 { 1.9 } else { 2.9 }]]);
    }
    let of = |variant: Variant| answers.iter().filter(|answer| answer.variant == variant).count();
    assert!(of(Variant::Canary) >= 10, "{}", of(Variant::Canary));
    assert_eq!(world.asks(one_flight()).await.version, 2);
    assert_eq!(world.serving.status_of(NAME).unwrap().launch, None);
    assert_eq!(world.models.holder("champion"), 2);
    // What nobody saw is in a table of its own, under the ids of what they saw.
    let shadowed = world
        .count(
            "shadow__late_arrivals s JOIN predictions__late_arrivals p ON p.request_id = s.request_id AND p.row = s.row \
             WHERE s.variant = 'shadow' AND s.model_version = 2 AND p.variant = 'stable' AND p.model_version = 1",
        )
        .await;
    assert!(shadowed >= 10, "{shadowed}");
    assert_eq!(world.count("shadow__late_arrivals").await, shadowed);
    assert_eq!(
        world.count("predictions__late_arrivals WHERE variant = 'canary' AND model_version = 2").await,
        i64::try_from(of(Variant::Canary)).unwrap()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_same_key_is_answered_by_the_same_version_and_stays_as_the_share_grows() {
    let world = deployed().await;
    let forever = json!({
        "shadow_share": 0, "canary_shares": [0.2, 0.6], "key": "origin", "gates": { "min_requests": 100_000 },
    });
    world.launches(forever).await;
    let flight = |origin: &str| rows(json!([{ "origin": origin, "month": 11 }]));
    let of_all = || async {
        let mut versions = Vec::new();
        for number in 0..200 {
            versions.push(world.asks(flight(&format!("A{number}"))).await.version);
        }
        versions
    };

    let first = of_all().await;
    assert_eq!(of_all().await, first);
    let launched = first.iter().filter(|version| **version == 2).count();
    assert!((15..70).contains(&launched), "{launched}");

    let advanced = world.serving.advance_launch("ada", NAME).await.unwrap();
    assert!((advanced.share - 0.6).abs() < 1e-9);
    let second = of_all().await;
    assert!(first.iter().zip(&second).all(|(before, after)| before <= after), "nobody goes back");
    assert!(second.iter().filter(|version| **version == 2).count() > launched);

    // Its own key decides, whatever the row says; without a value the version that serves answers.
    let launched = first.iter().position(|version| *version == 2).unwrap();
    let own = PredictRequest { key: Some(format!("A{launched}")), ..flight("elsewhere") };
    assert_eq!(world.asks(own).await.version, 2);
}

/// Version 3 reads a version of the service in which `note` is a number.
fn candidate_that_fails_on_notes(world: &World) {
    world.features.apply(shape("v2", &[("note", DataType::Int)]));
    let columns = [COLUMNS[0], "note", COLUMNS[1]];
    world.models.register(3, &model_text(&columns, 1.1, 1.9), Some(Digest::of("v2")));
    world.models.move_silently("challenger", 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_the_candidate_cannot_answer_the_other_version_does_and_the_launch_is_rolled_back() {
    let world = World::new().await;
    world.models.register(1, &model_text(&COLUMNS, 1.1, 1.9), Some(Digest::of("v1")));
    world.deploys(NAME, Some("traffic")).await;
    candidate_that_fails_on_notes(&world);
    let flight = |note: Json| rows(json!([{ "origin": "JFK", "month": 11, "note": note }]));

    for shadow_share in [0, 1] {
        let spec = json!({
            "version": null, "alias": "challenger", "shadow_share": shadow_share, "hold_s": 60,
            "gates": { "min_requests": 1_000, "max_latency_ratio": null },
        });
        world.launches(spec).await;
        let (answers, launch) = world.asks_until_it_is_over(|_| flight(json!("three"))).await;

        assert!(answers.iter().all(|answer| (answer.version, answer.variant) == (1, Variant::Stable)));
        assert_eq!(launch.stage, Stage::RolledBack);
        let reason = launch.reason.unwrap();
        assert!(reason.starts_with("errors: ") && reason.contains("note"), "{reason}");
    }
    assert_eq!(world.serving.launches(NAME).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_neither_version_answers_is_refused_as_ever_and_is_nobodys_failure() {
    let world = deployed().await;
    world.launches(json!({ "shadow_share": 0, "canary_shares": [0.999], "hold_s": 60 })).await;
    for _ in 0..30 {
        let refusal = world.serving.predict(NAME, rows(json!([{ "month": 11 }]))).await.unwrap_err();
        assert_eq!(refusal.code(), "fake.not_found");
    }
    let seen = world.serving.launch_of(NAME).await.unwrap().seen.unwrap();
    assert_eq!((seen.candidate.requests, seen.candidate.failures), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn predictions_that_move_roll_a_launch_back() {
    let world = deployed().await;
    world.launches(json!({ "gates": { "min_requests": 30, "max_latency_ratio": null } })).await;

    let (answers, launch) = world.asks_until_it_is_over(|_| one_flight()).await;

    assert!(answers.iter().all(|answer| answer.version == 1), "it never left the shadow");
    assert_eq!(launch.stage, Stage::RolledBack);
    assert!(launch.reason.unwrap().starts_with("drift: predictions moved"));
    assert_eq!(world.models.holder("champion"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_promotion_that_is_refused_rolls_the_launch_back_with_its_reason() {
    let world = deployed().await;
    world.models.close_gate("accuracy is below 0.9");
    world.launches(json!({ "shadow_share": 1, "canary_shares": [] })).await;

    let (_, launch) = world.asks_until_it_is_over(|_| one_flight()).await;

    assert_eq!(launch.stage, Stage::RolledBack);
    assert_eq!(launch.reason.as_deref(), Some("promotion: accuracy is below 0.9"));
    assert_eq!(world.asks(one_flight()).await.version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_launch_goes_on_after_a_restart_where_it_stood() {
    let world = deployed().await;
    world.launches(json!({ "hold_s": 3_600, "canary_shares": [0.25, 0.5] })).await;
    world.serving.advance_launch("ada", NAME).await.unwrap();
    world.serving.advance_launch("ada", NAME).await.unwrap();

    let world = world.restart().await;

    let launch = world.serving.launch_of(NAME).await.unwrap();
    assert_eq!((launch.stage, launch.candidate), (Stage::Canary { step: 1 }, 2));
    assert_eq!(launch.started_by, "ada");

    // One whose candidate is gone is rolled back when the server comes again.
    world.models.register(2, "tree\nversion=v4\n", None);
    let world = world.restart().await;
    let launch = world.serving.launch_of(NAME).await.unwrap();
    assert_eq!(launch.stage, Stage::RolledBack);
    assert!(launch.reason.unwrap().starts_with("readiness: after a restart"));
    assert_eq!(world.asks(one_flight()).await.version, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_alias_that_is_moved_by_hand_ends_the_launch() {
    let world = deployed().await;
    world.launches(json!({ "hold_s": 3_600 })).await;
    world.models.move_silently("champion", 2);
    world.serving.refresh().await;

    let launch = world.serving.launch_of(NAME).await.unwrap();
    assert_eq!(launch.stage, Stage::Cancelled);
    assert_eq!(launch.reason.as_deref(), Some("alias champion was given to version 2 by hand"));
    assert_eq!(world.asks(one_flight()).await.version, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_launch_ends_by_hand_and_with_its_deployment() {
    let world = deployed().await;
    world.launches(json!({ "hold_s": 3_600 })).await;
    let ended = world.serving.abort_launch("eve", NAME).await.unwrap();
    assert_eq!((ended.stage, ended.reason.as_deref()), (Stage::Cancelled, Some("ended by eve")));
    assert_eq!(world.serving.abort_launch("eve", NAME).await.unwrap_err().code(), "serving.no_launch");

    world.launches(json!({ "hold_s": 3_600 })).await;
    world.serving.unload(NAME).await.unwrap();
    assert_eq!(world.serving.launch_of(NAME).await.unwrap().stage, Stage::Cancelled);
    world.serving.load_again(NAME).await.unwrap();
    world.launches(json!({ "hold_s": 3_600 })).await;
    world.serving.undeploy("eve", NAME).await.unwrap();
    world.deploys(NAME, Some("traffic")).await;
    let listed = world.serving.launches(NAME).await.unwrap();
    assert!(listed.iter().all(|launch| launch.stage == Stage::Cancelled) && listed.len() == 3);
    assert_eq!(world.restart().await.serving.status_of(NAME).unwrap().launch, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_cannot_be_launched_is_refused_and_changes_nothing() {
    let world = deployed().await;
    let refused = |changes: Json| {
        let serving = world.serving.clone();
        async move { serving.launch("ada", NAME, quick(&changes)).await.unwrap_err() }
    };
    assert_eq!(refused(json!({ "version": 1 })).await.to_string(), "version 1 serves already");
    assert_eq!(refused(json!({ "version": 9 })).await.code(), "fake.not_found");
    world.models.register(4, "tree\nversion=v4\n", None);
    assert_eq!(refused(json!({ "version": 4 })).await.code(), "runtime.model_damaged");
    assert_eq!(refused(json!({ "hold_s": 99_999_999 })).await.code(), "serving.wrong_request");
    let unknown = world.serving.launch("ada", "nothing", quick(&json!({}))).await.unwrap_err();
    assert_eq!(unknown.code(), "serving.unknown_deployment");
    assert_eq!(world.serving.launch_of(NAME).await.unwrap_err().code(), "serving.no_launch");

    world.launches(json!({ "hold_s": 3_600 })).await;
    assert_eq!(refused(json!({})).await.code(), "serving.launch_goes_on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_candidate_with_other_columns_is_refused_where_callers_bring_them() {
    let world = World::new().await;
    world.deploys(NAME, None).await;
    world.models.register(3, &model_text(&["month", "humidity"], 0.0, 1.0), None);
    let refusal = world.serving.launch("ada", NAME, quick(&json!({ "version": 3 }))).await.unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "version 3 does not take what version 1 takes: it has the column `humidity`"
    );
    world
        .launches(json!({ "shadow_share": 0, "canary_shares": [0.999], "key": COLUMNS[0], "hold_s": 60 }))
        .await;
    let request = rows(json!([{ COLUMNS[0]: 30, "month": 11 }]));
    assert_eq!(world.asks(request).await.variant, Variant::Canary);
}
