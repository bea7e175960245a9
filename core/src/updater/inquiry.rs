//! What a run asks of registries, and what becomes of the answers.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::mem;

use super::run::{Phase, Run};
use super::{Updater, Work};
use crate::event::{Event, RunKind};
use crate::id::AppId;
use crate::lookup::{LookupState, candidates, facts_kind, platforms_of, sort_of};
use crate::registry::{
    FactsAnswer, ListingAnswer, LookupFailure, LookupFailureKind, Observation, Registry,
    RegistryOutcome, RepositoryId, WaiterId,
};
use crate::update::{ImagePlan, Need, Plan};

/// Images of one application that can wait at once: bits of a waiter's name.
const IMAGE_BITS: u32 = 12;

impl Updater {
    /// Asks for the listings of all images of the run's plan.
    pub(super) fn look_up(&mut self, id: AppId) {
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        let (kind, plan) = (run.kind, mem::replace(&mut run.plan, Plan::empty()));
        // What was decided by an earlier plan is not written.
        run.draft = None;
        run.commit = None;
        // An endpoint may have become usable since: whatever is looked up has its user.
        let repositories = self.retained_repositories(&plan);
        self.use_repositories(id, repositories);
        let lookups: Vec<LookupState> = (0..plan.images.len())
            .map(|idx| self.want_listing(id, kind, idx, &plan.images[idx]))
            .collect();
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let Some(run) = entry.run.as_mut() else {
            return;
        };
        run.plan = plan;
        run.lookups = lookups;
        run.phase = Phase::Listings;
        if run.awaits_listing() {
            // Whoever waits for what is shared holds no slot.
            run.has_slot = false;
            let key = entry.app.key.clone();
            self.schedule.give_slot(&key);
        } else {
            self.line.push_back(Work::Progress(id));
        }
    }

    fn want_listing(
        &mut self,
        id: AppId,
        kind: RunKind,
        idx: usize,
        image: &ImagePlan,
    ) -> LookupState {
        let repository = match self.repository_of(image) {
            Ok(Some(repository)) => repository,
            Ok(None) => return LookupState::NotNeeded,
            Err(failure) => return LookupState::Failed(failure),
        };
        if !needs_listing(&self.registry, image, repository) {
            return LookupState::ready(repository);
        }
        // A re-decision makes no call of its own for a list that is kept. Where the last call failed, that list
        // may be old, and what it names may be gone: nothing is written from it.
        if kind == RunKind::Redecision && self.registry.kept_listing(repository).is_some() {
            return match self.registry.listing_failure(repository) {
                Some(failure) => LookupState::Failed(failure.clone()),
                None => LookupState::ready(repository),
            };
        }
        match self
            .registry
            .want_listing(self.now, repository, waiter(id, idx))
        {
            ListingAnswer::Kept(_) => LookupState::ready(repository),
            ListingAnswer::Waiting => LookupState::Listing(repository),
            ListingAnswer::Failed(failure) => LookupState::Failed(failure.clone()),
        }
    }

    /// The repository of an image; `None` when the plan has nothing to look up for it.
    pub(super) fn repository_of(
        &mut self,
        image: &ImagePlan,
    ) -> Result<Option<RepositoryId>, LookupFailure> {
        if image.obstacle.is_some() {
            return Ok(None);
        }
        let (host, name) = (&image.entry.registry, &image.entry.name);
        self.registry
            .repository(host, name, image.pull_secret())
            .map(Some)
            .map_err(|error| LookupFailure {
                kind: LookupFailureKind::Unreachable,
                detail: error.to_string().into_boxed_str(),
            })
    }

    /// The registry room has news.
    pub(super) fn on_registry(&mut self, outcome: RegistryOutcome) {
        match outcome {
            RegistryOutcome::ListingFinished {
                repository,
                changed,
                result,
                waiters,
            } => {
                self.on_listing(repository, changed, &result, &waiters);
                match result {
                    Ok(()) => self.counts.listings += 1,
                    Err(_) => self.counts.listings_failed += 1,
                }
            }
            RegistryOutcome::FactsFinished {
                repository,
                tag,
                kind: _,
                result,
                waiters,
            } => {
                for waiter in waiters {
                    self.on_facts(waiter, repository, &tag, result.as_ref().err());
                }
            }
            // Another endpoint has the URL, or another credential is used: its series stay.
            RegistryOutcome::Observed(Observation::EndpointForgotten { ref endpoint })
                if self.registry.has_api_url(endpoint) => {}
            RegistryOutcome::Observed(Observation::RepositoryForgotten {
                ref endpoint,
                ref name,
            }) if self.config.metrics.has_scope && self.registry.has_repository(endpoint, name) => {
            }
            RegistryOutcome::CredentialFailed { .. }
            | RegistryOutcome::RequestSent { .. }
            | RegistryOutcome::RequestFinished { .. }
            | RegistryOutcome::Retried { .. }
            | RegistryOutcome::Observed(_)
            | RegistryOutcome::RetryRefused { .. }
            | RegistryOutcome::PaceChanged { .. }
            | RegistryOutcome::SlotsChanged { .. }
            | RegistryOutcome::QuotaCounted { .. }
            | RegistryOutcome::QuotaLow { .. }
            | RegistryOutcome::PortsExhausted { .. }
            | RegistryOutcome::PortsRecovered
            | RegistryOutcome::Throttled { .. }
            | RegistryOutcome::Stalled { .. }
            | RegistryOutcome::Reopened { .. }
            | RegistryOutcome::CircuitChanged { .. } => {
                self.events.push_back(Event::Registry(outcome));
            }
        }
    }

