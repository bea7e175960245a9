//! Makes the edits of a draft: splices of the text, and new lines in the manner of their neighbours.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Range;

use super::draft::{Draft, New, is_core};
use super::lexer;
use super::manner::{
    Manner, STEP, block_below, block_items, block_pairs, flag_text, flow, flow_pair, list_step,
    step,
};
use super::refusal::{EditReason, EditRefusal};
use super::scalar::{self, Place};
use super::tree::{Form, Kind, NodeId, Style, Tree};

/// Rank of a splice that goes before any new line at the same place.
const FIRST: usize = usize::MAX;

/// A piece of the text and what stands there instead.
#[derive(Debug)]
struct Splice {
    at: Range<usize>,
    /// Of several at one place the one with the greater rank goes first: deeper lines belong to what is before.
    rank: usize,
    text: String,
}

/// The edited text; `None` when nothing changes.
pub(super) fn render(draft: &Draft<'_>) -> Result<Option<String>, EditRefusal> {
    let mut renderer = Renderer {
        draft,
        tree: &draft.tree,
        step: step(&draft.tree),
        list_step: list_step(&draft.tree),
        splices: Vec::new(),
    };
    renderer.all()?;
    if renderer.splices.is_empty() {
        return Ok(None);
    }
    apply(draft.tree.text, renderer.splices).map(Some)
}

fn apply(text: &str, mut splices: Vec<Splice>) -> Result<String, EditRefusal> {
    splices.sort_by_key(|splice| (splice.at.start, splice.at.end, Reverse(splice.rank)));
    let added: usize = splices.iter().map(|splice| splice.text.len()).sum();
    let mut out = String::with_capacity(text.len() + added);
    let mut behind = 0;
    for splice in splices {
        let kept = text.get(behind..splice.at.start);
        let kept = kept.ok_or_else(|| EditRefusal::whole(EditReason::Form))?;
        out.push_str(kept);
        out.push_str(&splice.text);
        behind = splice.at.end;
    }
    let kept = text.get(behind..);
    out.push_str(kept.ok_or_else(|| EditRefusal::whole(EditReason::Form))?);
    Ok(out)
}

/// What of anchor and tag stays before a new text, as the place where the new text begins; `None` when the tag
/// forbids a new text.
pub(super) fn kept_properties(tree: &Tree<'_>, id: NodeId) -> Option<usize> {
    let node = &tree.nodes[id];
    match node.tag.as_deref() {
        None => Some(node.content.start),
        Some(tag) if is_core(tag) && tag.suffix == "str" => Some(node.content.start),
        // A tag of a number or of nothing goes away with the old text.
        Some(tag) if is_core(tag) && node.anchor == 0 => Some(node.start),
        Some(_) => None,
    }
}

struct Renderer<'a, 't> {
    draft: &'a Draft<'t>,
    tree: &'a Tree<'t>,
    step: usize,
    list_step: usize,
    splices: Vec<Splice>,
}

