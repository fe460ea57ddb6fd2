//! Converts batches to a declared schema without losing anything: a value that does not fit is named, never rounded.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray as _, ListArray, TimestampMicrosecondArray, new_null_array},
    compute::{CastOptions, can_cast_types, cast_with_options, kernels::cmp},
    datatypes::{DataType, Date32Type, Field, FieldRef, Int64Type, Schema, SchemaRef, TimeUnit},
    record_batch::{RecordBatch, RecordBatchOptions},
};
use shipway_core::{Timestamp, nearest};

use crate::{
    LakeError,
    decimals::{exact_decimals, may_be_decimals},
};

const DAY_US: i64 = 86_400_000_000;

/// What a column means that is declared and not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// Null in every row.
    IsNull,
    /// A mistake.
    Refused,
}

/// What a column means that is there and not declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undeclared {
    /// Nothing.
    Ignored,
    /// A mistake.
    Refused,
}

/// The first value of a batch that does not fit.
#[derive(Debug)]
pub(crate) struct BadValue {
    /// The row within the batch, from 0.
    pub(crate) row: usize,
    pub(crate) column: String,
    pub(crate) reason: String,
}

/// Converts batches of one schema to another.
#[derive(Debug)]
pub(crate) struct Conformer {
    target: SchemaRef,
    /// For each declared column, its place in the source.
    places: Vec<Option<usize>>,
}

impl Conformer {
    pub(crate) fn new(
        source: &Schema,
        target: SchemaRef,
        absent: Absent,
        undeclared: Undeclared,
    ) -> Result<Self, LakeError> {
        let names = || source.fields().iter().map(|field| field.name().as_str());
        let mut places = Vec::with_capacity(target.fields().len());
        for field in target.fields() {
            let place = names().position(|name| name == field.name());
            match place {
                Some(place) => check_type(source.field(place), field)?,
                None if absent == Absent::IsNull && field.is_nullable() => {}
                None => {
                    return Err(LakeError::MissingColumn {
                        column: field.name().clone(),
                        nearest: nearest(field.name(), names()).map(str::to_owned),
                    });
                }
            }
            places.push(place);
        }
        if undeclared == Undeclared::Refused
            && let Some(stranger) = names().find(|name| target.field_with_name(name).is_err())
        {
            let declared = target.fields().iter().map(|field| field.name().as_str());
            return Err(LakeError::UnknownColumn {
                column: stranger.to_owned(),
                nearest: nearest(stranger, declared).map(str::to_owned),
            });
        }
        Ok(Self { target, places })
    }

    /// The places in the source that are read.
    pub(crate) fn source_places(&self) -> Vec<usize> {
        self.places.iter().flatten().copied().collect()
    }

