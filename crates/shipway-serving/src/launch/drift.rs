//! How far two samples of predictions are from each other: the population stability index.
//!
//! `Σ (q − p) · ln(q ⁄ p)` over bins, where `p` and `q` are the shares of the two samples in a bin. Of two samples of one distribution
//! it is about `(bins − 1) · (1/n + 1/m)`, and over `1/n + 1/m` distributed like χ² with `bins − 1` degrees of freedom; 0.1 is commonly
//! called a small shift, 0.25 a large one.

use std::collections::BTreeMap;

/// The bins of numbers: tenths of the first sample.
const BINS: usize = 10;

/// Samples with at most so many different values are compared value by value.
const FEW_VALUES: usize = 20;

/// How far a normal number lies that a thousandth of all passes.
const ONE_IN_A_THOUSAND: f64 = 3.09;

/// How far one sample is from another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moved {
    /// The population stability index.
    pub(crate) index: f64,
    /// What the index of two samples of one distribution, as few as these, passes once in a thousand times.
    pub(crate) by_chance: f64,
}

/// The index between two samples; none if one is empty.
pub(crate) fn stability_index(before: &[f64], after: &[f64]) -> Option<f64> {
    moved(before, after).map(|moved| moved.index)
}

/// The index between two samples, and what chance would make of it; none if one is empty.
pub(crate) fn moved(before: &[f64], after: &[f64]) -> Option<Moved> {
    if before.is_empty() || after.is_empty() {
        return None;
    }
    let bin = binning(before, after);
    let mut bins: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for number in before {
        bins.entry(bin(*number)).or_default().0 += 1;
    }
    for number in after {
        bins.entry(bin(*number)).or_default().1 += 1;
    }
    let width = bins.len();
    let share = |count: usize, of: usize| smoothed(count, of, width);
    let term = |(in_before, in_after): &(usize, usize)| {
        let (p, q) = (share(*in_before, before.len()), share(*in_after, after.len()));
        (q - p) * (q / p).ln()
    };
    Some(Moved {
        index: bins.values().map(term).sum(),
        by_chance: by_chance(width, before.len(), after.len()),
    })
}

/// The quantile of χ², as Wilson and Hilferty approximate it, for samples of these sizes.
#[expect(clippy::cast_precision_loss, reason = "some thousand observations")]
fn by_chance(bins: usize, before: usize, after: usize) -> f64 {
    if bins < 2 {
        return 0.0;
    }
    let freedom = (bins - 1) as f64;
    let spread = 2.0 / (9.0 * freedom);
    let quantile = freedom * (1.0 - spread + ONE_IN_A_THOUSAND * spread.sqrt()).powi(3);
    quantile * (1.0 / before as f64 + 1.0 / after as f64)
}

/// A share that is never zero: half an observation is added to each bin.
#[expect(clippy::cast_precision_loss, reason = "some thousand observations")]
fn smoothed(count: usize, of: usize, bins: usize) -> f64 {
    (count as f64 + 0.5) / (of as f64 + 0.5 * bins as f64)
}

/// In which bin a number lies. What is no number has a bin of its own.
fn binning(before: &[f64], after: &[f64]) -> impl Fn(f64) -> usize {
    let mut values: Vec<f64> =
        before.iter().chain(after).copied().filter(|number| !number.is_nan()).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let edges = if values.len() <= FEW_VALUES {
        values
    } else {
        let mut sorted: Vec<f64> = before.iter().copied().filter(|number| !number.is_nan()).collect();
        sorted.sort_by(f64::total_cmp);
        let mut edges: Vec<f64> =
            (1..BINS).filter_map(|part| sorted.get(part * sorted.len() / BINS).copied()).collect();
        edges.dedup();
        edges
    };
    move |number| match number.is_nan() {
        true => usize::MAX,
        false => edges.partition_point(|edge| *edge <= number),
    }
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
mod tests {
    use super::*;

    #[test]
    fn the_same_sample_has_not_moved() {
        let sample: Vec<f64> = (0..1_000).map(|number| number as f64 * 0.001).collect();
        assert!(stability_index(&sample, &sample).unwrap().abs() < 1e-12);
    }

    #[test]
    fn the_index_of_known_shares_is_the_formula() {
        let sample = |ones: usize| -> Vec<f64> {
            (0..10_000).map(|number| if number < ones { 1.0 } else { 0.0 }).collect()
        };
        // Half and half against 80 to 20.
        let expected = (0.8_f64 - 0.5) * (0.8_f64 / 0.5).ln() + (0.2_f64 - 0.5) * (0.2_f64 / 0.5).ln();
        let index = stability_index(&sample(5_000), &sample(8_000)).unwrap();
        assert!((index - expected).abs() < 1e-3, "{index} {expected}");
    }

    #[test]
    fn a_shift_is_seen_in_numbers_and_noise_is_not() {
        let sample = |shift: f64, step: usize| -> Vec<f64> {
            (0..2_000).map(|number| ((number * step) % 2_003) as f64 / 2_003.0 + shift).collect()
        };
        assert!(stability_index(&sample(0.0, 7), &sample(0.0, 11)).unwrap() < 0.01);
        assert!(stability_index(&sample(0.0, 7), &sample(0.3, 11)).unwrap() > 0.25);
    }

    #[test]
    fn few_numbers_move_by_chance_and_many_do_not() {
        // χ² with 9 degrees of freedom passes 27.88 once in a thousand times, with 1 it passes 10.83.
        assert!((by_chance(10, 100, 100) - 27.88 * 0.02).abs() < 0.01);
        assert!((by_chance(2, 100, 100) - 10.83 * 0.02).abs() < 0.01);
        assert_eq!(by_chance(1, 100, 100), 0.0);
        // A sequence without pattern: each fifty of it are of one distribution.
        let mut state = 7_u64;
        let mut numbers = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64
        };
        let (mut above_a_gate, mut above_chance) = (0, 0);
        for _ in 0..1_000 {
            let (before, after): (Vec<f64>, Vec<f64>) = (0..50).map(|_| (numbers(), numbers())).unzip();
            let moved = moved(&before, &after).unwrap();
            above_a_gate += usize::from(moved.index > 0.2);
            above_chance += usize::from(moved.index > moved.by_chance);
        }
        assert!(above_a_gate > 500 && above_chance < 10, "{above_a_gate} {above_chance}");
    }

    #[test]
    fn a_constant_that_changes_and_what_is_no_number_are_seen() {
        assert!(stability_index(&[1.0; 500], &[2.0; 500]).unwrap() > 1.0);
        assert!(stability_index(&[1.0; 500], &[f64::NAN; 500]).unwrap() > 1.0);
        assert!(stability_index(&[f64::NAN; 500], &[f64::NAN; 500]).unwrap().abs() < 1e-12);
        assert_eq!(stability_index(&[], &[1.0]), None);
    }
}
