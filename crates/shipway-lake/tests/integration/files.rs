//! CSV, JSON lines and Parquet in, Parquet out.

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{
        Array as _, ArrayRef, AsArray as _, DictionaryArray, Float64Array, Int32Array, StringViewArray,
        TimestampSecondArray,
    },
    datatypes::{
        DataType, Field, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType,
    },
    record_batch::RecordBatch,
};
use parquet::arrow::ArrowWriter;
use shipway_core::{Failure as _, Kind};
use shipway_lake::{
    AppendOptions, LakeError, RowUnit,
    files::{FileFormat, ReadOptions, open_stream, open_stream_with, write_parquet},
    timestamp_type,
};

use crate::lake::{TestLake, collect, flights};

struct TestFile {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn file(name: &str, content: impl AsRef<[u8]>) -> TestFile {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    TestFile { _folder: folder, path }
}

fn parquet_file(batch: &RecordBatch) -> TestFile {
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
    file("x.parquet", bytes)
}

fn declared() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("flight_id", DataType::Utf8, true),
        Field::new("departed_at", timestamp_type(), true),
        Field::new("dep_delay", DataType::Float64, true),
        Field::new("seats", DataType::Int64, true),
        Field::new("late", DataType::Boolean, true),
    ]))
}

async fn read(file: &TestFile, schema: Option<SchemaRef>) -> Result<Vec<RecordBatch>, LakeError> {
    let format = FileFormat::of_path(&file.path).unwrap();
    collect(open_stream(&file.path, format, schema).await?).await
}

async fn read_all(file: &TestFile, schema: Option<SchemaRef>) -> RecordBatch {
    let batches = read(file, schema).await.unwrap();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

async fn refused(file: &TestFile, schema: Option<SchemaRef>) -> LakeError {
    match read(file, schema).await {
        Ok(batches) => panic!("it was read: {batches:?}"),
        Err(error) => error,
    }
}

fn bad_places(error: &LakeError) -> Vec<(u64, Option<&str>)> {
    match error {
        LakeError::BadRows { rows, .. } => {
            rows.iter().map(|row| (row.number, row.column.as_deref())).collect()
        }
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn csv_is_read_as_declared_in_any_order_of_columns() {
    let csv = file(
        "x.csv",
        "\u{feff}late,seats,departed_at,flight_id,extra,dep_delay\r\n\
         TRUE,100,2013-03-11T01:30:00-04:00,\"a, \"\"b\"\"\",x,-3\n\
         ,,2013-03-11 05:30:00,,,\n\
         false,-1,2013-03-11,c,x,1e-3\n",
    );

    let rows = read_all(&csv, Some(declared())).await;

    assert_eq!(rows.schema(), declared());
    assert_eq!(rows.column(0).as_string::<i32>().value(0), "a, \"b\"");
    let times = rows.column(1).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(times.value(0), times.value(1), "an offset is converted, its absence means UTC");
    assert_eq!(times.value(2), 1_362_960_000_000_000, "a date is midnight");
    assert_eq!(rows.column(2).as_primitive::<Float64Type>().value(2), 0.001);
    for column in [0, 2, 3, 4] {
        assert!(rows.column(column).is_null(1), "an empty field is null");
    }
}

#[tokio::test]
async fn every_bad_csv_row_is_named_at_once() {
    let csv = file(
        "x.csv",
        "flight_id,departed_at,dep_delay,seats,late\n\
         a,2013-01-01,1.5,1,true\n\
         b,yesterday,1.5,1,true\n\
         c,2013-01-01,1.5,1\n\
         \"d\nd\",2013-01-01,x,1.5,true\n\
         e,1357000000,1.5,1,yes\n",
    );

    let error = refused(&csv, Some(declared())).await;

    assert_eq!(
        bad_places(&error),
        [
            (3, Some("departed_at")),
            (4, None),
            (5, Some("dep_delay")),
            (5, Some("seats")),
            (7, Some("departed_at")),
            (7, Some("late"))
        ]
    );
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.to_string().contains("line 4: expected 5 fields, got 4"), "{error}");
    assert!(error.to_string().contains("line 5: column seats: expected int, got 1.5"), "{error}");
}

#[tokio::test]
async fn at_most_twenty_bad_rows_are_reported_and_none_is_loaded() {
    let lake = TestLake::empty();
    lake.ensure_table("numbers", Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)])))
        .await
        .unwrap();
    let good: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let csv = file("x.csv", format!("n\n{good}{}", "x\n".repeat(100)));
    let schema = lake.schema("numbers").await.unwrap();

    let stream = open_stream(&csv.path, FileFormat::Csv, Some(schema)).await.unwrap();
    let error = lake.append("numbers", stream, AppendOptions::default()).await.unwrap_err();

    let LakeError::BadRows { rows, unit, more } = &error else { panic!("{error}") };
    assert_eq!((rows.len(), rows[0].number, *unit, *more), (20, 20_002, RowUnit::Line, true));
    assert_eq!(lake.count("numbers").await, 0);
    assert_eq!(lake.table("numbers").await.unwrap().version, 0);
}

