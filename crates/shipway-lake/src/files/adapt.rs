//! Reads a file of somebody else in the columns that are declared here: other names, columns that may be missing, and columns
//! whose one value is known from elsewhere. Columns that nobody declared are left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use fs_err as fs;
use futures::StreamExt as _;

use super::{FileFormat, ReadOptions, csv, open_stream_with, parquet, rows};
use crate::LakeError;

/// How the declared columns are found in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Adaptation {
    /// Declared columns that have another name there.
    pub names: BTreeMap<String, String>,
    /// Declared columns that may be missing there, and are null then. In JSON lines any column may be missing.
    pub optional: BTreeSet<String>,
    /// Columns, by their names there, that have one value in every row and need not be in the file.
    pub constants: BTreeMap<String, Option<String>>,
    /// Text that means null in a CSV file, beside the empty field.
    pub null_tokens: Vec<String>,
}

/// Where a declared column comes from.
enum Origin {
    /// The place among the columns that are read.
    File(usize),
    /// One value for every row.
    Constant(ArrayRef),
}

/// Reads a file as the columns of `declared`; see [`open_stream_with`].
pub async fn open_adapted(
    path: &Path,
    format: FileFormat,
    declared: SchemaRef,
    adaptation: &Adaptation,
) -> Result<SendableRecordBatchStream, LakeError> {
    let held = column_names(path.to_owned(), format).await?;
    let mut read: Vec<Field> = Vec::new();
    let mut origins = Vec::with_capacity(declared.fields().len());
    for field in declared.fields() {
        let there = adaptation.names.get(field.name()).unwrap_or(field.name());
        let is_held = held.as_ref().is_none_or(|held| held.contains(there));
        origins.push(match adaptation.constants.get(there) {
            Some(constant) if held.is_none() || !is_held => {
                Origin::Constant(one_value(field, constant.as_deref())?)
            }
            _ if !is_held && adaptation.optional.contains(field.name()) => {
                Origin::Constant(new_null_array(field.data_type(), 1))
            }
            // A missing column is named by the reader, which knows the names that are most like it.
            _ => {
                read.push(field.as_ref().clone().with_name(there));
                Origin::File(read.len() - 1)
            }
        });
    }
    let options = ReadOptions {
        schema: Some(Arc::new(Schema::new(read))),
        null_tokens: adaptation.null_tokens.clone(),
        refuse_undeclared: false,
    };
    let batches = open_stream_with(path, format, options).await?;
    let schema = Arc::clone(&declared);
    let adapted = batches.map(move |batch| adapt(&batch?, &schema, &origins));
    Ok(Box::pin(RecordBatchStreamAdapter::new(declared, adapted)))
}

fn adapt(
    batch: &RecordBatch,
    schema: &SchemaRef,
    origins: &[Origin],
) -> Result<RecordBatch, DataFusionError> {
    let rows = batch.num_rows();
    let mut columns = Vec::with_capacity(origins.len());
    for origin in origins {
        columns.push(match origin {
            Origin::File(place) => Arc::clone(batch.column(*place)),
            Origin::Constant(value) => repeated(value, rows)?,
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

fn repeated(value: &ArrayRef, rows: usize) -> Result<ArrayRef, DataFusionError> {
    let first = arrow::array::UInt32Array::from(vec![0_u32; rows]);
    Ok(arrow::compute::take(value, &first, None)?)
}

/// An array of one row: the text as the field's type.
fn one_value(field: &Field, text: Option<&str>) -> Result<ArrayRef, LakeError> {
    let Some(text) = text else { return Ok(new_null_array(field.data_type(), 1)) };
    rows::one_value(field.data_type(), text).map_err(|expected| LakeError::TypeMismatch {
        column: field.name().clone(),
        found: format!("the partition value `{}`", text.chars().take(60).collect::<String>()),
        expected,
    })
}

/// The names of the file's columns; `None` where rows need not have the same.
async fn column_names(
    path: std::path::PathBuf,
    format: FileFormat,
) -> Result<Option<BTreeSet<String>>, LakeError> {
    let read = tokio::task::spawn_blocking(move || {
        let file = fs::File::open(&path).map_err(LakeError::io("open", &path))?.into_parts().0;
        match format {
            FileFormat::Csv => csv::column_names(file).map(Some),
            FileFormat::Parquet => parquet::column_names(file).map(Some),
            FileFormat::JsonLines => Ok(None),
            FileFormat::Arrow => super::arrow::column_names(file).map(Some),
        }
    });
    let names = read.await.map_err(LakeError::task("open a file"))??;
    Ok(names.map(|names| names.into_iter().collect()))
}
