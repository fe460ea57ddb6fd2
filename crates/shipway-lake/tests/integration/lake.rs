//! A lake in a temporary folder, and small batches to put into it.

use std::{path::PathBuf, sync::Arc};

use arrow::{
    array::{Int64Array, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
    util::pretty::pretty_format_batches,
};
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt as _;
use shipway_lake::{Lake, LakeError, LakeOptions, OutsideOptions, timestamp_type};

pub(crate) struct TestLake {
    pub(crate) lake: Lake,
    pub(crate) folder: tempfile::TempDir,
}

impl std::ops::Deref for TestLake {
    type Target = Lake;

    fn deref(&self) -> &Lake {
        &self.lake
    }
}

impl TestLake {
    pub(crate) fn empty() -> Self {
        Self::with_memory(256 << 20)
    }

    pub(crate) fn with_memory(memory_limit_bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::open(options(&folder, memory_limit_bytes)).unwrap();
        Self { lake, folder }
    }

    pub(crate) async fn with_flights() -> Self {
        let lake = Self::empty();
        lake.ensure_table("flights", flights_schema()).await.unwrap();
        lake
    }

    /// Another handle on the same folder, as another process would have it.
    pub(crate) fn another_process(&self) -> Lake {
        Lake::open(LakeOptions {
            spill_directory: self.folder.path().join("other-spill"),
            ..options(&self.folder, 256 << 20)
        })
        .unwrap()
    }

    pub(crate) fn table_folder(&self, name: &str) -> PathBuf {
        self.folder.path().join("lake").join(name)
    }

    /// The rows of a query, as a person would see them.
    pub(crate) async fn shows(&self, query: &str) -> String {
        let batches = self.answers(query).await.unwrap();
        pretty_format_batches(&batches).unwrap().to_string()
    }

    pub(crate) async fn answers(&self, query: &str) -> Result<Vec<RecordBatch>, LakeError> {
        collect(self.lake.sql(query).await?).await
    }

    pub(crate) async fn refusal(&self, query: &str) -> LakeError {
        match self.answers(query).await {
            Ok(rows) => panic!("{query} was answered with {rows:?}"),
            Err(error) => error,
        }
    }

    pub(crate) async fn count(&self, table: &str) -> i64 {
        count_in(&self.lake, table).await
    }
}

fn options(folder: &tempfile::TempDir, memory_limit_bytes: usize) -> LakeOptions {
    LakeOptions {
        root: folder.path().join("lake"),
        memory_limit_bytes,
        spill_directory: folder.path().join("spill"),
        target_partitions: Some(2),
        outside: OutsideOptions::default(),
    }
}

pub(crate) async fn count_in(lake: &Lake, table: &str) -> i64 {
    let rows = collect(lake.sql(&format!("SELECT count(*) FROM {table}")).await.unwrap()).await.unwrap();
    rows[0].column(0).as_any().downcast_ref::<Int64Array>().unwrap().value(0)
}

pub(crate) async fn collect(stream: SendableRecordBatchStream) -> Result<Vec<RecordBatch>, LakeError> {
    Ok(stream.try_collect().await?)
}

pub(crate) fn flights_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        Field::new("origin", DataType::Utf8, true),
        Field::new("at", timestamp_type(), true),
    ]))
}

/// One row per id, an hour apart.
pub(crate) fn flights(ids: std::ops::Range<i64>) -> RecordBatch {
    let origins = ids.clone().map(|id| (id % 3 != 2).then_some(if id % 3 == 0 { "JFK" } else { "LGA" }));
    let times = ids.clone().map(|id| id * 3_600_000_000);
    RecordBatch::try_new(
        flights_schema(),
        vec![
            Arc::new(Int64Array::from_iter_values(ids.clone())),
            Arc::new(StringArray::from_iter(origins)),
            Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC")),
        ],
    )
    .unwrap()
}
