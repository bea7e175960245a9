//! Edits of one text, gathered before any of them is made.
//!
//! What is gathered is checked where it is asked for; [`Draft::finish`] splices everything at once and proves it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::refusal::{EditReason, EditRefusal, NodeKind};
use super::resolve::{Reader, is_string};
use super::tree::{Form, Kind, NodeId, Style, Tree};
use super::{proof, render};

/// A value that is not in the text yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum New {
    /// A string.
    Text(Box<str>),
    /// A truth value.
    Flag(bool),
    /// A mapping, in order.
    Mapping(Vec<(Box<str>, New)>),
    /// A list.
    List(Vec<New>),
}

/// Pairs of a mapping that are looked through one by one.
const SCANNED_PAIRS_MAX: usize = 32;

/// A text and what is to become of it.
#[derive(Debug)]
pub struct Draft<'t> {
    pub(super) tree: Tree<'t>,
    pub(super) reader: Reader,
    has_mark: bool,
    /// Positions of the pairs of large mappings, sorted by key.
    sorted: BTreeMap<NodeId, Vec<usize>>,
    /// What scalars shall be, those that are so already included.
    pub(super) scalars: BTreeMap<NodeId, New>,
    /// What stands in the place of nothing, or of an empty collection.
    pub(super) fills: BTreeMap<NodeId, New>,
    /// What is added to mappings.
    pub(super) pairs: BTreeMap<NodeId, Vec<(Box<str>, New)>>,
    /// What is added to lists.
    pub(super) items: BTreeMap<NodeId, Vec<New>>,
    /// Pairs that are taken away: mapping, position.
    pub(super) removed: BTreeSet<(NodeId, usize)>,
    /// The root of a text that has none.
    pub(super) root: Option<Vec<(Box<str>, New)>>,
}

impl<'t> Draft<'t> {
    /// Begins with a text.
    ///
    /// # Errors
    /// As [`Tree::parse`].
    pub fn new(text: &'t str, reader: Reader) -> Result<Self, EditRefusal> {
        Ok(Self {
            tree: Tree::parse(text)?,
            reader,
            has_mark: text.starts_with('\u{feff}'),
            sorted: BTreeMap::new(),
            scalars: BTreeMap::new(),
            fills: BTreeMap::new(),
            pairs: BTreeMap::new(),
            items: BTreeMap::new(),
            removed: BTreeSet::new(),
            root: None,
        })
    }

