//! Models make room for each other, and come back when they are asked.

use serde_json::json;
use shipway_core::Failure as _;

use crate::world::{COLUMNS, FakeModels, World, model_text, one_flight, rows, spec};

/// Room for two models and a half.
async fn crowded() -> World {
    let models = World::new().await.models;
    let world = World::with_memory(Some(models.bytes(1) * 5 / 2)).await;
    for name in ["a", "b", "c"] {
        world.deploys(name, Some("traffic")).await;
        // The order of use is by time, and the clock of this world stands still.
        world.serving.predict(name, one_flight()).await.unwrap();
    }
    world
}

impl World {
    fn parked(&self) -> Vec<String> {
        let parked = self.serving.deployments().into_iter().filter(|deployment| deployment.is_parked);
        parked.map(|deployment| deployment.name.to_string()).collect()
    }
}

fn reads(models: &FakeModels) -> usize {
    models.reads()
}

#[tokio::test]
async fn whoever_was_asked_longest_ago_makes_room_and_comes_back_when_it_is_asked() {
    let world = crowded().await;
    assert_eq!(world.parked(), ["a"]);
    let status = world.serving.status_of("a").unwrap();
    assert_eq!(status.serves.unwrap().version, 1, "it says what it would serve");
    assert!(world.serving.ready());

    let before = reads(&world.models);
    assert_eq!(world.serving.predict("a", one_flight()).await.unwrap().version, 1);
    assert_eq!(reads(&world.models), before + 1);
    assert_eq!(world.parked(), ["b"]);
    world.serving.predict("a", one_flight()).await.unwrap();
    assert_eq!(reads(&world.models), before + 1, "what is there is not loaded again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn those_who_ask_at_once_wait_for_one_load() {
    let world = crowded().await;
    let before = reads(&world.models);
    let asking = (0..16).map(|_| {
        let serving = world.serving.clone();
        world.tracker.spawn(async move { serving.predict("a", one_flight()).await.unwrap().version })
    });
    for answer in asking.collect::<Vec<_>>() {
        assert_eq!(answer.await.unwrap(), 1);
    }
    assert_eq!(reads(&world.models), before + 1);
}

#[tokio::test]
async fn a_parked_deployment_follows_its_alias_and_says_what_does_not_load() {
    let world = crowded().await;
    world.models.move_silently("champion", 2);
    world.serving.refresh().await;
    assert_eq!(world.serving.status_of("a").unwrap().serves.unwrap().version, 2);
    assert_eq!(world.parked(), ["a"]);
    assert_eq!(world.serving.predict("a", one_flight()).await.unwrap().version, 2);

    world.models.register(3, "tree\nversion=v4\n", None);
    world.models.move_silently("champion", 3);
    let parked = world.parked().remove(0);
    let refusal = world.serving.predict(&parked, one_flight()).await.unwrap_err();
    assert_eq!(refusal.code(), "runtime.model_damaged");
    assert_eq!(world.serving.status_of(&parked).unwrap().trouble.unwrap().version, Some(3));
}

#[tokio::test]
async fn a_start_loads_what_fits_and_leaves_the_rest_until_it_is_asked() {
    let world = crowded().await.restart().await;
    assert_eq!(world.parked(), ["c"]);
    assert!(world.serving.ready());
    assert_eq!(world.serving.status_of("c").unwrap().serves.unwrap().version, 1);
    assert_eq!(world.serving.predict("c", one_flight()).await.unwrap().predictions, [[1.9]]);
}

#[tokio::test]
async fn a_model_that_is_larger_than_all_memory_is_refused_and_the_others_stay() {
    let world = crowded().await;
    let mut large = model_text(&COLUMNS, 1.1, 1.9);
    large.push_str(&"\n".repeat(10_000));
    world.models.register(3, &large, None);
    world.models.move_silently("large", 3);
    let large = shipway_serving::DeploymentSpec { alias: "large".to_owned(), ..spec(None) };
    let refusal = world.serving.deploy("tester", "large", large).await.unwrap_err();
    assert_eq!(refusal.code(), "serving.no_model_memory");
    assert_eq!(world.parked(), ["a"]);
}

#[tokio::test]
async fn a_deployment_that_is_unloaded_stays_so_and_gives_its_room() {
    let world = crowded().await;
    world.serving.unload("b").await.unwrap();
    assert_eq!(world.serving.predict("a", one_flight()).await.unwrap().version, 1);
    assert_eq!(world.parked(), Vec::<String>::new());
    let refusal =
        world.serving.predict("b", rows(json!([{ "origin": "JFK", "month": 1 }]))).await.unwrap_err();
    assert_eq!(refusal.code(), "serving.unloaded");
}
