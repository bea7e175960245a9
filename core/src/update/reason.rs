//! What became of one image and why: the base of explanations, log lines and assertions.
//!
//! Kept per image for as long as its application lives, hence at most [`REASON_BYTES_MAX`] bytes beside its texts.

use alloc::boxed::Box;
use core::fmt;

use super::listing::FailureKind;
use crate::app::Remark;
use crate::image::ConstraintError;

/// Bytes that a [`Reason`] may take.
pub const REASON_BYTES_MAX: usize = 64;
/// Characters of a failure's text that are kept.
const FAILURE_CHARS_MAX: usize = 240;

const _: () = assert!(size_of::<Reason>() <= REASON_BYTES_MAX);

/// How the tags of a listing came out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct TagCounts {
    /// Tags that the registry has.
    pub n_listed: u32,
    /// Those that `allow-tags` does not admit, or that are no legal tags.
    pub n_not_allowed: u32,
    /// Those that `ignore-tags` matches.
    pub n_ignored: u32,
    /// Candidates without an image for the wanted platforms, or without what the strategy needs.
    pub n_unusable: u32,
    /// Tags among which was chosen: versions, dated tags.
    pub n_usable: u32,
    /// Those of them that satisfy the constraint.
    pub n_eligible: u32,
}

/// What became of one image, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reason {
    /// It moves to another tag; whether that was written is told by the outcome of the write.
    Updated {
        /// What ran; empty when that is not known.
        old: Box<str>,
        /// What was chosen.
        new: Box<str>,
        /// Among which tags.
        counts: TagCounts,
    },
    /// What was chosen runs already.
    UpToDate {
        /// What runs.
        running: Box<str>,
        /// Among which tags was chosen.
        counts: TagCounts,
    },
    /// What was chosen stands in the application already and does not run yet.
    AlreadyInSpec {
        /// What was chosen.
        new: Box<str>,
    },
    /// It would move to another tag, but another entry of the list decides about what it replaces in Kustomize (D-32).
    SharedTarget {
        /// What was chosen.
        new: Box<str>,
        /// The entry that decides.
        rival: Box<str>,
    },
    /// It would move to another tag, but nothing is written for its application.
    Refused {
        /// What was chosen.
        new: Box<str>,
        /// The code of the application's [`Refusal`](super::Refusal).
        code: &'static str,
    },
    /// The application does not run it.
    NotLive,
    /// There is no answer of its registry yet.
    NotLookedUp,
    /// The repository has no tags.
    NoTags,
    /// No tag passes `allow-tags` and `ignore-tags`.
    NoTagAllowed {
        /// How the tags came out.
        counts: TagCounts,
    },
    /// No allowed tag is a version.
    NoVersions {
        /// How the tags came out.
        counts: TagCounts,
    },
    /// No allowed tag has an image for the wanted platforms with what the strategy needs.
    NoUsableTag {
        /// How the tags came out.
        counts: TagCounts,
    },
    /// No allowed version satisfies the constraint.
    NoneInConstraint {
        /// The constraint; empty for none, which admits releases only.
        constraint: Box<str>,
        /// How the tags came out.
        counts: TagCounts,
    },
    /// The registry does not have the tag that is followed.
    TagNotFound {
        /// The tag.
        tag: Box<str>,
    },
    /// What runs is no version, so that nothing can be said to be newer.
    RunningTagNotAVersion {
        /// What runs.
        tag: Box<str>,
    },
    /// The constraint of the list entry is none.
    InvalidConstraint {
        /// The constraint.
        constraint: Box<str>,
        /// What is wrong with it.
        error: ConstraintError,
    },
    /// The strategy `digest` needs a tag to follow.
    NoConstraintTag,
    /// An annotation of the image is wrong.
    InvalidOption(Box<Remark>),
    /// A lookup failed; the text says how.
    LookupFailed(FailureKind, Box<str>),
    /// The listing broke off: what is missing might be what should run.
    ListingIncomplete,
    /// Some candidates could not be read, and any of them might be the one to run (D-29).
    CandidatesUnread {
        /// How many.
        n_unread: u32,
    },
    /// The application is neither Helm nor Kustomize.
    WrongSourceType {
        /// What it is; empty when it was never reconciled.
        found: Box<str>,
    },
    /// The application has a source hydrator, whose output cannot be changed through the API.
    Hydrated,
    /// The application has no source.
    NoSource,
    /// The source could not be read whole, so that a change might hit the wrong place.
    SourceUnreadable {
        /// The path of the member.
        path: Box<str>,
        /// What is wrong with it.
        detail: Box<str>,
    },
}

/// How a [`Reason`] counts (`images.md` 10.4, D-24, D-54).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum ReasonKind {
    /// It is updated.
    Updated,
    /// It is passed over.
    Skipped,
    /// Something is wrong.
    Error,
    /// There is nothing to say: up to date, or not looked up yet.
    Quiet,
}

