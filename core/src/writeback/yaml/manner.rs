//! New lines and new values in the manner of their neighbours.

use alloc::boxed::Box;
use alloc::string::String;

use super::draft::New;
use super::resolve::Reader;
use super::scalar::{self, Place};
use super::tree::{Form, Kind, NodeId, Tree};

/// Indentation of mappings in mappings where the text shows none.
pub(super) const STEP: usize = 2;
/// Widest indentation that is taken over.
const STEP_MAX: usize = 8;
/// How new lines look.
#[derive(Clone, Copy)]
pub(super) struct Manner<'a> {
    pub(super) reader: Reader,
    pub(super) line_break: &'a str,
    /// Of a mapping in a mapping.
    pub(super) step: usize,
    /// Of a list under its key.
    pub(super) list_step: usize,
}

pub(super) fn block_below(out: &mut String, new: &New, indent: usize, manner: Manner<'_>) {
    match new {
        New::Mapping(pairs) if !pairs.is_empty() => {
            block_pairs(out, pairs, indent + manner.step, manner);
        }
        New::List(items) if !items.is_empty() => {
            block_items(out, items, indent + manner.list_step, manner);
        }
        New::Text(text) => {
            out.push(' ');
            out.push_str(&scalar::write(text, manner.place(indent + STEP)));
        }
        New::Flag(_) | New::Mapping(_) | New::List(_) => {
            out.push(' ');
            flow(out, new, manner);
        }
    }
}

/// Lines of pairs, each behind a line break.
pub(super) fn block_pairs(
    out: &mut String,
    pairs: &[(Box<str>, New)],
    indent: usize,
    manner: Manner<'_>,
) {
    for pair in pairs {
        new_line(out, indent, manner);
        block_pair(out, pair, indent, manner);
    }
}

fn block_pair(out: &mut String, (key, value): &(Box<str>, New), indent: usize, manner: Manner<'_>) {
    out.push_str(&key_text(key, manner, false));
    out.push(':');
    block_below(out, value, indent, manner);
}

pub(super) fn block_items(out: &mut String, items: &[New], indent: usize, manner: Manner<'_>) {
    for item in items {
        new_line(out, indent, manner);
        out.push_str("- ");
        match item {
            New::Mapping(pairs) if !pairs.is_empty() => {
                block_pair(out, &pairs[0], indent + 2, manner);
                block_pairs(out, &pairs[1..], indent + 2, manner);
            }
            New::Text(text) => out.push_str(&scalar::write(text, manner.place(indent + STEP))),
            New::Flag(_) | New::Mapping(_) | New::List(_) => flow(out, item, manner),
        }
    }
}

fn new_line(out: &mut String, indent: usize, manner: Manner<'_>) {
    out.push_str(manner.line_break);
    out.extend(core::iter::repeat_n(' ', indent));
}

pub(super) fn flow(out: &mut String, new: &New, manner: Manner<'_>) {
    match new {
        New::Text(text) => {
            let place = manner.place(0);
            out.push_str(&scalar::write(
                text,
                Place {
                    is_flow: true,
                    ..place
                },
            ));
        }
        New::Flag(flag) => out.push_str(flag_text(*flag)),
        New::Mapping(pairs) => {
            out.push('{');
            for (n, (key, value)) in pairs.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                flow_pair(out, key, value, manner);
            }
            out.push('}');
        }
        New::List(items) => {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                out.push_str(if n > 0 { ", " } else { "" });
                flow(out, item, manner);
            }
            out.push(']');
        }
    }
}

pub(super) fn flow_pair(out: &mut String, key: &str, value: &New, manner: Manner<'_>) {
    out.push_str(&key_text(key, manner, true));
    out.push_str(": ");
    flow(out, value, manner);
}

fn key_text(key: &str, manner: Manner<'_>, is_flow: bool) -> String {
    if key.contains('\n') {
        return scalar::double(key);
    }
    let place = manner.place(0);
    scalar::write(key, Place { is_flow, ..place })
}

pub(super) fn flag_text(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

impl<'a> Manner<'a> {
    fn place(self, indent: usize) -> Place<'a> {
        Place {
            reader: self.reader,
            is_flow: false,
            indent,
            line_break: self.line_break,
        }
    }
}

/// Indentation of the first mapping that stands in a mapping.
pub(super) fn step(tree: &Tree<'_>) -> usize {
    let steps = block_values(tree).filter_map(|(key, value)| match &tree.nodes[value].kind {
        Kind::Mapping {
            pairs,
            form: Form::Block,
        } => {
            let inner = tree.column(pairs.first()?.0);
            inner.checked_sub(tree.column(key))
        }
        Kind::Mapping { .. } | Kind::Sequence { .. } | Kind::Scalar { .. } | Kind::Alias(_) => None,
    });
    first_of(steps, 1).unwrap_or(STEP)
}

/// Indentation of the first list under its key.
pub(super) fn list_step(tree: &Tree<'_>) -> usize {
    let steps = block_values(tree).filter_map(|(key, value)| match &tree.nodes[value].kind {
        Kind::Sequence {
            form: Form::Block, ..
        } => {
            let dash = tree.column_of(tree.nodes[value].content.start);
            dash.checked_sub(tree.column(key))
        }
        Kind::Mapping { .. } | Kind::Sequence { .. } | Kind::Scalar { .. } | Kind::Alias(_) => None,
    });
    first_of(steps, 0).unwrap_or(0)
}

fn first_of(mut steps: impl Iterator<Item = usize>, min: usize) -> Option<usize> {
    steps.next().filter(|step| (min..=STEP_MAX).contains(step))
}

fn block_values<'a>(tree: &'a Tree<'_>) -> impl Iterator<Item = (NodeId, NodeId)> + 'a {
    let pairs = tree.nodes.iter().map(|node| match &node.kind {
        Kind::Mapping {
            pairs,
            form: Form::Block,
        } => &pairs[..],
        Kind::Mapping { .. } | Kind::Sequence { .. } | Kind::Scalar { .. } | Kind::Alias(_) => &[],
    });
    pairs.flatten().copied()
}
