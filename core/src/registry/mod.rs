//! Registries: where images are listed, and everything that is agreed with them over HTTP.
//!
//! Invariants: a repository is listed at most once per interval, for everybody (`design.md` 4.2);
//! requests in flight per endpoint never exceed the cap, and a slot is freed by the completion of its
//! request, not by a cancel (A9); nothing is sent to an endpoint inside its throttle window; a lookup
//! waits in its own endpoint's queue, so a sick registry is alone with its illness (4.3); what no
//! repository uses any more is forgotten (A11).

mod authorize;
pub mod backoff;
pub mod base64;
pub mod budget;
pub mod challenge;
pub mod conf;
mod conf_yaml;
pub mod credential;
mod credentials;
pub mod date;
pub mod digest;
pub mod endpoint;
mod exchange;
mod facts;
pub mod inspection;
mod job;
pub mod link;
pub mod listing;
pub mod login;
pub mod manifest;
pub mod outcome;
pub mod platform;
mod progress;
pub mod reply;
mod repository;
pub mod settings;
mod timers;
pub mod token;
pub mod url;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

pub use credential::{CredentialError, CredentialReference, CredentialSource, RegistryPrefix};
pub use endpoint::{Endpoint, EndpointError, EndpointId, EndpointTable};
pub use inspection::{FactsKind, TagFacts};
pub use listing::Listing;
pub use outcome::{LookupFailure, LookupFailureKind, RegistryOutcome, RequestEnd, WaiterId};
pub use platform::PlatformKeySet;
pub use repository::RepositoryId;
pub use settings::{EndpointSettings, RegistrySettings};