impl Reason {
    /// The reason of a failed lookup; the text is cut to a bound.
    pub fn of_failure(kind: FailureKind, text: &str) -> Self {
        let end = text.char_indices().nth(FAILURE_CHARS_MAX);
        let kept = end.map_or(text, |(at, _)| &text[..at]);
        Self::LookupFailed(kind, kept.into())
    }

    /// A stable code for logs, explanations and tests.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Updated { .. } => "updated",
            Self::UpToDate { .. } => "up-to-date",
            Self::AlreadyInSpec { .. } => "already-in-spec",
            Self::SharedTarget { .. } => "shared-kustomize-image",
            Self::Refused { code, .. } => code,
            Self::NotLive => "not-live",
            Self::NotLookedUp => "not-looked-up",
            Self::NoTags => "no-tags",
            Self::NoTagAllowed { .. } => "no-tag-allowed",
            Self::NoVersions { .. } => "no-versions",
            Self::NoUsableTag { .. } => "no-usable-tag",
            Self::NoneInConstraint { .. } => "none-in-constraint",
            Self::TagNotFound { .. } => "tag-not-found",
            Self::RunningTagNotAVersion { .. } => "running-tag-not-a-version",
            Self::InvalidConstraint { .. } => "invalid-constraint",
            Self::NoConstraintTag => "no-constraint-tag",
            Self::InvalidOption(_) => "invalid-option",
            Self::LookupFailed(FailureKind::Registry, _) => "registry-failed",
            Self::LookupFailed(FailureKind::Credential, _) => "credential-failed",
            Self::LookupFailed(FailureKind::Listing, _) => "listing-failed",
            Self::LookupFailed(FailureKind::Metadata, _) | Self::CandidatesUnread { .. } => {
                "metadata-failed"
            }
            Self::ListingIncomplete => "listing-incomplete",
            Self::WrongSourceType { .. } => "wrong-source-type",
            Self::Hydrated | Self::NoSource => "source-not-writable",
            Self::SourceUnreadable { .. } => "source-unreadable",
        }
    }

    /// How it counts (`images.md` 10.4).
    pub const fn kind(&self) -> ReasonKind {
        match self {
            Self::Updated { .. } => ReasonKind::Updated,
            // What is refused is counted once, as an error of the application.
            Self::UpToDate { .. } | Self::Refused { .. } | Self::NotLookedUp => ReasonKind::Quiet,
            Self::AlreadyInSpec { .. }
            | Self::SharedTarget { .. }
            | Self::NotLive
            | Self::NoTags
            | Self::NoTagAllowed { .. }
            | Self::NoVersions { .. }
            | Self::NoUsableTag { .. }
            | Self::NoneInConstraint { .. }
            | Self::TagNotFound { .. } => ReasonKind::Skipped,
            Self::RunningTagNotAVersion { .. }
            | Self::InvalidConstraint { .. }
            | Self::NoConstraintTag
            | Self::InvalidOption(_)
            | Self::LookupFailed(..)
            | Self::ListingIncomplete
            | Self::CandidatesUnread { .. }
            | Self::WrongSourceType { .. }
            | Self::Hydrated
            | Self::NoSource
            | Self::SourceUnreadable { .. } => ReasonKind::Error,
        }
    }

    /// True unless the image does not run (`images.md` 10.4).
    pub const fn is_considered(&self) -> bool {
        !matches!(self, Self::NotLive)
    }

    /// Bytes of its texts, for the footprint.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Updated { old, new, .. } => old.len() + new.len(),
            Self::SharedTarget { new, rival } => new.len() + rival.len(),
            Self::UpToDate { running: text, .. }
            | Self::AlreadyInSpec { new: text }
            | Self::Refused { new: text, .. }
            | Self::NoneInConstraint {
                constraint: text, ..
            }
            | Self::TagNotFound { tag: text }
            | Self::RunningTagNotAVersion { tag: text }
            | Self::InvalidConstraint {
                constraint: text, ..
            }
            | Self::LookupFailed(_, text)
            | Self::WrongSourceType { found: text } => text.len(),
            Self::InvalidOption(remark) => {
                size_of::<Remark>() + remark.key.len() + remark.detail.len()
            }
            Self::SourceUnreadable { path, detail } => path.len() + detail.len(),
            Self::NotLive
            | Self::NotLookedUp
            | Self::NoTags
            | Self::NoTagAllowed { .. }
            | Self::NoVersions { .. }
            | Self::NoUsableTag { .. }
            | Self::NoConstraintTag
            | Self::ListingIncomplete
            | Self::CandidatesUnread { .. }
            | Self::Hydrated
            | Self::NoSource => 0,
        }
    }

    /// The tag that was chosen or that stands already, if the selection came that far.
    pub fn chosen(&self) -> Option<&str> {
        match self {
            Self::Updated { new, .. }
            | Self::AlreadyInSpec { new }
            | Self::SharedTarget { new, .. }
            | Self::Refused { new, .. }
            | Self::UpToDate { running: new, .. } => Some(new),
            Self::NotLive
            | Self::NotLookedUp
            | Self::NoTags
            | Self::NoTagAllowed { .. }
            | Self::NoVersions { .. }
            | Self::NoUsableTag { .. }
            | Self::NoneInConstraint { .. }
            | Self::TagNotFound { .. }
            | Self::RunningTagNotAVersion { .. }
            | Self::InvalidConstraint { .. }
            | Self::NoConstraintTag
            | Self::InvalidOption(_)
            | Self::LookupFailed(..)
            | Self::ListingIncomplete
            | Self::CandidatesUnread { .. }
            | Self::WrongSourceType { .. }
            | Self::Hydrated
            | Self::NoSource
            | Self::SourceUnreadable { .. } => None,
        }
    }
}

