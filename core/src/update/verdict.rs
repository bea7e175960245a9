//! What becomes of every tag of a listing, one by one: for people who ask why a tag was taken, or was not.
//!
//! Computed from the listing when somebody asks, by the rules that decide ([`super::answer`]); never kept.

use core::fmt;

use super::listing::{TagFacts, TagListing};
use super::plan::ImagePlan;
use crate::image::{Constraint, Strategy, TagDates, TagVerdict, Version};
use crate::time::UnixTime;

/// One tag and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TagReport<'a> {
    /// The name.
    pub tag: &'a str,
    /// What became of it.
    pub verdict: Verdict<'a>,
    /// When its image was built, where the strategy looks at that and it is known.
    pub created: Option<UnixTime>,
}

/// Why a tag was taken or refused; the rule that refused it first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict<'a> {
    /// It is the newest of those that may run.
    Chosen,
    /// It may run, and a newer one may, too.
    Older,
    /// It is no legal name of a tag.
    NotATag,
    /// `allow-tags` does not admit it.
    NotAllowed,
    /// This pattern of `ignore-tags` matches it.
    Ignored(&'a str),
    /// Under `semver`, it is no version.
    NotAVersion,
    /// It does not satisfy the constraint; without one, it is a pre-release.
    OutsideConstraint,
    /// Under `digest`, it is not the tag that is followed.
    NotFollowed,
    /// There is no image behind it that can be used, for this reason.
    NotUsable(&'a str),
    /// It could not be read, for this reason.
    Unread(&'a str),
}

impl Verdict<'_> {
    /// A stable code for logs, explanations and tests.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Chosen => "chosen",
            Self::Older => "older",
            Self::NotATag => "not-a-tag",
            Self::NotAllowed => "not-allowed",
            Self::Ignored(_) => "ignored",
            Self::NotAVersion => "not-a-version",
            Self::OutsideConstraint => "outside-constraint",
            Self::NotFollowed => "not-followed",
            Self::NotUsable(_) => "not-usable",
            Self::Unread(_) => "unread",
        }
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen => f.write_str("the newest that may run"),
            Self::Older => f.write_str("may run, but a newer one may, too"),
            Self::NotATag => f.write_str("no legal name of a tag"),
            Self::NotAllowed => f.write_str("allow-tags does not admit it"),
            Self::Ignored(pattern) => write!(f, "ignore-tags has {pattern:?}"),
            Self::NotAVersion => f.write_str("no semantic version"),
            Self::OutsideConstraint => f.write_str("does not satisfy the constraint"),
            Self::NotFollowed => f.write_str("another tag is followed"),
            Self::NotUsable(why) => write!(f, "cannot be used: {why}"),
            Self::Unread(why) => write!(f, "could not be read: {why}"),
        }
    }
}

/// The verdict of every tag, in registry order; `chosen` is the name of the tag that was chosen, if one was.
/// Nothing is known of any tag where the image has an obstacle.
pub fn verdicts<'a>(
    image: &'a ImagePlan,
    listing: &'a dyn TagListing,
    chosen: Option<&'a str>,
) -> impl Iterator<Item = TagReport<'a>> {
    let strategy = image.options.strategy;
    let dates = TagDates::of(strategy, listing.sort());
    let range = match (strategy, image.constraint()) {
        (Strategy::Semver, "") => Some(Constraint::releases()),
        (Strategy::Semver, text) => Constraint::parse(text).ok(),
        (Strategy::NewestBuild | Strategy::Alphabetical | Strategy::Digest, _) => None,
    };
    let filter = image.filter();
    listing.names().filter_map(move |tag| {
        let mut created = None;
        let verdict = match filter?.verdict(tag) {
            TagVerdict::NotATag => Verdict::NotATag,
            TagVerdict::NotAllowed => Verdict::NotAllowed,
            TagVerdict::Ignored { pattern_idx } => {
                let mut patterns = filter?.ignore().iter();
                Verdict::Ignored(patterns.nth(pattern_idx).map_or("", |(text, _)| text))
            }
            TagVerdict::NotConstraintTag => Verdict::NotFollowed,
            TagVerdict::Candidate if chosen == Some(tag) => {
                created = created_of(listing, dates, tag);
                Verdict::Chosen
            }
            TagVerdict::Candidate => match (strategy, dates) {
                (Strategy::Semver, _) => match (Version::parse(tag), &range) {
                    (None, _) => Verdict::NotAVersion,
                    (Some(version), Some(range)) if range.accepts(&version) => Verdict::Older,
                    (Some(_), _) => Verdict::OutsideConstraint,
                },
                (Strategy::NewestBuild | Strategy::Digest, TagDates::Manifests) => {
                    created = created_of(listing, dates, tag);
                    match listing.facts(tag) {
                        TagFacts::NotUsable(why) => Verdict::NotUsable(why),
                        TagFacts::Failed(why) => Verdict::Unread(why),
                        TagFacts::Known { created: None, .. } => {
                            Verdict::NotUsable("the image does not tell when it was built")
                        }
                        TagFacts::Known { .. } => Verdict::Older,
                    }
                }
                (Strategy::NewestBuild | Strategy::Alphabetical | Strategy::Digest, _) => {
                    Verdict::Older
                }
            },
        };
        Some(TagReport {
            tag,
            verdict,
            created,
        })
    })
}

fn created_of(listing: &dyn TagListing, dates: TagDates, tag: &str) -> Option<UnixTime> {
    if dates != TagDates::Manifests {
        return None;
    }
    match listing.facts(tag) {
        TagFacts::Known { created, .. } => created,
        TagFacts::NotUsable(_) | TagFacts::Failed(_) => None,
    }
}
