//! Selection: which of the candidates an image should run (`images.md` 8).
//!
//! The frame is common, each strategy adds its order and what it needs to know of a tag. The running version is never
//! compared: the highest allowed tag wins, even if it is older than what runs (D-21). Time is linear in the candidates
//! and nothing is allocated per candidate.

mod alphabetical;
mod date;
mod digest;
mod newest_build;
mod semver;
mod strategy;

use alloc::string::String;
use core::fmt;

use super::constraint::ConstraintError;
use super::reference::Tag;
use crate::time::UnixTime;

pub use date::{TagDates, TagListSort};
pub use strategy::{ParsedStrategy, Strategy, UnknownStrategy};

/// A tag that passed the filter, with what is known of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candidate<'a> {
    /// The tag's name.
    pub name: &'a str,
    /// When its image was built; `None` when that could not be read.
    pub created: Option<UnixTime>,
    /// Digest of its manifest; empty when it was not read.
    pub digest: &'a str,
}

impl<'a> Candidate<'a> {
    /// A candidate of which nothing but the name is known, which is enough for `semver` and `alphabetical`.
    pub const fn named(name: &'a str) -> Self {
        Self {
            name,
            created: None,
            digest: "",
        }
    }
}

/// What a selection comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// This tag is the one to run; whether that is an update is decided elsewhere.
    Tag {
        /// Its name and, under `digest`, its digest.
        tag: Tag,
        /// Among how many it was chosen.
        counts: Counts,
    },
    /// Nothing can be chosen; the image is skipped.
    None {
        /// Why not.
        reason: NoneReason,
        /// How far the candidates came.
        counts: Counts,
    },
    /// The configuration or the running tag does not allow a selection.
    Error(SelectionError),
}

/// How many tags came how far.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Counts {
    /// Tags that passed the filter.
    pub n_candidates: usize,
    /// Those of which the strategy knows enough: versions, dated tags, tags with digest.
    pub n_usable: usize,
    /// Those that also satisfy the constraint.
    pub n_eligible: usize,
}

/// Why nothing was chosen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NoneReason {
    /// No tag passed the filter, or the registry has none.
    NoCandidates,
    /// Under `semver`, no candidate is a version.
    NoVersions,
    /// Under `newest-build`, no candidate's build time is known.
    NoDates,
    /// Under `digest`, the digest of the wanted tag is not known.
    NoDigest,
    /// No version lies in the range, or no candidate is the wanted tag.
    NoneEligible,
}

impl fmt::Display for NoneReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCandidates => "no tag passes the filters",
            Self::NoVersions => "no tag is a version",
            Self::NoDates => "no tag's build time is known",
            Self::NoDigest => "the digest of the tag is not known",
            Self::NoneEligible => "no tag satisfies the constraint",
        })
    }
}

/// Why no selection is possible.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SelectionError {
    /// Under `semver`, what runs is not a version.
    RunningTagNoVersion {
        /// The running tag.
        tag: String,
    },
    /// Under `semver`, the constraint is not one.
    BadConstraint {
        /// The constraint as written.
        constraint: String,
        /// What is wrong with it.
        error: ConstraintError,
    },
    /// Under `digest`, there is no tag to follow.
    NoConstraintTag,
}

impl fmt::Display for SelectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunningTagNoVersion { tag } => {
                write!(f, "the running tag {tag:?} is not a semantic version")
            }
            Self::BadConstraint { constraint, error } => {
                write!(f, "{constraint:?} is not a version constraint: {error}")
            }
            Self::NoConstraintTag => {
                f.write_str("the digest strategy needs a tag to follow, as in image:tag")
            }
        }
    }
}

impl core::error::Error for SelectionError {}

/// Chooses among `candidates` (`images.md` 8).
///
/// `constraint` is what stands behind the colon of the list entry, empty for none. `running` is the live image's tag;
/// it only matters under `semver`, where its name must be a version or unknown. The configuration is judged before
/// the candidates are (D-25).
pub fn select<'a>(
    strategy: Strategy,
    constraint: &str,
    running: Option<&Tag>,
    candidates: impl IntoIterator<Item = Candidate<'a>>,
) -> Selection {
    let candidates = candidates.into_iter();
    match strategy {
        Strategy::Semver => semver::select(constraint, running, candidates),
        Strategy::NewestBuild => newest_build::select(candidates),
        Strategy::Alphabetical => alphabetical::select(candidates),
        Strategy::Digest => digest::select(constraint, candidates),
    }
}

impl Selection {
    /// The outcome of a scan: the best tag, or why there is none.
    fn of(best: Option<Tag>, counts: Counts, none_usable: NoneReason) -> Self {
        match best {
            Some(tag) => Self::Tag { tag, counts },
            None => Self::None {
                reason: if counts.n_candidates == 0 {
                    NoneReason::NoCandidates
                } else if counts.n_usable == 0 {
                    none_usable
                } else {
                    NoneReason::NoneEligible
                },
                counts,
            },
        }
    }

    /// The chosen tag, if there is one.
    pub fn tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag { tag, .. } => Some(tag),
            Self::None { .. } | Self::Error(_) => None,
        }
    }
}
