//! The prediction log holds what was answered: all of it, once.

use arrow::{
    array::{Array as _, AsArray as _},
    datatypes::{Float64Type, Int64Type, TimestampMicrosecondType},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use futures::TryStreamExt as _;
use serde_json::{Value as Json, json};
use shipway_core::{DataType, Digest, EntityKey, Failure as _, Sampling, Value};
use shipway_serving::{DeploymentSpec, Share};

use crate::{
    http::ask,
    world::{NOW, World, model_text, one_flight, rows, shape, spec},
};

async fn query(world: &World, sql: &str) -> RecordBatch {
    let batches: Vec<RecordBatch> = world.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

async fn count(world: &World) -> i64 {
    let counted = query(world, "SELECT count(*) AS rows FROM predictions__late_arrivals").await;
    counted["rows"].as_primitive::<Int64Type>().value(0)
}

#[tokio::test]
async fn the_log_holds_what_was_answered() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let request = rows(json!([{ "origin": "LGA", "month": 11 }, { "origin": "ZZZ", "month": 12 }]));
    let answer = world.serving.predict("late_arrivals", request).await.unwrap();

    world.serving.flush().await.unwrap();

    let logged = query(&world, "SELECT * FROM predictions__late_arrivals ORDER BY row").await;
    assert_eq!(logged.num_rows(), 2);
    let text =
        |name: &str, row: usize| arrow::util::display::array_value_to_string(&logged[name], row).unwrap();
    assert_eq!(text("request_id", 0), answer.request_id);
    assert_eq!(logged["at"].as_primitive::<TimestampMicrosecondType>().value(1), NOW.micros());
    assert_eq!(text("model_version", 0), "1");
    assert_eq!(text("service_hash", 0), Digest::of("v1").to_string());
    assert_eq!(text("watermarks", 0), r#"{"departures":42}"#);
    assert_eq!((text("origin", 0), text("origin", 1)), ("LGA".to_owned(), "ZZZ".to_owned()));
    assert_eq!((text("month", 0), text("month", 1)), ("11".to_owned(), "12".to_owned()));
    let counts = logged["origin_traffic__count_1d"].as_primitive::<Int64Type>();
    assert_eq!((counts.value(0), counts.is_null(1)), (5, true));
    let predictions = logged["prediction"].as_list::<i32>();
    for row in 0..2 {
        assert_eq!(predictions.value(row).as_primitive::<Float64Type>().values(), &answer.predictions[row]);
    }
}

#[tokio::test]
async fn a_service_that_samples_logs_the_same_keys_every_time_and_one_that_is_off_none() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let half = Sampling::of_fraction(0.5).unwrap();
    let origins: Vec<String> = (0..40).map(|number| format!("A{number}")).collect();
    let flights = || rows(origins.iter().map(|origin| json!({ "origin": origin, "month": 11 })).collect());

    for sampling in [half, half, Sampling::Off] {
        world.features.logs(sampling);
        let answer = world.serving.predict("late_arrivals", flights()).await.unwrap();
        assert_eq!(answer.predictions.len(), 40, "every row is answered");
        world.serving.flush().await.unwrap();
    }

    let is_kept =
        |origin: &String| half.keeps(EntityKey::encode([&Value::text(origin.as_str())]).unwrap().as_bytes());
    let kept: Vec<usize> = (0..40).filter(|&row| is_kept(&origins[row])).collect();
    assert!((5..35).contains(&kept.len()), "{kept:?}");
    let logged =
        query(&world, "SELECT row, origin FROM predictions__late_arrivals ORDER BY request_id, row").await;
    assert_eq!(logged.num_rows(), 2 * kept.len());
    for (at, &row) in kept.iter().chain(&kept).enumerate() {
        assert_eq!(
            logged["row"].as_primitive::<Int64Type>().value(at),
            row as i64,
            "its number in the request"
        );
        let origin = arrow::util::display::array_value_to_string(&logged["origin"], at).unwrap();
        assert_eq!(origin, origins[row]);
    }
}

#[tokio::test]
async fn every_answer_is_logged_once_under_load_and_over_a_restart() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    for _ in 0..5 {
        let answers = (0..100).map(|_| world.serving.predict("late_arrivals", one_flight()));
        futures::future::try_join_all(answers).await.unwrap();
        world.serving.flush().await.unwrap();
    }
    world.serving.predict("late_arrivals", one_flight()).await.unwrap();

    let world = world.restart().await;

    assert_eq!(count(&world).await, 501, "a shutdown writes what waits");
    world.serving.predict("late_arrivals", one_flight()).await.unwrap();
    world.serving.flush().await.unwrap();
    assert_eq!(count(&world).await, 502, "a restarted writer goes on counting its transactions");
    let ids = query(&world, "SELECT count(DISTINCT request_id) AS ids FROM predictions__late_arrivals").await;
    assert_eq!(ids["ids"].as_primitive::<Int64Type>().value(0), 502);
}

