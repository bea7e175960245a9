//! How runs begin, go on, and end.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;
use core::time::Duration;

use super::run::{Attempts, Phase, Run};
use super::{Updater, Work};
use crate::event::{Event, RunEnd, RunKind};
use crate::explain::LastRun;
use crate::id::{AppId, AppKey};
use crate::patience::ANSWER_GRACE;
use crate::schedule::{Grant, Outcome};
use crate::update::{Counters, Plan};

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
            // So does a commit that is being sent; one that only waits is decided anew.
            Some(run) if run.phase == Phase::Publishing && self.publishes.is_under_way(id) => {
                run.check_follows = Some(kind);
                self.schedule.give_slot(key);
            }
            // One that still looks things up gives way.
            Some(_) | None => {
                self.end_run(id);
                self.begin_run(id, kind, true);
            }
        }
    }

    /// True when a run has its slot. Otherwise it asks for one, and goes on when it is granted.
    pub(super) fn has_or_requests_slot(&mut self, id: AppId) -> bool {
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
                Phase::Publishing => self.revise(id, Some(plan), is_asked),
            },
            None if is_asked => self.want_redecision(id),
            None => {}
        }
    }

    /// The tags of an image changed: decide again, now or after the run under way.
    pub(super) fn on_tags_changed(&mut self, id: AppId) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        match &mut entry.run {
            Some(run) => match run.phase {
                // It has not decided yet.
                Phase::Listings | Phase::Slot => {}
                Phase::Facts => run.are_facts_outdated = true,
                Phase::InLine | Phase::Patching | Phase::Reading | Phase::Answered => {
                    entry.again = true;
                }
                Phase::Publishing => self.revise(id, None, true),
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
            self.begin_run(id, RunKind::Redecision, false);
        }
    }

    fn begin_run(&mut self, id: AppId, kind: RunKind, has_slot: bool) {
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
            has_slot,
            are_facts_outdated: false,
            draft: None,
            commit: None,
            n_revisions: 0,
            unproved: None,
            attempts: Attempts::default(),
            next_plan: None,
            check_follows: None,
        }));
        self.deadlines.insert((deadline, id));
        self.look_up(id);
    }

    /// A run took longer than it may: whatever it waits for goes on without it. An operation in flight
    /// has a deadline of its own, and the run ends with its answer.
    pub(super) fn on_run_deadline(&mut self, id: AppId) {
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        let is_published = run.phase == Phase::Publishing && self.publishes.is_under_way(id);
        if run.is_in_flight() || is_published {
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
            // A commit waits without a slot, and so does the check that follows it.
            self.begin_run(id, kind, run.phase != Phase::Publishing);
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
        if run.phase == Phase::Publishing {
            self.publishes.forget(id);
        }
        Some(run)
    }

    /// Ends all runs that have not begun to write: the process is going down.
    pub(super) fn abandon_unwritten(&mut self) {
        // Commits that were decided on go out first (WB-06).
        let idle = |run: &Run| !run.is_in_flight() && run.phase != Phase::Publishing;
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