    fn on_listing(
        &mut self,
        repository: RepositoryId,
        changed: bool,
        result: &Result<(), LookupFailure>,
        waiters: &[WaiterId],
    ) {
        let mut served: Vec<AppId> = Vec::new();
        for waiter in waiters {
            let (id, idx) = parts(*waiter);
            let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
                continue;
            };
            let Some(lookup) = run.lookups.get_mut(idx) else {
                continue;
            };
            if *lookup != LookupState::Listing(repository) {
                continue;
            }
            *lookup = match result {
                Ok(()) => LookupState::ready(repository),
                Err(failure) => LookupState::Failed(failure.clone()),
            };
            // Waiters come in the order of their applications.
            if served.last() != Some(&id) {
                served.push(id);
            }
            if run.phase == Phase::Listings && !run.awaits_listing() {
                self.line.push_back(Work::Progress(id));
            }
        }
        if changed && result.is_ok() {
            let users: Vec<AppId> = self.apps.users(repository).collect();
            for id in users {
                if served.binary_search(&id).is_err() {
                    self.on_tags_changed(id);
                }
            }
        }
    }

    fn on_facts(
        &mut self,
        waiter: WaiterId,
        repository: RepositoryId,
        tag: &str,
        failure: Option<&LookupFailure>,
    ) {
        let (id, idx) = parts(waiter);
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        let Some(LookupState::Ready {
            repository: of,
            pending,
            failed,
        }) = run.lookups.get_mut(idx)
        else {
            return;
        };
        if *of != repository {
            return;
        }
        let Some(tag) = pending.take(tag) else {
            return;
        };
        if let Some(failure) = failure {
            failed.insert(tag, failure.clone());
        }
        if run.phase == Phase::Facts && !run.awaits_facts() {
            self.line.push_back(Work::Progress(id));
        }
    }

    /// A run's look-ups are in: fetch what is its own, or decide.
    pub(super) fn on_progress(&mut self, id: AppId) {
        let Some(entry) = self.apps.entry(id) else {
            return;
        };
        let Some(run) = &entry.run else { return };
        match run.phase {
            Phase::Listings if run.awaits_listing() => {}
            Phase::Listings if self.needs_facts(run) => {
                if self.has_or_requests_slot(id) {
                    self.fetch_facts(id);
                }
            }
            Phase::Facts if run.awaits_facts() => {}
            Phase::Facts if run.are_facts_outdated => self.fetch_facts(id),
            Phase::Listings | Phase::Facts => self.decide_run(id),
            Phase::Slot
            | Phase::InLine
            | Phase::Patching
            | Phase::Reading
            | Phase::Publishing
            | Phase::Answered => {}
        }
    }

    fn needs_facts(&self, run: &Run) -> bool {
        run.plan
            .images
            .iter()
            .zip(&run.lookups)
            .any(|(image, lookup)| match lookup {
                LookupState::Ready { repository, .. } => {
                    facts_kind(image, sort_of(&self.registry, *repository)).is_some()
                }
                LookupState::NotNeeded | LookupState::Listing(_) | LookupState::Failed(_) => false,
            })
    }

    /// Asks for the dates or digests of all candidates.
    pub(super) fn fetch_facts(&mut self, id: AppId) {
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        run.phase = Phase::Facts;
        run.are_facts_outdated = false;
        let mut lookups = mem::take(&mut run.lookups);
        let plan = mem::replace(&mut run.plan, Plan::empty());
        for (idx, (image, lookup)) in plan.images.iter().zip(&mut lookups).enumerate() {
            let LookupState::Ready {
                repository,
                pending,
                failed,
            } = lookup
            else {
                continue;
            };
            let Some(kind) = facts_kind(image, sort_of(&self.registry, *repository)) else {
                continue;
            };
            let platforms = platforms_of(image);
            let wanted: Vec<Box<str>> = candidates(&self.registry, image, *repository)
                .map(Box::from)
                .collect();
            for tag in wanted {
                let waiter = waiter(id, idx);
                match self.registry.want_facts(
                    self.now,
                    *repository,
                    &tag,
                    kind,
                    &platforms,
                    waiter,
                ) {
                    FactsAnswer::Known(_) => {}
                    FactsAnswer::Waiting => {
                        pending.insert(tag);
                    }
                    FactsAnswer::Failed(failure) => {
                        failed.insert(tag, failure.clone());
                    }
                }
            }
        }
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        run.plan = plan;
        run.lookups = lookups;
        if !run.awaits_facts() {
            self.line.push_back(Work::Progress(id));
        }
    }
}

/// True when an image is chosen from the whole list of tags.
fn needs_listing(registry: &Registry, image: &ImagePlan, repository: RepositoryId) -> bool {
    match image.need(sort_of(registry, repository)) {
        Some(Need::Tags | Need::Created) => true,
        Some(Need::Digest(_)) | None => false,
    }
}

/// Names the look-up of image `idx` of application `id`.
pub(super) fn waiter(id: AppId, idx: usize) -> WaiterId {
    let idx = u64::try_from(idx).expect("an index fits in 64 bits");
    WaiterId(id.0 << IMAGE_BITS | idx)
}

/// Whose look-up a waiter is.
pub(super) fn parts(waiter: WaiterId) -> (AppId, usize) {
    let idx = waiter.0 & ((1 << IMAGE_BITS) - 1);
    let idx = usize::try_from(idx).expect("a few bits fit in an index");
    (AppId(waiter.0 >> IMAGE_BITS), idx)
}
