//! From a decision to a written Application.

use alloc::boxed::Box;
use alloc::string::String;

use super::Updater;
use super::progress::end_of;
use super::run::{Draft, Phase};
use crate::effect::ApplicationPatch;
use crate::event::{Event, RunEnd};
use crate::id::{AppId, AppKey, OpId};
use crate::input::{PatchOutcome, ReadOutcome};
use crate::patch::FlightKind;
use crate::update::{Counters, WriteBack, holds};

/// Said of a throttled attempt.
const ASKED_TO_WAIT: &str = "the API server asks to wait";

impl Updater {
    /// Sends patches while there is room. True when something was sent.
    pub(super) fn send_ready(&mut self, budget: &mut usize) -> bool {
        let mut moved = false;
        while *budget > 0
            && let Some(id) = self.patches.take_ready(self.now.mono)
        {
            moved = true;
            *budget -= 1;
            self.send(id);
        }
        moved
    }

    /// Sends the patch of one application, computed on the freshest record.
    fn send(&mut self, id: AppId) {
        let Some(entry) = self.apps.entry(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(run) = &entry.run else { return };
        if run.phase != Phase::InLine {
            return;
        }
        let attempts = run.attempts;
        if self.leaving.values().any(|leaving| leaving.key == key) {
            // A patch of an earlier application of this name is still under way (S1).
            self.patches
                .enqueue_after(self.now.mono, id, &key, attempts.failed, None);
            return;
        }
        if attempts.must_read {
            self.start_read(id, key);
            return;
        }
        let is_fresh = run.next_plan.is_none()
            && run
                .draft
                .as_ref()
                .is_some_and(|draft| draft.resource_version == entry.app.resource_version);
        if !is_fresh && !self.redraft(id) {
            return;
        }
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        let Some(draft) = &run.draft else { return };
        let (resource_version, operations) =
            (draft.resource_version.clone(), draft.operations.clone());
        run.phase = Phase::Patching;
        self.patches
            .start_patch(self.now.mono, &mut self.ops, id, |timeout| {
                ApplicationPatch {
                    key,
                    resource_version,
                    operations,
                    timeout,
                }
            });
    }

    fn start_read(&mut self, id: AppId, key: AppKey) {
        if let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) {
            run.phase = Phase::Reading;
        }
        self.patches
            .start_read(self.now.mono, &mut self.ops, id, key);
    }

    /// Decides anew, because the record has changed since. False when nothing is to be sent now.
    fn redraft(&mut self, id: AppId) -> bool {
        let Some(entry) = self.apps.entry_mut(id) else {
            return false;
        };
        let Some(run) = entry.run.as_mut() else {
            return false;
        };
        if let Some(plan) = run.next_plan.take() {
            // Something else may be wanted now: that is looked up before it is decided.
            run.plan = *plan;
            entry.again = false;
            self.look_up(id);
            return false;
        }
        let Some(decision) = self.decide(id) else {
            return false;
        };
        let counters = decision.counters;
        let Some(entry) = self.apps.entry_mut(id) else {
            return false;
        };
        let Some(run) = entry.run.as_mut() else {
            return false;
        };
        let resource_version = entry.app.resource_version.clone();
        match decision.write {
            WriteBack::Patch(operations) => {
                let changes = decision.changes;
                run.draft = Some(Box::new(Draft {
                    resource_version,
                    operations,
                    changes,
                    counters,
                }));
                true
            }
            WriteBack::Git => {
                // The method was changed while it waited to patch.
                let changes = decision.changes;
                self.put_in_batch(id, changes, counters);
                false
            }
            WriteBack::None | WriteBack::Refused(_) => {
                self.finish_unwritten(id, counters);
                false
            }
        }
    }

