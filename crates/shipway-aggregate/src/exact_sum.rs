//! Float sums that are exact until they are read.
//!
//! A sum is kept as an expansion: a few floats of falling magnitude that do not overlap and whose true sum is the exact
//! sum of everything added. Reading rounds once, correctly. So the value does not depend on the order of the events or
//! on how they were split into tiles, and taking a value away again is exact too.
//!
//! Source: J. R. Shewchuk, "Adaptive Precision Floating-Point Arithmetic and Fast Robust Geometric Predicates", 1997.

use smallvec::SmallVec;

type Expansion = SmallVec<[f64; 2]>;

/// Values from here up are kept apart and scaled down, so that no intermediate sum overflows.
const HUGE: f64 = f64::from_bits((1023 + 900) << 52);
const SCALE_DOWN: f64 = f64::from_bits((1023 - 200) << 52);
const SCALE_UP: f64 = f64::from_bits((1023 + 200) << 52);

/// An exact sum of floats. Adding costs a handful of float operations; the state is two or three floats for usual data.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExactSum {
    expansion: Expansion,
    rare: Option<Box<Rare>>,
}

/// What few sums ever hold: magnitudes near the end of the range, infinities, NaN.
#[derive(Debug, Clone, Default, PartialEq)]
struct Rare {
    huge: Expansion,
    nans: i64,
    positive_infinities: i64,
    negative_infinities: i64,
}

impl ExactSum {
    /// Adds one number.
    #[inline]
    pub fn add(&mut self, number: f64) {
        if number.abs() < HUGE { grow(&mut self.expansion, number) } else { self.add_rare(number, 1) }
    }

    /// Takes one number away that was added before, here or in a sum that was merged into this one.
    #[inline]
    pub fn subtract(&mut self, number: f64) {
        if number.abs() < HUGE { grow(&mut self.expansion, -number) } else { self.add_rare(number, -1) }
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for &part in &other.expansion {
            grow(&mut self.expansion, part);
        }
        self.merge_rare(other, 1);
    }

    /// Takes everything away that `other` holds and that was added before.
    pub fn unmerge(&mut self, other: &Self) {
        for &part in &other.expansion {
            grow(&mut self.expansion, -part);
        }
        self.merge_rare(other, -1);
    }

    /// The exact sum, rounded once to the nearest float, ties to even.
    pub fn round(&self) -> f64 {
        let Some(rare) = &self.rare else { return round(&self.expansion) };
        if rare.nans > 0 || (rare.positive_infinities > 0 && rare.negative_infinities > 0) {
            return f64::NAN;
        }
        if rare.positive_infinities > 0 {
            return f64::INFINITY;
        }
        if rare.negative_infinities > 0 {
            return f64::NEG_INFINITY;
        }
        if rare.huge.is_empty() {
            return round(&self.expansion);
        }
        let mut scaled = rare.huge.clone();
        for part in canonical(&self.expansion) {
            grow(&mut scaled, part * SCALE_DOWN);
        }
        round(&scaled) * SCALE_UP
    }

    /// Whether every number in it is finite and far from the end of the range.
    pub(crate) fn is_ordinary(&self) -> bool {
        self.rare.is_none()
    }

    /// The one expansion of this exact value whose every part is the rounding of what the later parts add up to.
    pub(crate) fn canonical(&self) -> Vec<f64> {
        canonical(&self.expansion)
    }

    /// The stored form: `(ordinary parts, huge parts, [nan, +inf, -inf] counts)`.
    pub(crate) fn parts(&self) -> (Vec<f64>, Vec<f64>, [i64; 3]) {
        match &self.rare {
            None => (self.canonical(), Vec::new(), [0; 3]),
            Some(rare) => (
                self.canonical(),
                canonical(&rare.huge),
                [rare.nans, rare.positive_infinities, rare.negative_infinities],
            ),
        }
    }

    /// The sum that [`ExactSum::parts`] came from.
    pub(crate) fn from_parts(ordinary: &[f64], huge: &[f64], counts: [i64; 3]) -> Self {
        let mut sum = Self::default();
        for &part in ordinary {
            grow(&mut sum.expansion, part);
        }
        if !huge.is_empty() || counts != [0; 3] {
            let rare = sum.rare.get_or_insert_default();
            for &part in huge {
                grow(&mut rare.huge, part);
            }
            [rare.nans, rare.positive_infinities, rare.negative_infinities] = counts;
        }
        sum
    }

    #[cold]
    fn add_rare(&mut self, number: f64, sign: i64) {
        let rare = self.rare.get_or_insert_default();
        if number.is_nan() {
            rare.nans += sign;
        } else if number == f64::INFINITY {
            rare.positive_infinities += sign;
        } else if number == f64::NEG_INFINITY {
            rare.negative_infinities += sign;
        } else if sign > 0 {
            grow(&mut rare.huge, number * SCALE_DOWN);
        } else {
            grow(&mut rare.huge, -number * SCALE_DOWN);
        }
        self.drop_empty_rare();
    }

    fn merge_rare(&mut self, other: &Self, sign: i64) {
        let Some(theirs) = &other.rare else { return };
        let ours = self.rare.get_or_insert_default();
        for &part in &theirs.huge {
            grow(&mut ours.huge, if sign > 0 { part } else { -part });
        }
        ours.nans += sign * theirs.nans;
        ours.positive_infinities += sign * theirs.positive_infinities;
        ours.negative_infinities += sign * theirs.negative_infinities;
        self.drop_empty_rare();
    }

