//! As much of YAML as `registries.conf` needs: one document of mappings, lists and scalars, with the
//! scalar types of YAML 1.1 (`registry.md` 2.3). Bounded in size and depth; no aliases.

use alloc::borrow::ToOwned as _;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use saphyr_parser::{Event, Parser, ScalarStyle};

use super::conf::{ConfProblem, ConfProblemKind};

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
        if !digits.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        let digits = digits.replace('_', "");
        let (radix, digits) = match digits.as_bytes() {
            [b'0', b'x', ..] => (16, &digits[2..]),
            [b'0', b'b', ..] => (2, &digits[2..]),
            [b'0', b'o', ..] => (8, &digits[2..]),
            [b'0', b'0'..=b'7', ..] if !digits.contains('.') => (8, &digits[1..]),
            _ => (10, without_fraction(&digits)?),
        };
        let is_signed = digits.starts_with(['+', '-']);
        let value = i64::from_str_radix(digits, radix)
            .ok()
            .filter(|_| !is_signed)?;
        Some(if is_negative { -value } else { value })
    }
}

fn without_fraction(digits: &str) -> Option<&str> {
    match digits.split_once('.') {
        None => Some(digits),
        Some((whole, fraction)) => fraction
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then_some(whole),
    }
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
