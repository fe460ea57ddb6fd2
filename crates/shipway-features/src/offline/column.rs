//! Arrow columns read and written as values, one match for each cell and no allocation but for text, lists and maps.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, BooleanBuilder, Decimal128Array, Decimal128Builder,
        Float64Array, Float64Builder, Int64Array, Int64Builder, StringArray, StringBuilder,
        TimestampMicrosecondArray, TimestampMicrosecondBuilder,
    },
    datatypes::{DataType as ArrowType, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
    error::ArrowError,
};
use shipway_core::{DataType, Decimal, DecimalType, Timestamp, Value};
use shipway_lake::{array_of, value_at};

use super::canonical::{arrow_type, canonical};

/// A column of values.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    Bool(BooleanArray),
    Int(Int64Array),
    Float(Float64Array),
    Text(StringArray),
    Timestamp(TimestampMicrosecondArray),
    Decimal(DecimalType, Decimal128Array),
    /// Lists and maps.
    Nested(DataType, ArrayRef),
}

impl Column {
    /// Reads `array` as `data_type`; the caller has checked that it is readable.
    pub(crate) fn read(array: &ArrayRef, data_type: DataType) -> Result<Self, ArrowError> {
        let array = canonical(array, data_type)?;
        Ok(match data_type {
            DataType::Bool => Self::Bool(array.as_boolean().clone()),
            DataType::Int => Self::Int(array.as_primitive::<Int64Type>().clone()),
            DataType::Float => Self::Float(array.as_primitive::<Float64Type>().clone()),
            DataType::Text => Self::Text(array.as_string::<i32>().clone()),
            DataType::Timestamp => Self::Timestamp(array.as_primitive::<TimestampMicrosecondType>().clone()),
            DataType::Decimal(decimal) => {
                Self::Decimal(decimal, array.as_primitive::<Decimal128Type>().clone())
            }
            DataType::List(_) | DataType::Map(_) => Self::Nested(data_type, array),
        })
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::Bool(array) => array,
            Self::Int(array) => array,
            Self::Float(array) => array,
            Self::Text(array) => array,
            Self::Timestamp(array) => array,
            Self::Decimal(_, array) => array,
            Self::Nested(_, array) => array,
        }
    }

    /// The value in `row`; floats come normalised.
    pub(crate) fn value(&self, row: usize) -> Value {
        if self.array().is_null(row) {
            return Value::Null;
        }
        match self {
            Self::Bool(array) => Value::Bool(array.value(row)),
            Self::Int(array) => Value::Int(array.value(row)),
            Self::Float(array) => Value::float(array.value(row)),
            Self::Text(array) => Value::text(array.value(row)),
            Self::Timestamp(array) => Value::Timestamp(Timestamp(array.value(row))),
            Self::Decimal(decimal, array) => {
                Decimal::new(array.value(row), decimal.scale()).map_or(Value::Null, Value::Decimal)
            }
            Self::Nested(data_type, array) => value_at(array, *data_type, row),
        }
    }

    /// Appends the value in `row` in its binary form, the same bytes as [`Value::encode`]; `false` for a null, and then
    /// nothing is appended.
    pub(crate) fn encode(&self, row: usize, into: &mut Vec<u8>) -> bool {
        if self.array().is_null(row) {
            return false;
        }
        match self {
            Self::Text(array) => {
                // By hand, because a value of text owns its text; the layout is pinned by a test below.
                let text = array.value(row);
                into.push(4);
                into.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
                into.extend(text.as_bytes());
            }
            _ => self.value(row).encode(into),
        }
        true
    }
}

