//! The functions that Go's templates have by themselves.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cmp::Ordering;

use super::format::{self, Sink};
use super::value::Value;
use super::{Fault, escape};

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Function {
    And,
    Call,
    Eq,
    Ge,
    Gt,
    Html,
    Index,
    Js,
    Le,
    Len,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Slice,
    Urlquery,
}

const NAMES: [(&str, Function); 19] = [
    ("and", Function::And),
    ("call", Function::Call),
    ("eq", Function::Eq),
    ("ge", Function::Ge),
    ("gt", Function::Gt),
    ("html", Function::Html),
    ("index", Function::Index),
    ("js", Function::Js),
    ("le", Function::Le),
    ("len", Function::Len),
    ("lt", Function::Lt),
    ("ne", Function::Ne),
    ("not", Function::Not),
    ("or", Function::Or),
    ("print", Function::Print),
    ("printf", Function::Printf),
    ("println", Function::Println),
    ("slice", Function::Slice),
    ("urlquery", Function::Urlquery),
];

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, function)| *function)
    }

    /// Calls it. `and` and `or` decide before all their arguments are known and are not called.
    pub(super) fn call(self, arguments: &[Value], sink: &mut Sink) -> Result<Value, Fault> {
        let bool = |result: Result<bool, Fault>| result.map(Value::Bool);
        sink.charge(self.read_bytes(arguments))?;
        match self {
            Self::And | Self::Or => Err(Fault::Arguments),
            Self::Call => Err(Fault::NotAFunction),
            Self::Not => {
                let [value] = arguments else {
                    return Err(Fault::Arguments);
                };
                Ok(Value::Bool(!value.is_true()))
            }
            Self::Eq => bool(is_any_equal(arguments)),
            Self::Ne => bool(pair(arguments).and_then(|(a, b)| Ok(!is_equal(a, b)?))),
            Self::Lt => bool(compare(arguments).map(Ordering::is_lt)),
            Self::Le => bool(compare(arguments).map(Ordering::is_le)),
            Self::Gt => bool(compare(arguments).map(Ordering::is_gt)),
            Self::Ge => bool(compare(arguments).map(Ordering::is_ge)),
            Self::Len => length(arguments).map(Value::Int),
            Self::Index => index(arguments),
            Self::Slice => slice(arguments, sink),
            Self::Print => sink
                .collect(|sink| format::print(arguments, sink))
                .map(Value::Text),
            Self::Println => sink
                .collect(|sink| format::println(arguments, sink))
                .map(Value::Text),
            Self::Printf => {
                let Some((Value::Text(format), arguments)) = arguments.split_first() else {
                    return Err(Fault::Arguments);
                };
                sink.collect(|sink| format::printf(format, arguments, sink))
                    .map(Value::Text)
            }
            Self::Html => escaped(arguments, sink, escape::html),
            Self::Js => escaped(arguments, sink, escape::js),
            Self::Urlquery => escaped(arguments, sink, escape::urlquery),
        }
    }
}

impl Function {
    /// How many bytes of its arguments are gone through without anything being written.
    fn read_bytes(self, arguments: &[Value]) -> usize {
        let bytes = |value: &Value| match value {
            Value::Text(text) => text.len(),
            Value::Record(record) => record.text_bytes(),
            Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => 0,
        };
        match self {
            Self::Eq | Self::Ge | Self::Gt | Self::Le | Self::Lt | Self::Ne => {
                arguments.iter().map(bytes).sum()
            }
            Self::Printf => arguments.first().map_or(0, bytes),
            Self::And
            | Self::Call
            | Self::Html
            | Self::Index
            | Self::Js
            | Self::Len
            | Self::Not
            | Self::Or
            | Self::Print
            | Self::Println
            | Self::Slice
            | Self::Urlquery => 0,
        }
    }
}

fn escaped(
    arguments: &[Value],
    sink: &mut Sink,
    escape: fn(&[u8], &mut Sink) -> Result<(), Fault>,
) -> Result<Value, Fault> {
    let plain = if let [Value::Text(text)] = arguments {
        Rc::clone(text)
    } else {
        let known: Vec<Value> = arguments.iter().map(format::or_no_value).collect();
        sink.collect(|sink| format::print(&known, sink))?
    };
    sink.collect(|sink| escape(&plain, sink)).map(Value::Text)
}

