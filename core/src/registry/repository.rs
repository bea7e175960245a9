//! A repository on a registry, as seen with one credential: its listing, its clock, its token.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::budget::account::AccountId;
use super::challenge::Challenge;
use super::condition::Validator;
use super::endpoint::EndpointId;
use super::job::JobId;
use super::listing::Listing;
use super::outcome::{LookupFailure, WaiterId};
use super::page_size::PageSize;
use super::revalidation::Revalidation;
use super::tokens::TokenId;
use crate::credential::CredentialSource;
use crate::time::Time;

/// Names a repository within one core; never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RepositoryId(pub(super) u32);

/// What makes two lookups one: credentials are part of it (D-03).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct RepositoryKey {
    pub(super) endpoint: EndpointId,
    /// The endpoint's when the repository was met.
    pub(super) epoch: u32,
    /// The name on the wire.
    pub(super) name: Box<str>,
    pub(super) source: Option<CredentialSource>,
}

/// The state of a repository.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) key: RepositoryKey,
    /// Whose limits hold for it at its endpoint.
    pub(super) account: AccountId,
    /// How many users hold it.
    pub(super) n_users: u32,
    /// The last complete listing, unless memory was short.
    pub(super) listing: Option<Box<Listing>>,
    /// Of the last complete listing, also when it is no longer kept.
    pub(super) fingerprint: Option<u64>,
    /// What the next listing may be conditioned on; only of use while the listing is kept.
    pub(super) validator: Option<Box<Validator>>,
    /// How its list is paged.
    pub(super) page_size: PageSize,
    /// Servers that do not tell the digest alone are not asked to.
    pub(super) is_head_in_vain: bool,
    /// Place of the listing in the order of use.
    pub(super) used: u64,
    /// When the last listing was started.
    pub(super) started: Option<Time>,
    /// Why the last listing failed, if it did.
    pub(super) failure: Option<LookupFailure>,
    /// The listing under way.
    pub(super) listing_job: Option<JobId>,
    /// Who waits for the listing under way, or for the one that is due soon.
    pub(super) waiters: Vec<WaiterId>,
    /// Set when it differs from the endpoint's.
    pub(super) challenge: Option<Arc<Challenge>>,
    /// The token it uses.
    pub(super) token: Option<TokenId>,
    /// Fingerprint of the login it was last looked up with; 0 is nobody's.
    pub(super) login: Option<u64>,
    /// Of the login that was refused, until it is accepted.
    pub(super) refused: Option<u64>,
    /// Of the login by which its listing and facts were learnt.
    pub(super) learnt: Option<u64>,
    /// How many of its old facts were asked for again lately.
    pub(super) revalidation: Revalidation,
}

/// What a check that wants the listing is to do (`design.md` 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ListingPlan {
    /// The kept one is fresh.
    Keep,
    /// The last one failed, and the next is not due yet.
    Fail,
    /// One is under way.
    Join,
    /// The next one is due soon: wait for it.
    WaitUntil(Time),
    /// Start one.
    Start,
}

impl Repository {
    pub(super) fn new(key: RepositoryKey, account: AccountId) -> Self {
        Self {
            key,
            account,
            n_users: 0,
            listing: None,
            fingerprint: None,
            validator: None,
            page_size: PageSize::default(),
            is_head_in_vain: false,
            used: 0,
            started: None,
            failure: None,
            listing_job: None,
            waiters: Vec::new(),
            challenge: None,
            token: None,
            login: None,
            refused: None,
            learnt: None,
            revalidation: Revalidation::default(),
        }
    }

    /// A listing is due one interval after the last one started. A check joins the next one when that
    /// is due within a tenth of the interval or overdue.
    pub(super) fn plan(&self, now: Time, interval: Duration, once: bool) -> ListingPlan {
        if self.listing_job.is_some() {
            return ListingPlan::Join;
        }
        let Some(started) = self.started else {
            return ListingPlan::Start;
        };
        let has_answer = self.failure.is_none() && self.listing.is_some();
        if once && has_answer {
            return ListingPlan::Keep;
        }
        let due = started.after(interval);
        if due <= now {
            ListingPlan::Start
        } else if due.since(now) <= interval / 10 {
            ListingPlan::WaitUntil(due)
        } else if has_answer {
            ListingPlan::Keep
        } else if self.failure.is_some() {
            ListingPlan::Fail
        } else {
            // Memory was short and the listing went: there is nothing to answer with.
            ListingPlan::Start
        }
    }

    /// Bytes that it owns beside its own record.
    pub(super) fn footprint(&self) -> usize {
        // Its name stands once here and once in the index by name.
        2 * self.key.name.len()
            + self.waiters.capacity() * size_of::<WaiterId>()
            + self.validator.as_deref().map_or(0, Validator::footprint)
    }
}
