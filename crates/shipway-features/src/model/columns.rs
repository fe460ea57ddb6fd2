//! Between Arrow columns and values, both ways. A column of another type is converted only where nothing can be lost or
//! guessed; a number is never a time, because it has no unit.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder,
        TimestampMicrosecondArray, TimestampMicrosecondBuilder,
    },
    compute::{CastOptions, cast_with_options},
    datatypes::{
        DataType as ArrowType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
        TimestampNanosecondType,
    },
};
use shipway_core::{DataType, Timestamp, Value};
use shipway_lake::{array_of, value_at};

use crate::{
    error::{FeaturesError, invalid},
    model::schema::arrow_type,
    offline::{canonical, is_readable_as},
};

/// An Arrow column read as values of a declared type.
pub(crate) struct ColumnReader {
    array: ArrayRef,
    data_type: DataType,
}

impl ColumnReader {
    /// Checks that `array` can be read as `data_type` without loss, and converts it once.
    pub(crate) fn new(name: &str, array: &ArrayRef, data_type: DataType) -> Result<Self, FeaturesError> {
        let wanted = arrow_type(data_type);
        let got = array.data_type();
        if *got == wanted {
            return Ok(Self { array: Arc::clone(array), data_type });
        }
        if matches!(data_type, DataType::Decimal(_) | DataType::List(_) | DataType::Map(_)) {
            return Self::canonical(name, array, data_type);
        }
        let refusal = || {
            let unit = if data_type == DataType::Timestamp && got.is_integer() {
                ": a number has no unit"
            } else {
                ""
            };
            invalid(format!("column {name}: expected {data_type}, got {got}{unit}"))
        };
        let fits = match data_type {
            DataType::Bool => *got == ArrowType::Boolean,
            DataType::Int => got.is_integer(),
            DataType::Float => got.is_floating() || got.is_integer(),
            DataType::Text => {
                matches!(got, ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View)
                    || matches!(got, ArrowType::Dictionary(_, values) if values.is_string())
            }
            DataType::Timestamp => {
                matches!(got, ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64)
            }
            DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => false,
        };
        if !fits && *got != ArrowType::Null {
            return Err(refusal());
        }
        let array = if let ArrowType::Timestamp(TimeUnit::Nanosecond, _) = got {
            floor_to_micros(array)
        } else {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            cast_with_options(array, &wanted, &strict).map_err(|_| refusal())?
        };
        Ok(Self { array, data_type })
    }

    /// By the rules of training sets: what is in lists is read as what is not, and decimals lose no digit.
    fn canonical(name: &str, array: &ArrayRef, data_type: DataType) -> Result<Self, FeaturesError> {
        let got = array.data_type();
        if !is_readable_as(got, data_type) {
            return Err(invalid(format!("column {name}: expected {data_type}, got {got}")));
        }
        let array = canonical(array, data_type)
            .map_err(|fault| invalid(format!("column {name}: expected {data_type}, got {got}: {fault}")))?;
        Ok(Self { array, data_type })
    }

    /// The converted column.
    pub(crate) fn array(&self) -> &ArrayRef {
        &self.array
    }

    /// The value in `row`.
    pub(crate) fn value(&self, row: usize) -> Value {
        if self.array.is_null(row) {
            return Value::Null;
        }
        match self.data_type {
            DataType::Bool => Value::Bool(self.array.as_boolean().value(row)),
            DataType::Int => Value::Int(self.array.as_primitive::<Int64Type>().value(row)),
            DataType::Float => Value::float(self.array.as_primitive::<Float64Type>().value(row)),
            DataType::Text => Value::text(self.array.as_string::<i32>().value(row)),
            DataType::Timestamp => {
                Value::Timestamp(Timestamp(self.array.as_primitive::<TimestampMicrosecondType>().value(row)))
            }
            DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => {
                value_at(&self.array, self.data_type, row)
            }
        }
    }
}

/// Nanoseconds floor toward negative infinity; a cast would truncate toward zero.
fn floor_to_micros(array: &ArrayRef) -> ArrayRef {
    let micros: TimestampMicrosecondArray =
        array.as_primitive::<TimestampNanosecondType>().unary(|nanos| nanos.div_euclid(1_000));
    Arc::new(micros.with_timezone("UTC"))
}

/// The readers of `columns` in `batch`; a column that the batch lacks reads as null.
pub(crate) fn readers<'a>(
    batch: &RecordBatch,
    columns: impl IntoIterator<Item = (&'a str, DataType)>,
) -> Result<Vec<Option<ColumnReader>>, FeaturesError> {
    columns
        .into_iter()
        .map(|(name, data_type)| {
            batch.column_by_name(name).map(|array| ColumnReader::new(name, array, data_type)).transpose()
        })
        .collect()
}

/// An Arrow column of `values`, all of `data_type` or null.
pub(crate) fn array<'a>(data_type: DataType, values: impl Iterator<Item = &'a Value>) -> ArrayRef {
    match data_type {
        DataType::Bool => {
            let mut builder = BooleanBuilder::new();
            values.for_each(|value| match value {
                Value::Bool(flag) => builder.append_value(*flag),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        DataType::Int => {
            let mut builder = Int64Builder::new();
            values.for_each(|value| match value {
                Value::Int(number) => builder.append_value(*number),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        DataType::Float => {
            let mut builder = Float64Builder::new();
            values.for_each(|value| match value {
                Value::Float(number) => builder.append_value(*number),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        DataType::Text => {
            let mut builder = StringBuilder::new();
            values.for_each(|value| match value {
                Value::Text(text) => builder.append_value(text),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        DataType::Timestamp => {
            let mut builder = TimestampMicrosecondBuilder::new().with_timezone("UTC");
            values.for_each(|value| match value {
                Value::Timestamp(moment) => builder.append_value(moment.micros()),
                _ => builder.append_null(),
            });
            Arc::new(builder.finish())
        }
        DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => {
            array_of(data_type, &values.collect::<Vec<_>>())
        }
    }
}
