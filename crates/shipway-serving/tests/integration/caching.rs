//! Answers that were given before.

use serde_json::json;
use shipway_core::Failure as _;
use shipway_serving::{CacheSettings, DeploymentSpec};

use crate::{
    http::ask,
    world::{World, rows, spec},
};

async fn cached(service: Option<&str>) -> World {
    let world = World::new().await;
    let cache = CacheSettings { max_bytes: 1 << 20 };
    world.serving.deploy("tester", "late", DeploymentSpec { cache, ..spec(service) }).await.unwrap();
    world
}

/// How often an answer was there, was not, and how often the model ran.
async fn counts(world: &World) -> (u64, u64, u64) {
    let (_, body) = ask(world, "GET", "/v2/models/late/stats", None).await;
    let stats = &body["model_stats"][0];
    let count = |name: &str| stats["inference_stats"][name]["count"].as_u64().unwrap();
    (count("cache_hit"), count("cache_miss"), stats["execution_count"].as_u64().unwrap())
}

#[tokio::test]
async fn the_same_inputs_get_the_answer_that_is_there_and_others_do_not() {
    let world = cached(Some("traffic")).await;
    let flight = |origin: &str, month: i64| rows(json!([{ "origin": origin, "month": month }]));
    for (origin, month, predicted) in
        [("JFK", 11, 1.9), ("LGA", 11, 1.1), ("JFK", 11, 1.9), ("JFK", 12, 1.9), ("LGA", 11, 1.1)]
    {
        let answer = world.serving.predict("late", flight(origin, month)).await.unwrap();
        assert_eq!(answer.predictions, [[predicted]]);
    }
    assert_eq!(counts(&world).await, (2, 3, 3));
    // What was given again is in the log like everything else.
    world.serving.flush().await.unwrap();
    assert_eq!(world.count("predictions__late").await, 5);
}

#[tokio::test]
async fn another_version_answers_for_itself() {
    let world = cached(None).await;
    let row = || rows(json!([{ "origin_traffic__count_1d": 30, "month": 11 }]));
    world.serving.predict("late", row()).await.unwrap();
    world.models.move_silently("champion", 2);
    world.serving.refresh().await;
    assert_eq!(world.serving.predict("late", row()).await.unwrap().predictions, [[2.9]]);
    assert_eq!(counts(&world).await, (0, 1, 1));
}

#[tokio::test]
async fn without_the_setting_nothing_is_kept_and_too_much_is_refused() {
    let world = World::new().await;
    world.deploys("late", None).await;
    let row = || rows(json!([{ "origin_traffic__count_1d": 30, "month": 11 }]));
    for _ in 0..2 {
        world.serving.predict("late", row()).await.unwrap();
    }
    assert_eq!(counts(&world).await, (0, 0, 2));
    let spec = DeploymentSpec { cache: CacheSettings { max_bytes: u64::MAX }, ..spec(None) };
    assert_eq!(
        world.serving.deploy("tester", "late", spec).await.unwrap_err().code(),
        "serving.wrong_request"
    );
}
