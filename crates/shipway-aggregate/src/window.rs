//! Windows: the head is exact, the tail moves in hops.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use shipway_core::{Length, Timestamp, time::NotALength};

/// Version of the table in [`hop_us`]. Part of a definition's hash: another table gives other values.
pub const HOP_TABLE_VERSION: u32 = 1;

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// The hop, in microseconds, by which the tail of a window of `length_us` moves. Each hop divides the next, so tiles nest.
pub const fn hop_us(length_us: i64) -> i64 {
    if length_us >= 12 * DAY_US {
        DAY_US
    } else if length_us >= 12 * HOUR_US {
        HOUR_US
    } else if length_us >= HOUR_US {
        5 * MINUTE_US
    } else if length_us >= 6 * MINUTE_US {
        30 * SECOND_US
    } else {
        SECOND_US
    }
}

/// Which events before a query time belong to a feature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Window {
    /// The events with `floor(q - length, hop) <= time < q`.
    Sized(Length),
    /// All events with `time < q`.
    Lifetime,
}

impl Window {
    /// The hop of the tail in microseconds; a lifetime has none.
    pub const fn hop_us(self) -> Option<i64> {
        match self {
            Self::Sized(length) => Some(hop_us(length.micros())),
            Self::Lifetime => None,
        }
    }

    /// The earliest event time inside the window at `q`, inclusive; `None` when the window has no start.
    pub const fn tail(self, q: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Sized(length) => {
                let start = Timestamp(q.micros().saturating_sub(length.micros()));
                Some(start.floor_to(hop_us(length.micros())))
            }
            Self::Lifetime => None,
        }
    }

    /// Whether an event at `time` belongs to the window at `q`.
    pub const fn contains(self, time: Timestamp, q: Timestamp) -> bool {
        if time.micros() >= q.micros() {
            return false;
        }
        match self.tail(q) {
            Some(tail) => tail.micros() <= time.micros(),
            None => true,
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sized(length) => length.fmt(formatter),
            Self::Lifetime => formatter.write_str("lifetime"),
        }
    }
}

impl FromStr for Window {
    type Err = NotALength;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "lifetime" { Ok(Self::Lifetime) } else { text.parse().map(Self::Sized) }
    }
}

impl Serialize for Window {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Window {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Window {
    fn schema_name() -> Cow<'static, str> {
        "Window".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^([0-9]+[smhdw]|lifetime)$", "examples": ["30m", "7d", "lifetime"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Window {
        text.parse().unwrap()
    }

    #[test]
    fn the_hop_table_is_the_specified_one() {
        let hops = [
            ("12d", DAY_US),
            ("11d", HOUR_US),
            ("12h", HOUR_US),
            ("11h", 5 * MINUTE_US),
            ("1h", 5 * MINUTE_US),
            ("59m", 30 * SECOND_US),
            ("6m", 30 * SECOND_US),
            ("5m", SECOND_US),
            ("1s", SECOND_US),
        ];
        for (text, hop) in hops {
            assert_eq!(window(text).hop_us(), Some(hop), "{text}");
        }
    }

    #[test]
    fn each_hop_divides_the_next() {
        for pair in [SECOND_US, 30 * SECOND_US, 5 * MINUTE_US, HOUR_US, DAY_US].windows(2) {
            assert_eq!(pair[1] % pair[0], 0);
        }
    }

    #[test]
    fn the_head_is_exact_and_strictly_before_q_and_the_tail_is_floored() {
        let q = Timestamp::parse("2013-03-10T07:12:34.5Z").unwrap();
        let tail = Timestamp::parse("2013-03-10T06:10:00Z").unwrap();
        assert_eq!(window("1h").tail(q), Some(tail));
        assert!(window("1h").contains(tail, q), "the tail's edge is inside");
        assert!(!window("1h").contains(Timestamp(tail.0 - 1), q));
        assert!(!window("1h").contains(q, q), "an event at q is not before q");
        assert!(window("1h").contains(Timestamp(q.0 - 1), q));
        assert!(window("lifetime").contains(Timestamp(i64::MIN), q));
    }

    #[test]
    fn the_tail_floors_toward_negative_infinity_before_1970() {
        let q = Timestamp(-1);
        assert_eq!(window("1h").tail(q), Some(Timestamp(-HOUR_US - 5 * MINUTE_US)));
    }
}
