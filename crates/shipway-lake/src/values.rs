//! Values as Arrow arrays, lists and maps among them.
//!
//! A list's field is called `element`, a map's entries `key_value` with `key` and `value`: the names that Delta gives them.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Float64Array, Int64Array, ListArray,
        MapArray, StringArray, StructArray, TimestampMicrosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer},
    datatypes::{
        DataType as ArrowType, Decimal128Type, Field, FieldRef, Fields, Float64Type, Int64Type,
        TimestampMicrosecondType,
    },
};
use shipway_core::{DataType, Decimal, DecimalType, ItemType, Timestamp, Value};

use crate::{UTC, decimals::decimal_type, timestamp_type};

/// The Arrow type that holds values of `data_type` in a table.
pub fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Bool => ArrowType::Boolean,
        DataType::Int => ArrowType::Int64,
        DataType::Float => ArrowType::Float64,
        DataType::Text => ArrowType::Utf8,
        DataType::Timestamp => timestamp_type(),
        DataType::Decimal(decimal) => decimal_type(decimal),
        DataType::List(item) => ArrowType::List(list_field(item)),
        DataType::Map(item) => ArrowType::Map(map_field(item), false),
    }
}

/// The field of the items of a list of `item`.
pub fn list_field(item: ItemType) -> FieldRef {
    Arc::new(Field::new("element", arrow_type(item.data_type()), true))
}

/// The field of the entries of a map of `item`.
pub fn map_field(item: ItemType) -> FieldRef {
    Arc::new(Field::new("key_value", ArrowType::Struct(entry_fields(item)), false))
}

fn entry_fields(item: ItemType) -> Fields {
    Fields::from(vec![
        Field::new("key", ArrowType::Utf8, false),
        Field::new("value", arrow_type(item.data_type()), true),
    ])
}

/// An array of `values`; those that are not of `data_type` are null.
pub fn array_of(data_type: DataType, values: &[&Value]) -> ArrayRef {
    let values = || values.iter().copied();
    match data_type {
        DataType::Bool => Arc::new(BooleanArray::from_iter(values().map(|value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        }))),
        DataType::Int => Arc::new(Int64Array::from_iter(values().map(|value| match value {
            Value::Int(number) => Some(*number),
            _ => None,
        }))),
        DataType::Float => Arc::new(Float64Array::from_iter(values().map(|value| match value {
            Value::Float(number) => Some(*number),
            _ => None,
        }))),
        DataType::Text => Arc::new(StringArray::from_iter(values().map(|value| match value {
            Value::Text(text) => Some(text),
            _ => None,
        }))),
        DataType::Timestamp => Arc::new(
            TimestampMicrosecondArray::from_iter(values().map(|value| match value {
                Value::Timestamp(moment) => Some(moment.micros()),
                _ => None,
            }))
            .with_timezone(UTC),
        ),
        DataType::Decimal(decimal) => Arc::new(decimal_array(
            decimal,
            values().map(|value| match value {
                Value::Decimal(number) if number.scale() == decimal.scale() => Some(number.unscaled()),
                _ => None,
            }),
        )),
        DataType::List(item) => {
            let lists = values().map(|value| match value {
                Value::List(items) => Some(&**items),
                _ => None,
            });
            let lists: Vec<Option<&[Value]>> = lists.collect();
            let items: Vec<&Value> = lists.iter().flatten().flat_map(|items| items.iter()).collect();
            let (offsets, nulls) = shape(&lists);
            Arc::new(ListArray::new(list_field(item), offsets, array_of(item.data_type(), &items), nulls))
        }
        DataType::Map(item) => {
            let maps = values().map(|value| match value {
                Value::Map(entries) => Some(&**entries),
                _ => None,
            });
            let maps: Vec<Option<Entries<'_>>> = maps.collect();
            let entries = || maps.iter().flatten().flat_map(|entries| entries.iter());
            let keys: Vec<&str> = entries().map(|(key, _)| &**key).collect();
            let keys = StringArray::from_iter_values(keys);
            let items: Vec<&Value> = entries().map(|(_, value)| value).collect();
            let columns: Vec<ArrayRef> = vec![Arc::new(keys), array_of(item.data_type(), &items)];
            let entries = StructArray::new(entry_fields(item), columns, None);
            let (offsets, nulls) = shape(&maps);
            Arc::new(MapArray::new(map_field(item), offsets, entries, nulls, false))
        }
    }
}

