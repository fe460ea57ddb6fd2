//! A view's expressions over batches of history: the rows that do not count go, and derived columns take their places as if the
//! source had them.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema},
};
use datafusion::{
    common::ScalarValue,
    error::DataFusionError,
    logical_expr::{BinaryExpr, Operator},
    prelude::{Expr, ident, lit},
};
use shipway_core::{DataType, Name, Value};
use shipway_definitions::View;
use shipway_expression::{Comparison, Condition};

use super::{
    OfflineError,
    canonical::arrow_type,
    column::{Column, ColumnBuilder},
    events::only,
};
use crate::model::expressions::ViewExpressions;

/// The expressions of a view, compiled over rows of the columns that the view reads.
#[derive(Debug)]
pub(crate) struct PlannedExpressions {
    compiled: ViewExpressions,
    /// The columns of the source in a row.
    columns: Vec<(Name, DataType)>,
    derived: Vec<(Name, DataType)>,
}

impl PlannedExpressions {
    /// Those of `view`, if it has any.
    pub(crate) fn of(view: &View) -> Result<Option<Self>, OfflineError> {
        let columns: Vec<(Name, DataType)> =
            view.column_types.iter().map(|(name, data_type)| (name.clone(), *data_type)).collect();
        let position = |wanted: &Name| columns.iter().position(|(name, _)| name == wanted);
        let compiled = ViewExpressions::new(view, columns.len(), position).map_err(|error| {
            OfflineError::Expression { thing: format!("view {}", view.name), source: Box::new(error) }
        })?;
        let derived = view.derived.iter().map(|derived| (derived.name.clone(), derived.data_type)).collect();
        Ok(compiled.map(|compiled| Self { compiled, columns, derived }))
    }

    fn derived_at(&self, column: &str) -> Option<usize> {
        self.derived.iter().position(|(name, _)| name.as_str() == column)
    }

    /// The columns of a row that are read, with their positions.
    fn read(&self) -> impl Iterator<Item = (usize, &(Name, DataType))> {
        self.columns.iter().enumerate().filter(|(position, _)| self.compiled.reads(*position))
    }

    /// Whether the view derives `column`.
    pub(crate) fn derives(&self, column: &str) -> bool {
        self.derived_at(column).is_some()
    }

    /// The columns that the view derives.
    pub(crate) fn derived(&self) -> impl Iterator<Item = (&str, DataType)> {
        self.derived.iter().map(|(name, data_type)| (name.as_str(), *data_type))
    }

