//! Kubernetes label selectors: `--match-application-label` is checked at start and evaluated here where
//! no API server does it (`ops.md` 13.2).
//!
//! The grammar is the API server's, its oddities included: an empty value in a list (`in (a,)`) stands for
//! the empty text, `in` and `notin` may be names of labels.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// Longest selector; it travels in the query of a URL.
pub const SELECTOR_BYTES_MAX: usize = 8 * 1024;
/// Longest name part of a label's key, and longest value.
const LABEL_BYTES_MAX: usize = 63;
/// Longest prefix of a label's key.
const PREFIX_BYTES_MAX: usize = 253;

/// A parsed selector: all requirements must hold, none means everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LabelSelector {
    text: Box<str>,
    requirements: Box<[Requirement]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Requirement {
    key: Box<str>,
    condition: Condition,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Condition {
    Exists,
    IsAbsent,
    In(Vec<Box<str>>),
    /// Holds without the label too.
    NotIn(Vec<Box<str>>),
    Greater(i64),
    Less(i64),
}

/// Where and why a text is no selector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SelectorError {
    /// Offset in bytes of what was met instead.
    pub position: usize,
    /// What is wrong there.
    pub reason: SelectorReason,
}

/// What is wrong with a selector.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SelectorReason {
    /// It is longer than [`SELECTOR_BYTES_MAX`].
    TooLong,
    /// A key or `!` should stand here.
    ExpectedKey,
    /// An operator should stand here.
    ExpectedOperator,
    /// A value should stand here.
    ExpectedValue,
    /// `(` should stand here.
    ExpectedOpen,
    /// `,` or `)` should stand here.
    ExpectedClose,
    /// `,` or the end should stand here.
    ExpectedEnd,
    /// `in` and `notin` need a value.
    NoValues,
    /// The key is not `[prefix/]name` as Kubernetes wants it.
    BadKey,
    /// The value is no label value.
    BadValue,
    /// `<` and `>` need an integer.
    BadNumber,
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            SelectorReason::TooLong => "the selector is longer than 8192 bytes",
            SelectorReason::ExpectedKey => "expected the key of a label or !",
            SelectorReason::ExpectedOperator => "expected one of = == != < > in notin",
            SelectorReason::ExpectedValue => "expected a value",
            SelectorReason::ExpectedOpen => "expected (",
            SelectorReason::ExpectedClose => "expected , or )",
            SelectorReason::ExpectedEnd => "expected , or the end",
            SelectorReason::NoValues => "expected at least one value",
            SelectorReason::BadKey => {
                "expected [prefix/]name of letters, digits, '-', '_' and '.', a name of at most 63"
            }
            SelectorReason::BadValue => {
                "expected a value of at most 63 letters, digits, '-', '_' and '.'"
            }
            SelectorReason::BadNumber => "expected an integer",
        };
        write!(f, "{reason} at offset {}", self.position)
    }
}

impl core::error::Error for SelectorError {}

impl LabelSelector {
    /// Reads a selector as the API server does.
    ///
    /// # Errors
    /// Where the API server would answer 400.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(SelectorError {
                position: SELECTOR_BYTES_MAX,
                reason: SelectorReason::TooLong,
            });
        }
        let mut parser = Parser::new(text);
        let requirements = parser.parse_requirements()?;
        Ok(Self {
            text: text.into(),
            requirements: requirements.into_boxed_slice(),
        })
    }

    /// The text it was parsed from, for the API server.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when all requirements hold for the labels that `value_of` knows.
    pub fn is_match<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|one| one.condition.holds(value_of(&one.key)))
    }
}

