//! How far the look-up of an image has come, and how what was found is handed to the decision.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString as _};

use crate::image::TagListSort;
use crate::registry::{
    FactsKind, KnownFacts, Listing, LookupFailure, LookupFailureKind, PlatformKeySet, Registry,
    RepositoryId,
};
use crate::time::UnixTime;
use crate::update::{FailureKind, ImagePlan, Lookup, Need, TagFacts, TagListing};

/// Said of a listing that went while its facts were fetched.
const EVICTED: &str = "the list of tags had to make room for others before it was decided upon; \
                       the next check reads it again";

/// Said of a tag whose facts went while others were fetched.
const NOT_KEPT: &str = "what was known of it had to make room for others";
/// Said of a tag without an image for the wanted platforms.
const OTHER_PLATFORM: &str = "no image for the wanted platforms";

/// How far the look-up of one image has come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum LookupState {
    /// The plan says that there is nothing to look up.
    NotNeeded,
    /// Waits for the listing of this repository.
    Listing(RepositoryId),
    /// The listing is there, if one is needed; facts about some tags may still be on their way.
    Ready {
        /// Whose listing.
        repository: RepositoryId,
        /// Tags whose facts are on their way.
        pending: BTreeSet<Box<str>>,
        /// Tags whose facts could not be had.
        failed: BTreeMap<Box<str>, LookupFailure>,
    },
    /// It failed.
    Failed(LookupFailure),
}

impl LookupState {
    /// The repository that is looked up.
    pub(crate) const fn repository(&self) -> Option<RepositoryId> {
        match self {
            Self::Listing(repository) | Self::Ready { repository, .. } => Some(*repository),
            Self::NotNeeded | Self::Failed(_) => None,
        }
    }

    pub(crate) const fn ready(repository: RepositoryId) -> Self {
        Self::Ready {
            repository,
            pending: BTreeSet::new(),
            failed: BTreeMap::new(),
        }
    }
}

/// What was found for one image, in the form in which it is decided upon.
pub(crate) enum Found<'a> {
    /// There was nothing to look up.
    Absent,
    /// It failed.
    Failed(FailureKind, &'a str),
    /// Tags, with what is known of some of them.
    Tags(Tags<'a>),
}

impl Found<'_> {
    /// The form that [`crate::update::decide`] takes.
    pub(crate) fn to_lookup(&self) -> Lookup<'_> {
        match self {
            Self::Absent => Lookup::Absent,
            Self::Failed(kind, detail) => Lookup::Failed(*kind, detail),
            Self::Tags(tags) => Lookup::Tags(tags),
        }
    }

    /// The tags, if there are any.
    pub(crate) fn as_listing(&self) -> Option<&dyn TagListing> {
        match self {
            Self::Tags(tags) => Some(tags),
            Self::Absent | Self::Failed(..) => None,
        }
    }
}

/// The tags of a repository with the facts that one image's strategy needs.
pub(crate) struct Tags<'a> {
    names: Names<'a>,
    sort: TagListSort,
    facts: BTreeMap<&'a str, Fact<'a>>,
}

/// Where the names come from.
enum Names<'a> {
    /// The listing.
    Listed(&'a Listing),
    /// One tag was asked for by name; there it is, or not.
    Single(Option<&'a str>),
}

enum Fact<'a> {
    Known {
        created: Option<UnixTime>,
        digest: String,
    },
    NotUsable(&'a str),
    Failed(&'a str),
}

/// Collects what was found for `image`.
pub(crate) fn found<'a>(
    registry: &'a Registry,
    image: &'a ImagePlan,
    state: &'a LookupState,
) -> Found<'a> {
    let (repository, failed) = match state {
        LookupState::NotNeeded | LookupState::Listing(_) => return Found::Absent,
        LookupState::Failed(failure) => {
            return Found::Failed(kind_of(failure.kind), &failure.detail);
        }
        LookupState::Ready {
            repository, failed, ..
        } => (*repository, failed),
    };
    let sort = sort_of(registry, repository);
    let mut tags = match image.need(sort) {
        None => return Found::Absent,
        Some(Need::Digest(tag)) => {
            if let Some(failure) = failed.get(tag) {
                if failure.kind != LookupFailureKind::Missing {
                    return Found::Failed(FailureKind::Metadata, &failure.detail);
                }
                return Found::Tags(Tags {
                    names: Names::Single(None),
                    sort,
                    facts: BTreeMap::new(),
                });
            }
            Tags {
                names: Names::Single(Some(tag)),
                sort,
                facts: BTreeMap::new(),
            }
        }
        Some(Need::Tags | Need::Created) => {
            let Some(listing) = registry.kept_listing(repository) else {
                // It had to make room meanwhile; the next check lists again.
                return Found::Failed(FailureKind::Listing, EVICTED);
            };
            Tags {
                names: Names::Listed(listing),
                sort,
                facts: BTreeMap::new(),
            }
        }
    };
    if let Some(kind) = facts_kind(image, sort) {
        let platforms = platforms_of(image);
        let running = image.running().name;
        for name in candidates(registry, image, repository) {
            // What failed just now is not answered with what was known before.
            let fact = match failed.get(name) {
                // A tag that was listed and is not there takes no part; but what runs is never left for an
                // older one because it could not be read (D-02).
                Some(failure) if failure.kind == LookupFailureKind::Missing && name != running => {
                    Fact::NotUsable(&failure.detail)
                }
                Some(failure) => Fact::Failed(&failure.detail),
                None => registry
                    .kept_facts(repository, name, kind, &platforms)
                    .map_or(Fact::Failed(NOT_KEPT), |facts| Fact::new(facts, kind)),
            };
            tags.facts.insert(name, fact);
        }
    }
    Found::Tags(tags)
}

