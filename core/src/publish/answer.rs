//! What becomes of intents when an attempt is answered.
//!
//! ```text
//! published, unchanged ─► each intent its own end
//! conflict, sick server ─► back in line, after a pause, at the new tip
//! hook, protection, permission … ─► the end: asking again soon only repeats the answer
//! unknown ─► inspect ─┬─ the commit is there ─► published
//!                     └─ it is not ─► back in line; "unchanged" then asks once more whose commit it was
//! ```

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem;

use super::intent::BatchId;
use super::job::{GitOutcome, IntentEnd};
use super::lane::{Batched, Doubt, DoubtPhase, LaneId};
use super::machine::Publishes;
use super::outcome::{BatchEnd, BatchReport, PublishEnd, PublishOutcome};
use crate::git::{ObjectId, Refusal, RefusalKind, Remedy};
use crate::id::OpId;
use crate::time::Time;

impl Publishes {
    /// An attempt was answered. False when its id is unknown, stale or repeated (A8).
    pub fn handle_git(&mut self, now: Time, op: OpId, outcome: GitOutcome) -> bool {
        let Some(flight) = self.in_flight.remove(&op) else {
            return false;
        };
        self.turns.give(&flight.turn);
        let id = flight.turn.lane;
        let Some(lane) = self.lanes.get(&id) else {
            return true;
        };
        if lane.must_inspect() {
            self.on_inspection(now, id, outcome);
        } else {
            self.on_publication(now, id, flight.batch, outcome);
        }
        true
    }

    fn on_publication(&mut self, now: Time, id: LaneId, batch: BatchId, outcome: GitOutcome) {
        match outcome {
            GitOutcome::Published {
                commit,
                branch,
                relation,
                messages,
                ends,
            } => {
                let end = BatchEnd::Published {
                    commit,
                    relation: Some(relation),
                    messages,
                };
                self.on_published(id, &branch, end, commit, &ends);
                self.go_on(id, None);
            }
            GitOutcome::Unchanged { branch, ends } => self.on_unchanged(now, id, &branch, ends),
            GitOutcome::Refused { refusal, ends } => self.on_refused(now, id, &refusal, &ends),
            GitOutcome::Unknown {
                since,
                branch,
                detail,
                ends,
            } => self.on_unknown(
                now,
                id,
                ends,
                Doubt {
                    batch,
                    since,
                    branch,
                    detail: detail.into(),
                    is_exact: false,
                    phase: DoubtPhase::Inspect {
                        n_failed: 0,
                        is_unchanged: false,
                    },
                },
            ),
            // An answer to another question says nothing about this one.
            GitOutcome::Inspected { .. } => {
                let detail = "the attempt was answered as if it had been an inspection";
                let outcome = GitOutcome::Unknown {
                    since: None,
                    branch: Box::default(),
                    detail: detail.into(),
                    ends: Vec::new(),
                };
                self.on_publication(now, id, batch, outcome);
            }
        }
    }

    /// The commit is on the branch: each intent has the end that its edit has.
    fn on_published(
        &mut self,
        id: LaneId,
        branch: &str,
        end: BatchEnd,
        commit: ObjectId,
        ends: &[IntentEnd],
    ) {
        let batch = self.take_batch(id);
        self.report(id, branch, batch.len(), end);
        let branch: Arc<str> = branch.into();
        for (at, one) in batch.into_iter().enumerate() {
            let published = || PublishEnd::Published {
                commit,
                branch: Arc::clone(&branch),
            };
            let end = match ends.get(at) {
                Some(IntentEnd::Written) | None => published(),
                Some(other) => end_of(other, &branch),
            };
            self.end(&one, end);
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.doubt = None;
        }
    }

    fn on_unchanged(&mut self, now: Time, id: LaneId, branch: &str, ends: Vec<IntentEnd>) {
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        let is_refused = |end: &IntentEnd| matches!(end, IntentEnd::Refused(_));
        let is_said = ends.iter().any(|end| !is_refused(end));
        if let Some(doubt) = &mut lane.doubt
            && is_said
        {
            // Perhaps by the commit that was not there yet when it was looked for.
            doubt.branch = branch.into();
            doubt.phase = DoubtPhase::Inspect {
                n_failed: 0,
                is_unchanged: true,
            };
            self.end_if(id, ends, |end| matches!(end, IntentEnd::Refused(_)), branch);
            return self.go_on(id, Some(now));
        }
        let batch = self.take_batch(id);
        self.report(id, branch, batch.len(), BatchEnd::Unchanged);
        let branch: Arc<str> = branch.into();
        for (at, one) in batch.into_iter().enumerate() {
            let end = ends.get(at).unwrap_or(&IntentEnd::Unchanged);
            let end = end_of(end, &branch);
            self.end(&one, end);
        }
        self.go_on(id, None);
    }

