//! The columns of a table as values: what a table of anybody may have, as far as messages can say it.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType as ArrowType, Schema},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use shipway_core::{DataType, Value, nearest};
use shipway_lake::{decimal_of, value_at};

use crate::{error::FeaturesError, model::columns::ColumnReader};

/// How the rows of a table are sent.
pub(super) struct TableColumns {
    pub(super) columns: Arc<[(String, DataType)]>,
    pub(super) key: Arc<[usize]>,
}

impl TableColumns {
    /// Refuses a column that has no type of ours, and a key that the table does not have.
    pub(super) fn new(table: &str, schema: &Schema, key: &[String]) -> Result<Self, FeaturesError> {
        let mut columns = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let data_type = type_of(field.data_type()).ok_or_else(|| FeaturesError::SinkColumn {
                table: table.to_owned(),
                column: field.name().clone(),
                what: format!("is {}, which cannot be sent", field.data_type()),
                nearest: None,
            })?;
            columns.push((field.name().clone(), data_type));
        }
        let place = |wanted: &String| {
            let found = columns.iter().position(|(name, _)| name == wanted);
            found.ok_or_else(|| FeaturesError::SinkColumn {
                table: table.to_owned(),
                column: wanted.clone(),
                what: "is in the sink's key and not in the table".to_owned(),
                nearest: nearest(wanted, columns.iter().map(|(name, _)| name.as_str())).map(str::to_owned),
            })
        };
        let key = key.iter().map(place).collect::<Result<_, _>>()?;
        Ok(Self { columns: columns.into(), key })
    }

    /// The rows of a batch, which has these columns.
    pub(super) fn rows(&self, batch: &RecordBatch) -> Result<Vec<Vec<Value>>, FeaturesError> {
        let mut rows: Vec<Vec<Value>> =
            (0..batch.num_rows()).map(|_| Vec::with_capacity(self.columns.len())).collect();
        for ((name, data_type), array) in self.columns.iter().zip(batch.columns()) {
            let array = readable(array, *data_type)?;
            let reader = ColumnReader::new(name, &array, *data_type)?;
            for (row, values) in rows.iter_mut().enumerate() {
                values.push(match data_type {
                    DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => {
                        value_at(reader.array(), *data_type, row)
                    }
                    _ => reader.value(row),
                });
            }
        }
        Ok(rows)
    }
}

/// The type that values of an Arrow type have here; none where they have no place. Dates and bytes are text.
fn type_of(arrow: &ArrowType) -> Option<DataType> {
    Some(match arrow {
        ArrowType::Boolean => DataType::Bool,
        ArrowType::UInt64 => return None,
        integer if integer.is_integer() => DataType::Int,
        ArrowType::Float16 | ArrowType::Float32 | ArrowType::Float64 => DataType::Float,
        ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View => DataType::Text,
        ArrowType::Date32 | ArrowType::Binary | ArrowType::LargeBinary => DataType::Text,
        ArrowType::Timestamp(..) => DataType::Timestamp,
        ArrowType::Decimal128(..) => DataType::Decimal(decimal_of(arrow)?),
        ArrowType::List(field) => DataType::List(item_of(field.data_type())?),
        ArrowType::Map(entries, _) => match entries.data_type() {
            ArrowType::Struct(fields) if fields.len() == 2 && fields[0].data_type() == &ArrowType::Utf8 => {
                DataType::Map(item_of(fields[1].data_type())?)
            }
            _ => return None,
        },
        _ => return None,
    })
}

/// What is in lists and maps stays as it is.
fn item_of(arrow: &ArrowType) -> Option<shipway_core::ItemType> {
    if matches!(arrow, ArrowType::Date32 | ArrowType::Binary | ArrowType::LargeBinary) {
        return None;
    }
    type_of(arrow)?.as_item()
}

/// Dates and bytes as text.
fn readable(array: &ArrayRef, data_type: DataType) -> Result<ArrayRef, FeaturesError> {
    match (array.data_type(), data_type) {
        (ArrowType::Date32, DataType::Text) => {
            let strict = CastOptions { safe: false, ..CastOptions::default() };
            Ok(cast_with_options(array, &ArrowType::Utf8, &strict)?)
        }
        (ArrowType::Binary, DataType::Text) => {
            let text = array.as_binary::<i32>().iter().map(|bytes| bytes.map(|bytes| STANDARD.encode(bytes)));
            Ok(Arc::new(StringArray::from_iter(text)))
        }
        (ArrowType::LargeBinary, DataType::Text) => {
            let text = array.as_binary::<i64>().iter().map(|bytes| bytes.map(|bytes| STANDARD.encode(bytes)));
            Ok(Arc::new(StringArray::from_iter(text)))
        }
        _ => Ok(Arc::clone(array)),
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{BinaryArray, Date32Array, Int32Array, RecordBatch, StructArray, UInt64Array},
        datatypes::Field,
    };
    use shipway_core::Failure as _;

    use super::*;

    fn batch(columns: &[(&str, ArrayRef)]) -> RecordBatch {
        RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, Arc::clone(array)))).unwrap()
    }

    #[test]
    fn small_numbers_dates_and_bytes_have_a_form_that_can_be_sent() {
        let batch = batch(&[
            ("small", Arc::new(Int32Array::from(vec![Some(7), None]))),
            ("day", Arc::new(Date32Array::from(vec![Some(0), None]))),
            ("message", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"\x00\x01"), None]))),
        ]);
        let columns = TableColumns::new("t", &batch.schema(), &["day".to_owned()]).unwrap();
        assert_eq!(*columns.key, [1]);
        let rows = columns.rows(&batch).unwrap();
        assert_eq!(rows[0], [Value::Int(7), Value::text("1970-01-01"), Value::text("AAE=")]);
        assert_eq!(rows[1], [Value::Null, Value::Null, Value::Null]);
    }

    #[test]
    fn what_has_no_form_is_refused_by_its_name() {
        let inner: ArrayRef = Arc::new(Int32Array::from(vec![1]));
        let nested: ArrayRef =
            Arc::new(StructArray::from(vec![(Arc::new(Field::new("a", ArrowType::Int32, true)), inner)]));
        let big: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
        for (name, array) in [("nested", nested), ("big", big)] {
            let refused = TableColumns::new("t", &batch(&[(name, array)]).schema(), &[]).err().unwrap();
            assert_eq!(refused.code(), "features.sink_column");
            assert!(refused.to_string().starts_with(&format!("column {name} of table t is ")), "{refused}");
        }
    }

    #[test]
    fn a_key_that_is_no_column_gets_the_nearest_name() {
        let batch = batch(&[("origin", Arc::new(Int32Array::from(vec![1])))]);
        let refused = TableColumns::new("t", &batch.schema(), &["orgin".to_owned()]).err().unwrap();
        assert_eq!(refused.hint().unwrap(), "did you mean origin?");
    }
}
