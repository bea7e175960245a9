//! What a plain scalar is read as by those who read the files after us: Argo CD and Helm (go-yaml), kustomize
//! (kyaml) (`writeback.md` 10.2).

/// Who reads the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reader {
    /// Helm, a values file.
    Helm,
    /// Argo CD or kustomize.
    Kubernetes,
}

/// True when the plain text is read as a string by everybody (`writeback.md` 10.2 steps 2 and 3).
pub fn is_string(text: &str, reader: Reader) -> bool {
    // In values files single letters and numbers to the base of 60 stay plain (`writeback.md` 10.2 step 3); the
    // contract's cases quote only the longer words there.
    let is_strict = reader == Reader::Kubernetes;
    let is_old = is_old_bool(text) || (is_strict && (is_old_letter(text) || is_sexagesimal(text)));
    !(is_word(text) || is_old || is_number(text) || is_time(text))
}

/// Null, truth values, merge keys, and the floats that are words.
fn is_word(text: &str) -> bool {
    const WORDS: [&str; 15] = [
        "", "~", "null", "Null", "NULL", "true", "True", "TRUE", "false", "False", "FALSE", ".nan",
        ".NaN", ".NAN", "<<",
    ];
    if WORDS.contains(&text) {
        return true;
    }
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(text, ".inf" | ".Inf" | ".INF")
}

/// The truth values of YAML 1.1 that are words.
fn is_old_bool(text: &str) -> bool {
    const WORDS: [&str; 12] = [
        "yes", "Yes", "YES", "on", "On", "ON", "no", "No", "NO", "off", "Off", "OFF",
    ];
    WORDS.contains(&text)
}

/// The truth values of YAML 1.1 that are letters.
fn is_old_letter(text: &str) -> bool {
    matches!(text, "y" | "Y" | "n" | "N")
}

/// Longest number that is looked at closely.
const DIGITS_MAX: usize = 400;

/// Integers and floats. A `_` counts as nothing.
fn is_number(text: &str) -> bool {
    let is_candidate = text.starts_with(['+', '-', '.']) || starts_with_digit(text);
    if !is_candidate || text.len() > DIGITS_MAX {
        return is_candidate && is_decimal_float(text);
    }
    let plain: alloc::string::String = text.chars().filter(|char| *char != '_').collect();
    is_integer(&plain) || is_decimal_float(&plain)
}

