//! One run of one application: from its look-ups to its decision and its write.
//!
//! ```text
//!  start ──► listings ──► slot ──► facts ──► decide ──► done
//!            (shared,     (only if facts        │
//!             no slot)     are needed)          ▼ a write is wanted
//!                                            in line ──► patching ──► done
//!                                               ▲           │
//!                                               └─ reading ◄┘ conflict, or the reply was lost
//!                                            publishing ──► done
//!                                            (in a batch, no slot)
//! ```

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::effect::PatchOperation;
use crate::event::RunKind;
use crate::lookup::LookupState;
use crate::publish::{BatchKey, Intent, RepositoryUrl};
use crate::time::Time;
use crate::update::{Change, Counters, ImagePlan, Plan};

/// A run under way.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) kind: RunKind,
    pub(super) started: Time,
    pub(super) deadline: Time,
    pub(super) phase: Phase,
    pub(super) plan: Plan,
    /// How far the look-up of each image of the plan has come, in its order.
    pub(super) lookups: Vec<LookupState>,
    /// It holds one of the scheduler's slots.
    pub(super) has_slot: bool,
    /// The tags changed while facts were fetched: those of new tags are missing.
    pub(super) are_facts_outdated: bool,
    /// What is to be written, as it was decided last.
    pub(super) draft: Option<Box<Draft>>,
    /// What is to be committed, as it was decided last.
    pub(super) commit: Option<Box<Commit>>,
    /// How often its intent was decided anew while it waited.
    pub(super) n_revisions: u32,
    /// What was sent while the reply was lost: finding it there means that it was applied.
    pub(super) unproved: Option<Box<Draft>>,
    /// What it went through to write.
    pub(super) attempts: Attempts,
    /// The plan of the record as it was changed since the run got in line to write: before anything
    /// is sent, it is decided anew by this one.
    pub(super) next_plan: Option<Box<Plan>>,
    /// A check was granted while a re-decision was writing: it follows.
    pub(super) check_follows: Option<RunKind>,
}

/// Where a run stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Waits for listings that are shared with others; holds no slot.
    Listings,
    /// Waits for a slot, to fetch what is its own or to write.
    Slot,
    /// Waits for dates or digests.
    Facts,
    /// Waits in line to patch, or to read.
    InLine,
    /// A patch is under way.
    Patching,
    /// A read is under way, because the patch met a conflict or its reply was lost.
    Reading,
    /// Its intent waits in a batch, or is being published; holds no slot.
    Publishing,
    /// Its operation was answered; what follows is decided within the same call.
    Answered,
}

/// What a run went through to write.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Attempts {
    /// Failed attempts so far.
    pub(super) failed: u32,
    /// The record that is known is not to be trusted: it is read before anything is sent.
    pub(super) must_read: bool,
}

/// A write as it was decided.
#[derive(Debug)]
pub(super) struct Draft {
    /// The version that it was computed on; on another one it is computed anew.
    pub(super) resource_version: Box<str>,
    pub(super) operations: Vec<PatchOperation>,
    pub(super) changes: Vec<Change>,
    pub(super) counters: Counters,
}

/// A commit as it was decided, on its way to a batch.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) key: BatchKey,
    pub(super) url: RepositoryUrl,
    pub(super) intent: Intent,
}

impl Run {
    /// Bytes, about: what its plan compiled is estimated from the number of images.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>()
            + self.plan.images.capacity() * size_of::<ImagePlan>()
            + self.lookups.capacity() * size_of::<LookupState>()
            + self.draft.as_deref().map_or(0, size_of_val)
            + self.commit.as_deref().map_or(0, size_of_val)
    }

    /// True while some image waits for a listing.
    pub(super) fn awaits_listing(&self) -> bool {
        self.lookups
            .iter()
            .any(|lookup| matches!(lookup, LookupState::Listing(_)))
    }

    /// True while some image waits for facts.
    pub(super) fn awaits_facts(&self) -> bool {
        self.lookups.iter().any(|lookup| match lookup {
            LookupState::Ready { pending, .. } => !pending.is_empty(),
            LookupState::NotNeeded | LookupState::Listing(_) | LookupState::Failed(_) => false,
        })
    }

    /// True while an operation of this run is in flight.
    pub(super) const fn is_in_flight(&self) -> bool {
        matches!(self.phase, Phase::Patching | Phase::Reading)
    }
}
