//! Sums and powers of decimals, exact whatever their number: what sums, averages and the measures of spread are read from.
//!
//! A state holds whole numbers only, those of the decimals without their point, so it adds and subtracts without rounding in
//! any order. What comes of it is rounded once: a sum not at all, an average and a variance to the nearest float.

use num_bigint::{BigInt, BigUint, Sign};
use shipway_core::Decimal;

/// A sum of whole numbers of 128 bits, in 192: room for as many of them as can be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WideSum {
    pub(crate) low: u128,
    pub(crate) high: i64,
}

impl WideSum {
    #[inline]
    pub(crate) const fn add(&mut self, number: i128) {
        self.merge(Self { low: number.cast_unsigned(), high: (number >> 127) as i64 });
    }

    pub(crate) const fn merge(&mut self, other: Self) {
        let (low, carries) = self.low.overflowing_add(other.low);
        self.low = low;
        self.high = self.high.wrapping_add(other.high).wrapping_add(carries as i64);
    }

    pub(crate) const fn unmerge(&mut self, other: Self) {
        let (low, borrows) = self.low.overflowing_sub(other.low);
        self.low = low;
        self.high = self.high.wrapping_sub(other.high).wrapping_sub(borrows as i64);
    }

    /// The sum where it fits 128 bits.
    const fn narrow(self) -> Option<i128> {
        let low = self.low.cast_signed();
        if self.high == (low >> 127) as i64 { Some(low) } else { None }
    }

    /// The sum as a decimal of `scale`; `None` beyond 38 digits.
    pub(crate) fn decimal(self, scale: u8) -> Option<Decimal> {
        Decimal::new(self.narrow()?, scale)
    }

    /// The sum over `count`, with `scale` digits after the point, rounded once to the nearest float.
    pub(crate) fn average(self, count: u64, scale: u8) -> f64 {
        /// Whole numbers up to here are floats, so one division of two of them rounds once.
        const EXACT: u128 = 1 << 53;
        let divisor = 10_u128.pow(u32::from(scale)).saturating_mul(u128::from(count));
        match self.narrow() {
            Some(sum) if sum.unsigned_abs() <= EXACT && divisor <= EXACT => sum as f64 / divisor as f64,
            _ => nearest(&self.whole(), &(power_of_ten(scale) * count)),
        }
    }

    fn whole(self) -> BigInt {
        (BigInt::from(self.high) << 128) + BigInt::from(self.low)
    }
}

/// How many powers a state of variance holds, and how many one of skewness and kurtosis.
pub(crate) const MOMENTS: usize = 2;
pub(crate) const POWERS: usize = 4;

/// Count and sums of the first powers of decimals without their point: two for variance, four for skewness and kurtosis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecimalPowers {
    pub(crate) count: u64,
    pub(crate) sums: Vec<BigInt>,
}

impl DecimalPowers {
    pub(crate) fn empty(powers: usize) -> Self {
        Self { count: 0, sums: vec![BigInt::ZERO; powers] }
    }

