//! The values of one column of events, gathered one by one.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringBuilder, TimestampMicrosecondArray,
    },
    buffer::NullBuffer,
};
use shipway_aggregate::{NO_PICK, RangeColumn, RangeValues};
use shipway_core::{DataType, Timestamp, Value};

use super::super::{canonical::arrow_type, column::Column};

/// A growing column of scalars.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    data_type: DataType,
    values: Values,
    /// Which have a value; `None` while all have.
    present: Option<Vec<bool>>,
}

#[derive(Debug, Clone)]
enum Values {
    Floats(Vec<f64>),
    /// Integers, moments and truth values.
    Ints(Vec<i64>),
    Texts {
        bytes: Vec<u8>,
        ends: Vec<u32>,
    },
}

impl Cells {
    pub(super) fn new(data_type: DataType) -> Self {
        let values = match data_type {
            DataType::Float => Values::Floats(Vec::new()),
            DataType::Text => Values::Texts { bytes: Vec::new(), ends: Vec::new() },
            _ => Values::Ints(Vec::new()),
        };
        Self { data_type, values, present: None }
    }

    pub(super) fn len(&self) -> usize {
        match &self.values {
            Values::Floats(values) => values.len(),
            Values::Ints(values) => values.len(),
            Values::Texts { ends, .. } => ends.len(),
        }
    }