#[tokio::test]
async fn a_missing_column_is_named_with_its_nearest() {
    let schema = Arc::new(Schema::new(vec![Field::new("dep_delay", DataType::Float64, true)]));
    let csv = file("x.csv", "dep_dely\n1\n");
    let parquet = parquet_file(
        &RecordBatch::try_from_iter([("dep_dely", Arc::new(Float64Array::from(vec![1.0])) as ArrayRef)])
            .unwrap(),
    );
    for file in [csv, parquet] {
        let error = refused(&file, Some(schema.clone())).await;
        assert_eq!(error.to_string(), "column dep_delay is missing");
        assert_eq!(error.hint().as_deref(), Some("did you mean dep_dely?"));
    }
}

#[tokio::test]
async fn undeclared_columns_are_ignored_unless_they_are_refused() {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let options = ReadOptions { refuse_undeclared: true, ..ReadOptions::declared(schema.clone()) };
    let parquet = RecordBatch::try_from_iter([
        ("n", Arc::new(Int32Array::from(vec![1])) as ArrayRef),
        ("m", Arc::new(Int32Array::from(vec![2])) as ArrayRef),
    ])
    .unwrap();
    for file in [file("x.csv", "n,m\n1,2\n"), file("x.jsonl", "{\"n\":1,\"m\":2}\n"), parquet_file(&parquet)]
    {
        assert_eq!(read_all(&file, Some(schema.clone())).await.num_rows(), 1);
        let format = FileFormat::of_path(&file.path).unwrap();
        let strict = match open_stream_with(&file.path, format, options.clone()).await {
            Ok(stream) => collect(stream).await.map(|_| ()),
            Err(error) => Err(error),
        };
        assert!(strict.unwrap_err().to_string().contains("column m is not declared"));
    }
}

#[tokio::test]
async fn null_tokens_are_null() {
    let csv = file("x.csv", "origin,dep_delay\nJFK,NA\nNA,2\n");
    let options = ReadOptions { null_tokens: vec!["NA".into()], ..ReadOptions::default() };

    let rows = collect(open_stream_with(&csv.path, FileFormat::Csv, options).await.unwrap()).await.unwrap();

    assert_eq!(rows[0].schema().field(1).data_type(), &DataType::Int64);
    assert_eq!((rows[0].column(0).null_count(), rows[0].column(1).null_count()), (1, 1));
}

#[tokio::test]
async fn types_nobody_declared_are_guessed() {
    let csv = file("x.csv", "a,b,c,d,e,f\n1,1.5,true,2013-01-01T05:00:00Z,007,\n2,3,false,2013-01-02,x,\n");
    let jsonl = file(
        "x.jsonl",
        "{\"a\":1,\"b\":1.5,\"c\":true,\"d\":\"2013-01-01T05:00:00Z\",\"e\":\"007\",\"f\":null}\n\n{\"b\":3}\n",
    );
    for file in [csv, jsonl] {
        let rows = read_all(&file, None).await;
        let types: Vec<_> = rows.schema().fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(
            types,
            [
                DataType::Int64,
                DataType::Float64,
                DataType::Boolean,
                timestamp_type(),
                DataType::Utf8,
                DataType::Utf8
            ]
        );
        assert_eq!(rows.num_rows(), 2);
    }
}

#[tokio::test]
async fn json_lines_are_typed_strictly_and_bad_ones_named() {
    let good = file(
        "x.jsonl",
        "{\"flight_id\":\"a\",\"departed_at\":\"2013-01-01\",\"dep_delay\":3,\"seats\":null}\r\n",
    );
    let rows = read_all(&good, Some(declared())).await;
    assert_eq!(rows.column(2).as_primitive::<Float64Type>().value(0), 3.0);
    assert!(rows.column(3).is_null(0) && rows.column(4).is_null(0), "an absent key is null");

    let bad = file(
        "x.jsonl",
        "{\"seats\":1}\n{\"seats\":1.5}\n\n[1]\n{\"seats\":\n{\"departed_at\":1357000000,\"flight_id\":7}\n",
    );
    let error = refused(&bad, Some(declared())).await;
    assert_eq!(
        bad_places(&error),
        [(2, Some("seats")), (4, None), (5, None), (6, Some("flight_id")), (6, Some("departed_at"))]
    );
}

#[tokio::test]
async fn a_key_that_the_first_json_lines_lack_is_not_lost_silently() {
    let first = "{\"a\":1}\n".repeat(10_000);
    let jsonl = file("x.jsonl", format!("{first}{{\"a\":1,\"b\":2}}\n"));
    assert_eq!(bad_places(&refused(&jsonl, None).await), [(10_001, None)]);
}