impl Condition {
    fn holds(&self, label: Option<&str>) -> bool {
        match (self, label) {
            (Self::Exists, label) => label.is_some(),
            (Self::IsAbsent, label) => label.is_none(),
            (Self::NotIn(_), None) => true,
            (Self::In(_) | Self::Greater(_) | Self::Less(_), None) => false,
            (Self::In(values), Some(label)) => values.iter().any(|value| **value == *label),
            (Self::NotIn(values), Some(label)) => values.iter().all(|value| **value != *label),
            (Self::Greater(bound), Some(label)) => label.parse().is_ok_and(|n: i64| n > *bound),
            (Self::Less(bound), Some(label)) => label.parse().is_ok_and(|n: i64| n < *bound),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    Word(&'t str),
    Comma,
    Open,
    Close,
    Not,
    Equal,
    DoubleEqual,
    NotEqual,
    Less,
    Greater,
    End,
}

#[derive(Clone, Copy)]
enum Operator {
    In,
    NotIn,
    Is,
    IsNot,
    Less,
    Greater,
}

impl Token<'_> {
    fn to_operator(self) -> Option<Operator> {
        match self {
            Self::Word("in") => Some(Operator::In),
            Self::Word("notin") => Some(Operator::NotIn),
            Self::Equal | Self::DoubleEqual => Some(Operator::Is),
            Self::NotEqual => Some(Operator::IsNot),
            Self::Less => Some(Operator::Less),
            Self::Greater => Some(Operator::Greater),
            Self::Word(_) | Self::Comma | Self::Open | Self::Close | Self::Not | Self::End => None,
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    /// Offset of `token`.
    start: usize,
    /// Offset behind `token`.
    end: usize,
    token: Token<'t>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Self {
        let mut parser = Self {
            text,
            start: 0,
            end: 0,
            token: Token::End,
        };
        parser.advance();
        parser
    }

    fn parse_requirements(&mut self) -> Result<Vec<Requirement>, SelectorError> {
        let mut requirements = Vec::new();
        if self.token == Token::End {
            return Ok(requirements);
        }
        loop {
            requirements.push(self.parse_requirement()?);
            if self.token == Token::End {
                return Ok(requirements);
            }
            self.expect(Token::Comma, SelectorReason::ExpectedEnd)?;
        }
    }

    fn parse_requirement(&mut self) -> Result<Requirement, SelectorError> {
        let is_negated = self.token == Token::Not;
        if is_negated {
            self.advance();
        }
        let Token::Word(key) = self.token else {
            return Err(self.error(SelectorReason::ExpectedKey));
        };
        if !is_key(key) {
            return Err(self.error(SelectorReason::BadKey));
        }
        self.advance();
        let condition = if is_negated {
            Condition::IsAbsent
        } else {
            self.parse_condition()?
        };
        Ok(Requirement {
            key: key.into(),
            condition,
        })
    }

    fn parse_condition(&mut self) -> Result<Condition, SelectorError> {
        if matches!(self.token, Token::End | Token::Comma) {
            return Ok(Condition::Exists);
        }
        let Some(operator) = self.token.to_operator() else {
            return Err(self.error(SelectorReason::ExpectedOperator));
        };
        self.advance();
        match operator {
            Operator::In => self.parse_values().map(Condition::In),
            Operator::NotIn => self.parse_values().map(Condition::NotIn),
            Operator::Is => Ok(Condition::In(Vec::from([self.parse_value()?]))),
            Operator::IsNot => Ok(Condition::NotIn(Vec::from([self.parse_value()?]))),
            Operator::Less => self.parse_number().map(Condition::Less),
            Operator::Greater => self.parse_number().map(Condition::Greater),
        }
    }

    /// One value; nothing before `,` or the end is the empty text.
    fn parse_value(&mut self) -> Result<Box<str>, SelectorError> {
        if matches!(self.token, Token::End | Token::Comma) {
            Ok("".into())
        } else {
            self.take_value()
        }
    }

    fn parse_number(&mut self) -> Result<i64, SelectorError> {
        let error = self.error(SelectorReason::BadNumber);
        self.parse_value()?.parse().map_err(|_| error)
    }

    fn parse_values(&mut self) -> Result<Vec<Box<str>>, SelectorError> {
        self.expect(Token::Open, SelectorReason::ExpectedOpen)?;
        if self.token == Token::Close {
            return Err(self.error(SelectorReason::NoValues));
        }
        let mut values = Vec::new();
        loop {
            if matches!(self.token, Token::Comma | Token::Close) {
                values.push("".into());
            } else {
                values.push(self.take_value()?);
            }
            if self.token == Token::Close {
                break;
            }
            self.expect(Token::Comma, SelectorReason::ExpectedClose)?;
        }
        self.advance();
        values.sort_unstable();
        values.dedup();
        Ok(values)
    }

    fn take_value(&mut self) -> Result<Box<str>, SelectorError> {
        let Token::Word(word) = self.token else {
            return Err(self.error(SelectorReason::ExpectedValue));
        };
        if !is_value(word) {
            return Err(self.error(SelectorReason::BadValue));
        }
        self.advance();
        Ok(word.into())
    }

    fn expect(&mut self, token: Token<'t>, reason: SelectorReason) -> Result<(), SelectorError> {
        if self.token != token {
            return Err(self.error(reason));
        }
        self.advance();
        Ok(())
    }

    const fn error(&self, reason: SelectorReason) -> SelectorError {
        SelectorError {
            position: self.start,
            reason,
        }
    }

    fn advance(&mut self) {
        let behind = &self.text[self.end..];
        let rest = behind.trim_start_matches(is_blank);
        self.start = self.end + (behind.len() - rest.len());
        let (token, length) = next_token(rest);
        self.token = token;
        self.end = self.start + length;
    }
}

/// The token at the begin of `rest`, and its length in bytes.
fn next_token(rest: &str) -> (Token<'_>, usize) {
    for (text, token) in [
        ("==", Token::DoubleEqual),
        ("!=", Token::NotEqual),
        ("=", Token::Equal),
        ("!", Token::Not),
        ("(", Token::Open),
        (")", Token::Close),
        (",", Token::Comma),
        ("<", Token::Less),
        (">", Token::Greater),
    ] {
        if rest.starts_with(text) {
            return (token, text.len());
        }
    }
    let end = rest.find(|c| is_blank(c) || "=!(),<>".contains(c));
    let word = &rest[..end.unwrap_or(rest.len())];
    if word.is_empty() {
        (Token::End, 0)
    } else {
        (Token::Word(word), word.len())
    }
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// `[prefix/]name`, the prefix a DNS subdomain.
fn is_key(text: &str) -> bool {
    match text.split_once('/') {
        None => is_name(text),
        Some((prefix, name)) => {
            prefix.len() <= PREFIX_BYTES_MAX && prefix.split('.').all(is_dns_label) && is_name(name)
        }
    }
}

/// Letters and digits at both ends, `-`, `_` and `.` between them.
fn is_name(text: &str) -> bool {
    text.len() <= LABEL_BYTES_MAX
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_dns_label(text: &str) -> bool {
    let is_inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    #[test]
    fn requirements_hold_as_the_api_server_says() {
        let labels = "team=x env=prod n=5";
        check("", labels, true);
        check("  ", labels, true);
        check("team", labels, true);
        check("!team", labels, false);
        check("team = x , env==prod", labels, true);
        check("team!=x", labels, false);
        check("other!=x,other notin (x)", labels, true);
        check("team in (y, x)", labels, true);
        check("team in (,y)", labels, false);
        check("n>4,n<6", labels, true);
        check("n>5", labels, false);
        check("team>1", labels, false);
        check("other<9", labels, false);
        check("in notin (x),notin", "notin=a", true);
        check("example.com/a.b_c=", "example.com/a.b_c=", true);
        check("a in (b,,c)", "a=", true);
    }

    #[test]
    fn mistakes_have_a_place_and_a_reason() {
        refuse("team=x,", 7, SelectorReason::ExpectedKey);
        refuse(",team=x", 0, SelectorReason::ExpectedKey);
        refuse("=x", 0, SelectorReason::ExpectedKey);
        refuse("team=x env=prod", 7, SelectorReason::ExpectedEnd);
        refuse("!team=x", 5, SelectorReason::ExpectedEnd);
        refuse("team in x", 8, SelectorReason::ExpectedOpen);
        refuse("team in ()", 9, SelectorReason::NoValues);
        refuse("team in (x", 10, SelectorReason::ExpectedClose);
        refuse("team in (x y)", 11, SelectorReason::ExpectedClose);
        refuse("team in (=)", 9, SelectorReason::ExpectedValue);
        refuse("team gt 4", 5, SelectorReason::ExpectedOperator);
        refuse("n>=4", 2, SelectorReason::ExpectedValue);
        refuse("n>a", 2, SelectorReason::BadNumber);
        refuse("n>", 2, SelectorReason::BadNumber);
        refuse("n>-4", 2, SelectorReason::BadValue);
        refuse("-bad=x", 0, SelectorReason::BadKey);
        refuse("a/b/c=x", 0, SelectorReason::BadKey);
        refuse("/a", 0, SelectorReason::BadKey);
        refuse("Ab.c/a", 0, SelectorReason::BadKey);
        refuse("team=ä", 5, SelectorReason::BadValue);
        refuse(&"a".repeat(64), 0, SelectorReason::BadKey);
        refuse(&"a,".repeat(5_000), 8_192, SelectorReason::TooLong);
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_text_is_answered(text in "[a-c0-9=!(),<> \\-/.ä]{0,24}|(a|b|in|notin|,|=|!|\\(|\\)| ){0,12}|.{0,12}") {
            match LabelSelector::parse(&text) {
                Ok(selector) => {
                    selector.is_match(|_| Some("a"));
                    prop_assert_eq!(selector.as_str(), &text);
                }
                Err(error) => prop_assert!(text.is_char_boundary(error.position)),
            }
        }

        #[test]
        fn negation_is_the_opposite_where_the_label_stands(key in "[a-c]", value in "[a-c]{0,2}", label in "[a-c]{0,2}") {
            let matches = |operator: &str| {
                let text = alloc::format!("{key}{operator}{value}");
                LabelSelector::parse(&text).expect("a selector").is_match(|_| Some(&label))
            };
            prop_assert_eq!(matches("="), value == label);
            prop_assert_eq!(matches("!="), value != label);
        }
    }

    fn check(selector: &str, labels: &str, expect: bool) {
        let labels: BTreeMap<&str, &str> = labels
            .split(' ')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let parsed = LabelSelector::parse(selector).expect(selector);
        let got = parsed.is_match(|key| labels.get(key).copied());
        assert_eq!(got, expect, "{selector}");
    }

    fn refuse(selector: &str, position: usize, reason: SelectorReason) {
        let expect = SelectorError { position, reason };
        assert_eq!(LabelSelector::parse(selector), Err(expect), "{selector}");
    }
}
