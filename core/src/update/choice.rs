//! From the outcome of a lookup to the tag to run, counting what became of the others (`images.md` 10.1 steps 8 to 10).

use alloc::string::ToString as _;

use super::listing::{Lookup, TagFacts, TagListing};
use super::needs::needs_update;
use super::plan::ImagePlan;
use super::reason::{Reason, TagCounts};
use crate::image::select::{Counts, NoneReason};
use crate::image::{Candidate, Selection, Strategy, Tag, TagDates, TagVerdict, select};

/// The tag to run, of what was looked up (`images.md` 10.1 steps 8 to 10).
pub(super) fn choose(image: &ImagePlan, lookup: &Lookup<'_>) -> Result<(Tag, TagCounts), Reason> {
    let listing = match lookup {
        Lookup::Absent => return Err(Reason::NotLookedUp),
        Lookup::Failed(kind, text) => return Err(Reason::of_failure(*kind, text)),
        Lookup::Partial => return Err(Reason::ListingIncomplete),
        Lookup::Tags(listing) => *listing,
    };
    let mut scan = Scan::default();
    let selection = select(
        image.options.strategy,
        image.constraint(),
        image.live.as_ref().and_then(|live| live.tag.as_ref()),
        scan.candidates(image, listing),
    );
    if scan.n_unread > 0 {
        return Err(Reason::CandidatesUnread {
            n_unread: scan.n_unread,
        });
    }
    match selection {
        Selection::Tag { tag, counts } => Ok((tag, scan.counts_with(counts))),
        Selection::Error(error) => Err(Reason::of_selection_error(&error)),
        Selection::None { reason, counts } => {
            let counts = scan.counts_with(counts);
            Err(match reason {
                NoneReason::NoCandidates if counts.n_listed == 0 && !scan.wants_one_tag => {
                    Reason::NoTags
                }
                NoneReason::NoCandidates if scan.wants_one_tag && !scan.has_wanted_tag => {
                    Reason::TagNotFound {
                        tag: image.constraint().into(),
                    }
                }
                NoneReason::NoCandidates if counts.n_unusable == 0 => {
                    Reason::NoTagAllowed { counts }
                }
                NoneReason::NoVersions => Reason::NoVersions { counts },
                NoneReason::NoCandidates | NoneReason::NoDates | NoneReason::NoDigest => {
                    Reason::NoUsableTag { counts }
                }
                NoneReason::NoneEligible => Reason::NoneInConstraint {
                    constraint: image.constraint().into(),
                    counts,
                },
            })
        }
    }
}

/// What becomes of an image whose application plays no part: its newest tag, and whether it runs.
pub fn answer(image: &ImagePlan, lookup: &Lookup<'_>) -> Reason {
    if let Some(obstacle) = &image.obstacle {
        return obstacle.clone();
    }
    let (chosen, counts) = match choose(image, lookup) {
        Ok(choice) => choice,
        Err(reason) => return reason,
    };
    let Some(live) = &image.live else {
        return Reason::NotLive;
    };
    let running = image.running();
    let old = running.to_string().into_boxed_str();
    if needs_update(
        image.options.strategy,
        &image.entry,
        live,
        &running,
        &chosen,
    ) {
        Reason::Updated {
            old,
            new: chosen.to_string().into_boxed_str(),
            counts,
        }
    } else {
        Reason::UpToDate {
            running: old,
            counts,
        }
    }
}

/// One pass over a listing, counting.
#[derive(Default)]
struct Scan {
    counts: TagCounts,
    /// Candidates that could not be read.
    n_unread: u32,
    wants_one_tag: bool,
    has_wanted_tag: bool,
}

impl Scan {
    fn candidates<'a>(
        &'a mut self,
        image: &'a ImagePlan,
        listing: &'a dyn TagListing,
    ) -> impl Iterator<Item = Candidate<'a>> {
        let strategy = image.options.strategy;
        let dates = TagDates::of(strategy, listing.sort());
        let n_tags = listing.n_tags();
        self.wants_one_tag = strategy.needs_constraint();
        listing
            .names()
            .enumerate()
            .filter_map(move |(position, name)| {
                self.counts.n_listed = self.counts.n_listed.saturating_add(1);
                if !self.admits(image, name) {
                    return None;
                }
                match (strategy, dates.at(position, n_tags)) {
                    (Strategy::Semver | Strategy::Alphabetical, _) => Some(Candidate::named(name)),
                    (Strategy::NewestBuild | Strategy::Digest, Some(created)) => Some(Candidate {
                        created: Some(created),
                        ..Candidate::named(name)
                    }),
                    (Strategy::NewestBuild | Strategy::Digest, None) => self.read(listing, name),
                }
            })
    }

    fn admits(&mut self, image: &ImagePlan, name: &str) -> bool {
        let Some(filter) = image.filter() else {
            return false;
        };
        let verdict = filter.verdict(name);
        self.has_wanted_tag |= verdict != TagVerdict::NotConstraintTag;
        match verdict {
            TagVerdict::Candidate => return true,
            TagVerdict::NotATag | TagVerdict::NotAllowed => self.counts.n_not_allowed += 1,
            TagVerdict::Ignored { .. } => self.counts.n_ignored += 1,
            TagVerdict::NotConstraintTag => {}
        }
        false
    }

    fn read<'a>(&mut self, listing: &'a dyn TagListing, name: &'a str) -> Option<Candidate<'a>> {
        match listing.facts(name) {
            TagFacts::Known { created, digest } => Some(Candidate {
                name,
                created,
                digest,
            }),
            TagFacts::NotUsable(_) => {
                self.counts.n_unusable += 1;
                None
            }
            TagFacts::Failed(_) => {
                self.n_unread += 1;
                None
            }
        }
    }

    fn counts_with(&self, selected: Counts) -> TagCounts {
        let bounded = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let without_use = selected.n_candidates.saturating_sub(selected.n_usable);
        TagCounts {
            n_unusable: self.counts.n_unusable.saturating_add(bounded(without_use)),
            n_usable: bounded(selected.n_usable),
            n_eligible: bounded(selected.n_eligible),
            ..self.counts
        }
    }
}
