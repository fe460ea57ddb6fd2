//! What is asked, what is answered, and what is refused.

use serde_json::{Map, json};
use shipway_core::{Failure as _, Kind, Timestamp};
use shipway_serving::{MAX_ROWS, PredictRequest};

use crate::world::{NOW, World, one_flight, rows};

#[tokio::test]
async fn ids_become_features_and_features_predictions() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let request = rows(json!([
        { "origin": "JFK", "month": 11 },
        { "origin": "LGA", "month": 11 },
        { "origin": "XXX", "month": 11 },
    ]));

    let answer = world.serving.predict("late_arrivals", request).await.unwrap();

    // An origin without events has no count; the model sends what is missing to the right.
    assert_eq!(answer.predictions, [[1.9], [1.1], [1.9]]);
    assert_eq!((answer.version, answer.at), (1, NOW));
    assert_eq!(answer.feature_age.len(), 3);
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["predictions"], json!([1.9, 1.1, 1.9]));
    assert_eq!(json["feature_age"][0][0]["age_us"], 7);
}

#[tokio::test]
async fn the_moment_of_the_question_is_the_moment_of_the_answer() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let moment = Timestamp(NOW.micros() - 1_000_000);
    let request = PredictRequest { at: Some(moment), ..one_flight() };
    assert_eq!(world.serving.predict("late_arrivals", request).await.unwrap().at, moment);
}

#[tokio::test]
async fn a_deployment_without_a_service_takes_the_models_columns() {
    let world = World::new().await;
    world.deploys("direct", None).await;
    let request = rows(json!([
        { "origin_traffic__count_1d": 3, "month": 11, "note": "ignored" },
        { "origin_traffic__count_1d": 30.5, "month": null },
    ]));

    let answer = world.serving.predict("direct", request).await.unwrap();

    assert_eq!(answer.predictions, [[1.1], [1.9]]);
    assert_eq!(answer.service_hash, None);
    for (request, expected) in [
        (
            json!([{ "origin_traffic__count_1": 3, "month": 1 }]),
            "row 0: column `origin_traffic__count_1d`: missing; the row has `origin_traffic__count_1`",
        ),
        (
            json!([{ "origin_traffic__count_1d": "many", "month": 1 }]),
            "row 0: column `origin_traffic__count_1d`: expected a number, true, false or null",
        ),
    ] {
        assert_eq!(world.serving.predict("direct", rows(request)).await.unwrap_err().to_string(), expected);
    }
    let timed =
        PredictRequest { at: Some(NOW), ..rows(json!([{ "origin_traffic__count_1d": 3, "month": 1 }])) };
    assert_eq!(world.serving.predict("direct", timed).await.unwrap_err().code(), "serving.wrong_request");
}

#[tokio::test]
async fn rows_are_bounded() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let flights = |count: usize| {
        let row: Map<_, _> = serde_json::from_value(json!({ "origin": "JFK", "month": 1 })).unwrap();
        PredictRequest { rows: vec![row; count], ..PredictRequest::default() }
    };

    let answer = world.serving.predict("late_arrivals", flights(MAX_ROWS)).await.unwrap();

    assert_eq!(answer.predictions.len(), MAX_ROWS);
    let refusal = world.serving.predict("late_arrivals", flights(MAX_ROWS + 1)).await.unwrap_err();
    assert_eq!(refusal.kind(), Kind::TooLarge);
    assert_eq!(refusal.to_string(), "a prediction takes 1 to 1024 rows, got 1025");
    assert_eq!(world.serving.predict("late_arrivals", flights(0)).await.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test]
async fn an_unknown_deployment_is_named_with_the_nearest_one() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let refusal = world.serving.predict("late_arivals", one_flight()).await.unwrap_err();
    assert_eq!(refusal.kind(), Kind::NotFound);
    assert_eq!(refusal.hint().unwrap(), "did you mean `late_arrivals`?");
}