use crate::id::OpId;
use crate::keyed::Seed;
use crate::time::{Now, Time};
use credentials::{CredentialCache, CredentialKey};
use exchange::{Operation, Work};
use facts::{FactsKey, FactsPlan, FactsStore};
use job::{FactsTask, Job, JobId, ListingTask, Stage, Task};
use listing::ListingBuilder;
use repository::{ListingPlan, Repository, RepositoryKey};
use timers::{Timer, Timers};

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
    Known(&'a TagFacts),
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
    /// An idle room. `seed` moves the jitter of backoffs.
    pub fn new(settings: RegistrySettings, seed: Seed) -> Self {
        Self {
            endpoints: EndpointTable::new(&settings),
            facts: FactsStore::new(settings.facts_max.max(1)),
            settings,
            seed,
            now: Now::default(),
            repositories: BTreeMap::new(),
            repository_ids: BTreeMap::new(),
            unretained: BTreeSet::new(),
            next_repository: 0,
            credentials: CredentialCache::default(),
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
        }
    }

    /// The id of a repository: endpoint, name on the wire, credential source. The image's own
    /// credential replaces the endpoint's (`registry.md` 4.4, D-32).
    ///
    /// An id that is not [retained](Self::retain) and has nothing under way may be forgotten at the
    /// next call of this method.
    ///
    /// # Errors
    /// [`EndpointError`] when no endpoint serves the image, or its name breaks the grammar.
    pub fn repository(
        &mut self,
        host: &str,
        image_name: &str,
        pull_secret: Option<&CredentialSource>,
    ) -> Result<RepositoryId, EndpointError> {
        self.sweep_unretained();
        let endpoint = self.endpoints.select(host, image_name)?;
        let named = self.endpoints[endpoint].repository_name(image_name);
        let name = match named {
            Ok(name) => name,
            Err(error) => {
                self.endpoints.drop_unused(endpoint);
                return Err(error);
            }
        };
        let own = &self.endpoints[endpoint].settings().credentials;
        let key = RepositoryKey {
            endpoint,
            name,
            source: pull_secret.or(own.as_ref()).cloned(),
        };
        if let Some(id) = self.repository_ids.get(&key) {
            return Ok(*id);
        }
        let id = RepositoryId(self.next_repository);
        self.next_repository += 1;
        self.endpoints[endpoint].n_repositories += 1;
        if let Some(source) = &key.source {
            self.credentials.retain((endpoint, source.clone()));
        }
        self.repository_ids.insert(key.clone(), id);
        self.repositories.insert(id, Repository::new(key));
        self.unretained.insert(id);
        Ok(id)
    }

    /// Counts a user of the repository.
    pub fn retain(&mut self, id: RepositoryId) {
        self.repository_mut(id).n_users += 1;
        self.unretained.remove(&id);
    }

    /// Counts a user off; with the last one everything about the repository is forgotten, and what is
    /// under way for it is cancelled (A11).
    ///
    /// # Panics
    /// When there is no user to count off.
    pub fn release(&mut self, id: RepositoryId) {
        let repository = self.repository_mut(id);
        assert!(repository.n_users > 0, "a release follows its retain");
        repository.n_users -= 1;
        if repository.n_users == 0 {
            self.drop_repository(id);
        }
    }

    /// The endpoint that serves the repository.
    pub fn endpoint_of(&self, id: RepositoryId) -> &Endpoint {
        &self.endpoints[self.repositories[&id].key.endpoint]
    }

    /// The repository's name on the wire.
    pub fn name_of(&self, id: RepositoryId) -> &str {
        &self.repositories[&id].key.name
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
                if let Err(place) = waiters.binary_search(&waiter) {
                    waiters.insert(place, waiter);
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

    /// Asks what is to be known about a tag. Facts of kind [`FactsKind::Digest`] hold for one interval,
    /// those of kind [`FactsKind::Created`] for an hour, both only while the tag is listed.
    ///
    /// # Panics
    /// When the repository is not known.
    pub fn want_facts(
        &mut self,
        now: Now,
        id: RepositoryId,
        tag: &str,
        kind: FactsKind,
        platforms: &PlatformKeySet,
        waiter: WaiterId,
    ) -> FactsAnswer<'_> {
        self.note_time(now);
        let key = FactsKey {
            repository: id,
            tag: tag.into(),
            kind,
            platforms: platforms.clone(),
        };
        let age_max = match kind {
            FactsKind::Digest => self.settings.interval,
            FactsKind::Created => self.settings.created_age_max,
        };
        let (interval, once) = (self.settings.interval, self.settings.once);
        let entry = self.facts.entry(&key);
        let plan = entry.plan(self.now.mono, interval, age_max, once);
        match plan {
            FactsPlan::Keep | FactsPlan::Fail => {}
            FactsPlan::Join | FactsPlan::Start => {
                if let Err(place) = entry.waiters.binary_search(&waiter) {
                    entry.waiters.insert(place, waiter);
                }
            }
        }
        if plan == FactsPlan::Start {
            self.start_facts(&key);
        }
        let entry = self.facts.find(&key).expect("the entry was made above");
        match (plan, &entry.kept, &entry.failure) {
            (FactsPlan::Keep, Some(facts), _) => FactsAnswer::Known(facts),
            (FactsPlan::Fail, _, Some(failure)) => FactsAnswer::Failed(failure),
            _ => FactsAnswer::Waiting,
        }
    }

    /// What is kept about a tag, however old; for decisions that are no check, and for explanations.
    pub fn kept_facts(
        &self,
        id: RepositoryId,
        tag: &str,
        kind: FactsKind,
        platforms: &PlatformKeySet,
    ) -> Option<&TagFacts> {
        let key = FactsKey {
            repository: id,
            tag: tag.into(),
            kind,
            platforms: platforms.clone(),
        };
        self.facts.find(&key)?.kept.as_ref()
    }

    /// The next thing that happened.
    pub fn poll_outcome(&mut self) -> Option<RegistryOutcome> {
        self.outcomes.pop_front()
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
            }
        }
    }

    /// True when nothing is under way and nobody waits.
    pub fn is_quiescent(&self) -> bool {
        self.jobs.is_empty() && self.ops.is_empty() && self.timers.len() == 0
    }

    /// Bytes held, by what they are held for.
    pub fn footprint(&self) -> RegistryFootprint {
        let repositories: usize = self.repositories.values().map(Repository::footprint).sum();
        RegistryFootprint {
            listings: self.listing_bytes,
            facts: self.facts.footprint(),
            rest: repositories
                + self.endpoints.iter().count() * size_of::<Endpoint>()
                + self.jobs.len() * size_of::<Job>()
                + self.ops.len() * size_of::<Operation>()
                + self.credentials.len() * size_of::<CredentialKey>(),
        }
    }

    /// Counts everything anew and names the first counter that is wrong (S16).
    ///
    /// # Errors
    /// A sentence about the difference.
    pub fn recount(&self) -> Result<(), String> {
        for (id, endpoint) in self.endpoints.iter() {
            let own = || {
                self.ops.values().filter(move |operation| {
                    operation.endpoint == id && matches!(operation.work, Work::Exchange(_))
                })
            };
            let (n_ops, n_stalled) = (own().count(), own().filter(|op| op.is_stalled()).count());
            let n_repositories = self
                .repositories
                .values()
                .filter(|one| one.key.endpoint == id)
                .count();
            let pairs = [
                ("in flight", endpoint.n_in_flight, n_ops),
                ("stalled", endpoint.n_stalled, n_stalled),
                ("repositories", endpoint.n_repositories, n_repositories),
            ];
            for (what, counted, found) in pairs {
                if usize::try_from(counted) != Ok(found) {
                    return Err(format!(
                        "{}: {what}: {counted}, not {found}",
                        endpoint.api_url
                    ));
                }
            }
            if endpoint.n_in_flight > self.settings.in_flight_max {
                return Err(format!("{}: over the cap", endpoint.api_url));
            }
        }
        let kept = || {
            self.repositories
                .values()
                .filter_map(|one| one.listing.as_ref())
        };
        let bytes: usize = kept().map(|listing| listing.footprint()).sum();
        if bytes != self.listing_bytes || kept().count() != self.listing_order.len() {
            return Err(format!(
                "listings: {} bytes, not {bytes}",
                self.listing_bytes
            ));
        }
        let n_lookups = self
            .repositories
            .values()
            .map(|one| {
                usize::from(one.listing_job.is_some()) + usize::from(one.token_job.is_some())
            })
            .sum::<usize>()
            + self
                .facts
                .iter()
                .filter(|(_, entry)| entry.job.is_some())
                .count();
        if n_lookups != self.jobs.len() {
            return Err(format!("lookups: {}, not {n_lookups}", self.jobs.len()));
        }
        Ok(())
    }

    /// Time never runs backwards inside (A2).
    fn note_time(&mut self, now: Now) {
        if now.mono >= self.now.mono {
            self.now = now;
        }
    }

    fn repository_mut(&mut self, id: RepositoryId) -> &mut Repository {
        self.repositories
            .get_mut(&id)
            .expect("a repository is used while it is retained")
    }

    fn start_listing(&mut self, id: RepositoryId) {
        self.timers.disarm(Timer::Listing(id));
        let now = self.now;
        let tags_max = self.settings.tags_max;
        let repository = self.repository_mut(id);
        repository.started = Some(now.mono);
        let name = repository.key.name.clone();
        let api_url = &self.endpoints[self.repositories[&id].key.endpoint].api_url;
        let url = url::join_api(api_url, &format!("/v2/{name}/tags/list"));
        let task = ListingTask {
            url,
            seen: BTreeSet::new(),
            builder: ListingBuilder::new(now, tags_max),
        };
        let job = self.add_job(Job::new(id, Task::Listing(Box::new(task))));
        self.repository_mut(id).listing_job = Some(job);
        self.admit(job);
    }

    fn start_facts(&mut self, key: &FactsKey) {
        let now = self.now.mono;
        let entry = self.facts.find_mut(key).expect("the entry was just made");
        entry.started = Some(now);
        // The digest alone is worth asking for when there is something that it can confirm.
        let stage = if entry.kept.is_some() {
            Stage::Head
        } else {
            Stage::Tag
        };
        let task = FactsTask {
            key: key.clone(),
            stage,
            inspection: inspection::Inspection::new(key.kind, key.platforms.clone()),
        };
        let job = self.add_job(Job::new(key.repository, Task::Facts(Box::new(task))));
        let entry = self.facts.find_mut(key).expect("the entry was just made");
        entry.job = Some(job);
        self.admit(job);
    }

    fn add_job(&mut self, job: Job) -> JobId {
        let id = JobId(self.next_job);
        self.next_job += 1;
        self.jobs.insert(id, job);
        id
    }

    fn sweep_unretained(&mut self) {
        let idle: Vec<RepositoryId> = self
            .unretained
            .iter()
            .copied()
            .filter(|id| {
                let one = &self.repositories[id];
                one.listing_job.is_none()
                    && one.waiters.is_empty()
                    && one.token_job.is_none()
                    && !self.facts.has_job(*id)
            })
            .collect();
        for id in idle {
            self.drop_repository(id);
        }
    }

    fn drop_repository(&mut self, id: RepositoryId) {
        self.unretained.remove(&id);
        self.timers.disarm(Timer::Listing(id));
        let mut jobs = self.facts.remove_repository(id);
        let Some(repository) = self.repositories.remove(&id) else {
            return;
        };
        jobs.extend(repository.listing_job);
        jobs.extend(repository.token_job);
        for job in jobs {
            self.abandon(job);
        }
        if let Some(listing) = &repository.listing {
            self.listing_bytes -= listing.footprint();
            self.listing_order.remove(&repository.used);
        }
        self.repository_ids.remove(&repository.key);
        let endpoint = repository.key.endpoint;
        if let Some(source) = repository.key.source {
            self.credentials.release(&(endpoint, source));
        }
        self.endpoints[endpoint].n_repositories -= 1;
        self.forget_endpoint_if_unused(endpoint);
    }

    fn forget_endpoint_if_unused(&mut self, id: EndpointId) {
        self.endpoints.drop_unused(id);
        if self.endpoints.find_mut(id).is_none() {
            self.timers.disarm(Timer::Endpoint(id));
            self.sendable.remove(&id);
        }
    }

    /// Marks the listing as just used, so that it is the last to go.
    fn touch_listing(&mut self, id: RepositoryId) {
        self.listing_clock += 1;
        let clock = self.listing_clock;
        let repository = self.repository_mut(id);
        let before = core::mem::replace(&mut repository.used, clock);
        self.listing_order.remove(&before);
        self.listing_order.insert(clock, id);
    }

    /// Keeps a listing, and lets others go where memory is short.
    fn keep_listing(&mut self, id: RepositoryId, listing: Listing) {
        let bytes = listing.footprint();
        let repository = self.repository_mut(id);
        let replaced = repository.listing.replace(Box::new(listing));
        self.listing_bytes += bytes;
        if let Some(replaced) = replaced {
            self.listing_bytes -= replaced.footprint();
        }
        self.touch_listing(id);
        while self.listing_bytes > self.settings.listing_bytes_max && self.listing_order.len() > 1 {
            let Some((_, oldest)) = self.listing_order.pop_first() else {
                break;
            };
            if let Some(gone) = self.repository_mut(oldest).listing.take() {
                self.listing_bytes -= gone.footprint();
            }
        }
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
