//! The calendar windows of budgets, in UTC. Pure.

use chrono::{DateTime, Datelike as _, Months, NaiveTime};
use serde::{Deserialize, Serialize};
use shipway_core::Timestamp;

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// 1970-01-01 was a Thursday: weeks begin on the Monday before it.
const MONDAY_US: i64 = -3 * DAY_US;

/// How long a budget lasts before it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Window {
    /// An hour of the clock.
    Hour,
    /// A day, from midnight.
    Day,
    /// A week, from Monday.
    Week,
    /// A month of the calendar.
    Month,
    /// For ever.
    Total,
}

impl Window {
    /// Every window, in the order in which they are kept.
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Total];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Total => "total",
        }
    }

    /// When the window that holds `at` began.
    pub fn start(self, at: Timestamp) -> Timestamp {
        match self {
            Self::Hour => at.floor_to(HOUR_US),
            Self::Day => at.floor_to(DAY_US),
            Self::Week => Timestamp(
                Timestamp(at.0.saturating_sub(MONDAY_US)).floor_to(7 * DAY_US).0.saturating_add(MONDAY_US),
            ),
            Self::Month => start_of_month(at, 0),
            Self::Total => Timestamp(i64::MIN),
        }
    }

    /// When the window that holds `at` ends; never for the last.
    pub fn end(self, at: Timestamp) -> Option<Timestamp> {
        let start = self.start(at);
        Some(match self {
            Self::Hour => Timestamp(start.0.saturating_add(HOUR_US)),
            Self::Day => Timestamp(start.0.saturating_add(DAY_US)),
            Self::Week => Timestamp(start.0.saturating_add(7 * DAY_US)),
            Self::Month => start_of_month(at, 1),
            Self::Total => return None,
        })
    }
}

/// The first moment of the month of `at`, or of one `later`. Asked several times for each call, so it makes no text.
fn start_of_month(at: Timestamp, later: u32) -> Timestamp {
    let day = DateTime::from_timestamp_micros(at.0).and_then(|moment| moment.date_naive().with_day(1));
    let first = day.and_then(|day| day.checked_add_months(Months::new(later)));
    first.map_or(at, |first| Timestamp(first.and_time(NaiveTime::MIN).and_utc().timestamp_micros()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn windows_are_those_of_the_calendar() {
        let moment = at("2026-12-31T23:59:59.999999Z");
        for (window, start, end) in [
            (Window::Hour, "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
            (Window::Day, "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"),
            (Window::Week, "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
            (Window::Month, "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!((window.start(moment), window.end(moment)), (at(start), Some(at(end))), "{window:?}");
            assert_eq!(window.start(at(end)), at(end), "{window:?} is half-open");
        }
        assert_eq!(Window::Total.end(moment), None);
        assert_eq!(Window::Month.start(at("2028-02-29T12:00:00Z")), at("2028-02-01"));
    }
}
