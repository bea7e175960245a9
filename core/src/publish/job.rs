//! What crosses the boundary: one attempt as data, and what came of it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use super::intent::{BatchId, CredentialReference, Intent, RepositoryUrl};
use crate::git::job::Relation;
use crate::git::{self, Identity, ObjectId, Refusal};
use crate::time::UnixTime;
use crate::writeback::message::batch_line;
use crate::writeback::yaml::EditRefusal;

/// One attempt with one repository. The driver reads the credential anew for each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitJob {
    /// The repository as written.
    pub repository: RepositoryUrl,
    /// Where the credential comes from.
    pub credential: CredentialReference,
    /// The branches.
    pub target: git::Target,
    /// What is to be done.
    pub task: GitTask,
    /// How long to try.
    pub timeout: Duration,
}

/// What an attempt does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GitTask {
    /// Make a commit of intents and push it.
    Publish(Box<PublishTask>),
    /// Find out whether the commit of a batch is on the branch.
    Inspect {
        /// The batch.
        batch: BatchId,
        /// The commit that it would follow, when known.
        since: Option<ObjectId>,
    },
}

/// What is published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishTask {
    /// Names the commit in its trailer.
    pub batch: BatchId,
    /// What is wanted, in the order of arrival.
    pub intents: Vec<Arc<Intent>>,
    /// Who writes the commit.
    pub author: Identity,
    /// When.
    pub time: UnixTime,
    /// The commit is signed.
    pub is_signed: bool,
    /// The commit is signed off.
    pub is_signed_off: bool,
}

/// What came of an attempt. `ends` has one element per intent, in their order; it is empty where the attempt did
/// not come so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GitOutcome {
    /// The commit is on the branch.
    Published {
        /// The commit.
        commit: ObjectId,
        /// The branch that was written.
        branch: Box<str>,
        /// How that branch stood to its base.
        relation: Relation,
        /// What programs on the server said.
        messages: Vec<String>,
        /// What became of each intent.
        ends: Vec<IntentEnd>,
    },
    /// There was nothing to commit.
    Unchanged {
        /// The branch that was read.
        branch: Box<str>,
        /// What became of each intent.
        ends: Vec<IntentEnd>,
    },
    /// Nothing was changed on the server.
    Refused {
        /// Why.
        refusal: Refusal,
        /// What the edits of each intent came to.
        ends: Vec<IntentEnd>,
    },
    /// The push was sent, and what became of it is not known; or the driver's task crashed.
    Unknown {
        /// The commit that the new one follows, when known.
        since: Option<ObjectId>,
        /// The branch, when known.
        branch: Box<str>,
        /// What went wrong.
        detail: String,
        /// What becomes of each intent if the commit is there.
        ends: Vec<IntentEnd>,
    },
    /// The answer of [`GitTask::Inspect`].
    Inspected {
        /// The commit of the batch, if it is on the branch.
        commit: Option<ObjectId>,
    },
}

/// What became of one intent in an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IntentEnd {
    /// The commit holds it.
    Written,
    /// The branch held it before.
    Unchanged,
    /// It cannot be written; nobody else's fault and nobody else's trouble.
    Refused(IntentRefusal),
}

/// Why an intent is not written (`writeback.md` 15.4, 15.8).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum IntentRefusal {
    /// Its file cannot be edited; names file, place and reason.
    Edit(EditRefusal),
    /// Its path goes through a file that another application of the batch makes, or the other way round.
    Entangled(Box<str>),
}

impl fmt::Display for IntentRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edit(refusal) => refusal.fmt(f),
            Self::Entangled(path) => write!(
                f,
                "{path} cannot be made: another application makes a file where a folder is needed"
            ),
        }
    }
}

impl GitTask {
    /// The line by which the batch's commit is found again.
    pub fn trailer(&self) -> String {
        match self {
            Self::Publish(task) => batch_line(task.batch.as_str()),
            Self::Inspect { batch, .. } => batch_line(batch.as_str()),
        }
    }
}
