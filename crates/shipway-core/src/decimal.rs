//! Decimal numbers: exact, of up to 38 digits, with a fixed number of them after the point.
//!
//! A decimal is a whole number of 128 bits and a scale: 12.50 at scale 2 is 1250. That is the form that Arrow, Parquet and
//! Delta have too, so nothing is converted on the way. Text is read digit by digit and never through a float.

use std::{cmp::Ordering, fmt};

/// How many digits a column of decimals has, and how many of them stand after the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecimalType {
    precision: u8,
    scale: u8,
}

impl DecimalType {
    /// The most digits that a decimal can have.
    pub const MOST_DIGITS: u8 = 38;

    /// The type of decimals of at most `precision` digits, `scale` of them after the point; `None` unless there are 1 to 38
    /// digits, and no more after the point than in all.
    pub const fn new(precision: u8, scale: u8) -> Option<Self> {
        if precision == 0 || precision > Self::MOST_DIGITS || scale > precision {
            return None;
        }
        Some(Self { precision, scale })
    }

    /// How many digits there are in all.
    pub const fn precision(self) -> u8 {
        self.precision
    }

    /// How many digits stand after the point.
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// The type with this scale and as many digits as there can be: what sums have.
    #[must_use]
    pub const fn widest(self) -> Self {
        Self { precision: Self::MOST_DIGITS, scale: self.scale }
    }

    /// Whether every decimal of `other` is one of this type too: no digit is lost on either side of the point.
    pub const fn holds(self, other: Self) -> bool {
        self.scale >= other.scale && self.precision - self.scale >= other.precision - other.scale
    }

    /// `18,2` and `18, 2`, and `18` for no digit after the point.
    pub(crate) fn from_parameters(text: &str) -> Option<Self> {
        let (precision, scale) = text.split_once(',').unwrap_or((text, "0"));
        let number = |text: &str| -> Option<u8> {
            let digits = text.trim();
            digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
        };
        Self::new(number(precision)?, number(scale)?)
    }
}

/// As definitions have it: `decimal(18,2)`.
impl fmt::Display for DecimalType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "decimal({},{})", self.precision, self.scale)
    }
}

/// A decimal number. Equal ones have equal scales: 1.0 is not 1.00, but a column has one scale only.
///
/// The number is kept as bytes, so that it needs no alignment and a [`crate::Value`] is as small with it as without.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    unscaled: [u8; 16],
    scale: u8,
}

impl Decimal {
    /// `unscaled` over ten to the power of `scale`; `None` beyond 38 digits.
    pub const fn new(unscaled: i128, scale: u8) -> Option<Self> {
        if scale > DecimalType::MOST_DIGITS
            || unscaled.unsigned_abs() >= power_of_ten(DecimalType::MOST_DIGITS)
        {
            return None;
        }
        Some(Self { unscaled: unscaled.to_le_bytes(), scale })
    }

    /// `number` with the scale of `to`; `None` when it has too many digits.
    pub fn from_int(number: i128, to: DecimalType) -> Option<Self> {
        let factor = i128::try_from(power_of_ten(to.scale)).ok()?;
        Self::new(number.checked_mul(factor)?, to.scale).filter(|decimal| decimal.fits(to))
    }

