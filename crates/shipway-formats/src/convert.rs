//! The judgement whether a value of a message is one of a column. Every format asks here, so all have one rule.
//!
//! Nothing is lost on the way: what does not fit is refused. The one exception is time, which is kept in whole
//! microseconds, floored toward the past, as in every other way into the system.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use shipway_core::{DataType, Decimal, DecimalType, Timestamp, Value};

use crate::definition::TimeUnit;

/// A value, or why it is not one of the column.
pub(crate) type Judged = Result<Value, String>;

/// What a value is wanted as.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) data_type: DataType,
    /// What a number counts where a moment is wanted.
    pub(crate) unit: Option<TimeUnit>,
}

impl Wanted {
    /// The same for what a list or a map holds.
    pub(crate) const fn with(self, data_type: DataType) -> Self {
        Self { data_type, unit: self.unit }
    }

    pub(crate) fn mismatch(self, got: impl std::fmt::Display) -> String {
        let got: String = got.to_string().chars().take(60).collect();
        format!("expected {}, got {got}", self.data_type)
    }

    /// A whole number whose sender gave it no further meaning.
    #[inline]
    pub(crate) fn int(self, number: i64) -> Judged {
        match self.data_type {
            DataType::Int => Ok(Value::Int(number)),
            DataType::Float => exact_float(number.into()).ok_or_else(|| self.no_float(number)),
            DataType::Decimal(to) => {
                Decimal::from_int(number.into(), to).map(Value::Decimal).ok_or_else(|| self.mismatch(number))
            }
            DataType::Timestamp => match self.unit {
                Some(TimeUnit::Rfc3339) | None => {
                    Err(format!("{}: a number has no unit, declare time_unit", self.mismatch(number)))
                }
                Some(unit) => moment(number, unit).ok_or_else(|| beyond(number)),
            },
            _ => Err(self.mismatch(number)),
        }
    }

    /// A whole number without a sign.
    pub(crate) fn unsigned(self, number: u64) -> Judged {
        match (i64::try_from(number), self.data_type) {
            (Ok(number), _) => self.int(number),
            (Err(_), DataType::Float) => exact_float(number.into()).ok_or_else(|| self.no_float(number)),
            (Err(_), DataType::Decimal(to)) => {
                Decimal::from_int(number.into(), to).map(Value::Decimal).ok_or_else(|| self.mismatch(number))
            }
            _ => Err(self.mismatch(number)),
        }
    }

    fn no_float(self, number: impl std::fmt::Display) -> String {
        format!("{}: no float is exactly this number", self.mismatch(number))
    }

    #[inline]
    pub(crate) fn float(self, number: f64) -> Judged {
        match self.data_type {
            DataType::Float => Ok(Value::float(number)),
            DataType::Decimal(_) => {
                Err(format!("{}: a float may lack its digits, send text", self.mismatch(number)))
            }
            _ => Err(self.mismatch(number)),
        }
    }

    #[inline]
    pub(crate) fn boolean(self, flag: bool) -> Judged {
        match self.data_type {
            DataType::Bool => Ok(Value::Bool(flag)),
            _ => Err(self.mismatch(flag)),
        }
    }

    #[inline]
    pub(crate) fn text(self, text: &str) -> Judged {
        match self.data_type {
            DataType::Text => Ok(Value::text(text)),
            DataType::Timestamp => {
                Timestamp::parse(text).map(Value::Timestamp).map_err(|_| self.mismatch(Quoted(text)))
            }
            DataType::Decimal(to) => {
                Decimal::parse(text, to).map(Value::Decimal).ok_or_else(|| self.mismatch(Quoted(text)))
            }
            _ => Err(self.mismatch(Quoted(text))),
        }
    }