    /// Nothing was changed on the server.
    fn on_refused(&mut self, now: Time, id: LaneId, refusal: &Refusal, ends: &[IntentEnd]) {
        let detail: Arc<str> = refusal.to_string().into();
        let n_intents = self.lanes.get(&id).map_or(0, |lane| lane.batch.len());
        let end = BatchEnd::Refused {
            kind: refusal.kind,
            detail: Arc::clone(&detail),
        };
        let branch = self.branch_of(id);
        self.report(id, &branch, n_intents, end);
        let is_repeated = match refusal.kind.remedy() {
            Remedy::ReadAgain | Remedy::Wait => true,
            Remedy::Human => false,
        };
        let is_login = refusal.kind == RefusalKind::Unauthenticated;
        let branch: Arc<str> = branch.into();
        let mut pause = None;
        for (at, mut one) in self.take_batch(id).into_iter().enumerate() {
            let member = &mut one.member;
            // Who may write is asked anew where the credential was exchanged meanwhile.
            if is_login && !member.is_login_repeated {
                member.is_login_repeated = true;
                pause = pause.max(Some(0));
                self.put_back(id, one, &detail);
                continue;
            }
            if is_repeated {
                member.n_failed += 1;
                if member.n_failed < self.settings.attempts_max {
                    pause = pause.max(Some(member.n_failed));
                    self.put_back(id, one, &detail);
                    continue;
                }
            }
            let end = match ends.get(at) {
                Some(IntentEnd::Written) | None if is_repeated => PublishEnd::Failed {
                    detail: Arc::clone(&detail),
                },
                Some(IntentEnd::Written) | None => PublishEnd::Refused {
                    kind: refusal.kind,
                    detail: Arc::clone(&detail),
                },
                Some(other) => end_of(other, &branch),
            };
            self.end(&one, end);
        }
        let resume = pause.map(|n| self.resume_after(now, id, n));
        self.go_on(id, resume);
    }

    /// What became of the push is not known.
    fn on_unknown(&mut self, now: Time, id: LaneId, ends: Vec<IntentEnd>, mut doubt: Doubt) {
        let Some(lane) = self.lanes.get(&id) else {
            return;
        };
        let n_intents = lane.batch.len();
        doubt.is_exact = ends.len() == n_intents;
        let end = BatchEnd::Unknown {
            detail: Arc::clone(&doubt.detail),
        };
        let branch = doubt.branch.clone();
        self.report(id, &branch, n_intents, end);
        // What is no part of the commit is not in doubt.
        self.end_if(id, ends, |end| !matches!(end, IntentEnd::Written), &branch);
        if self.is_unwanted(id) {
            self.drop_batch(id);
            return self.go_on(id, None);
        }
        for one in self.lanes.get(&id).map_or(&[][..], |lane| &lane.batch) {
            if !one.is_dropped {
                self.outcomes.push_back(PublishOutcome::Repeated {
                    app: one.member.app,
                    detail: Arc::clone(&doubt.detail),
                });
            }
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            for one in &mut lane.batch {
                one.member.is_doubted = true;
            }
            lane.doubt = Some(doubt);
        }
        self.go_on(id, Some(now));
    }

    fn on_inspection(&mut self, now: Time, id: LaneId, outcome: GitOutcome) {
        match outcome {
            GitOutcome::Inspected {
                commit: Some(commit),
            } => self.on_found(now, id, commit),
            GitOutcome::Inspected { commit: None } => self.on_not_found(now, id),
            GitOutcome::Refused { refusal, .. } => {
                self.on_inspection_failed(now, id, refusal.kind, &refusal.to_string());
            }
            GitOutcome::Unknown { detail, .. } => {
                self.on_inspection_failed(now, id, RefusalKind::Transport, &detail);
            }
            GitOutcome::Published { .. } | GitOutcome::Unchanged { .. } => {
                let detail = "the inspection was answered as if it had been a publish";
                self.on_inspection_failed(now, id, RefusalKind::NotGit, detail);
            }
        }
    }

    /// The commit whose reply was lost is on the branch.
    fn on_found(&mut self, now: Time, id: LaneId, commit: ObjectId) {
        let Some(doubt) = self.lanes.get(&id).and_then(|lane| lane.doubt.as_ref()) else {
            return;
        };
        let (branch, detail) = (doubt.branch.clone(), Arc::clone(&doubt.detail));
        if doubt.is_exact {
            let end = BatchEnd::Published {
                commit,
                relation: None,
                messages: Vec::new(),
            };
            self.on_published(id, &branch, end, commit, &[]);
            return self.go_on(id, None);
        }
        // It is there, but not known what of the batch it holds: the branch tells.
        self.repeat_doubted(now, id, &detail, None);
    }

