//! One attempt: a Git session, and the edits that its intents want.
//!
//! A driver runs it beside the core: it performs the actions, hands over what comes, and answers the effect with
//! the outcome of [`AttemptAction::Finish`]. Every intent is edited by itself, on top of what those before it made
//! of the files: one that cannot be edited changes nothing and harms nobody (`writeback.md` 15.4).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::intent::Intent;
use super::job::{EditRefusal, GitJob, GitOutcome, GitTask, IntentEnd, PublishTask};
use crate::git::job::{Found, Inspect, PathRefusal, Publish};
use crate::git::{
    self, Action, ChannelEnd, ChannelId, Edits, Finished, Known, Limits, Open, Outcome, Refusal,
    RefusalKind, Remote, Service, Session, Worktree,
};
use crate::writeback::message::{self, BatchPart};

/// How often more files are read for edits that found out what else they need.
const ROUNDS_MAX: u32 = 4;
/// Most files that are read for one intent in a round.
const PATHS_PER_INTENT_MAX: usize = 16;

/// Edits files for one intent. Called again with more files on the desk when it asked for some, and never twice
/// with different effect on equal files.
pub type Edit = fn(&Intent, &Desk<'_>) -> Edited;

/// What an edit comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edited {
    /// These files are needed first; asked again when they are there.
    Needs(BTreeSet<String>),
    /// These files with their contents, whether they differ or not.
    Done(BTreeMap<String, Vec<u8>>),
    /// It is not made.
    Refused(EditRefusal),
}

/// The files as earlier intents of the batch left them.
#[derive(Debug)]
pub struct Desk<'a> {
    found: &'a BTreeMap<String, Found>,
    changed: &'a BTreeMap<String, Vec<u8>>,
}

/// A file on the desk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Look<'a> {
    /// It was not asked for yet.
    NotRead,
    /// Its content.
    File(&'a [u8]),
    /// There is none.
    Absent,
    /// It is not to be touched.
    Refused(PathRefusal),
}

impl<'a> Desk<'a> {
    /// Files as they were found, and what has become of some.
    pub const fn new(
        found: &'a BTreeMap<String, Found>,
        changed: &'a BTreeMap<String, Vec<u8>>,
    ) -> Self {
        Self { found, changed }
    }

    /// The file at `path`.
    pub fn look(&self, path: &str) -> Look<'a> {
        if let Some(content) = self.changed.get(path) {
            return Look::File(content);
        }
        match self.found.get(path) {
            None => Look::NotRead,
            Some(Found::File(content)) => Look::File(content),
            Some(Found::Absent) => Look::Absent,
            Some(Found::Refused(refusal)) => Look::Refused(*refusal),
        }
    }
}

/// What an attempt wants of its driver; answered as [`Action`] says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AttemptAction {
    /// Open a channel.
    Open {
        /// Its name.
        channel: ChannelId,
        /// The service.
        service: Service,
        /// What to open.
        open: Open,
    },
    /// Send on a channel over SSH.
    Send {
        /// The channel.
        channel: ChannelId,
        /// What to send.
        bytes: Vec<u8>,
    },
    /// Nothing more is wanted of the channel.
    Close {
        /// The channel.
        channel: ChannelId,
    },
    /// Sign these bytes.
    Sign {
        /// The commit without its signature.
        payload: Vec<u8>,
    },
    /// The last action.
    Finish(Box<AttemptEnd>),
}

/// An attempt's end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AttemptEnd {
    /// The answer to the effect.
    pub outcome: GitOutcome,
    /// What the next attempt at this repository and these branches begins with, if the driver keeps it.
    pub known: Known,
}

/// One attempt of a [`GitJob`].
#[derive(Debug)]
pub struct Attempt {
    session: Session,
    publish: Option<Box<PublishTask>>,
    edit: Edit,
    n_rounds: u32,
    ends: Vec<IntentEnd>,
}

