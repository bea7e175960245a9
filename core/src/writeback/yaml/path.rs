//! Paths of values, as Helm parameters name them: `image.tag`, `list[1].image`.
//!
//! A backslash takes its meaning from a dot, a bracket or a backslash that follows it: `a.b\.c` is the key `b.c` in
//! `a`. A key that is spelt like the rest of a path is found without (`writeback.md` 9.3, WB-39).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::draft::{Draft, New};
use super::refusal::{EditReason, EditRefusal, NodeKind};
use super::tree::{NodeId, Tree};

/// Longest path, in bytes.
pub(super) const PATH_BYTES_MAX: usize = 1_024;
/// Most steps of a path.
pub(super) const STEPS_MAX: usize = 32;

/// A path of a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValuePath {
    /// As written.
    text: Box<str>,
    /// Its steps; what is wrong with them matters only where no key is spelt like the whole.
    steps: Result<Vec<Step>, EditReason>,
}

/// What a key leads to.
struct Found {
    value: NodeId,
    /// The step that the path goes on with.
    behind: usize,
    /// The key is spelt like all the rest of the path, indices included.
    is_spelt_out: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Step {
    name: String,
    /// With its indices, as a key would be spelt.
    literal: String,
    indices: Vec<i64>,
}

impl ValuePath {
    /// Reads a path.
    ///
    /// # Errors
    /// When it is empty or longer than a path may be.
    pub fn parse(text: &str) -> Result<Self, EditRefusal> {
        if text.is_empty() || text.len() > PATH_BYTES_MAX {
            return Err(EditRefusal::at(0, text, EditReason::Path));
        }
        let parts = split(text);
        let steps = if parts.len() > STEPS_MAX {
            Err(EditReason::Path)
        } else {
            parts.into_iter().map(Step::parse).collect()
        };
        Ok(Self {
            text: text.into(),
            steps,
        })
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The path of a node of the first document; `None` when a key on its way is no text.
    pub fn of(tree: &Tree<'_>, node: NodeId) -> Option<String> {
        let mut parts: Vec<String> = Vec::new();
        let mut at = node;
        while let Some(parent) = tree.nodes[at].parent {
            let index = tree.items(parent).iter().position(|item| *item == at);
            if let Some(index) = index {
                parts.push(alloc::format!("[{index}]"));
            } else {
                let (key, _) = tree.pairs(parent).iter().find(|(_, value)| *value == at)?;
                let mut part = String::from(".");
                for char in tree.text_of(*key)?.chars() {
                    if matches!(char, '.' | '[' | ']' | '\\') {
                        part.push('\\');
                    }
                    part.push(char);
                }
                parts.push(part);
            }
            at = parent;
        }
        (tree.root() == Some(at)).then(|| {
            parts.reverse();
            let text = parts.concat();
            text.strip_prefix('.').map_or(text.clone(), String::from)
        })
    }

    /// Makes the value at the path this string, with everything on the way that is missing.
    ///
    /// # Errors
    /// When something else stands there or on the way.
    pub fn put(&self, draft: &mut Draft<'_>, text: &str) -> Result<(), EditRefusal> {
        let root = draft.root_mapping().map_err(|refusal| self.told(refusal))?;
        let spelt_out = root.and_then(|root| draft.value_of(root, &self.text));
        if let Some(value) = spelt_out {
            return self.put_at(draft, value, text);
        }
        let steps = self.steps.as_ref();
        let steps = &**steps.map_err(|reason| self.refuse(0, reason.clone()))?;
        let Some(mut mapping) = root else {
            let (name, value) = self.missing(steps, text)?;
            let mut pairs = draft.root.take().unwrap_or_default();
            let merged = merge(&mut pairs, name, value);
            draft.root = Some(pairs);
            return merged.map_err(|reason| self.refuse(0, reason));
        };
        let mut rest = steps;
        loop {
            let Some(found) = find(draft, mapping, rest) else {
                let (name, value) = self.missing(rest, text)?;
                let line = draft.tree().line(mapping);
                let pairs = draft.pairs.entry(mapping).or_default();
                return merge(pairs, name, value).map_err(|reason| self.refuse(line, reason));
            };
            let (taken, behind) = rest.split_at(found.behind);
            let value = if found.is_spelt_out {
                draft.tree().followed(found.value)
            } else {
                self.indexed(draft.tree(), found.value, taken)?
            };
            if behind.is_empty() {
                return self.put_at(draft, value, text);
            }
            let line = draft.tree().line(value);
            if draft.tree().is_null(value) {
                let (name, new) = self.missing(behind, text)?;
                let mut pairs = match draft.fills.remove(&value) {
                    Some(New::Mapping(pairs)) => pairs,
                    Some(New::List(_) | New::Text(_) | New::Flag(_)) | None => Vec::new(),
                };
                let merged = merge(&mut pairs, name, new);
                draft.fill(value, New::Mapping(pairs));
                return merged.map_err(|reason| self.refuse(line, reason));
            }
            let found = draft.tree().kind(value);
            if found != NodeKind::Mapping {
                let expected = NodeKind::Mapping;
                return Err(self.refuse(line, EditReason::Kind { expected, found }));
            }
            (mapping, rest) = (value, behind);
        }
    }

    fn put_at(&self, draft: &mut Draft<'_>, value: NodeId, text: &str) -> Result<(), EditRefusal> {
        let line = draft.tree().line(value);
        let put = draft.put_text(value, text);
        put.map_err(|reason| self.refuse(line, reason))
    }

    /// Follows the indices of the last of these steps, and aliases.
    fn indexed(
        &self,
        tree: &Tree<'_>,
        value: NodeId,
        taken: &[Step],
    ) -> Result<NodeId, EditRefusal> {
        let mut value = tree.followed(value);
        let line = tree.line(value);
        let Some(step) = taken.last() else {
            return Ok(value);
        };
        let name = || step.name.as_str().into();
        for index in &step.indices {
            if tree.is_null(value) {
                return Err(self.refuse(line, EditReason::NoList(name())));
            }
            if tree.kind(value) != NodeKind::Sequence {
                return Err(self.refuse(line, EditReason::NotAList(name())));
            }
            let items = tree.items(value);
            let item = usize::try_from(*index).ok().and_then(|at| items.get(at));
            let out_of_range = EditReason::OutOfRange {
                index: *index,
                n_items: items.len(),
            };
            let item = item.ok_or_else(|| self.refuse(line, out_of_range))?;
            value = tree.followed(*item);
        }
        if tree.kind(value) == NodeKind::Sequence {
            return Err(self.refuse(line, EditReason::NoIndex(name())));
        }
        Ok(value)
    }

    /// What is missing for these steps: the key of the first and its value. No list is made.
    fn missing(&self, steps: &[Step], text: &str) -> Result<(Box<str>, New), EditRefusal> {
        if let Some(step) = steps.iter().find(|step| !step.indices.is_empty()) {
            return Err(self.refuse(0, EditReason::NoList(step.name.as_str().into())));
        }
        if steps.iter().any(|step| step.name.is_empty()) {
            return Err(self.refuse(0, EditReason::Path));
        }
        let mut value = New::Text(text.into());
        for step in steps.iter().skip(1).rev() {
            value = New::Mapping(Vec::from([(step.name.as_str().into(), value)]));
        }
        let first = steps.first().map_or("", |step| &step.name);
        Ok((first.into(), value))
    }

    fn refuse(&self, line: usize, reason: EditReason) -> EditRefusal {
        EditRefusal::at(line, &self.text, reason)
    }

    fn told(&self, refusal: EditRefusal) -> EditRefusal {
        self.refuse(refusal.line, refusal.reason)
    }
}

impl Step {
    fn parse(text: &str) -> Result<Self, EditReason> {
        let mut name = text;
        let mut indices = Vec::new();
        while let Some(inner) = name.strip_suffix(']').filter(|_| !ends_escaped(name)) {
            let Some(open) = last_bracket(inner) else {
                break;
            };
            let index = &inner[open + 1..];
            let digits = index.strip_prefix(['+', '-']).unwrap_or(index);
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let number = index.parse::<i64>().ok().filter(|_| is_number);
            let number = number.ok_or_else(|| {
                // What stands there may be long.
                EditReason::Index(index.chars().take(80).collect::<String>().into())
            })?;
            indices.push(number);
            name = &inner[..open];
        }
        indices.reverse();
        Ok(Self {
            name: unescaped(name),
            literal: unescaped(text),
            indices,
        })
    }
}

/// What the steps lead to in a mapping: a key that is spelt like all of them, else like the first, else like as few as
/// make a key.
fn find(draft: &mut Draft<'_>, mapping: NodeId, steps: &[Step]) -> Option<Found> {
    let literals: Vec<&str> = steps.iter().map(|step| &*step.literal).collect();
    if let Some(value) = draft.value_of(mapping, &literals.join(".")) {
        return Some(Found {
            value,
            behind: steps.len(),
            is_spelt_out: true,
        });
    }
    let mut key = String::new();
    for (n, step) in steps.iter().enumerate() {
        key.push_str(if n > 0 { "." } else { "" });
        key.push_str(&step.name);
        if let Some(value) = draft.value_of(mapping, &key) {
            return Some(Found {
                value,
                behind: n + 1,
                is_spelt_out: false,
            });
        }
        if !step.indices.is_empty() {
            return None;
        }
    }
    None
}

/// Adds a value to pairs that are new; mappings are merged.
fn merge(pairs: &mut Vec<(Box<str>, New)>, key: Box<str>, value: New) -> Result<(), EditReason> {
    let Some((_, known)) = pairs.iter_mut().find(|(name, _)| *name == key) else {
        pairs.push((key, value));
        return Ok(());
    };
    match (known, value) {
        (New::Mapping(known), New::Mapping(new)) => new
            .into_iter()
            .try_for_each(|(key, value)| merge(known, key, value)),
        (known, value) if *known == value => Ok(()),
        _ => Err(EditReason::Conflict),
    }
}

/// The parts between dots that no backslash stands before.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut is_escaped = false;
    for (at, char) in text.char_indices() {
        if char == '.' && !is_escaped {
            parts.push(&text[start..at]);
            start = at + 1;
        }
        is_escaped = char == '\\' && !is_escaped;
    }
    parts.push(&text[start..]);
    parts
}

/// True when a backslash stands before the last character.
fn ends_escaped(text: &str) -> bool {
    let mut chars = text.chars().rev();
    chars.next();
    chars.take_while(|char| *char == '\\').count() % 2 == 1
}

fn last_bracket(text: &str) -> Option<usize> {
    let mut brackets = text.rmatch_indices('[').map(|(at, _)| at);
    brackets.find(|at| !ends_escaped(&text[..=*at]))
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let is_escape = char == '\\';
        let escaped = chars.next_if(|next| is_escape && matches!(next, '.' | '[' | ']' | '\\'));
        out.push(escaped.unwrap_or(char));
    }
    out
}
