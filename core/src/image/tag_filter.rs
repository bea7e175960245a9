//! From a registry's tags to candidates: allowed, not ignored, and the constraint itself under `digest` (`images.md` 7.1).

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use super::glob::Glob;
use super::match_expression::MatchExpression;
use super::name;
use super::select::{SelectionError, Strategy};

/// Most patterns of one `ignore-tags` value.
pub const IGNORE_PATTERNS_MAX: usize = 256;

/// The patterns of an `ignore-tags` value, compiled; a malformed one ignores nothing (`images.md` 7.2).
#[derive(Clone, Debug, Default)]
pub struct IgnorePatterns {
    patterns: Vec<(String, Option<Glob>)>,
}

/// More than [`IGNORE_PATTERNS_MAX`] patterns; ignoring fewer than asked would let unwanted tags through.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TooManyPatterns;

impl fmt::Display for TooManyPatterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ignore-tags has more than {IGNORE_PATTERNS_MAX} patterns"
        )
    }
}

impl core::error::Error for TooManyPatterns {}

impl IgnorePatterns {
    /// Reads an `ignore-tags` value: patterns separated by commas, trimmed, empty ones dropped (`images.md` 4.1).
    ///
    /// # Errors
    /// When there are too many.
    pub fn parse(value: &str) -> Result<Self, TooManyPatterns> {
        let patterns = value.split(',').map(str::trim);
        Self::of(patterns.filter(|pattern| !pattern.is_empty()))
    }

    /// Takes patterns as they are, as the command line gives them.
    ///
    /// # Errors
    /// When there are too many.
    pub fn of<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, TooManyPatterns> {
        let mut list = Self::default();
        for pattern in patterns {
            if list.patterns.len() == IGNORE_PATTERNS_MAX {
                return Err(TooManyPatterns);
            }
            let glob = Glob::parse(pattern).ok();
            list.patterns.push((pattern.to_string(), glob));
        }
        Ok(list)
    }

    /// Position of the first pattern that matches `tag`.
    pub fn find(&self, tag: &str) -> Option<usize> {
        let mut patterns = self.patterns.iter();
        patterns.position(|(_, glob)| glob.as_ref().is_some_and(|glob| glob.is_match(tag)))
    }

    /// The patterns in order, each with whether it is well-formed.
    pub fn iter(&self) -> impl Iterator<Item = (&str, bool)> {
        self.patterns
            .iter()
            .map(|(pattern, glob)| (pattern.as_str(), glob.is_some()))
    }
}

/// What becomes of one tag of a listing, for selection and for explanations.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TagVerdict {
    /// It takes part in the selection.
    Candidate,
    /// The registry says something that is no legal tag name: too long, or with other characters.
    NotATag,
    /// `allow-tags` does not admit it.
    NotAllowed,
    /// The pattern of `ignore-tags` at this position matches it.
    Ignored {
        /// Position among the patterns.
        pattern_idx: usize,
    },
    /// Under `digest`, it is not the tag that the constraint names.
    NotConstraintTag,
}

impl TagVerdict {
    /// True when the tag takes part in the selection.
    pub const fn is_candidate(self) -> bool {
        matches!(self, Self::Candidate)
    }
}

/// The filter between a listing and a selection.
#[derive(Clone, Debug)]
pub struct TagFilter {
    allow: MatchExpression,
    ignore: IgnorePatterns,
    /// The one wanted tag, under `digest`.
    only: Option<String>,
}

impl TagFilter {
    /// Combines what is configured (`images.md` 7.1).
    ///
    /// # Errors
    /// When the strategy needs a tag as constraint and there is none.
    pub fn new(
        strategy: Strategy,
        constraint: &str,
        allow: MatchExpression,
        ignore: IgnorePatterns,
    ) -> Result<Self, SelectionError> {
        if strategy.needs_constraint() && constraint.is_empty() {
            return Err(SelectionError::NoConstraintTag);
        }
        Ok(Self {
            allow,
            ignore,
            only: strategy.needs_constraint().then(|| constraint.to_string()),
        })
    }

    /// What becomes of `tag`; the cheapest test speaks first.
    pub fn verdict(&self, tag: &str) -> TagVerdict {
        if self.only.as_deref().is_some_and(|only| only != tag) {
            TagVerdict::NotConstraintTag
        } else if !name::is_tag(tag) {
            TagVerdict::NotATag
        } else if let Some(pattern_idx) = self.ignore.find(tag) {
            TagVerdict::Ignored { pattern_idx }
        } else if !self.allow.admits(tag) {
            TagVerdict::NotAllowed
        } else {
            TagVerdict::Candidate
        }
    }

    /// The candidates among `tags`, in their order.
    pub fn candidates<'a, 'b>(
        &'b self,
        tags: impl IntoIterator<Item = &'a str> + 'b,
    ) -> impl Iterator<Item = &'a str> + 'b {
        tags.into_iter()
            .filter(|tag| self.verdict(tag) == TagVerdict::Candidate)
    }

    /// The patterns behind [`TagVerdict::Ignored`].
    pub fn ignore(&self) -> &IgnorePatterns {
        &self.ignore
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tag_has_a_verdict() {
        let filter = filter(Strategy::Semver, "", "regexp:^v", "[, v*-rc*");
        for (tag, verdict) in [
            ("v1", TagVerdict::Candidate),
            ("1", TagVerdict::NotAllowed),
            ("v1-rc1", TagVerdict::Ignored { pattern_idx: 1 }),
            ("v1\u{fffd}", TagVerdict::NotATag),
            ("", TagVerdict::NotATag),
            (&"v".repeat(129), TagVerdict::NotATag),
        ] {
            assert_eq!(filter.verdict(tag), verdict, "{tag}");
        }
    }

    #[test]
    fn digest_takes_its_constraint_only() {
        let filter = filter(Strategy::Digest, "dev", "any", "");
        let tags: Vec<_> = filter.candidates(["latest", "dev", "Dev"]).collect();
        assert_eq!(tags, ["dev"]);
        assert_eq!(filter.verdict("latest"), TagVerdict::NotConstraintTag);
    }

    #[test]
    fn patterns_are_bounded() {
        let many = "a,".repeat(IGNORE_PATTERNS_MAX);
        assert_eq!(
            IgnorePatterns::parse(&many).map(|p| p.iter().count()).ok(),
            Some(IGNORE_PATTERNS_MAX)
        );
        assert!(IgnorePatterns::parse(&(many + "a")).is_err());
    }

    fn filter(strategy: Strategy, constraint: &str, allow: &str, ignore: &str) -> TagFilter {
        let ignore = IgnorePatterns::parse(ignore).expect("there are few patterns");
        TagFilter::new(strategy, constraint, MatchExpression::parse(allow), ignore)
            .expect("the constraint suits the strategy")
    }
}
