//! Why a file is not edited.

use alloc::boxed::Box;
use core::fmt;

use crate::git::PathRefusal;

/// Why a file is not edited: which file, where in it, and what stands in the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EditRefusal {
    /// The file, from the root of the repository; empty while it is not known.
    pub file: Box<str>,
    /// The path inside the file; empty when the whole file is meant.
    pub path: Box<str>,
    /// The line, from 1; 0 when no line is meant.
    pub line: usize,
    /// What stands in the way.
    pub reason: EditReason,
}

/// What stands in the way of an edit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EditReason {
    /// The file is not UTF-8.
    NotUtf8,
    /// The file is longer than [`TEXT_BYTES_MAX`](super::TEXT_BYTES_MAX).
    TooLarge,
    /// It nests deeper than [`DEPTH_MAX`](super::DEPTH_MAX).
    TooDeep,
    /// It has more than [`NODES_MAX`](super::NODES_MAX) nodes.
    TooManyNodes,
    /// It declares tags of its own (`%TAG`).
    Directive,
    /// It is no YAML.
    Malformed(Box<str>),
    /// Something else stands where this was expected.
    Kind {
        /// What is needed.
        expected: NodeKind,
        /// What is there.
        found: NodeKind,
    },
    /// The index of a list is no number.
    Index(Box<str>),
    /// An index of a list that is not there.
    NoList(Box<str>),
    /// A list is named without an index.
    NoIndex(Box<str>),
    /// An index of what is no list.
    NotAList(Box<str>),
    /// An index behind the end of its list.
    OutOfRange {
        /// The index.
        index: i64,
        /// Items of the list.
        n_items: usize,
    },
    /// The path is empty, or longer or deeper than a path may be.
    Path,
    /// The value has a tag that would change what a new text means.
    Tagged,
    /// Two edits want different things of one place.
    Conflict,
    /// The place is written in a way in which nothing can be added or taken away.
    Form,
    /// The file has not exactly one document.
    Documents(usize),
    /// The folder has no kustomization.
    NoKustomization,
    /// The file is not to be touched.
    Untouchable(PathRefusal),
    /// The text names no image.
    Image(Box<str>),
    /// The target does not fit the type of the application.
    Type,
    /// A parameter that the file shall hold is not among those of the application.
    NoParameter(Box<str>),
    /// What was written does not read as what was meant. Nothing is written then.
    Unproven,
}

/// Kinds of nodes, as messages name them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NodeKind {
    /// A list.
    Sequence,
    /// A mapping.
    Mapping,
    /// A text, a number, a truth value or nothing.
    Scalar,
    /// A reference to another node.
    Alias,
}

impl EditRefusal {
    /// A refusal of a file as a whole.
    pub(crate) fn whole(reason: EditReason) -> Self {
        Self::at(0, "", reason)
    }

    /// A refusal at a line, about a path inside the file.
    pub(crate) fn at(line: usize, path: &str, reason: EditReason) -> Self {
        const SHOWN_CHARS_MAX: usize = 200;
        let path = match path.char_indices().nth(SHOWN_CHARS_MAX) {
            None => path,
            Some((at, _)) => &path[..at],
        };
        Self {
            file: Box::default(),
            path: path.into(),
            line,
            reason,
        }
    }

    /// The same, about this file.
    #[must_use]
    pub(crate) fn in_file(mut self, file: &str) -> Self {
        self.file = file.into();
        self
    }
}

impl NodeKind {
    /// The kind in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sequence => "a list",
            Self::Mapping => "a mapping",
            Self::Scalar => "a single value",
            Self::Alias => "an alias",
        }
    }
}

impl fmt::Display for EditReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the file is not UTF-8"),
            Self::TooLarge => write!(
                f,
                "the file is longer than {} bytes",
                super::TEXT_BYTES_MAX
            ),
            Self::TooDeep => write!(f, "the file nests deeper than {} levels", super::DEPTH_MAX),
            Self::TooManyNodes => write!(f, "the file has more than {} values", super::NODES_MAX),
            Self::Directive => f.write_str("the file declares tags of its own (%TAG)"),
            Self::Malformed(detail) => write!(f, "the file is no YAML: {detail}"),
            Self::Kind { expected, found } => {
                write!(f, "expected {}, found {}", expected.as_str(), found.as_str())
            }
            Self::Index(text) => write!(f, "{text:?} is no index of a list; write name[0]"),
            Self::NoList(name) => write!(f, "there is no list {name:?}"),
            Self::NoIndex(name) => write!(f, "{name:?} is a list; name an item of it: {name}[0]"),
            Self::NotAList(name) => write!(f, "{name:?} is no list and takes no index"),
            Self::OutOfRange { index, n_items } => {
                write!(f, "index {index} is out of range [0, {n_items})")
            }
            Self::Path => f.write_str("this is no path of a value"),
            Self::Tagged => f.write_str("the value has a tag that rules what it means"),
            Self::Conflict => f.write_str("two images want different values here"),
            Self::Form => f.write_str("this is written in a form that cannot be edited safely"),
            Self::Documents(n) => write!(f, "expected exactly one YAML document, found {n}"),
            Self::NoKustomization => f.write_str(
                "there is no kustomization.yaml, kustomization.yml or Kustomization in the folder",
            ),
            Self::Untouchable(refusal) => write!(f, "the path {refusal}"),
            Self::Image(text) => write!(f, "{text:?} names no image"),
            Self::Type => f.write_str(
                "the write-back target does not fit the type of the application (Helm or Kustomize)",
            ),
            Self::NoParameter(name) => {
                write!(f, "the application has no Helm parameter {name:?}")
            }
            Self::Unproven => f.write_str(
                "the edited file would not read as intended, so it is left alone; write the value on a line of its own",
            ),
        }
    }
}

impl fmt::Display for EditRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.path.is_empty() {
            write!(f, " at {}", self.path)?;
        }
        if !self.file.is_empty() || self.line > 0 || !self.path.is_empty() {
            f.write_str(": ")?;
        }
        self.reason.fmt(f)
    }
}

impl core::error::Error for EditRefusal {}
