//! What is asked, what is answered, and what is refused.

use arrow::{record_batch::RecordBatch, util::display::array_value_to_string};
use futures::TryStreamExt as _;
use serde_json::{Map, json};
use shipway_core::{Failure as _, Kind, Timestamp};
use shipway_serving::{MAX_ROWS, PredictRequest};

use crate::{
    http::ask,
    world::{NOW, World, one_flight, rows},
};

#[tokio::test]
async fn ids_become_features_and_features_predictions() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let request = rows(json!([
        { "origin": "JFK", "month": 11 },
        { "origin": "LGA", "month": 11 },
        { "origin": "ZZZ", "month": 11 },
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
async fn a_row_may_give_a_feature_itself_and_the_log_keeps_what_was_read() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let request = rows(json!([
        { "origin": "JFK", "month": 11, "origin_traffic__count_1d": 3 },
        { "origin": "JFK", "month": 11 },
    ]));

    let answer = world.serving.predict("late_arrivals", request).await.unwrap();

    assert_eq!(answer.predictions, [[1.1], [1.9]], "JFK has 30 flights; 3 were given");
    assert_eq!(answer.overridden, [vec!["origin_traffic__count_1d".to_owned()], vec![]]);
    world.serving.flush().await.unwrap();
    let sql = "SELECT origin_traffic__count_1d, overridden FROM predictions__late_arrivals ORDER BY row";
    let logged: Vec<RecordBatch> = world.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
    let shown = |column, row| array_value_to_string(logged[0].column(column), row).unwrap();
    assert_eq!([shown(0, 0), shown(0, 1)], ["30", "30"], "as read, so that it can be replayed");
    assert_eq!([shown(1, 0), shown(1, 1)], [r#"{"origin_traffic__count_1d":3}"#, ""]);
    let wrong = rows(json!([{ "origin": "JFK", "month": 11, "origin_traffic__count_1d": "many" }]));
    let refused = world.serving.predict("late_arrivals", wrong).await.unwrap_err();
    assert!(refused.to_string().starts_with("row 0: column `origin_traffic__count_1d`: "), "{refused}");
}

#[tokio::test]
async fn a_prediction_is_explained_by_its_columns() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let body = json!({ "rows": [{ "origin": "JFK", "month": 11 }, { "origin": "LGA", "month": 11 }] });

    let (status, answer) = ask(&world, "POST", "/api/v1/explain/late_arrivals", Some(body.clone())).await;

    assert_eq!(status.as_u16(), 200, "{answer}");
    for (row, prediction) in [(0, 1.9), (1, 1.1)] {
        let score = &answer["rows"][row][0];
        let number = |value: &serde_json::Value| value.as_f64().unwrap();
        let added = number(&score["contributions"]["origin_traffic__count_1d"]);
        assert_eq!(score["contributions"]["month"], 0.0, "no tree asks for it");
        assert!((number(&score["base"]) + added - prediction).abs() < 1e-9, "{answer}");
    }
    for (output, expected) in [("raw", json!([[1.9], [1.1]])), ("leaf_index", json!([[1.0], [0.0]]))] {
        let mut body = body.clone();
        body["output"] = json!(output);
        let (_, answer) = ask(&world, "POST", "/api/v1/explain/late_arrivals", Some(body)).await;
        assert_eq!(answer["rows"], expected, "{answer}");
    }
    let class = json!({ "rows": [{ "origin": "JFK", "month": 11 }], "output": "class" });
    let (status, refused) = ask(&world, "POST", "/api/v1/explain/late_arrivals", Some(class)).await;
    assert_eq!((status.as_u16(), &refused["code"]), (400, &json!("runtime.model_unsupported")), "{refused}");
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