    /// The columns of an event that the expressions read.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &(Name, DataType)> {
        self.read().map(|(_, column)| column)
    }

    /// The derived columns of all of `events`, whether they count or not.
    pub(crate) fn derive_all(&self, events: &RecordBatch) -> Result<Vec<ArrayRef>, DataFusionError> {
        let mut readers = Vec::new();
        for (position, (name, data_type)) in self.read() {
            let array = events.column_by_name(name.as_str());
            let array =
                array.ok_or_else(|| DataFusionError::Internal(format!("the events lack column {name}")))?;
            readers.push((position, Column::read(array, *data_type)?));
        }
        let mut builders = self.builders(events.num_rows());
        let mut row = vec![Value::Null; self.columns.len()];
        for at in 0..events.num_rows() {
            for (position, reader) in &readers {
                row[*position] = reader.value(at);
            }
            append(self.compiled.derive_of_any(&row).0, &mut builders)?;
        }
        Ok(builders.iter_mut().map(ColumnBuilder::finish).collect())
    }

    fn builders(&self, rows: usize) -> Vec<ColumnBuilder> {
        self.derived.iter().map(|(_, data_type)| ColumnBuilder::new(*data_type, rows)).collect()
    }

    /// The columns that a scan must deliver instead of `wanted`: those of the source, then what the expressions read.
    pub(crate) fn scanned(&self, mut wanted: Vec<(String, DataType)>) -> Vec<(String, DataType)> {
        wanted.retain(|(column, _)| self.derived_at(column).is_none());
        wanted.extend(self.read().map(|(_, (name, data_type))| (name.to_string(), *data_type)));
        wanted
    }

    /// The rows of a scan that count, in the columns `wanted`.
    pub(crate) fn apply(
        &self,
        wanted: &[(String, DataType)],
        scanned: &RecordBatch,
    ) -> Result<RecordBatch, DataFusionError> {
        let own = wanted.iter().filter(|(column, _)| self.derived_at(column).is_none()).count();
        let (own, read) = scanned.columns().split_at(own.min(scanned.num_columns()));
        let mut readers = Vec::with_capacity(read.len());
        for ((position, (_, data_type)), array) in self.read().zip(read) {
            readers.push((position, Column::read(array, *data_type)?));
        }
        let rows = scanned.num_rows();
        let mut builders = self.builders(rows);
        let mut kept = Vec::with_capacity(rows);
        let mut row = vec![Value::Null; self.columns.len()];
        for at in 0..rows {
            for (position, reader) in &readers {
                row[*position] = reader.value(at);
            }
            let derived = self.compiled.derive(&row);
            kept.push(derived.is_some());
            append(derived.unwrap_or_default(), &mut builders)?;
        }
        let derived: Vec<ArrayRef> = builders.iter_mut().map(ColumnBuilder::finish).collect();
        let mut own = only(&kept, own.to_vec())?.into_iter();
        let mut columns = Vec::with_capacity(wanted.len());
        for (column, _) in wanted {
            let taken = match self.derived_at(column) {
                Some(at) => Some(Arc::clone(&derived[at])),
                None => own.next(),
            };
            columns
                .push(taken.ok_or_else(|| DataFusionError::Internal("the scan lacks a column".to_owned()))?);
        }
        let fields = columns
            .iter()
            .enumerate()
            .map(|(index, column)| Field::new(format!("c{index}"), column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let count = kept.iter().filter(|is_kept| **is_kept).count();
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
    }

    /// Conditions on columns of `history` that every row that counts meets: the scan leaves out files and rows by them. Only
    /// where both engines mean the same for certain: columns of the very type, compared with a value of it, and no floats.
    pub(crate) fn necessary(&self, history: &Schema) -> Vec<Expr> {
        let conditions = self.compiled.necessary(self.columns.len());
        conditions.iter().filter_map(|condition| self.as_engine_says(condition, history)).collect()
    }

    fn as_engine_says(&self, condition: &Condition, history: &Schema) -> Option<Expr> {
        let (name, data_type) = self.columns.get(condition.column)?;
        let field = history.field_with_name(name.as_str()).ok()?;
        if *field.data_type() != arrow_type(*data_type) || !condition.value.is_of(*data_type) {
            return None;
        }
        let literal = match &condition.value {
            Value::Bool(truth) => ScalarValue::from(*truth),
            Value::Int(number) => ScalarValue::from(*number),
            Value::Text(text) => ScalarValue::from(text.as_ref()),
            Value::Timestamp(moment) => {
                ScalarValue::TimestampMicrosecond(Some(moment.micros()), Some(Arc::from("UTC")))
            }
            _ => return None,
        };
        let operator = match condition.comparison {
            Comparison::Equal => Operator::Eq,
            Comparison::NotEqual => Operator::NotEq,
            Comparison::Less => Operator::Lt,
            Comparison::LessOrEqual => Operator::LtEq,
            Comparison::Greater => Operator::Gt,
            Comparison::GreaterOrEqual => Operator::GtEq,
        };
        let (left, right) = (Box::new(ident(name.as_str())), Box::new(lit(literal)));
        Some(Expr::BinaryExpr(BinaryExpr::new(left, operator, right)))
    }
}

fn append(values: Vec<Value>, to: &mut [ColumnBuilder]) -> Result<(), DataFusionError> {
    let mut columns = values.iter().zip(to);
    if columns.all(|(value, builder)| builder.append(value)) {
        Ok(())
    } else {
        Err(DataFusionError::Internal("an expression gave another type".to_owned()))
    }
}
