//! Carrying a template out.
//!
//! Steps, bytes and calls within calls are bounded: a loop that never ends, or doubles a text again and again,
//! is an error.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::format::{self, Sink};
use super::function::Function;
use super::node::{Branch, Node, Operand, Pipeline};
use super::parser::{DEPTH_MAX, Definitions};
use super::value::Value;
use super::{Fault, Position, RenderError, STEPS_MAX, begin_of};

/// Deepest calls of definitions within each other.
const CALLS_MAX: usize = 32;
/// Deepest nesting of bodies and pipelines in all calls together: a bound of the stack.
const NESTED_MAX: usize = 4 * DEPTH_MAX;
/// Variables that may be set at once, in all calls.
const VARIABLES_MAX: usize = 512;

/// Renders `nodes` with `data` as dot into `sink`.
pub(super) fn render(
    nodes: &[Node],
    definitions: &Definitions,
    data: &Value,
    sink: &mut Sink,
) -> Result<(), RenderError> {
    let mut renderer = Renderer {
        definitions,
        sink,
        variables: Vec::from([("$", data.clone())]),
        base: 0,
        n_steps: 0,
        n_calls: 0,
        n_nested: 0,
        position: Position::BEGIN,
    };
    match renderer.walk(data, nodes) {
        Ok(_) => Ok(()),
        Err(fault) => Err(RenderError {
            position: renderer.position,
            fault,
        }),
    }
}

/// How a list of nodes was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Break,
    Continue,
}

struct Renderer<'t, 's> {
    definitions: &'t Definitions,
    sink: &'s mut Sink,
    variables: Vec<(&'t str, Value)>,
    /// Where the variables of the running definition begin.
    base: usize,
    n_steps: u32,
    n_calls: usize,
    n_nested: usize,
    /// Of what is carried out.
    position: Position,
}

impl<'t> Renderer<'t, '_> {
    fn walk(&mut self, dot: &Value, nodes: &'t [Node]) -> Result<Flow, Fault> {
        self.nest()?;
        let flow = self.walk_nested(dot, nodes)?;
        self.n_nested -= 1;
        Ok(flow)
    }

