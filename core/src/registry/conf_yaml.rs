//! As much of YAML as `registries.conf` needs: one document of mappings, lists and scalars, with the
//! scalar types of YAML 1.1 (`registry.md` 2.3). Bounded in size and depth; no aliases.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::conf_problem::{ConfProblem, ConfProblemKind};

/// Longest file that is read.
const FILE_BYTES_MAX: usize = 1 << 20;
/// How deep values may be nested.
const DEPTH_MAX: usize = 16;

/// A value of the document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum ConfNode {
    /// A single value.
    Scalar(ConfScalar),
    /// A list.
    List(Vec<ConfNode>),
    /// A mapping in the order of the file, repeated keys included.
    Map(Vec<(String, ConfNode)>),
}

/// A single value, as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct ConfScalar {
    pub(super) text: String,
    is_plain: bool,
}

impl ConfNode {
    const NULL: Self = Self::Scalar(ConfScalar {
        text: String::new(),
        is_plain: true,
    });

    pub(super) fn is_null(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.is_null(),
            Self::List(_) | Self::Map(_) => false,
        }
    }
}

impl ConfScalar {
    pub(super) fn is_null(&self) -> bool {
        self.is_plain && matches!(self.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
    }

    /// The text; of a null nothing.
    pub(super) fn as_text(&self) -> &str {
        if self.is_null() { "" } else { &self.text }
    }

    /// An unquoted word of YAML 1.1; a null is false.
    pub(super) fn to_bool(&self) -> Option<bool> {
        if self.is_null() {
            return Some(false);
        }
        match self.text.as_str() {
            _ if !self.is_plain => None,
            "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
                Some(true)
            }
            "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off"
            | "OFF" => Some(false),
            _ => None,
        }
    }

    /// True when a number is nothing but zeros, and not a fraction that is cut off to zero.
    pub(super) fn is_zero(&self) -> bool {
        let mantissa = self.text.split(['e', 'E']).next().unwrap_or_default();
        !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
    }

    /// An unquoted integer of YAML 1.1: decimal, `0x`, `0b`, leading `0` for octal, `_` between digits. The
    /// fraction of a decimal number is cut off.
    pub(super) fn to_integer(&self) -> Option<i64> {
        if !self.is_plain {
            return None;
        }
        let (is_negative, digits) = match self.text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, self.text.strip_prefix('+').unwrap_or(&self.text)),
        };
        if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
            return None;
        }
        let digits = digits.replace('_', "");
        let radix = match digits.as_bytes() {
            [b'0', b'x' | b'X', ..] => Some((16, 2)),
            [b'0', b'b' | b'B', ..] => Some((2, 2)),
            [b'0', b'o' | b'O', ..] => Some((8, 2)),
            [b'0', b'0'..=b'7', ..] => Some((8, 1)),
            _ => None,
        };
        let of_radix = radix.and_then(|(radix, start)| {
            let digits = &digits[start..];
            let is_signed = digits.starts_with(['+', '-']);
            let value = i64::from_str_radix(digits, radix).ok();
            value.filter(|_| !is_signed)
        });
        let value = of_radix.or_else(|| whole_part(&digits))?;
        Some(if is_negative { -value } else { value })
    }
}

/// The whole part of a decimal number with optional fraction and exponent, if it fits.
fn whole_part(number: &str) -> Option<i64> {
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if !digits().all(|byte| byte.is_ascii_digit()) || digits().next().is_none() {
        return None;
    }
    let n_digits = i64::try_from(whole.len())
        .ok()?
        .checked_add(i64::from(exponent))?;
    let mut value: i64 = 0;
    let mut digits = digits();
    for _ in 0..n_digits.max(0) {
        let digit = match digits.next() {
            Some(digit) => i64::from(digit - b'0'),
            // Zeros behind a zero stay zero, however many there are.
            None if value == 0 => break,
            None => 0,
        };
        value = value.checked_mul(10)?.checked_add(digit)?;
    }
    Some(value)
}