/// What happened and, where somebody can do something about it, what.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Updated { old, new, .. } if old.is_empty() => write!(f, "set to {new}"),
            Self::Updated { old, new, .. } => write!(f, "update from {old} to {new}"),
            Self::UpToDate { running, counts } => {
                write!(f, "{running} is up to date, {counts}")
            }
            Self::AlreadyInSpec { new } => write!(
                f,
                "{new} is set in the application already and does not run yet; \
                 see whether Argo CD has synchronised it"
            ),
            Self::SharedTarget { new, rival } => write!(
                f,
                "{new} was chosen but not written: {rival} replaces the same image in Kustomize, \
                 and there is one entry for both"
            ),
            Self::Refused { new, code } => {
                write!(f, "{new} was chosen but not written: {code}")
            }
            Self::NotLive => f.write_str(
                "the application does not run this image; check its spelling against \
                 status.summary.images, or set force-update",
            ),
            Self::NotLookedUp => f.write_str("waiting for its registry"),
            Self::NoTags => f.write_str("the repository has no tags"),
            Self::NoTagAllowed { counts } => {
                write!(f, "allow-tags and ignore-tags leave no tag, {counts}")
            }
            Self::NoVersions { counts } => write!(
                f,
                "no tag is a semantic version, {counts}; \
                 another update-strategy may suit these tags"
            ),
            Self::NoUsableTag { counts } => write!(
                f,
                "no tag has an image for the wanted platforms that tells what the strategy \
                 needs, {counts}; see the platforms annotation"
            ),
            Self::NoneInConstraint { constraint, counts } if constraint.is_empty() => write!(
                f,
                "there are only prereleases, {counts}; a constraint such as *-0 admits them"
            ),
            Self::NoneInConstraint { constraint, counts } => {
                write!(f, "no tag satisfies {constraint:?}, {counts}")
            }
            Self::TagNotFound { tag } => write!(f, "the registry has no usable tag {tag:?}"),
            Self::RunningTagNotAVersion { tag } => write!(
                f,
                "the running tag {tag:?} is not a semantic version; run a version first, \
                 or choose another update-strategy"
            ),
            Self::InvalidConstraint { constraint, error } => {
                write!(f, "{constraint:?} is not a version constraint: {error}")
            }
            Self::NoConstraintTag => {
                f.write_str("the digest strategy needs a tag to follow, as in image:tag")
            }
            Self::InvalidOption(remark) => remark.fmt(f),
            Self::LookupFailed(kind, text) => {
                f.write_str(match kind {
                    FailureKind::Registry => "the registry cannot be used: ",
                    FailureKind::Credential => "the credentials cannot be had: ",
                    FailureKind::Listing => "the tags could not be listed: ",
                    FailureKind::Metadata => "the image could not be read: ",
                })?;
                f.write_str(text)
            }
            Self::ListingIncomplete => {
                f.write_str("the tag list broke off; nothing is decided on a part of it")
            }
            Self::CandidatesUnread { n_unread } => write!(
                f,
                "{n_unread} of the allowed tags could not be read, and any of them might be \
                 the newest; nothing is decided until they are"
            ),
            Self::WrongSourceType { found } if found.is_empty() => f.write_str(
                "Argo CD has not told the application's type yet; it must be Helm or Kustomize",
            ),
            Self::WrongSourceType { found } => {
                write!(
                    f,
                    "the application is {found}; it must be Helm or Kustomize"
                )
            }
            Self::Hydrated => f.write_str(
                "the application has a source hydrator, whose parameters cannot be written \
                 through the API",
            ),
            Self::NoSource => f.write_str("the application has no source to write to"),
            Self::SourceUnreadable { path, detail } => {
                write!(
                    f,
                    "{path}: {detail}; nothing is written to a source read in part"
                )
            }
        }
    }
}

impl fmt::Display for TagCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tags listed", self.n_listed)?;
        for (n, what) in [
            (self.n_not_allowed, "not allowed"),
            (self.n_ignored, "ignored"),
            (self.n_unusable, "unusable"),
            (self.n_usable, "usable"),
            (self.n_eligible, "eligible"),
        ] {
            if n > 0 {
                write!(f, ", {n} {what}")?;
            }
        }
        Ok(())
    }
}
