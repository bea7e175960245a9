//! What the room tells the facade.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::job::IntentRefusal;
use crate::git::job::Relation;
use crate::git::{ObjectId, RefusalKind};
use crate::id::{AppId, OpId};

/// Something that the facade must know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishOutcome {
    /// The intent of an application has come to its end.
    Ended {
        /// Whose.
        app: AppId,
        /// How.
        end: PublishEnd,
    },
    /// An attempt failed, and the intent waits for another one.
    Repeated {
        /// Whose.
        app: AppId,
        /// What happened.
        detail: Arc<str>,
    },
    /// A batch has come to its end, or one attempt at it.
    Batch(BatchReport),
    /// An attempt was not answered within its deadline and grace.
    Stalled(OpId),
}

/// How an intent ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PublishEnd {
    /// The remote has it.
    Published {
        /// The commit.
        commit: ObjectId,
        /// The branch.
        branch: Arc<str>,
    },
    /// The branch says it already; nothing was written.
    Unchanged {
        /// The branch.
        branch: Arc<str>,
    },
    /// Its edit is not made.
    EditRefused(IntentRefusal),
    /// The server refuses the commit; asking again soon would only repeat the answer.
    Refused {
        /// The class.
        kind: RefusalKind,
        /// What the server said.
        detail: Arc<str>,
    },
    /// It had its attempts.
    Failed {
        /// What happened last.
        detail: Arc<str>,
    },
}

/// What came of an attempt at a batch, for observers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchReport {
    /// The repository's URL without user and password.
    pub repository: Box<str>,
    /// The branch; empty where it is the default branch and the server was not reached.
    pub branch: Box<str>,
    /// Applications in it.
    pub applications: usize,
    /// How it ended.
    pub end: BatchEnd,
}

/// How an attempt at a batch ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchEnd {
    /// One commit for all of them.
    Published {
        /// The commit.
        commit: ObjectId,
        /// How the branch stood to its base; `None` where the commit was found by inspection.
        relation: Option<Relation>,
        /// What programs on the server said.
        messages: Vec<String>,
    },
    /// The branch says all of it already.
    Unchanged,
    /// Nothing was written.
    Refused {
        /// The class.
        kind: RefusalKind,
        /// What the server said.
        detail: Arc<str>,
    },
    /// It is not known whether the commit is there: that is found out before anything is repeated.
    Unknown {
        /// What went wrong.
        detail: Arc<str>,
    },
    /// The commit whose reply was lost is not on the branch.
    NotFound,
}

/// Where the intent of an application stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishStanding {
    /// The repository's URL without user and password.
    pub repository: Box<str>,
    /// The branch that is written; empty for the default branch.
    pub branch: Box<str>,
    /// Attempts that failed.
    pub n_failed: u32,
    /// Intents that wait with it, itself included.
    pub n_waiting: usize,
    /// What it waits for.
    pub wait: PublishWait,
}

/// What an intent waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PublishWait {
    /// For others to share the commit, no longer than this.
    Others(Duration),
    /// For an earlier publish to the same branch, or for room.
    Turn,
    /// For the end of a pause after a failed attempt.
    Pause(Duration),
    /// For the server.
    Server,
    /// For the answer whether the commit, whose reply was lost, is there.
    Inspection,
}
