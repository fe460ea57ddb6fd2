//! Deployments come, follow their alias, survive, and go.

use serde_json::json;
use shipway_core::{DataType, Digest, Failure as _};

use crate::world::{COLUMNS, World, model_text, one_flight, shape, spec};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_alias_that_moves_under_load_loses_no_request() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let serving = world.serving.clone();
            world.tracker.spawn(async move {
                let mut versions = Vec::new();
                // Asks until the switch has happened: every answer is one version's, and none is missing.
                while versions.last() != Some(&2) {
                    let answer = serving.predict("late_arrivals", one_flight()).await.unwrap();
                    assert_eq!(answer.predictions, [[if answer.version == 1 { 1.9 } else { 2.9 }]]);
                    versions.push(answer.version);
                }
                versions
            })
        })
        .collect();
    world.serving.predict("late_arrivals", one_flight()).await.unwrap();

    world.models.move_alias("champion", 2);

    for caller in callers {
        let versions = caller.await.unwrap();
        assert!(versions.is_sorted(), "a caller never falls back to the old version");
    }
}

#[tokio::test]
async fn a_version_that_does_not_load_leaves_the_old_one_serving() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    world.models.register(3, "tree\nversion=v4\n", None);

    world.models.move_silently("champion", 3);
    world.serving.refresh().await;

    assert_eq!(world.serving.predict("late_arrivals", one_flight()).await.unwrap().version, 1);
    let status = world.serving.status_of("late_arrivals").unwrap();
    assert_eq!(status.serves.unwrap().version, 1);
    let trouble = status.trouble.unwrap();
    assert_eq!((trouble.version, trouble.code), (Some(3), "runtime.model_damaged"));

    world.models.move_silently("champion", 2);
    world.serving.refresh().await;

    assert_eq!(world.serving.predict("late_arrivals", one_flight()).await.unwrap().version, 2);
    assert_eq!(world.serving.status_of("late_arrivals").unwrap().trouble, None);
}

#[tokio::test]
async fn a_model_whose_columns_the_service_lacks_is_refused_and_leaves_no_trace() {
    let world = World::new().await;
    let columns = ["origin_trafic__count_1d", "humidity", "month"];
    world.models.register(3, &model_text(&columns, 0.0, 1.0), None);
    world.models.move_silently("champion", 3);

    let refusal = world.serving.deploy("tester", "late_arrivals", spec(Some("traffic"))).await.unwrap_err();

    assert_eq!(
        refusal.to_string(),
        "service `traffic` does not give what model `late` version 3 needs: \
         `origin_trafic__count_1d` (nearest: `origin_traffic__count_1d`), `humidity`"
    );
    assert!(world.serving.deployments().is_empty());
    assert!(world.restart().await.serving.deployments().is_empty());
}

#[tokio::test]
async fn text_where_the_model_compares_numbers_is_refused_at_deployment() {
    let world = World::new().await;
    world.features.apply(shape("v2", &[("carrier", DataType::Text)]));
    world.models.register(3, &model_text(&["carrier"], 0.0, 1.0), None);
    world.models.move_silently("champion", 3);

    let refusal = world.serving.deploy("tester", "late_arrivals", spec(Some("traffic"))).await.unwrap_err();

    assert_eq!(refusal.code(), "serving.not_a_number");
}

#[tokio::test]
async fn an_unknown_alias_or_service_is_refused_as_its_owner_says_it() {
    let world = World::new().await;
    let mut unknown = spec(Some("traffic"));
    unknown.alias = "champoin".to_owned();
    let refusal = world.serving.deploy("tester", "late_arrivals", unknown).await.unwrap_err();
    assert_eq!(refusal.to_string(), "model late has no alias champoin");
    let refusal = world.serving.deploy("tester", "late_arrivals", spec(Some("weather"))).await.unwrap_err();
    assert_eq!(refusal.code(), "fake.not_found");
    let refusal = world.serving.deploy("tester", "Late-Arrivals", spec(None)).await.unwrap_err();
    assert_eq!(refusal.code(), "serving.wrong_name");
}

