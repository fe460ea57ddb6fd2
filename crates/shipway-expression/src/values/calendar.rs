//! The proleptic Gregorian calendar in UTC, on whole days since 1970-01-01.
//!
//! The two conversions are Howard Hinnant's `days_from_civil` and `civil_from_days` ("chrono-Compatible Low-Level Date
//! Algorithms"): eras of 400 years, years that begin in March.

const DAYS_PER_ERA: i64 = 146_097;

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    /// From 1.
    pub(crate) month: i64,
    /// From 1.
    pub(crate) day: i64,
}

/// The calendar's day for a number of days since the epoch.
pub(crate) fn civil_of(days: i64) -> Civil {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(DAYS_PER_ERA);
    let day_of_era = shifted.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month, day }
}

/// The number of days since the epoch.
pub(crate) fn days_of(Civil { year, month, day }: Civil) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * DAYS_PER_ERA + day_of_era - 719_468
}

/// The day of the week: 0 is Monday, 6 Sunday.
pub(crate) fn weekday(days: i64) -> i64 {
    // The epoch was a Thursday.
    (days + 3).rem_euclid(7)
}

/// The day of the year, from 1.
pub(crate) fn day_of_year(days: i64) -> i64 {
    let year = civil_of(days).year;
    days - days_of(Civil { year, month: 1, day: 1 }) + 1
}

/// The week of ISO 8601: it belongs to the year that its Thursday lies in.
pub(crate) fn iso_week(days: i64) -> i64 {
    let thursday = days - weekday(days) + 3;
    (day_of_year(thursday) - 1) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_a_few_eras_goes_there_and_back_and_follows_the_one_before() {
        let mut before = civil_of(-1_000_001);
        for days in -1_000_000..400_000 {
            let civil = civil_of(days);
            assert_eq!(days_of(civil), days);
            let is_next = civil == Civil { day: before.day + 1, ..before }
                || (civil.day, civil.month) == (1, before.month + 1) && civil.year == before.year
                || (civil.day, civil.month, before.month) == (1, 1, 12) && civil.year == before.year + 1;
            assert!(is_next, "{before:?} then {civil:?}");
            before = civil;
        }
    }

    #[test]
    fn known_days_have_their_names_and_weeks() {
        let day = |year, month, day| days_of(Civil { year, month, day });
        assert_eq!(civil_of(0), Civil { year: 1970, month: 1, day: 1 });
        assert_eq!(civil_of(-1), Civil { year: 1969, month: 12, day: 31 });
        assert_eq!(weekday(day(2013, 11, 3)), 6, "a Sunday");
        assert_eq!(day_of_year(day(2024, 12, 31)), 366);
        assert_eq!(iso_week(day(2021, 1, 3)), 53, "belongs to 2020");
        assert_eq!(iso_week(day(2024, 12, 30)), 1, "belongs to 2025");
    }
}