#[tokio::test]
async fn a_new_version_of_the_service_adds_its_columns() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    world.serving.predict("late_arrivals", one_flight()).await.unwrap();
    world.features.apply(shape("v2", &[("origin_weather__temp", DataType::Float)]));
    world.serving.predict("late_arrivals", one_flight()).await.unwrap();

    world.serving.flush().await.unwrap();

    let sql = "SELECT count(*) AS rows, count(origin_weather__temp) AS temps FROM predictions__late_arrivals";
    let counted = query(&world, sql).await;
    assert_eq!(counted["rows"].as_primitive::<Int64Type>().value(0), 2);
    assert_eq!(counted["temps"].as_primitive::<Int64Type>().value(0), 1);
}

#[tokio::test]
async fn a_service_whose_column_changes_its_type_is_refused_before_it_answers() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let mut other = shape("v2", &[]);
    other.columns[0].1 = DataType::Float;
    world.features.apply(other);

    let refusal = world.serving.predict("late_arrivals", one_flight()).await.unwrap_err();

    assert!(refusal.code().starts_with("lake."), "{refusal}");
    world.serving.flush().await.unwrap();
    assert_eq!(count(&world).await, 0);
}

#[tokio::test]
async fn a_log_that_someone_dropped_is_made_again() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    world.serving.predict("late_arrivals", one_flight()).await.unwrap();
    world.serving.flush().await.unwrap();
    world.lake.drop_table("predictions__late_arrivals").await.unwrap();
    world.serving.predict("late_arrivals", one_flight()).await.unwrap();

    // The first attempt finds the table gone and says so; what waits is kept and written by the next.
    let first = world.serving.flush().await;
    if let Err(refusal) = first {
        assert_eq!(refusal.code(), "serving.log_not_written");
        world.serving.flush().await.unwrap();
    }

    assert_eq!(count(&world).await, 1);
}

#[tokio::test]
async fn after_shutdown_nothing_is_answered_that_would_not_be_logged() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    world.serving.shutdown().await.unwrap();
    let refusal = world.serving.predict("late_arrivals", one_flight()).await.unwrap_err();
    assert_eq!(refusal.code(), "serving.shutting_down");
}

#[tokio::test]
async fn late_labels_join_their_predictions_by_request_id_and_row() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let request = rows(json!([{ "origin": "JFK", "month": 11 }, { "origin": "LGA", "month": 11 }]));
    let answer = world.serving.predict("late_arrivals", request).await.unwrap();
    world.serving.flush().await.unwrap();
    let label =
        |row: u32, label: Json| json!({ "request_id": answer.request_id, "row": row, "label": label });
    let path = "/api/v1/labels/late_arrivals";

    let both = json!({ "labels": [label(1, json!(true)), label(0, json!(0.25))] });
    let (status, kept) = ask(&world, "POST", path, Some(both)).await;
    assert_eq!((status.as_u16(), &kept), (200, &json!({ "table": "labels__late_arrivals", "kept": 2 })));
    let sql = "SELECT p.row, p.prediction, l.label FROM predictions__late_arrivals p \
               JOIN labels__late_arrivals l ON l.request_id = p.request_id AND l.row = p.row ORDER BY p.row";
    let joined: Vec<RecordBatch> = world.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
    let shown = pretty_format_batches(&joined).unwrap().to_string();
    assert!(
        shown.contains("| 0   | [1.9]      | 0.25  |") && shown.contains("| 1   | [1.1]      | 1.0   |"),
        "{shown}"
    );

    for (labels, reason) in [
        (json!([]), "a request has 1 to 10000 labels, got 0"),
        (json!([label(0, json!([1]))]), "label 0: expected a number, true, false, text or null"),
        (json!([label(0, json!("x".repeat(1025)))]), "label 0: text of more than 1024 bytes"),
        (
            json!([label(0, json!(1)), label(0, json!(2))]),
            &format!("label 1: row 0 of request {} comes twice", answer.request_id),
        ),
    ] {
        let (status, problem) = ask(&world, "POST", path, Some(json!({ "labels": labels }))).await;
        assert_eq!((status.as_u16(), problem["detail"].as_str().unwrap()), (400, reason));
    }
    let (status, _) =
        ask(&world, "POST", path, Some(json!({ "labels": [{ "request_id": "x", "label": 1 }] }))).await;
    assert_eq!(status.as_u16(), 400);
    let (status, _) =
        ask(&world, "POST", "/api/v1/labels/nothing", Some(json!({ "labels": [label(0, json!(1))] }))).await;
    assert_eq!(status.as_u16(), 404);
}