    pub(crate) fn add(&mut self, unscaled: i128) {
        self.count += 1;
        let number = BigInt::from(unscaled);
        let mut power = BigInt::from(1);
        for sum in &mut self.sums {
            power *= &number;
            *sum += &power;
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sums.iter_mut().zip(&other.sums).for_each(|(ours, theirs)| *ours += theirs);
    }

    pub(crate) fn unmerge(&mut self, other: &Self) {
        self.count = self.count.saturating_sub(other.count);
        self.sums.iter_mut().zip(&other.sums).for_each(|(ours, theirs)| *ours -= theirs);
    }

    /// The population variance of decimals of `scale`, rounded once.
    pub(crate) fn variance(&self, scale: u8) -> Option<f64> {
        let [first, second, ..] = self.sums.as_slice() else { return None };
        let count = BigUint::from(self.count);
        let one = power_of_ten(scale);
        let divisor = &count * &count * &one * &one;
        (self.count > 0).then(|| nearest(&self.spread(first, second), &divisor))
    }

    /// The population skewness; NaN without a spread. The point is of no matter to it.
    pub(crate) fn skew(&self) -> Option<f64> {
        let [first, second, third, _] = self.sums.as_slice() else { return None };
        let n = BigInt::from(self.count);
        let spread = float(&self.spread(first, second));
        let numerator: BigInt = &n * &n * third - 3 * &n * first * second + 2 * first.pow(3);
        let skew = float(&numerator) / (spread * spread.sqrt());
        (self.count > 0).then_some(if spread > 0.0 { skew } else { f64::NAN })
    }

    /// The population excess kurtosis; NaN without a spread.
    pub(crate) fn kurtosis(&self) -> Option<f64> {
        let [first, second, third, fourth] = self.sums.as_slice() else { return None };
        let n = BigInt::from(self.count);
        let spread = float(&self.spread(first, second));
        let numerator: BigInt = n.pow(3) * fourth - 4 * n.pow(2) * first * third
            + 6 * &n * first.pow(2) * second
            - 3 * first.pow(4);
        let kurtosis = float(&numerator) / (spread * spread) - 3.0;
        (self.count > 0).then_some(if spread > 0.0 { kurtosis } else { f64::NAN })
    }

    /// `n S2 - S1^2`, never negative.
    fn spread(&self, first: &BigInt, second: &BigInt) -> BigInt {
        second * self.count - first * first
    }
}

fn power_of_ten(exponent: u8) -> BigUint {
    BigUint::from(10_u128.pow(u32::from(exponent)))
}

fn float(whole: &BigInt) -> f64 {
    nearest(whole, &BigUint::from(1_u8))
}

/// `numerator / divisor` rounded to the nearest float, ties to even. Neither is so large or small that the quotient would leave
/// the range of normal floats. The divisor is not zero.
fn nearest(numerator: &BigInt, divisor: &BigUint) -> f64 {
    /// More bits than a float has, so that what is below them only says whether there is anything.
    const BITS: i64 = 64;
    let magnitude = numerator.magnitude();
    // The quotient of the shifted numbers has 64 or 65 bits.
    let shift = BITS - (magnitude.bits() as i64 - divisor.bits() as i64);
    let (left, right) = if shift >= 0 {
        (magnitude << shift.unsigned_abs(), divisor.clone())
    } else {
        (magnitude.clone(), divisor << shift.unsigned_abs())
    };
    let quotient = &left / &right;
    let has_rest = quotient.clone() * right != left;
    let bits = u128::try_from(&quotient).unwrap_or_default();
    // One more bit, set where something is left: the conversion of a whole number to a float rounds to nearest, ties to even.
    let rounded = ((bits << 1) | u128::from(has_rest)) as f64;
    let float = rounded * two_to(-(shift as i32) - 1);
    if numerator.sign() == Sign::Minus { -float } else { float }
}

/// A power of two; the exponents here are within the range of normal floats.
fn two_to(exponent: i32) -> f64 {
    2.0_f64.powi(exponent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The digits of a quotient, so many that no point halfway between two floats can hide behind them, and the standard
    /// library's reading of them.
    fn by_long_division(numerator: i128, divisor: u128) -> f64 {
        let scaled = BigUint::from(numerator.unsigned_abs()) * BigUint::from(10_u8).pow(400);
        let (quotient, rest) = (&scaled / divisor, &scaled % divisor);
        let sign = if numerator < 0 { "-" } else { "" };
        let beyond = if rest == BigUint::ZERO { "" } else { "1" };
        let exponent = 400 + beyond.len();
        format!("{sign}{quotient}{beyond}e-{exponent}").parse().unwrap()
    }

    #[test]
    fn a_sum_goes_beyond_128_bits_and_comes_back() {
        let mut sum = WideSum::default();
        let most = 10_i128.pow(38) - 1;
        for _ in 0..10 {
            sum.add(most);
        }
        assert_eq!(sum.decimal(2), None, "39 digits");
        let mut negative = WideSum::default();
        for _ in 0..11 {
            negative.add(-most);
        }
        sum.merge(negative);
        assert_eq!(sum.decimal(0), Decimal::new(-most, 0));
        sum.unmerge(negative);
        assert_eq!(sum.whole(), BigInt::from(most) * 10);
        assert_eq!(sum.average(10, 0), 1e38);
    }

    #[test]
    fn a_constant_has_no_spread_and_a_large_mean_hides_none() {
        let mut powers = DecimalPowers::empty(POWERS);
        [1, 2, 4].into_iter().for_each(|number| powers.add(10_i128.pow(37) + number));
        assert_eq!(powers.variance(0), Some(14.0 / 9.0));
        assert_eq!(powers.variance(2), Some(14.0 / 90_000.0));
        let near = powers.clone();
        let mut far = DecimalPowers::empty(POWERS);
        [1, 2, 4].into_iter().for_each(|number| far.add(number));
        assert_eq!((near.skew(), near.kurtosis()), (far.skew(), far.kurtosis()));
        let mut constant = DecimalPowers::empty(POWERS);
        (0..3).for_each(|_| constant.add(10));
        assert_eq!(constant.variance(1), Some(0.0));
        assert!(constant.skew().unwrap().is_nan() && constant.kurtosis().unwrap().is_nan());
        assert_eq!(DecimalPowers::empty(POWERS).skew(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn a_quotient_is_rounded_once(numerator in any::<i128>(), shift in 0_u32..120, divisor in 1_u128..u128::MAX, smaller in 0_u32..120) {
            let (numerator, divisor) = (numerator >> shift, (divisor >> smaller).max(1));
            let got = nearest(&BigInt::from(numerator), &BigUint::from(divisor));
            prop_assert_eq!(got.to_bits(), (by_long_division(numerator, divisor) + 0.0).to_bits());
        }

        #[test]
        fn an_average_is_rounded_once(sum in any::<i128>(), shift in 0_u32..120, count in 1_u64..u64::MAX, fewer in 0_u32..60, scale in 0_u8..=38) {
            let count = (count >> fewer).max(1);
            let numerator = sum >> shift;
            let mut wide = WideSum::default();
            wide.add(numerator);
            let exact = nearest(&BigInt::from(numerator), &(power_of_ten(scale) * count));
            prop_assert_eq!(wide.average(count, scale), exact);
        }
    }
}
