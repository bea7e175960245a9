//! Reading JSON by a wanted shape: what is not wanted is skipped unbuffered, what has a wrong type is
//! noted and left out, and what is too much is noted and dropped.
//!
//! Only broken JSON ends the reading. Memory is bounded by [`KEPT_BYTES_MAX`] and by the limit of
//! each list, whatever the document holds.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::application::Problem;

/// Bytes kept of one object, text and list elements together. The API server takes objects of some
/// 1.5 MiB.
pub const KEPT_BYTES_MAX: usize = 512 * 1024;

/// Problems kept of one object; one more says that there were others.
pub const PROBLEMS_MAX: usize = 32;

/// What the members of one object share while it is read: where we are, and what was met.
#[derive(Debug)]
pub(super) struct Notes {
    path: Vec<Step>,
    problems: Vec<Problem>,
    has_more: bool,
    bytes_left: usize,
}

/// One step of a path.
#[derive(Debug)]
pub(super) enum Step {
    /// A member with a name that we know.
    Member(&'static str),
    /// An element of a list.
    Element(usize),
    /// A member with a name that is data.
    Key(Box<str>),
}

impl Notes {
    pub(super) fn new() -> Self {
        Self {
            path: Vec::new(),
            problems: Vec::new(),
            has_more: false,
            bytes_left: KEPT_BYTES_MAX,
        }
    }

    /// Notes `detail` at the member that is being read.
    pub(super) fn add(&mut self, detail: impl Into<String>) {
        if self.problems.len() >= PROBLEMS_MAX {
            self.has_more = true;
            return;
        }
        self.problems.push(Problem {
            path: path_text(&self.path).into_boxed_str(),
            detail: detail.into().into_boxed_str(),
        });
    }

    /// Notes `detail` at a member that is not there to be read.
    pub(super) fn add_at(&mut self, path: &[&'static str], detail: &str) {
        let steps = path.iter().map(|name| Step::Member(name)).collect();
        let kept = core::mem::replace(&mut self.path, steps);
        self.add(detail);
        self.path = kept;
    }

    /// Reads the next value of `map` with `shape`, one step down.
    pub(super) fn member<'de, A: MapAccess<'de>, S: Shape<'de>>(
        &mut self,
        map: &mut A,
        step: Step,
        shape: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.path.push(step);
        let value = map.next_value_seed(At { notes: self, shape })?;
        self.path.pop();
        Ok(value)
    }

    /// Keeps `text` unless it is longer than `bytes_max` or the object has too much of it.
    pub(super) fn take_text(&mut self, text: &str, bytes_max: usize) -> Option<Box<str>> {
        if text.len() > bytes_max {
            self.add(format!(
                "found a text of {} bytes, expected at most {bytes_max}",
                text.len()
            ));
            return None;
        }
        self.take_room(text.len()).then(|| text.into())
    }

    /// True when `bytes` more can be kept of this object.
    fn take_room(&mut self, bytes: usize) -> bool {
        if let Some(left) = self.bytes_left.checked_sub(bytes) {
            self.bytes_left = left;
            true
        } else {
            self.add(format!("found more than {KEPT_BYTES_MAX} bytes to keep"));
            false
        }
    }

    pub(super) fn into_problems(mut self) -> Box<[Problem]> {
        if self.has_more {
            self.problems.push(Problem {
                path: "".into(),
                detail: "found further problems, which are not listed".into(),
            });
        }
        self.problems.into_boxed_slice()
    }
}

fn path_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Member(name) => {
                if !text.is_empty() {
                    text.push('.');
                }
                text.push_str(name);
            }
            Step::Element(index) => {
                write!(text, "[{index}]").expect("a String takes all text");
            }
            Step::Key(key) => {
                write!(text, "[{key}]").expect("a String takes all text");
            }
        }
    }
    text
}

/// What a value should look like. The defaults note a wrong type and leave the value out.
pub(super) trait Shape<'de>: Sized {
    /// What is kept of it.
    type Value;

    /// The wanted type in words, such as `a text`.
    const WANTED: &'static str;

    fn on_text(self, notes: &mut Notes, _text: &str) -> Option<Self::Value> {
        notes.add(found("a text", Self::WANTED));
        None
    }

    fn on_truth(self, notes: &mut Notes, _truth: bool) -> Option<Self::Value> {
        notes.add(found("true or false", Self::WANTED));
        None
    }

    fn on_list<A: SeqAccess<'de>>(
        self,
        notes: &mut Notes,
        mut list: A,
    ) -> Result<Option<Self::Value>, A::Error> {
        notes.add(found("a list", Self::WANTED));
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn on_object<A: MapAccess<'de>>(
        self,
        notes: &mut Notes,
        mut object: A,
    ) -> Result<Option<Self::Value>, A::Error> {
        notes.add(found("an object", Self::WANTED));
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

fn found(found: &str, wanted: &str) -> String {
    format!("found {found}, expected {wanted}")
}

/// A shape at a place; null is the same as absent.
struct At<'n, S> {
    notes: &'n mut Notes,
    shape: S,
}