    fn on_not_found(&mut self, now: Time, id: LaneId) {
        let Some(lane) = self.lanes.get(&id) else {
            return;
        };
        let Some(doubt) = &lane.doubt else { return };
        let (branch, detail) = (doubt.branch.clone(), Arc::clone(&doubt.detail));
        let n_intents = lane.batch.len();
        if lane.is_unchanged() {
            // Somebody else wrote the same.
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.doubt = None;
            }
            return self.on_unchanged(now, id, &branch, Vec::new());
        }
        self.report(id, &branch, n_intents, BatchEnd::NotFound);
        self.repeat_doubted(now, id, &detail, Some(DoubtPhase::Repeat));
    }

    /// It could not be found out.
    fn on_inspection_failed(&mut self, now: Time, id: LaneId, kind: RefusalKind, detail: &str) {
        let attempts_max = self.settings.attempts_max;
        let Some(lane) = self.lanes.get_mut(&id) else {
            return;
        };
        let Some(doubt) = &mut lane.doubt else { return };
        let DoubtPhase::Inspect { n_failed, .. } = &mut doubt.phase else {
            return;
        };
        *n_failed += 1;
        let n = *n_failed;
        // A login is read anew for each attempt, and a branch that is gone holds no commit.
        if n < attempts_max && kind.remedy() != Remedy::Human
            || n == 1 && kind == RefusalKind::Unauthenticated
        {
            let resume = self.resume_after(now, id, n);
            return self.go_on(id, Some(resume));
        }
        let text = alloc::format!(
            "whether the commit is on the branch is not known: {}; looking for it: {detail}",
            doubt.detail
        );
        lane.doubt = None;
        let detail: Arc<str> = text.into();
        for one in self.take_batch(id) {
            let detail = Arc::clone(&detail);
            self.end(&one, PublishEnd::Failed { detail });
        }
        self.go_on(id, None);
    }

    /// The intents of a commit that was in doubt are repeated.
    fn repeat_doubted(
        &mut self,
        now: Time,
        id: LaneId,
        detail: &Arc<str>,
        phase: Option<DoubtPhase>,
    ) {
        let mut pause = None;
        for mut one in self.take_batch(id) {
            one.member.n_failed += 1;
            one.member.is_doubted = phase.is_some();
            if one.member.n_failed < self.settings.attempts_max {
                pause = pause.max(Some(one.member.n_failed));
                self.put_back(id, one, detail);
            } else {
                let detail = Arc::clone(detail);
                self.end(&one, PublishEnd::Failed { detail });
            }
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            match (phase, &mut lane.doubt) {
                (Some(phase), Some(doubt)) => doubt.phase = phase,
                (Some(_) | None, doubt) => *doubt = None,
            }
        }
        let resume = pause.map(|n| self.resume_after(now, id, n));
        self.go_on(id, resume);
    }

    /// Ends those intents of the batch whose own end is one of these; the others stay in it.
    fn end_if(
        &mut self,
        id: LaneId,
        ends: Vec<IntentEnd>,
        is_meant: impl Fn(&IntentEnd) -> bool,
        branch: &str,
    ) {
        let branch: Arc<str> = branch.into();
        let mut left = Vec::new();
        let mut ends = ends.into_iter();
        for one in self.take_batch(id) {
            match ends.next() {
                Some(end) if is_meant(&end) => self.end(&one, end_of(&end, &branch)),
                Some(_) | None => left.push(one),
            }
        }
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.batch = left;
        }
    }

    fn take_batch(&mut self, id: LaneId) -> Vec<Batched> {
        let lane = self.lanes.get_mut(&id);
        lane.map(|lane| mem::take(&mut lane.batch))
            .unwrap_or_default()
    }

    /// Puts an intent back in line, unless nobody wants it any more.
    fn put_back(&mut self, id: LaneId, one: Batched, detail: &Arc<str>) {
        if one.is_dropped {
            return;
        }
        self.outcomes.push_back(PublishOutcome::Repeated {
            app: one.member.app,
            detail: Arc::clone(detail),
        });
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.waiting.insert(one.place, one.member);
        }
    }

    fn end(&mut self, one: &Batched, end: PublishEnd) {
        if one.is_dropped {
            return;
        }
        let app = one.member.app;
        self.places.remove(&app);
        self.outcomes.push_back(PublishOutcome::Ended { app, end });
    }

    fn report(&mut self, id: LaneId, branch: &str, applications: usize, end: BatchEnd) {
        let Some(lane) = self.lanes.get(&id) else {
            return;
        };
        self.outcomes.push_back(PublishOutcome::Batch(BatchReport {
            repository: lane.url.to_string().into(),
            branch: branch.into(),
            applications,
            end,
        }));
    }

    /// The end of the pause after attempt `n` failed, counted from 1; now for 0.
    fn resume_after(&self, now: Time, id: LaneId, n: u32) -> Time {
        let lane = self.lanes.get(&id);
        match (lane, n.checked_sub(1)) {
            (Some(lane), Some(n)) => now.after(self.pause(&lane.key, n)),
            (Some(_) | None, _) => now,
        }
    }

    fn branch_of(&self, id: LaneId) -> String {
        let lane = self.lanes.get(&id);
        let branch = lane.and_then(|lane| lane.key.branch());
        branch.unwrap_or_default().into()
    }
}

/// The end of an intent by its edit alone.
fn end_of(end: &IntentEnd, branch: &Arc<str>) -> PublishEnd {
    match end {
        IntentEnd::Written | IntentEnd::Unchanged => PublishEnd::Unchanged {
            branch: Arc::clone(branch),
        },
        IntentEnd::Refused(refusal) => PublishEnd::EditRefused(refusal.clone()),
    }
}
