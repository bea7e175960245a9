//! What is done between reading and pushing: edits, the commit's message, and what that comes to for each intent.
//!
//! Every intent is edited by itself, on top of what those before it made of the files: one that cannot be edited
//! changes nothing and harms nobody (`writeback.md` 15.4).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::intent::Intent;
use super::job::{GitJob, GitOutcome, GitTask, IntentEnd, IntentRefusal, PublishTask};
use crate::git::job::{Found, Inspect, Publish};
use crate::git::{self, Edits, Outcome, Refusal, RefusalKind, Worktree};
use crate::writeback::edit::FileEdit;
use crate::writeback::message::{self, BatchPart};

/// The part of an attempt that knows of applications.
#[derive(Debug)]
pub struct Work {
    /// What is published; an inspection edits nothing.
    publish: Option<Box<PublishTask>>,
    ends: Vec<IntentEnd>,
}

impl Work {
    /// The session's job for an attempt, and the work that belongs to it.
    pub fn new(job: GitJob) -> (git::Job, Self) {
        let trailer = job.task.trailer();
        let target = job.target;
        let (job, publish) = match job.task {
            GitTask::Publish(task) => {
                let paths = task.intents.iter();
                let paths = paths.flat_map(|intent| FileEdit::paths(&intent.target));
                let job = Publish {
                    target,
                    paths: paths.collect::<BTreeSet<String>>(),
                    author: task.author.clone(),
                    time: task.time,
                    is_signed: task.is_signed,
                };
                (git::Job::Publish(job), Some(task))
            }
            GitTask::Inspect { batch: _, since } => {
                let job = Inspect {
                    target,
                    trailer,
                    since,
                };
                (git::Job::Inspect(job), None)
            }
        };
        let ends = Vec::new();
        (job, Self { publish, ends })
    }

    /// Edits the files of a branch's tip for every intent. Called again when the tip was read again.
    pub fn edit(&mut self, worktree: &Worktree) -> Edits {
        let Some(task) = &self.publish else {
            return Edits::Write {
                files: BTreeMap::new(),
                message: String::new(),
            };
        };
        let mut files = worktree.files.clone();
        let mut changed: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let ends = task.intents.iter();
        let ends = ends.map(|intent| edit(intent, worktree, &mut files, &mut changed));
        let ends: Vec<IntentEnd> = ends.collect();
        let written = |(intent, end): (&Arc<Intent>, &IntentEnd)| {
            (*end == IntentEnd::Written).then(|| BatchPart {
                key: intent.app.clone(),
                message: intent.message.clone(),
            })
        };
        let parts = task.intents.iter().zip(&ends).filter_map(written);
        let parts: Vec<BatchPart> = parts.collect();
        let identity = task.author.to_written();
        let identity = alloc::format!("{} <{}>", identity.name, identity.email);
        let sign_off = task.is_signed_off.then_some(&*identity);
        let message = message::of_batch(&parts, task.batch.as_str(), sign_off);
        self.ends = ends;
        Edits::Write {
            files: changed,
            message,
        }
    }

    /// The answer to the effect, for what came of the session.
    pub fn outcome_of(&mut self, outcome: Outcome) -> GitOutcome {
        let ends = core::mem::take(&mut self.ends);
        match outcome {
            Outcome::Published {
                tip,
                commit,
                messages,
            } => GitOutcome::Published {
                commit,
                branch: tip.branch.into(),
                relation: tip.relation,
                messages,
                ends,
            },
            Outcome::Unchanged { tip } => GitOutcome::Unchanged {
                branch: tip.branch.into(),
                ends: ends.into_iter().map(as_unchanged).collect(),
            },
            Outcome::Inspected { commit, .. } => GitOutcome::Inspected { commit },
            Outcome::Refused(refusal) => GitOutcome::Refused { refusal, ends },
            Outcome::Unknown {
                tip,
                commit: _,
                detail,
            } => GitOutcome::Unknown {
                since: Some(tip.commit),
                branch: tip.branch.into(),
                detail,
                ends,
            },
            // No job of an attempt asks for this.
            Outcome::Read(_) => GitOutcome::Refused {
                refusal: Refusal::new(RefusalKind::NotGit, "the attempt only read"),
                ends,
            },
        }
    }
}

/// Edits the file of one intent, on top of what those before it `changed`.
fn edit(
    intent: &Intent,
    worktree: &Worktree,
    files: &mut BTreeMap<String, Found>,
    changed: &mut BTreeMap<String, Vec<u8>>,
) -> IntentEnd {
    let refused = |refusal| IntentEnd::Refused(IntentRefusal::Edit(refusal));
    let (path, content) = match intent.edit.apply(&intent.target, files) {
        Err(refusal) => return refused(refusal),
        Ok(Some(edited)) => edited,
        // The branch says it, or those before it do: then it has a part in their commit.
        Ok(None) => {
            let mut paths = FileEdit::paths(&intent.target).into_iter();
            if !paths.any(|path| changed.contains_key(&path)) {
                return IntentEnd::Unchanged;
            }
            return match intent.edit.apply(&intent.target, &worktree.files) {
                Ok(None) => IntentEnd::Unchanged,
                Ok(Some(_)) => IntentEnd::Written,
                Err(refusal) => refused(refusal),
            };
        }
    };
    if is_entangled(&path, changed) {
        return IntentEnd::Refused(IntentRefusal::Entangled(path.into()));
    }
    files.insert(path.clone(), Found::File(content.clone()));
    changed.insert(path, content);
    IntentEnd::Written
}

/// True when `path` goes through a file of these, or one of these goes through it.
fn is_entangled(path: &str, files: &BTreeMap<String, Vec<u8>>) -> bool {
    let mut folders = path.match_indices('/').map(|(at, _)| &path[..at]);
    let below = alloc::format!("{path}/");
    folders.any(|folder| files.contains_key(folder))
        || files
            .range(below.clone()..)
            .next()
            .is_some_and(|(other, _)| other.starts_with(&below))
}

/// The end of an intent where the branch has all that was wanted.
fn as_unchanged(end: IntentEnd) -> IntentEnd {
    match end {
        IntentEnd::Written | IntentEnd::Unchanged => IntentEnd::Unchanged,
        IntentEnd::Refused(refusal) => IntentEnd::Refused(refusal),
    }
}
