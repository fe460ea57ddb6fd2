//! Creating, evolving, listing and dropping tables.

use std::sync::Arc;

use arrow::{
    array::Int64Array,
    datatypes::{DataType, Field, Schema, TimeUnit},
    record_batch::RecordBatch,
};
use shipway_core::{Failure as _, Kind};
use shipway_lake::{AppendOptions, Lake, LakeError, LakeOptions};

use crate::lake::{TestLake, collect, flights, flights_schema};

#[tokio::test]
async fn a_table_returns_the_rows_and_the_schema_that_went_in() {
    let lake = TestLake::with_flights().await;

    lake.append_batches("flights", vec![flights(0..3)], AppendOptions::default()).await.unwrap();

    assert_eq!(lake.schema("flights").await.unwrap(), flights_schema());
    assert_eq!(
        lake.shows("SELECT * FROM flights ORDER BY id").await,
        "\
+----+--------+----------------------+
| id | origin | at                   |
+----+--------+----------------------+
| 0  | JFK    | 1970-01-01T00:00:00Z |
| 1  | LGA    | 1970-01-01T01:00:00Z |
| 2  |        | 1970-01-01T02:00:00Z |
+----+--------+----------------------+"
    );
    let scanned = collect(lake.scan("flights").await.unwrap().execute_stream().await.unwrap()).await.unwrap();
    assert_eq!(scanned[0].schema(), flights_schema());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_survives_reopening() {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..3)], AppendOptions::default()).await.unwrap();

    let reopened = lake.another_process();

    assert!(reopened.exists("flights").await.unwrap());
    assert_eq!(crate::lake::count_in(&reopened, "flights").await, 3);
    reopened.append_batches("flights", vec![flights(3..5)], AppendOptions::default()).await.unwrap();
    assert_eq!(lake.count("flights").await, 5, "the first handle sees what the second wrote");
}

#[tokio::test]
async fn ensuring_a_table_twice_changes_nothing_and_new_columns_are_null_in_old_rows() {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..2)], AppendOptions::default()).await.unwrap();
    lake.ensure_table("flights", flights_schema()).await.unwrap();
    assert_eq!(lake.table("flights").await.unwrap().version, 1);

    let mut fields: Vec<_> = flights_schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("delay", DataType::Float64, true)));
    lake.ensure_table("flights", Arc::new(Schema::new(fields))).await.unwrap();
    lake.append_batches("flights", vec![flights(2..3)], AppendOptions::default()).await.unwrap();

    assert_eq!(
        lake.shows("SELECT id, delay FROM flights WHERE delay IS NULL AND origin = 'JFK' ORDER BY id").await,
        "+----+-------+\n| id | delay |\n+----+-------+\n| 0  |       |\n+----+-------+"
    );
    lake.ensure_table("flights", flights_schema()).await.unwrap();
    assert_eq!(lake.schema("flights").await.unwrap().fields().len(), 4, "columns are never taken away");
}

#[tokio::test]
async fn a_column_never_changes_its_type() {
    let lake = TestLake::with_flights().await;
    let other = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("origin", DataType::Int64, true),
    ]));

    let error = lake.ensure_table("flights", other).await.unwrap_err();

    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(error.to_string(), "table flights: column origin is Utf8, not Int64");
    assert_eq!(lake.table("flights").await.unwrap().version, 0, "a refusal leaves no trace");
}

#[tokio::test]
async fn foreign_types_are_stored_in_their_plain_form() {
    let lake = TestLake::empty();
    let at = DataType::Timestamp(TimeUnit::Nanosecond, Some("America/New_York".into()));
    let foreign = Schema::new(vec![Field::new("at", at, true), Field::new("who", DataType::LargeUtf8, true)]);
    lake.ensure_table("foreign", Arc::new(foreign)).await.unwrap();

    let stored = lake.schema("foreign").await.unwrap();

    assert_eq!(stored.field(0).data_type(), &shipway_lake::timestamp_type());
    assert_eq!(stored.field(1).data_type(), &DataType::Utf8);
}

