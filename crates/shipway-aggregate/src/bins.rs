//! Counts of numbers in bins of fixed edges: what quantiles and histograms are read from.
//!
//! A float's bin is its sign, its exponent and the first seven bits of its mantissa, so a bin is at most 1/128 of its
//! numbers wide, its edges are floats, and no logarithm is taken: every machine finds the same bin. Counts add and
//! subtract exactly, in any order. The idea is that of HDR histograms and of DDSketch (C. Masson, J. Rim, H. Lee,
//! "DDSketch", 2019) with the mapping read off the bits.

use std::collections::BTreeMap;

use shipway_core::Value;

/// How many low bits of a float its bin does not look at.
const DROPPED_BITS: u32 = 52 - 7;
/// By so many bits a bin can grow until all numbers of one sign are in one.
const WIDEST: u32 = 63 - DROPPED_BITS;

/// How many numbers lie in each bin; bins without any are not there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bins(pub(crate) BTreeMap<i32, u64>);

impl Bins {
    pub(crate) fn add(&mut self, number: f64) {
        let count = self.0.entry(bin_of(number)).or_default();
        *count = count.saturating_add(1);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (bin, theirs) in &other.0 {
            let ours = self.0.entry(*bin).or_default();
            *ours = ours.saturating_add(*theirs);
        }
    }

    pub(crate) fn unmerge(&mut self, other: &Self) {
        for (bin, theirs) in &other.0 {
            if let Some(ours) = self.0.get_mut(bin) {
                *ours = ours.saturating_sub(*theirs);
                if *ours == 0 {
                    self.0.remove(bin);
                }
            }
        }
    }

    /// The edge, the one nearer to zero, of the bin that holds the number at rank `ceil(q * n)`.
    pub(crate) fn quantile(&self, millionths: u32) -> Option<f64> {
        let total: u128 = self.0.values().map(|count| u128::from(*count)).sum();
        let rank = (total * u128::from(millionths)).div_ceil(1_000_000).max(1);
        let mut seen = 0;
        self.0.iter().find_map(|(bin, count)| {
            seen += u128::from(*count);
            (seen >= rank).then(|| edge_of(*bin, 0))
        })
    }

    /// The counts of at most `k` bins: bins double their width, all at once, until no more are left. A bin's text is its
    /// edge nearer to zero, which belongs to it.
    pub(crate) fn histogram(&self, k: u32) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        let mut bins: Vec<(i32, u64)> = self.0.iter().map(|(bin, count)| (*bin, *count)).collect();
        let mut doublings = 0;
        while bins.len() > k as usize && doublings < WIDEST {
            doublings += 1;
            bins = halved(&bins);
        }
        Value::map(bins.into_iter().map(|(bin, count)| {
            (label(edge_of(bin, doublings)).into(), Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
        }))
    }
}

/// The bins twice as wide; `bins` are sorted.
fn halved(bins: &[(i32, u64)]) -> Vec<(i32, u64)> {
    let mut wider: Vec<(i32, u64)> = Vec::with_capacity(bins.len());
    for (bin, count) in bins {
        // Rounds toward negative infinity, so that negative bins, which count from -1 down, pair by magnitude too.
        let bin = bin >> 1;
        match wider.last_mut() {
            Some((last, total)) if *last == bin => *total = total.saturating_add(*count),
            _ => wider.push((bin, *count)),
        }
    }
    wider
}

/// Bins rise with their numbers: from zero up for numbers that are not negative (NaN last), from -1 down for the others.
fn bin_of(number: f64) -> i32 {
    let magnitude = ((number.to_bits() & !(1 << 63)) >> DROPPED_BITS) as i32;
    if number < 0.0 { -1 - magnitude } else { magnitude }
}

/// The number of the least magnitude in `bin` after so many doublings of the width.
fn edge_of(bin: i32, doublings: u32) -> f64 {
    let magnitude = u64::from(if bin < 0 { -1 - bin } else { bin }.unsigned_abs());
    let edge = f64::from_bits(magnitude << (DROPPED_BITS + doublings));
    if bin < 0 { -edge } else { edge }
}

/// The text of a bin's edge: the shortest that is read back as this float.
pub(crate) fn label(edge: f64) -> String {
    let magnitude = edge.abs();
    if magnitude != 0.0 && magnitude.is_finite() && !(1e-5..1e16).contains(&magnitude) {
        format!("{edge:e}")
    } else {
        edge.to_string()
    }
}

/// The counts of `numbers` in at most `k` bins, as the operation `histogram(k)` answers: null without a number, else a
/// map from the text of a bin's edge to the number of values in it.
///
/// A bin reaches from its edge away from zero. Its width is 1/128 of its numbers, doubled for all bins together as often
/// as it takes until at most `k` bins hold a number; after seven doublings every bin holds the numbers of one power of two.
/// So the bins follow from the numbers alone, not from their order. NaN lies beyond infinity. `k` is at least 2: numbers
/// of two signs are never in one bin.
pub fn histogram_of_numbers(numbers: impl IntoIterator<Item = f64>, k: u32) -> Value {
    let mut bins = Bins::default();
    numbers.into_iter().for_each(|number| bins.add(number));
    bins.histogram(k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_holds_its_edge_and_is_as_narrow_as_promised() {
        for number in [0.0, 1.0, -1.0, 1.5, 255.0, 256.0, 1e-300, -7e300, 5e-324, f64::MAX, f64::INFINITY] {
            let bin = bin_of(number);
            let edge = edge_of(bin, 0);
            assert_eq!(bin_of(edge + 0.0), if number == 5e-324 { 0 } else { bin }, "{number}");
            assert!(edge.abs() <= number.abs());
            if number.abs() > 1e-300 && number.is_finite() {
                assert!((number - edge).abs() <= number.abs() / 128.0, "{number}");
            }
        }
        assert!(bin_of(-2.0) < bin_of(-1.0) && bin_of(-1.0) < bin_of(0.0) && bin_of(1.0) < bin_of(2.0));
        assert!(bin_of(f64::NAN) > bin_of(f64::INFINITY), "NaN is ordered last");
        assert!(edge_of(bin_of(f64::NAN), 0).is_nan());
    }

    #[test]
    fn bins_double_until_few_enough_are_left() {
        let text =
            |k| histogram_of_numbers([-3.0, -1.0, 0.0, 1.0, 2.0, 3.0, 3.0, 100.0], k).to_json().to_string();
        assert_eq!(text(20), r#"{"-1":1,"-3":1,"0":1,"1":1,"100":1,"2":1,"3":2}"#);
        assert_eq!(text(2), r#"{"-0":2,"0":6}"#);
        assert_eq!(histogram_of_numbers([], 2), Value::Null);
    }

    #[test]
    fn a_quantile_is_a_rank() {
        let mut bins = Bins::default();
        (1..=100).for_each(|number| bins.add(f64::from(number)));
        let quantiles = [1, 10_000, 500_000, 500_001, 950_000, 999_999].map(|q| bins.quantile(q));
        assert_eq!(quantiles, [1.0, 1.0, 50.0, 51.0, 95.0, 100.0].map(Some));
    }
}
