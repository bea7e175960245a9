//! Numbers and quoted characters as text.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::escape::{chars, is_printable};
use super::format::{Sink, Verb};
use super::{Fault, OUTPUT_BYTES_MAX};

/// A number as text: its sign, and its digits with what belongs in front of them.
pub(super) struct NumberText {
    sign: &'static str,
    digits: String,
    /// Zeros may fill it up.
    is_fillable: bool,
}

/// A whole number under `verb`; `None` where the verb is not one of plain numbers.
pub(super) fn integer(verb: &Verb, value: i64) -> Option<NumberText> {
    let magnitude = value.unsigned_abs();
    let (digits, prefix) = match verb.char {
        'v' | 'd' => (magnitude.to_string(), ""),
        'b' => (
            format!("{magnitude:b}"),
            if verb.has_sharp { "0b" } else { "" },
        ),
        'o' => (format!("{magnitude:o}"), ""),
        'O' => (format!("{magnitude:o}"), "0o"),
        'x' => (
            format!("{magnitude:x}"),
            if verb.has_sharp { "0x" } else { "" },
        ),
        'X' => (
            format!("{magnitude:X}"),
            if verb.has_sharp { "0X" } else { "" },
        ),
        'U' => return Some(code_point(verb, value)),
        _ => return None,
    };
    let sign = sign_of(verb, value < 0);
    // A precision, or a width to fill with zeros, is a number of digits.
    let n_digits = match (verb.precision, verb.width) {
        (Some(0), _) if value == 0 => {
            return Some(NumberText {
                sign: "",
                digits: String::new(),
                is_fillable: false,
            });
        }
        (Some(precision), _) => precision,
        (None, Some(width)) if verb.has_zero && !verb.has_minus => width.saturating_sub(sign.len()),
        (None, _) => 0,
    };
    // What is longer than any output is refused when it is written.
    let n_zeros = n_digits
        .saturating_sub(digits.len())
        .min(OUTPUT_BYTES_MAX + 1);
    let mut text = String::with_capacity(prefix.len() + n_zeros + digits.len() + 1);
    text.push_str(prefix);
    text.extend(core::iter::repeat_n('0', n_zeros));
    if verb.char == 'o' && verb.has_sharp && n_zeros == 0 && !digits.starts_with('0') {
        text.push('0');
    }
    text.push_str(&digits);
    Some(NumberText {
        sign,
        digits: text,
        is_fillable: false,
    })
}

fn code_point(verb: &Verb, value: i64) -> NumberText {
    let n_digits = verb.precision.unwrap_or(4).clamp(4, OUTPUT_BYTES_MAX + 1);
    let mut digits = format!("U+{value:0n_digits$X}");
    if verb.has_sharp {
        let char = u32::try_from(value).ok().and_then(char::from_u32);
        if let Some(char) = char.filter(|char| is_printable(*char)) {
            digits.push_str(" '");
            digits.push(char);
            digits.push('\'');
        }
    }
    NumberText {
        sign: "",
        digits,
        is_fillable: false,
    }
}

fn sign_of(verb: &Verb, is_negative: bool) -> &'static str {
    if is_negative {
        "-"
    } else if verb.has_plus {
        "+"
    } else if verb.has_space {
        " "
    } else {
        ""
    }
}

/// A number with a point under `verb`; `None` where the verb is not one of such numbers.
pub(super) fn float(verb: &Verb, value: f64) -> Result<Option<NumberText>, Fault> {
    // More digits than any number has are refused, before they are made.
    const PRECISION_MAX: usize = 1_000;
    if verb
        .precision
        .is_some_and(|precision| precision > PRECISION_MAX)
    {
        return Err(Fault::TooMuch);
    }
    let magnitude = value.abs();
    let digits = match verb.char {
        'v' | 'g' | 'G' if verb.has_sharp || verb.is_source => {
            return Err(Fault::Unprintable);
        }
        'e' | 'E' | 'f' | 'F' if verb.has_sharp && verb.precision == Some(0) => {
            return Err(Fault::Unprintable);
        }
        'v' | 'g' => general(magnitude, verb.precision),
        'G' => general(magnitude, verb.precision).to_uppercase(),
        'e' => exponential(&format!("{magnitude:.*e}", verb.precision.unwrap_or(6))),
        'E' => exponential(&format!("{magnitude:.*e}", verb.precision.unwrap_or(6))).to_uppercase(),
        'f' | 'F' => format!("{magnitude:.*}", verb.precision.unwrap_or(6)),
        'b' | 'x' | 'X' => return Err(Fault::Unprintable),
        _ => return Ok(None),
    };
    Ok(Some(NumberText {
        sign: sign_of(verb, value.is_sign_negative()),
        digits,
        is_fillable: true,
    }))
}

