//! Appending once, together, and across crashes.

use std::sync::Arc;

use arrow::{
    array::{Float64Array, Int64Array, StringArray},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::future::join_all;
use shipway_core::Failure as _;
use shipway_lake::{AppendOptions, LakeError};

use crate::lake::{TestLake, count_in, flights, flights_schema};

fn stream(items: Vec<Result<RecordBatch, DataFusionError>>) -> SendableRecordBatchStream {
    Box::pin(RecordBatchStreamAdapter::new(flights_schema(), futures::stream::iter(items)))
}

fn data_files(lake: &TestLake, table: &str) -> usize {
    let entries = std::fs::read_dir(lake.table_folder(table)).unwrap();
    entries
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "parquet"))
        .count()
}

#[tokio::test]
async fn a_transaction_counts_once_however_often_it_is_tried() {
    let lake = TestLake::with_flights().await;
    let append = |lake: shipway_lake::Lake, version| async move {
        lake.append_batches("flights", vec![flights(0..4)], AppendOptions::once("load-1", version))
            .await
            .unwrap()
    };

    let first = append(lake.lake.clone(), 7).await;
    let again = append(lake.lake.clone(), 7).await;
    let older = append(lake.another_process(), 6).await;

    assert_eq!((first.rows, first.skipped, first.table_version), (4, false, 1));
    assert_eq!((again.rows, again.skipped, again.table_version), (0, true, 1));
    assert!(older.skipped);
    assert_eq!(lake.count("flights").await, 4);
    assert_eq!(lake.transaction_version("flights", "load-1").await.unwrap(), Some(7));
    assert_eq!(lake.transaction_version("flights", "load-2").await.unwrap(), None);

    assert!(!append(lake.lake.clone(), 8).await.skipped);
    assert_eq!(lake.count("flights").await, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_transaction_tried_at_the_same_time_counts_once() {
    let lake = TestLake::with_flights().await;
    let other = lake.another_process();
    let attempts = (0..6).map(|number| {
        let lake = if number % 2 == 0 { &lake.lake } else { &other };
        lake.append_batches("flights", vec![flights(0..4)], AppendOptions::once("load-1", 1))
    });

    let outcomes: Vec<_> = join_all(attempts).await.into_iter().map(Result::unwrap).collect();

    assert_eq!(outcomes.iter().filter(|appended| !appended.skipped).count(), 1);
    assert_eq!(lake.count("flights").await, 4);
    assert_eq!(data_files(&lake, "flights"), 1, "the files of the others are removed");
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_at_the_same_time_all_count() {
    let lake = TestLake::with_flights().await;
    let other = lake.another_process();
    let attempts = (0..12).map(|number| {
        let lake = if number % 2 == 0 { &lake.lake } else { &other };
        lake.append_batches("flights", vec![flights(number * 10..number * 10 + 10)], AppendOptions::default())
    });

    for appended in join_all(attempts).await {
        assert_eq!(appended.unwrap().rows, 10);
    }

    assert_eq!(lake.count("flights").await, 120);
    let distinct = lake.shows("SELECT count(DISTINCT id) AS ids FROM flights").await;
    assert!(distinct.contains("| 120 |"), "{distinct}");
}

#[tokio::test]
async fn a_stream_that_fails_halfway_leaves_nothing_and_may_be_tried_again() {
    let lake = TestLake::with_flights().await;
    let failing = stream(vec![Ok(flights(0..5)), Err(DataFusionError::Execution("the source broke".into()))]);

    let error = lake.append("flights", failing, AppendOptions::once("load-1", 1)).await.unwrap_err();

    assert_eq!(error.to_string(), "the query failed: the source broke");
    assert_eq!(lake.count("flights").await, 0);
    assert_eq!(lake.transaction_version("flights", "load-1").await.unwrap(), None);
    let whole = stream(vec![Ok(flights(0..5)), Ok(flights(5..9))]);
    let appended = lake.append("flights", whole, AppendOptions::once("load-1", 1)).await.unwrap();
    assert_eq!((appended.rows, appended.skipped), (9, false));
    assert_eq!(lake.count("flights").await, 9);
}

#[tokio::test]
async fn what_a_killed_append_left_behind_is_not_in_the_table() {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..5)], AppendOptions::default()).await.unwrap();
    let folder = lake.table_folder("flights");
    let committed = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "parquet"))
        .unwrap();
    // Killed after its data files were written, while one was being written, and while its commit was being staged.
    std::fs::copy(&committed, folder.join("part-00000-leftover-c000.snappy.parquet")).unwrap();
    std::fs::write(folder.join("part-00001-leftover-c000.snappy.parquet#1"), b"PAR1").unwrap();
    std::fs::write(folder.join("_delta_log/00000000000000000002.json#1"), b"{\"commitInfo\":{").unwrap();

    let reopened = lake.another_process();

    assert_eq!(count_in(&reopened, "flights").await, 5);
    let appended =
        reopened.append_batches("flights", vec![flights(5..8)], AppendOptions::default()).await.unwrap();
    assert_eq!(appended.table_version, 2);
    assert_eq!(lake.count("flights").await, 8);
}