    fn drop_empty_rare(&mut self) {
        if self.rare.as_deref() == Some(&Rare::default()) {
            self.rare = None;
        }
    }
}

/// Adds `number` to an expansion whose parts do not overlap and rise in magnitude; keeps both properties.
#[inline]
fn grow(expansion: &mut Expansion, number: f64) {
    let mut carry = number;
    let mut kept = 0;
    for index in 0..expansion.len() {
        let (sum, error) = two_sum(carry, expansion[index]);
        if error != 0.0 {
            expansion[kept] = error;
            kept += 1;
        }
        carry = sum;
    }
    expansion.truncate(kept);
    if carry != 0.0 {
        expansion.push(carry);
    }
}

/// `left + right` as the rounded sum and its exact error.
#[inline]
fn two_sum(left: f64, right: f64) -> (f64, f64) {
    let sum = left + right;
    let right_part = sum - left;
    let left_part = sum - right_part;
    (sum, (left - left_part) + (right - right_part))
}

/// `left * right` as the rounded product and its exact error, for products far from both ends of the range.
pub(crate) fn two_product(left: f64, right: f64) -> (f64, f64) {
    let product = left * right;
    let (left_high, left_low) = split(left);
    let (right_high, right_low) = split(right);
    let error = ((left_high * right_high - product) + left_high * right_low + left_low * right_high)
        + left_low * right_low;
    (product, error)
}

fn split(number: f64) -> (f64, f64) {
    const SPLITTER: f64 = 134_217_729.0; // 2^27 + 1
    let scaled = SPLITTER * number;
    let high = scaled - (scaled - number);
    (high, number - high)
}

/// The value of an expansion, correctly rounded.
#[inline]
fn round(expansion: &[f64]) -> f64 {
    let mut index = expansion.len();
    let Some(&last) = expansion.last() else { return 0.0 };
    index -= 1;
    let mut high = last;
    let mut error = 0.0;
    while index > 0 && error == 0.0 {
        index -= 1;
        (high, error) = two_sum(high, expansion[index]);
    }
    // `high` is rounded to even on a tie; the parts below may say that it was not a tie.
    if index > 0 && error != 0.0 {
        let below = expansion[index - 1];
        if (error < 0.0) == (below < 0.0) {
            let doubled = error * 2.0;
            let moved = high + doubled;
            if moved - high == doubled {
                high = moved;
            }
        }
    }
    high
}

fn canonical(expansion: &Expansion) -> Vec<f64> {
    let mut rest = expansion.clone();
    let mut parts = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let part = round(&rest);
        grow(&mut rest, -part);
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::oracle::exact_total;

    fn sum_of(numbers: &[f64]) -> ExactSum {
        let mut sum = ExactSum::default();
        for &number in numbers {
            sum.add(number);
        }
        sum
    }

    #[test]
    fn cancellation_loses_nothing() {
        assert_eq!(sum_of(&[1e16, 1.0, -1e16]).round(), 1.0);
        assert_eq!(sum_of(&[0.1; 10]).round(), 1.0);
        assert_eq!(sum_of(&[1e308, 1e308, -1e308]).round(), 1e308);
        assert_eq!(sum_of(&[f64::MAX, f64::MAX]).round(), f64::INFINITY);
        assert_eq!(sum_of(&[]).round(), 0.0);
    }

    #[test]
    fn infinities_and_nan_follow_ieee_and_can_be_taken_away() {
        let mut sum = sum_of(&[f64::INFINITY, 1.0]);
        assert_eq!(sum.round(), f64::INFINITY);
        sum.add(f64::NEG_INFINITY);
        assert!(sum.round().is_nan());
        sum.subtract(f64::NEG_INFINITY);
        sum.subtract(f64::INFINITY);
        assert_eq!(sum.round(), 1.0);
        assert_eq!(sum, sum_of(&[1.0]));
    }

    fn awkward() -> impl Strategy<Value = f64> {
        prop_oneof![
            -1000.0..1000.0,
            prop::num::f64::NORMAL,
            prop::num::f64::SUBNORMAL,
            Just(1e16),
            Just(-1e16),
            Just(0.1),
            Just(f64::MAX),
            Just(f64::MIN),
        ]
    }

    proptest! {
        #[test]
        fn the_sum_is_the_correctly_rounded_exact_total(numbers in prop::collection::vec(awkward(), 0..40)) {
            prop_assert_eq!(sum_of(&numbers).round().to_bits(), exact_total(&numbers).to_bits());
        }

        #[test]
        fn any_split_and_order_gives_the_same_bits(numbers in prop::collection::vec(awkward(), 0..40), cut in 0_usize..40) {
            let cut = cut.min(numbers.len());
            let mut split = sum_of(&numbers[cut..]);
            split.merge(&sum_of(&numbers[..cut]));
            prop_assert_eq!(split.round().to_bits(), sum_of(&numbers).round().to_bits());
            prop_assert_eq!(split.parts(), sum_of(&numbers).parts());
        }

        #[test]
        fn what_was_merged_can_be_taken_away(kept in prop::collection::vec(awkward(), 0..20), gone in prop::collection::vec(awkward(), 0..20)) {
            let mut sum = sum_of(&kept);
            sum.merge(&sum_of(&gone));
            sum.unmerge(&sum_of(&gone));
            prop_assert_eq!(sum.parts(), sum_of(&kept).parts());
        }
    }
}
