//! Event time in microseconds UTC, lengths of time as people write them, and the clock port.

use std::{
    borrow::Cow,
    fmt,
    str::FromStr,
    sync::atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A moment: microseconds since 1970-01-01T00:00:00Z, negative before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// The text is not a moment in time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a time: expected RFC 3339 such as 2013-11-01T09:15:00Z, or a date")]
pub struct NotATime(pub String);

impl Timestamp {
    /// Microseconds since the epoch.
    #[inline]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The start of the interval of `step_us` microseconds that holds this moment; floors toward negative infinity.
    #[inline]
    pub const fn floor_to(self, step_us: i64) -> Self {
        Self(self.0.saturating_sub(self.0.rem_euclid(step_us)))
    }

    /// Reads RFC 3339 (an offset is converted), a date and time without an offset (taken as UTC), or a date (midnight UTC).
    pub fn parse(text: &str) -> Result<Self, NotATime> {
        let text = text.trim();
        if let Ok(with_offset) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(with_offset.timestamp_micros()));
        }
        for format in ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"] {
            if let Ok(naive) = NaiveDateTime::parse_from_str(text, format) {
                return Ok(Self(naive.and_utc().timestamp_micros()));
            }
        }
        for format in ["%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M:%S%.f%z"] {
            if let Ok(with_offset) = DateTime::parse_from_str(text, format) {
                return Ok(Self(with_offset.timestamp_micros()));
            }
        }
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .and_then(|date| date.and_hms_opt(0, 0, 0))
            .map(|midnight| Self(midnight.and_utc().timestamp_micros()))
            .ok_or_else(|| NotATime(text.to_owned()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; LONGEST_MOMENT];
        if let Some(text) = write_rfc3339(self.0, &mut buffer) {
            return formatter.write_str(text);
        }
        match DateTime::from_timestamp_micros(self.0) {
            Some(moment) => formatter.write_str(&moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(formatter, "{}us", self.0),
        }
    }
}

/// How long `9999-12-31T23:59:59.999999Z` is.
const LONGEST_MOMENT: usize = 27;

/// The moment in RFC 3339 with as many digits of a second as it needs, 0, 3 or 6; `None` outside the years 0 to 9999. An answer
/// holds a moment for each view and row, so this costs what writing the digits costs.
fn write_rfc3339(micros: i64, into: &mut [u8; LONGEST_MOMENT]) -> Option<&str> {
    let (seconds, fraction) = (micros.div_euclid(SECOND_US), micros.rem_euclid(SECOND_US));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    if !(0..=9999).contains(&year) {
        return None;
    }
    into[..20].copy_from_slice(b"0000-00-00T00:00:00Z");
    write_digits(year, &mut into[0..4]);
    write_digits(month, &mut into[5..7]);
    write_digits(day, &mut into[8..10]);
    write_digits(second / 3_600, &mut into[11..13]);
    write_digits(second / 60 % 60, &mut into[14..16]);
    write_digits(second % 60, &mut into[17..19]);
    let length = if fraction == 0 {
        20
    } else {
        let digits = if fraction % 1_000 == 0 { 3 } else { 6 };
        into[19] = b'.';
        write_digits(if digits == 3 { fraction / 1_000 } else { fraction }, &mut into[20..20 + digits]);
        into[20 + digits] = b'Z';
        21 + digits
    };
    std::str::from_utf8(&into[..length]).ok()
}

fn write_digits(mut number: i64, into: &mut [u8]) {
    for place in into.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a number of days since 1970-01-01 in the Gregorian calendar. Counts from March, so that the leap day is
/// the last of its year. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", 2013.
const fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_0 = days + 719_468;
    let era = from_march_0.div_euclid(146_097);
    let day_of_era = from_march_0.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month, day)
}

impl FromStr for Timestamp {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&Cow::<'de, str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// A positive length of time, written `30s`, `15m`, `6h`, `7d` or `2w`. A day is 86,400 seconds; there are no calendar days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Length {
    micros: i64,
}

/// The text is not a length of time.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a length of time: expected a whole number and one of s, m, h, d, w, such as 30m")]
pub struct NotALength(pub String);

const SECOND_US: i64 = 1_000_000;

