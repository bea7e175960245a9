//! What a template consists of once it is read.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Position;
use super::function::Function;

/// A piece of a template.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Node {
    /// Text as it stands.
    Text(Box<str>),
    /// A pipeline whose value is printed, unless it only sets a variable.
    Action(Pipeline),
    /// `if`.
    If(Branch),
    /// `with`.
    With(Branch),
    /// `range`.
    Range(Branch),
    /// `template`, or the call that `block` makes.
    Template {
        /// Where it stands.
        position: Position,
        /// The name of the definition.
        name: Box<[u8]>,
        /// What is the dot in it.
        argument: Option<Pipeline>,
    },
    /// `break`.
    Break,
    /// `continue`.
    Continue,
}

/// A condition or list, what is done with it, and what is done without.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Branch {
    /// The condition or list.
    pub pipeline: Pipeline,
    /// What is done.
    pub body: Vec<Node>,
    /// What stands behind `else`.
    pub otherwise: Vec<Node>,
}

/// Commands, each of which hands its value on to the next.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Pipeline {
    /// Where it begins.
    pub position: Position,
    /// The variables that it sets, with their dollars.
    pub variables: Vec<Box<str>>,
    /// True when the variables exist already.
    pub is_assignment: bool,
    /// The commands; never empty, and none of them is.
    pub commands: Vec<Vec<Operand>>,
}

/// A word of a command.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Operand {
    /// `.`.
    Dot,
    /// `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a point.
    Float(f64),
    /// A number that is too large to be used.
    Unsigned,
    /// A text.
    Text(Box<[u8]>),
    /// `.a.b`.
    Field(Vec<Box<str>>),
    /// `$x.a.b`.
    Variable(Box<str>, Vec<Box<str>>),
    /// The name of a function.
    Function(Function),
    /// A pipeline in parentheses.
    Nested(Box<Pipeline>),
    /// `(...).a.b`, or the same behind a function's name.
    Chain(Box<Operand>, Vec<Box<str>>),
}
