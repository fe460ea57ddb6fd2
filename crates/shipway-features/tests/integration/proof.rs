//! Replay of served vectors: equal bits pass, every difference has its cause, and nothing unproved passes for a proof.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use shipway_core::{Failure, Value};
use shipway_definitions::DefinitionSet;
use shipway_features::{
    offline::AsOf,
    proof::{Cause, LoadArrivals, ProofError, VerificationReport, verify},
};
use shipway_lake::AppendOptions;

use crate::offline::world::{Arrival, Ask, Sale, World};

const TABLE: &str = "predictions__late";

fn sales() -> Vec<Sale> {
    let live =
        |id: &str, at, arrival| Sale::new(id, at, arrival as f64 / 8.0).arrived(Arrival::Live(arrival));
    vec![
        Sale::new("0", 10, 1.0).arrived(Arrival::Loaded("history".to_owned())),
        live("1", 100, 1),
        live("2", 200, 2),
        live("late", 50, 3),
        live("4", 300, 4),
    ]
}

async fn world() -> World {
    let mut world = World::new();
    world.loads = BTreeMap::from([("history".to_owned(), 0)]);
    world.holds(&sales()).await;
    world
}

/// Logs what the oracle says as of each ask's watermark, as serving does, after `alter` had its hand in it.
async fn serves(world: &World, asks: &[Ask], alter: impl Fn(usize, &mut BTreeMap<String, Value>)) {
    let as_of = AsOf::ArrivalColumns(BTreeMap::from([("sales".to_owned(), "seen_up_to".to_owned())]));
    let mut vectors = world.oracle(&sales(), asks, &as_of);
    for (index, vector) in vectors.iter_mut().enumerate() {
        alter(index, vector);
    }
    let text = |texts: Vec<String>| -> ArrayRef { Arc::new(StringArray::from(texts)) };
    let service = world.definitions.service("everything").unwrap();
    let count = asks.len();
    let watermarks = asks.iter().map(|ask| format!("{{\"sales\":{}}}", ask.watermark)).collect();
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("request_id".to_owned(), text((0..count).map(|index| format!("request-{index:02}")).collect())),
        ("row".to_owned(), Arc::new(Int64Array::from(vec![0; count]))),
        ("at".to_owned(), crate::offline::world::timestamps(asks.iter().map(|ask| Some(ask.q)))),
        ("service_hash".to_owned(), text(vec![service.hash.to_string(); count])),
        ("watermarks".to_owned(), text(watermarks)),
        ("shop".to_owned(), Arc::new(StringArray::from_iter(asks.iter().map(|ask| ask.shop.clone())))),
        ("district".to_owned(), Arc::new(Int64Array::from_iter(asks.iter().map(|ask| ask.district)))),
        ("basket".to_owned(), Arc::new(Float64Array::from(vec![1.0; count]))),
    ];
    for column in service.definition.columns().iter().filter(|column| column.name.contains("__")) {
        let values: Vec<&Value> = vectors.iter().map(|vector| &vector[&column.name]).collect();
        columns.push((column.name.clone(), shipway_lake::array_of(column.data_type, &values)));
    }
    let columns = columns.into_iter().map(|(name, array)| (name, array, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    world.lake.ensure_table(TABLE, batch.schema()).await.unwrap();
    world.lake.append_batches(TABLE, vec![batch], AppendOptions::default()).await.unwrap();
}

async fn verified(world: &World) -> Result<VerificationReport, ProofError> {
    let loads: LoadArrivals = BTreeMap::from([("sales".to_owned(), world.loads.clone())]);
    verify(&world.lake, &world.definitions, TABLE, None, &loads).await
}

fn asks() -> Vec<Ask> {
    vec![
        Ask::at(150).seeing(2),
        Ask::at(250).seeing(3),
        Ask::at(250).seeing(2),
        Ask::at(400).seeing(5),
        Ask::at(400).seeing(5).of(None, Some(1)),
    ]
}

#[tokio::test]
async fn vectors_that_were_served_right_do_not_differ_even_if_later_events_change_them() {
    let world = world().await;
    serves(&world, &asks(), |_, _| ()).await;
    let report = verified(&world).await.unwrap();
    assert_eq!((report.compared, report.differing), (5, 0));
    assert_eq!(report.differences, []);
    assert_eq!(report.late_events, 3, "the late event belongs to the first three moments");
    assert!(report.late.iter().all(|late| late.cause == Cause::LateEvent));
    assert!(report.views["totals"].compared > 0 && report.views["totals"].differing == 0);
}

#[tokio::test]
async fn a_value_that_holds_more_than_its_watermark_claims_is_store_lag_and_any_other_a_defect() {
    let world = world().await;
    serves(&world, &asks(), |index, vector| match index {
        // Event 2 (arrival 2) and the late one are in, though the watermark says 2: the value as known now.
        2 => drop(vector.insert("totals__count_1h".to_owned(), Value::Int(4))),
        3 => drop(vector.insert("totals__amount_sum_1h".to_owned(), Value::float(0.1))),
        _ => {}
    })
    .await;
    let report = verified(&world).await.unwrap();
    assert_eq!((report.compared, report.differing), (5, 2));
    let causes: Vec<_> = report
        .differences
        .iter()
        .map(|found| (found.request_id.as_str(), found.feature.as_str(), found.cause))
        .collect();
    assert_eq!(
        causes,
        [("request-02", "count_1h", Cause::StoreLag), ("request-03", "amount_sum_1h", Cause::Defect)]
    );
    assert_eq!(report.views["totals"].differing, 2);
}

#[tokio::test]
async fn nothing_to_compare_is_no_proof() {
    let world = world().await;
    serves(&world, &[], |_, _| ()).await;
    let error = verified(&world).await.unwrap_err();
    assert_eq!(error.code(), "features.nothing_to_compare");
}

#[tokio::test]
async fn a_vector_of_an_unknown_service_version_is_no_proof() {
    let mut world = world().await;
    serves(&world, &asks(), |_, _| ()).await;
    world.definitions = Arc::new(DefinitionSet::default());
    let error = verified(&world).await.unwrap_err();
    assert_eq!(error.code(), "features.service_version_unknown");
    assert!(error.to_string().contains("5 vectors"), "{error}");
}
