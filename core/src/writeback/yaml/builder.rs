//! From the parser's events to a tree: the parser counts characters and leaves some places open, which are looked up in
//! the text.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::lexer;
use super::refusal::{EditReason, EditRefusal};
use super::tree::{Document, Form, Kind, Node, NodeId, Style, Tree};
use super::{DEPTH_MAX, NODES_MAX};

/// Byte positions of character positions, a mark every so often.
struct Positions<'t> {
    text: &'t str,
    marks: Vec<usize>,
}

const MARK_EVERY: usize = 64;

impl<'t> Positions<'t> {
    fn new(text: &'t str) -> Self {
        let marks = if text.is_ascii() {
            Vec::new()
        } else {
            let chars = text.char_indices().step_by(MARK_EVERY);
            chars.map(|(at, _)| at).collect()
        };
        Self { text, marks }
    }

    fn byte(&self, chars: usize) -> usize {
        if self.marks.is_empty() {
            return chars.min(self.text.len());
        }
        let Some(mark) = self.marks.get(chars / MARK_EVERY) else {
            return self.text.len();
        };
        let rest = &self.text[*mark..];
        let within = rest.char_indices().nth(chars % MARK_EVERY);
        within.map_or(self.text.len(), |(at, _)| mark + at)
    }
}

/// Makes a tree of the parser's events.
pub(super) struct Builder<'t> {
    text: &'t str,
    positions: Positions<'t>,
    tree: Tree<'t>,
    /// Open collections.
    open: Vec<NodeId>,
    /// A key that waits for its value, per open collection.
    keys: Vec<Option<NodeId>>,
    /// Behind the last token.
    cursor: usize,
    marker_end: Option<usize>,
}

