//! From a decision to a written Application.

use super::Updater;
use super::progress::end_of;
use super::run::{Attempts, Draft, Phase};
use crate::effect::ApplicationPatch;
use crate::event::{Event, RunEnd};
use crate::id::{AppId, OpId};
use crate::input::{PatchOutcome, ReadOutcome};
use crate::patch::FlightKind;
use crate::update::{Counters, Plan, WriteBack};

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
        let Phase::InLine(attempts) = run.phase else {
            return;
        };
        if self.leaving.values().any(|leaving| leaving.key == key) {
            // A patch of an earlier application of this name is still under way (S1).
            self.patches
                .enqueue_after(self.now.mono, id, &key, attempts.failed, None);
            return;
        }
        let is_fresh = run
            .draft
            .as_ref()
            .is_some_and(|draft| draft.resource_version == entry.app.resource_version);
        if !is_fresh && !self.redraft(id, attempts) {
            return;
        }
        let Some(run) = self.apps.entry_mut(id).and_then(|entry| entry.run.as_mut()) else {
            return;
        };
        let Some(draft) = &run.draft else { return };
        let (resource_version, operations) =
            (draft.resource_version.clone(), draft.operations.clone());
        run.phase = Phase::Patching(attempts);
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

    /// Decides anew, because the record has changed since. False when nothing is to be sent now: the run
    /// ended with that, or looks up what the record asks for now.
    fn redraft(&mut self, id: AppId, attempts: Attempts) -> bool {
        let Some(entry) = self.apps.entry_mut(id) else {
            return false;
        };
        let Some(run) = entry.run.as_mut() else {
            return false;
        };
        let plan = Plan::of(&entry.app, &self.config.runtime_platform);
        let is_answered = run.answers(&plan, entry.revision);
        run.plan = plan;
        run.revision = entry.revision;
        if !is_answered {
            // Other annotations ask for other look-ups: the run begins anew.
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
                run.draft = Some(alloc::boxed::Box::new(Draft {
                    resource_version,
                    operations,
                    changes,
                    counters,
                }));
                true
            }
            WriteBack::None if attempts.is_unknown => {
                // Our values are there: the patch whose reply was lost was applied.
                self.on_written(id);
                false
            }
            WriteBack::None | WriteBack::Git | WriteBack::Refused(_) => {
                self.finish_run(id, end_of(&counters), counters);
                false
            }
        }
    }

    /// The values of the draft are in the cluster.
    fn on_written(&mut self, id: AppId) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(draft) = entry.run.as_mut().and_then(|run| run.draft.take()) else {
            return;
        };
        self.counts.writes += 1;
        self.events.push_back(Event::Written {
            key,
            changes: draft.changes,
        });
        self.finish_run(id, end_of(&draft.counters), draft.counters);
    }

    pub(super) fn on_patched(&mut self, op: OpId, outcome: PatchOutcome) {
        let Some((id, attempts)) = self.take_answered(op, FlightKind::Patch) else {
            return;
        };
        match outcome {
            PatchOutcome::Done(app) => {
                // The watch brings it too; this is earlier.
                self.on_known(*app);
                self.on_written(id);
            }
            PatchOutcome::Conflict => self.read_again(id, attempts),
            PatchOutcome::Unknown(detail) => {
                self.tell_failure(id, detail, true);
                self.read_again(
                    id,
                    Attempts {
                        is_unknown: true,
                        ..attempts
                    },
                );
            }
            PatchOutcome::Missing => self.fail_write(id, "the application is gone".into()),
            PatchOutcome::Denied(detail) | PatchOutcome::Rejected(detail) => {
                self.fail_write(id, detail);
            }
            PatchOutcome::Throttled(wait) => {
                if let Some(wait) = wait {
                    self.patches.handle_throttled(self.now.mono, wait);
                }
                self.repeat(id, attempts, "the API server asks to wait".into());
            }
            PatchOutcome::Transient(detail) => self.repeat(id, attempts, detail),
        }
    }

    pub(super) fn on_read(&mut self, op: OpId, outcome: ReadOutcome) {
        let Some((id, attempts)) = self.take_answered(op, FlightKind::Read) else {
            return;
        };
        match outcome {
            ReadOutcome::Found(app) => {
                self.on_known(*app);
                // The record may be of another application by now; then this run is over.
                self.repeat(id, attempts, "the application was changed meanwhile".into());
            }
            ReadOutcome::Missing => self.fail_write(id, "the application is gone".into()),
            ReadOutcome::Denied(detail) => self.fail_write(id, detail),
            ReadOutcome::Throttled(wait) => {
                if let Some(wait) = wait {
                    self.patches.handle_throttled(self.now.mono, wait);
                }
                self.read_later(id, attempts, "the API server asks to wait".into());
            }
            ReadOutcome::Transient(detail) => self.read_later(id, attempts, detail),
        }
    }

    /// A record that came with an answer.
    fn on_known(&mut self, app: crate::app::Application) {
        // Only what is known is news: a listing under way decides about the rest.
        if self.apps.id(&app.key).is_some() {
            self.on_applied(app);
        }
    }

    /// Frees the slot of an answered operation. `None` when it was nobody's, or its application is gone.
    fn take_answered(&mut self, op: OpId, kind: FlightKind) -> Option<(AppId, Attempts)> {
        let Some(id) = self.patches.take_completed(op, kind) else {
            self.count_completion(false);
            return None;
        };
        if let Some(leaving) = self.leaving.remove(&id) {
            self.on_left(&leaving);
            return None;
        }
        let run = self.apps.entry(id)?.run.as_ref()?;
        match run.phase {
            Phase::Patching(attempts) | Phase::Reading(attempts) => Some((id, attempts)),
            Phase::Listings | Phase::Slot | Phase::Facts | Phase::InLine(_) => None,
        }
    }

    fn on_left(&mut self, leaving: &super::Leaving) {
        self.tell_schedule(&leaving.key, leaving.kind, RunEnd::Abandoned);
        if let Some(kind) = leaving.follows {
            self.tell_schedule(&leaving.key, kind, RunEnd::Abandoned);
        }
    }

    /// Reads the object before anything is repeated: after a conflict, or when a reply was lost.
    fn read_again(&mut self, id: AppId, attempts: Attempts) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(run) = entry.run.as_mut() else {
            return;
        };
        run.phase = Phase::Reading(attempts);
        self.patches
            .start_read(self.now.mono, &mut self.ops, id, key);
    }

    /// Puts the application in line once more, or gives up when it had its attempts.
    fn repeat(&mut self, id: AppId, attempts: Attempts, detail: alloc::string::String) {
        let attempts = Attempts {
            failed: attempts.failed + 1,
            ..attempts
        };
        let may_go_on = self.patches.can_repeat(attempts.failed) && self.is_running();
        if !may_go_on {
            self.fail_write(id, detail);
            return;
        }
        self.tell_failure(id, detail, true);
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(run) = entry.run.as_mut() else {
            return;
        };
        run.phase = Phase::InLine(attempts);
        self.patches
            .enqueue_after(self.now.mono, id, &key, attempts.failed - 1, None);
    }

    /// A read failed: the next attempt decides on what the watch says meanwhile, unless the outcome of
    /// the patch is unknown; then only a read can tell.
    fn read_later(&mut self, id: AppId, attempts: Attempts, detail: alloc::string::String) {
        self.repeat(id, attempts, detail);
    }

    /// The write is given up for this run; the next check decides anew.
    fn fail_write(&mut self, id: AppId, detail: alloc::string::String) {
        self.tell_failure(id, detail, false);
        let draft = self
            .apps
            .entry_mut(id)
            .and_then(|entry| entry.run.as_mut()?.draft.take());
        let mut counters = draft.map_or_else(Counters::default, |draft| draft.counters);
        counters.on_write_failed();
        self.counts.writes_failed += 1;
        self.finish_run(id, RunEnd::Failure, counters);
    }

    fn tell_failure(&mut self, id: AppId, detail: alloc::string::String, is_repeated: bool) {
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
