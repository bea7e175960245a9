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
    /// Named members, in order.
    Record(Rc<[(&'static str, Value)]>),
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
        Self::Record(Rc::from(members))
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
