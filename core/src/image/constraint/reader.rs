//! Reading one branch of a constraint, from left to right and never twice (`images.md` 8.3).

use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::{Base, ConstraintError, Op, Open, Term};
use crate::image::version::{is_metadata, is_prerelease, parse_number};

/// A position in one branch of the text.
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    pub(super) fn read_branch(&mut self) -> Result<Vec<Term>, ConstraintError> {
        let mut terms = Vec::new();
        self.skip_blanks();
        if self.is_at_end() {
            return Err(ConstraintError::EmptyBranch);
        }
        loop {
            self.read_term(&mut terms)?;
            let is_separated = self.skip_blanks();
            if self.is_at_end() {
                return Ok(terms);
            }
            if self.take(",") {
                self.skip_blanks();
            } else if !is_separated {
                return Err(ConstraintError::NoSeparator { at: self.at });
            }
        }
    }

    /// Reads a term, or a hyphen range, which is two.
    fn read_term(&mut self, terms: &mut Vec<Term>) -> Result<(), ConstraintError> {
        let op = self.take_op();
        if op.is_some() {
            self.skip_blanks();
        }
        let base = self.read_partial()?;
        match (op, self.take_dash()) {
            (op, false) => terms.push(Term {
                op: op.unwrap_or(Op::Equal),
                base,
            }),
            (None, true) => {
                let upper = self.read_partial()?;
                terms.push(Term {
                    op: Op::GreaterOrEqual,
                    base,
                });
                terms.push(Term {
                    op: Op::LessOrEqual,
                    base: upper,
                });
            }
            (Some(_), true) => return Err(ConstraintError::NoVersion { at: self.at }),
        }
        Ok(())
    }

    fn take_op(&mut self) -> Option<Op> {
        // The longer ones first.
        [
            ("!=", Op::NotEqual),
            (">=", Op::GreaterOrEqual),
            ("=>", Op::GreaterOrEqual),
            ("<=", Op::LessOrEqual),
            ("=<", Op::LessOrEqual),
            ("~>", Op::Tilde),
            ("=", Op::Equal),
            (">", Op::Greater),
            ("<", Op::Less),
            ("~", Op::Tilde),
            ("^", Op::Caret),
        ]
        .into_iter()
        .find_map(|(text, op)| self.take(text).then_some(op))
    }

    /// Takes the dash of a hyphen range with the white space that it needs on both sides, or nothing.
    fn take_dash(&mut self) -> bool {
        let start = self.at;
        let is_dash = self.skip_blanks() && self.take("-") && self.skip_blanks();
        if !is_dash {
            self.at = start;
        }
        is_dash
    }

    fn read_partial(&mut self) -> Result<Base, ConstraintError> {
        let error = ConstraintError::NoVersion { at: self.at };
        self.take("v");
        let major = self.take_number().ok_or_else(|| error.clone())?;
        let mut further = [None, None];
        for number in &mut further {
            if self.take(".") {
                *number = Some(self.take_number().ok_or_else(|| error.clone())?);
            } else {
                break;
            }
        }
        let mut prerelease = "";
        if self.take("-") {
            prerelease = self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
            if !is_prerelease(prerelease) {
                return Err(error);
            }
        }
        if self.take("+") {
            let metadata =
                self.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
            if !is_metadata(metadata) {
                return Err(error);
            }
        }
        Base::of(major, further, prerelease).ok_or(error)
    }

    fn take_number(&mut self) -> Option<Number<'a>> {
        if self.take("x") || self.take("X") || self.take("*") {
            return Some(Number::Wildcard);
        }
        let digits = self.take_while(|b| b.is_ascii_digit());
        (!digits.is_empty()).then_some(Number::Digits(digits))
    }

    fn take(&mut self, text: &str) -> bool {
        let is_next = self.text[self.at..].starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    /// Takes ASCII bytes while `wanted` holds.
    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest.bytes().position(|b| !wanted(b)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn skip_blanks(&mut self) -> bool {
        !self
            .take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r'))
            .is_empty()
    }

    fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }
}

/// A number of a partial version as written.
#[derive(Clone, Copy)]
enum Number<'a> {
    Digits(&'a str),
    Wildcard,
}

impl Base {
    /// What a partial version means; what follows a wildcard is ignored. `None` when a number exceeds 64 bits.
    fn of(major: Number<'_>, further: [Option<Number<'_>>; 2], prerelease: &str) -> Option<Self> {
        let mut base = Self {
            major: 0,
            minor: 0,
            patch: 0,
            prerelease: prerelease.to_string(),
            open: Open::All,
        };
        if let Number::Digits(major) = major {
            base.major = parse_number(major)?;
            base.open = Open::Minor;
            if let Some(Number::Digits(minor)) = further[0] {
                base.minor = parse_number(minor)?;
                base.open = Open::Patch;
                if let Some(Number::Digits(patch)) = further[1] {
                    base.patch = parse_number(patch)?;
                    base.open = Open::Nothing;
                }
            }
        }
        Some(base)
    }
}
