//! From the answers of registries to a decision that is kept, told and written.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::Updater;
use super::progress::end_of;
use super::run::{Draft, Phase};
use crate::event::{Event, RunKind};
use crate::explain::ImageReport;
use crate::id::AppId;
use crate::lookup::{Found, found};
use crate::update::{Decision, WriteBack, decide};

impl Updater {
    /// Decides on the freshest record, and writes or ends.
    pub(super) fn decide_run(&mut self, id: AppId) {
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
            WriteBack::Git if may_write => self.put_in_batch(id, decision.changes, counters),
            WriteBack::Patch(_) | WriteBack::Git => {
                if self.config.dry_run {
                    self.events.push_back(Event::DryRun {
                        key,
                        changes: decision.changes,
                    });
                }
                self.finish_run(id, end_of(&counters), counters);
            }
            WriteBack::None | WriteBack::Refused(_) => self.finish_unwritten(id, counters),
        }
    }

    pub(super) fn put_in_line(&mut self, id: AppId) {
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
        let mut commit = None;
        if decision.write == WriteBack::Git {
            match self.commit_of(&entry.app, &run.plan, &decision) {
                Ok(made) => commit = Some(made),
                Err(refusal) => decision.refuse(refusal),
            }
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
        if let Some((_, Some(detail))) = &commit {
            self.events.push_back(Event::MessageNotRendered {
                key: key.clone(),
                detail: detail.clone(),
            });
        }
        let entry = self.apps.entry_mut(id)?;
        if let Some(run) = entry.run.as_mut() {
            run.commit = commit.map(|(commit, _)| Box::new(commit));
        }
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
}
