//! What a response says about the limits of its registry: headers, and the words of a 429
//! (`registry.md` 15.15, D-14).
//!
//! Invariants: work and memory are bounded whatever the response says; no wait is longer than
//! [`WAIT_MAX`].

use alloc::boxed::Box;
use alloc::string::String;
use core::time::Duration;

use super::http_date;
use crate::http::HttpResponse;
use crate::time::UnixTime;

/// Longest wait that is believed: whoever asks for more is asked once an hour.
pub const WAIT_MAX: Duration = Duration::from_hours(1);
/// How much of a body is searched.
const BODY_BYTES_MAX: usize = 2048;
/// Longest `source` that is kept.
const SOURCE_BYTES_MAX: usize = 64;
/// Resets above this are dates, in seconds of the epoch; above a thousand times this in milliseconds.
const EPOCH_SECS_MIN: u64 = 1_000_000_000;

/// What a response says about limits.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hint {
    /// How long the registry asks to be left alone; at most [`WAIT_MAX`].
    pub retry_after: Option<Duration>,
    /// Requests that a window allows.
    pub limit: Option<u64>,
    /// Requests that are left in it.
    pub remaining: Option<u64>,
    /// When it begins anew; at most [`WAIT_MAX`].
    pub reset: Option<Duration>,
    /// How long it is.
    pub window: Option<Duration>,
    /// Who is counted: an address or an account, in the registry's words.
    pub source: Option<Box<str>>,
}

impl Hint {
    /// Reads a response that came at `wall`. `Retry-After` is seconds or a date, the latter against the
    /// server's own `Date` where there is one; what is past is now. Without it a 429 is searched for
    /// words like "try again in 250ms", and then its window's reset counts.
    pub fn read(response: &HttpResponse, wall: UnixTime) -> Self {
        let first = |names: &[&str]| names.iter().find_map(|name| response.header(name));
        let server = response
            .header("date")
            .and_then(|date| http_date::parse(date, wall))
            .unwrap_or(wall);
        let policy = response.header("ratelimit").unwrap_or("");
        let limit = first(&["ratelimit-limit", "x-ratelimit-limit"]);
        let remaining = first(&["ratelimit-remaining", "x-ratelimit-remaining"]);
        let reset = first(&["ratelimit-reset", "x-ratelimit-reset"]);
        let window = first(&["ratelimit-limit", "ratelimit-policy", "ratelimit-remaining"])
            .and_then(|value| param(value, &["w"]));
        let mut hint = Self {
            retry_after: response
                .header("retry-after")
                .and_then(|value| retry_after(value, server, wall)),
            limit: limit
                .and_then(leading)
                .or_else(|| param(policy, &["limit", "q"])),
            remaining: remaining
                .and_then(leading)
                .or_else(|| param(policy, &["remaining", "r"])),
            reset: reset
                .and_then(leading)
                .or_else(|| param(policy, &["reset", "t"]))
                .map(|value| until_reset(value, server)),
            window: window.map(Duration::from_secs),
            source: first(&["docker-ratelimit-source"]).and_then(source),
        };
        if response.status == 429 && hint.retry_after.is_none() {
            hint.retry_after = wait_in_words(&response.body).or(hint.reset);
        }
        hint
    }
}

fn retry_after(value: &str, server: UnixTime, wall: UnixTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a very long time.
        let secs = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(secs).min(WAIT_MAX));
    }
    http_date::parse(value, wall).map(|date| wait_until(date, server))
}

fn wait_until(date: UnixTime, now: UnixTime) -> Duration {
    let nanos = date.as_nanos().saturating_sub(now.as_nanos());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0)).min(WAIT_MAX)
}

/// A reset as seconds from now, or as a date in seconds or milliseconds of the epoch.
fn until_reset(value: u64, server: UnixTime) -> Duration {
    let secs = match value {
        0..EPOCH_SECS_MIN => return Duration::from_secs(value).min(WAIT_MAX),
        _ if value < EPOCH_SECS_MIN * 1000 => value,
        _ => value / 1000,
    };
    let date = UnixTime::from_secs(i64::try_from(secs).unwrap_or(i64::MAX));
    wait_until(date, server)
}

