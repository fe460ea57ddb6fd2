//! Builds batches out of rows of text or JSON, and collects the rows that do not fit.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
    },
    datatypes::{DataType as ArrowType, Field, Schema, SchemaRef},
    record_batch::RecordBatch,
};
use datafusion::error::DataFusionError;
use shipway_core::{DataType, Decimal, ExactJson, Timestamp, Value, value::Mismatch};
use tokio::sync::mpsc::Sender;

use crate::{
    BadRow, LakeError, RowUnit, arrow_type,
    conform::{Absent, BadValue, Conformer, Undeclared},
    decimals::decimal_of,
};

const BATCH_ROWS: usize = 8192;
/// A batch is sent on before its text grows beyond this.
const BATCH_TEXT_BYTES: usize = 16 << 20;
/// How many bad rows are reported before reading stops.
const MOST_BAD_ROWS: usize = 20;
/// The longest row that a text file may have.
pub(super) const LONGEST_ROW_BYTES: usize = 16 << 20;

/// Takes batches to whoever reads the stream.
pub(super) struct BatchSender(Sender<Result<RecordBatch, DataFusionError>>);

impl BatchSender {
    pub(super) fn new(sender: Sender<Result<RecordBatch, DataFusionError>>) -> Self {
        Self(sender)
    }

    /// Waits for room; false when nobody reads the stream any more.
    pub(super) fn send(&self, batch: RecordBatch) -> bool {
        self.0.blocking_send(Ok(batch)).is_ok()
    }
}

/// The columns of a text file: what they must become, and how their text is read.
pub(super) struct TextColumns {
    target: SchemaRef,
    kinds: Vec<DataType>,
    conformer: Conformer,
}

