//! Tables as they were, and tables that appear whole.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use shipway_core::Failure as _;
use shipway_lake::{AppendOptions, Effort, Existing, is_repeatable, tables_of};

use crate::{
    lake::{TestLake, flights, flights_schema},
    upkeep::upkeep,
};

fn stream(items: Vec<Result<RecordBatch, DataFusionError>>) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(flights_schema(), futures::stream::iter(items)))
}

fn leftovers(lake: &TestLake) -> usize {
    let root = lake.table_folder("flights");
    let entries = std::fs::read_dir(root.parent().unwrap()).unwrap();
    let is_left = |name: &str| name.starts_with(".building-") || name.starts_with(".dropped-");
    entries.filter(|entry| is_left(&entry.as_ref().unwrap().file_name().to_string_lossy())).count()
}

#[tokio::test]
async fn an_earlier_version_is_scanned_and_queried_as_it_was() {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..3)], AppendOptions::default()).await.unwrap();
    let before = lake.version("flights").await.unwrap().unwrap();
    lake.append_batches("flights", vec![flights(3..5)], AppendOptions::default()).await.unwrap();
    lake.compact("flights", &upkeep(Effort::Everything)).await.unwrap();

    assert_eq!(lake.scan_at("flights", before).await.unwrap().count().await.unwrap(), 3);
    let pinned = BTreeMap::from([("flights".to_owned(), before)]);
    let query = "SELECT id FROM flights WHERE id IN (SELECT max(id) FROM flights)";
    let planned = lake.query_at(query, &pinned).await.unwrap();
    assert_eq!(tables_of(&planned).into_iter().collect::<Vec<_>>(), ["flights"]);
    assert_eq!(planned.count().await.unwrap(), 1);
    assert_eq!(lake.query_at("SELECT * FROM flights", &pinned).await.unwrap().count().await.unwrap(), 3);
    assert_eq!(lake.query("SELECT * FROM flights").await.unwrap().count().await.unwrap(), 5);
    assert_eq!(lake.version("nothing").await.unwrap(), None);
    assert!(lake.scan_at("flights", 99).await.is_err());
}

#[tokio::test]
async fn a_query_that_depends_on_the_moment_or_on_chance_is_not_repeatable() {
    let lake = TestLake::with_flights().await;
    for (query, expected) in [
        ("SELECT id + 1, count(*) FROM flights GROUP BY 1", true),
        ("SELECT id, random() FROM flights", false),
        ("SELECT id FROM flights WHERE at < now()", false),
        ("SELECT id FROM flights WHERE id IN (SELECT CAST(random() AS BIGINT) FROM flights)", false),
    ] {
        assert_eq!(is_repeatable(&lake.query(query).await.unwrap()), expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_written_table_is_there_whole_with_its_properties() {
    let lake = TestLake::with_flights().await;
    let properties = BTreeMap::from([("shipway.recipe".to_owned(), "{\"a\":1}".to_owned())]);
    let rows = stream(vec![Ok(flights(0..3))]);
    let appended = lake.write_table("training", rows, &properties, Existing::Refused).await.unwrap();
    assert_eq!((appended.rows, appended.table_version), (3, 1));
    assert_eq!(lake.count("training").await, 3);
    assert_eq!(lake.another_process().properties("training").await.unwrap(), properties);

    let again = stream(vec![Ok(flights(0..1))]);
    let taken = lake.write_table("training", again, &properties, Existing::Refused).await.unwrap_err();
    assert_eq!(taken.code(), "lake.table_exists");
    let again = stream(vec![Ok(flights(0..1))]);
    lake.write_table("training", again, &properties, Existing::Replaced).await.unwrap();
    assert_eq!(lake.count("training").await, 1);
    assert_eq!(leftovers(&lake), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_whose_rows_fail_half_way_never_was() {
    let lake = TestLake::with_flights().await;
    let broken = || stream(vec![Ok(flights(0..3)), Err(DataFusionError::Execution("broke off".to_owned()))]);
    assert!(lake.write_table("training", broken(), &BTreeMap::new(), Existing::Refused).await.is_err());
    assert!(!lake.exists("training").await.unwrap());

    let rows = stream(vec![Ok(flights(0..3))]);
    lake.write_table("training", rows, &BTreeMap::new(), Existing::Refused).await.unwrap();
    assert!(lake.write_table("training", broken(), &BTreeMap::new(), Existing::Replaced).await.is_err());
    assert_eq!(lake.count("training").await, 3, "the old one stays until the new one is whole");
    assert_eq!(leftovers(&lake), 0);
}
