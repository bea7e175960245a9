//! The `allow-tags` option: which tags may be chosen at all (`images.md` 4.1, 7.2).
//!
//! Compiled on demand and dropped after use; the text is what an application keeps. Matching is linear in the tag;
//! expressions made to be slow stay near a millisecond for a tag of 128 bytes, so that a caller may stop between tags.

use alloc::string::{String, ToString as _};
use core::fmt;

use regex::{Regex, RegexBuilder};

use super::re2::{self, Re2Error};

/// Longest regular expression.
pub const EXPRESSION_BYTES_MAX: usize = 4096;
/// Most memory of a compiled expression, in bytes.
const COMPILED_BYTES_MAX: usize = 1 << 20;
/// Most memory of the states built lazily while matching, in bytes.
const LAZY_BYTES_MAX: usize = 1 << 20;
/// Deepest nesting of groups and repetitions.
const NESTING_MAX: u32 = 100;

/// What an `allow-tags` value says.
#[derive(Clone, Debug)]
pub enum MatchExpression {
    /// Every tag is admitted.
    Any,
    /// The value is faulty: no tag is admitted, which is safer than all.
    Nothing(MatchFault),
    /// Tags that contain a match are admitted.
    Regexp(TagRegexp),
}

/// A compiled regular expression together with its text.
#[derive(Clone, Debug)]
pub struct TagRegexp {
    text: String,
    compiled: Regex,
}

/// Why an `allow-tags` value admits nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MatchFault {
    /// The value is neither `any` nor a function and its argument.
    NoFunction,
    /// The function before the colon is not `regexp`.
    UnknownFunction,
    /// The expression is longer than [`EXPRESSION_BYTES_MAX`] or needs too much memory.
    TooLarge,
    /// The expression is outside the syntax.
    Syntax(Re2Error),
}

impl fmt::Display for MatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFunction => f.write_str("allow-tags is neither any nor regexp:<expression>"),
            Self::UnknownFunction => f.write_str("allow-tags names a function other than regexp"),
            Self::TooLarge => f.write_str("the regular expression of allow-tags is too large"),
            Self::Syntax(error) => write!(
                f,
                "the regular expression of allow-tags is invalid: {error}"
            ),
        }
    }
}

impl core::error::Error for MatchFault {}

impl MatchExpression {
    /// Reads an `allow-tags` value: `any`, or `regexp:` and an expression, which is everything behind the colon
    /// (`images.md` 4.1). Function names fold case; white space around the value is not part of them (D-12).
    /// A blank value means that nothing is configured.
    pub fn parse(value: &str) -> Self {
        let trimmed = value.trim();
        if trimmed.is_empty() || trimmed.eq_ignore_ascii_case("any") {
            return Self::Any;
        }
        let Some((function, expression)) = value.trim_start().split_once(':') else {
            return Self::Nothing(MatchFault::NoFunction);
        };
        if !function.eq_ignore_ascii_case("regexp") {
            return Self::Nothing(MatchFault::UnknownFunction);
        }
        match TagRegexp::compile(expression) {
            Ok(regexp) => Self::Regexp(regexp),
            Err(fault) => Self::Nothing(fault),
        }
    }

    /// True when the tag may be chosen; time is linear in the tag (`images.md` 7.2).
    pub fn admits(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Nothing(_) => false,
            Self::Regexp(regexp) => regexp.is_match(tag),
        }
    }

    /// Why nothing is admitted, for a warning.
    pub fn fault(&self) -> Option<&MatchFault> {
        match self {
            Self::Nothing(fault) => Some(fault),
            Self::Any | Self::Regexp(_) => None,
        }
    }
}

impl TagRegexp {
    /// Compiles an expression of Go's syntax (`images.md` 9.2).
    ///
    /// # Errors
    /// When it is outside the syntax or too large.
    pub fn compile(text: &str) -> Result<Self, MatchFault> {
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(MatchFault::TooLarge);
        }
        let translated = re2::translate(text).map_err(MatchFault::Syntax)?;
        let compiled = RegexBuilder::new(&translated)
            .size_limit(COMPILED_BYTES_MAX)
            .dfa_size_limit(LAZY_BYTES_MAX)
            .nest_limit(NESTING_MAX)
            .build()
            .map_err(|error| {
                if matches!(error, regex::Error::CompiledTooBig(_)) {
                    MatchFault::TooLarge
                } else {
                    MatchFault::Syntax(Re2Error::Expression)
                }
            })?;
        Ok(Self {
            text: text.to_string(),
            compiled,
        })
    }

    /// The expression as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when some part of `tag` matches.
    pub fn is_match(&self, tag: &str) -> bool {
        self.compiled.is_match(tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faulty_values_admit_nothing_and_say_why() {
        for (value, fault) in [
            ("v1", MatchFault::NoFunction),
            ("any:", MatchFault::UnknownFunction),
            ("regexp :a", MatchFault::UnknownFunction),
            ("regexp:(", MatchFault::Syntax(Re2Error::Expression)),
            ("regexp:\\p{L}{1000}", MatchFault::TooLarge),
        ] {
            let expression = MatchExpression::parse(value);
            assert_eq!(expression.fault(), Some(&fault), "{value}");
            assert!(!expression.admits("a"), "{value}");
        }
        let long = alloc::format!("regexp:{}", "a".repeat(EXPRESSION_BYTES_MAX + 1));
        assert_eq!(
            MatchExpression::parse(&long).fault(),
            Some(&MatchFault::TooLarge)
        );
    }

    #[test]
    fn white_space_around_the_value_is_no_part_of_the_function() {
        for value in ["", "  ", " Any ", "\nany"] {
            assert!(
                matches!(MatchExpression::parse(value), MatchExpression::Any),
                "{value:?}"
            );
        }
        let expression = MatchExpression::parse(" RegExp:^v1$");
        assert!(expression.admits("v1") && !expression.admits("v10"));
    }
}