impl TextColumns {
    pub(super) fn new(target: SchemaRef) -> Result<Self, LakeError> {
        let kinds = target
            .fields()
            .iter()
            .map(|field| {
                kind_of(field.data_type()).ok_or_else(|| LakeError::UnsupportedType {
                    column: field.name().clone(),
                    data_type: field.data_type().to_string(),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let read = Schema::new(
            target
                .fields()
                .iter()
                .zip(&kinds)
                .map(|(field, kind)| Field::new(field.name(), arrow_type(*kind), true))
                .collect::<Vec<_>>(),
        );
        let conformer = Conformer::new(&read, target.clone(), Absent::Refused, Undeclared::Refused)?;
        Ok(Self { target, kinds, conformer })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        self.target.clone()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.target.fields().iter().map(|field| field.name().as_str())
    }
}

fn kind_of(data_type: &ArrowType) -> Option<DataType> {
    Some(match data_type {
        ArrowType::Boolean => DataType::Bool,
        ArrowType::Int8 | ArrowType::Int16 | ArrowType::Int32 | ArrowType::Int64 => DataType::Int,
        ArrowType::Float32 | ArrowType::Float64 => DataType::Float,
        ArrowType::Utf8 => DataType::Text,
        ArrowType::Timestamp(..) => DataType::Timestamp,
        ArrowType::Decimal128(..) => DataType::Decimal(decimal_of(data_type)?),
        ArrowType::List(field) => DataType::list(kind_of(field.data_type())?.as_scalar()?),
        _ => return None,
    })
}

/// An array of one row: the text as that type, or the type that was expected.
pub(super) fn one_value(data_type: &ArrowType, text: &str) -> Result<ArrayRef, String> {
    let expected = || data_type.to_string();
    let kind = kind_of(data_type).ok_or_else(expected)?;
    let mut column = ColumnBuilder::new(kind);
    column.append_text(text).map_err(|_| expected())?;
    let column = column.finish();
    if column.data_type() == data_type { Ok(column) } else { Err(expected()) }
}

enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    /// Decimals and lists.
    Values(DataType, Vec<Value>),
}

impl ColumnBuilder {
    fn new(kind: DataType) -> Self {
        match kind {
            DataType::Bool => Self::Bool(BooleanBuilder::new()),
            DataType::Int => Self::Int(Int64Builder::new()),
            DataType::Float => Self::Float(Float64Builder::new()),
            DataType::Text => Self::Text(StringBuilder::new()),
            DataType::Timestamp => {
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_timezone(crate::UTC))
            }
            DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => Self::Values(kind, Vec::new()),
        }
    }

    /// Appends the value, or null and says why it does not fit.
    fn append_text(&mut self, text: &str) -> Result<(), Mismatch> {
        let mismatch = |expected| Mismatch { expected, got: text.chars().take(60).collect() };
        match self {
            Self::Bool(column) => {
                let flag = parse_bool(text);
                column.append_option(flag);
                flag.map(|_| ()).ok_or_else(|| mismatch(DataType::Bool))
            }
            Self::Int(column) => {
                let number = text.parse().ok();
                column.append_option(number);
                number.map(|_| ()).ok_or_else(|| mismatch(DataType::Int))
            }
            Self::Float(column) => {
                let number = parse_float(text);
                column.append_option(number);
                number.map(|_| ()).ok_or_else(|| mismatch(DataType::Float))
            }
            Self::Text(column) => {
                column.append_value(text);
                Ok(())
            }
            Self::Timestamp(column) => {
                let moment = Timestamp::parse(text).ok().map(Timestamp::micros);
                column.append_option(moment);
                moment.map(|_| ()).ok_or_else(|| mismatch(DataType::Timestamp))
            }
            Self::Values(DataType::Decimal(decimal), column) => {
                let number = Decimal::parse(text, *decimal);
                column.push(number.map_or(Value::Null, Value::Decimal));
                number.map(|_| ()).ok_or_else(|| mismatch(DataType::Decimal(*decimal)))
            }
            // A list in a text file is written as JSON.
            Self::Values(kind, column) => {
                let json = if kind.has_decimals() {
                    serde_json::from_str(text).map(|ExactJson(json)| json)
                } else {
                    serde_json::from_str(text)
                };
                let value = json.map_err(|_| mismatch(*kind)).and_then(|json| Value::from_json(&json, *kind));
                column.push(value.as_ref().map_or(Value::Null, Value::clone));
                value.map(|_| ())
            }
        }
    }

    fn append_value(&mut self, value: &Value) {
        match (self, value) {
            (Self::Bool(column), Value::Bool(flag)) => column.append_value(*flag),
            (Self::Int(column), Value::Int(number)) => column.append_value(*number),
            (Self::Float(column), Value::Float(number)) => column.append_value(*number),
            (Self::Text(column), Value::Text(text)) => column.append_value(text),
            (Self::Timestamp(column), Value::Timestamp(moment)) => column.append_value(moment.micros()),
            (Self::Values(_, column), value) => column.push(value.clone()),
            (column, _) => column.append_null(),
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Bool(column) => column.append_null(),
            Self::Int(column) => column.append_null(),
            Self::Float(column) => column.append_null(),
            Self::Text(column) => column.append_null(),
            Self::Timestamp(column) => column.append_null(),
            Self::Values(_, column) => column.push(Value::Null),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Int(column) => Arc::new(column.finish()),
            Self::Float(column) => Arc::new(column.finish()),
            Self::Text(column) => Arc::new(column.finish()),
            Self::Timestamp(column) => Arc::new(column.finish()),
            Self::Values(kind, column) => {
                let values = std::mem::take(column);
                crate::array_of(*kind, &values.iter().collect::<Vec<_>>())
            }
        }
    }
}

/// `true` and `false`, in any case.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// A float as Rust reads it, with NaN and the infinities by name; normalised as every value is.
pub(super) fn parse_float(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    match Value::float(number) {
        Value::Float(number) => Some(number),
        _ => None,
    }
}

/// Whether to read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Next {
    Continue,
    Stop,
}

/// Gathers rows into batches and sends them on, until a row is bad.
pub(super) struct RowSink {
    columns: TextColumns,
    builders: Vec<ColumnBuilder>,
    /// The line of each gathered row.
    lines: Vec<u64>,
    text_bytes: usize,
    bad: Vec<BadRow>,
    batches: BatchSender,
}

impl RowSink {
    pub(super) fn new(columns: TextColumns, batches: BatchSender) -> Self {
        let builders = columns.kinds.iter().copied().map(ColumnBuilder::new).collect();
        Self { columns, builders, lines: Vec::new(), text_bytes: 0, bad: Vec::new(), batches }
    }

