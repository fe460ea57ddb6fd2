//! Count, sum and sum of squares: what variance and standard deviation are read from.

use crate::exact_sum::{ExactSum, two_product};

/// Moments of floats, exact: squares enter as a product and its rounding error.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FloatMoments {
    pub(crate) count: u64,
    pub(crate) sum: ExactSum,
    pub(crate) squares: ExactSum,
}

impl FloatMoments {
    pub(crate) fn add(&mut self, number: f64) {
        self.count += 1;
        self.sum.add(number);
        let (square, error) = two_product(number, number);
        self.squares.add(square);
        if error.is_finite() {
            self.squares.add(error);
        }
    }

    /// Takes one number away that was added before.
    pub(crate) fn subtract(&mut self, number: f64) {
        self.count -= 1;
        self.sum.subtract(number);
        let (square, error) = two_product(number, number);
        self.squares.subtract(square);
        if error.is_finite() {
            self.squares.subtract(error);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
        self.squares.merge(&other.squares);
    }

    pub(crate) fn unmerge(&mut self, other: &Self) {
        self.count -= other.count;
        self.sum.unmerge(&other.sum);
        self.squares.unmerge(&other.squares);
    }

    /// `(n * sum of squares - sum^2) / n^2`, the numerator exact before it is rounded, so it never cancels.
    ///
    /// NaN or an infinity among the numbers gives NaN; squares beyond the range of a float give infinity.
    pub(crate) fn variance(&self) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if !self.sum.is_ordinary() && !self.sum.round().is_finite() {
            return Some(f64::NAN);
        }
        if !self.sum.is_ordinary() || !self.squares.is_ordinary() {
            return Some(f64::INFINITY);
        }
        let count = self.count as f64;
        let mut numerator = ExactSum::default();
        for part in self.squares.canonical() {
            let (product, error) = two_product(count, part);
            numerator.add(product);
            numerator.add(error);
        }
        let parts = self.sum.canonical();
        for &left in &parts {
            for &right in &parts {
                let (product, error) = two_product(left, right);
                numerator.subtract(product);
                numerator.subtract(error);
            }
        }
        let numerator = numerator.round();
        Some(if numerator.is_finite() { numerator.max(0.0) / (count * count) } else { f64::INFINITY })
    }
}

/// Moments of integers, exact in 128 bits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntMoments {
    pub(crate) count: u64,
    pub(crate) sum: i128,
    /// `None` once the squares left 128 bits, which takes four values near the ends of the 64-bit range.
    pub(crate) squares: Option<i128>,
}

impl IntMoments {
    pub(crate) const EMPTY: Self = Self { count: 0, sum: 0, squares: Some(0) };

    pub(crate) fn add(&mut self, number: i64) {
        self.count += 1;
        self.sum += i128::from(number);
        self.squares = self.squares.and_then(|squares| squares.checked_add(i128::from(number).pow(2)));
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.squares = self.squares.zip(other.squares).and_then(|(ours, theirs)| ours.checked_add(theirs));
    }

    /// The population variance; `Err` when the squares left 128 bits.
    pub(crate) fn variance(&self) -> Result<Option<f64>, ()> {
        if self.count == 0 {
            return Ok(None);
        }
        let squares = self.squares.ok_or(())?;
        let count = i128::from(self.count);
        let exact = count
            .checked_mul(squares)
            .zip(self.sum.checked_mul(self.sum))
            .and_then(|(left, right)| left.checked_sub(right));
        let numerator = match exact {
            Some(exact) => exact as f64,
            None => wide_numerator(self.count as f64, squares, self.sum),
        };
        Ok(Some(numerator.max(0.0) / ((count as f64) * (count as f64))))
    }
}

/// `count * squares - sum^2` where that takes more than 128 bits, exact before it is rounded.
fn wide_numerator(count: f64, squares: i128, sum: i128) -> f64 {
    let mut numerator = ExactSum::default();
    for part in float_parts(squares) {
        let (product, error) = two_product(count, part);
        numerator.add(product);
        numerator.add(error);
    }
    let parts = float_parts(sum);
    for left in parts {
        for right in parts {
            let (product, error) = two_product(left, right);
            numerator.subtract(product);
            numerator.subtract(error);
        }
    }
    numerator.round()
}

/// Floats that add up to `number`, each the rounding of what is left.
fn float_parts(number: i128) -> [f64; 3] {
    let mut rest = number;
    [(); 3].map(|()| {
        let part = rest as f64;
        // Just below 2^127 the rounding is 2^127, which is no number of 128 bits.
        rest = if part >= i128::MAX as f64 { rest - i128::MAX - 1 } else { rest - part as i128 };
        part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_has_no_variance_however_large() {
        let mut moments = FloatMoments::default();
        for _ in 0..1000 {
            moments.add(1e9 + 0.1);
        }
        assert_eq!(moments.variance(), Some(0.0));
    }

    #[test]
    fn a_small_spread_on_a_large_mean_is_exact() {
        let mut moments = FloatMoments::default();
        for number in [1e15 + 1.0, 1e15 + 2.0, 1e15 + 3.0] {
            moments.add(number);
        }
        assert_eq!(moments.variance(), Some(6.0 / 9.0));
    }

    #[test]
    fn integers_agree_with_floats() {
        let mut floats = FloatMoments::default();
        let mut integers = IntMoments::EMPTY;
        for number in [-5, 3, 3, 40, 1_000_000] {
            floats.add(number as f64);
            integers.add(number);
        }
        assert_eq!(integers.variance(), Ok(floats.variance()));
    }

    #[test]
    fn integers_whose_moments_leave_128_bits_agree_with_floats() {
        let mut floats = FloatMoments::default();
        let mut integers = IntMoments::EMPTY;
        for number in [(1_i64 << 62) + (1 << 10), -(1 << 62)].repeat(3).into_iter().chain([7]) {
            floats.add(number as f64);
            integers.add(number);
        }
        assert_eq!(integers.variance(), Ok(floats.variance()));
    }
}