/// Builds one output column.
#[derive(Debug)]
pub(crate) enum ColumnBuilder {
    Bool(BooleanBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Text(StringBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Decimal(DecimalType, Decimal128Builder),
    /// Lists and maps.
    Nested(DataType, Vec<Value>),
}

impl ColumnBuilder {
    pub(crate) fn new(data_type: DataType, rows: usize) -> Self {
        match data_type {
            DataType::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            DataType::Int => Self::Int(Int64Builder::with_capacity(rows)),
            DataType::Float => Self::Float(Float64Builder::with_capacity(rows)),
            DataType::Text => Self::Text(StringBuilder::with_capacity(rows, rows * 8)),
            DataType::Timestamp => Self::Timestamp(
                TimestampMicrosecondBuilder::with_capacity(rows)
                    .with_data_type(arrow_type(DataType::Timestamp)),
            ),
            DataType::Decimal(decimal) => Self::Decimal(
                decimal,
                Decimal128Builder::with_capacity(rows).with_data_type(arrow_type(data_type)),
            ),
            DataType::List(_) | DataType::Map(_) => Self::Nested(data_type, Vec::with_capacity(rows)),
        }
    }

    /// Appends `value`; `false` when it is of another type, and then nothing is appended.
    #[must_use]
    pub(crate) fn append(&mut self, value: &Value) -> bool {
        match (self, value) {
            (builder, Value::Null) => builder.append_null(),
            (Self::Bool(builder), Value::Bool(flag)) => builder.append_value(*flag),
            (Self::Int(builder), Value::Int(number)) => builder.append_value(*number),
            (Self::Float(builder), Value::Float(number)) => builder.append_value(*number),
            (Self::Text(builder), Value::Text(text)) => builder.append_value(text),
            (Self::Timestamp(builder), Value::Timestamp(moment)) => builder.append_value(moment.micros()),
            (Self::Decimal(decimal, builder), Value::Decimal(number)) if number.fits(*decimal) => {
                builder.append_value(number.unscaled());
            }
            (Self::Nested(data_type, values), value) if value.is_of(*data_type) => values.push(value.clone()),
            _ => return false,
        }
        true
    }

    pub(crate) fn append_null(&mut self) {
        match self {
            Self::Bool(builder) => builder.append_null(),
            Self::Int(builder) => builder.append_null(),
            Self::Float(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Timestamp(builder) => builder.append_null(),
            Self::Decimal(_, builder) => builder.append_null(),
            Self::Nested(_, values) => values.push(Value::Null),
        }
    }

    /// The array built so far; the builder is empty again.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int(builder) => Arc::new(builder.finish()),
            Self::Float(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Timestamp(builder) => Arc::new(builder.finish()),
            Self::Decimal(_, builder) => Arc::new(builder.finish()),
            Self::Nested(data_type, values) => {
                let values = std::mem::take(values);
                array_of(*data_type, &values.iter().collect::<Vec<_>>())
            }
        }
    }
}

/// The layouts of text that clients read less well, replaced by the plain one; every other type as it is.
pub(crate) fn plain_type(got: &ArrowType) -> ArrowType {
    match got {
        ArrowType::Utf8View | ArrowType::LargeUtf8 => ArrowType::Utf8,
        ArrowType::BinaryView | ArrowType::LargeBinary => ArrowType::Binary,
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use shipway_core::ScalarType;

    use super::*;

    #[test]
    fn columns_encode_keys_as_values_do_and_builders_write_what_columns_read() {
        let price = DataType::Decimal(DecimalType::new(18, 2).unwrap());
        let values = [
            (DataType::Bool, vec![Value::Bool(true), Value::Null]),
            (DataType::Int, vec![Value::Int(-5), Value::Null]),
            (DataType::Float, vec![Value::float(-0.0), Value::float(f64::NAN), Value::Null]),
            (DataType::Text, vec![Value::text("na\u{ef}ve"), Value::text(""), Value::Null]),
            (DataType::Timestamp, vec![Value::Timestamp(Timestamp(-1)), Value::Null]),
            (price, vec![Value::Decimal(Decimal::new(-150, 2).unwrap()), Value::Null]),
            (
                DataType::list(ScalarType::Float),
                vec![Value::list([Value::float(0.5), Value::Null]), Value::Null, Value::list([])],
            ),
            (DataType::map(ScalarType::Int), vec![Value::map([("a".into(), Value::Int(1))]), Value::Null]),
        ];
        for (data_type, values) in values {
            let mut builder = ColumnBuilder::new(data_type, values.len());
            for value in &values {
                assert!(builder.append(value));
            }
            let column = Column::read(&builder.finish(), data_type).unwrap();
            for (row, value) in values.iter().enumerate() {
                assert_eq!(&column.value(row), value);
                let (mut ours, mut theirs) = (Vec::new(), Vec::new());
                assert_eq!(column.encode(row, &mut ours), !value.is_null());
                if !value.is_null() {
                    value.encode(&mut theirs);
                }
                assert_eq!(ours, theirs);
            }
        }
    }
}
