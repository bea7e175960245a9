//! `WWW-Authenticate`: what a registry wants to see before it answers.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One challenge of a 401 response. `Debug` tells the names of its parameters alone: servers repeat in them
/// what they were shown.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Challenge {
    /// The scheme in lower case.
    pub scheme: String,
    /// The parameters in order, keys in lower case.
    pub params: Vec<(String, String)>,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.scheme)?;
        f.debug_list()
            .entries(self.params.iter().map(|(key, _)| key))
            .finish()
    }
}

impl Challenge {
    /// The first value of parameter `key` (lower case).
    pub fn param(&self, key: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

/// All challenges of the given header lines, in order; several may share a line
/// (`registry.md` 5.7.1).
///
/// A line that does not start with a token yields nothing; reading a line ends at its first
/// irregularity and keeps what was read so far.
pub fn parse<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for line in lines {
        parse_line(line, &mut challenges);
    }
    challenges
}

fn parse_line(line: &str, challenges: &mut Vec<Challenge>) {
    let mut rest = line;
    loop {
        let (scheme, tail) = split_token(rest);
        if scheme.is_empty() {
            return;
        }
        let mut challenge = Challenge {
            scheme: scheme.to_ascii_lowercase(),
            params: Vec::new(),
        };
        let next = parse_params(tail, &mut challenge.params);
        challenges.push(challenge);
        match next {
            Some(next) => rest = next,
            None => return,
        }
    }
}

/// Reads parameters; returns where a further challenge on this line begins.
fn parse_params<'a>(text: &'a str, params: &mut Vec<(String, String)>) -> Option<&'a str> {
    let mut rest = text.trim_start_matches([' ', '\t']);
    // A scheme without parameters, followed by another challenge.
    if let Some(tail) = rest.strip_prefix(',') {
        return Some(tail.trim_start_matches([' ', '\t', ',']));
    }
    loop {
        let start = rest;
        let (key, tail) = split_token(rest);
        if key.is_empty() {
            return None;
        }
        let Some(tail) = tail.trim_start_matches([' ', '\t']).strip_prefix('=') else {
            // A token that no `=` follows is the scheme of the next challenge, unless it is the first.
            return (!params.is_empty() && tail.starts_with([' ', '\t', ','])
                || !params.is_empty() && tail.is_empty())
            .then_some(start);
        };
        let (value, tail) = split_value(tail.trim_start_matches([' ', '\t']))?;
        params.push((key.to_ascii_lowercase(), value));
        rest = tail
            .trim_start_matches([' ', '\t'])
            .strip_prefix(',')?
            .trim_start_matches([' ', '\t', ',']);
    }
}

/// A parameter's value and what follows it; `None` when it is empty or its quote stays open.
fn split_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, rest) = split_token(text);
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut is_escaped = false;
    for (at, character) in quoted.char_indices() {
        match character {
            _ if is_escaped => {
                value.push(character);
                is_escaped = false;
            }
            '\\' => is_escaped = true,
            '"' => return (!value.is_empty()).then(|| (value, &quoted[at + 1..])),
            _ => value.push(character),
        }
    }
    None
}

/// Splits a leading token (RFC 9110, 5.6.2) off.
fn split_token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)))
        .unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    #[test]
    fn several_challenges_on_one_line_are_all_read() {
        let schemes = |line: &str| -> Vec<String> {
            parse(core::iter::once(line))
                .into_iter()
                .map(|challenge| challenge.scheme)
                .collect()
        };
        assert_eq!(
            schemes("Bearer realm=\"https://a/t\",service=\"s, x=y\", Basic realm=\"r\""),
            vec!["bearer", "basic"]
        );
        assert_eq!(
            schemes("Negotiate, Basic realm=x"),
            vec!["negotiate", "basic"]
        );
        assert_eq!(
            schemes("Basic realm=x, Negotiate"),
            vec!["basic", "negotiate"]
        );
        assert_eq!(schemes("Bearer realm=\"open"), vec!["bearer"]);
        assert!(schemes("=x").is_empty());
    }

    #[test]
    fn quoted_values_keep_what_a_backslash_protects() {
        let read = parse(core::iter::once("Basic realm=\"a\\\"b\\\\c\""));
        assert_eq!(read[0].param("realm"), Some("a\"b\\c"));
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn no_header_panics(line in "[A-Za-z=\",\\\\ é;]{0,80}") {
            drop(parse(core::iter::once(line.as_str())));
        }
    }
}