#[tokio::test]
async fn a_deployment_survives_a_restart_and_a_model_that_is_gone_does_not_stop_the_others() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    world.models.register(4, &model_text(&COLUMNS, 4.0, 4.0), None);
    world.models.move_silently("candidate", 4);
    let mut candidate = spec(Some("traffic"));
    candidate.alias = "candidate".to_owned();
    world.serving.deploy("tester", "shadow", candidate).await.unwrap();
    world.models.register(4, "damaged", None);

    let world = world.restart().await;

    assert_eq!(world.serving.predict("late_arrivals", one_flight()).await.unwrap().version, 1);
    assert!(!world.serving.ready());
    let refusal = world.serving.predict("shadow", one_flight()).await.unwrap_err();
    assert_eq!(refusal.code(), "serving.not_loaded");
}

#[tokio::test]
async fn a_deployment_that_is_taken_away_answers_no_more_and_is_audited() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;

    world.serving.undeploy("tester", "late_arrivals").await.unwrap();

    let refusal = world.serving.predict("late_arrivals", one_flight()).await.unwrap_err();
    assert_eq!(refusal.code(), "serving.unknown_deployment");
    assert_eq!(world.serving.undeploy("tester", "late_arrivals").await.unwrap_err().code(), refusal.code());
    let entries = shipway_store::audit::list(&world.store, 10).await.unwrap();
    let actions: Vec<&str> = entries.iter().rev().map(|recorded| recorded.entry.action.as_str()).collect();
    assert_eq!(actions, ["serving.deploy", "serving.undeploy"]);
}

#[tokio::test]
async fn a_version_trained_with_a_service_version_keeps_to_it() {
    let world = World::new().await;
    let pin = Digest::of("v1");
    world.models.register(5, &model_text(&COLUMNS, 5.1, 5.9), Some(pin));
    world.models.move_silently("champion", 5);
    world.deploys("late_arrivals", Some("traffic")).await;
    world.features.apply(shape("v2", &[("origin_weather__temp", DataType::Float)]));

    let answer = world.serving.predict("late_arrivals", one_flight()).await.unwrap();

    assert_eq!(answer.service_hash, Some(pin));
    let serves = world.serving.status_of("late_arrivals").unwrap().serves.unwrap();
    assert!(serves.service_pinned);
}

#[tokio::test]
async fn a_version_that_is_not_pinned_moves_with_its_service_while_the_columns_last() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    world.features.apply(shape("v2", &[("origin_weather__temp", DataType::Float)]));

    let answer = world.serving.predict("late_arrivals", one_flight()).await.unwrap();

    assert_eq!(answer.service_hash, Some(Digest::of("v2")));
    assert_eq!(answer.predictions, [[1.9]]);

    let mut without = shape("v3", &[]);
    without.columns.retain(|(name, _)| name == "month");
    world.features.apply(without);
    let refusal = world.serving.predict("late_arrivals", one_flight()).await.unwrap_err();
    assert_eq!(refusal.code(), "serving.columns_missing");
}

#[tokio::test]
async fn a_version_that_does_not_answer_its_golden_inputs_does_not_take_over() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let golden = |first: f64| {
        json!({
            "dataframe_split": { "columns": COLUMNS, "data": [[3, 1], [30, null]] },
            "predictions": [first, 2.9],
        })
        .to_string()
    };
    world.models.add_file(2, "shipway_golden.json", &golden(2.2));
    world.models.move_silently("champion", 2);
    world.serving.refresh().await;

    let status = world.serving.status_of("late_arrivals").unwrap();
    assert_eq!(status.serves.unwrap().version, 1, "the one before goes on");
    let trouble = status.trouble.unwrap();
    assert_eq!(trouble.code, "serving.golden_mismatch");
    assert_eq!(
        trouble.detail,
        "model `late` version 2 does not answer its golden inputs: predictions[0]: expected 2.2, got 2.1"
    );
    world.models.add_file(2, "shipway_golden.json", "{");
    world.serving.refresh().await;
    assert!(
        world.serving.status_of("late_arrivals").unwrap().trouble.unwrap().detail.contains("not readable")
    );
    world.models.add_file(2, "shipway_golden.json", &golden(2.1));
    world.serving.refresh().await;
    assert_eq!(world.serving.status_of("late_arrivals").unwrap().serves.unwrap().version, 2);

    // An example that does not run keeps nothing back.
    world.models.add_file(1, "serving_input_example.json", r#"{"inputs": [["x"]]}"#);
    world.models.move_silently("champion", 1);
    world.serving.refresh().await;
    assert_eq!(world.serving.status_of("late_arrivals").unwrap().serves.unwrap().version, 1);
}