impl Attempt {
    /// Begins an attempt with the repository at `remote`. `known` is what an earlier one left.
    pub fn new(job: GitJob, remote: Remote, known: Known, limits: Limits, edit: Edit) -> Self {
        let trailer = job.task.trailer();
        let target = job.target;
        let (job, publish) = match job.task {
            GitTask::Publish(task) => {
                let job = Publish {
                    target,
                    paths: first_paths(&task, edit),
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
        Self {
            session: Session::new(job, remote, known, limits),
            publish,
            edit,
            n_rounds: 0,
            ends: Vec::new(),
        }
    }

    /// What the driver is to do next.
    pub fn poll_action(&mut self) -> Option<AttemptAction> {
        loop {
            return Some(match self.session.poll_action()? {
                Action::Open {
                    channel,
                    service,
                    open,
                } => AttemptAction::Open {
                    channel,
                    service,
                    open,
                },
                Action::Send { channel, bytes } => AttemptAction::Send { channel, bytes },
                Action::Close { channel } => AttemptAction::Close { channel },
                Action::Sign { payload } => AttemptAction::Sign { payload },
                Action::Edit(worktree) => {
                    let edits = self.edit(&worktree);
                    self.session.handle_edits(edits);
                    continue;
                }
                Action::Finish(finished) => {
                    let Finished { outcome, known } = *finished;
                    let outcome = self.outcome_of(outcome);
                    AttemptAction::Finish(Box::new(AttemptEnd { outcome, known }))
                }
            });
        }
    }

    /// How many bytes of `channel` the driver may hand over next.
    pub fn can_take_bytes(&self, channel: ChannelId) -> usize {
        self.session.can_take_bytes(channel)
    }

    /// The head of an HTTP answer; header names in lower case.
    pub fn handle_head(&mut self, channel: ChannelId, status: u16, headers: &[(String, String)]) {
        self.session.handle_head(channel, status, headers);
    }

    /// The next piece of what a channel brings.
    pub fn handle_data(&mut self, channel: ChannelId, bytes: &[u8]) {
        self.session.handle_data(channel, bytes);
    }

    /// What the program of an SSH channel says to people.
    pub fn handle_message(&mut self, channel: ChannelId, text: &[u8]) {
        self.session.handle_message(channel, text);
    }

    /// A channel ended.
    pub fn handle_end(&mut self, channel: ChannelId, end: &ChannelEnd) {
        self.session.handle_end(channel, end);
    }

    /// The driver has signed, or says why not.
    pub fn handle_signature(&mut self, signature: Result<String, String>) {
        self.session.handle_signature(signature);
    }

    /// Gives up, wherever the attempt is.
    pub fn handle_cancel(&mut self, detail: &str) {
        self.session.handle_cancel(detail);
    }

    fn edit(&mut self, worktree: &Worktree) -> Edits {
        let Some(task) = &self.publish else {
            return Edits::Write {
                files: BTreeMap::new(),
                message: String::new(),
            };
        };
        self.n_rounds += 1;
        let may_read = self.n_rounds <= ROUNDS_MAX;
        let mut changed: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut needs = BTreeSet::new();
        let mut ends = Vec::with_capacity(task.intents.len());
        for intent in &task.intents {
            let desk = Desk::new(&worktree.files, &changed);
            ends.push(match (self.edit)(intent, &desk) {
                Edited::Needs(paths) => {
                    let is_new = paths.iter().any(|path| !worktree.files.contains_key(path));
                    if is_new && may_read && paths.len() <= PATHS_PER_INTENT_MAX {
                        needs.extend(paths);
                    }
                    IntentEnd::Refused(EditRefusal::TooManyFiles)
                }
                Edited::Refused(refusal) => IntentEnd::Refused(refusal),
                Edited::Done(files) if self.is_at_tip(intent, &files, worktree, &changed) => {
                    IntentEnd::Unchanged
                }
                Edited::Done(files) => match put(files, &worktree.files, &mut changed) {
                    Ok(true) => IntentEnd::Written,
                    Ok(false) => IntentEnd::Unchanged,
                    Err(refusal) => IntentEnd::Refused(refusal),
                },
            });
        }
        if !needs.is_empty() {
            return Edits::Read(needs);
        }
        let written = |(intent, end): (&Arc<Intent>, &IntentEnd)| {
            (*end == IntentEnd::Written).then(|| BatchPart {
                key: intent.app.clone(),
                message: intent.message.clone(),
            })
        };
        let parts: Vec<BatchPart> = task.intents.iter().zip(&ends).filter_map(written).collect();
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

    /// True when an intent changes nothing of what those before it made of its files, and the branch said it
    /// before them too: it has no part in their commit.
    fn is_at_tip(
        &self,
        intent: &Intent,
        files: &BTreeMap<String, Vec<u8>>,
        worktree: &Worktree,
        changed: &BTreeMap<String, Vec<u8>>,
    ) -> bool {
        let desk = Desk::new(&worktree.files, changed);
        let is_shared = files.keys().any(|path| changed.contains_key(path));
        if !is_shared || !is_on(&desk, files) {
            return false;
        }
        let nothing = BTreeMap::new();
        let desk = Desk::new(&worktree.files, &nothing);
        match (self.edit)(intent, &desk) {
            Edited::Done(files) => is_on(&desk, &files),
            Edited::Needs(_) | Edited::Refused(_) => false,
        }
    }

    fn outcome_of(&mut self, outcome: Outcome) -> GitOutcome {
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

/// The files that edits begin with.
fn first_paths(task: &PublishTask, edit: Edit) -> BTreeSet<String> {
    let (found, changed) = (BTreeMap::new(), BTreeMap::new());
    let desk = Desk::new(&found, &changed);
    let mut paths = BTreeSet::new();
    for intent in &task.intents {
        if let Edited::Needs(needed) = edit(intent, &desk) {
            paths.extend(needed.into_iter().take(PATHS_PER_INTENT_MAX));
        }
    }
    paths
}

/// True when the files on the desk are these.
fn is_on(desk: &Desk<'_>, files: &BTreeMap<String, Vec<u8>>) -> bool {
    files
        .iter()
        .all(|(path, content)| desk.look(path) == Look::File(content))
}

/// Puts the files of one intent on the desk, all or none. True when the branch has other ones.
fn put(
    files: BTreeMap<String, Vec<u8>>,
    found: &BTreeMap<String, Found>,
    changed: &mut BTreeMap<String, Vec<u8>>,
) -> Result<bool, EditRefusal> {
    let mut is_changed = false;
    for (path, content) in &files {
        match found.get(path) {
            Some(Found::File(old)) => is_changed |= old != content,
            Some(Found::Absent) => {
                is_changed = true;
                if is_entangled(path, changed) || is_entangled(path, &files) {
                    return Err(EditRefusal::Entangled(path.as_str().into()));
                }
            }
            Some(Found::Refused(refusal)) => {
                return Err(EditRefusal::Path(path.as_str().into(), *refusal));
            }
            None => {
                let text = alloc::format!("{path}: an edit of a file that was not read");
                return Err(EditRefusal::Content(text.into()));
            }
        }
    }
    for (path, content) in files {
        // What was made different by another intent and is made the same again is no change.
        let is_same = matches!(found.get(&path), Some(Found::File(old)) if *old == content);
        if is_same {
            changed.remove(&path);
        } else {
            changed.insert(path, content);
        }
    }
    Ok(is_changed)
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