#[tokio::test]
async fn parquet_of_foreign_types_is_read_as_declared() {
    let dictionary: DictionaryArray<Int32Type> = vec![Some("a"), None, Some("a")].into_iter().collect();
    let seconds = TimestampSecondArray::from(vec![Some(1), Some(-1), None]).with_timezone("+05:00");
    let batch = RecordBatch::try_from_iter([
        ("unused", Arc::new(StringViewArray::from(vec!["x", "y", "z"])) as ArrayRef),
        ("late", Arc::new(arrow::array::BooleanArray::from(vec![true, false, true])) as ArrayRef),
        ("seats", Arc::new(Int32Array::from(vec![1, 2, 3])) as ArrayRef),
        ("dep_delay", Arc::new(Int32Array::from(vec![-1, 0, 7])) as ArrayRef),
        ("departed_at", Arc::new(seconds) as ArrayRef),
        ("flight_id", Arc::new(dictionary) as ArrayRef),
    ])
    .unwrap();

    let rows = read_all(&parquet_file(&batch), Some(declared())).await;

    assert_eq!(rows.schema(), declared());
    assert_eq!(rows.column(0).as_string::<i32>().value(2), "a");
    assert_eq!(rows.column(1).as_primitive::<TimestampMicrosecondType>().value(1), -1_000_000);
    assert_eq!(rows.column(2).as_primitive::<Float64Type>().value(2), 7.0);
    assert_eq!(rows.column(3).as_primitive::<Int64Type>().value(2), 3);
}

#[tokio::test]
async fn a_parquet_value_that_would_be_rounded_is_named() {
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Float64Array::from(vec![1.0, 1.5])) as ArrayRef)])
        .unwrap();
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));

    let error = refused(&parquet_file(&batch), Some(schema)).await;

    assert!(matches!(&error, LakeError::BadRows { unit: RowUnit::Row, .. }));
    assert_eq!(bad_places(&error), [(2, Some("n"))]);
}

#[tokio::test]
async fn a_file_of_another_format_is_refused() {
    let cases = [
        (file("x.parquet", "not parquet at all"), "parquet"),
        (file("x.csv", ""), "csv"),
        (file("x.csv", "a,a\n1,2\n"), "csv"),
        (file("x.jsonl", ""), "jsonl"),
    ];
    for (file, format) in cases {
        let error = refused(&file, None).await;
        assert!(
            matches!(&error, LakeError::UnreadableFile { format: named, .. } if *named == format),
            "{error}"
        );
    }
    let absent = open_stream(std::path::Path::new("/nowhere/x.csv"), FileFormat::Csv, None).await;
    assert!(matches!(absent.err(), Some(LakeError::Io { .. })));
}

#[tokio::test]
async fn a_row_without_end_is_refused_before_it_fills_the_memory() {
    let endless = "x".repeat(40 << 20);
    for (name, content) in [("x.csv", format!("a\n\"{endless}")), ("x.jsonl", format!("{{\"a\":\"{endless}"))]
    {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Utf8, true)]));
        let error = refused(&file(name, content), Some(schema)).await;
        assert!(error.to_string().contains("longer than"), "{error}");
    }
}

#[tokio::test]
async fn a_reader_that_is_dropped_early_ends() {
    let rows: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    let csv = file("x.csv", format!("n\n{rows}"));
    let mut stream = open_stream(&csv.path, FileFormat::Csv, None).await.unwrap();
    let first = futures::StreamExt::next(&mut stream).await.unwrap().unwrap();
    assert_eq!(first.num_rows(), 8192);
    drop(stream);
}

#[tokio::test]
async fn a_written_parquet_file_holds_every_row_and_replaces_the_one_before() {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..10)], AppendOptions::default()).await.unwrap();
    let path = lake.folder.path().join("out.parquet");
    std::fs::write(&path, "old").unwrap();

    let stream = lake.sql("SELECT * FROM flights").await.unwrap();
    let written = write_parquet(&path, stream).await.unwrap();

    assert_eq!((written.rows, written.bytes), (10, std::fs::metadata(&path).unwrap().len()));
    let read = collect(open_stream(&path, FileFormat::Parquet, None).await.unwrap()).await.unwrap();
    assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), 10);
}

#[tokio::test]
async fn a_parquet_file_that_fails_halfway_leaves_the_one_before() {
    let lake = TestLake::with_flights().await;
    lake.append_batches("flights", vec![flights(0..10)], AppendOptions::default()).await.unwrap();
    let path = lake.folder.path().join("out.parquet");
    std::fs::write(&path, "old").unwrap();

    let stream = lake.sql("SELECT id / (id - 5) FROM flights").await.unwrap();
    assert!(write_parquet(&path, stream).await.is_err());

    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    let files = std::fs::read_dir(lake.folder.path()).unwrap().count();
    assert_eq!(files, 3, "the lake, the spill folder and the old file");
}
