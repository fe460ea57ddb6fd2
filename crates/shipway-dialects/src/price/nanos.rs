//! Money in whole nano-units: a thousand-millionth of a dollar, or of whatever the price table counts in.

use std::fmt;
use std::iter::Sum;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// An amount of money in nano-units, up to nine thousand million units. Exact: no float touches it. Written
/// `0.002500000`, read with up to nine decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Nanos(pub i64);

const NANOS_PER_UNIT: i64 = 1_000_000_000;

/// The text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an amount of money: expected a number with at most nine decimals, such as 2.50")]
pub struct NotMoney(pub String);

impl Nanos {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, held at the largest amount there is.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, which may be negative.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for Nanos {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::plus)
    }
}

impl FromStr for Nanos {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotMoney(text.to_owned());
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let fraction_needed = digits.contains('.') && fraction.is_empty();
        if whole.is_empty()
            || whole.len() > 18
            || fraction.len() > 9
            || fraction_needed
            || !plain(whole)
            || !plain(fraction)
        {
            return Err(wrong());
        }
        let units: i64 = whole.parse().map_err(|_| wrong())?;
        let nanos: i64 = format!("{fraction:0<9}").parse().map_err(|_| wrong())?;
        let amount =
            units.checked_mul(NANOS_PER_UNIT).and_then(|units| units.checked_add(nanos)).ok_or_else(wrong)?;
        Ok(Self(if negative { -amount } else { amount }))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let amount = self.0.unsigned_abs();
        let unit = NANOS_PER_UNIT.unsigned_abs();
        write!(formatter, "{sign}{}.{:09}", amount / unit, amount % unit)
    }
}

impl Serialize for Nanos {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From a text or a number; a number counts with the digits that it is written with, as far as a double carries them.
impl<'de> Deserialize<'de> for Nanos {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            Whole(i64),
            Float(f64),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Text(text) => text,
            Written::Whole(number) => number.to_string(),
            Written::Float(number) => number.to_string(),
        };
        text.parse().map_err(D::Error::custom)
    }
}