/// Reads the first document of `text`.
///
/// # Errors
/// A [`ConfProblem`] when it is no YAML, too large, too deep, or uses aliases.
pub(super) fn read_document(text: &str) -> Result<ConfNode, ConfProblem> {
    if text.len() > FILE_BYTES_MAX {
        return Err(syntax("the file is longer than 1 MiB"));
    }
    let mut events = Parser::new_from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    let mut open: Vec<Open> = Vec::new();
    loop {
        let event = match events.next_event() {
            None => return Ok(ConfNode::NULL),
            Some(Ok((event, _))) => event,
            Some(Err(error)) => {
                return Err(syntax(&format!("the file is no YAML: {error}")));
            }
        };
        let finished = match event {
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
            Event::StreamEnd | Event::DocumentEnd => return Ok(ConfNode::NULL),
            Event::Alias(_) => {
                return Err(syntax("aliases are not read here: write the value out"));
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if open.len() >= DEPTH_MAX => {
                return Err(syntax("values are nested too deeply"));
            }
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Vec::new(), None));
                continue;
            }
            Event::Scalar(text, style, ..) => ConfNode::Scalar(ConfScalar {
                text: text.into_owned(),
                is_plain: style == ScalarStyle::Plain,
            }),
            Event::SequenceEnd | Event::MappingEnd => match open.pop() {
                Some(Open::List(items)) => ConfNode::List(items),
                Some(Open::Map(members, _)) => ConfNode::Map(members),
                None => return Err(syntax("the file is no YAML")),
            },
        };
        match open.last_mut() {
            None => return first_alone(&mut events, finished),
            Some(Open::List(items)) => items.push(finished),
            Some(Open::Map(members, key)) => match key.take() {
                Some(key) => members.push((key, finished)),
                None => match finished {
                    ConfNode::Scalar(scalar) => *key = Some(scalar.text),
                    ConfNode::List(_) | ConfNode::Map(_) => {
                        let detail = "a key is a list or a mapping";
                        return Err(ConfProblem::new(ConfProblemKind::TypeMismatch, detail));
                    }
                },
            },
        }
    }
}

/// A list or mapping whose end was not read yet; a mapping with the key that waits for its value.
enum Open {
    List(Vec<ConfNode>),
    Map(Vec<(String, ConfNode)>, Option<String>),
}

/// The document's value, provided that the document ends behind it.
fn first_alone(
    events: &mut Parser<'_, saphyr_parser::StrInput<'_>>,
    value: ConfNode,
) -> Result<ConfNode, ConfProblem> {
    match events.next_event() {
        Some(Err(error)) => Err(syntax(&format!("the file is no YAML: {error}"))),
        Some(Ok(_)) | None => Ok(value),
    }
}

fn syntax(detail: &str) -> ConfProblem {
    ConfProblem::new(ConfProblemKind::YamlSyntax, detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i64>) {
        let scalar = ConfScalar {
            text: text.to_owned(),
            is_plain: true,
        };
        assert_eq!(scalar.to_integer(), expected, "{text}");
    }

    #[test]
    fn integers_are_those_of_yaml_1_1() {
        for (text, value) in [
            ("20", 20),
            ("+20", 20),
            ("-5", -5),
            ("1_000", 1000),
            ("0x1F", 31),
            ("0X1f", 31),
            ("-0x10", -16),
            ("0b101", 5),
            ("0o17", 15),
            ("017", 15),
            ("018", 18),
            ("0", 0),
            ("00", 0),
            ("2.9", 2),
            ("-2.9", -2),
            ("5.", 5),
            (".5", 0),
            ("1e3", 1000),
            ("1.25e1", 12),
            ("1500e-2", 15),
            ("1e-9", 0),
            ("0e2000000000", 0),
        ] {
            check(text, Some(value));
        }
        for text in [
            "",
            ".",
            "-",
            "e3",
            "1e",
            "1e400",
            "0x",
            "0x-1",
            "0b2",
            "x1",
            "1,5",
            "1.2.3",
            "1 2",
            "99999999999999999999",
            "1e2000000000",
            "--1",
        ] {
            check(text, None);
        }
    }
}