/// Decimals without their points as an array. `numbers` have at most 38 digits, as every decimal has.
fn decimal_array(decimal: DecimalType, numbers: impl Iterator<Item = Option<i128>>) -> Decimal128Array {
    Decimal128Array::from_iter(numbers).with_data_type(decimal_type(decimal))
}

/// The entries of one map.
type Entries<'a> = &'a [(Arc<str>, Value)];

fn shape<T>(lists: &[Option<&[T]>]) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
    let offsets = OffsetBuffer::from_lengths(lists.iter().map(|list| list.map_or(0, <[T]>::len)));
    let nulls: NullBuffer = lists.iter().map(Option::is_some).collect();
    (offsets, Some(nulls).filter(|nulls| nulls.null_count() > 0))
}

/// The value in `row` of `array`, which has the type that [`arrow_type`] gives to `data_type`.
pub fn value_at(array: &dyn Array, data_type: DataType, row: usize) -> Value {
    if array.is_null(row) {
        return Value::Null;
    }
    match data_type {
        DataType::Bool => Value::Bool(array.as_boolean().value(row)),
        DataType::Int => Value::Int(array.as_primitive::<Int64Type>().value(row)),
        DataType::Float => Value::float(array.as_primitive::<Float64Type>().value(row)),
        DataType::Text => Value::text(array.as_string::<i32>().value(row)),
        DataType::Timestamp => {
            Value::Timestamp(Timestamp(array.as_primitive::<TimestampMicrosecondType>().value(row)))
        }
        DataType::Decimal(decimal) => {
            let unscaled = array.as_primitive::<Decimal128Type>().value(row);
            Decimal::new(unscaled, decimal.scale()).map_or(Value::Null, Value::Decimal)
        }
        DataType::List(item) => {
            let items = array.as_list::<i32>().value(row);
            Value::list((0..items.len()).map(|at| value_at(&items, item.data_type(), at)))
        }
        DataType::Map(item) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0).as_string::<i32>(), entries.column(1));
            let entry = |at: usize| (keys.value(at).into(), value_at(values, item.data_type(), at));
            Value::map((0..entries.len()).map(entry))
        }
    }
}

#[cfg(test)]
mod tests {
    use shipway_core::ScalarType;

    use super::*;

    #[test]
    fn arrays_hold_the_values_that_they_were_made_of() {
        let list = |items: &[&str]| Value::list(items.iter().map(|item| Value::text(*item)));
        let map = |entries: &[(&str, Value)]| {
            Value::map(entries.iter().map(|(key, value)| (Arc::from(*key), value.clone())))
        };
        let cents = ScalarType::Decimal(DecimalType::new(18, 2).unwrap());
        let price = |unscaled| Value::Decimal(Decimal::new(unscaled, 2).unwrap());
        let columns = [
            (DataType::scalar(cents), vec![price(-1), Value::Null, price(10_i128.pow(18) - 1)]),
            (DataType::list(cents), vec![Value::list([price(1), Value::Null]), Value::Null, Value::list([])]),
            (DataType::map(cents), vec![map(&[("x", price(5))]), map(&[])]),
            (DataType::Float, vec![Value::float(f64::NAN), Value::Null, Value::float(-0.0)]),
            (DataType::list(ScalarType::Text), vec![list(&["a", "b"]), Value::Null, list(&[]), list(&["c"])]),
            (
                DataType::list(ScalarType::Int),
                vec![Value::list([Value::Int(1), Value::Null]), Value::list([Value::Null])],
            ),
            (
                DataType::map(ScalarType::Float),
                vec![map(&[("x", Value::float(0.5)), ("a", Value::Null)]), Value::Null, map(&[])],
            ),
            (
                DataType::Map(ItemType::List(ScalarType::Text)),
                vec![map(&[("x", list(&["a"])), ("y", list(&[]))]), map(&[("z", Value::Null)])],
            ),
            (
                DataType::List(ItemType::Map(ScalarType::Int)),
                vec![Value::list([map(&[("k", Value::Int(1))])])],
            ),
        ];
        for (data_type, values) in columns {
            let array = array_of(data_type, &values.iter().collect::<Vec<_>>());
            assert_eq!(array.data_type(), &arrow_type(data_type));
            let read: Vec<Value> = (0..array.len()).map(|row| value_at(&array, data_type, row)).collect();
            assert_eq!(read, values, "{data_type}");
            let tail = array.slice(1, array.len() - 1);
            let read: Vec<Value> = (0..tail.len()).map(|row| value_at(&tail, data_type, row)).collect();
            assert_eq!(read, values[1..], "a slice of {data_type}");
        }
    }
}
