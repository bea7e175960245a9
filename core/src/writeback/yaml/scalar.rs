//! How a string is written as a scalar (`writeback.md` 10.2).
//!
//! Whatever the text: what is written reads as a string of exactly that text.

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

use super::resolve::{Reader, is_string};

/// Where a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place<'a> {
    /// Who reads the file.
    pub reader: Reader,
    /// Inside of brackets, or as a key.
    pub is_flow: bool,
    /// Spaces before each line of a text of several lines.
    pub indent: usize,
    /// The line break of the file.
    pub line_break: &'a str,
}

/// Writes a string that replaces nothing (`writeback.md` 10.2 steps 1 to 6).
pub fn write(text: &str, place: Place<'_>) -> String {
    let shape = Shape::of(text);
    if shape.has_newline && !place.is_flow && shape.can_be_block() {
        return literal(text, place);
    }
    if shape.has_newline || !is_string(text, place.reader) {
        return double(text);
    }
    if shape.can_be_plain(place.is_flow) {
        return text.into();
    }
    if shape.can_be_single() {
        single(text)
    } else {
        double(text)
    }
}

/// Writes a string in single quotes; in double ones where single ones cannot hold it.
pub fn write_single(text: &str) -> String {
    let shape = Shape::of(text);
    if shape.can_be_single() && !shape.has_newline {
        single(text)
    } else {
        double(text)
    }
}

/// Writes a string in double quotes.
pub fn double(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        let short = match char {
            '"' => '"',
            '\\' => '\\',
            '\0' => '0',
            '\u{7}' => 'a',
            '\u{8}' => 'b',
            '\t' => 't',
            '\n' => 'n',
            '\u{b}' => 'v',
            '\u{c}' => 'f',
            '\r' => 'r',
            '\u{1b}' => 'e',
            '\u{85}' => 'N',
            '\u{2028}' => 'L',
            '\u{2029}' => 'P',
            _ if is_printable(char) => {
                out.push(char);
                continue;
            }
            _ => {
                let code = u32::from(char);
                let written = match code {
                    0..=0xff => write!(out, "\\x{code:02X}"),
                    0x100..=0xffff => write!(out, "\\u{code:04X}"),
                    _ => write!(out, "\\U{code:08X}"),
                };
                debug_assert!(written.is_ok(), "a text can be written into a text");
                continue;
            }
        };
        out.push('\\');
        out.push(short);
    }
    out.push('"');
    out
}

/// True when the text can stand on one line of a block scalar.
pub(super) fn can_be_block_line(text: &str) -> bool {
    let shape = Shape::of(text);
    !text.is_empty() && !shape.has_break && !shape.has_edge_space && shape.can_be_block()
}

fn single(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn literal(text: &str, place: Place<'_>) -> String {
    let body = text.trim_end_matches('\n');
    let n_breaks = text.len() - body.len();
    let chomping = match n_breaks {
        0 => "-",
        1 if !body.is_empty() => "",
        _ => "+",
    };
    let mut out = String::from("|");
    if text.starts_with([' ', '\n']) {
        // The indentation cannot be seen on the first line.
        out.push('2');
    }
    out.push_str(chomping);
    let lines = text.strip_suffix('\n').unwrap_or(text);
    for line in lines.split('\n') {
        out.push_str(place.line_break);
        if !line.is_empty() {
            out.extend(core::iter::repeat_n(' ', place.indent));
            out.push_str(line);
        }
    }
    out
}

/// What begins something else than a plain scalar.
const OPENERS: &str = "#,[]{}&*!|>'\"%@`";

/// What is in a text that matters for the ways it can be written.
#[derive(Clone, Copy, Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is one fact of its own about the text"
)]
struct Shape {
    is_empty: bool,
    has_newline: bool,
    /// Any line break, those of Unicode too.
    has_break: bool,
    /// Something that only double quotes can hold.
    has_special: bool,
    /// A space before a line break.
    has_space_break: bool,
    /// A line break before a space.
    has_break_space: bool,
    has_leading_tab: bool,
    has_tab: bool,
    has_edge_space: bool,
    has_trailing_space: bool,
    is_flow_indicator: bool,
    is_block_indicator: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let is_marker = text.starts_with("---") || text.starts_with("...");
        let mut shape = Self {
            is_empty: text.is_empty(),
            is_flow_indicator: is_marker,
            is_block_indicator: is_marker,
            has_edge_space: text.starts_with(is_blank) || text.ends_with(is_blank),
            has_trailing_space: text.ends_with(' '),
            has_leading_tab: text.starts_with('\t'),
            ..Self::default()
        };
        let mut before: Option<char> = None;
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            let is_before_blank = chars
                .peek()
                .is_none_or(|next| is_blank(*next) || *next == '\t');
            let is_behind_blank = before.is_none_or(|before| is_blank(before) || before == '\t');
            let (is_flow, is_block) = match (char, before) {
                (char, None) if OPENERS.contains(char) => (true, true),
                ('?', None) | (':', _) => (true, is_before_blank),
                ('-', None) => (is_before_blank, is_before_blank),
                (',' | '?' | '[' | ']' | '{' | '}', Some(_)) => (true, false),
                ('#', Some(_)) => (is_behind_blank, is_behind_blank),
                _ => (false, false),
            };
            shape.is_flow_indicator |= is_flow;
            shape.is_block_indicator |= is_block;
            shape.has_newline |= char == '\n';
            shape.has_tab |= char == '\t';
            shape.has_special |= char != '\t' && char != '\n' && !is_printable(char);
            if is_break(char) {
                shape.has_break = true;
                shape.has_space_break |= before == Some(' ');
            } else if char == ' ' {
                shape.has_break_space |= before.is_some_and(is_break);
            }
            before = Some(char);
        }
        shape
    }

    fn can_be_plain(self, is_flow: bool) -> bool {
        let is_indicator = if is_flow {
            self.is_flow_indicator || self.is_empty
        } else {
            self.is_block_indicator
        };
        let is_broken = self.has_break || self.has_edge_space;
        !is_indicator && !is_broken && !self.has_tab && !self.has_special
    }

    fn can_be_single(self) -> bool {
        let is_broken = self.has_space_break || self.has_break_space;
        !is_broken && !self.has_tab && !self.has_special
    }

    fn can_be_block(self) -> bool {
        // A tab at the start is taken for indentation by some readers.
        let is_broken = self.has_trailing_space || self.has_space_break || self.has_leading_tab;
        !is_broken && !self.has_special
    }
}

fn is_blank(char: char) -> bool {
    char == ' ' || is_break(char)
}

fn is_break(char: char) -> bool {
    matches!(char, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What may stand in a file as it is. Beyond the reference, characters above U+FFFF may too (WB-37).
fn is_printable(char: char) -> bool {
    matches!(
        char,
        ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}' | '\u{10000}'..
    )
}
