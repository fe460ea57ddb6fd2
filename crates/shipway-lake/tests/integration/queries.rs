//! Read-only SQL, its memory limit, and its mistakes.

use std::sync::Arc;

use arrow::{
    array::{Int64Array, StringArray},
    datatypes::{DataType, Field, Schema},
    record_batch::RecordBatch,
};
use datafusion::datasource::MemTable;
use futures::StreamExt as _;
use shipway_core::{Failure as _, Kind};
use shipway_lake::{AppendOptions, LakeError};

use crate::lake::{TestLake, flights, flights_schema};

async fn lake_with_rows() -> TestLake {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..6)], AppendOptions::default()).await.unwrap();
    lake
}

#[tokio::test]
async fn only_queries_are_allowed() {
    let lake = lake_with_rows().await;
    let out = lake.folder.path().join("out.csv");
    let out = out.display();
    for (statement, named) in [
        ("INSERT INTO flights VALUES (9, 'X', NULL)".to_owned(), "INSERT INTO"),
        ("DELETE FROM flights".to_owned(), "DELETE FROM"),
        ("UPDATE flights SET id = 1".to_owned(), "UPDATE FLIGHTS"),
        ("DROP TABLE flights".to_owned(), "DROP TABLE"),
        ("CREATE TABLE x (a INT)".to_owned(), "CREATE TABLE"),
        ("CREATE VIEW x AS SELECT 1".to_owned(), "CREATE VIEW"),
        ("CREATE TABLE x AS SELECT * FROM flights".to_owned(), "CREATE TABLE"),
        ("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'".to_owned(), "CREATE EXTERNAL"),
        (format!("COPY flights TO '{out}'"), "COPY FLIGHTS"),
        ("SET datafusion.execution.batch_size = 1".to_owned(), "SET DATAFUSION.EXECUTION.BATCH_SIZE"),
        ("BEGIN".to_owned(), "BEGIN"),
        ("PREPARE p AS SELECT 1".to_owned(), "PREPARE P"),
        ("EXPLAIN INSERT INTO flights SELECT * FROM flights".to_owned(), "INSERT"),
        (format!("EXPLAIN ANALYZE COPY flights TO '{out}'"), "COPY"),
    ] {
        let error = lake.refusal(&statement).await;
        assert!(
            matches!(&error, LakeError::ReadOnly { statement } if statement.starts_with(named)),
            "{statement}: {error}"
        );
        assert_eq!(error.kind(), Kind::Invalid);
    }
    assert_eq!(lake.count("flights").await, 6);
    assert!(!lake.folder.path().join("out.csv").exists());
}

#[tokio::test]
async fn a_query_reads_no_files_and_runs_alone() {
    let lake = lake_with_rows().await;
    for query in [
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT 1; SELECT 2",
        "",
        "SELEC 1",
    ] {
        let error = lake.refusal(query).await;
        assert!(matches!(error.kind(), Kind::Invalid | Kind::NotFound), "{query}: {error}");
    }
}

#[tokio::test]
async fn queries_of_every_kind_are_answered() {
    let lake = lake_with_rows().await;
    for query in [
        "SELECT 1",
        "WITH early AS (SELECT * FROM flights WHERE id < 3) SELECT * FROM early",
        "SELECT origin, count(*) FROM shipway.lake.flights GROUP BY origin",
        "EXPLAIN SELECT * FROM flights",
        "EXPLAIN ANALYZE SELECT * FROM flights",
        "DESCRIBE flights",
        "SHOW TABLES",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM flights a JOIN flights b ON a.id = b.id + 1 WHERE a.at > '1970-01-01T01:00:00Z'",
        "SELECT sum(id) OVER (ORDER BY at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM flights",
        "SELECT date_trunc('day', at), origin FROM flights WHERE regexp_like(origin, '^J')",
    ] {
        assert!(lake.answers(query).await.is_ok_and(|batches| !batches.is_empty()), "{query}");
    }
}