    /// Reads digits with a sign, a point and an exponent where there are any, as a decimal of `to`; `None` when the text is
    /// no number, or when a digit that is not zero has no place in `to`.
    pub fn parse(text: &str, to: DecimalType) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
            None => (text, 0),
        };
        let (is_negative, unsigned) = match mantissa.as_bytes().first()? {
            b'-' => (true, &mantissa[1..]),
            b'+' => (false, &mantissa[1..]),
            _ => (false, mantissa),
        };
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let Some(first) = digits().position(|byte| byte != b'0') else { return Self::new(0, to.scale) };
        let last = digits().enumerate().filter(|(_, byte)| *byte != b'0').last()?.0;
        // The digits from the first to the last that is not zero; the point stands behind `before_point` of them.
        let before_point = i64::try_from(whole.len()).ok()? + exponent - i64::try_from(first).ok()?;
        let count = i64::try_from(last - first).ok()? + 1;
        let added_zeros = i64::from(to.scale) - (count - before_point);
        if added_zeros < 0 || before_point + i64::from(to.scale) > i64::from(to.precision) {
            return None;
        }
        let magnitude = digits()
            .skip(first)
            .take(usize::try_from(count).ok()?)
            .fold(0_u128, |magnitude, byte| magnitude * 10 + u128::from(byte - b'0'));
        let magnitude = i128::try_from(magnitude * power_of_ten(u8::try_from(added_zeros).ok()?)).ok()?;
        Self::new(if is_negative { -magnitude } else { magnitude }, to.scale)
    }

    /// The number without its point.
    #[inline]
    pub const fn unscaled(self) -> i128 {
        i128::from_le_bytes(self.unscaled)
    }

    /// How many digits stand after the point.
    #[inline]
    pub const fn scale(self) -> u8 {
        self.scale
    }

    /// Whether this is a decimal of `data_type`: its scale, and no more digits than it has.
    #[inline]
    pub const fn fits(self, data_type: DecimalType) -> bool {
        self.scale == data_type.scale && self.unscaled().unsigned_abs() < power_of_ten(data_type.precision)
    }

    /// The same number as a decimal of `to`; `None` when a digit that is not zero would be lost.
    pub fn rescaled(self, to: DecimalType) -> Option<Self> {
        let unscaled = self.unscaled();
        let unscaled = if to.scale >= self.scale {
            unscaled.checked_mul(i128::try_from(power_of_ten(to.scale - self.scale)).ok()?)?
        } else {
            let factor = i128::try_from(power_of_ten(self.scale - to.scale)).ok()?;
            (unscaled % factor == 0).then_some(unscaled / factor)?
        };
        Self::new(unscaled, to.scale).filter(|decimal| decimal.fits(to))
    }

    /// The nearest float, ties to even: what a model is given.
    pub fn to_float(self) -> f64 {
        /// Whole numbers up to here, and powers of ten up to the 22nd, are floats: one division rounds once.
        const EXACT: u128 = 1 << 53;
        const EXACT_POWER: u8 = 22;
        let unscaled = self.unscaled();
        if unscaled.unsigned_abs() <= EXACT && self.scale <= EXACT_POWER {
            return unscaled as f64 / power_of_ten(self.scale) as f64;
        }
        // The standard library rounds the digits correctly; it reads every text that is written here.
        self.to_string().parse().unwrap_or(f64::NAN)
    }

    /// The largest whole number that is not above it, and what is left in units of the 38th digit after the point.
    const fn parts(self) -> (i128, i128) {
        let one = power_of_ten(self.scale) as i128;
        let rest = power_of_ten(DecimalType::MOST_DIGITS - self.scale) as i128;
        (self.unscaled().div_euclid(one), self.unscaled().rem_euclid(one) * rest)
    }
}

/// Ten to the power of `exponent`, which is at most 38.
const fn power_of_ten(exponent: u8) -> u128 {
    10_u128.pow(exponent as u32)
}