#[tokio::test]
async fn a_summary_counts_rows_files_and_bytes() {
    let lake = TestLake::with_flights().await;
    lake.ensure_table("empty", flights_schema()).await.unwrap();
    for start in [0, 10] {
        lake.append_batches("flights", vec![flights(start..start + 10)], AppendOptions::default())
            .await
            .unwrap();
    }

    let tables = lake.tables().await.unwrap();

    let seen: Vec<_> =
        tables.iter().map(|table| (table.name.as_str(), table.version, table.rows, table.files)).collect();
    assert_eq!(seen, [("empty", 0, Some(0), 0), ("flights", 2, Some(20), 2)]);
    assert!(tables[1].bytes > 0);
}

#[tokio::test]
async fn a_dropped_table_is_gone_and_may_be_made_anew() {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..3)], AppendOptions::default()).await.unwrap();

    lake.drop_table("flights").await.unwrap();

    assert!(!lake.exists("flights").await.unwrap());
    assert!(!lake.table_folder("flights").exists());
    let schema = Arc::new(Schema::new(vec![Field::new("other", DataType::Int64, true)]));
    lake.ensure_table("flights", schema.clone()).await.unwrap();
    assert_eq!(lake.schema("flights").await.unwrap(), schema);
    assert_eq!(lake.count("flights").await, 0);
}

#[tokio::test]
async fn what_a_killed_drop_left_behind_is_removed_at_open() {
    let folder = tempfile::tempdir().unwrap();
    let left = folder.path().join(".dropped-0123/_delta_log");
    std::fs::create_dir_all(&left).unwrap();
    let spilled = folder.path().join(".spill/datafusion-abc");
    std::fs::create_dir_all(&spilled).unwrap();

    let lake = Lake::open(LakeOptions::new(folder.path())).unwrap();

    assert!(!left.exists() && !spilled.exists());
    assert!(lake.tables().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_unknown_table_is_named_with_its_nearest() {
    let lake = TestLake::with_flights().await;
    for error in [
        lake.schema("fligths").await.unwrap_err(),
        lake.scan("fligths").await.unwrap_err(),
        lake.drop_table("fligths").await.unwrap_err(),
        lake.append_batches("fligths", vec![flights(0..1)], AppendOptions::default()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), Kind::NotFound);
        assert_eq!(error.to_string(), "table fligths does not exist");
        assert_eq!(error.hint().as_deref(), Some("did you mean flights?"));
    }
}

#[tokio::test]
async fn a_name_that_could_be_a_path_is_refused_everywhere() {
    let lake = TestLake::empty();
    for name in ["../x", "/etc/passwd", "a/b", "", ".spill", "A"] {
        for error in [
            lake.ensure_table(name, flights_schema()).await.unwrap_err(),
            lake.exists(name).await.unwrap_err(),
            lake.drop_table(name).await.unwrap_err(),
        ] {
            assert!(matches!(error, LakeError::InvalidTableName { .. }), "{name}: {error}");
        }
    }
    assert!(lake.tables().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_table_with_a_checkpoint_reads_the_same() {
    let lake = TestLake::empty();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    lake.ensure_table("many", schema.clone()).await.unwrap();
    for n in 0..105 {
        let batch = RecordBatch::try_new(schema.clone(), vec![Arc::new(Int64Array::from(vec![n]))]).unwrap();
        lake.append_batches("many", vec![batch], AppendOptions::once("counter", n)).await.unwrap();
    }
    let has_checkpoint = std::fs::read_dir(lake.table_folder("many").join("_delta_log"))
        .unwrap()
        .any(|entry| entry.unwrap().file_name().to_string_lossy().contains("checkpoint"));
    assert!(has_checkpoint);

    let reopened = lake.another_process();

    assert_eq!(crate::lake::count_in(&reopened, "many").await, 105);
    assert_eq!(reopened.transaction_version("many", "counter").await.unwrap(), Some(104));
}
