//! The computed columns of a service, added to the batches of a training set: the same form that online reads ask.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{Field, Schema, SchemaRef},
};
use datafusion::{
    error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::StreamExt;
use shipway_core::{DataType, Value};
use shipway_definitions::{ColumnOrigin, Service};

use super::{
    OfflineError,
    canonical::arrow_type,
    column::{Column, ColumnBuilder},
};
use crate::model::expressions::Computed;

/// The computed columns of a service over the columns of a training set.
#[derive(Debug)]
pub(crate) struct ComputedColumns {
    compiled: Computed,
    /// For each position of a row that is read: it, and the column of the training set.
    read: Vec<(usize, usize, DataType)>,
    /// How many values a row has: keys and moment; the other columns.
    widths: (usize, usize),
    outputs: Vec<(String, DataType)>,
    /// Where the computed columns go: behind the features, before the labels.
    at: usize,
    schema: SchemaRef,
}

/// The fields of the computed columns.
pub(crate) fn fields(service: &Service) -> impl Iterator<Item = Arc<Field>> {
    let computed = service.computed.iter();
    computed
        .map(|computed| Arc::new(Field::new(computed.name.as_str(), arrow_type(computed.data_type), true)))
}

impl ComputedColumns {
    /// Those of `service`, if it has any, for batches of `schema`, whose labels begin at column `labels` and whose moments are
    /// in column `time`.
    pub(crate) fn of(
        service: &Service,
        schema: &SchemaRef,
        time: usize,
        labels: usize,
    ) -> Result<Option<Self>, OfflineError> {
        let thing = || format!("service {}", service.name);
        let compiled = Computed::new(service)
            .map_err(|error| OfflineError::Expression { thing: thing(), source: Box::new(error) })?;
        let Some(compiled) = compiled else { return Ok(None) };
        let keys = service.entity_keys.iter().map(|(key, data_type)| (key.as_str(), *data_type));
        let columns: Vec<_> = service
            .columns()
            .iter()
            .filter(|column| column.origin != ColumnOrigin::Computed)
            .map(|column| (column.name.as_str(), column.data_type))
            .collect();
        let head = service.entity_keys.len() + 1;
        let widths = (head, columns.len());
        let moment = [(schema.field(time).name().as_str(), DataType::Timestamp)];
        let mut read = Vec::new();
        for (position, (name, data_type)) in keys.chain(moment).chain(columns).enumerate() {
            if compiled.reads(position) {
                let column = schema.index_of(name).map_err(|_| OfflineError::MissingDefinition {
                    what: format!("column {name}, which {} computes with,", thing()),
                })?;
                read.push((position, column, data_type));
            }
        }
        let mut all: Vec<Arc<Field>> = schema.fields().iter().cloned().collect();
        all.splice(labels..labels, fields(service));
        let outputs = service.computed.iter().map(|held| (held.name.to_string(), held.data_type)).collect();
        Ok(Some(Self { compiled, read, widths, outputs, at: labels, schema: Arc::new(Schema::new(all)) }))
    }

    /// The batches with the computed columns.
    pub(crate) fn stream(self, batches: SendableRecordBatchStream) -> SendableRecordBatchStream {
        let schema = Arc::clone(&self.schema);
        let computed = batches.map(move |batch| self.apply(&batch?));
        Box::pin(RecordBatchStreamAdapter::new(schema, computed))
    }

    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
        let mut readers = Vec::with_capacity(self.read.len());
        for (position, column, data_type) in &self.read {
            readers.push((*position, Column::read(batch.column(*column), *data_type)?));
        }
        let rows = batch.num_rows();
        let mut builders: Vec<ColumnBuilder> =
            self.outputs.iter().map(|(_, data_type)| ColumnBuilder::new(*data_type, rows)).collect();
        let (head_width, width) = self.widths;
        let (mut head, mut columns) = (vec![Value::Null; head_width], vec![Value::Null; width]);
        for row in 0..rows {
            for (position, reader) in &readers {
                let value = reader.value(row);
                match position.checked_sub(head_width) {
                    None => head[*position] = value,
                    Some(position) => columns[position] = value,
                }
            }
            self.compiled.extend(&head, &mut columns);
            for (value, builder) in columns.drain(width..).zip(&mut builders) {
                if !builder.append(&value) {
                    return Err(DataFusionError::Internal("an expression gave another type".to_owned()));
                }
            }
        }
        let mut all: Vec<ArrayRef> = batch.columns().to_vec();
        all.splice(self.at..self.at, builders.iter_mut().map(ColumnBuilder::finish));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), all)?)
    }
}
