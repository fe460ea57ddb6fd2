//! Parquet in, whatever wrote it, and Parquet out.

use std::{fs::File, path::Path};

use arrow::{datatypes::SchemaRef, record_batch::RecordBatchReader as _};
use datafusion::execution::SendableRecordBatchStream;
use fs_err as fs;
use futures::StreamExt as _;
use parquet::arrow::{
    ArrowWriter, ProjectionMask,
    arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder},
};
use tokio::runtime::Handle;

use super::{batches::hand_on, rows::BatchSender};
use crate::{
    LakeError,
    append::writer_properties,
    conform::{Absent, Conformer, Undeclared},
    durable,
    evolve::stored_schema,
};

const BATCH_ROWS: usize = 8192;

/// A Parquet file whose columns fit the declared ones.
pub(super) struct ParquetFile {
    reader: ParquetRecordBatchReader,
    conformer: Conformer,
    schema: SchemaRef,
}

impl ParquetFile {
    pub(super) fn open(
        file: File,
        declared: Option<SchemaRef>,
        refuse_undeclared: bool,
    ) -> Result<Self, LakeError> {
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
        let schema = match declared {
            Some(schema) => schema,
            None => stored_schema(builder.schema())?,
        };
        let undeclared = if refuse_undeclared { Undeclared::Refused } else { Undeclared::Ignored };
        let whole = Conformer::new(builder.schema(), schema.clone(), Absent::Refused, undeclared)?;
        let mask = ProjectionMask::roots(builder.parquet_schema(), whole.source_places());
        let reader = builder.with_projection(mask).with_batch_size(BATCH_ROWS).build().map_err(unreadable)?;
        let conformer =
            Conformer::new(&reader.schema(), schema.clone(), Absent::Refused, Undeclared::Ignored)?;
        Ok(Self { reader, conformer, schema })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    pub(super) fn read(self, batches: BatchSender) -> Result<(), LakeError> {
        hand_on(self.reader, &self.conformer, unreadable, batches)
    }
}

/// The names of the file's columns.
pub(super) fn column_names(file: File) -> Result<Vec<String>, LakeError> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(unreadable)?;
    Ok(builder.schema().fields().iter().map(|field| field.name().clone()).collect())
}

fn unreadable(error: impl std::error::Error) -> LakeError {
    LakeError::UnreadableFile { format: "parquet", reason: error.to_string() }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrittenFile {
    /// Its rows.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Writes all batches to one Parquet file. The file appears at `path` complete and synced, or not at all; one that was
/// there before is replaced. Memory is bounded by one row group.
pub async fn write_parquet(
    path: &Path,
    batches: SendableRecordBatchStream,
) -> Result<WrittenFile, LakeError> {
    let path = path.to_owned();
    let runtime = Handle::current();
    // Encoding is long computing without a pause: on a thread for blocking work it does not delay requests.
    tokio::task::spawn_blocking(move || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let unfinished = folder.join(format!(".unfinished-{}.parquet", uuid::Uuid::new_v4().simple()));
        let written = runtime.block_on(write(&unfinished, batches));
        let finished = written.and_then(|written| {
            fs::rename(&unfinished, &path).map_err(LakeError::io("write", &path))?;
            durable::sync_here(folder, path.file_name())?;
            Ok(written)
        });
        if finished.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        finished
    })
    .await
    .map_err(LakeError::task("write a file"))?
}

async fn write(path: &Path, mut batches: SendableRecordBatchStream) -> Result<WrittenFile, LakeError> {
    let unwritable =
        |error: parquet::errors::ParquetError| LakeError::io("write", path)(std::io::Error::other(error));
    let file = fs::File::create(path).map_err(LakeError::io("write", path))?;
    let mut writer =
        ArrowWriter::try_new(file, batches.schema(), Some(writer_properties())).map_err(unwritable)?;
    let mut rows = 0;
    while let Some(batch) = batches.next().await {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        writer.write(&batch).map_err(unwritable)?;
    }
    writer.finish().map_err(unwritable)?;
    let bytes = writer.bytes_written() as u64;
    Ok(WrittenFile { rows, bytes })
}
