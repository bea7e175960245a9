//! How runs begin, go on, and end.

use alloc::boxed::Box;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::lookup::{Found, candidates, facts_kind, found, platforms_of, sort_of};
use super::run::{Attempts, Draft, LookupState, Phase, Run, RunKind};
use super::{Updater, Work};
use crate::event::{Event, RunEnd};
use crate::explain::{ImageReport, LastRun};
use crate::id::{AppId, AppKey};
use crate::patch::ANSWER_GRACE;
use crate::registry::{
    FactsAnswer, ListingAnswer, LookupFailure, LookupFailureKind, Registry, RegistryOutcome,
    RepositoryId, WaiterId,
};
use crate::schedule::{Grant, Outcome};
use crate::update::{Counters, Decision, ImagePlan, Need, Plan, Refusal, WriteBack, decide};

/// Images of one application that can wait at once: bits of a waiter's name.
const IMAGE_BITS: u32 = 12;

impl Updater {
    /// Starts what the scheduler grants. True when something was started.
    pub(super) fn start_granted(&mut self, budget: &mut usize) -> bool {
        let mut moved = false;
        while *budget > 0 {
            let grant = self.schedule.poll_grant(self.now.mono);
            // A pass is told to begin before its checks are, and to end in the call that ends it.
            while let Some(event) = self.schedule.poll_event() {
                self.events.push_back(Event::Schedule(event));
            }
            let Some(grant) = grant else { break };
            moved = true;
            *budget -= 1;
            match grant {
                Grant::Start { key, is_warmup } => self.on_granted(&key, is_warmup),
                Grant::Resume { key } => self.on_resumed(&key),
            }
        }
        moved
    }

    fn on_granted(&mut self, key: &AppKey, is_warmup: bool) {
        let kind = if is_warmup {
            RunKind::Warmup
        } else {
            RunKind::Check
        };
        let id = self
            .apps
            .id(key)
            .expect("the scheduler starts only what exists");
        self.events.push_back(Event::CheckStarted {
            key: key.clone(),
            is_warmup,
        });
        let entry = self
            .apps
            .entry_mut(id)
            .expect("an id from the index is in the index");
        match &mut entry.run {
            // A re-decision that is writing comes to its end first.
            Some(run)
                if matches!(
                    run.phase,
                    Phase::InLine | Phase::Patching | Phase::Reading | Phase::Answered
                ) =>
            {
                run.check_follows = Some(kind);
            }
            // One that still looks things up gives way.
            Some(_) | None => {
                self.end_run(id);
                self.begin_run(id, kind);
            }
        }
    }

    /// True when a run has its slot. Otherwise it asks for one, and goes on when it is granted.
    fn has_or_requests_slot(&mut self, id: AppId) -> bool {
        let Some(entry) = self.apps.entry_mut(id) else {
            return false;
        };
        let Some(run) = entry.run.as_mut() else {
            return false;
        };
        if run.has_slot {
            return true;
        }
        run.phase = Phase::Slot;
        let key = entry.app.key.clone();
        self.schedule.request_slot(&key);
        false
    }

