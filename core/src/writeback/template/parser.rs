//! From tokens to nodes.
//!
//! Nesting is bounded by [`DEPTH_MAX`] and variables in sight by [`VARIABLES_MAX`], so that reading is linear
//! and its stack is small.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::function::Function;
use super::lexer::{Placed, Token};
use super::literal::Number;
use super::node::{Branch, Node, Operand, Pipeline};
use super::{Position, TemplateError};

/// Deepest nesting of actions and parentheses.
pub(super) const DEPTH_MAX: usize = 64;
/// Most variables that may be in sight at once.
pub(super) const VARIABLES_MAX: usize = 128;
/// Most tokens in a template.
const TOKENS_MAX: usize = 40_000;

/// What the definitions of a template are called.
pub(super) type Definitions = BTreeMap<Box<[u8]>, Vec<Node>>;

/// Reads nodes and definitions from tokens.
pub(super) fn parse(tokens: &[Placed<'_>]) -> Result<(Vec<Node>, Definitions), TemplateError> {
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        ranges: 0,
        variables: Vec::from(["$"]),
        definitions: Definitions::new(),
    };
    if tokens.len() > TOKENS_MAX {
        return Err(parser.fault("more parts than a template may have"));
    }
    let nodes = parser.parse_root()?;
    Ok((nodes, parser.definitions))
}

/// What ends a list of nodes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    End,
    Else,
    /// `else if`.
    ElseIf,
    /// `else with`.
    ElseWith,
}

/// In what a pipeline stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Context {
    Range,
    Other,
}

struct Parser<'t, 'a> {
    tokens: &'t [Placed<'a>],
    at: usize,
    depth: usize,
    /// How many `range` are around.
    ranges: usize,
    /// Variables in sight, with their dollars.
    variables: Vec<&'a str>,
    definitions: Definitions,
}

impl<'t, 'a> Parser<'t, 'a> {
    fn parse_root(&mut self) -> Result<Vec<Node>, TemplateError> {
        let mut nodes = Vec::new();
        while let Some(token) = self.peek() {
            if let Token::Text(text) = token {
                self.at += 1;
                nodes.push(Node::Text((*text).into()));
            } else if self.word_of_action() == Some("define") {
                self.parse_definition()?;
            } else if let Ok(node) = self.parse_action()? {
                nodes.push(node);
            } else {
                return Err(self.fault("end or else without a begin"));
            }
        }
        Ok(nodes)
    }

    /// The keyword of the action that begins here.
    fn word_of_action(&self) -> Option<&'a str> {
        let open = usize::from(matches!(self.peek(), Some(Token::Open)));
        let space = self.at + open;
        let skipped = usize::from(matches!(self.tokens.get(space), Some((Token::Space, _))));
        match self.tokens.get(space + skipped) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn parse_definition(&mut self) -> Result<(), TemplateError> {
        self.at += 1;
        self.skip_space();
        self.at += 1;
        let name = self.take_name()?;
        self.expect_close()?;
        self.define(name)
    }

    /// Reads a body with variables of its own, and keeps it under its name.
    fn define(&mut self, name: Box<[u8]>) -> Result<(), TemplateError> {
        let outer = core::mem::replace(&mut self.variables, Vec::from(["$"]));
        let ranges = core::mem::take(&mut self.ranges);
        let (body, stop) = self.parse_list()?;
        self.variables = outer;
        self.ranges = ranges;
        if stop != Stop::End {
            return Err(self.fault("else in a definition"));
        }
        // A definition without content does not replace another.
        let known = self.definitions.get(&name);
        if known.is_none_or(|known| is_blank(known)) {
            self.definitions.insert(name, body);
        } else if !is_blank(&body) {
            return Err(self.fault("a name is defined twice"));
        }
        Ok(())
    }

