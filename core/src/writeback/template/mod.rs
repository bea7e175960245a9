//! Templates in the language of Go's `text/template`, for branch names and commit messages (`writeback.md` 7.3, 8).
//!
//! All of the language with its built-in functions and nothing beyond, except numbers that no template of a
//! branch or message has: complex ones and hexadecimal ones with a point. Reading and rendering are bounded by
//! [`SOURCE_BYTES_MAX`], [`STEPS_MAX`], [`OUTPUT_BYTES_MAX`] and [`WORK_BYTES_MAX`]; what exceeds them is an
//! error, as is everything that Go refuses.

mod escape;
mod format;
mod function;
mod lexer;
mod literal;
mod node;
mod number;
mod parser;
mod render;
mod value;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use format::Sink;
use node::Node;
use parser::Definitions;
pub use value::{Record, Value};

/// Longest template, in bytes.
pub const SOURCE_BYTES_MAX: usize = 64 << 10;
/// Most steps of one rendering: nodes, commands, operands, turns of loops.
pub const STEPS_MAX: u32 = 100_000;
/// Longest result, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 64 << 10;
/// Most bytes that all texts of one rendering may have together.
pub const WORK_BYTES_MAX: usize = 256 << 10;

/// A template that was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Template {
    nodes: Vec<Node>,
    definitions: Definitions,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When it is longer than [`SOURCE_BYTES_MAX`], or outside the language.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(TemplateError::new(
                Position::BEGIN,
                "more bytes than a template may have",
                "",
            ));
        }
        let (nodes, definitions) = parser::parse(&lexer::read(source)?)?;
        Ok(Self { nodes, definitions })
    }

    /// Renders it with `data` as its dot. A character that was cut apart is replaced.
    ///
    /// # Errors
    /// When Go would stop, or a bound is exceeded.
    pub fn render(&self, data: &Value) -> Result<String, RenderError> {
        let mut sink = Sink::new();
        render::render(&self.nodes, &self.definitions, data, &mut sink)?;
        let bytes = sink.into_bytes();
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

/// A place in a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The line, counted from one.
    pub line: u32,
    /// The character in the line, counted from one.
    pub column: u32,
}

impl Position {
    const BEGIN: Self = Self { line: 1, column: 1 };

    /// The position behind `text` that begins here. No template has more characters than the counters hold.
    fn behind(self, text: &str) -> Self {
        let count = |chars: usize| u32::try_from(chars).unwrap_or(u32::MAX);
        match text.rsplit_once('\n') {
            None => Self {
                line: self.line,
                column: self.column.saturating_add(count(text.chars().count())),
            },
            Some((lines, last)) => Self {
                line: self
                    .line
                    .saturating_add(count(lines.matches('\n').count()))
                    .saturating_add(1),
                column: count(last.chars().count()).saturating_add(1),
            },
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// As much of a text as a message may show.
fn begin_of(text: &str) -> Box<str> {
    const CHARS_MAX: usize = 20;
    match text.char_indices().nth(CHARS_MAX) {
        None => text.into(),
        Some((at, _)) => text[..at].into(),
    }
}

/// Why a text is no template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TemplateError {
    /// Where it stops being one.
    pub position: Position,
    what: &'static str,
    /// The begin of what stands there.
    near: Box<str>,
}

impl TemplateError {
    fn new(position: Position, what: &'static str, near: &str) -> Self {
        Self {
            position,
            what,
            near: begin_of(near),
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.what)?;
        if self.near.is_empty() {
            Ok(())
        } else {
            write!(f, " at {:?}", self.near)
        }
    }
}

impl core::error::Error for TemplateError {}

/// Why a template could not be rendered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RenderError {
    /// The action that could not be carried out, or the word in it.
    pub position: Position,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.fault)
    }
}

impl core::error::Error for RenderError {}

/// What keeps a template from being carried out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A command, function or member has the wrong arguments.
    Arguments,
    /// `call` was given something that cannot be called.
    NotAFunction,
    /// Two values cannot be compared.
    Comparison,
    /// An index is outside of its list or text.
    OutOfRange,
    /// There is no such member; the begin of its name.
    NoMember(Box<str>),
    /// A variable is assigned that was not set.
    NoVariable,
    /// There is no definition of that name.
    NoDefinition,
    /// Something that is no list is gone through.
    Range,
    /// A value is printed in a way that only Go can.
    Unprintable,
    /// A bound on work or size is exceeded.
    TooMuch,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arguments => "wrong number or type of arguments",
            Self::NotAFunction => "a value is called that is no function",
            Self::Comparison => "two values cannot be compared",
            Self::OutOfRange => "an index is out of range",
            Self::NoMember(name) => {
                return write!(f, "a member does not exist: .{name}");
            }
            Self::NoVariable => "a variable is not set",
            Self::NoDefinition => "a template is not defined",
            Self::Range => "a range goes over something that is no list",
            Self::Unprintable => "a value has no text in this format",
            Self::TooMuch => "the template does more than it may",
        })
    }
}

#[cfg(test)]
mod tests;
