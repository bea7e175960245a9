//! Globs in the flavour of Go's `filepath.Match`, for `ignore-tags` and `--match-application-name` (`images.md` 7.2).
//!
//! A pattern is checked as a whole when it is parsed. Matching remembers one star at a time, so its cost is at most the
//! product of the two lengths, and patterns that need more characters than there are fail at once.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;

/// Longest pattern.
pub const GLOB_BYTES_MAX: usize = 1024;

/// A well-formed pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Glob {
    tokens: Vec<Token>,
    /// Characters that every match has at least.
    chars_min: usize,
}

/// Why a pattern is malformed; it then matches nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MalformedGlob {
    /// A class begins and does not end, is empty, or has a bare `-` or `]` where a character must stand.
    Class,
    /// Nothing follows the last backslash.
    Escape,
    /// Longer than [`GLOB_BYTES_MAX`].
    TooLong,
}

impl fmt::Display for MalformedGlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class => f.write_str("a character class is malformed"),
            Self::Escape => f.write_str("nothing follows the backslash at the end"),
            Self::TooLong => write!(f, "the pattern is longer than {GLOB_BYTES_MAX} bytes"),
        }
    }
}

impl core::error::Error for MalformedGlob {}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    /// `*`: any run of characters but the slash.
    Star,
    /// `?`: one character but the slash.
    Any,
    Literal(char),
    Class {
        negated: bool,
        ranges: Box<[(char, char)]>,
    },
}

impl Glob {
    /// Reads a pattern (`images.md` 7.2).
    ///
    /// # Errors
    /// When it is malformed or too long.
    pub fn parse(pattern: &str) -> Result<Self, MalformedGlob> {
        if pattern.len() > GLOB_BYTES_MAX {
            return Err(MalformedGlob::TooLong);
        }
        let mut tokens = Vec::new();
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            tokens.push(match c {
                '*' if tokens.last() == Some(&Token::Star) => continue,
                '*' => Token::Star,
                '?' => Token::Any,
                '[' => parse_class(&mut rest)?,
                '\\' => Token::Literal(rest.next().ok_or(MalformedGlob::Escape)?),
                c => Token::Literal(c),
            });
        }
        let chars_min = tokens.iter().filter(|token| **token != Token::Star).count();
        Ok(Self { tokens, chars_min })
    }

    /// True when the pattern matches the whole of `name`.
    pub fn is_match(&self, name: &str) -> bool {
        if name.len() < self.chars_min {
            return false;
        }
        let mut token_idx = 0;
        let mut rest = name.chars();
        // The last star passed: the token behind it, and the text that it has not swallowed yet.
        let mut star: Option<(usize, core::str::Chars<'_>)> = None;
        loop {
            let before = rest.clone();
            let fits = match (self.tokens.get(token_idx), rest.next()) {
                (Some(Token::Star), _) => {
                    rest = before;
                    star = Some((token_idx + 1, rest.clone()));
                    true
                }
                (None, None) => return true,
                (Some(token), Some(c)) => token.accepts(c),
                (Some(_), None) | (None, Some(_)) => false,
            };
            if fits {
                token_idx += 1;
                continue;
            }
            // Let the star swallow one more character and try again behind it.
            let Some((behind, left)) = star.as_mut() else {
                return false;
            };
            if left.next().is_none_or(|c| c == '/') {
                return false;
            }
            token_idx = *behind;
            rest = left.clone();
        }
    }
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Star | Self::Any => c != '/',
            Self::Literal(literal) => *literal == c,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

type Rest<'a> = core::iter::Peekable<core::str::Chars<'a>>;

/// Reads a class behind its opening bracket. Reverse ranges are well-formed and match nothing.
fn parse_class(rest: &mut Rest<'_>) -> Result<Token, MalformedGlob> {
    let negated = rest.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || rest.next_if_eq(&']').is_none() {
        let low = parse_member(rest)?;
        let high = if rest.next_if_eq(&'-').is_some() {
            parse_member(rest)?
        } else {
            low
        };
        ranges.push((low, high));
    }
    Ok(Token::Class {
        negated,
        ranges: ranges.into_boxed_slice(),
    })
}

fn parse_member(rest: &mut Rest<'_>) -> Result<char, MalformedGlob> {
    match rest.next() {
        None | Some(']' | '-') => Err(MalformedGlob::Class),
        Some('\\') => rest.next().ok_or(MalformedGlob::Escape),
        Some(c) => Ok(c),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixed_cases::{CASES, config};

    #[test]
    fn star_and_question_mark_stop_at_a_slash() {
        for (pattern, name, matched) in [
            ("a*b", "a/b", false),
            ("a?b", "a/b", false),
            ("*/*", "a/b", true),
            ("*", "a/b", false),
            ("**", "", true),
            ("[^a]*", "", false),
            ("ä?", "äö", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("[\\^a]", "^", true),
            ("[^^]", "^", false),
            ("]", "]", true),
            ("a-b", "a-b", true),
        ] {
            let glob = Glob::parse(pattern).expect("the pattern is well-formed");
            assert_eq!(glob.is_match(name), matched, "{pattern} {name}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        for (pattern, error) in [
            ("[", MalformedGlob::Class),
            ("[^", MalformedGlob::Class),
            ("[]", MalformedGlob::Class),
            ("[^]", MalformedGlob::Class),
            ("[a", MalformedGlob::Class),
            ("[a-", MalformedGlob::Class),
            ("[a-]", MalformedGlob::Class),
            ("[a\\", MalformedGlob::Escape),
            ("*\\", MalformedGlob::Escape),
        ] {
            assert_eq!(Glob::parse(pattern), Err(error), "{pattern}");
        }
        let long = "*".repeat(GLOB_BYTES_MAX + 1);
        assert_eq!(Glob::parse(&long), Err(MalformedGlob::TooLong));
    }

    #[test]
    fn many_stars_do_not_explode() {
        let glob = Glob::parse(&"*a".repeat(60)).expect("the pattern is well-formed");
        assert!(!glob.is_match(&("a".repeat(127) + "b")));
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_pattern_is_read_or_refused(pattern in "[a*?\\[\\]^\\\\-]{0,10}|\\PC{0,8}", name in "\\PC{0,8}") {
            if let Ok(glob) = Glob::parse(&pattern) {
                let _ = glob.is_match(&name);
            }
        }

        // No slash: there Go keeps the leftmost match of a chunk and does not come back to it.
        #[test]
        fn agrees_with_a_naive_matcher(pattern in "([ab*?]|\\[\\^?[ab]\\]|\\\\a){0,9}", name in "[ab]{0,9}") {
            let glob = Glob::parse(&pattern).expect("the generated pattern is well-formed");
            let chars: Vec<char> = name.chars().collect();
            prop_assert_eq!(glob.is_match(&name), naive(&glob.tokens, &chars));
        }
    }

    fn naive(tokens: &[Token], name: &[char]) -> bool {
        match (tokens, name) {
            ([], _) => name.is_empty(),
            ([Token::Star, rest @ ..], _) => {
                naive(rest, name) || (!name.is_empty() && naive(tokens, &name[1..]))
            }
            ([token, rest @ ..], [c, left @ ..]) => token.accepts(*c) && naive(rest, left),
            ([_, ..], []) => false,
        }
    }
}