/// The tags of which facts are needed: candidates of the filter, or the one tag that is followed.
pub(crate) fn candidates<'a>(
    registry: &'a Registry,
    image: &'a ImagePlan,
    repository: RepositoryId,
) -> Box<dyn Iterator<Item = &'a str> + 'a> {
    match image.need(sort_of(registry, repository)) {
        None | Some(Need::Tags) => Box::new(core::iter::empty()),
        Some(Need::Digest(tag)) => Box::new(core::iter::once(tag)),
        Some(Need::Created) => {
            let listing = registry.kept_listing(repository);
            let filter = image.filter();
            let names = listing.into_iter().flat_map(Listing::tags);
            Box::new(names.filter(move |name| {
                filter.is_some_and(|filter| filter.verdict(name).is_candidate())
            }))
        }
    }
}

/// Which facts an image needs beside the names of the tags.
pub(crate) fn facts_kind(image: &ImagePlan, sort: TagListSort) -> Option<FactsKind> {
    match image.need(sort) {
        Some(Need::Created) => Some(FactsKind::Created),
        Some(Need::Digest(_)) => Some(FactsKind::Digest),
        Some(Need::Tags) | None => None,
    }
}

/// What the order of a repository's tags means.
pub(crate) fn sort_of(registry: &Registry, repository: RepositoryId) -> TagListSort {
    registry.endpoint_of(repository).tag_sort_mode()
}

/// The platforms that an image wants, as the registry room keys its facts.
pub(crate) fn platforms_of(image: &ImagePlan) -> PlatformKeySet {
    PlatformKeySet::new(image.options.platforms.keys())
}

impl<'a> Fact<'a> {
    /// The part of the facts that lookups of a kind are for.
    fn new(facts: KnownFacts<'a>, kind: FactsKind) -> Self {
        match facts {
            KnownFacts::Usable { digest, created } => Self::Known {
                created,
                digest: match kind {
                    FactsKind::Digest => digest.to_string(),
                    // A date is asked for of many tags, and their digests are nobody's concern.
                    FactsKind::Created => String::new(),
                },
            },
            // A tag that is broken for good takes no part: it must not hold the others back for ever.
            KnownFacts::OtherPlatform { .. } => Self::NotUsable(OTHER_PLATFORM),
            KnownFacts::Unusable { reason, .. } => Self::NotUsable(reason),
        }
    }
}

impl TagListing for Tags<'_> {
    fn n_tags(&self) -> usize {
        match &self.names {
            Names::Listed(listing) => listing.n_tags(),
            Names::Single(tag) => usize::from(tag.is_some()),
        }
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        match &self.names {
            Names::Listed(listing) => Box::new(listing.tags()),
            Names::Single(tag) => Box::new(tag.iter().copied()),
        }
    }

    fn sort(&self) -> TagListSort {
        self.sort
    }

    fn facts(&self, name: &str) -> TagFacts<'_> {
        match self.facts.get(name) {
            Some(Fact::Known { created, digest }) => TagFacts::Known {
                created: *created,
                digest,
            },
            Some(Fact::NotUsable(why)) => TagFacts::NotUsable(why),
            Some(Fact::Failed(why)) => TagFacts::Failed(why),
            None => TagFacts::Failed(NOT_KEPT),
        }
    }
}

/// Which step of the update a failure belongs to.
const fn kind_of(kind: LookupFailureKind) -> FailureKind {
    match kind {
        LookupFailureKind::Credential => FailureKind::Credential,
        LookupFailureKind::Throttled
        | LookupFailureKind::Transient
        | LookupFailureKind::Unreachable
        | LookupFailureKind::Denied
        | LookupFailureKind::Missing
        | LookupFailureKind::RepositoryMissing
        | LookupFailureKind::Malformed
        | LookupFailureKind::Overflow
        | LookupFailureKind::Stalled
        | LookupFailureKind::CircuitOpen => FailureKind::Listing,
    }
}
