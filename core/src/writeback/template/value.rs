//! What a template works with.

use alloc::rc::Rc;
use alloc::vec::Vec;

/// A value. Texts are bytes, as a slice of a text may part a character.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing: `nil`, or a member of nothing.
    Nil,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// A text.
    Text(Rc<[u8]>),
    /// A list.
    List(Rc<[Value]>),
    /// Named members.
    Record(Rc<Record>),
}

/// Named members, in order.
#[derive(Clone, Debug)]
pub struct Record {
    members: Vec<(&'static str, Value)>,
    n_printed: usize,
}

impl Record {
    /// The members that are printed where the record is.
    pub(super) fn printed(&self) -> &[(&'static str, Value)] {
        &self.members[..self.n_printed]
    }

    /// All members.
    pub(super) fn members(&self) -> &[(&'static str, Value)] {
        &self.members
    }

    /// How long the texts among its members are together.
    pub(super) fn text_bytes(&self) -> usize {
        let bytes = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Nil
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::List(_)
            | Value::Record(_) => 0,
        };
        self.members.iter().map(|(_, value)| bytes(value)).sum()
    }

    /// The value of a member.
    pub(super) fn member(&self, name: &str) -> Option<Value> {
        let found = self.members.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    }
}

impl Value {
    /// Wraps a text.
    pub fn text(text: &str) -> Self {
        Self::Text(Rc::from(text.as_bytes()))
    }

    /// Makes a list.
    pub fn list(values: Vec<Self>) -> Self {
        Self::List(Rc::from(values))
    }

    /// Makes a record from its members in order.
    pub fn record(members: Vec<(&'static str, Self)>) -> Self {
        Self::record_with(members, Vec::new())
    }

    /// The same with members that can be asked for but are not printed where the record is as a whole: it looks as
    /// it always did.
    pub fn record_with(
        members: Vec<(&'static str, Self)>,
        unprinted: Vec<(&'static str, Self)>,
    ) -> Self {
        let n_printed = members.len();
        let mut members = members;
        members.extend(unprinted);
        Self::Record(Rc::new(Record { members, n_printed }))
    }

    /// What a condition makes of it: empty, zero and nothing are false, a record is always true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => value.abs() > 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(values) => !values.is_empty(),
            Self::Record(_) => true,
        }
    }

    /// The name of its type, as Go prints it; records and lists of them have names that we do not know.
    pub(super) const fn type_name(&self) -> Option<&'static str> {
        match self {
            Self::Nil => Some("<nil>"),
            Self::Bool(_) => Some("bool"),
            Self::Int(_) => Some("int"),
            Self::Float(_) => Some("float64"),
            Self::Text(_) => Some("string"),
            Self::List(_) | Self::Record(_) => None,
        }
    }
}