fn pair(arguments: &[Value]) -> Result<(&Value, &Value), Fault> {
    match arguments {
        [one, other] => Ok((one, other)),
        _ => Err(Fault::Arguments),
    }
}

fn is_any_equal(arguments: &[Value]) -> Result<bool, Fault> {
    let Some((first, others)) = arguments.split_first().filter(|(_, rest)| !rest.is_empty()) else {
        return Err(Fault::Arguments);
    };
    for other in others {
        if is_equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_equal(one: &Value, other: &Value) -> Result<bool, Fault> {
    match (one, other) {
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Nil, _) | (_, Value::Nil) => Ok(false),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b) == Some(Ordering::Equal)),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        (Value::Record(a), Value::Record(b)) => are_members_equal(a.members(), b.members()),
        _ => Err(Fault::Comparison),
    }
}

/// Records of one type are equal when their members are; a list in them makes them incomparable.
fn are_members_equal(
    one: &[(&'static str, Value)],
    other: &[(&'static str, Value)],
) -> Result<bool, Fault> {
    if !one
        .iter()
        .map(|(name, _)| name)
        .eq(other.iter().map(|(name, _)| name))
    {
        return Err(Fault::Comparison);
    }
    let mut are_equal = true;
    for ((_, one), (_, other)) in one.iter().zip(other) {
        are_equal &= is_equal(one, other)?;
    }
    Ok(are_equal)
}

fn compare(arguments: &[Value]) -> Result<Ordering, Fault> {
    match pair(arguments)? {
        (Value::Int(a), Value::Int(b)) => Ok(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).ok_or(Fault::Comparison),
        _ => Err(Fault::Comparison),
    }
}

fn length(arguments: &[Value]) -> Result<i64, Fault> {
    let length = match arguments {
        [Value::Text(text)] => text.len(),
        [Value::List(values)] => values.len(),
        _ => return Err(Fault::Arguments),
    };
    i64::try_from(length).map_err(|_| Fault::TooMuch)
}

fn index(arguments: &[Value]) -> Result<Value, Fault> {
    let Some((item, indexes)) = arguments.split_first() else {
        return Err(Fault::Arguments);
    };
    if matches!(item, Value::Nil) {
        return Err(Fault::Arguments);
    }
    let mut found = item.clone();
    for at in indexes {
        found = match &found {
            Value::List(values) => values.get(position(at)?).cloned(),
            Value::Text(text) => text
                .get(position(at)?)
                .map(|byte| Value::Int(i64::from(*byte))),
            Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Record(_) => {
                return Err(Fault::Arguments);
            }
        }
        .ok_or(Fault::OutOfRange)?;
    }
    Ok(found)
}

fn position(at: &Value) -> Result<usize, Fault> {
    match at {
        Value::Int(at) => usize::try_from(*at).map_err(|_| Fault::OutOfRange),
        Value::Nil
        | Value::Bool(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::List(_)
        | Value::Record(_) => Err(Fault::Arguments),
    }
}

fn slice(arguments: &[Value], sink: &mut Sink) -> Result<Value, Fault> {
    let Some((item, indexes)) = arguments.split_first() else {
        return Err(Fault::Arguments);
    };
    let (length, indexes_max) = match item {
        Value::Text(text) => (text.len(), 2),
        Value::List(values) => (values.len(), 3),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Record(_) => {
            return Err(Fault::Arguments);
        }
    };
    if indexes.len() > indexes_max {
        return Err(Fault::Arguments);
    }
    let mut bounds = [0, length, length];
    for (bound, at) in bounds.iter_mut().zip(indexes) {
        *bound = position(at)?;
    }
    let [from, to, end] = bounds;
    if from > to || to > end || end > length {
        return Err(Fault::OutOfRange);
    }
    sink.charge(
        (to - from)
            * if indexes_max == 2 {
                1
            } else {
                size_of::<Value>()
            },
    )?;
    Ok(match item {
        Value::Text(text) => Value::Text(Rc::from(&text[from..to])),
        Value::List(values) => Value::List(Rc::from(&values[from..to])),
        Value::Nil | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Record(_) => {
            return Err(Fault::Arguments);
        }
    })
}