    pub(crate) fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch, BadValue> {
        let rows = batch.num_rows();
        let mut columns = Vec::with_capacity(self.places.len());
        for (field, place) in self.target.fields().iter().zip(&self.places) {
            let column = match place {
                Some(place) => convert(batch.column(*place), field.data_type()),
                None => Ok(new_null_array(field.data_type(), rows)),
            };
            let column = column
                .and_then(|column| if field.is_nullable() { Ok(column) } else { without_nulls(column) });
            columns.push(column.map_err(|(row, reason)| BadValue {
                row,
                column: field.name().clone(),
                reason,
            })?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(self.target.clone(), columns, &options).map_err(|fault| BadValue {
            row: 0,
            column: String::new(),
            reason: fault.to_string(),
        })
    }
}

fn check_type(source: &Field, target: &Field) -> Result<(), LakeError> {
    if is_readable_as(source.data_type(), target.data_type()) {
        return Ok(());
    }
    Err(LakeError::TypeMismatch {
        column: target.name().clone(),
        found: source.data_type().to_string(),
        expected: target.data_type().to_string(),
    })
}

/// Whether values of `source` can be values of `target` at all; each value is still checked.
fn is_readable_as(source: &DataType, target: &DataType) -> bool {
    if source == target || source == &DataType::Null {
        return true;
    }
    if let DataType::Dictionary(_, values) = source {
        return is_readable_as(values, target);
    }
    match target {
        DataType::Utf8 => is_text(source),
        DataType::Binary => {
            matches!(source, DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_))
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            matches!(source, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64) || is_text(source)
        }
        DataType::Float32 | DataType::Float64 => source.is_numeric(),
        integer if integer.is_integer() => source.is_integer() || source.is_floating(),
        DataType::Decimal128(..) => may_be_decimals(source),
        DataType::List(_) | DataType::Struct(_) | DataType::Map(..) => {
            source.is_nested() && can_cast_types(source, target)
        }
        _ => false,
    }
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn convert(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, (usize, String)> {
    let source = array.data_type();
    if source == target {
        return Ok(array.clone());
    }
    if let DataType::Dictionary(_, values) = source {
        return convert(&cast(array, values)?, target);
    }
    if let (DataType::Timestamp(TimeUnit::Microsecond, Some(_)), false) = (target, source == &DataType::Null)
    {
        return timestamps(array, target);
    }
    if let (DataType::Decimal128(precision, scale), false) = (target, source == &DataType::Null) {
        return exact_decimals(array, *precision, *scale);
    }
    if let (DataType::List(from), DataType::List(to)) = (source, target)
        && from.data_type() != to.data_type()
    {
        return lists(array, to);
    }
    let converted = cast(array, target)?;
    let lost_to_null = (0..array.len()).find(|row| array.is_valid(*row) && converted.is_null(*row));
    let lost = match lost_to_null {
        None if may_round(source, target) => first_difference(array, &converted)?,
        found => found,
    };
    match lost {
        None => Ok(converted),
        Some(row) => Err((row, format!("{} does not fit {target}", shown(array, row)))),
    }
}

/// Item by item, so that what is inside a list loses as little as what is not.
fn lists(array: &ArrayRef, item: &FieldRef) -> Result<ArrayRef, (usize, String)> {
    let lists = array.as_list::<i32>();
    let items = convert(lists.values(), item.data_type()).map_err(|(place, reason)| {
        let holds = |row: usize| (lists.offsets()[row]..lists.offsets()[row + 1]).contains(&(place as i32));
        ((0..lists.len()).find(|row| holds(*row)).unwrap_or_default(), reason)
    })?;
    let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
    let converted = ListArray::try_new(Arc::clone(item), offsets, items, nulls);
    converted.map(|lists| Arc::new(lists) as ArrayRef).map_err(|fault| (0, fault.to_string()))
}

fn cast(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, (usize, String)> {
    cast_with_options(array, target, &CastOptions::default()).map_err(|fault| (0, fault.to_string()))
}

fn may_round(source: &DataType, target: &DataType) -> bool {
    // A decimal becomes the nearest float, as the same digits in a text file would.
    !source.is_decimal() && (source.is_floating() || target.is_floating())
}

fn first_difference(array: &ArrayRef, converted: &ArrayRef) -> Result<Option<usize>, (usize, String)> {
    let back = cast(converted, array.data_type())?;
    let differs = cmp::distinct(array, &back).map_err(|fault| (0, fault.to_string()))?;
    Ok((0..differs.len()).find(|row| differs.value(*row)))
}

fn without_nulls(column: ArrayRef) -> Result<ArrayRef, (usize, String)> {
    match (0..column.len()).find(|row| column.null_count() > 0 && column.is_null(*row)) {
        None => Ok(column),
        Some(row) => Err((row, "must not be null".to_owned())),
    }
}

fn shown(array: &ArrayRef, row: usize) -> String {
    let text = arrow::util::display::array_value_to_string(array, row).unwrap_or_default();
    text.chars().take(60).collect()
}

/// Any moment becomes microseconds UTC. A zone only says how a moment is shown; without one the moment is UTC already.
fn timestamps(array: &ArrayRef, target: &DataType) -> Result<ArrayRef, (usize, String)> {
    let mut micros = Vec::with_capacity(array.len());
    if is_text(array.data_type()) {
        let texts = cast(array, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>();
        for row in 0..texts.len() {
            let moment = texts.is_valid(row).then(|| Timestamp::parse(texts.value(row))).transpose();
            micros.push(moment.map_err(|fault| (row, fault.to_string()))?.map(Timestamp::micros));
        }
    } else if array.data_type() == &DataType::Date32 {
        let days = array.as_primitive::<Date32Type>();
        micros.extend(days.iter().map(|day| day.map(|day| i64::from(day) * DAY_US)));
    } else {
        let numbers = cast(array, &DataType::Int64)?;
        for (row, number) in numbers.as_primitive::<Int64Type>().iter().enumerate() {
            let moment = number.map(|number| in_micros(number, array.data_type()).ok_or(row)).transpose();
            micros.push(moment.map_err(|row| (row, "the time is out of range".to_owned()))?);
        }
    }
    let zone = match target {
        DataType::Timestamp(_, zone) => zone.clone(),
        _ => None,
    };
    Ok(Arc::new(TimestampMicrosecondArray::from(micros).with_timezone_opt(zone)))
}

fn in_micros(number: i64, unit: &DataType) -> Option<i64> {
    match unit {
        DataType::Timestamp(TimeUnit::Second, _) => number.checked_mul(1_000_000),
        DataType::Timestamp(TimeUnit::Millisecond, _) | DataType::Date64 => number.checked_mul(1_000),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => Some(number.div_euclid(1_000)),
        _ => Some(number),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array,
        StringArray, StringViewArray, TimestampNanosecondArray, TimestampSecondArray, UInt64Array,
    };
    use arrow::buffer::OffsetBuffer;

    use super::*;
    use crate::timestamp_type;

    fn conformed(column: ArrayRef, target: DataType, nullable: bool) -> Result<ArrayRef, String> {
        let source = Schema::new(vec![Field::new("x", column.data_type().clone(), true)]);
        let target = Arc::new(Schema::new(vec![Field::new("x", target, nullable)]));
        let conformer = Conformer::new(&source, target, Absent::Refused, Undeclared::Refused)
            .map_err(|error| error.to_string())?;
        let batch = RecordBatch::try_new(Arc::new(source), vec![column]).unwrap();
        match conformer.conform(&batch) {
            Ok(batch) => Ok(batch.column(0).clone()),
            Err(bad) => Err(format!("row {} column {}: {}", bad.row, bad.column, bad.reason)),
        }
    }

    #[test]
    fn numbers_convert_only_when_nothing_is_lost() {
        let ints = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
        let floats = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;

        assert!(conformed(ints(vec![1, -2]), DataType::Float64, true).is_ok());
        assert!(
            conformed(ints(vec![1, (1 << 53) + 1]), DataType::Float64, true)
                .unwrap_err()
                .starts_with("row 1 ")
        );
        assert!(conformed(ints(vec![i64::MAX]), DataType::Float64, true).is_err());
        assert!(conformed(ints(vec![1, 1 << 40]), DataType::Int32, true).is_err());
        assert!(conformed(floats(vec![1.0, -3.0]), DataType::Int64, true).is_ok());
        assert!(conformed(floats(vec![1.0, 1.5]), DataType::Int64, true).unwrap_err().starts_with("row 1 "));
        assert!(conformed(floats(vec![f64::NAN]), DataType::Int64, true).is_err());
        assert!(conformed(floats(vec![0.1]), DataType::Float32, true).is_err());
        let unsigned = Arc::new(UInt64Array::from(vec![u64::MAX])) as ArrayRef;
        assert!(conformed(unsigned, DataType::Int64, true).is_err());
    }

    #[test]
    fn decimals_and_lists_of_them_convert_only_when_no_digit_is_lost() {
        let cents = |numbers: Vec<i128>| {
            Arc::new(Decimal128Array::from(numbers).with_precision_and_scale(9, 2).unwrap()) as ArrayRef
        };
        let list = |numbers: Vec<i128>| {
            let items = cents(numbers);
            let field = Arc::new(Field::new("item", items.data_type().clone(), true));
            Arc::new(ListArray::new(field, OffsetBuffer::from_lengths([0, 1, 2]), items, None)) as ArrayRef
        };
        let element = |data_type| DataType::List(Arc::new(Field::new("element", data_type, true)));
        let tenths = || DataType::Decimal128(9, 1);

        assert!(conformed(cents(vec![150]), tenths(), true).is_ok());
        assert!(
            conformed(cents(vec![150, 155]), tenths(), true)
                .unwrap_err()
                .starts_with("row 1 column x: 1.55 ")
        );
        assert!(conformed(cents(vec![155]), DataType::Utf8, true).is_err());
        let floats = Arc::new(Float64Array::from(vec![1.5])) as ArrayRef;
        assert!(conformed(floats, tenths(), true).is_err(), "a float is no decimal");
        assert!(conformed(list(vec![100, 150, 200]), element(tenths()), true).is_ok());
        assert!(
            conformed(list(vec![100, 150, 155]), element(tenths()), true).unwrap_err().starts_with("row 2 ")
        );
        assert!(conformed(list(vec![100, 150, 200]), element(DataType::Float64), true).is_ok());
    }

    #[test]
    fn kinds_do_not_mix() {
        let bools = Arc::new(BooleanArray::from(vec![true])) as ArrayRef;
        let texts = Arc::new(StringArray::from(vec!["1"])) as ArrayRef;
        let ints = Arc::new(Int64Array::from(vec![1])) as ArrayRef;
        assert!(conformed(bools, DataType::Int64, true).is_err());
        assert!(conformed(texts, DataType::Int64, true).is_err());
        assert!(conformed(ints.clone(), DataType::Utf8, true).is_err());
        assert!(conformed(ints, timestamp_type(), true).is_err(), "a number of no unit is not a time");
    }

    #[test]
    fn every_kind_of_text_becomes_plain_text() {
        let view = Arc::new(StringViewArray::from(vec![Some("JFK"), None])) as ArrayRef;
        let dictionary: DictionaryArray<arrow::datatypes::Int32Type> =
            vec![Some("JFK"), None].into_iter().collect();
        for column in [view, Arc::new(dictionary) as ArrayRef] {
            let text = conformed(column, DataType::Utf8, true).unwrap();
            assert_eq!(text.as_string::<i32>().value(0), "JFK");
            assert!(text.is_null(1));
        }
    }

    #[test]
    fn every_unit_and_zone_of_time_becomes_microseconds_utc() {
        let micros = |column: ArrayRef| {
            let column = conformed(column, timestamp_type(), true).unwrap();
            column.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0)
        };
        assert_eq!(micros(Arc::new(TimestampSecondArray::from(vec![7]).with_timezone("+02:00"))), 7_000_000);
        assert_eq!(micros(Arc::new(TimestampNanosecondArray::from(vec![-1]))), -1, "floors before 1970");
        assert_eq!(micros(Arc::new(Date32Array::from(vec![-1]))), -DAY_US);
        assert_eq!(micros(Arc::new(StringArray::from(vec!["1970-01-01T01:00:00+01:00"]))), 0);
        let too_far = Arc::new(TimestampSecondArray::from(vec![i64::MAX])) as ArrayRef;
        assert!(conformed(too_far, timestamp_type(), true).unwrap_err().contains("out of range"));
    }

    #[test]
    fn a_null_where_none_is_allowed_is_named() {
        let column = Arc::new(Int32Array::from(vec![Some(1), None])) as ArrayRef;
        assert_eq!(
            conformed(column, DataType::Int64, false).unwrap_err(),
            "row 1 column x: must not be null"
        );
    }

    #[test]
    fn a_misspelt_column_finds_its_name() {
        let source = Schema::new(vec![Field::new("dep_dely", DataType::Float64, true)]);
        let target = Arc::new(Schema::new(vec![Field::new("dep_delay", DataType::Float64, true)]));
        let missing = Conformer::new(&source, target.clone(), Absent::Refused, Undeclared::Ignored);
        assert!(
            matches!(missing, Err(LakeError::MissingColumn { nearest: Some(name), .. }) if name == "dep_dely")
        );
        let stranger = Conformer::new(&source, target, Absent::IsNull, Undeclared::Refused);
        assert!(
            matches!(stranger, Err(LakeError::UnknownColumn { nearest: Some(name), .. }) if name == "dep_delay")
        );
    }
}
