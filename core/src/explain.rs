//! Explanations: what was decided last for each image of an application, and what comes next.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::app::{IgnoreReason, Problem, UnknownKey};
use crate::event::{RunEnd, RunKind};
use crate::git::ObjectId;
use crate::id::AppKey;
use crate::publish::PublishStanding;
use crate::schedule::Standing;
use crate::time::Time;
use crate::update::{Reason, Refusal};

/// What was decided for one list entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageReport {
    /// The list entry as written.
    pub image: Box<str>,
    /// What became of it, and why; carries a stable code.
    pub reason: Reason,
}

impl ImageReport {
    /// Bytes held beside the record itself.
    pub fn heap_bytes(&self) -> usize {
        self.image.len() + self.reason.heap_bytes()
    }
}

/// How the last run of an application ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastRun {
    /// Why it took place.
    pub kind: RunKind,
    /// When it ended.
    pub ended: Time,
    /// How it ended.
    pub end: RunEnd,
}

/// What became of the last write-back through Git.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LastPublish {
    /// When.
    pub ended: Time,
    /// How.
    pub end: LastPublishEnd,
}

/// How the last write-back through Git ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LastPublishEnd {
    /// This commit has it.
    Published {
        /// The branch.
        branch: Box<str>,
        /// The commit.
        commit: ObjectId,
    },
    /// The branch said it already.
    Unchanged {
        /// The branch.
        branch: Box<str>,
    },
    /// Nothing was written, or it is not known.
    Failed {
        /// Why.
        detail: Box<str>,
    },
}

impl LastPublish {
    /// Bytes held beside the record itself.
    pub fn heap_bytes(&self) -> usize {
        match &self.end {
            LastPublishEnd::Published { branch: text, .. }
            | LastPublishEnd::Unchanged { branch: text }
            | LastPublishEnd::Failed { detail: text } => text.len(),
        }
    }
}

/// Why an application was, or was not, updated.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Explanation {
    /// Which application.
    pub key: AppKey,
    /// Why it takes no part, if so.
    pub ignored: Option<IgnoreReason>,
    /// Members of the object that could not be read.
    pub problems: Box<[Problem]>,
    /// Annotations of ours that look misspelt or belong to no image.
    pub unknown_annotations: Vec<UnknownKey>,
    /// The last decision, per list entry, in order.
    pub images: Box<[ImageReport]>,
    /// Why nothing is written for it, whatever was decided.
    pub refusal: Option<Refusal>,
    /// What its repository waits for, while a commit of it is wanted.
    pub publishing: Option<PublishStanding>,
    /// What became of its last commit.
    pub last_publish: Option<LastPublish>,
    /// The last run.
    pub last_run: Option<LastRun>,
    /// What runs now.
    pub running: Option<RunKind>,
    /// What its next check waits for.
    pub standing: Option<Standing>,
}