    /// Bytes are text in base64, with the usual alphabet and padding, as in Protobuf's JSON form and in Debezium's.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Judged {
        match self.data_type {
            DataType::Text => Ok(Value::text(STANDARD.encode(bytes))),
            _ => Err(self.mismatch("bytes")),
        }
    }

    /// A moment whose unit the message's own schema says.
    pub(crate) fn epoch(self, number: i64, said: TimeUnit) -> Judged {
        match (self.data_type, self.unit) {
            (DataType::Timestamp, Some(declared)) if declared != said => Err(format!(
                "the schema of the message counts {}, time_unit says {}",
                word(said),
                word(declared)
            )),
            (DataType::Timestamp, _) => moment(number, said).ok_or_else(|| beyond(number)),
            _ => Err(self.mismatch("a moment")),
        }
    }

    /// A date as days since 1970-01-01: midnight UTC.
    pub(crate) fn days(self, days: i64) -> Judged {
        match (self.data_type, self.unit) {
            (DataType::Timestamp, Some(declared)) => {
                Err(format!("the schema of the message has dates, time_unit says {}", word(declared)))
            }
            (DataType::Timestamp, None) => days
                .checked_mul(86_400)
                .and_then(|seconds| moment(seconds, TimeUnit::Seconds))
                .ok_or_else(|| beyond(days)),
            _ => Err(self.mismatch("a date")),
        }
    }

    /// A time of day as a number of its unit: kept as that number, for there is no type of times of day.
    pub(crate) fn time_of_day(self, number: i64) -> Judged {
        match self.data_type {
            DataType::Int => Ok(Value::Int(number)),
            _ => Err(self.mismatch("a time of day")),
        }
    }

    /// A decimal as the two's complement of its digits, most significant byte first.
    pub(crate) fn unscaled(self, bytes: &[u8], scale: i32) -> Judged {
        let DataType::Decimal(to) = self.data_type else { return Err(self.mismatch("a decimal")) };
        let digits = big_endian(bytes).ok_or_else(|| self.mismatch("a number of more than 128 bits"))?;
        rescale(digits, scale, to)
            .map(Value::Decimal)
            .ok_or_else(|| self.mismatch(format_args!("{digits}e{}", i64::from(scale).wrapping_neg())))
    }
}

struct Quoted<'a>(&'a str);

impl std::fmt::Display for Quoted<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // What is shown is cut off later; a whole message need not be copied for that.
        let start: String = self.0.chars().take(64).collect();
        write!(formatter, "{start:?}")
    }
}

fn exact_float(number: i128) -> Option<Value> {
    let float = number as f64;
    (float as i128 == number).then(|| Value::float(float))
}

fn moment(number: i64, unit: TimeUnit) -> Option<Value> {
    let micros = match unit {
        TimeUnit::Seconds => number.checked_mul(1_000_000),
        TimeUnit::Milliseconds => number.checked_mul(1_000),
        TimeUnit::Microseconds => Some(number),
        TimeUnit::Nanoseconds => Some(number.div_euclid(1_000)),
        TimeUnit::Rfc3339 => None,
    };
    micros.map(|micros| Value::Timestamp(Timestamp(micros)))
}

fn beyond(number: i64) -> String {
    format!("{number} is beyond every moment")
}

/// A moment out of the digits of a number with a fraction, such as `1362972600.25` seconds.
pub(crate) fn moment_of_digits(digits: &str, unit: TimeUnit) -> Option<Value> {
    const DIGITS_AFTER_POINT: u8 = 18;
    let exponent = match unit {
        TimeUnit::Seconds => 6,
        TimeUnit::Milliseconds => 3,
        TimeUnit::Microseconds => 0,
        TimeUnit::Nanoseconds => -3,
        TimeUnit::Rfc3339 => return None,
    };
    let number = Decimal::parse(digits, DecimalType::new(DecimalType::MOST_DIGITS, DIGITS_AFTER_POINT)?)?;
    let places = u32::try_from(i32::from(DIGITS_AFTER_POINT) - exponent).ok()?;
    let micros = number.unscaled().div_euclid(10_i128.checked_pow(places)?);
    Some(Value::Timestamp(Timestamp(i64::try_from(micros).ok()?)))
}

/// A moment of seconds and nanoseconds, as Protobuf's `Timestamp` has it.
pub(crate) fn moment_of_parts(seconds: i64, nanoseconds: i32) -> Option<Value> {
    let micros = seconds.checked_mul(1_000_000)?.checked_add(i64::from(nanoseconds).div_euclid(1_000))?;
    Some(Value::Timestamp(Timestamp(micros)))
}

fn big_endian(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first().is_some_and(|first| first & 0x80 != 0) { 0xff } else { 0 };
    let mut number = [sign; 16];
    if bytes.len() <= number.len() {
        number[16 - bytes.len()..].copy_from_slice(bytes);
        return Some(i128::from_be_bytes(number));
    }
    let (extension, rest) = bytes.split_at(bytes.len() - 16);
    number.copy_from_slice(rest);
    let is_extended = extension.iter().all(|byte| *byte == sign) && (number[0] ^ sign) & 0x80 == 0;
    is_extended.then_some(i128::from_be_bytes(number))
}

