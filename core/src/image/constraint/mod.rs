//! Version constraints: what a range of versions is, and whether a version lies in it (`images.md` 8.3, 8.4).
//!
//! Branches are told apart before hyphen ranges are read, so white space around `||` never matters (D-35).
//! Text and number of terms are bounded; parsing is linear, checking is linear in the terms.

mod reader;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use self::reader::Reader;
use super::version::{Version, cmp_prerelease};

/// Longest constraint.
pub const CONSTRAINT_BYTES_MAX: usize = 4096;
/// Most terms of all branches together.
pub const CONSTRAINT_TERMS_MAX: usize = 256;

/// A parsed constraint: any of its branches may match.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Constraint {
    branches: Box<[Branch]>,
}

/// Why a text is no constraint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ConstraintError {
    /// Longer than [`CONSTRAINT_BYTES_MAX`].
    TooLong,
    /// More terms than [`CONSTRAINT_TERMS_MAX`].
    TooMany,
    /// Nothing stands before, between or behind `||`.
    EmptyBranch,
    /// Something else than a version follows an operator, a separator or the beginning.
    NoVersion {
        /// Position in bytes.
        at: usize,
    },
    /// A version is followed by something that separates no terms.
    NoSeparator {
        /// Position in bytes.
        at: usize,
    },
}

impl fmt::Display for ConstraintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(
                f,
                "the constraint is longer than {CONSTRAINT_BYTES_MAX} bytes"
            ),
            Self::TooMany => write!(
                f,
                "the constraint has more than {CONSTRAINT_TERMS_MAX} terms"
            ),
            Self::EmptyBranch => {
                f.write_str("nothing stands on one side of ||, or the constraint is empty")
            }
            Self::NoVersion { at } => write!(f, "a version is expected at byte {at}"),
            Self::NoSeparator { at } => {
                write!(f, "a blank, a comma or the end is expected at byte {at}")
            }
        }
    }
}

impl core::error::Error for ConstraintError {}

/// Terms that must all match.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Branch {
    terms: Box<[Term]>,
    /// Some term has a prerelease, which admits prereleases to the whole branch.
    admits_prereleases: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Term {
    op: Op,
    base: Base,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Op {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Tilde,
    Caret,
}

/// The version of a term with what was left open filled with zeros.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Base {
    major: u64,
    minor: u64,
    patch: u64,
    prerelease: String,
    open: Open,
}

/// Which numbers were missing or wildcards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Open {
    Nothing,
    Patch,
    Minor,
    All,
}

impl Constraint {
    /// Every release; what no constraint means (`images.md` 13, D-20).
    pub fn releases() -> Self {
        let term = Term {
            op: Op::Equal,
            base: Base {
                major: 0,
                minor: 0,
                patch: 0,
                prerelease: String::new(),
                open: Open::All,
            },
        };
        let branch = Branch {
            terms: Box::new([term]),
            admits_prereleases: false,
        };
        Self {
            branches: Box::new([branch]),
        }
    }

    /// Reads a constraint (`images.md` 8.3).
    ///
    /// # Errors
    /// When the text is empty, not of the grammar, or exceeds the bounds of this module.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        if text.len() > CONSTRAINT_BYTES_MAX {
            return Err(ConstraintError::TooLong);
        }
        let mut branches = Vec::new();
        let mut n_terms = 0;
        let mut at = 0;
        for part in text.split("||") {
            let terms = Reader::new(&text[..at + part.len()], at).read_branch()?;
            n_terms += terms.len();
            if n_terms > CONSTRAINT_TERMS_MAX {
                return Err(ConstraintError::TooMany);
            }
            branches.push(Branch {
                admits_prereleases: terms.iter().any(|term| !term.base.prerelease.is_empty()),
                terms: terms.into_boxed_slice(),
            });
            at += part.len() + "||".len();
        }
        Ok(Self {
            branches: branches.into_boxed_slice(),
        })
    }

    /// True when `version` lies in the range (`images.md` 8.4).
    pub fn accepts(&self, version: &Version<'_>) -> bool {
        self.branches.iter().any(|branch| {
            (branch.admits_prereleases || version.prerelease.is_empty())
                && branch.terms.iter().all(|term| term.accepts(version))
        })
    }
}

impl Term {
    fn accepts(&self, v: &Version<'_>) -> bool {
        let base = &self.base;
        match self.op {
            Op::Equal => match base.open {
                Open::All => true,
                Open::Nothing => base.cmp(v).is_eq(),
                Open::Patch | Open::Minor => base.is_tilde_of(v),
            },
            Op::NotEqual => match base.open {
                Open::All | Open::Nothing => base.cmp(v).is_ne(),
                Open::Minor => v.major != base.major,
                Open::Patch => {
                    (v.major, v.minor) != (base.major, base.minor)
                        || v.prerelease != base.prerelease
                }
            },
            Op::Greater => match base.open {
                Open::All | Open::Nothing => base.cmp(v).is_lt(),
                Open::Minor => v.major > base.major,
                Open::Patch => (v.major, v.minor) > (base.major, base.minor),
            },
            Op::GreaterOrEqual => base.cmp(v).is_le(),
            Op::Less => base.cmp(v).is_gt(),
            Op::LessOrEqual => match base.open {
                Open::Nothing => base.cmp(v).is_ge(),
                Open::Minor => v.major <= base.major,
                Open::All | Open::Patch => (v.major, v.minor) <= (base.major, base.minor),
            },
            Op::Tilde => base.is_tilde_of(v),
            Op::Caret => base.is_caret_of(v),
        }
    }
}

