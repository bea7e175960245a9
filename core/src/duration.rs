//! Durations in the grammar of flags, variables and annotations (`ops.md` 1.5).
//!
//! Everything is integer arithmetic on nanoseconds: what is written is what is meant, to the last
//! nanosecond, and fractions finer than that are cut towards zero.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// The magnitude of the most negative value.
const MAGNITUDE_MAX: u64 = i64::MIN.unsigned_abs();

/// A signed duration in nanoseconds that is read and shown in Go's grammar (`ops.md` 1.5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct GoDuration(i64);

impl GoDuration {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// The duration of `nanos` nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The duration of `secs` seconds, saturating.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// True below zero.
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// The same span without sign, or `None` below zero.
    pub fn to_duration(self) -> Option<Duration> {
        u64::try_from(self.0).ok().map(Duration::from_nanos)
    }
}

impl From<Duration> for GoDuration {
    /// Saturates at the longest duration, which is about 292 years.
    fn from(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }
}

/// Why a text is not a duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DurationError {
    /// There is nothing after the optional sign.
    Empty,
    /// Something stands where a decimal number must stand.
    Number,
    /// A number is not followed by a unit.
    UnitMissing,
    /// The letters after a number are none of the units.
    UnitUnknown,
    /// The sum does not fit into a signed 64-bit count of nanoseconds.
    OutOfRange,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::Number => "it holds something that is not a decimal number with a unit",
            Self::UnitMissing => "a unit is missing",
            Self::UnitUnknown => "a unit is unknown",
            Self::OutOfRange => "it is out of range",
        })
    }
}

impl core::error::Error for DurationError {}

impl FromStr for GoDuration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let (is_negative, mut rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::ZERO);
        }
        if rest.is_empty() {
            return Err(DurationError::Empty);
        }
        let mut magnitude = 0_u64;
        while !rest.is_empty() {
            let group;
            (group, rest) = split_group(rest)?;
            magnitude = magnitude
                .checked_add(group.to_nanos()?)
                .filter(|sum| *sum <= MAGNITUDE_MAX)
                .ok_or(DurationError::OutOfRange)?;
        }
        let nanos = if is_negative {
            0_i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        };
        nanos.map(Self).ok_or(DurationError::OutOfRange)
    }
}

/// One number with its unit.
struct Group<'a> {
    whole: &'a str,
    fraction: &'a str,
    unit: u64,
}

impl Group<'_> {
    fn to_nanos(&self) -> Result<u64, DurationError> {
        let mut whole = 0_u64;
        for digit in digits(self.whole) {
            whole = whole
                .checked_mul(10)
                .and_then(|tens| tens.checked_add(digit))
                .ok_or(DurationError::OutOfRange)?;
        }
        // Long multiplication from the last digit: exact however many digits there are, because
        // the cut-off parts of the inner steps can never reach a whole nanosecond by themselves.
        let fraction = digits(self.fraction)
            .rev()
            .fold(0_u64, |below, digit| (digit * self.unit + below) / 10);
        whole
            .checked_mul(self.unit)
            .and_then(|nanos| nanos.checked_add(fraction))
            .ok_or(DurationError::OutOfRange)
    }
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = u64> {
    text.bytes().map(|byte| u64::from(byte - b'0'))
}

/// Splits the first number with its unit from `text`.
fn split_group(text: &str) -> Result<(Group<'_>, &str), DurationError> {
    let (whole, after_whole) = split_while(text, |byte| byte.is_ascii_digit());
    let (fraction, after_number) = match after_whole.strip_prefix('.') {
        Some(after_point) => split_while(after_point, |byte| byte.is_ascii_digit()),
        None => ("", after_whole),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(DurationError::Number);
    }
    let (unit, rest) = split_while(after_number, |byte| byte != b'.' && !byte.is_ascii_digit());
    let unit = match unit {
        "" => return Err(DurationError::UnitMissing),
        "ns" => 1,
        // The micro sign and the Greek letter look alike and mean the same.
        "us" | "\u{b5}s" | "\u{3bc}s" => MICROSECOND,
        "ms" => MILLISECOND,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return Err(DurationError::UnitUnknown),
    };
    Ok((
        Group {
            whole,
            fraction,
            unit,
        },
        rest,
    ))
}

/// Splits `text` before the first byte that fails `test`, which accepts all bytes beyond ASCII or none.
fn split_while(text: &str, test: impl Fn(u8) -> bool) -> (&str, &str) {
    let len = text
        .bytes()
        .position(|byte| !test(byte))
        .unwrap_or(text.len());
    text.split_at(len)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.is_negative() {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..MICROSECOND => write!(f, "{nanos}ns"),
            MICROSECOND..MILLISECOND => show_decimal(f, nanos, MICROSECOND, "\u{b5}s"),
            MILLISECOND..SECOND => show_decimal(f, nanos, MILLISECOND, "ms"),
            SECOND.. => {
                if nanos >= HOUR {
                    write!(f, "{}h", nanos / HOUR)?;
                }
                if nanos >= MINUTE {
                    write!(f, "{}m", nanos % HOUR / MINUTE)?;
                }
                show_decimal(f, nanos % MINUTE, SECOND, "s")
            }
        }
    }
}

