//! From a decision to a commit: what is wanted of a repository, and what came of it.

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::mem;

use super::Updater;
use super::progress::end_of;
use super::run::{Commit, Draft, Phase};
use crate::app::{Application, GitCredentials};
use crate::event::{Event, RunEnd};
use crate::explain::{LastPublish, LastPublishEnd};
use crate::git;
use crate::id::AppId;
use crate::publish::{
    BatchKey, CredentialReference, Intent, PublishEnd, PublishOutcome, RepositoryUrl,
};
use crate::update::{Change, Counters, Decision, Plan, ReasonKind, Refusal};
use crate::writeback::branch::Base;
use crate::writeback::configuration::{GitWriteBack, WriteBack};
use crate::writeback::edit::FileEdit;

/// How often an intent that waits is decided anew before it goes out as it is: a list that changes all the
/// time must not hold it back for ever (L5).
const REVISIONS_MAX: u32 = 3;

impl Updater {
    /// What is to be committed for a decision, and what is wrong with the template of its message.
    pub(super) fn commit_of(
        &self,
        app: &Application,
        plan: &Plan,
        decision: &Decision,
    ) -> Result<(Commit, Option<String>), Refusal> {
        let Some(settings) = &self.config.publish else {
            return Err(Refusal::GitNotBuilt);
        };
        let refused = |text: String| Refusal::Git(text.into());
        let write_back = WriteBack::of(app, &settings.controller_namespace)
            .map_err(|error| refused(error.to_string()))?;
        let WriteBack::Git(wanted) = write_back else {
            return Err(Refusal::GitNotBuilt);
        };
        let target = target_of(app, &wanted, &decision.changes)?;
        let parameters = decision
            .to_spec(app, plan)
            .map_err(|error| refused(error.to_string()))?;
        let rendered = settings.template.render(&app.key.name, &decision.changes);
        let (message, problem) = match rendered {
            Ok(message) => (message, None),
            Err(error) => (error.to_message(), Some(error.to_string())),
        };
        let credential = match wanted.credentials {
            GitCredentials::Repository => CredentialReference::Repository {
                project: app.project.clone(),
            },
            GitCredentials::Secret(reference) => CredentialReference::Secret(reference),
        };
        let has_failed = |at: usize| {
            let reason = decision.images.get(at);
            reason.is_some_and(|reason| reason.kind() == ReasonKind::Error)
        };
        let kind = wanted.target.kind;
        let edit = FileEdit::of(kind, app, plan, parameters, &has_failed)
            .map_err(|error| refused(error.to_string()))?;
        let commit = Commit {
            key: BatchKey::new(&wanted.repository, target, credential),
            url: RepositoryUrl::new(&wanted.repository),
            intent: Intent {
                app: app.key.clone(),
                target: wanted.target,
                edit,
                message: message.into(),
            },
        };
        Ok((commit, problem))
    }

