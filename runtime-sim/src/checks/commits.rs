//! What was committed, judged from the repository's side (S7, S8, S9, S11, L7).
//!
//! Naive on purpose: trees are compared path by path, and files are read a line at a time.

use std::collections::{BTreeMap, BTreeSet};

use image_updater_core::event::Event;
use image_updater_core::git::ObjectId;
use image_updater_core::id::{AppKey, OpId};
use image_updater_core::publish::{GitJob, GitTask};
use image_updater_fixtures::git::{Push, Repository, overlay};

use super::Violation;
use crate::git::{self, GitAction};
use crate::workload::AppIdx;
use crate::world::{NAMESPACE, World};

/// A branch of a repository.
type Target = (usize, String);

/// All commits of a run.
#[derive(Debug, Default)]
pub struct Commits {
    in_flight: BTreeMap<OpId, Target>,
    batches: BTreeSet<String>,
    /// Which applications each of our commits names.
    ours: BTreeMap<ObjectId, BTreeSet<String>>,
    /// What we wrote last into the file of an application, until somebody else touches it.
    last: BTreeMap<(Target, String), Vec<u8>>,
    /// How many landed.
    pub landed: u64,
}

/// A commit of ours that landed: what it did to the files of applications.
pub struct Landed {
    /// The application, with its file before and after.
    pub files: Vec<(AppIdx, Vec<u8>, Vec<u8>)>,
}

impl Commits {
    /// S7: at most one publish is in flight per branch.
    pub fn started(&mut self, op: OpId, job: &GitJob) -> Result<(), Violation> {
        let Some(repo) = git::idx_of(job.repository.reveal()) else {
            return Ok(());
        };
        if let GitTask::Inspect { .. } = job.task {
            return Ok(());
        }
        let target = &job.target;
        let branch = target.write.clone().or_else(|| target.base.clone());
        // The default branch of this world.
        let target = (repo, branch.unwrap_or_else(|| "main".to_owned()));
        if self.in_flight.values().any(|other| *other == target) {
            let subject = format!("{} {}", git::url(repo), target.1);
            return Err(Violation::new("S7", subject, "two publishes in flight"));
        }
        self.in_flight.insert(op, target);
        Ok(())
    }

    /// An attempt was answered.
    pub fn completed(&mut self, op: OpId) {
        self.in_flight.remove(&op);
    }

    /// What was under way ended with the process.
    pub fn restarted(&mut self) {
        self.in_flight.clear();
    }

    /// Somebody else touches a file: what we write there next is no repetition.
    pub fn act(&mut self, repo: usize, action: &GitAction, world: &World) {
        match action {
            GitAction::Touch(app) | GitAction::Revert(app) | GitAction::Link(app) => {
                let path = git::path(&world.apps[*app]);
                self.last
                    .retain(|((one, _), other), _| (*one, &**other) != (repo, &path));
            }
            GitAction::DeleteBranch(branch) | GitAction::RestoreBranch(branch) => {
                self.last
                    .retain(|(target, _), _| *target != (repo, branch.clone()));
            }
            GitAction::Commit(_)
            | GitAction::Protect(_)
            | GitAction::Unprotect(_)
            | GitAction::Rotate { .. }
            | GitAction::NextPushes(_) => {}
        }
    }

    /// A push of ours was applied.
    ///
    /// # Errors
    /// S8: it does not hold exactly the edits of those whom it names. S9: it says again what was said. S11: it
    /// changes what is nobody's, or commits of others are lost.
    pub fn pushed(&mut self, repo: usize, push: &Push, world: &World) -> Result<Landed, Violation> {
        let fail = |id: &'static str, detail: String| {
            let subject = format!("{} {}", git::url(repo), push.name);
            Err(Violation::new(
                id,
                subject,
                format!("{}: {detail}", push.new),
            ))
        };
        self.landed += 1;
        if push.is_forced {
            return fail("S11", "it was forced".to_owned());
        }
        let Some(server) = world.git.server(repo) else {
            return fail("harness", "there is no such repository".to_owned());
        };
        let repository = &server.repository;
        let text = repository.commit_text(push.new).unwrap_or_default();
        let (batch, named) = trailers(text);
        if !self.batches.insert(batch.clone()) {
            return fail("S9", format!("the batch {batch:?} is there twice"));
        }
        let before = repository.entries(push.old);
        let after = repository.entries(push.new);
        let mut changed: BTreeSet<&String> = BTreeSet::new();
        for path in before.keys().chain(after.keys()) {
            if before.get(path) != after.get(path) {
                changed.insert(path);
            }
        }
        if changed.is_empty() {
            return fail("S9", "a commit that changes nothing".to_owned());
        }
        let branch = push.name.trim_start_matches("refs/heads/").to_owned();
        let mut files = Vec::new();
        for name in &named {
            let Some(app) = World::app_idx(name) else {
                return fail("S8", format!("{name:?} is nobody"));
            };
            let model = &world.apps[app];
            let path = git::path(model);
            if !changed.remove(&path) {
                return fail("S8", format!("it names {name} and does not change {path}"));
            }
            if before
                .get(&path)
                .is_some_and(|entry| Some(&entry.0) != after.get(&path).map(|entry| &entry.0))
            {
                return fail("S11", format!("the mode of {path} changed"));
            }
            let [old, new] = [push.old, push.new].map(|commit| content(repository, commit, &path));
            if overlay::comments(&old) != overlay::comments(&new) {
                return fail("S11", format!("comments in {path} changed"));
            }
            let key = ((repo, branch.clone()), path.clone());
            if self.last.get(&key) == Some(&new) {
                return fail(
                    "S9",
                    format!("{path} is written again, and nobody changed it"),
                );
            }
            self.last.insert(key, new.clone());
            files.push((app, old, new));
        }
        if let Some(path) = changed.first() {
            return fail(
                "S8",
                format!("{path} changed, and no application is named for it"),
            );
        }
        self.ours.insert(push.new, named);
        Ok(Landed { files })
    }

    /// `design.md` 4.6: what is told is so.
    pub fn event(&self, event: &Event) -> Result<(), Violation> {
        let Event::Published { key, commit, .. } = event else {
            return Ok(());
        };
        let named = self.ours.get(commit);
        if named.is_some_and(|named| named.contains(&*key.name)) {
            return Ok(());
        }
        let detail = format!("told to be in {commit}, which is not there or does not name it");
        Err(Violation::new("S8", key.to_string(), detail))
    }
}

fn content(repository: &Repository, commit: ObjectId, path: &str) -> Vec<u8> {
    repository
        .content(commit, path)
        .unwrap_or_default()
        .to_vec()
}

/// The batch and the applications that a message names.
fn trailers(text: &str) -> (String, BTreeSet<String>) {
    let of = |name: &str| {
        let begin = format!("{name}: ");
        let lines = text
            .lines()
            .filter_map(move |line| line.strip_prefix(&begin));
        lines.map(str::to_owned).collect::<Vec<String>>()
    };
    let batch = of("Image-Updater-Batch").pop().unwrap_or_default();
    let named = of("Image-Updater-Application")
        .into_iter()
        .filter_map(|text| {
            let prefix = AppKey::new(NAMESPACE, "").to_string();
            text.strip_prefix(&prefix).map(str::to_owned)
        });
    (batch, named.collect())
}