    fn walk_nested(&mut self, dot: &Value, nodes: &'t [Node]) -> Result<Flow, Fault> {
        for node in nodes {
            self.step()?;
            match node {
                Node::Text(text) => self.sink.push(text.as_bytes())?,
                Node::Action(pipeline) => {
                    let value = self.pipeline(dot, pipeline)?;
                    if pipeline.variables.is_empty() {
                        format::print(&[format::or_no_value(&value)], self.sink)?;
                    }
                }
                Node::If(branch) => {
                    let flow = self.branch(dot, branch, |_| dot.clone())?;
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
                Node::With(branch) => {
                    let flow = self.branch(dot, branch, Value::clone)?;
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
                Node::Range(branch) => {
                    let flow = self.range(dot, branch)?;
                    if flow != Flow::On {
                        return Ok(flow);
                    }
                }
                Node::Template {
                    position,
                    name,
                    argument,
                } => {
                    self.position = *position;
                    self.call(dot, name, argument.as_ref())?;
                }
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
            }
        }
        Ok(Flow::On)
    }

    fn branch(
        &mut self,
        dot: &Value,
        branch: &'t Branch,
        inner: impl FnOnce(&Value) -> Value,
    ) -> Result<Flow, Fault> {
        let mark = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let flow = if value.is_true() {
            let dot = inner(&value);
            self.walk(&dot, &branch.body)
        } else {
            self.walk(dot, &branch.otherwise)
        };
        self.variables.truncate(mark);
        flow
    }

    fn range(&mut self, dot: &Value, branch: &'t Branch) -> Result<Flow, Fault> {
        let outer = self.variables.len();
        let value = self.pipeline(dot, &branch.pipeline)?;
        let mark = self.variables.len();
        let mut has_run = false;
        match value {
            Value::Nil => {}
            Value::List(values) => {
                for (index, element) in values.iter().enumerate() {
                    has_run = true;
                    let index = i64::try_from(index).map_or(Value::Nil, Value::Int);
                    if self.turn(branch, mark, index, element)? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Int(count) => {
                if branch.pipeline.variables.len() > 1 {
                    return Err(Fault::Range);
                }
                for number in 0..count {
                    has_run = true;
                    let number = Value::Int(number);
                    if self.turn(branch, mark, Value::Nil, &number)? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Bool(_) | Value::Float(_) | Value::Text(_) | Value::Record(_) => {
                return Err(Fault::Range);
            }
        }
        // Behind `else` a break ends this loop, and a continue goes on with the one around.
        let flow = if has_run {
            Flow::On
        } else {
            match self.walk(dot, &branch.otherwise)? {
                Flow::On | Flow::Break => Flow::On,
                Flow::Continue => Flow::Continue,
            }
        };
        self.variables.truncate(outer);
        Ok(flow)
    }

    /// One turn of a loop, whose variables end at `mark`.
    fn turn(
        &mut self,
        branch: &'t Branch,
        mark: usize,
        index: Value,
        element: &Value,
    ) -> Result<Flow, Fault> {
        self.step()?;
        let pipeline = &branch.pipeline;
        // With two variables the first one is the index.
        let values = match pipeline.variables.len() {
            0 => [None, None],
            1 => [Some(element.clone()), None],
            _ => [Some(index), Some(element.clone())],
        };
        let n_values = pipeline.variables.len();
        for (n, value) in values.into_iter().flatten().enumerate() {
            if pipeline.is_assignment {
                self.assign(&pipeline.variables[n], value)?;
            } else if let Some((_, variable)) = self.variables.get_mut(mark - n_values + n) {
                *variable = value;
            }
        }
        let flow = self.walk(element, &branch.body);
        self.variables.truncate(mark);
        flow
    }

    fn call(
        &mut self,
        dot: &Value,
        name: &[u8],
        argument: Option<&'t Pipeline>,
    ) -> Result<(), Fault> {
        let definitions = self.definitions;
        let body = definitions.get(name).ok_or(Fault::NoDefinition)?;
        let dot = match argument {
            Some(pipeline) => self.pipeline(dot, pipeline)?,
            None => Value::Nil,
        };
        if self.n_calls >= CALLS_MAX {
            return Err(Fault::TooMuch);
        }
        self.n_calls += 1;
        let (base, mark) = (self.base, self.variables.len());
        self.base = mark;
        self.declare("$", dot.clone())?;
        self.walk(&dot, body)?;
        self.variables.truncate(mark);
        self.base = base;
        self.n_calls -= 1;
        Ok(())
    }

    fn pipeline(&mut self, dot: &Value, pipeline: &'t Pipeline) -> Result<Value, Fault> {
        self.nest()?;
        self.position = pipeline.position;
        let mut value = None;
        for command in &pipeline.commands {
            value = Some(self.command(dot, command, value)?);
        }
        let value = value.unwrap_or(Value::Nil);
        for name in &pipeline.variables {
            if pipeline.is_assignment {
                self.assign(name, value.clone())?;
            } else {
                self.declare(name, value.clone())?;
            }
        }
        self.n_nested -= 1;
        Ok(value)
    }

    /// Carries a command out; `last` is what the command before hands on.
    fn command(
        &mut self,
        dot: &Value,
        operands: &'t [Operand],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        self.step()?;
        let Some((first, arguments)) = operands.split_first() else {
            return Err(Fault::Arguments);
        };
        if let Operand::Function(function) = first {
            return self.function(dot, *function, arguments, last);
        }
        let has_arguments = !arguments.is_empty() || last.is_some();
        // A member of nothing is nothing, whatever it is called with.
        let (value, is_nothing) = match first {
            Operand::Field(path) => member(dot.clone(), path)?,
            Operand::Variable(name, path) => {
                let (value, is_nothing) = member(self.variable(name)?, path)?;
                (value, is_nothing && !path.is_empty())
            }
            Operand::Chain(inner, path) => {
                if matches!(**inner, Operand::Nil) {
                    return Err(Fault::Arguments);
                }
                let value = self.operand(dot, inner)?;
                member(value, path)?
            }
            Operand::Nil => return Err(Fault::Arguments),
            Operand::Dot
            | Operand::Bool(_)
            | Operand::Int(_)
            | Operand::Float(_)
            | Operand::Unsigned
            | Operand::Text(_)
            | Operand::Function(_)
            | Operand::Nested(_) => (self.operand(dot, first)?, false),
        };
        if has_arguments && !is_nothing {
            return Err(Fault::Arguments);
        }
        Ok(value)
    }

    fn function(
        &mut self,
        dot: &Value,
        function: Function,
        arguments: &'t [Operand],
        last: Option<Value>,
    ) -> Result<Value, Fault> {
        self.step()?;
        if matches!(function, Function::And | Function::Or) {
            let mut value = None;
            for argument in arguments {
                let found = self.operand(dot, argument)?;
                if found.is_true() == (function == Function::Or) {
                    return Ok(found);
                }
                value = Some(found);
            }
            return last.or(value).ok_or(Fault::Arguments);
        }
        self.sink
            .charge((arguments.len() + 1) * size_of::<Value>())?;
        let mut values = Vec::with_capacity(arguments.len() + 1);
        for argument in arguments {
            values.push(self.operand(dot, argument)?);
        }
        values.extend(last);
        function.call(&values, self.sink)
    }

    /// The value of an operand as an argument.
    fn operand(&mut self, dot: &Value, operand: &'t Operand) -> Result<Value, Fault> {
        self.step()?;
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Nil => Ok(Value::Nil),
            Operand::Bool(value) => Ok(Value::Bool(*value)),
            Operand::Int(value) => Ok(Value::Int(*value)),
            Operand::Float(value) => Ok(Value::Float(*value)),
            Operand::Unsigned => Err(Fault::TooMuch),
            Operand::Text(text) => {
                self.sink.charge(text.len() + 16)?;
                Ok(Value::Text(text.as_ref().into()))
            }
            Operand::Field(path) => member(dot.clone(), path).map(|(value, _)| value),
            Operand::Variable(name, path) => {
                member(self.variable(name)?, path).map(|(value, _)| value)
            }
            Operand::Function(function) => self.function(dot, *function, &[], None),
            Operand::Nested(pipeline) => {
                let outer = self.position;
                let value = self.pipeline(dot, pipeline)?;
                self.position = outer;
                Ok(value)
            }
            Operand::Chain(inner, path) => {
                let value = self.operand(dot, inner)?;
                member(value, path).map(|(value, _)| value)
            }
        }
    }

    fn variable(&self, name: &str) -> Result<Value, Fault> {
        self.variables[self.base..]
            .iter()
            .rev()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.clone())
            .ok_or(Fault::NoVariable)
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), Fault> {
        let base = self.base;
        let variable = self.variables[base..]
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == name)
            .ok_or(Fault::NoVariable)?;
        variable.1 = value;
        Ok(())
    }

    fn declare(&mut self, name: &'t str, value: Value) -> Result<(), Fault> {
        if self.variables.len() >= VARIABLES_MAX {
            return Err(Fault::TooMuch);
        }
        self.variables.push((name, value));
        Ok(())
    }

    /// Goes one deeper; what goes wrong down there ends everything, so that only success comes up again.
    fn nest(&mut self) -> Result<(), Fault> {
        self.n_nested += 1;
        if self.n_nested > NESTED_MAX {
            return Err(Fault::TooMuch);
        }
        Ok(())
    }

    fn step(&mut self) -> Result<(), Fault> {
        self.n_steps += 1;
        if self.n_steps > STEPS_MAX {
            return Err(Fault::TooMuch);
        }
        Ok(())
    }
}

/// Goes down `path`; the second part is true when the last step was a member of nothing.
fn member(mut value: Value, path: &[Box<str>]) -> Result<(Value, bool), Fault> {
    let mut is_nothing = false;
    for name in path {
        value = match value {
            Value::Nil => {
                is_nothing = true;
                Value::Nil
            }
            Value::Record(record) => record
                .member(name)
                .ok_or_else(|| Fault::NoMember(begin_of(name)))?,
            Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) | Value::List(_) => {
                return Err(Fault::NoMember(begin_of(name)));
            }
        };
    }
    Ok((value, is_nothing))
}
