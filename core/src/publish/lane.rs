//! One lane: the intents of one key that wait, and the batch of them under way.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::intent::{BatchId, BatchKey, Intent, RepositoryUrl};
use crate::git::ObjectId;
use crate::id::{AppId, OpId};
use crate::time::Time;

/// Names a lane; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LaneId(pub(super) u64);

/// The intents of one key.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) key: Arc<BatchKey>,
    /// Its repository, whatever the spelling.
    pub(super) serial: Arc<str>,
    /// The URL as the first intent has it.
    pub(super) url: RepositoryUrl,
    /// Intents that wait, by arrival.
    pub(super) waiting: BTreeMap<u64, Member>,
    /// Intents under way, in the order of the job.
    pub(super) batch: Vec<Batched>,
    pub(super) state: LaneState,
    /// A commit of this lane may be on the branch unknown to us.
    pub(super) doubt: Option<Doubt>,
    /// When it is looked at next.
    pub(super) timer: Option<Time>,
}

/// What a lane does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LaneState {
    /// It waits for more intents.
    Collecting,
    /// It waits for its turn.
    Queued,
    /// An attempt is under way.
    Running(OpId),
    /// A pause after a failed attempt.
    Pausing,
}

/// An intent of an application.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) app: AppId,
    pub(super) intent: Arc<Intent>,
    pub(super) arrived: Time,
    pub(super) n_failed: u32,
    /// An unknown login was tried again with the credential read anew.
    pub(super) is_login_repeated: bool,
    /// It was in the commit that is in doubt.
    pub(super) is_doubted: bool,
}

/// An intent under way.
#[derive(Debug)]
pub(super) struct Batched {
    /// Its place among those that wait.
    pub(super) place: u64,
    pub(super) member: Member,
    /// Its application is gone, or wants something else: nobody is told, and it is not repeated.
    pub(super) is_dropped: bool,
}

/// A commit that was sent and not answered for.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) batch: BatchId,
    pub(super) since: Option<ObjectId>,
    /// The branch, when known.
    pub(super) branch: Box<str>,
    pub(super) detail: Arc<str>,
    /// All that was in the commit is in the batch; else it is not known what was.
    pub(super) is_exact: bool,
    pub(super) phase: DoubtPhase,
}

/// What is to be done about a doubt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DoubtPhase {
    /// Look for the commit before anything is repeated.
    Inspect {
        /// Attempts to look that failed.
        n_failed: u32,
        /// The branch was read, and says all that the commit would.
        is_unchanged: bool,
    },
    /// It was not there, and its intents are repeated: it may still come.
    Repeat,
}

impl Lane {
    pub(super) fn new(key: Arc<BatchKey>, url: &str) -> Self {
        Self {
            serial: key.serial(),
            key,
            url: RepositoryUrl::new(url.trim()),
            waiting: BTreeMap::new(),
            batch: Vec::new(),
            state: LaneState::Collecting,
            doubt: None,
            timer: None,
        }
    }

    /// True when nothing is left of it.
    pub(super) fn is_over(&self) -> bool {
        self.waiting.is_empty() && self.batch.is_empty()
    }

    /// When its first intent came.
    pub(super) fn since(&self) -> Option<Time> {
        self.waiting.values().next().map(|member| member.arrived)
    }

    /// True when the next attempt is to find a commit.
    pub(super) fn must_inspect(&self) -> bool {
        let phase = self.doubt.as_ref().map(|doubt| doubt.phase);
        matches!(phase, Some(DoubtPhase::Inspect { .. }))
    }

    /// True when the branch says all of the batch, and only whose commit that was is asked.
    pub(super) fn is_unchanged(&self) -> bool {
        let phase = self.doubt.as_ref().map(|doubt| doubt.phase);
        matches!(
            phase,
            Some(DoubtPhase::Inspect {
                is_unchanged: true,
                ..
            })
        )
    }

    /// Moves intents from the line into the batch, at most `n_max`: of one that is in doubt only those that
    /// were in it, so that what the branch says tells whether it is there.
    pub(super) fn take_batch(&mut self, n_max: usize) {
        let has_doubted = self.waiting.values().any(|member| member.is_doubted);
        if !has_doubted {
            self.doubt = None;
        }
        let wanted: Vec<u64> = self
            .waiting
            .iter()
            .filter(|(_, member)| member.is_doubted == has_doubted)
            .map(|(place, _)| *place)
            .take(n_max)
            .collect();
        for place in wanted {
            if let Some(member) = self.waiting.remove(&place) {
                self.batch.push(Batched {
                    place,
                    member,
                    is_dropped: false,
                });
            }
        }
    }
}
