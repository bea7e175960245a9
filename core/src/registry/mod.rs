//! Registries: where images are listed, and everything that is agreed with them over HTTP.
//!
//! Invariants: a repository is listed at most once per interval, for everybody (`design.md` 4.2);
//! requests in flight per endpoint never exceed the cap, and a slot is freed by the completion of its
//! request, not by a cancel (A9); nothing is sent for an account, or to an endpoint, inside its throttle
//! window; a lookup waits in its own endpoint's line, so a sick registry is alone with its illness (4.3); what no
//! repository uses any more is forgotten (A11).

mod admission;
mod attempt;
mod audit;
mod authorize;
pub mod backoff;
pub mod base64;
mod bearer;
mod breaker;
pub mod budget;
pub mod challenge;
mod circuit;
mod condition;
pub mod conf;
mod conf_problem;
mod conf_yaml;
mod credentials;
mod denial;
pub mod digest;
mod draft;
mod echo;
pub mod endpoint;
mod exchange;
mod fact_table;
mod facts;
pub mod inspection;
mod job;
pub mod link;
pub mod listing;
pub mod login;
pub mod manifest;
pub mod observation;
pub mod outcome;
mod packed_chunk;
mod packed_facts;
mod page_size;
mod paging;
mod pem;
pub mod ping;
pub mod platform;
mod ports;
mod progress;
mod reload;
pub mod reply;
mod repository;
mod revalidation;
mod roll;
pub mod settings;
pub mod table;
mod throttle;
mod timers;
pub mod token;
mod tokens;
pub mod url;
mod walks;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::time::Duration;

pub use circuit::CircuitState;
pub use denial::CircuitView;
pub use endpoint::{Endpoint, EndpointError, EndpointId};
pub use inspection::{FactsKind, KnownFacts, TagFacts};
pub use listing::Listing;
pub use observation::{Observation, RequestKind, SharedKind, SharedLookups, TokenSubject};
pub use outcome::{Held, LookupFailure, LookupFailureKind, RegistryOutcome, RequestEnd, WaiterId};
pub use platform::PlatformKeySet;
pub use reload::Reload;
pub use repository::RepositoryId;
pub use settings::{EndpointSettings, RegistrySettings};
pub use table::{EndpointTable, ReloadCounts};

use crate::health::PortExhaustion;
use crate::id::OpId;
use crate::keyed::Seed;
use crate::time::{Now, Time};
use breaker::Breaker;
use credentials::{CredentialCache, CredentialKey};
use exchange::Operation;
use facts::{FactsStore, TableKey};
use job::{Job, JobId, ListingTask, Task};
use listing::ListingBuilder;
use repository::{ListingPlan, Repository, RepositoryKey};
use timers::{Timer, Timers};
use tokens::TokenStore;

/// Most observations that wait for a reader; further ones are dropped, which harms nobody.
const OBSERVATIONS_MAX: usize = 10_000;

/// Everything about registries. The owner hands in facts and takes out effects and outcomes.
#[derive(Debug)]
pub struct Registry {
    settings: RegistrySettings,
    seed: Seed,
    now: Now,
    endpoints: EndpointTable,
    repositories: BTreeMap<RepositoryId, Repository>,
    repository_ids: BTreeMap<RepositoryKey, RepositoryId>,
    /// Handed out and not retained yet.
    unretained: BTreeSet<RepositoryId>,
    next_repository: u32,
    facts: FactsStore,
    credentials: CredentialCache,
    tokens: TokenStore,
    breaker: Breaker,
    jobs: BTreeMap<JobId, Job>,
    next_job: u64,
    ops: BTreeMap<OpId, Operation>,
    timers: Timers,
    /// Endpoints that may have something to send.
    sendable: BTreeSet<EndpointId>,
    cancels: VecDeque<OpId>,
    reads: VecDeque<CredentialKey>,
    outcomes: VecDeque<RegistryOutcome>,
    /// Kept listings in the order of their use.
    listing_order: BTreeMap<u64, RepositoryId>,
    listing_clock: u64,
    listing_bytes: usize,
    ports: PortExhaustion,
    /// As it was told last.
    are_ports_exhausted: bool,
    /// Why the last tag that there was no room for was not looked up.
    turned_away: Option<Box<LookupFailure>>,
    shared: SharedLookups,
}

