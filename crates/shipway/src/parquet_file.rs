//! A Parquet file whose columns are written on all cores. Each column is encoded and compressed by itself, which is most of the
//! work of writing one.

use std::{
    collections::HashSet,
    num::NonZeroUsize,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use arrow::{
    array::{Array, AsArray, RecordBatch, new_empty_array},
    datatypes::{DataType, Float64Type, SchemaRef},
};
use parquet::{
    arrow::{
        ArrowWriter,
        arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{WriterProperties, WriterPropertiesBuilder},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};

/// So many rows are gathered before the cores share their columns.
const ROWS_AT_ONCE: usize = 1 << 16;

/// The rows of a row group, at least.
const GROUP_ROWS: usize = 1 << 20;

/// So many values of a column of floats are looked at to see whether they repeat.
const SAMPLED_VALUES: usize = 4_096;

/// A file being written. Nothing of it counts before [`ParquetFile::close`].
pub(crate) struct ParquetFile {
    schema: SchemaRef,
    writer: SerializedFileWriter<fs_err::File>,
    groups: ArrowRowGroupWriterFactory,
    /// The columns of the row group that is open, field by field: a field has one for each of its leaves.
    columns: Vec<Mutex<Vec<ArrowColumnWriter>>>,
    group_rows: usize,
    waiting: Vec<RecordBatch>,
    waiting_rows: usize,
    threads: usize,
}

impl ParquetFile {
    /// Begins a file for batches like `first`, which is not written by this.
    pub(crate) fn create(
        path: &Path,
        first: &RecordBatch,
        metadata: Vec<KeyValue>,
    ) -> Result<Self, ParquetError> {
        let file = fs_err::File::create(path)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(metadata));
        let properties = without_useless_dictionaries(properties, first).build();
        let schema = first.schema();
        let (writer, groups) =
            ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))?.into_serialized_writer()?;
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let (columns, waiting) = (Vec::new(), Vec::new());
        Ok(Self { schema, writer, groups, columns, group_rows: 0, waiting, waiting_rows: 0, threads })
    }

    /// Takes in a batch; now and then it blocks to encode those that wait.
    pub(crate) fn write(&mut self, batch: RecordBatch) -> Result<(), ParquetError> {
        self.waiting_rows += batch.num_rows();
        self.waiting.push(batch);
        if self.waiting_rows >= ROWS_AT_ONCE {
            self.encode()?;
        }
        if self.group_rows >= GROUP_ROWS {
            self.end_group()?;
        }
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn close(mut self) -> Result<(), ParquetError> {
        self.encode()?;
        self.end_group()?;
        self.writer.close()?;
        Ok(())
    }

    /// Encodes what waits, column by column: each core takes the next column that nobody has.
    fn encode(&mut self) -> Result<(), ParquetError> {
        if self.waiting_rows == 0 {
            return Ok(());
        }
        if self.columns.is_empty() {
            self.columns = self.new_group()?;
        }
        let (next, columns, batches, schema) =
            (AtomicUsize::new(0), &self.columns, &self.waiting, &self.schema);
        let work = || -> Result<(), ParquetError> {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(writers) = columns.get(place) else { return Ok(()) };
                let mut writers = writers.lock().unwrap_or_else(PoisonError::into_inner);
                for batch in batches {
                    let leaves = compute_leaves(schema.field(place), batch.column(place))?;
                    for (writer, leaf) in writers.iter_mut().zip(&leaves) {
                        writer.write(leaf)?;
                    }
                }
            }
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..self.threads).map(|_| scope.spawn(work)).collect();
            let own = work();
            let died = |_| ParquetError::General("a thread that wrote columns died".to_owned());
            others.into_iter().try_for_each(|other| other.join().map_err(died)?).and(own)
        })?;
        self.group_rows += self.waiting_rows;
        self.waiting_rows = 0;
        self.waiting.clear();
        Ok(())
    }

    fn new_group(&self) -> Result<Vec<Mutex<Vec<ArrowColumnWriter>>>, ParquetError> {
        let group = self.writer.flushed_row_groups().len();
        let mut writers = self.groups.create_column_writers(group)?.into_iter();
        let of_field = |field: &Arc<arrow::datatypes::Field>| {
            let leaves = compute_leaves(field, &new_empty_array(field.data_type()))?.len();
            Ok(Mutex::new(writers.by_ref().take(leaves).collect()))
        };
        self.schema.fields().iter().map(of_field).collect()
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        if self.columns.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for column in self.columns.drain(..) {
            for writer in column.into_inner().unwrap_or_else(PoisonError::into_inner) {
                writer.close()?.append_to_row_group(&mut group)?;
            }
        }
        group.close()?;
        self.group_rows = 0;
        Ok(())
    }
}

/// A dictionary of floats that hardly repeat costs more than it saves.
fn without_useless_dictionaries(
    mut properties: WriterPropertiesBuilder,
    sample: &RecordBatch,
) -> WriterPropertiesBuilder {
    for (field, column) in sample.schema().fields().iter().zip(sample.columns()) {
        if field.data_type() != &DataType::Float64 {
            continue;
        }
        let values = column.slice(0, column.len().min(SAMPLED_VALUES));
        let values = values.as_primitive::<Float64Type>();
        let known: HashSet<u64> = values.iter().flatten().map(f64::to_bits).collect();
        if known.len() > SAMPLED_VALUES / 4 {
            let path = ColumnPath::from(field.name().as_str());
            properties = properties.set_column_dictionary_enabled(path, false);
        }
    }
    properties
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray},
        compute::concat_batches,
        datatypes::Int64Type,
    };
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch(first: i64, rows: i64) -> RecordBatch {
        let numbers = first..first + rows;
        let columns: Vec<(&str, ArrayRef)> = vec![
            (
                "count",
                Arc::new(Int64Array::from_iter(
                    numbers.clone().map(|number| (number % 3 > 0).then_some(number % 7)),
                )),
            ),
            (
                "mean",
                Arc::new(Float64Array::from_iter_values(numbers.clone().map(|number| number as f64 / 7.0))),
            ),
            (
                "word",
                Arc::new(StringArray::from_iter_values(
                    numbers.clone().map(|number| format!("w{}", number % 50)),
                )),
            ),
            (
                "list",
                Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(
                    numbers.map(|number| Some((0..number % 3).map(Some))),
                )),
            ),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
            .unwrap()
    }

    #[test]
    fn what_is_written_on_all_cores_is_read_back_in_order_over_row_groups() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file.parquet");
        let batches: Vec<RecordBatch> = (0..30).map(|number| batch(number * 40_000, 40_000)).collect();
        let metadata = vec![KeyValue::new("key".to_owned(), "value".to_owned())];
        let mut file = ParquetFile::create(&path, &batches[0], metadata).unwrap();
        for batch in &batches {
            file.write(batch.clone()).unwrap();
        }
        file.close().unwrap();

        let reader =
            ParquetRecordBatchReaderBuilder::try_new(fs_err::File::open(&path).unwrap().into_file()).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        let key = &reader.metadata().file_metadata().key_value_metadata().unwrap()[0];
        assert_eq!((key.key.as_str(), key.value.as_deref()), ("key", Some("value")));
        let read: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        let (read, expected) =
            (concat_batches(&read[0].schema(), &read), concat_batches(&batches[0].schema(), &batches));
        assert_eq!(read.unwrap(), expected.unwrap());
    }
}