    /// Bytes of text, which alone can not be told from the number of cells.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.values {
            Values::Texts { bytes, .. } => bytes.len(),
            Values::Floats(_) | Values::Ints(_) => 0,
        }
    }

    /// Appends the value of `column` in `row`, normalised.
    pub(super) fn push(&mut self, column: &Column, row: usize) {
        let is_null = match (&mut self.values, column) {
            (Values::Floats(values), Column::Float(array)) => {
                let number = array.value(row);
                values.push(if number.is_nan() { f64::NAN } else { number + 0.0 });
                array.is_null(row)
            }
            (Values::Ints(values), Column::Int(array)) => {
                values.push(array.value(row));
                array.is_null(row)
            }
            (Values::Ints(values), Column::Timestamp(array)) => {
                values.push(array.value(row));
                array.is_null(row)
            }
            (Values::Ints(values), Column::Bool(array)) => {
                values.push(i64::from(array.value(row)));
                array.is_null(row)
            }
            (Values::Texts { bytes, ends }, Column::Text(array)) => {
                if !array.is_null(row) {
                    bytes.extend(array.value(row).as_bytes());
                }
                ends.push(bytes.len() as u32);
                array.is_null(row)
            }
            // A column of another type is never given; a null is what none has.
            (Values::Floats(values), _) => {
                values.push(0.0);
                true
            }
            (Values::Ints(values), _) => {
                values.push(0);
                true
            }
            (Values::Texts { bytes, ends }, _) => {
                ends.push(bytes.len() as u32);
                true
            }
        };
        self.note(is_null);
    }

    fn note(&mut self, is_null: bool) {
        if let Some(present) = &mut self.present {
            present.push(!is_null);
        } else if is_null {
            let mut present = vec![true; self.len()];
            if let Some(last) = present.last_mut() {
                *last = false;
            }
            self.present = Some(present);
        }
    }

    /// Appends all of `other`, which has the same type.
    pub(super) fn append(&mut self, other: &Self) {
        if other.present.is_some() || self.present.is_some() {
            let present = self.present.take().unwrap_or_else(|| vec![true; self.len()]);
            let theirs = other.present.clone().unwrap_or_else(|| vec![true; other.len()]);
            self.present = Some([present, theirs].concat());
        }
        match (&mut self.values, &other.values) {
            (Values::Floats(ours), Values::Floats(theirs)) => ours.extend(theirs),
            (Values::Ints(ours), Values::Ints(theirs)) => ours.extend(theirs),
            (Values::Texts { bytes, ends }, Values::Texts { bytes: their_bytes, ends: their_ends }) => {
                let start = bytes.len() as u32;
                bytes.extend(their_bytes);
                ends.extend(their_ends.iter().map(|end| start + end));
            }
            _ => {}
        }
    }

    /// The cells at `order`, one after another.
    pub(super) fn permuted(&self, order: &[u32]) -> Self {
        let values = match &self.values {
            Values::Floats(values) => Values::Floats(order.iter().map(|at| values[*at as usize]).collect()),
            Values::Ints(values) => Values::Ints(order.iter().map(|at| values[*at as usize]).collect()),
            Values::Texts { bytes, .. } => {
                let mut sorted = Vec::with_capacity(bytes.len());
                let ends = order.iter().map(|at| {
                    sorted.extend(self.text(*at as usize));
                    sorted.len() as u32
                });
                let ends = ends.collect();
                Values::Texts { bytes: sorted, ends }
            }
        };
        let present =
            self.present.as_ref().map(|present| order.iter().map(|at| present[*at as usize]).collect());
        Self { data_type: self.data_type, values, present }
    }

    /// The bytes of a text; none of anything else.
    pub(super) fn text(&self, at: usize) -> &[u8] {
        let Values::Texts { bytes, ends } = &self.values else { return &[] };
        let start = if at == 0 { 0 } else { ends[at - 1] as usize };
        &bytes[start..ends[at] as usize]
    }

    fn text_str(&self, at: usize) -> &str {
        // They came out of an array of texts.
        std::str::from_utf8(self.text(at)).unwrap_or_default()
    }

    fn is_present(&self, at: usize) -> bool {
        self.present.as_ref().is_none_or(|present| present[at])
    }

    /// One cell as a value.
    pub(super) fn value(&self, at: usize) -> Value {
        if !self.is_present(at) {
            return Value::Null;
        }
        match &self.values {
            Values::Floats(values) => Value::Float(values[at]),
            Values::Ints(values) => match self.data_type {
                DataType::Bool => Value::Bool(values[at] != 0),
                DataType::Timestamp => Value::Timestamp(Timestamp(values[at])),
                _ => Value::Int(values[at]),
            },
            Values::Texts { .. } => Value::text(self.text_str(at)),
        }
    }

    /// The column as ranges read it.
    pub(super) fn as_ranges(&self) -> RangeColumn<'_> {
        let values = match &self.values {
            Values::Floats(values) => RangeValues::Floats(values),
            Values::Ints(values) => RangeValues::Ints(values),
            Values::Texts { bytes, ends } => RangeValues::Texts { bytes, ends },
        };
        RangeColumn::new(values, self.present.as_deref())
    }

    /// The cells at `picks` as an array; null for [`NO_PICK`].
    pub(super) fn picked(&self, picks: &[u32]) -> ArrayRef {
        let is_there = |pick: u32| pick != NO_PICK && self.is_present(pick as usize);
        let nulls = || nulls(picks.iter().map(|pick| is_there(*pick)).collect());
        match &self.values {
            Values::Floats(values) => {
                let picked: Vec<f64> =
                    picks.iter().map(|pick| values.get(*pick as usize).copied().unwrap_or(0.0)).collect();
                Arc::new(Float64Array::new(picked.into(), nulls()))
            }
            Values::Ints(values) => {
                let picked = picks.iter().map(|pick| values.get(*pick as usize).copied().unwrap_or(0));
                match self.data_type {
                    DataType::Bool => {
                        let flags: Vec<bool> = picked.map(|flag| flag != 0).collect();
                        Arc::new(BooleanArray::new(flags.into(), nulls()))
                    }
                    DataType::Timestamp => {
                        let moments: Vec<i64> = picked.collect();
                        let moments = TimestampMicrosecondArray::new(moments.into(), nulls());
                        Arc::new(moments.with_data_type(arrow_type(DataType::Timestamp)))
                    }
                    _ => Arc::new(Int64Array::new(picked.collect::<Vec<_>>().into(), nulls())),
                }
            }
            Values::Texts { .. } => {
                let mut texts = StringBuilder::with_capacity(picks.len(), picks.len() * 4);
                for pick in picks {
                    texts.append_option(is_there(*pick).then(|| self.text_str(*pick as usize)));
                }
                Arc::new(texts.finish())
            }
        }
    }
}

/// The nulls among values of which some are there.
pub(super) fn nulls(present: Vec<bool>) -> Option<NullBuffer> {
    (!present.iter().all(|is_there| *is_there)).then(|| NullBuffer::from(present))
}