    /// Reads nodes up to `end` or `else`.
    fn parse_list(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.fault("actions are nested too deeply"));
        }
        let mut nodes = Vec::new();
        while let Some(token) = self.peek() {
            if let Token::Text(text) = token {
                self.at += 1;
                nodes.push(Node::Text((*text).into()));
                continue;
            }
            match self.parse_action()? {
                Ok(node) => nodes.push(node),
                Err(stop) => {
                    self.depth -= 1;
                    return Ok((nodes, stop));
                }
            }
        }
        Err(self.fault("an end is missing"))
    }

    fn parse_action(&mut self) -> Result<Result<Node, Stop>, TemplateError> {
        let word = self.word_of_action();
        self.at += 1;
        self.skip_space();
        let Some(word) = word.filter(|word| KEYWORDS.contains(word)) else {
            let pipeline = self.parse_pipeline(Context::Other, &Token::Close)?;
            return Ok(Ok(Node::Action(pipeline)));
        };
        self.at += 1;
        let node = match word {
            "if" => Node::If(self.parse_branch(Context::Other, Stop::ElseIf)?),
            "with" => Node::With(self.parse_branch(Context::Other, Stop::ElseWith)?),
            "range" => Node::Range(self.parse_branch(Context::Range, Stop::End)?),
            "template" => {
                self.skip_space();
                let position = self.position();
                let name = self.take_name()?;
                self.skip_space();
                let argument = if matches!(self.peek(), Some(Token::Close)) {
                    self.at += 1;
                    None
                } else {
                    Some(self.parse_pipeline(Context::Other, &Token::Close)?)
                };
                Node::Template {
                    position,
                    name,
                    argument,
                }
            }
            "block" => {
                self.skip_space();
                let position = self.position();
                let name = self.take_name()?;
                let argument = Some(self.parse_pipeline(Context::Other, &Token::Close)?);
                self.define(name.clone())?;
                Node::Template {
                    position,
                    name,
                    argument,
                }
            }
            "break" | "continue" => {
                self.expect_close()?;
                if self.ranges == 0 {
                    return Err(self.fault("break or continue without a range"));
                }
                if word == "break" {
                    Node::Break
                } else {
                    Node::Continue
                }
            }
            "end" => {
                self.expect_close()?;
                return Ok(Err(Stop::End));
            }
            "else" => {
                self.skip_space();
                return Ok(Err(match self.peek() {
                    Some(Token::Word("if")) => Stop::ElseIf,
                    Some(Token::Word("with")) => Stop::ElseWith,
                    _ => {
                        self.expect_close()?;
                        Stop::Else
                    }
                }));
            }
            _ => return Err(self.fault("a definition inside of another action")),
        };
        Ok(Ok(node))
    }

    /// Reads condition, body and `else`; `chained` is the kind of `else` that may follow directly.
    fn parse_branch(&mut self, context: Context, chained: Stop) -> Result<Branch, TemplateError> {
        let n_variables = self.variables.len();
        let pipeline = self.parse_pipeline(context, &Token::Close)?;
        let in_range = usize::from(context == Context::Range);
        self.ranges += in_range;
        let (body, stop) = self.parse_list()?;
        self.ranges -= in_range;
        let otherwise = match stop {
            Stop::End => Vec::new(),
            Stop::Else => {
                let (otherwise, stop) = self.parse_list()?;
                if stop != Stop::End {
                    return Err(self.fault("a second else"));
                }
                otherwise
            }
            Stop::ElseIf | Stop::ElseWith if stop == chained => {
                self.at += 1;
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(self.fault("actions are nested too deeply"));
                }
                let branch = self.parse_branch(Context::Other, chained)?;
                self.depth -= 1;
                Vec::from([if stop == Stop::ElseIf {
                    Node::If(branch)
                } else {
                    Node::With(branch)
                }])
            }
            Stop::ElseIf | Stop::ElseWith => {
                return Err(self.fault("else goes on with another keyword"));
            }
        };
        self.variables.truncate(n_variables);
        Ok(Branch {
            pipeline,
            body,
            otherwise,
        })
    }

    fn parse_pipeline(
        &mut self,
        context: Context,
        end: &Token<'a>,
    ) -> Result<Pipeline, TemplateError> {
        self.skip_space();
        let mut pipeline = Pipeline {
            position: self.position(),
            variables: Vec::new(),
            is_assignment: false,
            commands: Vec::new(),
        };
        self.parse_variables(context, &mut pipeline)?;
        loop {
            self.skip_space();
            match self.peek() {
                Some(token) if token == end => {
                    self.at += 1;
                    break;
                }
                Some(_) => {
                    let command = self.parse_command()?;
                    let is_first = pipeline.commands.is_empty();
                    if !is_first && !is_executable(&command[0]) {
                        return Err(self.fault("a value that cannot take another one"));
                    }
                    pipeline.commands.push(command);
                }
                None => return Err(self.fault("an action is not closed")),
            }
        }
        if pipeline.commands.is_empty() {
            return Err(self.fault("a value is missing"));
        }
        Ok(pipeline)
    }

    /// Reads `$x :=`, `$x =`, and in a range also `$i, $x :=`.
    fn parse_variables(
        &mut self,
        context: Context,
        pipeline: &mut Pipeline,
    ) -> Result<(), TemplateError> {
        loop {
            self.skip_space();
            let begin = self.at;
            let Some(Token::Variable(name)) = self.peek() else {
                return Ok(());
            };
            self.at += 1;
            self.skip_space();
            match self.peek() {
                Some(Token::Assign | Token::Declare) => {
                    pipeline.is_assignment = matches!(self.peek(), Some(Token::Assign));
                    self.at += 1;
                    pipeline.variables.push((*name).into());
                    return self.declare(name);
                }
                Some(Token::Comma) => {
                    if context != Context::Range || !pipeline.variables.is_empty() {
                        return Err(self.fault("too many variables"));
                    }
                    self.at += 1;
                    pipeline.variables.push((*name).into());
                    self.declare(name)?;
                    self.skip_space();
                    if !matches!(self.peek(), Some(Token::Variable(_))) {
                        return Err(self.fault("range sets variables only"));
                    }
                }
                _ => {
                    self.at = begin;
                    return Ok(());
                }
            }
        }
    }

    fn declare(&mut self, name: &'a str) -> Result<(), TemplateError> {
        if self.variables.len() >= VARIABLES_MAX {
            return Err(self.fault("too many variables"));
        }
        self.variables.push(name);
        Ok(())
    }

    fn parse_command(&mut self) -> Result<Vec<Operand>, TemplateError> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.parse_operand()? {
                operands.push(operand);
            }
            match self.peek() {
                Some(Token::Space) => {}
                Some(Token::Close | Token::RightParen) => break,
                Some(Token::Pipe) => {
                    self.at += 1;
                    break;
                }
                _ => return Err(self.fault("a word that does not belong into a command")),
            }
        }
        if operands.is_empty() {
            return Err(self.fault("a command is empty"));
        }
        Ok(operands)
    }

    fn parse_operand(&mut self) -> Result<Option<Operand>, TemplateError> {
        let Some(term) = self.parse_term()? else {
            return Ok(None);
        };
        let mut names = Vec::new();
        while let Some(Token::Field(name)) = self.peek() {
            self.at += 1;
            names.push(Box::from(*name));
        }
        if names.is_empty() {
            return Ok(Some(term));
        }
        Ok(Some(match term {
            Operand::Field(mut path) => {
                path.append(&mut names);
                Operand::Field(path)
            }
            Operand::Variable(name, mut path) => {
                path.append(&mut names);
                Operand::Variable(name, path)
            }
            Operand::Function(_) | Operand::Nested(_) | Operand::Chain(..) => {
                Operand::Chain(Box::new(term), names)
            }
            Operand::Dot
            | Operand::Nil
            | Operand::Bool(_)
            | Operand::Int(_)
            | Operand::Float(_)
            | Operand::Unsigned
            | Operand::Text(_) => return Err(self.fault("a member of something that has none")),
        }))
    }

    fn parse_term(&mut self) -> Result<Option<Operand>, TemplateError> {
        let Some(token) = self.peek() else {
            return Ok(None);
        };
        let term = match token {
            Token::Dot => Operand::Dot,
            Token::Word("nil") => Operand::Nil,
            Token::Word("true") => Operand::Bool(true),
            Token::Word("false") => Operand::Bool(false),
            Token::Word(word) if KEYWORDS.contains(word) => return Ok(None),
            Token::Word(word) => Operand::Function(
                Function::named(word)
                    .ok_or_else(|| self.fault("a function that does not exist"))?,
            ),
            Token::Variable(name) => {
                if !self.variables.contains(name) {
                    return Err(self.fault("a variable that is not set"));
                }
                Operand::Variable((*name).into(), Vec::new())
            }
            Token::Field(name) => Operand::Field(Vec::from([Box::from(*name)])),
            Token::Number(Number::Int(number)) => Operand::Int(*number),
            Token::Number(Number::Float(number)) => Operand::Float(*number),
            Token::Number(Number::Unsigned) => Operand::Unsigned,
            Token::Quoted(bytes) => Operand::Text(bytes.clone().into_boxed_slice()),
            Token::LeftParen => {
                self.at += 1;
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Err(self.fault("parentheses are nested too deeply"));
                }
                let pipeline = self.parse_pipeline(Context::Other, &Token::RightParen)?;
                self.depth -= 1;
                return Ok(Some(Operand::Nested(Box::new(pipeline))));
            }
            Token::Text(_)
            | Token::Open
            | Token::Close
            | Token::Space
            | Token::Assign
            | Token::Declare
            | Token::Pipe
            | Token::RightParen
            | Token::Comma => return Ok(None),
        };
        self.at += 1;
        Ok(Some(term))
    }

    fn take_name(&mut self) -> Result<Box<[u8]>, TemplateError> {
        self.skip_space();
        let Some(Token::Quoted(name)) = self.peek() else {
            return Err(self.fault("a name in quotes is missing"));
        };
        self.at += 1;
        Ok(name.clone().into_boxed_slice())
    }

    fn expect_close(&mut self) -> Result<(), TemplateError> {
        self.skip_space();
        if !matches!(self.peek(), Some(Token::Close)) {
            return Err(self.fault("a word too many"));
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(Token::Space)) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    /// Where the next token begins, or the last one where there is none.
    fn position(&self) -> Position {
        let here = self.tokens.get(self.at).or(self.tokens.last());
        here.map_or(Position::BEGIN, |(_, position)| *position)
    }

    fn fault(&self, what: &'static str) -> TemplateError {
        let here = self.tokens.get(self.at).or(self.tokens.last());
        let near = match here {
            Some((Token::Word(word) | Token::Variable(word) | Token::Field(word), _)) => *word,
            Some(_) | None => "",
        };
        TemplateError::new(self.position(), what, near)
    }
}

const KEYWORDS: [&str; 10] = [
    "if", "with", "range", "template", "block", "break", "continue", "end", "else", "define",
];

/// True for what may take the value of the command before.
fn is_executable(operand: &Operand) -> bool {
    match operand {
        Operand::Field(_)
        | Operand::Variable(..)
        | Operand::Function(_)
        | Operand::Nested(_)
        | Operand::Chain(..) => true,
        Operand::Dot
        | Operand::Nil
        | Operand::Bool(_)
        | Operand::Int(_)
        | Operand::Float(_)
        | Operand::Unsigned
        | Operand::Text(_) => false,
    }
}

fn is_blank(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| match node {
        Node::Text(text) => text.trim().is_empty(),
        Node::Action(_)
        | Node::If(_)
        | Node::With(_)
        | Node::Range(_)
        | Node::Template { .. }
        | Node::Break
        | Node::Continue => false,
    })
}
