//! How the look-ups of a run are handed to the decision.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};

use super::run::LookupState;
use crate::image::TagListSort;
use crate::registry;
use crate::registry::{
    FactsKind, Listing, LookupFailureKind, PlatformKeySet, Registry, RepositoryId,
};
use crate::time::UnixTime;
use crate::update::{FailureKind, ImagePlan, Lookup, Need, TagFacts, TagListing};

/// Said of a listing that went while its facts were fetched.
const EVICTED: &str = "the list of tags had to make room for others before it was decided upon; \
                       the next check reads it again";

/// What was found for one image, in the form in which it is decided upon.
pub(super) enum Found<'a> {
    /// There was nothing to look up.
    Absent,
    /// It failed.
    Failed(FailureKind, &'a str),
    /// Tags, with what is known of some of them.
    Tags(Tags<'a>),
}

impl Found<'_> {
    /// The form that [`crate::update::decide`] takes.
    pub(super) fn to_lookup(&self) -> Lookup<'_> {
        match self {
            Self::Absent => Lookup::Absent,
            Self::Failed(kind, detail) => Lookup::Failed(*kind, detail),
            Self::Tags(tags) => Lookup::Tags(tags),
        }
    }
}

/// The tags of a repository with the facts that one image's strategy needs.
pub(super) struct Tags<'a> {
    names: Names<'a>,
    sort: TagListSort,
    facts: BTreeMap<&'a str, Fact>,
}

/// Where the names come from.
enum Names<'a> {
    /// The listing.
    Listed(&'a Listing),
    /// One tag was asked for by name; there it is, or not.
    Single(Option<&'a str>),
}

enum Fact {
    Known {
        created: Option<UnixTime>,
        digest: String,
    },
    NotUsable,
    Failed,
}

/// Collects what was found for `image`.
pub(super) fn found<'a>(
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
        for name in candidates(registry, image, repository) {
            // What failed just now is not answered with what was known before.
            let fact = match failed.get(name) {
                Some(failure) if failure.kind == LookupFailureKind::Missing => Fact::NotUsable,
                Some(_) => Fact::Failed,
                None => registry
                    .kept_facts(repository, name, kind, &platforms)
                    .map_or(Fact::Failed, Fact::from),
            };
            tags.facts.insert(name, fact);
        }
    }
    Found::Tags(tags)
}

/// The tags of which facts are needed: candidates of the filter, or the one tag that is followed.
pub(super) fn candidates<'a>(
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
pub(super) fn facts_kind(image: &ImagePlan, sort: TagListSort) -> Option<FactsKind> {
    match image.need(sort) {
        Some(Need::Created) => Some(FactsKind::Created),
        Some(Need::Digest(_)) => Some(FactsKind::Digest),
        Some(Need::Tags) | None => None,
    }
}

/// What the order of a repository's tags means.
pub(super) fn sort_of(registry: &Registry, repository: RepositoryId) -> TagListSort {
    registry.endpoint_of(repository).tag_sort_mode()
}

/// The platforms that an image wants, as the registry room keys its facts.
pub(super) fn platforms_of(image: &ImagePlan) -> PlatformKeySet {
    PlatformKeySet::new(image.options.platforms.keys())
}

impl From<&registry::TagFacts> for Fact {
    fn from(facts: &registry::TagFacts) -> Self {
        match facts {
            registry::TagFacts::Usable { digest, created } => Self::Known {
                created: *created,
                digest: digest.to_string(),
            },
            // A tag that is broken for good takes no part: it must not hold the others back for ever.
            registry::TagFacts::OtherPlatform { .. } | registry::TagFacts::Unusable { .. } => {
                Self::NotUsable
            }
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
            Some(Fact::NotUsable) => TagFacts::NotUsable,
            Some(Fact::Failed) | None => TagFacts::Failed,
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
        | LookupFailureKind::Malformed
        | LookupFailureKind::Overflow
        | LookupFailureKind::Stalled => FailureKind::Listing,
    }
}