    /// The run's decision goes into a batch. It waits there without a slot.
    pub(super) fn put_in_batch(&mut self, id: AppId, changes: Vec<Change>, counters: Counters) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(run) = entry.run.as_mut() else {
            return;
        };
        let Some(commit) = run.commit.take() else {
            return;
        };
        run.draft = Some(Box::new(Draft {
            resource_version: entry.app.resource_version.clone(),
            operations: Vec::new(),
            changes,
            counters,
        }));
        run.phase = Phase::Publishing;
        if mem::take(&mut run.has_slot) {
            self.schedule.give_slot(&key);
        }
        let Commit { key, url, intent } = *commit;
        self.publishes
            .enqueue(self.now.mono, id, key, url.reveal(), intent);
    }

    /// Something that the intent of a run depends on changed: while it waits it is decided anew, and once it
    /// is under way it comes to its end first.
    pub(super) fn revise(&mut self, id: AppId, plan: Option<Plan>, is_asked: bool) {
        let is_settled = self.publishes.is_under_way(id) || !self.is_running();
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let Some(run) = entry.run.as_mut() else {
            return;
        };
        if is_settled || run.n_revisions >= REVISIONS_MAX {
            entry.again |= is_asked;
            return;
        }
        run.n_revisions += 1;
        if let Some(plan) = plan {
            run.plan = plan;
        }
        self.publishes.forget(id);
        self.look_up(id);
    }

    /// The room of publishes has news.
    pub(super) fn on_publish(&mut self, outcome: PublishOutcome) {
        match outcome {
            PublishOutcome::Ended { app, end } => self.on_published(app, end),
            PublishOutcome::Repeated { app, detail } => {
                self.tell_failure(app, String::from(&*detail), true);
                // Decided again, where what it was decided on has changed since.
                let entry = self.apps.entry_mut(app);
                if entry.is_some_and(|entry| mem::take(&mut entry.again)) {
                    self.revise_by_record(app);
                }
            }
            PublishOutcome::Batch(report) => self.events.push_back(Event::Batch(report)),
            PublishOutcome::Stalled(op) => {
                self.events.push_back(Event::OperationStalled { op });
            }
        }
    }

    fn revise_by_record(&mut self, id: AppId) {
        let Some(entry) = self.apps.entry(id) else {
            return;
        };
        let plan = Plan::of(&entry.app, &self.config.runtime_platform);
        self.revise(id, Some(plan), true);
    }

    fn on_published(&mut self, id: AppId, end: PublishEnd) {
        let Some(entry) = self.apps.entry_mut(id) else {
            return;
        };
        let key = entry.app.key.clone();
        let Some(run) = entry
            .run
            .as_mut()
            .filter(|run| run.phase == Phase::Publishing)
        else {
            return;
        };
        let ended = self.now.mono;
        let remember = |end| Some(Box::new(LastPublish { ended, end }));
        match end {
            PublishEnd::Published { commit, branch } => {
                let Some(draft) = run.draft.take() else {
                    return;
                };
                let branch = Box::<str>::from(&*branch);
                entry.last_publish = remember(LastPublishEnd::Published {
                    branch: branch.clone(),
                    commit,
                });
                self.counts.writes += 1;
                self.events.push_back(Event::Published {
                    key,
                    changes: draft.changes,
                    branch,
                    commit,
                });
                self.finish_run(id, end_of(&draft.counters), draft.counters);
            }
            PublishEnd::Unchanged { branch } => {
                let draft = run.draft.take();
                let mut counters = draft.map_or_else(Counters::default, |draft| draft.counters);
                // Nothing was written: no success is counted again (WB-29).
                counters.n_updated = 0;
                let branch = Box::<str>::from(&*branch);
                entry.last_publish = remember(LastPublishEnd::Unchanged {
                    branch: branch.clone(),
                });
                self.events
                    .push_back(Event::AlreadyPublished { key, branch });
                self.finish_run(id, end_of(&counters), counters);
            }
            PublishEnd::EditRefused(refusal) => self.fail_publish(id, refusal.to_string()),
            PublishEnd::Refused { kind, detail } => {
                self.fail_publish(id, alloc::format!("{}: {detail}", kind.as_str()));
            }
            PublishEnd::Failed { detail } => self.fail_publish(id, String::from(&*detail)),
        }
    }

    fn fail_publish(&mut self, id: AppId, detail: String) {
        if let Some(entry) = self.apps.entry_mut(id) {
            entry.last_publish = Some(Box::new(LastPublish {
                ended: self.now.mono,
                end: LastPublishEnd::Failed {
                    detail: detail.as_str().into(),
                },
            }));
        }
        self.fail_write(id, detail);
    }

    /// Time is over: what was not published is told, and given up (L9).
    pub(super) fn abandon_unpublished(&mut self) {
        let ids: Vec<AppId> = self
            .apps
            .iter()
            .filter(|(_, entry)| {
                let run = entry.run.as_ref();
                run.is_some_and(|run| run.phase == Phase::Publishing)
            })
            .map(|(id, _)| id)
            .collect();
        for id in ids {
            let detail = if self.publishes.is_under_way(id) {
                "stopped before the answer to the commit came: whether it is on the branch is not known"
            } else {
                "stopped before the commit could be published"
            };
            self.tell_failure(id, detail.to_owned(), false);
            self.counts.writes_failed += 1;
            self.finish_run(id, RunEnd::Abandoned, Counters::default());
        }
    }
}

/// The branches of a commit.
fn target_of(
    app: &Application,
    wanted: &GitWriteBack,
    changes: &[Change],
) -> Result<git::Target, Refusal> {
    let refused = |error: crate::writeback::branch::BranchError| {
        Refusal::Git(error.to_string().into_boxed_str())
    };
    let base = wanted
        .branch
        .base_or(&wanted.base_revision)
        .map_err(refused)?;
    let write = wanted.branch.rendered(&app.key, changes).map_err(refused)?;
    let base = match base {
        Base::Default => None,
        Base::Named(name) => Some(name.as_str().to_owned()),
    };
    let write = write.map(|name| name.as_str().to_owned());
    Ok(git::Target { base, write })
}
