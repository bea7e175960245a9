//! The data of a record beside its message.

use std::borrow::Cow;

/// One named value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Like `application` or `image_name`; `time`, `level` and `msg` are taken.
    pub name: &'a str,
    /// What it is.
    pub value: FieldValue<'a>,
}

impl<'a> Field<'a> {
    /// The field `name` with `value`.
    pub fn new(name: &'a str, value: impl Into<FieldValue<'a>>) -> Self {
        Self {
            name,
            value: value.into(),
        }
    }

    /// The name as it stands in a line, where the members of every record come first.
    pub(super) fn line_name(&self) -> Cow<'a, str> {
        match self.name {
            "time" | "level" | "msg" => Cow::Owned(format!("fields.{}", self.name)),
            name => Cow::Borrowed(name),
        }
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number.
    Number(i64),
    /// Yes or no.
    Bool(bool),
}

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for FieldValue<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for FieldValue<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<bool> for FieldValue<'_> {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<i64> for FieldValue<'_> {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u16> for FieldValue<'_> {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<u32> for FieldValue<'_> {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u64> for FieldValue<'_> {
    /// Saturates at the largest signed number.
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for FieldValue<'_> {
    /// Saturates at the largest signed number.
    fn from(number: usize) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}