    /// A run that waited for a slot has it: it fetches what is its own, or writes.
    fn on_resumed(&mut self, key: &AppKey) {
        let Some(id) = self.apps.id(key) else {
            return self.schedule.give_slot(key);
        };
        let run = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut());
        let Some(run) = run.filter(|run| run.phase == Phase::Slot) else {
            return self.schedule.give_slot(key);
        };
        run.has_slot = true;
        if run.draft.is_some() {
            self.put_in_line(id);
        } else {
            self.fetch_facts(id);
        }
    }

    /// The record changed. A run under way goes on with the new `plan`; without one, the application is
    /// decided again if what `is_asked` of us has changed. What else changed, such as a value that was
    /// reverted by hand, waits for the next check (`design.md` 4.9).
    pub(super) fn on_replanned(&mut self, id: AppId, plan: Plan, is_asked: bool) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        match &mut entry.run {
            Some(run) => match run.phase {
                Phase::Listings | Phase::Slot | Phase::Facts => {
                    run.plan = plan;
                    self.look_up(id);
                }
                Phase::InLine | Phase::Patching | Phase::Reading | Phase::Answered => {
                    run.next_plan = Some(Box::new(plan));
                    entry.again |= is_asked;
                }
            },
            None if is_asked => self.want_redecision(id),
            None => {}
        }
    }

    /// The tags of an image changed: decide again, now or after the run under way.
    fn on_tags_changed(&mut self, id: AppId) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        match &entry.run {
            Some(run) => match run.phase {
                // It has not decided yet.
                Phase::Listings => {}
                Phase::Slot
                | Phase::Facts
                | Phase::InLine
                | Phase::Patching
                | Phase::Reading
                | Phase::Answered => entry.again = true,
            },
            None => self.want_redecision(id),
        }
    }

    /// Puts an application without a run in line, to be decided again.
    fn want_redecision(&mut self, id: AppId) {
        // The warm-up writes nothing, and everyone's check follows it.
        let may_decide = self.is_running() && !self.schedule.is_warming_up();
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        // Before its first check an application waits for that.
        let is_first = entry
            .last_run
            .is_none_or(|last| last.kind == RunKind::Warmup);
        if is_first || entry.ignored.is_some() || !may_decide {
            return;
        }
        if !mem::replace(&mut entry.in_line, true) {
            self.line.push_back(Work::Redecide(id));
        }
    }

    pub(super) fn on_redecide(&mut self, id: AppId) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        entry.in_line = false;
        if entry.run.is_some() {
            entry.again = true;
        } else if entry.ignored.is_none() && self.is_running() {
            self.begin_run(id, RunKind::Redecision);
        }
    }

    fn begin_run(&mut self, id: AppId, kind: RunKind) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let started = self.now.mono;
        let deadline = started.after(self.config.run_deadline);
        let plan = Plan::of(&entry.app, &self.config.runtime_platform);
        entry.again = false;
        entry.run = Some(Box::new(Run {
            kind,
            started,
            deadline,
            phase: Phase::Listings,
            plan,
            lookups: Vec::new(),
            has_slot: kind.is_scheduled(),
            draft: None,
            unproved: None,
            attempts: Attempts::default(),
            next_plan: None,
            check_follows: None,
        }));
        self.deadlines.insert((deadline, id));
        self.look_up(id);
    }

    /// Asks for the listings of all images of the run's plan.
    pub(super) fn look_up(&mut self, id: AppId) {
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        let (kind, plan) = (run.kind, mem::replace(&mut run.plan, Plan::empty()));
        // What was decided by an earlier plan is not written.
        run.draft = None;
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
        run.draft = None;
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
        // A re-decision makes no call of its own for a list that is kept.
        if kind == RunKind::Redecision && self.registry.kept_listing(repository).is_some() {
            return LookupState::ready(repository);
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
            RegistryOutcome::CredentialFailed { .. }
            | RegistryOutcome::RequestSent { .. }
            | RegistryOutcome::RequestFinished { .. }
            | RegistryOutcome::Retried { .. }
            | RegistryOutcome::Throttled { .. }
            | RegistryOutcome::Stalled { .. }
            | RegistryOutcome::Reopened { .. } => self.events.push_back(Event::Registry(outcome)),
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
            Phase::Listings => self.decide_run(id),
            Phase::Facts if !run.awaits_facts() => self.decide_run(id),
            Phase::Slot
            | Phase::Facts
            | Phase::InLine
            | Phase::Patching
            | Phase::Reading
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
    fn fetch_facts(&mut self, id: AppId) {
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        run.phase = Phase::Facts;
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

    /// Decides on the freshest record, and writes or ends.
    fn decide_run(&mut self, id: AppId) {
        let Some(decision) = self.decide(id) else {
            return;
        };
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(run) = entry.run.as_mut() else {
            return;
        };
        let may_write = run.kind != RunKind::Warmup && !self.config.dry_run;
        let counters = decision.counters;
        match decision.write {
            WriteBack::Patch(operations) if may_write => {
                run.draft = Some(Box::new(Draft {
                    resource_version: entry.app.resource_version.clone(),
                    operations,
                    changes: decision.changes,
                    counters,
                }));
                // Re-decisions are limited by the line of patches alone (`design.md` 4.2).
                if run.kind == RunKind::Redecision || self.has_or_requests_slot(id) {
                    self.put_in_line(id);
                }
            }
            WriteBack::Patch(_) => {
                if self.config.dry_run {
                    self.events.push_back(Event::DryRun {
                        key,
                        changes: decision.changes,
                    });
                }
                self.finish_run(id, end_of(&counters), counters);
            }
            WriteBack::None | WriteBack::Git | WriteBack::Refused(_) => {
                self.finish_unwritten(id, &decision.images, counters);
            }
        }
    }

    fn put_in_line(&mut self, id: AppId) {
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        run.phase = Phase::InLine;
        self.patches.enqueue(id);
    }

    /// The decision on the freshest record with the look-ups of the run; reports are kept and told.
    pub(super) fn decide(&mut self, id: AppId) -> Option<Decision> {
        let entry = self.apps.entry(id)?;
        let run = entry.run.as_ref()?;
        self.counts.decisions += 1;
        let found: Vec<Found<'_>> = run
            .plan
            .images
            .iter()
            .zip(&run.lookups)
            .map(|(image, state)| found(&self.registry, image, state))
            .collect();
        let mut decision = decide(&entry.app, &run.plan, &|at| found[at].to_lookup());
        if decision.write == WriteBack::Git {
            decision.refuse(Refusal::GitNotBuilt);
        }
        let texts = run
            .plan
            .images
            .iter()
            .map(|image| image.entry.original.as_str().into());
        let reports: Box<[ImageReport]> = texts
            .zip(&decision.images)
            .map(|(image, reason)| ImageReport {
                image,
                reason: reason.clone(),
            })
            .collect();
        let key = entry.app.key.clone();
        let entry = self.apps.entry_mut(id)?;
        for (at, report) in reports.iter().enumerate() {
            // Every check tells all it found; a re-decision only what it found anew.
            let is_news = entry.reports.get(at) != Some(report);
            if is_news
                || entry
                    .run
                    .as_ref()
                    .is_some_and(|run| run.kind.is_scheduled())
            {
                let (image, reason) = (report.image.clone(), report.reason.clone());
                self.events.push_back(Event::ImageDecided {
                    key: key.clone(),
                    image,
                    reason,
                });
            }
        }
        entry.reports = reports;
        let refusal = match &decision.write {
            WriteBack::Refused(refusal) => Some(Box::new(refusal.clone())),
            WriteBack::None | WriteBack::Patch(_) | WriteBack::Git => None,
        };
        if let Some(refusal) = &refusal
            && entry.refusal.as_ref() != Some(refusal)
        {
            let refusal = (**refusal).clone();
            self.events.push_back(Event::WriteRefused { key, refusal });
        }
        if let Some(entry) = self.apps.entry_mut(id) {
            entry.refusal = refusal;
        }
        Some(decision)
    }

    /// A run took longer than it may: whatever it waits for goes on without it. An operation in flight
    /// has a deadline of its own, and the run ends with its answer.
    pub(super) fn on_run_deadline(&mut self, id: AppId) {
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        if run.is_in_flight() {
            run.deadline = self.now.mono.after(ANSWER_GRACE);
            self.deadlines.insert((run.deadline, id));
            return;
        }
        self.finish_run(id, RunEnd::DeadlineExceeded, Counters::default());
    }

    /// The run of `id` ends; what was put off until then follows.
    pub(super) fn finish_run(&mut self, id: AppId, end: RunEnd, counters: Counters) {
        let Some(run) = self.end_run(id) else { return };
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        entry.last_run = Some(LastRun {
            kind: run.kind,
            ended: self.now.mono,
            end,
        });
        let again = mem::take(&mut entry.again);
        let key = entry.app.key.clone();
        let event = if run.kind.is_scheduled() {
            Event::CheckFinished {
                key: key.clone(),
                is_warmup: run.kind == RunKind::Warmup,
                end,
                counters,
                duration: self.now.mono.since(run.started),
            }
        } else {
            Event::Redecided {
                key: key.clone(),
                end,
                counters,
            }
        };
        self.events.push_back(event);
        let Some(kind) = run.check_follows else {
            self.tell_schedule(&key, run.kind, end);
            if again {
                self.want_redecision(id);
            }
            return;
        };
        // The slot is that of the check by now.
        if self.is_running() {
            self.begin_run(id, kind);
            return;
        }
        let end = RunEnd::Abandoned;
        self.events.push_back(Event::CheckFinished {
            key: key.clone(),
            is_warmup: kind == RunKind::Warmup,
            end,
            counters: Counters::default(),
            duration: Duration::ZERO,
        });
        self.tell_schedule(&key, kind, end);
    }

    /// Ends the run without a word, unless an operation of it is in flight.
    pub(super) fn drop_run(&mut self, id: AppId, end: RunEnd) {
        let Some(entry) = self.apps.entry(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(run) = &entry.run else { return };
        let (kind, follows, in_flight) = (run.kind, run.check_follows, run.is_in_flight());
        self.end_run(id);
        if in_flight {
            // The slot stays taken until the operation is answered (A9).
            self.leaving
                .insert(id, super::Leaving { key, kind, follows });
            return;
        }
        self.tell_schedule(&key, kind, end);
        if let Some(follows) = follows {
            self.tell_schedule(&key, follows, end);
        }
    }

    /// Tells the scheduler that a run is over: a check frees its slot, a re-decision gives its back.
    pub(super) fn tell_schedule(&mut self, key: &AppKey, kind: RunKind, end: RunEnd) {
        if !kind.is_scheduled() {
            self.schedule.give_slot(key);
            return;
        }
        let outcome = match end {
            RunEnd::Success => Outcome::Success,
            RunEnd::Failure | RunEnd::DeadlineExceeded | RunEnd::Abandoned => Outcome::Failure,
        };
        self.schedule.on_finished(self.now.mono, key, outcome);
    }

    /// Takes the run out of the record, the timers and the line of patches.
    fn end_run(&mut self, id: AppId) -> Option<Box<Run>> {
        let run = self.apps.entry_mut(id)?.run.take()?;
        self.deadlines.remove(&(run.deadline, id));
        if run.phase == Phase::InLine {
            self.patches.forget(id);
        }
        Some(run)
    }

    /// Ends all runs that have not begun to write: the process is going down.
    pub(super) fn abandon_unwritten(&mut self) {
        let idle = |run: &Run| !run.is_in_flight();
        let ids: Vec<AppId> = self
            .apps
            .iter()
            .filter(|(_, entry)| entry.run.as_ref().is_some_and(|run| idle(run)))
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            self.finish_run(id, RunEnd::Abandoned, Counters::default());
        }
    }
}

/// The end that counters mean.
pub(super) const fn end_of(counters: &Counters) -> RunEnd {
    if counters.n_errors == 0 {
        RunEnd::Success
    } else {
        RunEnd::Failure
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