    /// The declared type of a column.
    pub(super) fn kind(&self, column: usize) -> DataType {
        self.columns.kinds[column]
    }

    /// The declared columns, by name.
    pub(super) fn schema(&self) -> SchemaRef {
        self.columns.schema()
    }

    pub(super) fn append_text(&mut self, column: usize, line: u64, text: &str) {
        self.text_bytes += text.len();
        if let Err(mismatch) = self.builders[column].append_text(text) {
            self.refuse_value(column, line, mismatch.to_string());
        }
    }

    pub(super) fn append_value(&mut self, column: usize, value: &Value) {
        if let Value::Text(text) = value {
            self.text_bytes += text.len();
        }
        self.builders[column].append_value(value);
    }

    pub(super) fn append_null(&mut self, column: usize) {
        self.builders[column].append_null();
    }

    /// Reports a value that does not fit; the caller still appends a null for it, unless `append_text` did.
    pub(super) fn refuse_value(&mut self, column: usize, line: u64, reason: String) {
        let column = Some(self.columns.target.field(column).name().clone());
        self.bad.push(BadRow { number: line, column, reason });
    }

    /// Reports a row that is bad as a whole; nothing of it was appended.
    pub(super) fn refuse_row(&mut self, line: u64, reason: String) -> Next {
        self.bad.push(BadRow { number: line, column: None, reason });
        self.next()
    }

    /// Ends a row whose every column was appended.
    pub(super) fn end_row(&mut self, line: u64) -> Next {
        self.lines.push(line);
        if self.lines.len() >= BATCH_ROWS || self.text_bytes >= BATCH_TEXT_BYTES {
            return self.flush();
        }
        self.next()
    }

    fn next(&self) -> Next {
        if self.bad.len() >= MOST_BAD_ROWS { Next::Stop } else { Next::Continue }
    }

    fn flush(&mut self) -> Next {
        let columns: Vec<(String, ArrayRef)> = self
            .columns
            .names()
            .map(str::to_owned)
            .zip(self.builders.iter_mut().map(ColumnBuilder::finish))
            .collect();
        let lines = std::mem::take(&mut self.lines);
        self.text_bytes = 0;
        if !self.bad.is_empty() || lines.is_empty() {
            return self.next();
        }
        let conformed = RecordBatch::try_from_iter(columns)
            .map_err(|fault| BadValue { row: 0, column: String::new(), reason: fault.to_string() })
            .and_then(|batch| self.columns.conformer.conform(&batch));
        match conformed {
            Ok(batch) => {
                if self.batches.send(batch) {
                    Next::Continue
                } else {
                    Next::Stop
                }
            }
            Err(BadValue { row, column, reason }) => {
                let number = lines.get(row).copied().unwrap_or_default();
                self.bad.push(BadRow { number, column: Some(column), reason });
                self.next()
            }
        }
    }

    /// Sends the last rows, or reports the bad ones. `ended` tells whether the file was read to its end.
    pub(super) fn finish(mut self, ended: Next) -> Result<(), LakeError> {
        if ended == Next::Continue {
            let _ = self.flush();
        }
        if self.bad.is_empty() {
            return Ok(());
        }
        self.bad.sort_by_key(|row| row.number);
        self.bad.truncate(MOST_BAD_ROWS);
        Err(LakeError::BadRows { rows: self.bad, unit: RowUnit::Line, more: ended == Next::Stop })
    }
}
