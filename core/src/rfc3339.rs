//! RFC 3339 to and from [`UnixTime`]: dates of image configurations (`registry.md` 8.3), tokens, log lines.

use alloc::format;
use core::fmt;

use crate::time::UnixTime;

/// Reads an RFC 3339 date: `T`, optional fraction behind `.` or `,`, and `Z` or `+hh:mm`.
///
/// Digits beyond nanoseconds are cut off; dates outside 1677 to 2262 saturate.
pub fn parse(text: &str) -> Option<UnixTime> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        digits.iter().try_fold(0_i64, |sum, digit| {
            digit
                .is_ascii_digit()
                .then(|| sum * 10 + i64::from(digit - b'0'))
        })
    };
    let is_mark = |at: usize, mark: u8| bytes.get(at) == Some(&mark);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let has_marks = is_mark(4, b'-')
        && is_mark(7, b'-')
        && is_mark(10, b'T')
        && is_mark(13, b':')
        && is_mark(16, b':');
    let is_in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !has_marks || !is_in_range {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0_i64;
    if is_mark(at, b'.') || is_mark(at, b',') {
        at += 1;
        let start = at;
        let mut unit = 100_000_000_i64;
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            nanos += i64::from(digit - b'0') * unit;
            unit /= 10;
            at += 1;
        }
        if at == start {
            return None;
        }
    }
    let offset_secs = match bytes.get(at..)? {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (number(at + 1, at + 3)?, number(at + 4, at + 6)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let secs = hours * 3600 + minutes * 60;
            if *sign == b'-' { -secs } else { secs }
        }
        _ => return None,
    };
    let secs = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
        - offset_secs;
    Some(UnixTime::from_nanos(
        secs.saturating_mul(1_000_000_000).saturating_add(nanos),
    ))
}

/// Shows a time in UTC, like `2026-11-23T18:05:09Z`, with as many digits of fraction as are needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rfc3339(pub UnixTime);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let nanos = self.0.as_nanos().rem_euclid(1_000_000_000);
        let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if nanos != 0 {
            f.write_str(format!(".{nanos:09}").trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since the epoch of a date in the proleptic Gregorian calendar. Years are counted from March,
/// so that the leap day is the last of its year.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

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
        let (mut year, mut month, mut day) = civil_from_days(-719_468);
        for days in (1 - 719_468)..(2 * 146_097 - 719_468) {
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
            assert_eq!(civil_from_days(days), (year, month, day), "day {days}");
        }
    }

    #[test]
    fn dates_beyond_the_clock_saturate() {
        assert_eq!(
            parse("0001-01-01T00:00:00Z"),
            Some(UnixTime::from_nanos(i64::MIN))
        );
        assert_eq!(
            parse("9999-12-31T23:59:59.9Z"),
            Some(UnixTime::from_nanos(i64::MAX))
        );
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn a_written_date_reads_back(nanos in any::<i64>()) {
            let time = UnixTime::from_nanos(nanos);
            prop_assert_eq!(parse(&Rfc3339(time).to_string()), Some(time));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:.,+é-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
