//! From the text of a template to tokens.
//!
//! Spaces inside of an action are tokens too: they tell operands apart.

use alloc::vec::Vec;

use super::literal::{self, Number};
use super::{Position, TemplateError};

/// One token.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Token<'a> {
    /// What stands between actions, trimmed as its neighbours ask for; never empty.
    Text(&'a str),
    /// `{{`, with its trim marker.
    Open,
    /// `}}`, with its trim marker.
    Close,
    /// Blanks inside of an action.
    Space,
    /// `=`.
    Assign,
    /// `:=`.
    Declare,
    /// `|`.
    Pipe,
    /// `(`.
    LeftParen,
    /// `)`.
    RightParen,
    /// `,`.
    Comma,
    /// `.` alone.
    Dot,
    /// A text in quotes, unquoted.
    Quoted(Vec<u8>),
    /// A number or a character.
    Number(Number),
    /// `$name`, with its dollar.
    Variable(&'a str),
    /// `.name`, without its dot.
    Field(&'a str),
    /// A keyword or the name of a function.
    Word(&'a str),
}

/// A token and where it begins.
pub(super) type Placed<'a> = (Token<'a>, Position);

/// Reads all tokens of a template.
pub(super) fn read(source: &str) -> Result<Vec<Placed<'_>>, TemplateError> {
    let mut lexer = Lexer {
        rest: source,
        position: Position::BEGIN,
        tokens: Vec::new(),
    };
    lexer.read_texts()?;
    Ok(lexer.tokens)
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

struct Lexer<'a> {
    rest: &'a str,
    position: Position,
    tokens: Vec<Placed<'a>>,
}

impl<'a> Lexer<'a> {
    fn read_texts(&mut self) -> Result<(), TemplateError> {
        while let Some(at) = self.rest.find(OPEN) {
            let begin = self.position;
            let text = self.take(at);
            let open = self.position;
            self.skip(OPEN.len());
            let is_trimmed = self.rest.starts_with('-') && self.rest[1..].starts_with(SPACES);
            let text = if is_trimmed {
                text.trim_end_matches(SPACES)
            } else {
                text
            };
            if !text.is_empty() {
                self.tokens.push((Token::Text(text), begin));
            }
            if is_trimmed {
                self.skip(2);
            }
            if self.rest.starts_with("/*") {
                self.skip_comment()?;
            } else {
                self.tokens.push((Token::Open, open));
                self.read_action()?;
            }
        }
        if !self.rest.is_empty() {
            self.push(Token::Text(self.rest));
        }
        Ok(())
    }

    fn skip_comment(&mut self) -> Result<(), TemplateError> {
        let end = self
            .rest
            .get(2..)
            .and_then(|rest| rest.find("*/"))
            .ok_or_else(|| self.fault("a comment is not closed"))?;
        self.skip(2 + end + 2);
        if self.is_closed() {
            Ok(())
        } else {
            Err(self.fault("a comment must fill its action"))
        }
    }

    /// Takes a closing delimiter with its trim marker, and the blanks that it trims.
    fn is_closed(&mut self) -> bool {
        if self.rest.starts_with(CLOSE) {
            self.skip(CLOSE.len());
            return true;
        }
        if !is_trimmed_close(self.rest) {
            return false;
        }
        self.skip(2 + CLOSE.len());
        let blanks = self.rest.len() - self.rest.trim_start_matches(SPACES).len();
        self.skip(blanks);
        true
    }

    fn read_action(&mut self) -> Result<(), TemplateError> {
        let mut depth = 0_u32;
        loop {
            if self.rest.starts_with(CLOSE) || is_trimmed_close(self.rest) {
                if depth > 0 {
                    return Err(self.fault("a parenthesis is not closed"));
                }
                // The token comes before the position moves on with what is trimmed.
                self.push(Token::Close);
                self.is_closed();
                return Ok(());
            }
            let Some(first) = self.rest.chars().next() else {
                return Err(self.fault("an action is not closed"));
            };
            match first {
                ' ' | '\t' | '\r' | '\n' => {
                    self.push(Token::Space);
                    while self.rest.starts_with(SPACES) && !is_trimmed_close(self.rest) {
                        self.skip(1);
                    }
                }
                '=' => self.push_sign(Token::Assign, 1),
                ':' if self.rest.starts_with(":=") => self.push_sign(Token::Declare, 2),
                '|' => self.push_sign(Token::Pipe, 1),
                ',' => self.push_sign(Token::Comma, 1),
                '(' => {
                    depth += 1;
                    self.push_sign(Token::LeftParen, 1);
                }
                ')' => {
                    depth = depth
                        .checked_sub(1)
                        .ok_or_else(|| self.fault("a parenthesis is closed that is not open"))?;
                    self.push_sign(Token::RightParen, 1);
                }
                '"' | '`' | '\'' => self.read_quoted(first)?,
                '$' => {
                    let begin = self.position;
                    let word = self.word(1)?;
                    self.tokens.push((Token::Variable(word), begin));
                }
                '.' if !self.rest[1..].starts_with(|next: char| next.is_ascii_digit()) => {
                    let begin = self.position;
                    let word = self.word(1)?;
                    let token = match &word[1..] {
                        "" => Token::Dot,
                        name => Token::Field(name),
                    };
                    self.tokens.push((token, begin));
                }
                '.' | '+' | '-' | '0'..='9' => self.read_number()?,
                _ if is_alphanumeric(first) => {
                    let begin = self.position;
                    let word = self.word(0)?;
                    self.tokens.push((Token::Word(word), begin));
                }
                _ => return Err(self.fault("a character that has no meaning here")),
            }
        }
    }

    /// Takes `prefix` bytes and the letters and digits behind them; something must end them.
    fn word(&mut self, prefix: usize) -> Result<&'a str, TemplateError> {
        let end = self.rest[prefix..]
            .find(|char: char| !is_alphanumeric(char))
            .map_or(self.rest.len(), |at| prefix + at);
        let next = self.rest[end..].chars().next();
        let is_ended = next.is_none_or(|next| {
            SPACES.contains(&next) || matches!(next, '.' | ',' | '|' | ':' | ')' | '(')
        }) || self.rest[end..].starts_with(CLOSE);
        if is_ended {
            Ok(self.take(end))
        } else {
            Err(self.fault("a character that must not follow a name"))
        }
    }

    fn read_quoted(&mut self, quote: char) -> Result<(), TemplateError> {
        let end = end_of_quoted(self.rest, quote)
            .ok_or_else(|| self.fault("a text in quotes is not closed"))?;
        let inner = &self.rest[1..end];
        let token = match quote {
            '`' => Some(Token::Quoted(
                inner.bytes().filter(|byte| *byte != b'\r').collect(),
            )),
            '"' => literal::unquote(inner).map(Token::Quoted),
            _ => {
                literal::unquote_char(inner).map(|char| Token::Number(Number::Int(i64::from(char))))
            }
        };
        let token = token.ok_or_else(|| self.fault("a text in quotes has a wrong escape"))?;
        self.push(token);
        self.skip(end + 1);
        Ok(())
    }

    fn read_number(&mut self) -> Result<(), TemplateError> {
        let end = literal::end_of_number(self.rest);
        let (text, next) = self.rest.split_at(end);
        if next.starts_with('i') {
            return Err(self.fault("complex numbers are not supported"));
        }
        if next.starts_with(|next| is_alphanumeric(next) || matches!(next, '+' | '-')) {
            return Err(self.fault("a malformed number"));
        }
        let number = literal::number(text).ok_or_else(|| {
            self.fault(if literal::is_hexadecimal_float(text) {
                "hexadecimal numbers with a point are not supported"
            } else {
                "a malformed number"
            })
        })?;
        self.push(Token::Number(number));
        self.skip(end);
        Ok(())
    }

    fn push_sign(&mut self, token: Token<'a>, bytes: usize) {
        self.push(token);
        self.skip(bytes);
    }

    fn push(&mut self, token: Token<'a>) {
        self.tokens.push((token, self.position));
    }

    fn skip(&mut self, bytes: usize) {
        self.take(bytes);
    }

    /// Takes bytes and moves the position on.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.position = self.position.behind(taken);
        self.rest = rest;
        taken
    }

    fn fault(&self, what: &'static str) -> TemplateError {
        TemplateError::new(self.position, what, self.rest)
    }
}

/// True when the text begins with a blank, the trim marker and the closing delimiter.
fn is_trimmed_close(text: &str) -> bool {
    text.strip_prefix(SPACES)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|rest| rest.starts_with(CLOSE))
}

fn is_alphanumeric(char: char) -> bool {
    char == '_' || char.is_alphanumeric()
}

/// Where the closing quote stands; only a back-quoted text may hold line breaks.
fn end_of_quoted(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '`' if quote == '`' => return Some(at),
            _ if quote == '`' => {}
            '\n' => return None,
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if char == quote => return Some(at),
            _ => {}
        }
    }
    None
}