#[tokio::test]
async fn a_misspelt_table_or_column_is_named_with_its_nearest() {
    let lake = lake_with_rows().await;

    let table = lake.refusal("SELECT * FROM fligths").await;
    let column = lake.refusal("SELECT orign FROM flights").await;
    let schema = lake.refusal("SELECT * FROM elsewhere.flights").await;

    assert_eq!((table.kind(), table.hint().as_deref()), (Kind::NotFound, Some("did you mean flights?")));
    assert_eq!(column.kind(), Kind::Invalid);
    assert!(column.to_string().contains("did you mean origin?"), "{column}");
    assert_eq!(schema.kind(), Kind::NotFound);
}

#[tokio::test]
async fn a_fault_of_the_data_is_the_querys_fault() {
    let lake = lake_with_rows().await;
    for query in ["SELECT id / 0 FROM flights", "SELECT CAST(origin AS INT) FROM flights"] {
        let error = lake.refusal(query).await;
        assert!(matches!(error, LakeError::Query { .. }), "{query}: {error:?}");
    }
}

#[tokio::test]
async fn a_session_sees_the_newest_version_and_its_own_tables_only() {
    let lake = lake_with_rows().await;
    let session = lake.session();
    let batch = flights(0..2);
    session
        .register_table("spine", Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap()))
        .unwrap();
    let joined = "SELECT f.id FROM spine s JOIN flights f ON s.id = f.id";
    let count = async || session.sql(joined).await.unwrap().count().await.unwrap();

    assert_eq!(count().await, 2);
    lake.append_batches("flights", vec![flights(0..2)], AppendOptions::default()).await.unwrap();

    assert_eq!(count().await, 4);
    assert!(matches!(lake.refusal("SELECT * FROM spine").await, LakeError::UnknownTable { .. }));
}

#[tokio::test]
async fn a_filter_and_a_projection_reach_the_files() {
    let lake = TestLake::with_flights().await;
    for start in [0, 1000] {
        lake.append_batches("flights", vec![flights(start..start + 100)], AppendOptions::default())
            .await
            .unwrap();
    }

    let plan = lake.shows("EXPLAIN ANALYZE SELECT origin FROM flights WHERE id >= 1000").await;

    assert!(plan.contains("DeltaScan"), "{plan}");
    assert!(plan.contains("id@"), "the filter is part of the scan: {plan}");
    assert!(!plan.contains("1970-"), "{plan}");
    assert!(lake.shows("SELECT count(origin) AS n FROM flights WHERE id >= 1000").await.contains("| 67 |"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sort_larger_than_the_memory_limit_spills_and_succeeds() {
    let lake = TestLake::with_memory(8 << 20);
    let schema = Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, true),
        Field::new("filler", DataType::Utf8, true),
    ]));
    lake.ensure_table("large", schema.clone()).await.unwrap();
    let batches = (0..40_i64).map(|part| {
        let numbers =
            (0..8192).map(|row| (part * 8192 + row).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed()));
        let filler = (0..8192).map(|row| format!("{:0>80}", part * 8192 + row));
        RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(Int64Array::from_iter_values(numbers)),
                Arc::new(StringArray::from_iter_values(filler)),
            ],
        )
        .unwrap()
    });
    lake.append_batches("large", batches.collect(), AppendOptions::default()).await.unwrap();

    let mut sorted = lake.sql("SELECT n, filler FROM large ORDER BY n").await.unwrap();

    let (mut rows, mut last) = (0, i64::MIN);
    while let Some(batch) = sorted.next().await {
        let batch = batch.unwrap();
        for number in batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values() {
            assert!(last <= *number);
            last = *number;
        }
        rows += batch.num_rows();
    }
    assert_eq!(rows, 40 * 8192);
    let explained = lake.shows("EXPLAIN ANALYZE SELECT n, filler FROM large ORDER BY n").await;
    assert!(explained.contains("spill_count=") && !explained.contains("spill_count=0,"), "{explained}");
}

#[tokio::test]
async fn an_empty_table_answers_with_its_columns() {
    let lake = TestLake::with_flights().await;
    let stream = lake.sql("SELECT * FROM flights").await.unwrap();
    assert_eq!(stream.schema(), flights_schema());
    assert_eq!(lake.count("flights").await, 0);
}