#[tokio::test]
async fn an_empty_append_commits_its_transaction_and_nothing_else() {
    let lake = TestLake::with_flights().await;

    let plain = lake.append_batches("flights", vec![], AppendOptions::default()).await.unwrap();
    let counted = lake.append("flights", stream(vec![]), AppendOptions::once("archiver", 9)).await.unwrap();

    assert_eq!((plain.rows, plain.table_version), (0, 0));
    assert_eq!((counted.rows, counted.table_version, counted.skipped), (0, 1, false));
    assert_eq!(lake.transaction_version("flights", "archiver").await.unwrap(), Some(9));
    assert_eq!(lake.table("flights").await.unwrap().files, 0);
}

#[tokio::test]
async fn columns_are_matched_by_name_and_converted_without_loss() {
    let lake = TestLake::with_flights().await;
    let foreign = Schema::new(vec![
        Field::new("origin", DataType::LargeUtf8, true),
        Field::new("id", DataType::Float64, true),
    ]);
    let batch = |ids: Vec<Option<f64>>| {
        let origins = arrow::array::LargeStringArray::from(vec!["EWR"; ids.len()]);
        RecordBatch::try_new(
            Arc::new(foreign.clone()),
            vec![Arc::new(origins), Arc::new(Float64Array::from(ids))],
        )
        .unwrap()
    };

    lake.append_batches("flights", vec![batch(vec![Some(4.0)])], AppendOptions::default()).await.unwrap();
    for wrong in [Some(4.5), None] {
        let batches = vec![batch(vec![Some(1.0)]), batch(vec![Some(2.0), wrong])];
        let error = lake.append_batches("flights", batches, AppendOptions::default()).await.unwrap_err();
        assert!(matches!(&error, LakeError::BadRows { rows, .. } if rows[0].number == 3), "{error}");
    }

    assert_eq!(lake.shows("SELECT * FROM flights").await.lines().nth(3), Some("| 4  | EWR    |    |"));
    assert_eq!(lake.count("flights").await, 1);
}

#[tokio::test]
async fn a_batch_that_does_not_fit_the_table_is_refused_by_name() {
    let lake = TestLake::with_flights().await;
    let append = |fields: Vec<Field>, columns: Vec<arrow::array::ArrayRef>| {
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        lake.append_batches("flights", vec![batch], AppendOptions::default())
    };
    let id = || Field::new("id", DataType::Int64, false);
    let one = || Arc::new(Int64Array::from(vec![1])) as arrow::array::ArrayRef;
    let text = || Arc::new(StringArray::from(vec!["x"])) as arrow::array::ArrayRef;

    let missing = append(vec![Field::new("origin", DataType::Utf8, true)], vec![text()]).await.unwrap_err();
    let stranger =
        append(vec![id(), Field::new("orgin", DataType::Utf8, true)], vec![one(), text()]).await.unwrap_err();
    let other_kind =
        append(vec![id(), Field::new("at", DataType::Int64, true)], vec![one(), one()]).await.unwrap_err();

    assert_eq!(missing.to_string(), "column id is missing");
    assert_eq!(stranger.hint().as_deref(), Some("did you mean origin?"));
    assert!(matches!(other_kind, LakeError::TypeMismatch { .. }), "a number has no unit: {other_kind}");
    assert_eq!(lake.table("flights").await.unwrap().version, 0);
}

#[tokio::test]
async fn rows_for_a_table_that_was_replaced_meanwhile_are_not_written_to_the_new_one() {
    let lake = TestLake::with_flights().await;
    let replacing = lake.lake.clone();
    let items = futures::stream::once(async move {
        replacing.drop_table("flights").await?;
        replacing.ensure_table("flights", flights_schema()).await?;
        Ok(flights(0..3))
    });
    let stream = Box::pin(RecordBatchStreamAdapter::new(flights_schema(), items));

    let error = lake.append("flights", stream, AppendOptions::default()).await.unwrap_err();

    assert!(matches!(error, LakeError::Replaced { .. }), "{error}");
    assert_eq!(lake.count("flights").await, 0);
}

#[tokio::test]
async fn a_column_added_while_rows_are_written_does_not_stop_them() {
    let lake = TestLake::with_flights().await;
    let evolving = lake.lake.clone();
    let items = futures::stream::once(async move {
        let mut fields: Vec<_> = flights_schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new("delay", DataType::Float64, true)));
        evolving.ensure_table("flights", Arc::new(Schema::new(fields))).await?;
        Ok(flights(0..3))
    });
    let stream = Box::pin(RecordBatchStreamAdapter::new(flights_schema(), items));

    lake.append("flights", stream, AppendOptions::default()).await.unwrap();

    let rows = lake.shows("SELECT count(*) AS n FROM flights WHERE delay IS NULL").await;
    assert!(rows.contains("| 3 |"), "{rows}");
}