#[tokio::test]
async fn labels_that_come_together_are_written_together() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    let label = |row: usize| {
        let labels = json!([{ "request_id": uuid::Uuid::nil(), "row": row, "label": row }]);
        ask(&world, "POST", "/api/v1/labels/late_arrivals", Some(json!({ "labels": labels })))
    };
    let answers = futures::future::join_all((0..20).map(label)).await;
    assert!(answers.iter().all(|(status, _)| status.is_success()), "{answers:?}");
    let sql = "SELECT count(DISTINCT row) AS rows, count(*) AS labels FROM labels__late_arrivals";
    let counted: Vec<RecordBatch> = world.lake.sql(sql).await.unwrap().try_collect().await.unwrap();
    let shown = pretty_format_batches(&counted).unwrap().to_string();
    assert!(shown.contains("| 20   | 20     |"), "{shown}");
    let commits = world.lake.version("labels__late_arrivals").await.unwrap().unwrap();
    assert!(commits < 20, "{commits} commits");
}

#[tokio::test]
async fn a_candidate_is_run_over_what_was_served_before_it_serves() {
    let world = World::new().await;
    world.deploys("late_arrivals", Some("traffic")).await;
    for (origin, given) in [("JFK", None), ("LGA", None), ("JFK", Some(3))] {
        let mut row = json!({ "origin": origin, "month": 11 });
        if let Some(given) = given {
            row["origin_traffic__count_1d"] = json!(given);
        }
        world.serving.predict("late_arrivals", rows(json!([row]))).await.unwrap();
    }
    // Version 3 decides by the month first, which is above 10 for all of them.
    world.models.register(3, &model_text(&["month", "origin_traffic__count_1d"], 1.1, 1.9), None);
    world.models.move_silently("challenger", 3);
    let path = "/api/v1/deployments/late_arrivals/preview";
    let asked = json!({ "alias": "challenger", "threshold": 1.5, "segments": ["origin_traffic__count_1d"] });

    let (status, preview) = ask(&world, "POST", path, Some(asked)).await;

    assert_eq!(status.as_u16(), 200, "{preview}");
    assert_eq!((&preview["candidate"], &preview["serves"]), (&json!(3), &json!(1)));
    assert_eq!((&preview["rows"], &preview["changed"]), (&json!(3), &json!(2)), "{preview}");
    assert_eq!(preview["rule"], json!({ "threshold": 1.5 }));
    let segment = |value: &str| {
        let segments = preview["segments"].as_array().unwrap();
        segments.iter().find(|segment| segment["value"] == value).unwrap()["changed"].clone()
    };
    assert_eq!((segment("30"), segment("5"), segment("3")), (json!(0), json!(1), json!(1)), "{preview}");
    assert_eq!(preview["examples"].as_array().unwrap().len(), 2);
    assert_eq!(preview["examples"][0]["served"], json!([1.1]));
    assert_eq!(count(&world).await, 3, "nothing is logged of it");

    let (_, same) = ask(&world, "POST", path, Some(json!({ "alias": "champion" }))).await;
    assert_eq!((&same["changed"], &same["largest_difference"]), (&json!(0), &json!(0.0)), "{same}");
    for asked in [
        json!({ "alias": "champion", "segments": ["carrier"] }),
        json!({ "alias": "champion", "rows": 0 }),
        json!({ "alias": "champion", "examples": 1000 }),
    ] {
        assert_eq!(ask(&world, "POST", path, Some(asked)).await.0.as_u16(), 400);
    }
    assert_eq!(ask(&world, "POST", path, Some(json!({ "alias": "nobody" }))).await.0.as_u16(), 404);
}

#[tokio::test]
async fn a_deployment_logs_the_share_of_requests_that_it_says() {
    let world = World::new().await;
    let half = DeploymentSpec { log_share: Some(Share::try_from(0.5).unwrap()), ..spec(Some("traffic")) };
    world.serving.deploy("tests", "late_arrivals", half.clone()).await.unwrap();
    let mut answered = Vec::new();
    for _ in 0..60 {
        answered.push(world.serving.predict("late_arrivals", one_flight()).await.unwrap().request_id);
    }
    world.serving.flush().await.unwrap();
    let logged = count(&world).await;
    assert!((10..50).contains(&logged), "{logged}");
    let world = world.restart().await;
    assert_eq!(world.serving.status_of("late_arrivals").unwrap().spec, half);
    let none = DeploymentSpec { log_share: Some(Share::try_from(0.0).unwrap()), ..half };
    world.serving.deploy("tests", "late_arrivals", none).await.unwrap();
    world.serving.predict("late_arrivals", one_flight()).await.unwrap();
    world.serving.flush().await.unwrap();
    assert_eq!(count(&world).await, logged);
    assert!(Share::try_from(1.5).is_err());
}