/// The number at the beginning of a value: `100;w=21600` is 100.
fn leading(value: &str) -> Option<u64> {
    let value = value.trim_start();
    let end = value
        .bytes()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(value.len());
    let is_alone = value[end..]
        .trim_start()
        .chars()
        .next()
        .is_none_or(|next| matches!(next, ';' | ','));
    if is_alone {
        value[..end].parse().ok()
    } else {
        None
    }
}

/// The first parameter of one of these names in `100;w=21600` or `limit=100, remaining=0`.
fn param(value: &str, names: &[&str]) -> Option<u64> {
    value
        .split([';', ','])
        .take(32)
        .filter_map(|part| part.split_once('='))
        .find(|(name, _)| names.contains(&name.trim()))
        .and_then(|(_, number)| number.trim().parse().ok())
}

fn source(value: &str) -> Option<Box<str>> {
    let value = value.trim();
    let is_fine = (1..=SOURCE_BYTES_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_graphic());
    is_fine.then(|| value.into())
}

/// What introduces a wait, in lower case.
const LEADS: [&str; 9] = [
    "retry after",
    "retry-after",
    "retry_after",
    "retryafter",
    "try again in",
    "try again after",
    "retry in",
    "retry your request in",
    "please wait",
];

/// The first wait that the body speaks of, like "retry after 30s" or "try again in 1 minute 5.5 seconds".
fn wait_in_words(body: &[u8]) -> Option<Duration> {
    let start = &body[..body.len().min(BODY_BYTES_MAX)];
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let waits = LEADS.iter().flat_map(|lead| {
        text.match_indices(lead)
            .filter_map(|(at, lead)| Some((at, span(&text[at + lead.len()..])?)))
    });
    waits.min_by_key(|(at, _)| *at).map(|(_, wait)| wait)
}

/// A span of time at the beginning of a text; a number without a unit is seconds. Numbers follow each
/// other as in `1m30s` or `1 minute and 30 seconds`.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text.trim_start_matches([' ', ':', '=', '"', '\'', '\\', '(', '~']);
    for word in ["about ", "at least ", "for "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let (number, after) = Decimal::read(rest)?;
    let Some((unit, mut rest)) = unit(after.trim_start_matches(' ')) else {
        return Some(number.of(1_000_000_000));
    };
    let mut total = number.of(unit);
    for _ in 0..4 {
        let next = rest.trim_start_matches([' ', ',']);
        let next = next.strip_prefix("and ").unwrap_or(next);
        let Some((number, after)) = Decimal::read(next) else {
            break;
        };
        let Some((unit, after)) = unit_of(after) else {
            break;
        };
        total = total.saturating_add(number.of(unit));
        rest = after;
    }
    Some(total.min(WAIT_MAX))
}

fn unit_of(text: &str) -> Option<(u64, &str)> {
    unit(text.trim_start_matches(' '))
}

/// Nanoseconds of the unit at the beginning of a text.
fn unit(text: &str) -> Option<(u64, &str)> {
    // A body that is JSON may spell the micro sign as an escape.
    let end = text
        .char_indices()
        .find(|(_, c)| !c.is_alphabetic())
        .map_or(text.len(), |(at, _)| at);
    let (word, rest) = match text
        .strip_prefix("\\u00b5s")
        .or(text.strip_prefix("\\u03bcs"))
    {
        Some(rest) => ("us", rest),
        None => text.split_at(end),
    };
    let nanos = match word {
        "ns" | "nanosecond" | "nanoseconds" => 1,
        "us" | "\u{b5}s" | "\u{3bc}s" | "microsecond" | "microseconds" => 1_000,
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1_000_000,
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000_000_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000_000_000,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000_000_000,
        "d" | "day" | "days" => 86_400_000_000_000,
        _ => return None,
    };
    Some((nanos, rest))
}

/// A decimal number of at most nine digits behind its point; further ones are cut off.
#[derive(Clone, Copy, Debug)]
struct Decimal {
    whole: u64,
    billionths: u64,
}