/// The answer to a check that wants a listing.
#[derive(Debug)]
pub enum ListingAnswer<'a> {
    /// This one is fresh.
    Kept(&'a Listing),
    /// [`RegistryOutcome::ListingFinished`] will name the waiter.
    Waiting,
    /// The last listing failed for this reason, and the next is not due yet.
    Failed(&'a LookupFailure),
}

/// The answer to a check that wants to know about a tag.
#[derive(Debug)]
pub enum FactsAnswer<'a> {
    /// These hold.
    Known(KnownFacts<'a>),
    /// [`RegistryOutcome::FactsFinished`] will name the waiter.
    Waiting,
    /// The last lookup failed for this reason, and the next is not due yet.
    Failed(&'a LookupFailure),
}

/// Bytes held by the registry room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RegistryFootprint {
    /// Kept listings.
    pub listings: usize,
    /// Facts of tags.
    pub facts: usize,
    /// Repositories, endpoints, lookups under way.
    pub rest: usize,
}

impl Registry {
    /// An idle room. `seed` moves the jitter of backoffs. An interval below a second counts as one, so that
    /// no answer is stale before it is read.
    pub fn new(mut settings: RegistrySettings, seed: Seed) -> Self {
        settings.interval = settings.interval.max(Duration::from_secs(1));
        Self {
            endpoints: EndpointTable::new(&settings),
            facts: FactsStore::new(
                settings.facts_bytes_max,
                settings.interval.saturating_mul(2),
            ),
            ports: PortExhaustion::new(
                settings.port_exhaustion_window,
                settings.port_exhaustion_threshold,
            ),
            are_ports_exhausted: false,
            settings,
            seed,
            now: Now::default(),
            repositories: BTreeMap::new(),
            repository_ids: BTreeMap::new(),
            unretained: BTreeSet::new(),
            next_repository: 0,
            credentials: CredentialCache::default(),
            tokens: TokenStore::default(),
            breaker: Breaker::default(),
            jobs: BTreeMap::new(),
            next_job: 0,
            ops: BTreeMap::new(),
            timers: Timers::default(),
            sendable: BTreeSet::new(),
            cancels: VecDeque::new(),
            reads: VecDeque::new(),
            outcomes: VecDeque::new(),
            listing_order: BTreeMap::new(),
            listing_clock: 0,
            listing_bytes: 0,
            turned_away: None,
            shared: SharedLookups::default(),
        }
    }

    /// Asks for the repository's tag list (`design.md` 4.2): the kept listing when it is fresh, else the
    /// next one, which is shared by all who wait and starts when it is due.
    pub fn want_listing(
        &mut self,
        now: Now,
        id: RepositoryId,
        waiter: WaiterId,
    ) -> ListingAnswer<'_> {
        self.note_time(now);
        let (interval, once) = (self.settings.interval, self.settings.once);
        let mono = self.now.mono;
        let plan = self.repository_mut(id).plan(mono, interval, once);
        match plan {
            ListingPlan::Keep => self.touch_listing(id),
            ListingPlan::Fail => {}
            ListingPlan::Join | ListingPlan::WaitUntil(_) | ListingPlan::Start => {
                let waiters = &mut self.repository_mut(id).waiters;
                let is_first = waiters.is_empty();
                if let Err(place) = waiters.binary_search(&waiter) {
                    waiters.insert(place, waiter);
                }
                // The first one who waits for the next listing leads it.
                if plan == ListingPlan::Join || (plan != ListingPlan::Start && !is_first) {
                    self.shared.on_follower(SharedKind::Tags);
                }
            }
        }
        match plan {
            ListingPlan::WaitUntil(due) => self.timers.arm(Timer::Listing(id), due),
            ListingPlan::Start => self.start_listing(id),
            ListingPlan::Keep | ListingPlan::Fail | ListingPlan::Join => {}
        }
        let repository = &self.repositories[&id];
        match (plan, &repository.listing, &repository.failure) {
            (ListingPlan::Keep, Some(listing), _) => ListingAnswer::Kept(listing),
            (ListingPlan::Fail, _, Some(failure)) => ListingAnswer::Failed(failure),
            _ => ListingAnswer::Waiting,
        }
    }

    /// The last complete listing, however old; for decisions that are no check, and for explanations.
    pub fn kept_listing(&self, id: RepositoryId) -> Option<&Listing> {
        self.repositories.get(&id)?.listing.as_deref()
    }

    /// Why the last listing failed, if it did.
    pub fn listing_failure(&self, id: RepositoryId) -> Option<&LookupFailure> {
        self.repositories.get(&id)?.failure.as_ref()
    }

    /// What is kept about a tag, however old; for decisions that are no check, and for explanations.
    pub fn kept_facts(
        &self,
        id: RepositoryId,
        tag: &str,
        kind: FactsKind,
        platforms: &PlatformKeySet,
    ) -> Option<KnownFacts<'_>> {
        let key = TableKey {
            repository: id,
            kind,
            platforms: platforms.clone(),
        };
        self.facts.find(&key, tag)?.kept()
    }

    /// The next thing that happened.
    pub fn poll_outcome(&mut self) -> Option<RegistryOutcome> {
        if let Some(outcome) = self.outcomes.pop_front() {
            return Some(outcome);
        }
        let endpoint = self.endpoints.take_forgotten()?;
        let gone = Observation::EndpointForgotten { endpoint };
        Some(RegistryOutcome::Observed(gone))
    }

    /// True when [`Self::poll_outcome`] has something; also [`Self::poll_effect`] may bring that about.
    pub fn has_outcome(&self) -> bool {
        !self.outcomes.is_empty()
    }

    /// When [`Self::handle_timeout`] is to be called. Every other method may change it.
    pub fn next_wakeup(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Does what is due at `now`; nothing before.
    pub fn handle_timeout(&mut self, now: Now) {
        self.note_time(now);
        while let Some(timer) = self.timers.take_due(self.now.mono) {
            match timer {
                Timer::Endpoint(id) => self.on_endpoint_due(id),
                Timer::Listing(id) => {
                    let is_wanted = self
                        .repositories
                        .get(&id)
                        .is_some_and(|one| one.listing_job.is_none() && !one.waiters.is_empty());
                    if is_wanted {
                        self.start_listing(id);
                    }
                }
                Timer::Job(id) => self.enqueue_begun(id),
                Timer::Op(op) => self.on_overdue(op),
                Timer::Ports => self.on_ports_due(),
            }
        }
    }

    /// True when nothing is under way and nobody waits.
    pub fn is_quiescent(&self) -> bool {
        self.jobs.is_empty() && self.ops.is_empty() && self.timers.len() == 0
    }

    /// Requests and credential reads that are not answered yet.
    pub fn n_operations(&self) -> usize {
        self.ops.len()
    }

    /// Time never runs backwards inside (A2).
    fn note_time(&mut self, now: Now) {
        if now.mono >= self.now.mono {
            self.now = now;
        }
    }

    fn start_listing(&mut self, id: RepositoryId) {
        self.timers.disarm(Timer::Listing(id));
        self.shared.on_leader(SharedKind::Tags);
        let now = self.now;
        let tags_max = self.settings.tags_max;
        let repository = self.repository_mut(id);
        repository.started = Some(now.mono);
        let is_large = repository.page_size.is_large();
        let validator = repository.validator.as_ref();
        let task = ListingTask {
            is_conditional: validator.is_some_and(|validator| validator.is_good(now.mono)),
            has_condition: false,
            is_large,
            url: self.listing_url(id, is_large),
            seen: BTreeSet::new(),
            builder: ListingBuilder::new(now, tags_max),
        };
        let job = self.add_job(Job::new(id, Task::Listing(Box::new(task))));
        self.repository_mut(id).listing_job = Some(job);
        self.admit(job);
    }

    fn add_job(&mut self, job: Job) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(id, job);
        id
    }

    fn observe(&mut self, outcome: RegistryOutcome) {
        if self.outcomes.len() < OBSERVATIONS_MAX {
            self.outcomes.push_back(outcome);
        }
    }

    /// How long a failed credential is not read again.
    fn credential_retry_after(&self) -> Duration {
        (self.settings.interval / 2).min(Duration::from_mins(1))
    }
}

#[cfg(test)]
mod tests;