impl<'t> Builder<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            positions: Positions::new(text),
            tree: Tree {
                text,
                nodes: Vec::new(),
                documents: Vec::new(),
                anchors: BTreeMap::new(),
            },
            open: Vec::new(),
            keys: Vec::new(),
            cursor: 0,
            marker_end: None,
        }
    }

    pub(super) fn build(mut self) -> Result<Tree<'t>, EditRefusal> {
        let mut parser: Parser<'t, StrInput<'t>> = Parser::new_from_str(self.text);
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| {
                let line = error.marker().line();
                EditRefusal::at(line, "", EditReason::Malformed(error.info().into()))
            })?;
            self.on_event(event, span)?;
        }
        Ok(self.tree)
    }

    fn on_event(&mut self, event: Event<'t>, span: Span) -> Result<(), EditRefusal> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
            Event::DocumentStart(is_explicit) => {
                let end = self.positions.byte(span.end.index());
                self.marker_end = is_explicit.then_some(end);
                if is_explicit {
                    self.cursor = self.cursor.max(end);
                }
            }
            Event::DocumentEnd => {
                let end = self.positions.byte(span.end.index());
                let is_marker = self.text[..end].ends_with("...");
                if is_marker {
                    self.cursor = self.cursor.max(end);
                }
            }
            Event::Alias(anchor) => {
                let at = self.span_of(span);
                let at = at.start..trimmed_end(self.text, at);
                self.before_node();
                self.cursor = at.end;
                self.add(Kind::Alias(anchor), 0, None, at.start, at, span)?;
            }
            Event::Scalar(value, style, anchor, tag) => {
                self.on_scalar(value, style, anchor, tag, span)?;
            }
            Event::SequenceStart(anchor, tag) => {
                let is_bracket = self.before_collection(span, b'[', anchor > 0 || tag.is_some());
                let form = self.form(is_bracket, false);
                let items = Vec::new();
                self.open_collection(Kind::Sequence { items, form }, anchor, tag, span)?;
            }
            Event::MappingStart(anchor, tag) => {
                let is_bracket = self.before_collection(span, b'{', anchor > 0 || tag.is_some());
                let form = self.form(is_bracket, true);
                let pairs = Vec::new();
                self.open_collection(Kind::Mapping { pairs, form }, anchor, tag, span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close_collection(span),
        }
        Ok(())
    }

    fn on_scalar(
        &mut self,
        value: Cow<'t, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'t, Tag>>,
        span: Span,
    ) -> Result<(), EditRefusal> {
        let is_bare_key = !self.before_node();
        let at = self.span_of(span);
        let has_properties = anchor > 0 || tag.is_some();
        let (content, end) = if has_properties {
            lexer::skip_properties(self.text, at.start)
        } else {
            (at.start, at.start)
        };
        let (style, content, full_end) = match style {
            ScalarStyle::Plain if value.is_empty() => {
                let place = if has_properties { end } else { self.cursor };
                (Style::Nothing { is_bare_key }, place..place, place)
            }
            ScalarStyle::Plain => {
                let end = trimmed_end(self.text, content..at.end);
                (Style::Plain, content..end, end)
            }
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let style = if style == ScalarStyle::SingleQuoted {
                    Style::Single
                } else {
                    Style::Double
                };
                let end = lexer::quoted_end(self.text, content).unwrap_or(at.end);
                (style, content..end, end)
            }
            ScalarStyle::Literal | ScalarStyle::Folded => {
                let style = if style == ScalarStyle::Literal {
                    Style::Literal
                } else {
                    Style::Folded
                };
                let header = if has_properties {
                    content
                } else {
                    lexer::skip_indicators(self.text, self.cursor)
                };
                let full_end = at.end.max(lexer::line_end(self.text, header));
                let last = header + self.text[header..full_end].trim_end().len();
                (style, header..lexer::line_end(self.text, last), full_end)
            }
        };
        let start = match (style, has_properties) {
            (Style::Nothing { .. } | Style::Literal | Style::Folded, false) => content.start,
            (Style::Plain | Style::Single | Style::Double, false) | (_, true) => at.start,
        };
        self.cursor = self.cursor.max(full_end.max(content.end));
        let id = self.add(
            Kind::Scalar { value, style },
            anchor,
            tag,
            start,
            content,
            span,
        )?;
        self.tree.nodes[id].full_end = full_end;
        Ok(())
    }

    /// Goes behind the dash or the colon that stands before the next node. False when the node is the value of a key
    /// without colon.
    fn before_node(&mut self) -> bool {
        let Some(parent) = self.open.last() else {
            return true;
        };
        let is_value = self.keys.last().is_some_and(Option::is_some);
        let wanted = match &self.tree.nodes[*parent].kind {
            Kind::Sequence { form, .. } if *form == Form::Block => b'-',
            Kind::Mapping { .. } if is_value => b':',
            Kind::Scalar { .. } | Kind::Sequence { .. } | Kind::Mapping { .. } | Kind::Alias(_) => {
                return true;
            }
        };
        match lexer::skip_byte(self.text, self.cursor, wanted) {
            Some(behind) => {
                self.cursor = behind;
                true
            }
            None => false,
        }
    }

    /// As [`Self::before_node`]; true when the collection begins with this bracket.
    fn before_collection(&mut self, span: Span, bracket: u8, has_properties: bool) -> bool {
        self.before_node();
        let at = self.span_of(span);
        let is_bracket = !at.is_empty() && self.text.as_bytes().get(at.end - 1) == Some(&bracket);
        if is_bracket {
            self.cursor = self.cursor.max(at.end);
        } else if has_properties {
            let (_, end) = lexer::skip_properties(self.text, at.start);
            self.cursor = self.cursor.max(end);
        }
        is_bracket
    }

    fn form(&self, is_bracket: bool, is_mapping: bool) -> Form {
        let is_outer_block = self.open.last().is_none_or(|outer| {
            let (Kind::Sequence { form, .. } | Kind::Mapping { form, .. }) =
                &self.tree.nodes[*outer].kind
            else {
                return true;
            };
            *form == Form::Block
        });
        match (is_bracket, is_mapping && !is_outer_block) {
            (true, _) => Form::Flow,
            (false, true) => Form::Pair,
            (false, false) => Form::Block,
        }
    }

    fn open_collection(
        &mut self,
        kind: Kind<'t>,
        anchor: usize,
        tag: Option<Cow<'t, Tag>>,
        span: Span,
    ) -> Result<(), EditRefusal> {
        let has_properties = anchor > 0 || tag.is_some();
        let is_block_list = matches!(&kind, Kind::Sequence { form, .. } if *form == Form::Block);
        let at = self.span_of(span);
        // The parser puts some lists behind their first dash.
        let place = if is_block_list {
            lexer::skip_space(self.text, self.cursor)
        } else if has_properties {
            lexer::skip_properties(self.text, at.start).0
        } else {
            at.start
        };
        let start = if has_properties { at.start } else { place };
        let id = self.add(kind, anchor, tag, start, place..place, span)?;
        if self.open.len() >= DEPTH_MAX {
            return Err(EditRefusal::at(span.start.line(), "", EditReason::TooDeep));
        }
        self.open.push(id);
        self.keys.push(None);
        Ok(())
    }

    fn close_collection(&mut self, span: Span) {
        self.keys.pop();
        let Some(id) = self.open.pop() else {
            return;
        };
        let is_flow = matches!(
            &self.tree.nodes[id].kind,
            Kind::Sequence { form, .. } | Kind::Mapping { form, .. } if *form == Form::Flow
        );
        if is_flow {
            self.cursor = self.cursor.max(self.positions.byte(span.end.index()));
        }
        let node = &mut self.tree.nodes[id];
        node.content.end = self.cursor.max(node.content.start);
        node.full_end = node.content.end;
    }

    fn add(
        &mut self,
        kind: Kind<'t>,
        anchor: usize,
        tag: Option<Cow<'t, Tag>>,
        start: usize,
        content: Range<usize>,
        span: Span,
    ) -> Result<NodeId, EditRefusal> {
        let id = self.tree.nodes.len();
        let line = span.start.line();
        if id >= NODES_MAX {
            return Err(EditRefusal::at(line, "", EditReason::TooManyNodes));
        }
        let parent = self.open.last().copied();
        self.tree.nodes.push(Node {
            kind,
            anchor,
            tag: tag.map(|tag| Box::new(tag.into_owned())),
            start,
            full_end: content.end,
            content,
            parent,
            line,
        });
        if anchor > 0 {
            self.tree.anchors.insert(anchor, id);
        }
        let Some(parent) = parent else {
            self.tree.documents.push(Document {
                root: id,
                marker_end: self.marker_end,
            });
            return Ok(id);
        };
        match (&mut self.tree.nodes[parent].kind, self.keys.last_mut()) {
            (Kind::Sequence { items, .. }, _) => items.push(id),
            (Kind::Mapping { pairs, .. }, Some(key)) => match key.take() {
                None => *key = Some(id),
                Some(key) => pairs.push((key, id)),
            },
            (Kind::Mapping { .. } | Kind::Scalar { .. } | Kind::Alias(_), _) => {}
        }
        Ok(id)
    }

    fn span_of(&self, span: Span) -> Range<usize> {
        let start = self.positions.byte(span.start.index());
        start..self.positions.byte(span.end.index()).max(start)
    }
}

/// The end of what stands in `at`, without blanks and line breaks behind it.
fn trimmed_end(text: &str, at: Range<usize>) -> usize {
    let end = at.end.max(at.start);
    at.start
        + text[at.start..end]
            .trim_end_matches([' ', '\t', '\r', '\n'])
            .len()
}
