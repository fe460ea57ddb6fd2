//! The Arrow arrays that stand for the types of features, and the lossless ways to get there.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, ListArray, MapArray, PrimitiveArray, StructArray,
        TimestampMicrosecondArray, new_null_array,
    },
    compute::{CastOptions, cast_with_options},
    datatypes::{
        ArrowTimestampType, DataType as ArrowType, Date32Type, Date64Type, TimeUnit,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    },
    error::ArrowError,
};
use shipway_core::DataType;
use shipway_lake::{exact_decimals, list_field, map_field, may_be_decimals};

/// The Arrow type that columns of `data_type` have in training sets and history.
pub(crate) fn arrow_type(data_type: DataType) -> ArrowType {
    match data_type {
        DataType::Bool => ArrowType::Boolean,
        DataType::Int => ArrowType::Int64,
        DataType::Float => ArrowType::Float64,
        DataType::Text => ArrowType::Utf8,
        DataType::Timestamp => ArrowType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC"))),
        DataType::Decimal(_) | DataType::List(_) | DataType::Map(_) => shipway_lake::arrow_type(data_type),
    }
}

/// Whether a column of type `got` can be read as `expected` without a guess: wider numbers, integers as floats, integers and
/// decimals as decimals (each value is still checked, and no digit is ever cut), any text layout, any timestamp unit, dates as midnight UTC. Never numbers as text, text as numbers, or numbers as times.
pub(crate) fn is_readable_as(got: &ArrowType, expected: DataType) -> bool {
    match (got, expected) {
        (ArrowType::Null, _) | (ArrowType::Boolean, DataType::Bool) => true,
        (ArrowType::Dictionary(_, values), _) => is_readable_as(values, expected),
        (
            ArrowType::List(field) | ArrowType::LargeList(field) | ArrowType::FixedSizeList(field, _),
            DataType::List(item),
        ) => is_readable_as(field.data_type(), item.data_type()),
        (ArrowType::Map(entries, _), DataType::Map(item)) => match entries.data_type() {
            ArrowType::Struct(fields) if fields.len() == 2 => {
                is_readable_as(fields[0].data_type(), DataType::Text)
                    && is_readable_as(fields[1].data_type(), item.data_type())
            }
            _ => false,
        },
        (_, DataType::List(_) | DataType::Map(_)) => false,
        (got, DataType::Decimal(_)) => may_be_decimals(got),
        (ArrowType::UInt64, DataType::Int) => false,
        (got, DataType::Int) => got.is_integer(),
        (got, DataType::Float) => got.is_integer() || got.is_floating(),
        (ArrowType::Utf8 | ArrowType::LargeUtf8 | ArrowType::Utf8View, DataType::Text) => true,
        (ArrowType::Timestamp(..) | ArrowType::Date32 | ArrowType::Date64, DataType::Timestamp) => true,
        _ => false,
    }
}

/// `array` as the canonical array of `expected`. The caller has asked [`is_readable_as`]. Nanoseconds are floored to
/// microseconds; times outside the range of 64-bit microseconds are an error.
pub(crate) fn canonical(array: &ArrayRef, expected: DataType) -> Result<ArrayRef, ArrowError> {
    let target = arrow_type(expected);
    if array.data_type() == &target {
        return Ok(Arc::clone(array));
    }
    match array.data_type() {
        ArrowType::Null => Ok(new_null_array(&target, array.len())),
        ArrowType::Dictionary(_, values) => canonical(&cast(array, values)?, expected),
        _ if matches!(expected, DataType::List(_) | DataType::Map(_)) => nested(array, expected),
        _ if expected == DataType::Timestamp => Ok(Arc::new(microseconds(array)?.with_timezone("UTC"))),
        _ => match expected {
            DataType::Decimal(decimal) => {
                exact_decimals(array, decimal.precision(), decimal.scale().cast_signed())
                    .map_err(|(row, reason)| ArrowError::CastError(format!("row {row}: {reason}")))
            }
            _ => cast(array, &target),
        },
    }
}

fn cast(array: &ArrayRef, target: &ArrowType) -> Result<ArrayRef, ArrowError> {
    cast_with_options(array, target, &CastOptions { safe: false, ..CastOptions::default() })
}

/// Item by item, so that what is inside a list is read by the same rules as what is not.
fn nested(array: &ArrayRef, expected: DataType) -> Result<ArrayRef, ArrowError> {
    match (expected, array.data_type()) {
        (DataType::List(item), ArrowType::List(_)) => {
            let lists = array.as_list::<i32>();
            let items = canonical(lists.values(), item.data_type())?;
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(list_field(item), offsets, items, nulls)?))
        }
        (DataType::List(_), ArrowType::LargeList(field) | ArrowType::FixedSizeList(field, _)) => {
            let plain =
                cast_with_options(array, &ArrowType::List(Arc::clone(field)), &CastOptions::default())?;
            nested(&plain, expected)
        }
        (DataType::Map(item), ArrowType::Map(..)) => {
            let maps = array.as_map();
            let keys = canonical(maps.keys(), DataType::Text)?;
            let values = canonical(maps.values(), item.data_type())?;
            let ArrowType::Struct(fields) = map_field(item).data_type().clone() else {
                return Err(ArrowError::CastError(format!("{expected} has no entries")));
            };
            let entries = StructArray::try_new(fields, vec![keys, values], None)?;
            let (offsets, nulls) = (maps.offsets().clone(), maps.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(map_field(item), offsets, entries, nulls, false)?))
        }
        (_, got) => Err(ArrowError::CastError(format!("{got} is not {expected}"))),
    }
}