impl Decimal {
    fn read(text: &str) -> Option<(Self, &str)> {
        let n_digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let n_whole = n_digits(text);
        if n_whole == 0 {
            return None;
        }
        let whole = text[..n_whole].parse().unwrap_or(u64::MAX);
        let rest = &text[n_whole..];
        let n_fraction = rest.strip_prefix('.').map_or(0, n_digits);
        if n_fraction == 0 {
            let billionths = 0;
            return Some((Self { whole, billionths }, rest));
        }
        let digits = rest[1..=n_fraction].bytes().chain(core::iter::repeat(b'0'));
        let billionths = digits
            .take(9)
            .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
        Some((Self { whole, billionths }, &rest[1 + n_fraction..]))
    }

    /// So many times `unit` nanoseconds, at most [`WAIT_MAX`].
    fn of(self, unit: u64) -> Duration {
        let fraction = u128::from(self.billionths) * u128::from(unit) / 1_000_000_000;
        let nanos = u128::from(self.whole) * u128::from(unit) + fraction;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;
    use alloc::vec::Vec;

    use super::*;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> HttpResponse {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        HttpResponse {
            status,
            headers,
            body: Vec::from(body),
        }
    }

    fn read(headers: &[(&str, &str)]) -> Hint {
        Hint::read(
            &response(200, headers, b""),
            UnixTime::from_secs(784_111_777),
        )
    }

    #[track_caller]
    fn check_header(value: &str, expected: Option<Duration>) {
        assert_eq!(
            read(&[("retry-after", value)]).retry_after,
            expected,
            "{value:?}"
        );
    }

    #[track_caller]
    fn check_words(body: &str, nanos: Option<u64>) {
        let hint = Hint::read(&response(429, &[], body.as_bytes()), UnixTime::default());
        assert_eq!(
            hint.retry_after,
            nanos.map(Duration::from_nanos),
            "{body:?}"
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_never_longer_than_the_cap() {
        let secs = |secs| Some(Duration::from_secs(secs));
        check_header("30", secs(30));
        check_header(" 0 ", secs(0));
        check_header("99999999999999999999999999", Some(WAIT_MAX));
        check_header("86400", Some(WAIT_MAX));
        check_header("Sun, 06 Nov 1994 08:50:07 GMT", secs(30));
        check_header("Sunday, 06-Nov-94 08:50:07 GMT", secs(30));
        check_header("Sun Nov  6 08:50:07 1994", secs(30));
        check_header("Sun, 06 Nov 1994 08:40:00 GMT", secs(0));
        check_header("Sun, 06 Nov 2094 08:40:00 GMT", Some(WAIT_MAX));
        for bad in ["", "-5", "soon", "1.5", "0x10"] {
            check_header(bad, None);
        }
    }

    #[test]
    fn a_date_counts_from_the_servers_own_clock() {
        let hint = read(&[
            ("retry-after", "Sun, 06 Nov 2011 00:00:30 GMT"),
            ("date", "Sun, 06 Nov 2011 00:00:00 GMT"),
        ]);
        assert_eq!(hint.retry_after, Some(Duration::from_secs(30)));
    }

    #[test]
    fn words_of_a_refusal_are_understood_down_to_nanoseconds() {
        check_words(
            "toomanyrequests: retry-after: 527.404\u{b5}s, allowed: 44000/minute",
            Some(527_404),
        );
        check_words("retry-after: 527.404\u{3bc}s", Some(527_404));
        check_words(
            r#"{"message":"retry-after: 2\u00b5s, allowed"}"#,
            Some(2_000),
        );
        check_words("Retry after 30s", Some(30_000_000_000));
        check_words("please try again in 250ms.", Some(250_000_000));
        check_words("Try again in 1.5 seconds", Some(1_500_000_000));
        check_words("retry in 7 ns", Some(7));
        check_words("retry after 12 us", Some(12_000));
        check_words("try again in 1m30s", Some(90_000_000_000));
        check_words(
            "try again in about 1 minute and 5 seconds",
            Some(65_000_000_000),
        );
        check_words("try again in 2 hours", Some(3_600_000_000_000));
        check_words(r#"{"retry_after": 12}"#, Some(12_000_000_000));
        check_words(
            r#"{"detail":"retry_after","retryAfter":"3 min"}"#,
            Some(180_000_000_000),
        );
        check_words(
            "try again in 99999999999999999999999 days",
            Some(3_600_000_000_000),
        );
        for none in [
            "",
            "try again later",
            "retry after",
            "retry after x5",
            "wait 5s",
            "in 3 s",
        ] {
            check_words(none, None);
        }
        check_words(
            &alloc::format!("{}retry after 5s", "x".repeat(BODY_BYTES_MAX)),
            None,
        );
    }

    #[test]
    fn words_count_in_a_refusal_only_and_less_than_its_header() {
        let body = b"retry after 5s";
        let ok = Hint::read(&response(200, &[], body), UnixTime::default());
        assert_eq!(ok.retry_after, None);
        let both = response(429, &[("retry-after", "9")], body);
        let hint = Hint::read(&both, UnixTime::default());
        assert_eq!(hint.retry_after, Some(Duration::from_secs(9)));
    }

    #[test]
    fn limits_are_read_in_every_spelling() {
        let hub = read(&[
            ("ratelimit-limit", "100;w=21600"),
            ("ratelimit-remaining", "76;w=21600"),
            ("docker-ratelimit-source", "192.0.2.1"),
        ]);
        assert_eq!((hub.limit, hub.remaining), (Some(100), Some(76)));
        assert_eq!(hub.window, Some(Duration::from_hours(6)));
        assert_eq!(
            (hub.reset, hub.source.as_deref()),
            (None, Some("192.0.2.1"))
        );
        let secs = |secs| Some(Duration::from_secs(secs));
        for (headers, limit, remaining, reset) in [
            (
                &[
                    ("ratelimit-limit", "10, 10;w=1, 50;w=60"),
                    ("ratelimit-remaining", "0"),
                    ("ratelimit-reset", "5"),
                ][..],
                Some(10),
                Some(0),
                secs(5),
            ),
            (
                &[("ratelimit", "limit=100, remaining=1, reset=7")],
                Some(100),
                Some(1),
                secs(7),
            ),
            (
                &[("ratelimit", "\"default\";r=0;t=9")],
                None,
                Some(0),
                secs(9),
            ),
            (
                &[
                    ("x-ratelimit-remaining", "3"),
                    ("x-ratelimit-reset", "784111797"),
                ],
                None,
                Some(3),
                Some(WAIT_MAX),
            ),
            (
                &[("x-ratelimit-reset", "1784111797000")],
                None,
                None,
                Some(WAIT_MAX),
            ),
            (&[("x-ratelimit-reset", "60")], None, None, secs(60)),
            (
                &[("ratelimit-remaining", "many"), ("ratelimit-reset", "-1")],
                None,
                None,
                None,
            ),
            (
                &[("ratelimit-remaining", "99999999999999999999999")],
                None,
                None,
                None,
            ),
        ] {
            let hint = read(headers);
            assert_eq!(
                (hint.limit, hint.remaining, hint.reset),
                (limit, remaining, reset),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn a_reset_that_is_a_date_counts_from_the_servers_clock() {
        let wall = UnixTime::from_secs(1_700_000_000);
        for value in ["1700000020", "1700000020000"] {
            let response = response(200, &[("x-ratelimit-reset", value)], b"");
            let hint = Hint::read(&response, wall);
            assert_eq!(hint.reset, Some(Duration::from_secs(20)), "{value}");
        }
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn no_response_panics(body in prop::collection::vec(any::<u8>(), 0..300), value in ".{0,60}") {
            let mut body = body;
            body.extend_from_slice(b" retry after ");
            body.extend_from_slice(value.as_bytes());
            let headers = ["retry-after", "ratelimit-limit", "ratelimit", "date", "x-ratelimit-reset"];
            let headers = headers.map(|name| (name, value.as_str()));
            let hint = Hint::read(&response(429, &headers, &body), UnixTime::default());
            prop_assert!(hint.retry_after.is_none_or(|wait| wait <= WAIT_MAX));
        }
    }
}
