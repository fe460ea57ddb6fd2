//! What a training set is refused for, and in which words.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampNanosecondArray};
use shipway_core::{Failure, Kind, Value};
use shipway_features::offline::{AsOf, EngineSettings, OfflineError};

use super::world::{Ask, Sale, World, batch, rows_of, spine_of, timestamps};

async fn refused(sql: &str) -> OfflineError {
    let world = World::new();
    let session = world.lake.session();
    session.register_batch("asks", spine_of(&[Ask::at(0), Ask::at(1)])).unwrap();
    let spine = session.sql(sql).await.unwrap();
    world.batches(world.request(spine, AsOf::EventTime), &EngineSettings::default()).await.unwrap_err()
}

#[tokio::test]
async fn a_missing_column_is_named_with_the_nearest() {
    let error = refused("SELECT q, shop, district, basket AS baskets FROM asks").await;
    assert_eq!(
        error.to_string(),
        "spine: column basket (request column) does not exist; did you mean baskets?"
    );
    assert_eq!((error.kind(), error.code()), (Kind::Invalid, "features.spine_column_missing"));
    let error = refused("SELECT q, shop, basket FROM asks").await;
    assert_eq!(error.to_string(), "spine: column district (entity key) does not exist");
}

#[tokio::test]
async fn a_number_is_no_text_key_and_no_time() {
    let error = refused("SELECT q, 1 AS shop, district, basket FROM asks").await;
    assert_eq!(error.to_string(), "spine: column shop (entity key) is Int64, expected text");
    let error = refused("SELECT arrow_cast(q, 'Int64') AS q, shop, district, basket FROM asks").await;
    assert_eq!(error.to_string(), "spine: column q (query time) is Int64, expected timestamp");
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn a_row_without_a_time_is_refused_with_its_position() {
    let error =
        refused("SELECT CASE WHEN number = 1 THEN NULL ELSE q END AS q, shop, district, basket FROM asks")
            .await;
    assert_eq!(error.to_string(), "spine: row 1 has no q (query time)");
}

#[tokio::test]
async fn a_name_that_a_feature_takes_is_refused() {
    let error = refused("SELECT *, 1 AS totals__count_1h FROM asks").await;
    assert_eq!(error.to_string(), "training set: column totals__count_1h would exist twice");
}

#[tokio::test]
async fn as_of_arrival_needs_a_watermark_for_every_source() {
    let world = World::new();
    let request = world.request(world.spine(&[Ask::at(0)]), AsOf::Arrival(BTreeMap::new()));
    let error = world.batches(request, &EngineSettings::default()).await.unwrap_err();
    assert_eq!(error.to_string(), "as of arrival: no watermark for source sales");
}

#[tokio::test]
async fn a_source_without_history_and_a_spine_without_rows_are_answered() {
    let world = World::new();
    let rows = world.answers(&[Ask::at(0)], AsOf::EventTime, &EngineSettings::default()).await;
    assert_eq!(rows[0]["totals__count_lifetime"], Value::Int(0));
    world.holds(&[Sale::new("1", 0, 1.0)]).await;
    let rows = world.answers(&[], AsOf::EventTime, &EngineSettings::default()).await;
    assert!(rows.is_empty());
}

#[tokio::test]
async fn other_widths_and_units_of_the_spine_are_converted() {
    let world = World::new();
    world.holds(&[Sale::new("1", 0, 1.0)]).await;
    let spine = batch([
        ("q", Arc::new(TimestampNanosecondArray::from(vec![1_999])) as ArrayRef),
        ("shop", Arc::new(StringArray::from(vec!["a"]))),
        ("district", Arc::new(Int64Array::from(vec![1]))),
        ("basket", Arc::new(Int64Array::from(vec![3]))),
        ("label_at", timestamps([Some(9)])),
    ]);
    let spine = world.lake.session().read_batch(spine).unwrap();
    let batches =
        world.batches(world.request(spine, AsOf::EventTime), &EngineSettings::default()).await.unwrap();
    let rows = rows_of(&batches);
    assert_eq!(rows[0]["totals__count_1h"], Value::Int(1));
    assert_eq!(rows[0]["basket"], Value::float(3.0), "request columns come in their declared type");
    let schema = batches[0].schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names[..6], ["q", "shop", "district", "basket", "label_at", "totals__count_1s"]);
}
