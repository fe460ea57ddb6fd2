//! Files of rows: CSV, JSON lines, Parquet and Arrow IPC streams in, Parquet out.
//!
//! Reading streams with bounded memory and yields batches of exactly the declared schema. A file is good as a whole or
//! not at all: from the first bad row on no batch is yielded, reading goes on to collect up to twenty bad rows, and the
//! stream ends with all of them in one error.
//!
//! - `csv`, `json`, `parquet`, `arrow`: the formats
//! - `batches`: Parquet and Arrow, handed on batch by batch
//! - `rows`: builds batches out of rows of text or JSON, and collects the bad ones
//! - `adapt`: a file of somebody else in the columns declared here
//! - `infer`: guesses the types of columns that nobody declared

mod adapt;
mod arrow;
mod batches;
mod csv;
mod infer;
mod json;
mod parquet;
mod rows;

use std::{path::Path, str::FromStr};

use ::arrow::datatypes::SchemaRef;
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchReceiverStream,
};
use fs_err as fs;

pub use self::adapt::{Adaptation, open_adapted};
pub use self::parquet::{WrittenFile, write_parquet};
use self::rows::{BatchSender, TextColumns};
use crate::{LakeError, evolve::read_schema};

/// How many batches may wait between the reader and whoever takes them.
const BATCHES_IN_FLIGHT: usize = 2;
/// How much of a file the types are guessed from.
const INFERENCE_ROWS: usize = 10_000;

/// The format of a file of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Comma-separated values with a header. An empty field is null.
    Csv,
    /// One JSON object per line. A key that is absent is null.
    JsonLines,
    /// Parquet.
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

impl FileFormat {
    /// The name for it: `csv`, `jsonl`, `parquet` or `arrow`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
        }
    }

    /// The format that a file's extension stands for.
    pub fn of_path(path: &Path) -> Option<Self> {
        path.extension()?.to_str()?.parse().ok()
    }
}

/// The text does not name a format.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a file format: expected csv, jsonl, parquet or arrow")]
pub struct NotAFormat(pub String);

impl FromStr for FileFormat {
    type Err = NotAFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.to_ascii_lowercase().as_str() {
            "csv" => Ok(Self::Csv),
            "jsonl" | "ndjson" => Ok(Self::JsonLines),
            "parquet" => Ok(Self::Parquet),
            "arrow" | "arrows" => Ok(Self::Arrow),
            _ => Err(NotAFormat(text.to_owned())),
        }
    }
}

/// How to read a file.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The columns to read and their types; without it the file's own, guessed from its first rows where it has none.
    pub schema: Option<SchemaRef>,
    /// Text that means null in a CSV file, beside the empty field; for example `NA`.
    pub null_tokens: Vec<String>,
    /// Refuse a file with columns that the schema does not declare, instead of ignoring them.
    pub refuse_undeclared: bool,
}

impl ReadOptions {
    /// Reads the columns of `schema`.
    pub fn declared(schema: SchemaRef) -> Self {
        Self { schema: Some(schema), ..Self::default() }
    }
}

/// Reads a file as `schema`, or as the file's own columns; see [`open_stream_with`].
pub async fn open_stream(
    path: &Path,
    format: FileFormat,
    schema: Option<SchemaRef>,
) -> Result<SendableRecordBatchStream, LakeError> {
    open_stream_with(path, format, ReadOptions { schema, ..ReadOptions::default() }).await
}

/// Reads a file batch by batch on a thread of its own. What is wrong with the file as a whole is an error here; bad rows
/// are the stream's last item, as [`LakeError::BadRows`] through `From<DataFusionError>`.
pub async fn open_stream_with(
    path: &Path,
    format: FileFormat,
    options: ReadOptions,
) -> Result<SendableRecordBatchStream, LakeError> {
    let path = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || OpenFile::open(&path, format, options));
    let file = opened.await.map_err(LakeError::task("open a file"))??;
    let mut builder = RecordBatchReceiverStream::builder(file.schema(), BATCHES_IN_FLIGHT);
    let batches = BatchSender::new(builder.tx());
    builder.spawn_blocking(move || file.read(batches).map_err(DataFusionError::from));
    Ok(builder.build())
}

/// A file whose columns are known, before its first row is read.
enum OpenFile {
    Csv(csv::CsvFile),
    JsonLines(json::JsonLinesFile),
    Parquet(parquet::ParquetFile),
    Arrow(arrow::ArrowFile),
}

impl OpenFile {
    fn open(path: &Path, format: FileFormat, options: ReadOptions) -> Result<Self, LakeError> {
        let file = fs::File::open(path).map_err(LakeError::io("open", path))?.into_parts().0;
        let declared = options.schema.as_deref().map(read_schema).transpose()?;
        match format {
            FileFormat::Csv => {
                let schema = match declared {
                    Some(schema) => schema,
                    None => csv::infer(&file, &options.null_tokens, INFERENCE_ROWS)?,
                };
                let columns = TextColumns::new(schema)?;
                Ok(Self::Csv(csv::CsvFile::open(
                    file,
                    columns,
                    options.null_tokens,
                    options.refuse_undeclared,
                )?))
            }
            FileFormat::JsonLines => {
                // A key that the first rows lack would be lost silently if undeclared keys were ignored here.
                let refuse_undeclared = options.refuse_undeclared || declared.is_none();
                let schema = match declared {
                    Some(schema) => schema,
                    None => json::infer(&file, INFERENCE_ROWS)?,
                };
                Ok(Self::JsonLines(json::JsonLinesFile::new(
                    file,
                    TextColumns::new(schema)?,
                    refuse_undeclared,
                )))
            }
            FileFormat::Parquet => {
                Ok(Self::Parquet(parquet::ParquetFile::open(file, declared, options.refuse_undeclared)?))
            }
            FileFormat::Arrow => {
                Ok(Self::Arrow(arrow::ArrowFile::open(file, declared, options.refuse_undeclared)?))
            }
        }
    }

    fn schema(&self) -> SchemaRef {
        match self {
            Self::Csv(file) => file.schema(),
            Self::JsonLines(file) => file.schema(),
            Self::Parquet(file) => file.schema(),
            Self::Arrow(file) => file.schema(),
        }
    }

    fn read(self, batches: BatchSender) -> Result<(), LakeError> {
        match self {
            Self::Csv(file) => file.read(batches),
            Self::JsonLines(file) => file.read(batches),
            Self::Parquet(file) => file.read(batches),
            Self::Arrow(file) => file.read(batches),
        }
    }
}

/// Puts a file back to its start, after its first rows were read to guess its types.
fn rewind(mut file: &std::fs::File) -> Result<(), LakeError> {
    use std::io::Seek as _;
    file.rewind().map_err(LakeError::io("read", "the file again"))
}
