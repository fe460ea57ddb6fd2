//! What each version of a table added to it.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{AsArray as _, RecordBatch},
    datatypes::{DataType, Field, Int64Type, Schema},
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::TryStreamExt as _;
use shipway_lake::{AppendOptions, Effort, Existing};

use crate::{
    lake::{TestLake, flights, flights_schema},
    upkeep::upkeep,
};

/// The ids of the rows that a version added.
async fn ids(lake: &TestLake, version: u64) -> Vec<i64> {
    let mut ids = Vec::new();
    for part in lake.added_by("flights", version).await.unwrap().unwrap() {
        assert!(part.is_there());
        let batches = lake.read_added("flights", &part).await.unwrap();
        let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
        for batch in batches {
            let column = batch.column_by_name("id").unwrap();
            ids.extend(column.as_primitive::<Int64Type>().values());
        }
    }
    ids
}

#[tokio::test]
async fn each_version_tells_the_rows_that_it_added_also_when_its_files_were_joined_since() {
    let lake = TestLake::with_flights().await;
    assert_eq!(lake.identity("flights").await.unwrap().unwrap().version, 0);
    for start in [0, 3, 7] {
        lake.append_batches("flights", vec![flights(start..start + 2)], AppendOptions::default())
            .await
            .unwrap();
    }
    lake.compact("flights", &upkeep(Effort::Everything)).await.unwrap();
    let joined = lake.identity("flights").await.unwrap().unwrap().version;
    assert!(joined > 3, "the joining is a version of its own");

    assert_eq!(ids(&lake, 0).await, Vec::<i64>::new());
    assert_eq!(ids(&lake, 1).await, [0, 1]);
    assert_eq!(ids(&lake, 2).await, [3, 4]);
    assert_eq!(ids(&lake, 3).await, [7, 8]);
    for version in 4..=joined {
        assert_eq!(ids(&lake, version).await, Vec::<i64>::new(), "no row is added by version {version}");
    }
    assert_eq!(lake.added_by("flights", joined + 1).await.unwrap(), None);
    assert_eq!(lake.oldest_entry("flights").unwrap(), Some(0));
    assert_eq!(lake.identity("nothing").await.unwrap(), None);
}

#[tokio::test]
async fn rows_from_before_a_column_was_added_have_null_in_it() {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..2)], AppendOptions::default()).await.unwrap();
    let mut fields: Vec<Arc<Field>> = flights_schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("gate", DataType::Utf8, true)));
    lake.ensure_table("flights", Arc::new(Schema::new(fields))).await.unwrap();

    let parts = lake.added_by("flights", 1).await.unwrap().unwrap();
    let batches = lake.read_added("flights", &parts[0]).await.unwrap();
    let batches: Vec<RecordBatch> = batches.try_collect().await.unwrap();
    assert_eq!(batches[0].column_by_name("gate").unwrap().null_count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_in_the_place_of_another_is_another_one() {
    let lake = TestLake::with_flights().await;
    let write = async |rows: std::ops::Range<i64>, existing: Existing| {
        let rows = futures::stream::iter([Ok(flights(rows))]);
        let rows = Box::pin(RecordBatchStreamAdapter::new(flights_schema(), rows));
        lake.write_table("training", rows, &BTreeMap::new(), existing).await.unwrap();
        lake.identity("training").await.unwrap().unwrap()
    };
    let first = write(0..3, Existing::Refused).await;
    let second = write(0..1, Existing::Replaced).await;
    assert_ne!(first.id, second.id);
}
