//! Count and sums of the first four powers: what skewness and kurtosis are read from.
//!
//! Every sum is exact, so no order and no split of the events changes a bit. A power is exact too as long as its last bit
//! lies in the range of a float: for numbers between 1e-60 and 1e60, and whole numbers of any size. Beyond that range a
//! number still adds the same parts wherever it is counted: the value loses digits, never its independence of the order.

use crate::exact_sum::{ExactSum, two_product};

/// Sums of powers of numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Powers {
    pub(crate) count: u64,
    /// Of the numbers, their squares, cubes and fourth powers.
    pub(crate) sums: [ExactSum; 4],
}

/// Floats of falling magnitude that do not overlap; their sum is the number meant.
type Expansion = Vec<f64>;

impl Powers {
    pub(crate) fn add(&mut self, number: f64) {
        self.count += 1;
        if !number.is_finite() {
            self.sums.iter_mut().for_each(|sum| sum.add(number));
            return;
        }
        self.add_parts(&[number]);
    }

    /// A whole number of 64 bits does not fit one float; two hold it exactly.
    pub(crate) fn add_int(&mut self, number: i64) {
        self.count += 1;
        let high = number as f64;
        let low = (i128::from(number) - high as i128) as f64;
        if low == 0.0 { self.add_parts(&[high]) } else { self.add_parts(&[high, low]) }
    }

    fn add_parts(&mut self, number: &[f64]) {
        let mut power = number.to_vec();
        for (index, sum) in self.sums.iter_mut().enumerate() {
            if index > 0 {
                power = products(&power, number);
            }
            power.iter().for_each(|part| sum.add(*part));
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sums.iter_mut().zip(&other.sums).for_each(|(ours, theirs)| ours.merge(theirs));
    }

    pub(crate) fn unmerge(&mut self, other: &Self) {
        self.count = self.count.saturating_sub(other.count);
        self.sums.iter_mut().zip(&other.sums).for_each(|(ours, theirs)| ours.unmerge(theirs));
    }

    /// The population skewness; NaN without a spread, with a number that is not finite, or out of the range of floats.
    pub(crate) fn skew(&self) -> Option<f64> {
        (self.count > 0).then(|| self.skew_of_some().unwrap_or(f64::NAN))
    }

    /// The population excess kurtosis; NaN as for [`Powers::skew`].
    pub(crate) fn kurtosis(&self) -> Option<f64> {
        (self.count > 0).then(|| self.kurtosis_of_some().unwrap_or(f64::NAN))
    }

    /// With `S` the sums of powers and `n` the count: `n S3 n - 3 n S1 S2 + 2 S1^3` over `(n S2 - S1^2)^1.5`.
    fn skew_of_some(&self) -> Option<f64> {
        let [first, second, third, _] = self.parts()?;
        let count = [self.count as f64];
        let spread = self.spread(&first, &second)?;
        let square = multiply(&first, &first)?;
        let inner = sum(&multiply(&third, &count)?, &times(-3.0, &multiply(&first, &second)?)?)?;
        let numerator = sum(&multiply(&inner, &count)?, &times(2.0, &multiply(&square, &first)?)?)?;
        Some(rounded(&numerator)? / (spread * spread.sqrt()))
    }

    /// `n (n (n S4 - 4 S1 S3) + 6 S1^2 S2) - 3 S1^4` over `(n S2 - S1^2)^2`, minus 3.
    fn kurtosis_of_some(&self) -> Option<f64> {
        let [first, second, third, fourth] = self.parts()?;
        let count = [self.count as f64];
        let spread = self.spread(&first, &second)?;
        let square = multiply(&first, &first)?;
        let inner = sum(&multiply(&fourth, &count)?, &times(-4.0, &multiply(&first, &third)?)?)?;
        let inner = sum(&multiply(&inner, &count)?, &times(6.0, &multiply(&square, &second)?)?)?;
        let numerator = sum(&multiply(&inner, &count)?, &times(-3.0, &multiply(&square, &square)?)?)?;
        Some(rounded(&numerator)? / (spread * spread) - 3.0)
    }

    /// `n S2 - S1^2`, never zero.
    fn spread(&self, first: &[f64], second: &[f64]) -> Option<f64> {
        let count = [self.count as f64];
        let spread = sum(&multiply(second, &count)?, &times(-1.0, &multiply(first, first)?)?)?;
        rounded(&spread).filter(|spread| *spread > 0.0)
    }

    fn parts(&self) -> Option<[Expansion; 4]> {
        let part = |index: usize| canonical(&self.sums[index]);
        Some([part(0)?, part(1)?, part(2)?, part(3)?])
    }
}

/// The parts of `left` times `right`, exact while nothing leaves the range of floats. Not canonical.
fn products(left: &[f64], right: &[f64]) -> Expansion {
    let mut parts = Vec::with_capacity(2 * left.len() * right.len());
    for &one in left {
        for &other in right {
            let (product, error) = two_product(one, other);
            parts.push(product);
            if error.is_finite() && error != 0.0 {
                parts.push(error);
            }
        }
    }
    parts
}

fn canonical(sum: &ExactSum) -> Option<Expansion> {
    sum.is_ordinary().then(|| sum.canonical())
}

fn of_parts(parts: impl IntoIterator<Item = f64>) -> Option<Expansion> {
    let mut total = ExactSum::default();
    parts.into_iter().for_each(|part| total.add(part));
    canonical(&total)
}

fn multiply(left: &[f64], right: &[f64]) -> Option<Expansion> {
    of_parts(products(left, right))
}

fn times(factor: f64, number: &[f64]) -> Option<Expansion> {
    multiply(number, &[factor])
}

fn sum(left: &[f64], right: &[f64]) -> Option<Expansion> {
    of_parts(left.iter().chain(right).copied())
}

fn rounded(number: &[f64]) -> Option<f64> {
    let mut total = ExactSum::default();
    number.iter().for_each(|part| total.add(*part));
    Some(total.round()).filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn powers(numbers: &[f64]) -> Powers {
        let mut powers = Powers::default();
        numbers.iter().for_each(|number| powers.add(*number));
        powers
    }

    #[test]
    fn known_shapes() {
        assert_eq!(powers(&[-1.0, 1.0]).skew(), Some(0.0));
        assert_eq!(powers(&[-1.0, 1.0]).kurtosis(), Some(-2.0));
        assert_eq!(powers(&[0.0, 0.0, 0.0, 1.0]).skew(), Some(6.0 / (3.0 * 3.0_f64.sqrt())));
        assert_eq!(powers(&[]).skew(), None);
        assert!(powers(&[5.0, 5.0]).kurtosis().unwrap().is_nan());
        assert!(powers(&[1.0, f64::INFINITY]).skew().unwrap().is_nan());
        assert!(powers(&[1e200, 2.0]).skew().unwrap().is_nan(), "cubes leave the range");
    }

    #[test]
    fn a_shift_far_from_zero_changes_nothing() {
        let near = powers(&[1.0, 2.0, 4.0]);
        let far = powers(&[1e15 + 1.0, 1e15 + 2.0, 1e15 + 4.0]);
        assert_eq!((near.skew(), near.kurtosis()), (far.skew(), far.kurtosis()));
        let mut whole = Powers::default();
        [i64::MAX - 3, i64::MAX - 2, i64::MAX].into_iter().for_each(|number| whole.add_int(number));
        assert_eq!((near.skew(), near.kurtosis()), (whole.skew(), whole.kurtosis()));
    }
}
