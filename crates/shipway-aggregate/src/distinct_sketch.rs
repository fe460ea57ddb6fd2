//! The sketch behind `approx_distinct`: HyperLogLog, with hashes and estimates by the datasketches library.
//!
//! What is kept is what the library's own sketch comes to, without the traces that the order of the values leaves in it:
//! the coupons of the values while they are few, then the greatest coupon of each register. Both are sets and maxima, so
//! any split and order of the values gives the same state, and the composite estimate, which reads nothing but them.

use std::collections::BTreeSet;

use datasketches::{
    hash::value::raw_bytes,
    hll::{HllSketch, HllType},
};
use shipway_core::Value;

/// 4096 registers: a standard error of 1.6 %.
pub(crate) const LOG_REGISTERS: u8 = 12;
pub(crate) const REGISTERS: usize = 1 << LOG_REGISTERS;
/// The library keeps coupons up to three quarters of 512.
pub(crate) const MOST_COUPONS: usize = 384;

const SLOT_BITS: u32 = 26;
/// Where the first coupon stands in the stored form of a sketch of one value.
const FIRST_COUPON: usize = 8;

/// The distinct values, roughly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DistinctSketch {
    /// The coupons of few values: six bits of register value, 26 bits of slot.
    Coupons(BTreeSet<u32>),
    /// The greatest register value of each slot.
    Registers(Box<[u8; REGISTERS]>),
}

impl Default for DistinctSketch {
    fn default() -> Self {
        Self::Coupons(BTreeSet::new())
    }
}

impl DistinctSketch {
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Coupons(coupons) if coupons.is_empty())
    }

    pub(crate) fn insert(&mut self, value: &Value) {
        if let Some(coupon) = coupon_of(value) {
            self.insert_coupon(coupon);
        }
    }

    fn insert_coupon(&mut self, coupon: u32) {
        match self {
            Self::Coupons(coupons) => {
                coupons.insert(coupon);
                if coupons.len() > MOST_COUPONS {
                    let mut registers = Box::new([0; REGISTERS]);
                    coupons.iter().for_each(|coupon| raise(&mut registers, *coupon));
                    *self = Self::Registers(registers);
                }
            }
            Self::Registers(registers) => raise(registers, coupon),
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        match (&mut *self, other) {
            (_, Self::Coupons(coupons)) => coupons.iter().for_each(|coupon| self.insert_coupon(*coupon)),
            (Self::Registers(ours), Self::Registers(theirs)) => {
                ours.iter_mut().zip(theirs.iter()).for_each(|(ours, theirs)| *ours = (*ours).max(*theirs));
            }
            (Self::Coupons(ours), Self::Registers(theirs)) => {
                let mut registers = theirs.clone();
                ours.iter().for_each(|coupon| raise(&mut registers, *coupon));
                *self = Self::Registers(registers);
            }
        }
    }

    /// The estimate, rounded; `None` only for a state that was not made here.
    pub(crate) fn estimate(&self) -> Option<i64> {
        if self.is_empty() {
            return Some(0);
        }
        let sketch = HllSketch::deserialize(&self.image()).ok()?;
        Some(sketch.composite_estimate().round() as i64)
    }

    /// The library's own stored form.
    fn image(&self) -> Vec<u8> {
        const VERSION: u8 = 1;
        const FAMILY: u8 = 7;
        const COMPACT: u8 = 8;
        const OUT_OF_ORDER: u8 = 16;
        const EIGHT_BIT_REGISTERS: u8 = 2 << 2;
        match self {
            Self::Coupons(coupons) => {
                let mode = EIGHT_BIT_REGISTERS | 1;
                let mut image = vec![3, VERSION, FAMILY, LOG_REGISTERS, 9, COMPACT, 0, mode];
                image.extend((coupons.len() as u32).to_le_bytes());
                coupons.iter().for_each(|coupon| image.extend(coupon.to_le_bytes()));
                image
            }
            Self::Registers(registers) => {
                let mode = EIGHT_BIT_REGISTERS | 2;
                let mut image = vec![10, VERSION, FAMILY, LOG_REGISTERS, 0, OUT_OF_ORDER, 0, mode];
                let inverse = |value: &u8| 1.0 / (1_u64 << value.min(&63)) as f64;
                let (small, large): (Vec<&u8>, Vec<&u8>) = registers.iter().partition(|value| **value < 32);
                let sum = |values: Vec<&u8>| values.into_iter().map(inverse).sum::<f64>();
                let zeros = registers.iter().filter(|value| **value == 0).count() as u32;
                image.extend(0.0_f64.to_le_bytes());
                image.extend(sum(small).to_le_bytes());
                image.extend(sum(large).to_le_bytes());
                image.extend(zeros.to_le_bytes());
                image.extend(0_u32.to_le_bytes());
                image.extend(registers.iter());
                image
            }
        }
    }
}

fn raise(registers: &mut [u8; REGISTERS], coupon: u32) {
    let register = &mut registers[coupon as usize % REGISTERS];
    *register = (*register).max((coupon >> SLOT_BITS) as u8);
}

/// The library's coupon of a value, taken out of a sketch that holds nothing else.
fn coupon_of(value: &Value) -> Option<u32> {
    let mut bytes = Vec::with_capacity(16);
    value.encode(&mut bytes);
    let mut sketch = HllSketch::new(LOG_REGISTERS, HllType::Hll8).ok()?;
    sketch.update(raw_bytes::from_slice(&bytes));
    let image = sketch.serialize();
    let coupon = image.get(FIRST_COUPON..FIRST_COUPON + 4)?;
    Some(u32::from_le_bytes(coupon.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The library's sketch of the numbers up to `count`.
    fn by_the_library(count: i64) -> i64 {
        let mut sketch = HllSketch::new(LOG_REGISTERS, HllType::Hll8).unwrap();
        for number in 0..count {
            let mut bytes = Vec::new();
            Value::Int(number).encode(&mut bytes);
            sketch.update(raw_bytes::from_slice(&bytes));
        }
        sketch.composite_estimate().round() as i64
    }

    #[test]
    fn the_estimate_is_the_librarys_at_every_size_and_split() {
        for count in [0, 1, 7, 8, 9, 100, 383, 384, 385, 386, 1_000, 5_000, 40_000] {
            let mut parts = [DistinctSketch::default(), DistinctSketch::default(), DistinctSketch::default()];
            for number in (0..count).rev() {
                parts[number as usize % 7 % 3].insert(&Value::Int(number));
            }
            let mut merged = DistinctSketch::default();
            for part in [2, 0, 1, 0] {
                merged.merge(&parts[part]);
            }
            let estimate = merged.estimate().unwrap();
            assert_eq!(estimate, by_the_library(count), "{count} values");
            assert!((estimate - count).abs() as f64 <= 0.06 * count as f64, "{estimate} of {count}");
        }
    }
}