fn microseconds(array: &ArrayRef) -> Result<TimestampMicrosecondArray, ArrowError> {
    match array.data_type() {
        ArrowType::Timestamp(TimeUnit::Second, _) => {
            scaled(array.as_primitive::<TimestampSecondType>(), 1_000_000)
        }
        ArrowType::Timestamp(TimeUnit::Millisecond, _) => {
            scaled(array.as_primitive::<TimestampMillisecondType>(), 1_000)
        }
        ArrowType::Timestamp(TimeUnit::Microsecond, _) => {
            Ok(array.as_primitive::<TimestampMicrosecondType>().clone())
        }
        ArrowType::Timestamp(TimeUnit::Nanosecond, _) => Ok(array
            .as_primitive::<TimestampNanosecondType>()
            .unary(|nanoseconds| nanoseconds.div_euclid(1_000))),
        ArrowType::Date32 => {
            Ok(array.as_primitive::<Date32Type>().unary(|days| i64::from(days) * 86_400_000_000))
        }
        ArrowType::Date64 => array
            .as_primitive::<Date64Type>()
            .try_unary(|milliseconds| milliseconds.checked_mul(1_000).ok_or_else(out_of_range)),
        other => Err(ArrowError::CastError(format!("{other} is not a time"))),
    }
}

fn scaled<T: ArrowTimestampType>(
    array: &PrimitiveArray<T>,
    factor: i64,
) -> Result<TimestampMicrosecondArray, ArrowError> {
    array.try_unary(|units| units.checked_mul(factor).ok_or_else(out_of_range))
}

fn out_of_range() -> ArrowError {
    ArrowError::CastError("a time is outside the range of 64-bit microseconds".to_owned())
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{
            Date32Array, Decimal128Array, Int32Array, StringViewArray, TimestampNanosecondArray,
            TimestampSecondArray,
        },
        datatypes::Decimal128Type,
    };
    use shipway_core::DecimalType;

    use super::*;

    #[test]
    fn times_of_every_unit_floor_to_microseconds_utc() {
        let times = |array: ArrayRef| {
            assert!(is_readable_as(array.data_type(), DataType::Timestamp));
            canonical(&array, DataType::Timestamp)
                .map(|array| array.as_primitive::<TimestampMicrosecondType>().iter().collect::<Vec<_>>())
        };
        let nanoseconds = TimestampNanosecondArray::from(vec![Some(-1), Some(1_999), None]);
        assert_eq!(times(Arc::new(nanoseconds)).unwrap(), [Some(-1), Some(1), None]);
        let seconds = TimestampSecondArray::from(vec![-2]).with_timezone("+02:00");
        assert_eq!(times(Arc::new(seconds)).unwrap(), [Some(-2_000_000)]);
        assert_eq!(times(Arc::new(Date32Array::from(vec![-1]))).unwrap(), [Some(-86_400_000_000)]);
        assert!(times(Arc::new(TimestampSecondArray::from(vec![i64::MAX]))).is_err());
    }

    #[test]
    fn decimals_widen_and_no_digit_is_cut() {
        let price = DataType::Decimal(DecimalType::new(10, 2).unwrap());
        let read = |array: ArrayRef| {
            assert!(is_readable_as(array.data_type(), price));
            canonical(&array, price)
                .map(|array| array.as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>())
        };
        let decimals = |numbers: Vec<i128>, scale| {
            Arc::new(Decimal128Array::from(numbers).with_precision_and_scale(20, scale).unwrap())
        };
        assert_eq!(read(decimals(vec![15], 1)).unwrap(), [Some(150)]);
        assert_eq!(read(decimals(vec![1_500], 3)).unwrap(), [Some(150)]);
        assert_eq!(read(Arc::new(Int32Array::from(vec![Some(7), None]))).unwrap(), [Some(700), None]);
        assert!(read(decimals(vec![1_505], 3)).is_err(), "a digit would be cut");
        assert!(read(decimals(vec![10_i128.pow(10)], 2)).is_err(), "too many digits");
        for got in [ArrowType::Float64, ArrowType::Utf8, ArrowType::Boolean] {
            assert!(!is_readable_as(&got, price), "{got}");
        }
    }

    #[test]
    fn a_bare_number_is_no_time_and_a_number_is_no_text() {
        for (got, expected) in [
            (ArrowType::Int64, DataType::Timestamp),
            (ArrowType::Utf8, DataType::Timestamp),
            (ArrowType::Int64, DataType::Text),
            (ArrowType::Utf8, DataType::Int),
            (ArrowType::Float64, DataType::Int),
            (ArrowType::UInt64, DataType::Int),
        ] {
            assert!(!is_readable_as(&got, expected), "{got} as {expected}");
        }
        let narrow: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
        assert_eq!(canonical(&narrow, DataType::Int).unwrap().data_type(), &ArrowType::Int64);
        let view: ArrayRef = Arc::new(StringViewArray::from(vec!["a"]));
        assert_eq!(canonical(&view, DataType::Text).unwrap().data_type(), &ArrowType::Utf8);
    }
}