fn rescale(digits: i128, scale: i32, to: DecimalType) -> Option<Decimal> {
    let gained = i32::from(to.scale()).checked_sub(scale)?;
    if digits == 0 {
        return Decimal::new(0, to.scale());
    }
    // Digits that are not zero: more than 38 places either way cannot be exact.
    let factor = 10_i128.checked_pow(gained.unsigned_abs())?;
    let unscaled = match gained {
        0.. => digits.checked_mul(factor)?,
        _ if digits % factor == 0 => digits / factor,
        _ => return None,
    };
    Decimal::new(unscaled, to.scale()).filter(|decimal| decimal.fits(to))
}

const fn word(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Seconds => "seconds",
        TimeUnit::Milliseconds => "milliseconds",
        TimeUnit::Microseconds => "microseconds",
        TimeUnit::Nanoseconds => "nanoseconds",
        TimeUnit::Rfc3339 => "rfc3339",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(data_type: &str, unit: Option<TimeUnit>) -> Wanted {
        Wanted { data_type: data_type.parse().unwrap(), unit }
    }

    #[test]
    fn a_whole_number_is_a_float_where_it_is_exactly_one() {
        let float = wanted("float", None);
        assert_eq!(float.int(1 << 53), Ok(Value::float(9_007_199_254_740_992.0)));
        assert!(float.int((1 << 53) + 1).unwrap_err().contains("no float is exactly"));
        assert!(float.int(i64::MIN).is_ok() && float.int(i64::MAX).is_err());
        assert!(float.unsigned(1 << 63).is_ok() && float.unsigned(u64::MAX).is_err());
        assert!(wanted("int", None).float(1.0).is_err());
        assert!(wanted("int", None).unsigned(1 << 63).is_err());
    }

    #[test]
    fn a_number_is_a_moment_only_with_a_unit() {
        let bare = wanted("timestamp", None).int(1).unwrap_err();
        assert!(bare.contains("declare time_unit"), "{bare}");
        for (unit, number) in [
            (TimeUnit::Seconds, -1),
            (TimeUnit::Milliseconds, -1_000),
            (TimeUnit::Microseconds, -1_000_000),
            (TimeUnit::Nanoseconds, -999_999_999),
        ] {
            assert_eq!(
                wanted("timestamp", Some(unit)).int(number),
                Ok(Value::Timestamp(Timestamp(-1_000_000)))
            );
        }
        assert!(wanted("timestamp", Some(TimeUnit::Seconds)).int(i64::MAX).is_err());
        let contradiction = wanted("timestamp", Some(TimeUnit::Seconds)).epoch(1, TimeUnit::Milliseconds);
        assert!(contradiction.unwrap_err().contains("counts milliseconds, time_unit says seconds"));
        assert!(wanted("int", None).epoch(1, TimeUnit::Milliseconds).is_err(), "a moment is not a number");
        let digits = |digits, unit| moment_of_digits(digits, unit);
        let at = Some(Value::Timestamp(Timestamp(1_250_000)));
        assert_eq!(digits("1.2500009", TimeUnit::Seconds), at);
        assert_eq!(digits("1.25e3", TimeUnit::Milliseconds), at);
        assert_eq!(digits("-0.0000001", TimeUnit::Seconds), Some(Value::Timestamp(Timestamp(-1))));
    }

    #[test]
    fn decimals_come_with_every_digit_or_not_at_all() {
        let price = wanted("decimal(5,2)", None);
        let decimal = |text: &str| {
            let to = DecimalType::new(5, 2).unwrap();
            Ok(Value::Decimal(Decimal::parse(text, to).unwrap()))
        };
        assert_eq!(price.unscaled(&[0x04, 0xe2], 2), decimal("12.50"));
        assert_eq!(price.unscaled(&[0xff; 20], 2), decimal("-0.01"));
        assert_eq!(price.unscaled(&[0x30, 0xd4], 3), decimal("12.50"), "the last digit is zero");
        assert_eq!(price.unscaled(&[1], -2), decimal("100"));
        assert_eq!(price.unscaled(&[], 2), decimal("0"));
        assert!(price.unscaled(&[0x30, 0xd5], 3).is_err());
        assert!(price.unscaled(&[1], -3).is_err());
        assert!(price.unscaled(&[1], i32::MIN).is_err());
        assert!(price.unscaled(&[0x7f; 17], 0).is_err());
        assert!(price.float(1.5).unwrap_err().contains("send text"));
    }
}
