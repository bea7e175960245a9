//! The four strategies and what each needs (`images.md` 4.1, 8).

use core::fmt;

/// How one of several tags is chosen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Strategy {
    /// The highest semantic version within a range.
    #[default]
    Semver,
    /// The image that was built last.
    NewestBuild,
    /// The greatest name in byte order.
    Alphabetical,
    /// What one tag points to.
    Digest,
}

/// A strategy and how it was spelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParsedStrategy {
    /// The strategy.
    pub strategy: Strategy,
    /// It was written with its old name, which deserves a warning.
    pub is_old_name: bool,
}

/// A text that names no strategy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnknownStrategy;

impl fmt::Display for UnknownStrategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "unknown update strategy; accepted are semver, newest-build, alphabetical and digest",
        )
    }
}

impl core::error::Error for UnknownStrategy {}

impl Strategy {
    /// Reads a strategy's name, old or new, in any case, with white space around it (`images.md` 4.1, D-12).
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<ParsedStrategy, UnknownStrategy> {
        [
            ("semver", Self::Semver, false),
            ("newest-build", Self::NewestBuild, false),
            ("latest", Self::NewestBuild, true),
            ("alphabetical", Self::Alphabetical, false),
            ("name", Self::Alphabetical, true),
            ("digest", Self::Digest, false),
        ]
        .into_iter()
        .find(|(name, ..)| text.trim().eq_ignore_ascii_case(name))
        .map(|(_, strategy, is_old_name)| ParsedStrategy {
            strategy,
            is_old_name,
        })
        .ok_or(UnknownStrategy)
    }

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Semver => "semver",
            Self::NewestBuild => "newest-build",
            Self::Alphabetical => "alphabetical",
            Self::Digest => "digest",
        }
    }

    /// True when images are to be read for their build times (`images.md` 8).
    pub const fn needs_dates(self) -> bool {
        matches!(self, Self::NewestBuild)
    }

    /// True when the constraint is the name of the one tag that is looked at (`images.md` 8).
    pub const fn needs_constraint(self) -> bool {
        matches!(self, Self::Digest)
    }

    /// True when what was read of a tag may be kept, because it is not the tag's target that is asked for (`images.md` 8).
    pub const fn is_cacheable(self) -> bool {
        !matches!(self, Self::Digest)
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case_and_trimmed() {
        for (text, strategy, is_old_name) in [
            (" SemVer\n", Strategy::Semver, false),
            ("Newest-Build", Strategy::NewestBuild, false),
            ("latest", Strategy::NewestBuild, true),
            ("NAME", Strategy::Alphabetical, true),
            ("digest ", Strategy::Digest, false),
        ] {
            let parsed = ParsedStrategy {
                strategy,
                is_old_name,
            };
            assert_eq!(Strategy::parse(text), Ok(parsed), "{text}");
        }
        for text in ["", "newest build", "newest"] {
            assert_eq!(Strategy::parse(text), Err(UnknownStrategy), "{text}");
        }
    }
}