impl<'a> Renderer<'a, '_> {
    fn all(&mut self) -> Result<(), EditRefusal> {
        let draft = self.draft;
        for (id, new) in &draft.scalars {
            if !draft.holds(*id, new) {
                self.scalar(*id, new)?;
            }
        }
        for (id, new) in &draft.fills {
            self.fill(*id, new)?;
        }
        for (id, pairs) in &draft.pairs {
            self.pairs(*id, pairs)?;
        }
        for (id, items) in &draft.items {
            self.items(*id, items)?;
        }
        self.removed()?;
        if let Some(pairs) = &draft.root {
            self.root(pairs)?;
        }
        Ok(())
    }

    fn manner(&self, at: usize) -> Manner<'a> {
        Manner {
            reader: self.draft.reader,
            line_break: lexer::line_break(self.tree.text, at),
            step: self.step,
            list_step: self.list_step,
        }
    }

    fn splice(&mut self, at: Range<usize>, rank: usize, text: String) {
        self.splices.push(Splice { at, rank, text });
    }

    fn refuse(&self, id: NodeId, reason: EditReason) -> EditRefusal {
        EditRefusal::at(self.tree.line(id), "", reason)
    }

    fn scalar(&mut self, id: NodeId, new: &New) -> Result<(), EditRefusal> {
        let node = &self.tree.nodes[id];
        let (Kind::Scalar { style, .. }, Some(start)) =
            (&node.kind, kept_properties(self.tree, id))
        else {
            return Err(self.refuse(id, EditReason::Tagged));
        };
        if lexer::is_before_tab_line(self.tree.text, node.content.end) {
            return Err(self.refuse(id, EditReason::Form));
        }
        let place = Place {
            reader: self.draft.reader,
            is_flow: self.tree.is_in_flow(id),
            indent: self.indent_inside(id),
            line_break: lexer::line_break(self.tree.text, node.content.start),
        };
        let text = match (new, style) {
            (New::Text(text), Style::Single) => scalar::write_single(text),
            (New::Text(text), Style::Double) => scalar::double(text),
            (New::Text(text), Style::Literal | Style::Folded) => self
                .block(node.content.clone(), text)
                .unwrap_or_else(|| scalar::write(text, place)),
            (New::Text(text), Style::Plain | Style::Nothing { .. }) => scalar::write(text, place),
            (New::Flag(flag), _) => flag_text(*flag).into(),
            (New::Mapping(_) | New::List(_), _) => {
                return Err(self.refuse(id, EditReason::Form));
            }
        };
        let text = match style {
            Style::Nothing { is_bare_key: true } if self.can_take_colon(id) => {
                [": ", &text].concat()
            }
            // A key that is written `? key` alone, or no simple one.
            Style::Nothing { is_bare_key: true } => {
                return Err(self.refuse(id, EditReason::Form));
            }
            Style::Nothing { .. } if start == node.content.start => [" ", &text].concat(),
            Style::Nothing { .. }
            | Style::Plain
            | Style::Single
            | Style::Double
            | Style::Literal
            | Style::Folded => text,
        };
        self.splice(start..node.content.end, FIRST, text);
        Ok(())
    }

    /// True when a colon behind the key of this value, which has none yet, makes it the key of a value in brackets.
    fn can_take_colon(&self, id: NodeId) -> bool {
        let parent = self.tree.nodes[id].parent;
        let mut pairs = parent
            .map_or(&[][..], |parent| self.tree.pairs(parent))
            .iter();
        let key = pairs
            .find(|(_, value)| *value == id)
            .map(|(key, _)| &self.tree.nodes[*key]);
        key.is_some_and(|key| {
            let written = &self.tree.text[key.start..key.content.end];
            let is_simple = matches!(key.kind, Kind::Scalar { .. });
            is_simple && !written.contains(['\r', '\n']) && self.tree.is_in_flow(id)
        })
    }

    /// The text in the lines of the block scalar that stands there; `None` when they cannot hold it.
    fn block(&self, at: Range<usize>, text: &str) -> Option<String> {
        let old = &self.tree.text[at];
        if !scalar::can_be_block_line(text) {
            return None;
        }
        let header_end = lexer::line_end(old, 0);
        let header = &old[..header_end];
        let indicators = header[1..]
            .find([' ', '\t'])
            .map_or(header.len(), |at| at + 1);
        let chomping = header.get(1..indicators)?;
        if !matches!(chomping, "" | "-" | "+") {
            return None;
        }
        let first = old[header_end..].find(|char| !matches!(char, ' ' | '\r' | '\n'))?;
        let start = lexer::line_start(old, header_end + first);
        let indent = &old[start..header_end + first];
        if indent.is_empty() {
            return None;
        }
        let comment = &header[indicators..];
        let line_break = &old[header_end..lexer::break_end(old, header_end)];
        Some([&header[..1], "-", comment, line_break, indent, text].concat())
    }

    /// Indentation of lines inside of a scalar.
    fn indent_inside(&self, id: NodeId) -> usize {
        let Some(parent) = self.tree.nodes[id].parent else {
            return STEP;
        };
        STEP + match &self.tree.nodes[parent].kind {
            Kind::Mapping { pairs, .. } => {
                pairs.first().map_or(0, |(key, _)| self.tree.column(*key))
            }
            Kind::Sequence { .. } => self.tree.column_of(self.tree.nodes[parent].content.start),
            Kind::Scalar { .. } | Kind::Alias(_) => 0,
        }
    }

    fn fill(&mut self, id: NodeId, new: &New) -> Result<(), EditRefusal> {
        let node = &self.tree.nodes[id];
        let text = self.tree.text;
        let start = kept_properties(self.tree, id);
        let (Some(parent), Some(start)) = (node.parent, start) else {
            return Err(self.refuse(id, EditReason::Form));
        };
        let manner = self.manner(node.content.end);
        if self.tree.is_in_flow(id) {
            let is_bare = matches!(
                &node.kind,
                Kind::Scalar {
                    style: Style::Nothing { is_bare_key: true },
                    ..
                }
            );
            if is_bare && !self.can_take_colon(id) {
                return Err(self.refuse(id, EditReason::Form));
            }
            let mut out = String::from(if is_bare { ":" } else { "" });
            if node.content.is_empty() {
                out.push(' ');
            }
            flow(&mut out, new, manner);
            self.splice(start..node.content.end, FIRST, out);
            return Ok(());
        }
        let is_value = |(_, value): &&(NodeId, NodeId)| *value == id;
        let Some((key, _)) = self.tree.pairs(parent).iter().find(is_value) else {
            return Err(self.refuse(id, EditReason::Form));
        };
        let line_end = lexer::line_end(text, node.content.end);
        let is_on_the_line = lexer::line_start(text, self.tree.nodes[*key].start)
            == lexer::line_start(text, node.content.end);
        let is_empty = match new {
            New::Mapping(pairs) => pairs.is_empty(),
            New::List(items) => items.is_empty(),
            New::Text(_) | New::Flag(_) => true,
        };
        if !is_on_the_line || is_empty {
            return Err(self.refuse(id, EditReason::Form));
        }
        if !node.content.is_empty() {
            let before = text[..start].trim_end_matches([' ', '\t']).len();
            self.splice(before..node.content.end, FIRST, String::new());
        }
        let indent = self.tree.column(*key);
        let mut out = String::new();
        block_below(&mut out, new, indent, manner);
        self.splice(line_end..line_end, indent + 1, out);
        Ok(())
    }

    fn pairs(&mut self, id: NodeId, new: &[(Box<str>, New)]) -> Result<(), EditRefusal> {
        let Kind::Mapping { pairs, form } = &self.tree.nodes[id].kind else {
            return Err(self.refuse(id, EditReason::Form));
        };
        let is_kept = |at: &usize| !self.draft.removed.contains(&(id, *at));
        let last = (0..pairs.len()).rev().find(is_kept);
        match (form, last) {
            (Form::Block, Some(last)) if self.is_cut_short(pairs[last].1) => {
                return Err(self.refuse(id, EditReason::Form));
            }
            (Form::Block, Some(last)) => {
                let indent = self.tree.column(pairs[0].0);
                let end = self.lines_end(pairs[last].1, indent, last + 1 == pairs.len());
                let manner = self.manner(end);
                let mut out = String::new();
                block_pairs(&mut out, new, indent, manner);
                self.splice(end..end, indent, out);
            }
            (Form::Flow, _) => {
                let manner = self.manner(self.tree.nodes[id].content.start);
                let mut out = String::new();
                for (n, (key, value)) in new.iter().enumerate() {
                    if n > 0 || !pairs.is_empty() {
                        out.push_str(", ");
                    }
                    flow_pair(&mut out, key, value, manner);
                }
                let end = match pairs.last() {
                    Some((_, value)) => self.tree.nodes[*value].content.end,
                    None => self.tree.nodes[id].content.start + 1,
                };
                self.splice(end..end, 0, out);
            }
            (Form::Block | Form::Pair, _) => return Err(self.refuse(id, EditReason::Form)),
        }
        Ok(())
    }

    fn items(&mut self, id: NodeId, new: &[New]) -> Result<(), EditRefusal> {
        let node = &self.tree.nodes[id];
        let Kind::Sequence { items, form } = &node.kind else {
            return Ok(());
        };
        match (form, items.last()) {
            (Form::Block, Some(last)) if self.is_cut_short(*last) => {
                return Err(self.refuse(id, EditReason::Form));
            }
            (Form::Block, Some(last)) => {
                let indent = self.tree.column_of(node.content.start);
                let end = self.lines_end(*last, indent, true);
                let manner = self.manner(end);
                let mut out = String::new();
                block_items(&mut out, new, indent, manner);
                self.splice(end..end, indent, out);
            }
            (Form::Flow | Form::Pair | Form::Block, last) => {
                let manner = self.manner(node.content.start);
                let mut out = String::new();
                for (n, item) in new.iter().enumerate() {
                    if n > 0 || last.is_some() {
                        out.push_str(", ");
                    }
                    flow(&mut out, item, manner);
                }
                let end = match last {
                    Some(last) => self.tree.nodes[*last].content.end,
                    None => node.content.start + 1,
                };
                self.splice(end..end, 0, out);
            }
        }
        Ok(())
    }

    /// The node whose text comes last in what a node stands for.
    fn last_in(&self, id: NodeId) -> NodeId {
        let mut last = id;
        loop {
            last = match &self.tree.nodes[last].kind {
                Kind::Sequence {
                    items,
                    form: Form::Block,
                } if !items.is_empty() => items[items.len() - 1],
                Kind::Mapping {
                    pairs,
                    form: Form::Block,
                } if !pairs.is_empty() => pairs[pairs.len() - 1].1,
                Kind::Sequence { .. }
                | Kind::Mapping { .. }
                | Kind::Scalar { .. }
                | Kind::Alias(_) => return last,
            };
        }
    }

    /// The word with which a block scalar begins, like `|-`; empty for what is none.
    fn block_header(&self, id: NodeId) -> &str {
        let node = &self.tree.nodes[id];
        let is_block = matches!(
            &node.kind,
            Kind::Scalar {
                style: Style::Literal | Style::Folded,
                ..
            }
        );
        let header = node.content.start..lexer::line_end(self.tree.text, node.content.start);
        let header = self.tree.text.get(header).filter(|_| is_block);
        let word = header.and_then(|header| header.split([' ', '\t']).next());
        word.unwrap_or_default()
    }

    /// True when what a node stands for ends with a block scalar, and the text with its last line, without a line
    /// break: readers do not agree whether that belongs to the value, so none may be added behind it.
    fn is_cut_short(&self, id: NodeId) -> bool {
        let last = self.last_in(id);
        let header = self.block_header(last);
        let text = self.tree.text;
        let node = &self.tree.nodes[last];
        !header.is_empty()
            && !header.contains('-')
            && !text.ends_with(['\n', '\r'])
            && lexer::line_end(text, node.full_end.max(node.content.end)) == text.len()
    }

    /// The end of the last line of what ends with the node, with the comments that stand right below it and are not
    /// less indented.
    fn lines_end(&self, id: NodeId, indent: usize, has_comments: bool) -> usize {
        let text = self.tree.text;
        let last = self.last_in(id);
        let node = &self.tree.nodes[last];
        let is_kept = self.block_header(last).contains('+');
        if is_kept && node.full_end > node.content.end {
            // Empty lines belong to the text: go behind them, but for the last line break.
            let full = &text[..node.full_end];
            let full = full
                .strip_suffix('\n')
                .map(|cut| cut.strip_suffix('\r').unwrap_or(cut));
            return full.map_or(node.full_end, str::len);
        }
        let mut end = lexer::line_end(text, node.content.end);
        if !has_comments {
            return end;
        }
        loop {
            let next = lexer::break_end(text, end);
            let line = &text[next..lexer::line_end(text, next)];
            let blanks = line.len() - line.trim_start_matches(' ').len();
            if next == end || blanks < indent || !line[blanks..].starts_with('#') {
                break;
            }
            end = next + line.len();
        }
        end
    }

    fn removed(&mut self) -> Result<(), EditRefusal> {
        let mut removed = self.draft.removed.iter().copied().peekable();
        while let Some((id, first)) = removed.next() {
            let mut behind = first + 1;
            while removed.next_if_eq(&(id, behind)).is_some() {
                behind += 1;
            }
            self.remove(id, first..behind)?;
        }
        Ok(())
    }

    /// Takes neighbouring pairs out.
    fn remove(&mut self, id: NodeId, run: Range<usize>) -> Result<(), EditRefusal> {
        let text = self.tree.text;
        let Kind::Mapping { pairs, form } = &self.tree.nodes[id].kind else {
            return Err(self.refuse(id, EditReason::Form));
        };
        let start_of = |at: usize| self.tree.nodes[pairs[at].0].start;
        let end_of = |at: usize| self.tree.nodes[pairs[at].1].content.end;
        let is_first = run.start == 0;
        let next = (run.end < pairs.len()).then(|| start_of(run.end));
        let at = match (form, is_first, next) {
            (Form::Flow, true, Some(next)) => start_of(0)..next,
            (Form::Flow, false, _) => end_of(run.start - 1)..end_of(run.end - 1),
            (Form::Block, _, next) => {
                let start = start_of(run.start);
                let line = lexer::line_start(text, start);
                let end = lexer::line_end(text, end_of(run.end - 1));
                let before = &text[line..start];
                if before.trim_start_matches(' ').is_empty() {
                    let behind = lexer::break_end(text, end);
                    if behind == end && line > 0 {
                        // The last line has no line break: that of the line before goes.
                        let cut = text[..line].trim_end_matches(['\r', '\n']).len();
                        cut.max(line.saturating_sub(2))..end
                    } else {
                        line..behind
                    }
                } else if let (true, Some(next)) = (is_first, next) {
                    if !text[end..next].trim().is_empty() {
                        return Err(self.refuse(id, EditReason::Form));
                    }
                    start..next
                } else {
                    return Err(self.refuse(id, EditReason::Form));
                }
            }
            (Form::Flow | Form::Pair, _, _) => return Err(self.refuse(id, EditReason::Form)),
        };
        self.splice(at, FIRST, String::new());
        Ok(())
    }

    /// Writes the first mapping of a text without any.
    fn root(&mut self, pairs: &[(Box<str>, New)]) -> Result<(), EditRefusal> {
        let text = self.tree.text;
        let document = self.tree.documents.first();
        let place = match document {
            Some(document) if self.tree.documents.len() > 1 => {
                let marker = document.marker_end;
                let marker = marker.ok_or_else(|| EditRefusal::whole(EditReason::Form))?;
                lexer::line_end(text, marker)
            }
            Some(_) | None => text.len(),
        };
        let manner = self.manner(0);
        let mut out = String::new();
        block_pairs(&mut out, pairs, 0, manner);
        let is_line_start = place == lexer::line_start(text, place);
        if is_line_start {
            out.drain(..manner.line_break.len());
            out.push_str(manner.line_break);
        } else if place == text.len() {
            out.push_str(manner.line_break);
        }
        self.splice(place..place, 0, out);
        Ok(())
    }
}