impl Base {
    /// Order of this version and `v`, by precedence.
    fn cmp(&self, v: &Version<'_>) -> Ordering {
        (self.major, self.minor, self.patch)
            .cmp(&(v.major, v.minor, v.patch))
            .then_with(|| cmp_prerelease(&self.prerelease, v.prerelease))
    }

    fn is_tilde_of(&self, v: &Version<'_>) -> bool {
        self.cmp(v).is_le()
            && match self.open {
                Open::All => true,
                Open::Minor => v.major == self.major,
                Open::Patch => (v.major, v.minor) == (self.major, self.minor),
                Open::Nothing => {
                    (self.major, self.minor, self.patch) == (0, 0, 0)
                        || (v.major, v.minor) == (self.major, self.minor)
                }
            }
    }

    fn is_caret_of(&self, v: &Version<'_>) -> bool {
        self.cmp(v).is_le()
            && if self.major > 0 || self.open == Open::Minor {
                v.major == self.major
            } else if self.minor > 0 || self.open == Open::Patch {
                (v.major, v.minor) == (0, self.minor)
            } else {
                (v.major, v.minor, v.patch) == (0, 0, self.patch)
            }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixed_cases::{CASES, config};

    #[test]
    fn white_space_around_or_does_not_matter() {
        for text in [
            "1.x||2 - 3",
            "1.x || 2 - 3",
            "1.x ||2 - 3",
            "2 - 3||1.x",
            "2 - 3 ||1.x",
        ] {
            check(text, &["1.5", "2.0", "3.9"], &["0.9", "4.0"]);
        }
    }

    #[test]
    fn texts_out_of_the_grammar_are_refused() {
        for text in [
            "",
            " ",
            "||",
            "1||",
            "1 |2",
            "1.",
            "1.2.",
            "1.2.3.4",
            "1-",
            "1-a..b",
            "1+",
            "== 1",
            "= = 1",
            "~",
            "1 ~",
            "1,,2",
            ",1",
            "1,",
            "1 -2",
            "1- 2",
            "1 - ",
            "- 2",
            ">1 - 2",
            "1 - 2 - 3",
            "1.2>1",
            "1xx",
            "x1",
            "|",
            "1|2",
            "v",
            "vv1",
            "v 1",
            "1.2.3-01",
            "1 a",
            "ä",
            "1ä",
            "18446744073709551616",
            "\u{a0}1",
            "1 - 2>3",
        ] {
            assert!(Constraint::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn odd_texts_of_the_grammar_are_read() {
        check("v1 - v2", &["1", "2.9"], &["3"]);
        check("1 - 2,!=1.5", &["1"], &["1.5.3"]);
        check("\t1.0\n-\r2.0\x0c", &["1.5"], &["2.1"]);
        check(">= 1 , < 2", &["1.5"], &["2.0"]);
        check("x.1.2", &["7"], &["7-a"]);
        check("1.x.99999999999999999999", &["1.9"], &["2"]);
        check("~0.0.0", &["5.0"], &["5.0-a"]);
        check("^0.0.3", &["0.0.3"], &["0.0.4", "0.1.3"]);
        check("^*", &["0.0.0"], &["0.0.1", "1.0"]);
        check("<=*", &["0.0.9"], &["0.1"]);
        check("~1.2-0", &["1.2.0-alpha", "1.2.9-rc1"], &["1.3.0-rc1"]);
    }

    #[test]
    fn no_constraint_admits_releases_only() {
        let all = Constraint::releases();
        assert_eq!(all, Constraint::parse("*").expect("a star is a constraint"));
    }

    #[test]
    fn constraint_is_bounded() {
        let long = "1".repeat(CONSTRAINT_BYTES_MAX + 1);
        assert_eq!(Constraint::parse(&long), Err(ConstraintError::TooLong));
        let many = "1 ".repeat(CONSTRAINT_TERMS_MAX + 1);
        assert_eq!(Constraint::parse(&many), Err(ConstraintError::TooMany));
        let branches = "1||".repeat(CONSTRAINT_TERMS_MAX) + "1";
        assert_eq!(Constraint::parse(&branches), Err(ConstraintError::TooMany));
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_text_is_read_or_refused(text in "[v0-9.x*<>=!~^|, +a-]{0,16}|\\PC{0,10}") {
            if let (Ok(constraint), Some(version)) = (Constraint::parse(&text), Version::parse("1.2.3-a")) {
                let _ = constraint.accepts(&version);
            }
        }

        #[test]
        fn exact_version_accepts_itself_only(a in "[0-2]\\.[0-2]\\.[0-2](-[ab1])?", b in "[0-2]\\.[0-2]\\.[0-2](-[ab1])?") {
            let accepted = Constraint::parse(&a).ok().zip(Version::parse(&b)).map(|(c, v)| c.accepts(&v));
            prop_assert_eq!(accepted, Some(a == b));
        }
    }

    fn check(text: &str, accepts: &[&str], rejects: &[&str]) {
        let constraint = Constraint::parse(text).expect("the text is a constraint");
        for (versions, expected) in [(accepts, true), (rejects, false)] {
            for version in versions {
                let parsed = Version::parse(version).expect("the text is a version");
                assert_eq!(constraint.accepts(&parsed), expected, "{text} {version}");
            }
        }
    }
}
