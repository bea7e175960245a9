//! A text as a tree of nodes with their places in bytes.
//!
//! Bounded: text, depth and nodes; whatever the text, no more than a fixed multiple of it is kept.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use saphyr_parser::Tag;

use super::TEXT_BYTES_MAX;
use super::builder::Builder;
use super::lexer;
use super::refusal::{EditReason, EditRefusal, NodeKind};

/// Position of a node in its tree.
pub type NodeId = usize;

/// A text, read.
#[derive(Debug)]
pub struct Tree<'t> {
    /// The text without a byte order mark.
    pub(super) text: &'t str,
    pub(super) nodes: Vec<Node<'t>>,
    pub(super) documents: Vec<Document>,
    /// Nodes by the parser's number of their anchor.
    pub(super) anchors: BTreeMap<usize, NodeId>,
}

/// One document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Document {
    pub(super) root: NodeId,
    /// Behind its marker, if it has one.
    pub(super) marker_end: Option<usize>,
}

/// One node.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) kind: Kind<'t>,
    /// The parser's number of its anchor; 0 for none.
    pub(super) anchor: usize,
    pub(super) tag: Option<Box<Tag>>,
    /// Where it begins, anchor and tag included.
    pub(super) start: usize,
    /// Where its content stands: all of a scalar; of a collection up to the end of what it holds.
    pub(super) content: Range<usize>,
    /// A block scalar ends here with the empty lines that follow it; else the end of the content.
    pub(super) full_end: usize,
    pub(super) parent: Option<NodeId>,
    pub(super) line: usize,
}

#[derive(Debug)]
pub(super) enum Kind<'t> {
    Scalar {
        value: Cow<'t, str>,
        style: Style,
    },
    Sequence {
        items: Vec<NodeId>,
        form: Form,
    },
    Mapping {
        pairs: Vec<(NodeId, NodeId)>,
        form: Form,
    },
    /// The number of the anchor.
    Alias(usize),
}

/// How a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Style {
    /// There is nothing between two indicators.
    Nothing {
        /// The key of this value has no colon.
        is_bare_key: bool,
    },
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

/// How a collection is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    Block,
    /// In brackets.
    Flow,
    /// One pair in a list in brackets, without braces.
    Pair,
}

impl<'t> Tree<'t> {
    /// Reads a text.
    ///
    /// # Errors
    /// When it is no YAML, or exceeds a bound of this room.
    pub fn parse(text: &'t str) -> Result<Self, EditRefusal> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(EditRefusal::whole(EditReason::TooLarge));
        }
        let is_directive = |line: &str| line.starts_with("%TAG");
        if let Some(at) = text.lines().position(is_directive) {
            return Err(EditRefusal::at(at + 1, "", EditReason::Directive));
        }
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Builder::new(text).build()
    }

    /// The root of the first document; `None` when there is no document.
    pub fn root(&self) -> Option<NodeId> {
        self.documents.first().map(|document| document.root)
    }

    /// The roots of all documents.
    pub fn roots(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.documents.iter().map(|document| document.root)
    }

    /// How many documents there are.
    pub fn n_documents(&self) -> usize {
        self.documents.len()
    }

    /// The node, or what it stands for when it is an alias.
    pub fn followed(&self, id: NodeId) -> NodeId {
        match &self.nodes[id].kind {
            Kind::Alias(anchor) => self.anchors.get(anchor).copied().unwrap_or(id),
            Kind::Scalar { .. } | Kind::Sequence { .. } | Kind::Mapping { .. } => id,
        }
    }

    /// The kind of the node.
    pub fn kind(&self, id: NodeId) -> NodeKind {
        match &self.nodes[id].kind {
            Kind::Scalar { .. } => NodeKind::Scalar,
            Kind::Sequence { .. } => NodeKind::Sequence,
            Kind::Mapping { .. } => NodeKind::Mapping,
            Kind::Alias(_) => NodeKind::Alias,
        }
    }

    /// The line that the node begins in, from 1.
    pub fn line(&self, id: NodeId) -> usize {
        self.nodes[id].line
    }

    /// The text of a scalar, aliases followed.
    pub fn text_of(&self, id: NodeId) -> Option<&str> {
        match &self.nodes[self.followed(id)].kind {
            Kind::Scalar { value, .. } => Some(value),
            Kind::Sequence { .. } | Kind::Mapping { .. } | Kind::Alias(_) => None,
        }
    }

    /// The pairs of a mapping; empty for anything else.
    pub fn pairs(&self, id: NodeId) -> &[(NodeId, NodeId)] {
        match &self.nodes[id].kind {
            Kind::Mapping { pairs, .. } => pairs,
            Kind::Scalar { .. } | Kind::Sequence { .. } | Kind::Alias(_) => &[],
        }
    }

    /// The items of a list; empty for anything else.
    pub fn items(&self, id: NodeId) -> &[NodeId] {
        match &self.nodes[id].kind {
            Kind::Sequence { items, .. } => items,
            Kind::Scalar { .. } | Kind::Mapping { .. } | Kind::Alias(_) => &[],
        }
    }

    /// The value of the first pair with this key.
    pub fn value_of(&self, mapping: NodeId, key: &str) -> Option<NodeId> {
        self.pairs(mapping)
            .iter()
            .find(|(name, _)| self.text_of(*name) == Some(key))
            .map(|(_, value)| *value)
    }

    /// True for a scalar that means nothing: not written, or `null` in plain letters.
    pub fn is_null(&self, id: NodeId) -> bool {
        match &self.nodes[id].kind {
            Kind::Scalar { value, style } => match style {
                Style::Nothing { .. } => true,
                Style::Plain => matches!(&**value, "~" | "null" | "Null" | "NULL"),
                Style::Single | Style::Double | Style::Literal | Style::Folded => false,
            },
            Kind::Sequence { .. } | Kind::Mapping { .. } | Kind::Alias(_) => false,
        }
    }

    /// The bytes of the content, in the text without its byte order mark.
    pub fn content(&self, id: NodeId) -> Range<usize> {
        self.nodes[id].content.clone()
    }

    /// True inside of brackets.
    pub(super) fn is_in_flow(&self, id: NodeId) -> bool {
        let form = |id: NodeId| match &self.nodes[id].kind {
            Kind::Sequence { form, .. } | Kind::Mapping { form, .. } => *form,
            Kind::Scalar { .. } | Kind::Alias(_) => Form::Block,
        };
        // What is inside of brackets has nothing but brackets inside.
        let parent = self.nodes[id].parent;
        parent.is_some_and(|parent| form(parent) != Form::Block)
    }

    /// Characters between the start of the line and the node.
    pub(super) fn column(&self, id: NodeId) -> usize {
        self.column_of(self.nodes[id].start)
    }

    pub(super) fn column_of(&self, at: usize) -> usize {
        let start = lexer::line_start(self.text, at);
        self.text[start..at].chars().count()
    }
}