/// The shorter of both forms, without needless zeros.
fn general(magnitude: f64, precision: Option<usize>) -> String {
    let scientific = match precision {
        None => format!("{magnitude:e}"),
        Some(precision) => format!("{magnitude:.*e}", precision.max(1) - 1),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    let digits: String = mantissa.chars().filter(|char| *char != '.').collect();
    let trimmed = digits.trim_end_matches('0');
    let digits = if trimmed.is_empty() { "0" } else { trimmed };
    let n_digits = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let threshold = match precision {
        None => 6,
        Some(precision) => {
            let precision = i64::try_from(precision.max(1)).unwrap_or(i64::MAX);
            if precision > n_digits && n_digits > exponent {
                n_digits
            } else {
                precision
            }
        }
    };
    if exponent < -4 || exponent >= threshold {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return exponential(&format!("{first}{point}{rest}e{exponent}"));
    }
    let Ok(position) = usize::try_from(exponent) else {
        let zeros = usize::try_from(-1 - exponent).unwrap_or(0);
        return format!("0.{:0<zeros$}{digits}", "");
    };
    match digits.get(position + 1..) {
        None | Some("") => format!("{digits:0<width$}", width = position + 1),
        Some(rest) => format!("{}.{rest}", &digits[..=position]),
    }
}

/// `1.5e7` as `1.5e+07`.
fn exponential(text: &str) -> String {
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', exponent),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Writes a number with its sign, filled up to the width.
pub(super) fn write(verb: &Verb, text: &NumberText, sink: &mut Sink) -> Result<(), Fault> {
    let length = text.sign.len() + text.digits.len();
    let missing = verb.width.map_or(0, |width| width.saturating_sub(length));
    if verb.has_zero && !verb.has_minus && text.is_fillable {
        sink.push(text.sign.as_bytes())?;
        for _ in 0..missing {
            sink.push(b"0")?;
        }
        return sink.push(text.digits.as_bytes());
    }
    let mut whole = Vec::with_capacity(length);
    whole.extend_from_slice(text.sign.as_bytes());
    whole.extend_from_slice(text.digits.as_bytes());
    let blank = Verb {
        has_zero: false,
        ..*verb
    };
    blank.pad(&whole, sink)
}

/// The character with that number, or the replacement character.
pub(super) fn character(code: i64) -> Vec<u8> {
    let char = u32::try_from(code)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER);
    Vec::from(char.encode_utf8(&mut [0; 4]).as_bytes())
}

/// Writes a text in quotes, with escapes for what cannot be printed.
pub(super) fn quote(
    text: &[u8],
    quote: char,
    is_ascii: bool,
    sink: &mut Sink,
) -> Result<(), Fault> {
    sink.push_fmt(format_args!("{quote}"))?;
    for (char, bytes) in chars(text) {
        if char == char::REPLACEMENT_CHARACTER && bytes.len() == 1 {
            sink.push_fmt(format_args!("\\x{:02x}", bytes[0]))?;
            continue;
        }
        match char {
            '\\' => sink.push(b"\\\\")?,
            '\x07' => sink.push(b"\\a")?,
            '\x08' => sink.push(b"\\b")?,
            '\x0c' => sink.push(b"\\f")?,
            '\n' => sink.push(b"\\n")?,
            '\r' => sink.push(b"\\r")?,
            '\t' => sink.push(b"\\t")?,
            '\x0b' => sink.push(b"\\v")?,
            _ if char == quote => sink.push_fmt(format_args!("\\{char}"))?,
            _ if is_printable(char) && (char.is_ascii() || !is_ascii) => sink.push(bytes)?,
            '\0'..' ' | '\x7f' => sink.push_fmt(format_args!("\\x{:02x}", u32::from(char)))?,
            '\u{10000}'.. => sink.push_fmt(format_args!("\\U{:08x}", u32::from(char)))?,
            _ => sink.push_fmt(format_args!("\\u{:04x}", u32::from(char)))?,
        }
    }
    sink.push_fmt(format_args!("{quote}"))
}