    /// Ends a run for which nothing is to be written, or nothing more: a patch whose reply was lost may
    /// turn out to have been applied.
    pub(super) fn finish_unwritten(&mut self, id: AppId, counters: Counters) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let Some(run) = entry.run.as_mut() else {
            return;
        };
        let was_applied = |draft: &Draft| holds(&entry.app, &run.plan, &draft.changes);
        if run.unproved.as_deref().is_some_and(was_applied) {
            run.draft = run.unproved.take();
            let counters = self.tell_written(id);
            self.finish_run(id, end_of(&counters), counters);
            return;
        }
        self.finish_run(id, end_of(&counters), counters);
    }

    /// Tells that the values of the draft are in the cluster, and returns what the run has counted.
    fn tell_written(&mut self, id: AppId) -> Counters {
        let Some(entry) = self.apps.entry_mut(id) else {
            return Counters::default();
        };
        let key = entry.app.key.clone();
        let Some(draft) = entry.run.as_mut().and_then(|run| run.draft.take()) else {
            return Counters::default();
        };
        self.counts.writes += 1;
        self.events.push_back(Event::Written {
            key,
            changes: draft.changes,
        });
        draft.counters
    }

    pub(super) fn on_patched(&mut self, op: OpId, outcome: PatchOutcome) {
        let Some(id) = self.patches.take_completed(op, FlightKind::Patch) else {
            return self.count_completion(false);
        };
        let is_error = !matches!(outcome, PatchOutcome::Done(_));
        self.events.metrics.on_k8s_call(is_error);
        // The server speaks to all of us, whoever asked.
        if let PatchOutcome::Throttled(Some(wait)) = outcome {
            self.patches.handle_throttled(self.now.mono, wait);
        }
        if !self.is_awaited(id) {
            return;
        }
        match outcome {
            PatchOutcome::Done(app) => {
                let counters = self.tell_written(id);
                // The watch brings it too; this is earlier. It may end the run on its own.
                self.on_known(*app);
                self.finish_run(id, end_of(&counters), counters);
            }
            PatchOutcome::Conflict => self.read_again(id, "the application was changed meanwhile"),
            PatchOutcome::Unknown(detail) => {
                if let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) {
                    run.unproved = run.draft.take();
                }
                self.read_again(id, &detail);
            }
            PatchOutcome::Missing => self.fail_write(id, "the application is gone".into()),
            PatchOutcome::Denied(detail) | PatchOutcome::Rejected(detail) => {
                self.fail_write(id, detail);
            }
            PatchOutcome::Throttled(_) => self.repeat(id, ASKED_TO_WAIT.into()),
            PatchOutcome::Transient(detail) => self.repeat(id, detail),
        }
    }

    pub(super) fn on_read(&mut self, op: OpId, outcome: ReadOutcome) {
        let Some(id) = self.patches.take_completed(op, FlightKind::Read) else {
            return self.count_completion(false);
        };
        let is_error = !matches!(outcome, ReadOutcome::Found(_));
        self.events.metrics.on_k8s_call(is_error);
        if let ReadOutcome::Throttled(Some(wait)) = outcome {
            self.patches.handle_throttled(self.now.mono, wait);
        }
        if !self.is_awaited(id) {
            return;
        }
        match outcome {
            ReadOutcome::Found(app) => {
                if let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) {
                    run.attempts.must_read = false;
                }
                // The record may be of another application by now; then this run is over.
                self.on_known(*app);
                // Why it is repeated was told before the read.
                self.put_off(
                    id,
                    "the application is changed again and again".into(),
                    false,
                );
            }
            ReadOutcome::Missing => self.fail_write(id, "the application is gone".into()),
            ReadOutcome::Denied(detail) => self.fail_write(id, detail),
            // It stays marked: nothing is sent before a read has told what there is.
            ReadOutcome::Throttled(_) => self.repeat(id, ASKED_TO_WAIT.into()),
            ReadOutcome::Transient(detail) => self.repeat(id, detail),
        }
    }

    /// A record that came with an answer.
    fn on_known(&mut self, app: crate::app::Application) {
        // Only what is known is news: a listing under way decides about the rest.
        if self.apps.id(&app.key).is_some()
            && let Some(id) = self.on_applied(app)
        {
            self.apps.mark_answered(id);
        }
    }

    /// True when a run waits for what was just answered. Otherwise its application is gone, and only
    /// what the scheduler was still told to count ends.
    fn is_awaited(&mut self, id: AppId) -> bool {
        if let Some(leaving) = self.leaving.remove(&id) {
            self.on_left(&leaving);
            return false;
        }
        let run = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut());
        run.is_some_and(|run| match run.phase {
            Phase::Patching | Phase::Reading => {
                run.phase = Phase::Answered;
                true
            }
            Phase::Listings
            | Phase::Slot
            | Phase::Facts
            | Phase::InLine
            | Phase::Publishing
            | Phase::Answered => false,
        })
    }

    fn on_left(&mut self, leaving: &super::Leaving) {
        let namesake = self
            .apps
            .id(&leaving.key)
            .and_then(|id| self.apps.entry(id));
        let is_taken_over = namesake.is_some_and(|entry| entry.run.is_some());
        if leaving.kind.is_scheduled() || leaving.follows.is_some() || !is_taken_over {
            self.tell_schedule(&leaving.key, leaving.kind, RunEnd::Abandoned);
        }
        if let Some(kind) = leaving.follows {
            self.tell_schedule(&leaving.key, kind, RunEnd::Abandoned);
        }
    }

    /// Reads the object before anything is repeated: after a conflict, or when a reply was lost.
    fn read_again(&mut self, id: AppId, detail: &str) {
        if !self.is_running() {
            return self.fail_write(id, detail.into());
        }
        self.tell_failure(id, detail.into(), true);
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        run.attempts.must_read = true;
        run.phase = Phase::InLine;
        self.patches.enqueue_first(id);
    }

    /// Tells why, and puts the application in line once more.
    fn repeat(&mut self, id: AppId, detail: String) {
        self.put_off(id, detail, true);
    }

    /// Puts the application in line once more after a pause, or gives up when it had its attempts.
    fn put_off(&mut self, id: AppId, detail: String, is_news: bool) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(run) = entry.run.as_mut() else {
            return;
        };
        let failed = run.attempts.failed;
        run.attempts.failed += 1;
        if !self.patches.can_repeat(failed + 1) || !self.is_running() {
            return self.fail_write(id, detail);
        }
        if is_news {
            self.tell_failure(id, detail, true);
        }
        if let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) {
            run.phase = Phase::InLine;
            self.patches
                .enqueue_after(self.now.mono, id, &key, failed, None);
        }
    }

    /// The write is given up for this run; the next check decides anew.
    pub(super) fn fail_write(&mut self, id: AppId, detail: String) {
        self.tell_failure(id, detail, false);
        let draft = self
            .apps
            .entry_mut(id)
            .and_then(|entry| entry.run.as_mut())
            .and_then(|run| run.draft.take().or_else(|| run.unproved.take()));
        let mut counters = draft.map_or_else(Counters::default, |draft| draft.counters);
        counters.on_write_failed();
        self.counts.writes_failed += 1;
        self.finish_run(id, RunEnd::Failure, counters);
    }

    pub(super) fn tell_failure(&mut self, id: AppId, detail: String, is_repeated: bool) {
        if let Some(entry) = self.apps.entry(id) {
            let key = entry.app.key.clone();
            self.events.push_back(Event::WriteFailed {
                key,
                detail,
                is_repeated,
            });
        }
    }
}