    /// The text as it is.
    pub fn tree(&self) -> &Tree<'t> {
        &self.tree
    }

    /// As [`Tree::value_of`], fast when asked often.
    pub(super) fn value_of(&mut self, mapping: NodeId, key: &str) -> Option<NodeId> {
        let Self { tree, sorted, .. } = self;
        let pairs = tree.pairs(mapping);
        if pairs.len() <= SCANNED_PAIRS_MAX {
            return tree.value_of(mapping, key);
        }
        let text = |at: usize| tree.text_of(pairs[at].0);
        let positions = sorted.entry(mapping).or_insert_with(|| {
            let mut positions: Vec<usize> = (0..pairs.len()).collect();
            positions.sort_by_key(|at| text(*at));
            positions
        });
        let first = positions.partition_point(|at| text(*at) < Some(key));
        let at = *positions.get(first)?;
        (text(at) == Some(key)).then_some(pairs[at].1)
    }

    /// Makes the scalar, or the one that an alias stands for, this string. One that is so already stays as it is
    /// written.
    ///
    /// # Errors
    /// When it is no scalar, when its tag forbids it, or when it shall be something else already.
    pub fn put_text(&mut self, node: NodeId, text: &str) -> Result<(), EditReason> {
        self.put_scalar(node, &New::Text(text.into()))
    }

    /// Makes the scalar this truth value, as [`Draft::put_text`].
    ///
    /// # Errors
    /// As [`Draft::put_text`].
    pub fn put_flag(&mut self, node: NodeId, flag: bool) -> Result<(), EditReason> {
        self.put_scalar(node, &New::Flag(flag))
    }

    fn put_scalar(&mut self, node: NodeId, new: &New) -> Result<(), EditReason> {
        let node = self.tree.followed(node);
        let found = self.tree.kind(node);
        if found != NodeKind::Scalar {
            let expected = NodeKind::Scalar;
            return Err(EditReason::Kind { expected, found });
        }
        if !self.holds(node, new) && render::kept_properties(&self.tree, node).is_none() {
            return Err(EditReason::Tagged);
        }
        match self.scalars.insert(node, new.clone()) {
            Some(other) if other != *new => Err(EditReason::Conflict),
            Some(_) | None => Ok(()),
        }
    }

    /// Adds a pair to a mapping; where the key was added before, its value is replaced.
    pub fn add_pair(&mut self, mapping: NodeId, key: &str, value: New) {
        put_pair(self.pairs.entry(mapping).or_default(), key, value);
    }

    /// Adds an item to a list.
    pub fn add_item(&mut self, list: NodeId, value: New) {
        self.items.entry(list).or_default().push(value);
    }

    /// Puts a collection in the place of nothing, or of an empty one.
    pub fn fill(&mut self, node: NodeId, value: New) {
        self.fills.insert(node, value);
    }

    /// Takes the pair at a position out of a mapping.
    pub fn remove_pair(&mut self, mapping: NodeId, at: usize) {
        self.removed.insert((mapping, at));
    }

    /// Adds a pair to the root of a text that has nothing in it yet.
    pub fn add_root_pair(&mut self, key: &str, value: New) {
        put_pair(self.root.get_or_insert_default(), key, value);
    }

    /// The mapping that is the root; `None` when there is nothing in the text.
    ///
    /// # Errors
    /// When the root is something else.
    pub fn root_mapping(&self) -> Result<Option<NodeId>, EditRefusal> {
        let Some(root) = self.tree.root() else {
            return Ok(None);
        };
        let found = self.tree.kind(root);
        if found == NodeKind::Mapping {
            return Ok(Some(root));
        }
        let is_nothing = matches!(
            &self.tree.nodes[root].kind,
            Kind::Scalar {
                style: Style::Nothing { .. },
                ..
            }
        );
        if is_nothing && self.tree.nodes[root].anchor == 0 && self.tree.nodes[root].tag.is_none() {
            return Ok(None);
        }
        let expected = NodeKind::Mapping;
        let reason = EditReason::Kind { expected, found };
        Err(EditRefusal::at(self.tree.line(root), "", reason))
    }

    /// True when the scalar is this already.
    pub(super) fn holds(&self, node: NodeId, new: &New) -> bool {
        holds(&self.tree, node, new, self.reader)
    }

    /// Edits the text; `None` when nothing changes.
    ///
    /// # Errors
    /// When an edit cannot be written, or what was written does not read as what was meant.
    pub fn finish(self) -> Result<Option<String>, EditRefusal> {
        let Some(text) = render::render(&self)? else {
            return Ok(None);
        };
        let unproven = |_| EditRefusal::whole(EditReason::Unproven);
        let new = Tree::parse(&text).map_err(unproven)?;
        if let Err(node) = proof::prove(&self, &new) {
            let line = node.map_or(0, |node| self.tree.line(node));
            return Err(EditRefusal::at(line, "", EditReason::Unproven));
        }
        let mark = if self.has_mark { "\u{feff}" } else { "" };
        Ok(Some(format!("{mark}{text}")))
    }
}

/// True when the scalar is this already: as a string or a truth value, not only by its letters.
pub(super) fn holds(tree: &Tree<'_>, node: NodeId, new: &New, reader: Reader) -> bool {
    let found = &tree.nodes[node];
    let Kind::Scalar { value, style } = &found.kind else {
        return false;
    };
    let tag = found.tag.as_deref();
    let is_plain = matches!(style, Style::Plain | Style::Nothing { .. });
    let is_tagged_string = tag.is_some_and(|tag| is_core(tag) && tag.suffix == "str");
    match new {
        New::Text(text) => {
            let is_read_as_string = if is_plain {
                is_tagged_string || (tag.is_none() && is_string(value, reader))
            } else {
                is_tagged_string || tag.is_none()
            };
            **value == **text && is_read_as_string
        }
        New::Flag(flag) => {
            let words = if *flag {
                ["true", "True", "TRUE"]
            } else {
                ["false", "False", "FALSE"]
            };
            is_plain && tag.is_none() && words.contains(&&**value)
        }
        New::Mapping(_) | New::List(_) => false,
    }
}

/// True for a tag of YAML itself, such as `!!str`.
pub(super) fn is_core(tag: &saphyr_parser::Tag) -> bool {
    tag.is_yaml_core_schema()
}

/// True for a collection without anything in it, and for nothing.
pub fn is_empty(tree: &Tree<'_>, node: NodeId) -> bool {
    match &tree.nodes[node].kind {
        Kind::Sequence { items, form } => items.is_empty() && *form == Form::Flow,
        Kind::Mapping { pairs, form } => pairs.is_empty() && *form == Form::Flow,
        Kind::Scalar { .. } => tree.is_null(node),
        Kind::Alias(_) => false,
    }
}

fn put_pair(pairs: &mut Vec<(Box<str>, New)>, key: &str, value: New) {
    match pairs.iter_mut().find(|(name, _)| **name == *key) {
        Some((_, old)) => *old = value,
        None => pairs.push((key.into(), value)),
    }
}
