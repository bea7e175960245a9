//! Wall-clock time as RFC 3339 text in UTC, to the second.

use std::fmt;

use image_updater_core::time::UnixTime;

const SECS_PER_DAY: i64 = 86_400;

/// Days from 0000-03-01, where the count of leap days is regular, to the Unix epoch.
const EPOCH_DAY: i64 = 719_468;

/// Days in 400 years, after which the calendar repeats.
const DAYS_PER_ERA: i64 = 146_097;

/// Shows a time like `2026-11-23T18:05:09Z`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rfc3339(pub UnixTime);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let (year, month, day) = to_civil(secs.div_euclid(SECS_PER_DAY));
        let of_day = secs.rem_euclid(SECS_PER_DAY);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

/// The Gregorian date of the day `days` after the Unix epoch.
///
/// Years begin in March inside, so that the leap day is the last of its year and month lengths
/// follow one straight line: the months from March start at day `(153 * month + 2) / 5`.
const fn to_civil(days: i64) -> (i64, i64, i64) {
    let since_start = days + EPOCH_DAY;
    let era = since_start.div_euclid(DAYS_PER_ERA);
    let of_era = since_start.rem_euclid(DAYS_PER_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_utc_dates() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-5_000_000_000, "1811-07-23T15:06:40Z"),
        ] {
            assert_eq!(
                Rfc3339(UnixTime::from_secs(secs)).to_string(),
                text,
                "{secs} s"
            );
        }
    }

    #[test]
    fn every_day_of_800_years_follows_the_one_before() {
        let (mut year, mut month, mut day) = to_civil(-EPOCH_DAY);
        for days in (1 - EPOCH_DAY)..(2 * DAYS_PER_ERA - EPOCH_DAY) {
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let month_days = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day) {
                (12, 31) => (year + 1, 1, 1),
                (_, last) if last == month_days => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
            assert_eq!(to_civil(days), (year, month, day), "day {days}");
        }
    }
}