/// An integer that fits in 64 bits, with the prefix of its base.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_negative = text.starts_with('-');
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    // Some readers take a sign behind the prefix too.
    let digits = match (radix, digits.strip_prefix(['+', '-'])) {
        (2 | 8, Some(digits)) => digits,
        _ => digits,
    };
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let value = u64::from_str_radix(digits, radix);
    is_digits && value.is_ok_and(|value| !is_negative || value <= 1 << 63)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` that does not overflow.
fn is_decimal_float(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let whole_len = digits_len(text);
    let (whole, rest) = text.split_at(whole_len);
    let (fraction, rest) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => rest.split_at(digits_len(rest)),
    };
    if whole.is_empty() && fraction.is_empty() {
        return false;
    }
    let exponent = match rest.strip_prefix(['e', 'E']) {
        None if rest.is_empty() => "0",
        None => return false,
        Some(exponent) => exponent,
    };
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || digits_len(digits) != digits.len() {
        return false;
    }
    !overflows(whole, fraction, digits, exponent.starts_with('-'))
}

/// True when the number is beyond the greatest of 64 bits, decided on its digits.
fn overflows(whole: &str, fraction: &str, exponent: &str, is_negative: bool) -> bool {
    // The first number that is rounded to infinity, `…e308`.
    const FIRST_INFINITE: &str =
        "17976931348623158079372897140530341507993413271003782693617377898";
    let exponent = exponent.trim_start_matches('0');
    let exponent = if exponent.is_empty() {
        0
    } else {
        exponent.parse::<i64>().unwrap_or(i64::MAX >> 1)
    };
    let exponent = if is_negative { -exponent } else { exponent };
    let mut digits = whole.bytes().chain(fraction.bytes());
    let Some(zeros) = digits.position(|byte| byte != b'0') else {
        return false;
    };
    let position = |len: usize| i64::try_from(len).unwrap_or(i64::MAX >> 1);
    // The exponent of the first digit that counts.
    let magnitude = exponent.saturating_add(position(whole.len()) - position(zeros) - 1);
    if magnitude != 308 {
        return magnitude > 308;
    }
    let digits = whole.bytes().chain(fraction.bytes()).skip(zeros);
    digits.cmp(FIRST_INFINITE.bytes()).is_ge()
}

/// A number with `:` between its digits to the base of 60, as YAML 1.1 has them.
fn is_sexagesimal(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let is_first = starts_with_digit(first)
        && first
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'_');
    let mut n_parts = 0;
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        n_parts += 1;
        let part = match part.split_once('.') {
            Some((part, fraction)) => {
                let is_fraction = fraction
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'_');
                if parts.peek().is_some() || !is_fraction {
                    return false;
                }
                part
            }
            None => part,
        };
        let is_part = match part.as_bytes() {
            [digit] => digit.is_ascii_digit(),
            [tens, digit] => matches!(tens, b'0'..=b'5') && digit.is_ascii_digit(),
            _ => false,
        };
        if !is_part {
            return false;
        }
    }
    is_first && n_parts > 0
}

/// A date, or a date with a time of day.
fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.get(4) != Some(&b'-') || !bytes[..4].iter().all(u8::is_ascii_digit) {
        return false;
    }
    let mut rest = &text[5..];
    let year = number(&text[..4]);
    let Some(month) = take_number(&mut rest) else {
        return false;
    };
    let Some(day) = rest
        .strip_prefix('-')
        .and_then(|behind| taken(&mut rest, behind))
    else {
        return false;
    };
    if !(1..=12).contains(&month) || day < 1 || day > days_of(month, year) {
        return false;
    }
    let (is_zoned, of_day) = match rest.as_bytes() {
        [] => return true,
        [b'T' | b't', ..] => (true, &rest[1..]),
        [b' ', ..] => (false, &rest[1..]),
        _ => return false,
    };
    is_time_of_day(of_day, is_zoned)
}

fn is_time_of_day(mut rest: &str, is_zoned: bool) -> bool {
    let Some(hour) = take_number(&mut rest) else {
        return false;
    };
    let mut part = || {
        let behind = rest.strip_prefix(':')?;
        taken(&mut rest, behind)
    };
    let (Some(minute), Some(second)) = (part(), part()) else {
        return false;
    };
    if hour > 23 || minute > 59 || second > 59 {
        return false;
    }
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let len = digits_len(fraction);
        if len > 0 {
            rest = &fraction[len..];
        }
    }
    match (is_zoned, rest.as_bytes()) {
        (false, []) | (true, b"Z") => true,
        (true, [b'+' | b'-', h1, h2, b':', m1, m2]) => {
            let pair = |tens: u8, digit: u8| {
                let is_digits = tens.is_ascii_digit() && digit.is_ascii_digit();
                is_digits.then(|| u32::from(tens - b'0') * 10 + u32::from(digit - b'0'))
            };
            pair(*h1, *h2).is_some_and(|hours| hours <= 24)
                && pair(*m1, *m2).is_some_and(|minutes| minutes <= 60)
        }
        _ => false,
    }
}

fn taken<'a>(rest: &mut &'a str, behind: &'a str) -> Option<u32> {
    *rest = behind;
    take_number(rest)
}

/// One digit or two.
fn take_number(rest: &mut &str) -> Option<u32> {
    let len = digits_len(rest).min(2);
    let (digits, behind) = rest.split_at(len);
    *rest = behind;
    (len > 0).then(|| number(digits))
}

fn number(digits: &str) -> u32 {
    digits.parse().unwrap_or_default()
}

fn days_of(month: u32, year: u32) -> u32 {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_digit())
}

fn digits_len(text: &str) -> usize {
    let is_other = |byte: u8| !byte.is_ascii_digit();
    text.bytes().position(is_other).unwrap_or(text.len())
}