impl<'de, S: Shape<'de>> DeserializeSeed<'de> for At<'_, S> {
    type Value = Option<S::Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: Shape<'de>> Visitor<'de> for At<'_, S> {
    type Value = Option<S::Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(S::WANTED)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Self::Value, E> {
        Ok(self.shape.on_truth(self.notes, truth))
    }

    fn visit_i64<E: Error>(self, _number: i64) -> Result<Self::Value, E> {
        self.notes.add(found("a number", S::WANTED));
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _number: u64) -> Result<Self::Value, E> {
        self.visit_i64(0)
    }

    fn visit_f64<E: Error>(self, _number: f64) -> Result<Self::Value, E> {
        self.visit_i64(0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.shape.on_text(self.notes, text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        self.shape.on_list(self.notes, list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Self::Value, A::Error> {
        self.shape.on_object(self.notes, object)
    }
}

/// A text of at most so many bytes.
#[derive(Clone, Copy)]
pub(super) struct Text {
    pub(super) bytes_max: usize,
}

impl Shape<'_> for Text {
    type Value = Box<str>;
    const WANTED: &'static str = "a text";

    fn on_text(self, notes: &mut Notes, text: &str) -> Option<Box<str>> {
        notes.take_text(text, self.bytes_max)
    }
}

/// `true` or `false`.
#[derive(Clone, Copy)]
pub(super) struct Truth;

impl Shape<'_> for Truth {
    type Value = bool;
    const WANTED: &'static str = "true or false";

    fn on_truth(self, _notes: &mut Notes, truth: bool) -> Option<bool> {
        Some(truth)
    }
}

/// A list whose elements have one shape.
#[derive(Clone, Copy)]
pub(super) struct List<S> {
    pub(super) element: S,
    pub(super) items_max: usize,
    /// What becomes of an element that could not be read.
    pub(super) gaps: Gaps,
}

/// What becomes of an element that could not be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gaps {
    /// It is left out.
    Closed,
    /// An empty one stands in its place, because positions have a meaning.
    Kept,
}

impl<'de, S: Shape<'de> + Copy> Shape<'de> for List<S>
where
    S::Value: Default,
{
    type Value = Vec<S::Value>;
    const WANTED: &'static str = "a list";

    fn on_list<A: SeqAccess<'de>>(
        self,
        notes: &mut Notes,
        mut list: A,
    ) -> Result<Option<Self::Value>, A::Error> {
        let mut kept = Vec::new();
        for index in 0..self.items_max {
            notes.path.push(Step::Element(index));
            let seed = At {
                notes,
                shape: self.element,
            };
            let element = list.next_element_seed(seed)?;
            notes.path.pop();
            let element = match (element, self.gaps) {
                (None, _) => {
                    kept.shrink_to_fit();
                    return Ok(Some(kept));
                }
                (Some(Some(element)), _) => element,
                (Some(None), Gaps::Kept) => S::Value::default(),
                (Some(None), Gaps::Closed) => continue,
            };
            if !notes.take_room(size_of::<S::Value>()) {
                break;
            }
            kept.push(element);
        }
        if kept.len() < self.items_max {
            while list.next_element::<IgnoredAny>()?.is_some() {}
        } else if list.next_element::<IgnoredAny>()?.is_some() {
            notes.add(format!("found more than {} elements", self.items_max));
            while list.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(Some(kept))
    }
}

/// Reads on to the next member that is among `names`, skipping the others; `None` at the object's end.
pub(super) fn next_name<'de, A: MapAccess<'de>>(
    map: &mut A,
    names: &'static [&'static str],
) -> Result<Option<&'static str>, A::Error> {
    while let Some(name) = map.next_key_seed(Name { names })? {
        if name.is_some() {
            return Ok(name);
        }
        map.next_value::<IgnoredAny>()?;
    }
    Ok(None)
}

struct Name {
    names: &'static [&'static str],
}

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = Option<&'static str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(self.names.iter().copied().find(|name| *name == text))
    }
}

/// Reads on to the next member whose name begins with `prefix`, skipping the others, and keeps what
/// follows the prefix; `None` at the object's end.
pub(super) fn next_key<'de, A: MapAccess<'de>>(
    map: &mut A,
    prefix: &'static str,
) -> Result<Option<String>, A::Error> {
    while let Some(key) = map.next_key_seed(Key { prefix })? {
        if key.is_some() {
            return Ok(key);
        }
        map.next_value::<IgnoredAny>()?;
    }
    Ok(None)
}

struct Key {
    prefix: &'static str,
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key of an annotation")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(text.strip_prefix(self.prefix).map(String::from))
    }
}
