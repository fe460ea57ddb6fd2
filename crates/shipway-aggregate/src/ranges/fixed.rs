//! Floats as integers of one unit: the smallest bit that any of them has. Sums of them are exact, and a difference of two
//! running sums is as exact as the sum between them.

use std::cell::OnceCell;

/// Beyond these powers of two a sum, a square or a rounded result might leave the normal range.
const LEAST_EXPONENT: i32 = -450;
const GREATEST_EXPONENT: i32 = 450;

/// Running sums of a column: at each event the sum of all before it.
#[derive(Debug)]
pub(super) struct Fixed {
    pub(super) sums: RunningSums,
    /// What one is worth.
    pub(super) unit: f64,
}

#[derive(Debug)]
pub(super) enum RunningSums {
    /// Where sums take up to 64 bits: squares, and the variance over the whole array, fit 128 bits then.
    Narrow {
        sums: Vec<i64>,
        scaled: Vec<i64>,
        squares: OnceCell<Vec<i128>>,
    },
    Wide(Vec<i128>),
}

/// The finite float as `mantissa * 2^exponent`, the mantissa odd; `(0, 0)` for zero.
fn parts(number: f64) -> (i64, i32) {
    let bits = number.to_bits();
    let raw_exponent = ((bits >> 52) & 0x7ff) as i32;
    let fraction = (bits & ((1 << 52) - 1)).cast_signed();
    let (mantissa, exponent) =
        if raw_exponent == 0 { (fraction, -1074) } else { (fraction | (1 << 52), raw_exponent - 1075) };
    if mantissa == 0 {
        return (0, 0);
    }
    let zeros = mantissa.trailing_zeros();
    let odd = mantissa >> zeros;
    (if number.is_sign_negative() { -odd } else { odd }, exponent + zeros.cast_signed())
}

impl Fixed {
    /// `None` when some value is not finite, or when their magnitudes lie too far apart for 128 bits.
    pub(super) fn of(values: &[f64], present: Option<&[bool]>) -> Option<Self> {
        let (least, greatest) = span(values, present)?;
        let length_bits = usize::BITS - values.len().leading_zeros();
        let bits = (greatest - least).max(0).cast_unsigned() + length_bits + 1;
        let unit = f64::from_bits(u64::from((1023 + least).cast_unsigned()) << 52);
        let scaled = |event: usize| {
            if present.is_some_and(|present| !present[event]) {
                return 0_i128;
            }
            match parts(values[event]) {
                (0, _) => 0,
                (odd, exponent) => i128::from(odd) << (exponent - least),
            }
        };
        let sums = if bits <= i64::BITS {
            narrow(values.len(), scaled)
        } else if bits <= i128::BITS {
            let mut sum = 0;
            let mut sums = Vec::with_capacity(values.len() + 1);
            sums.push(sum);
            sums.extend((0..values.len()).map(|event| {
                sum += scaled(event);
                sum
            }));
            RunningSums::Wide(sums)
        } else {
            return None;
        };
        Some(Self { sums, unit })
    }
}

fn narrow(length: usize, scaled: impl Fn(usize) -> i128) -> RunningSums {
    let scaled: Vec<i64> = (0..length).map(|event| scaled(event) as i64).collect();
    let mut sum = 0;
    let mut sums = Vec::with_capacity(length + 1);
    sums.push(sum);
    sums.extend(scaled.iter().map(|value| {
        sum += value;
        sum
    }));
    RunningSums::Narrow { sums, scaled, squares: OnceCell::new() }
}

/// At each event the sum of the squares of all before it.
pub(super) fn running_squares(scaled: &[i64]) -> Vec<i128> {
    let mut square = 0;
    let mut squares = Vec::with_capacity(scaled.len() + 1);
    squares.push(square);
    squares.extend(scaled.iter().map(|value| {
        square += i128::from(*value) * i128::from(*value);
        square
    }));
    squares
}

/// The exponent of the smallest bit of any value, and that beyond the greatest bit.
fn span(values: &[f64], present: Option<&[bool]>) -> Option<(i32, i32)> {
    let (mut least, mut greatest) = (i32::MAX, i32::MIN);
    for (event, value) in values.iter().enumerate() {
        if present.is_some_and(|present| !present[event]) {
            continue;
        }
        if !value.is_finite() {
            return None;
        }
        let (odd, exponent) = parts(*value);
        if odd != 0 {
            least = least.min(exponent);
            greatest = greatest.max(exponent + 64 - odd.unsigned_abs().leading_zeros().cast_signed());
        }
    }
    if least > greatest {
        return Some((0, 0));
    }
    (least >= LEAST_EXPONENT && greatest <= GREATEST_EXPONENT).then_some((least, greatest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_float_is_its_odd_mantissa_times_a_power_of_two() {
        for (number, expected) in [
            (0.0, (0, 0)),
            (1.0, (1, 0)),
            (-6.0, (-3, 1)),
            (0.75, (3, -2)),
            (5e-324, (1, -1074)),
            (f64::MIN_POSITIVE, (1, -1022)),
        ] {
            assert_eq!(parts(number), expected, "{number}");
        }
    }

    #[test]
    fn whole_numbers_are_narrow_and_fractions_of_ten_are_wide() {
        let narrow = Fixed::of(&[3.0, -7.0, 1_000_000.0], None).unwrap();
        assert!(matches!(narrow.sums, RunningSums::Narrow { .. }));
        let wide = Fixed::of(&[0.1, 1_000.1, 0.0], None).unwrap();
        assert!(matches!(wide.sums, RunningSums::Wide(_)));
        for strange in [f64::NAN, f64::INFINITY, 5e-324, 1e300] {
            assert!(Fixed::of(&[1.0, strange], None).is_none(), "{strange}");
            assert!(
                Fixed::of(&[1.0, strange], Some(&[true, false])).is_some(),
                "what is not there is not read"
            );
        }
        assert!(Fixed::of(&[1e-20, 1e25], None).is_none(), "too far apart");
    }
}