impl Length {
    /// A length of whole microseconds; `None` unless positive.
    pub const fn from_micros(micros: i64) -> Option<Self> {
        if micros > 0 { Some(Self { micros }) } else { None }
    }

    /// Microseconds, positive.
    pub const fn micros(self) -> i64 {
        self.micros
    }
}

impl FromStr for Length {
    type Err = NotALength;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || NotALength(text.to_owned());
        let unit = text.chars().last().ok_or_else(wrong)?;
        let unit_us = match unit {
            's' => SECOND_US,
            'm' => 60 * SECOND_US,
            'h' => 3_600 * SECOND_US,
            'd' => 86_400 * SECOND_US,
            'w' => 7 * 86_400 * SECOND_US,
            _ => return Err(wrong()),
        };
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: i64 = digits.parse().map_err(|_| wrong())?;
        number.checked_mul(unit_us).and_then(Self::from_micros).ok_or_else(wrong)
    }
}

impl fmt::Display for Length {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, unit_us) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
            if self.micros % (unit_us * SECOND_US) == 0 {
                return write!(formatter, "{}{unit}", self.micros / (unit_us * SECOND_US));
            }
        }
        write!(formatter, "{}us", self.micros)
    }
}

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Length {
    fn schema_name() -> Cow<'static, str> {
        "Length".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+[smhdw]$", "examples": ["30m", "7d"] })
    }
}

/// Where the present moment comes from. Passed in, so that tests can hold it still.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock port: the one place that may read the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp(chrono::Utc::now().timestamp_micros())
    }
}

/// A clock that stands where it is put.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn at(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.0))
    }

    /// Puts the clock to `at`.
    pub fn set(&self, at: Timestamp) {
        self.0.store(at.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floor_goes_toward_negative_infinity() {
        assert_eq!(Timestamp(-1).floor_to(1_000), Timestamp(-1_000));
        assert_eq!(Timestamp(-1_000).floor_to(1_000), Timestamp(-1_000));
        assert_eq!(Timestamp(999).floor_to(1_000), Timestamp(0));
    }

    #[test]
    fn offsets_are_converted_and_their_absence_means_utc() {
        let expected = Timestamp(1_362_979_800_000_000);
        for text in [
            "2013-03-11T01:30:00-04:00",
            "2013-03-11T05:30:00Z",
            "2013-03-11 05:30:00",
            "2013-03-11T05:30",
            "2013-03-11 05:30:00+00:00",
        ] {
            assert_eq!(Timestamp::parse(text), Ok(expected), "{text}");
        }
        assert_eq!(Timestamp::parse("1970-01-02"), Ok(Timestamp(86_400_000_000)));
        assert!(Timestamp::parse("1362972600").is_err(), "a bare number has no unit");
    }

    #[test]
    fn a_moment_prints_as_it_is_read() {
        for micros in [0, -1, 1_362_972_600_123_456, -62_135_596_800_000_000] {
            let moment = Timestamp(micros);
            assert_eq!(Timestamp::parse(&moment.to_string()), Ok(moment));
        }
    }

    #[test]
    fn a_moment_prints_as_the_calendar_says() {
        let mut seed = 1_u64;
        let years = -62_200_000_000_000_000_i64..253_500_000_000_000_000;
        for round in 0..20_000_i64 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let drawn = (seed >> 2).cast_signed() % (years.end - years.start) + years.start;
            let micros =
                drawn - drawn.rem_euclid([1, 1_000, 1_000_000, 86_400_000_000][(round % 4) as usize]);
            let expected = DateTime::from_timestamp_micros(micros).unwrap();
            let expected = expected.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            assert_eq!(Timestamp(micros).to_string(), expected, "{micros}");
        }
    }

    #[test]
    fn lengths_read_and_print() {
        for (text, micros) in
            [("30s", 30_000_000), ("30m", 1_800_000_000), ("1d", 86_400_000_000), ("36h", 129_600_000_000)]
        {
            let length: Length = text.parse().unwrap();
            assert_eq!(length.micros(), micros);
            assert_eq!(length.to_string(), text);
        }
        for wrong in ["", "d", "0s", "-1d", "1.5h", "1y", "9999999999999999d", "\u{e9}"] {
            assert!(wrong.parse::<Length>().is_err(), "{wrong}");
        }
    }
}