/// An exponent; one that is beyond all digits is cut to a number that still is.
fn exponent_of(text: &str) -> Option<i64> {
    const BEYOND: i64 = 1 << 40;
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits.parse().unwrap_or(BEYOND).min(BEYOND);
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

/// By value; of two equal numbers the one with fewer digits after the point comes first.
impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.scale == other.scale {
            return self.unscaled().cmp(&other.unscaled());
        }
        self.parts().cmp(&other.parts()).then(self.scale.cmp(&other.scale))
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Every digit after the point that its scale has, at least one digit before it, never an exponent: `-0.50`.
impl fmt::Display for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unscaled = self.unscaled();
        let sign = if unscaled < 0 { "-" } else { "" };
        let (magnitude, one) = (unscaled.unsigned_abs(), power_of_ten(self.scale));
        if self.scale == 0 {
            return write!(formatter, "{sign}{magnitude}");
        }
        let width = usize::from(self.scale);
        write!(formatter, "{sign}{}.{:0width$}", magnitude / one, magnitude % one)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{DataType, Value};

    fn of(precision: u8, scale: u8) -> DecimalType {
        DecimalType::new(precision, scale).unwrap()
    }

    fn read(text: &str, precision: u8, scale: u8) -> Option<String> {
        Decimal::parse(text, of(precision, scale)).map(|decimal| decimal.to_string())
    }

    #[test]
    fn text_is_read_to_the_last_digit_and_written_with_its_scale() {
        for (text, written) in [
            ("12.5", "12.50"),
            ("-0.1", "-0.10"),
            ("+7", "7.00"),
            ("-0", "0.00"),
            (".5", "0.50"),
            ("5.", "5.00"),
            ("1.500000000000000000000000000000000000000000000000", "1.50"),
            ("0000000000000000000000000000000000000000000000000001", "1.00"),
            ("1.5e1", "15.00"),
            ("1500E-3", "1.50"),
            ("0e999999999999999999999", "0.00"),
            ("9999999999999999.99", "9999999999999999.99"),
        ] {
            assert_eq!(read(text, 18, 2).as_deref(), Some(written), "{text}");
        }
        let most = "9".repeat(38);
        assert_eq!(read(&most, 38, 0), Some(most.clone()));
        assert_eq!(read(&format!("-0.{most}"), 38, 38), Some(format!("-0.{most}")));
    }

    #[test]
    fn a_digit_that_has_no_place_is_refused_and_never_rounded() {
        for text in [
            "12.345",
            "10000000000000000",
            "1e16",
            "1e-3",
            "",
            "-",
            ".",
            "1.2.3",
            "1e",
            "0x1",
            "1 ",
            " 1",
            "1,5",
            "NaN",
            "1e99999999999999999999",
            "1e-99999999999999999999",
            "--1",
            "é",
        ] {
            assert_eq!(read(text, 18, 2), None, "{text:?}");
        }
        assert_eq!(read(&"9".repeat(39), 38, 0), None);
        assert_eq!(Decimal::new(10_i128.pow(38), 0), None);
        assert_eq!(Decimal::new(i128::MIN, 0), None);
        assert_eq!(Decimal::from_int(100, of(3, 1)), None);
        assert_eq!(Decimal::from_int(-99, of(3, 1)).unwrap().to_string(), "-99.0");
    }

    #[test]
    fn types_have_1_to_38_digits_and_no_more_of_them_after_the_point() {
        for (precision, scale) in [(0, 0), (39, 0), (3, 4), (39, 39)] {
            assert_eq!(DecimalType::new(precision, scale), None);
        }
        assert_eq!(DecimalType::from_parameters("18, 2"), Some(of(18, 2)));
        assert_eq!(DecimalType::from_parameters("18"), Some(of(18, 0)));
        for text in ["", "18,", ",2", "18;2", "18,2,1", "-1,0", "+1,0", "300,2"] {
            assert_eq!(DecimalType::from_parameters(text), None, "{text}");
        }
        assert!(of(18, 4).holds(of(16, 2)) && !of(18, 4).holds(of(18, 2)) && !of(18, 2).holds(of(5, 3)));
    }

    #[test]
    fn decimals_of_any_scale_compare_by_value() {
        let decimal = |text: &str, scale| Decimal::parse(text, of(38, scale)).unwrap();
        let mut sorted = vec![
            decimal("-99999999999999999999999999999999999999", 0),
            decimal("-0.5", 1),
            decimal("-0.49", 2),
            decimal("0", 0),
            decimal("0", 3),
            decimal("0.00000000000000000000000000000000000001", 38),
            decimal("0.5", 1),
            decimal("0.50", 2),
            decimal("0.51", 2),
            decimal("1", 0),
        ];
        let expected = sorted.clone();
        sorted.reverse();
        sorted.sort();
        assert_eq!(sorted, expected);
        assert_ne!(decimal("1", 0), decimal("1", 1));
    }

    #[test]
    fn a_change_of_scale_keeps_the_number_or_is_refused() {
        let one_and_a_half = Decimal::parse("1.50", of(3, 2)).unwrap();
        assert_eq!(one_and_a_half.rescaled(of(3, 1)).unwrap().to_string(), "1.5");
        assert_eq!(
            one_and_a_half.rescaled(of(38, 37)).unwrap().to_string(),
            format!("1.5{}", "0".repeat(36))
        );
        assert_eq!(one_and_a_half.rescaled(of(3, 0)), None);
        assert_eq!(one_and_a_half.rescaled(of(38, 38)), None);
    }

    fn decimal(text: &str, precision: u8, scale: u8) -> Value {
        Value::Decimal(Decimal::parse(text, of(precision, scale)).unwrap())
    }

    #[test]
    fn decimals_are_read_from_text_and_whole_numbers_and_never_from_a_float() {
        let price = DataType::Decimal(of(5, 2));
        let read = |json: &str| Value::from_json(&serde_json::from_str(json).unwrap(), price);
        assert_eq!(read("\"1.5\""), Ok(decimal("1.50", 5, 2)));
        assert_eq!(read("-7"), Ok(decimal("-7.00", 5, 2)));
        for wrong in ["1.5", "1e2", "\"1.005\"", "1000", "\"\"", "true", "18446744073709551616"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read("\"1.005\"").unwrap_err().to_string(), "expected decimal(5,2), got \"1.005\"");
        assert!(!decimal("1.5", 5, 1).is_of(price), "another scale");
        assert!(!decimal("1000", 6, 2).is_of(price), "too many digits");
    }

    #[test]
    fn decimals_are_stored_as_scale_and_number_and_nothing_beyond_38_digits_is_one() {
        let mut bytes = Vec::new();
        decimal("-0.02", 38, 2).encode(&mut bytes);
        let mut golden = vec![8, 2, 0xfe];
        golden.extend([0xff; 15]);
        assert_eq!(bytes, golden);
        let mut beyond = vec![8, 0];
        beyond.extend(10_i128.pow(38).to_le_bytes());
        assert_eq!(Value::decode(&mut beyond.as_slice()), None);
        assert_eq!(
            Value::decode(&mut [8_u8, 39].iter().copied().chain([0; 16]).collect::<Vec<u8>>().as_slice()),
            None
        );
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(unscaled in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..=38) {
            let decimal = Decimal::new(unscaled, scale).unwrap();
            prop_assert_eq!(Decimal::parse(&decimal.to_string(), of(38, scale)), Some(decimal));
            prop_assert_eq!(decimal.unscaled(), unscaled);
        }

        #[test]
        fn the_float_is_the_one_nearest_to_the_digits(unscaled in prop_oneof![any::<i64>().prop_map(i128::from), -(10_i128.pow(38) - 1)..10_i128.pow(38)], scale in 0_u8..=38) {
            let decimal = Decimal::new(unscaled, scale).unwrap();
            let nearest: f64 = format!("{unscaled}e-{scale}").parse().unwrap();
            prop_assert_eq!(decimal.to_float().to_bits(), (nearest + 0.0).to_bits());
        }

        #[test]
        fn any_text_is_read_as_the_float_of_the_same_text_or_refused(text in "[-+]?[0-9]{0,6}(\\.[0-9]{0,6})?([eE][-+]?[0-9]{1,2})?") {
            if let Some(decimal) = Decimal::parse(&text, of(38, 19)) {
                prop_assert_eq!(decimal.to_float(), text.parse::<f64>().unwrap() + 0.0);
            }
        }
    }
}
