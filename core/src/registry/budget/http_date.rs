//! Dates of HTTP headers, in the three forms of RFC 9110 5.6.7.

use crate::rfc3339::{days_from_civil, days_in_month};
use crate::time::UnixTime;

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` or
/// `Sun Nov  6 08:49:37 1994`. The day of the week is not checked against the date. A year of two digits
/// is the one that lies within fifty years of `wall`.
pub fn parse(text: &str, wall: UnixTime) -> Option<UnixTime> {
    let text = text.trim();
    if text.len() > 64 || !text.is_ascii() {
        return None;
    }
    let (day, month, year, time) = if let Some((_, rest)) = text.split_once(',') {
        let mut parts = rest.split([' ', '-']).filter(|part| !part.is_empty());
        let date = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let zone = parts.next()?;
        if !matches!(zone, "GMT" | "UTC") || parts.next().is_some() {
            return None;
        }
        date
    } else {
        let mut parts = text.split(' ').filter(|part| !part.is_empty());
        let (_, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        let (time, year) = (parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        (day, month, year, time)
    };
    let month = MONTHS
        .iter()
        .position(|name| name.eq_ignore_ascii_case(month))?;
    let month = i64::try_from(month).ok()? + 1;
    let day = number(day, 1..=2)?;
    let year = match year.len() {
        2 => nearest_century(number(year, 2..=2)?, wall),
        _ => number(year, 4..=4)?,
    };
    let mut clock = time.split(':');
    let (hour, minute, second) = (clock.next()?, clock.next()?, clock.next()?);
    let (hour, minute) = (number(hour, 2..=2)?, number(minute, 2..=2)?);
    let second = number(second, 2..=2)?;
    let is_in_range = clock.next().is_none()
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        // A leap second is one.
        && second <= 60;
    is_in_range.then(|| {
        let days = days_from_civil(year, month, day);
        UnixTime::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second)
    })
}

fn number(text: &str, len: core::ops::RangeInclusive<usize>) -> Option<i64> {
    let is_number = len.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// The year that ends in these two digits and lies at most fifty years ahead of `wall`.
fn nearest_century(digits: i64, wall: UnixTime) -> i64 {
    // Mean years are near enough to tell centuries apart.
    let present = 1970 + wall.as_secs().div_euclid(31_556_952);
    let year = present - present.rem_euclid(100) + digits;
    if year > present + 50 {
        year - 100
    } else {
        year
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_name_one_second() {
        let wall = UnixTime::from_secs(800_000_000);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " sun, 6 nov 1994 08:49:37 GMT ",
        ] {
            let read = parse(text, wall).map(UnixTime::as_secs);
            assert_eq!(read, Some(784_111_777), "{text:?}");
        }
        let later = UnixTime::from_secs(1_800_000_000);
        let read = parse("Tuesday, 05-Jan-27 00:00:00 GMT", later).map(UnixTime::as_secs);
        assert_eq!(read, Some(1_799_107_200));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "30",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov +994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun Nov  6 08:49:37 1994 x",
            "\u{e9}, 06 Nov 1994 08:49:37 GMT",
        ] {
            assert_eq!(parse(text, UnixTime::default()), None, "{text:?}");
        }
    }
}