/// Shows `nanos` in `unit` with all digits that count.
fn show_decimal(f: &mut fmt::Formatter<'_>, nanos: u64, unit: u64, name: &str) -> fmt::Result {
    write!(f, "{}", nanos / unit)?;
    let mut rest = nanos % unit;
    if rest != 0 {
        f.write_str(".")?;
    }
    while rest != 0 {
        rest *= 10;
        write!(f, "{}", rest / unit)?;
        rest %= unit;
    }
    f.write_str(name)
}

impl fmt::Debug for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString as _};

    use proptest::prelude::*;

    use super::*;
    use crate::fixed_cases::{CASES, config};

    #[test]
    fn groups_add_up_in_any_order_with_any_sign() {
        parses("0", 0);
        parses("-0", 0);
        parses("+5s", 5_000_000_000);
        parses("1h1m1s1ms1us1ns", 3_661_001_001_001);
        parses("30m1h", 5_400_000_000_000);
        parses("-1.5h", -5_400_000_000_000);
        parses("1\u{b5}s", 1_000);
        parses("1\u{3bc}s", 1_000);
        parses(".5s", 500_000_000);
        parses("1.s", 1_000_000_000);
        parses("00000000000000000000001s", 1_000_000_000);
    }

    #[test]
    fn fractions_are_exact_and_cut_below_the_nanosecond() {
        parses("0.000000001s", 1);
        parses("0.0000000019s", 1);
        parses("-0.0000000019s", -1);
        parses("0.999999999999999999999999999999h", 3_599_999_999_999);
        parses("0.00000000000027777777777777777778h", 1);
    }

    #[test]
    fn whole_range_of_64_bits_is_usable_and_not_more() {
        parses("2562047h47m16.854775807s", i64::MAX);
        parses("-9223372036854775808ns", i64::MIN);
        refuses("9223372036854775808ns", DurationError::OutOfRange);
        refuses("-9223372036854775809ns", DurationError::OutOfRange);
        refuses("3000000h", DurationError::OutOfRange);
        refuses("99999999999999999999999999h", DurationError::OutOfRange);
        refuses("5124095h5124095h5124095h", DurationError::OutOfRange);
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        for (text, error) in [
            ("", DurationError::Empty),
            ("-", DurationError::Empty),
            ("+", DurationError::Empty),
            ("30", DurationError::UnitMissing),
            ("1s1", DurationError::UnitMissing),
            ("1..5s", DurationError::UnitMissing),
            ("s", DurationError::Number),
            (".s", DurationError::Number),
            ("1s.", DurationError::Number),
            (" 1s", DurationError::Number),
            ("--1s", DurationError::Number),
            ("abc", DurationError::Number),
            ("1d", DurationError::UnitUnknown),
            ("1S", DurationError::UnitUnknown),
            ("1s ", DurationError::UnitUnknown),
            ("1 s", DurationError::UnitUnknown),
            ("1h-30m", DurationError::UnitUnknown),
            ("1e3s", DurationError::UnitUnknown),
            ("0x1s", DurationError::UnitUnknown),
            ("1\u{e4}", DurationError::UnitUnknown),
        ] {
            refuses(text, error);
        }
    }

    #[test]
    fn canonical_text_starts_with_the_largest_unit_that_is_not_zero() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (1_500, "1.5\u{b5}s"),
            (999_999, "999.999\u{b5}s"),
            (999_999_999, "999.999999ms"),
            (-1_500_000_000, "-1.5s"),
            (60_000_000_000, "1m0s"),
            (3_600_000_000_000, "1h0m0s"),
            (3_661_500_000_000, "1h1m1.5s"),
            (i64::MAX, "2562047h47m16.854775807s"),
            (i64::MIN, "-2562047h47m16.854775808s"),
        ] {
            assert_eq!(
                GoDuration::from_nanos(nanos).to_string(),
                text,
                "{nanos} ns"
            );
        }
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn canonical_text_reads_back(nanos: i64) {
            let duration = GoDuration::from_nanos(nanos);
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in "[-+]?[0-9.hmsnu\u{b5} ]{0,40}") {
            let _: Result<GoDuration, DurationError> = String::as_str(&text).parse();
        }
    }

    fn parses(text: &str, nanos: i64) {
        assert_eq!(text.parse(), Ok(GoDuration::from_nanos(nanos)), "{text:?}");
    }

    fn refuses(text: &str, error: DurationError) {
        assert_eq!(text.parse::<GoDuration>(), Err(error), "{text:?}");
    }
}
