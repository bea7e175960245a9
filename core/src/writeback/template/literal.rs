//! Literals as Go writes them: texts, characters, numbers.

use alloc::string::String;
use alloc::vec::Vec;

/// A constant number.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Number {
    /// A whole number, or a character.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// A whole number that only an unsigned integer holds: an error where it is used.
    Unsigned,
}

/// Reads the inside of a text in double quotes; `None` for a wrong escape.
pub(super) fn unquote(inner: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(char) = rest.chars().next() {
        if char == '\\' {
            rest = unescape(&rest[1..], '"', &mut bytes)?.1;
        } else {
            push_char(&mut bytes, char);
            rest = &rest[char.len_utf8()..];
        }
    }
    Some(bytes)
}

/// Reads the inside of a character in single quotes, as its number.
pub(super) fn unquote_char(inner: &str) -> Option<u32> {
    let first = inner.chars().next()?;
    let (code, rest) = if first == '\\' {
        unescape(&inner[1..], '\'', &mut Vec::new())?
    } else {
        (u32::from(first), &inner[first.len_utf8()..])
    };
    rest.is_empty().then_some(code)
}

/// Reads one escape behind its backslash: what it stands for, and the rest.
fn unescape<'a>(text: &'a str, quote: char, into: &mut Vec<u8>) -> Option<(u32, &'a str)> {
    let first = text.chars().next()?;
    let rest = &text[first.len_utf8()..];
    let digits = |count: usize, radix: u32, from: &'a str| {
        let digits = from.get(..count)?;
        let is_plain = digits.chars().all(|digit| digit.is_digit(radix));
        let code = u32::from_str_radix(digits, radix).ok()?;
        is_plain.then_some((code, &from[count..]))
    };
    let (code, rest, is_byte) = match first {
        'a' => (7, rest, false),
        'b' => (8, rest, false),
        'f' => (12, rest, false),
        'n' => (10, rest, false),
        'r' => (13, rest, false),
        't' => (9, rest, false),
        'v' => (11, rest, false),
        '\\' => (u32::from('\\'), rest, false),
        _ if first == quote => (u32::from(quote), rest, false),
        '0'..='7' => {
            let (code, rest) = digits(3, 8, text)?;
            (code, rest, true)
        }
        'x' => {
            let (code, rest) = digits(2, 16, rest)?;
            (code, rest, true)
        }
        'u' => {
            let (code, rest) = digits(4, 16, rest)?;
            (code, rest, false)
        }
        'U' => {
            let (code, rest) = digits(8, 16, rest)?;
            (code, rest, false)
        }
        _ => return None,
    };
    if is_byte {
        into.push(u8::try_from(code).ok()?);
    } else {
        push_char(into, char::from_u32(code)?);
    }
    Some((code, rest))
}

fn push_char(bytes: &mut Vec<u8>, char: char) {
    bytes.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Where the number ends with which the text begins.
pub(super) fn end_of_number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let run = |from: usize, digits: fn(&u8) -> bool| {
        from + bytes[from..].iter().take_while(|byte| digits(byte)).count()
    };
    let is_any = |at: usize, signs: &[u8]| bytes.get(at).is_some_and(|byte| signs.contains(byte));
    let decimal: fn(&u8) -> bool = |byte| byte.is_ascii_digit() || *byte == b'_';
    let mut at = usize::from(is_any(0, b"+-"));
    let mut digits = decimal;
    if is_any(at, b"0") {
        at += 1;
        if is_any(at, b"xX") {
            digits = |byte| byte.is_ascii_hexdigit() || *byte == b'_';
            at += 1;
        } else if is_any(at, b"oO") {
            digits = |byte| matches!(byte, b'0'..=b'7' | b'_');
            at += 1;
        } else if is_any(at, b"bB") {
            digits = |byte| matches!(byte, b'0' | b'1' | b'_');
            at += 1;
        }
    }
    at = run(at, digits);
    if is_any(at, b".") {
        at = run(at + 1, digits);
    }
    if is_any(at, b"eEpP") {
        at += 1;
        at += usize::from(is_any(at, b"+-"));
        at = run(at, decimal);
    }
    at
}

/// Reads a number; `None` when it is none, has too many digits, or is hexadecimal with a point.
pub(super) fn number(text: &str) -> Option<Number> {
    let (is_negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let is_hexadecimal = lower.starts_with("0x");
    if lower.contains('.') || (!is_hexadecimal && lower.contains('e')) {
        return float(text, &lower).map(Number::Float);
    }
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, &*lower),
    };
    let plain = without_underscores(&lower, body)?;
    let magnitude = u64::from_str_radix(&plain, radix).ok()?;
    let number = if is_negative {
        0_i64.checked_sub_unsigned(magnitude)?
    } else {
        match i64::try_from(magnitude) {
            Ok(number) => number,
            Err(_) if text.starts_with('+') => return None,
            Err(_) => return Some(Number::Unsigned),
        }
    };
    Some(Number::Int(number))
}

/// True for a number that is hexadecimal and has a point or an exponent.
pub(super) fn is_hexadecimal_float(text: &str) -> bool {
    let lower = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    lower.starts_with("0x") && lower.contains(['.', 'p'])
}

/// The text `part` of `whole` without underscores, which may only stand between two digits or behind a prefix.
fn without_underscores(whole: &str, part: &str) -> Option<String> {
    let is_hexadecimal = whole.starts_with("0x");
    let has_prefix = ["0x", "0o", "0b"]
        .iter()
        .any(|prefix| whole.starts_with(prefix));
    let digits = if has_prefix { &whole[2..] } else { whole };
    let mut is_behind_digit = has_prefix;
    let mut is_behind_underscore = false;
    for byte in digits.bytes() {
        let is_digit = byte.is_ascii_digit() || (is_hexadecimal && byte.is_ascii_hexdigit());
        if (byte == b'_' && !is_behind_digit) || (is_behind_underscore && !is_digit) {
            return None;
        }
        is_behind_digit = is_digit;
        is_behind_underscore = byte == b'_';
    }
    let plain: String = part.chars().filter(|char| *char != '_').collect();
    (!is_behind_underscore && !plain.starts_with(['+', '-'])).then_some(plain)
}

fn float(text: &str, lower: &str) -> Option<f64> {
    if lower.starts_with("0x") {
        return None;
    }
    without_underscores(lower, lower)?;
    let plain: String = text.chars().filter(|char| *char != '_').collect();
    plain
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())
}
