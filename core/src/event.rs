//! Events: facts for observers, from which logs and metrics are made. Dropping one harms nobody.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::app::{IgnoreReason, Problem};
use crate::git::ObjectId;
use crate::id::{AppKey, OpId};
use crate::publish::BatchReport;
use crate::registry::{RegistryOutcome, ReloadCounts};
use crate::schedule::ScheduleEvent;
use crate::update::{Change, Counters, Reason, Refusal};

/// A fact for observers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// An application takes part from now on, or again.
    ApplicationConsidered {
        /// Which.
        key: AppKey,
        /// How many entries its image list has.
        images: usize,
    },
    /// An application takes no part; said when it is met and when the reason changes (S11).
    ApplicationIgnored {
        /// Which.
        key: AppKey,
        /// Why.
        reason: IgnoreReason,
    },
    /// Members of an object could not be read; said when they are met and when they change.
    ApplicationMalformed {
        /// Which.
        key: AppKey,
        /// What could not be read.
        problems: Box<[Problem]>,
    },
    /// An application is gone.
    ApplicationDeleted {
        /// Which.
        key: AppKey,
    },
    /// There are more applications than allowed; this one is not watched.
    ApplicationRefused {
        /// Which.
        key: AppKey,
        /// The bound.
        applications_max: usize,
    },
    /// The first listing of applications is complete.
    Synced {
        /// How many take part.
        considered: usize,
        /// How many objects there are.
        listed: usize,
    },
    /// A check begins: an attempt of its own, by clock or cycle.
    CheckStarted {
        /// Whose.
        key: AppKey,
        /// It belongs to the warm-up.
        is_warmup: bool,
    },
    /// A check ended.
    CheckFinished {
        /// Whose.
        key: AppKey,
        /// It belongs to the warm-up.
        is_warmup: bool,
        /// How it ended.
        end: RunEnd,
        /// What became of its images.
        counters: Counters,
        /// From start to end.
        duration: Duration,
    },
    /// Something changed that an application depends on, and it was decided again from what is kept.
    Redecided {
        /// Whose.
        key: AppKey,
        /// How it ended.
        end: RunEnd,
        /// What became of its images.
        counters: Counters,
    },
    /// One image was decided.
    ImageDecided {
        /// Whose.
        key: AppKey,
        /// The list entry as written.
        image: Box<str>,
        /// What became of it, and why.
        reason: Reason,
    },
    /// Nothing is written for an application, whatever was decided about its images.
    WriteRefused {
        /// Whose.
        key: AppKey,
        /// Why, and what to do.
        refusal: Refusal,
    },
    /// Changes that would have been written, if writing were wanted.
    DryRun {
        /// Whose.
        key: AppKey,
        /// What would have changed.
        changes: Vec<Change>,
    },
    /// The API server has the changes.
    Written {
        /// Whose.
        key: AppKey,
        /// What changed.
        changes: Vec<Change>,
    },
    /// The remote has the changes.
    Published {
        /// Whose.
        key: AppKey,
        /// What changed.
        changes: Vec<Change>,
        /// The branch.
        branch: Box<str>,
        /// The commit.
        commit: ObjectId,
    },
    /// The branch says already what was to be written.
    AlreadyPublished {
        /// Whose.
        key: AppKey,
        /// The branch.
        branch: Box<str>,
    },
    /// An attempt at a batch of commits ended.
    Batch(BatchReport),
    /// The message of an application's commit could not be rendered; another text is used.
    MessageNotRendered {
        /// Whose.
        key: AppKey,
        /// What is wrong with the template, and which text is used.
        detail: String,
    },
    /// A write failed for this attempt.
    WriteFailed {
        /// Whose.
        key: AppKey,
        /// What happened and what to do.
        detail: String,
        /// Another attempt follows.
        is_repeated: bool,
    },
    /// An operation was not answered within its deadline and grace: the driver is broken (A9).
    OperationStalled {
        /// Which.
        op: OpId,
    },
    /// The scheduler reports.
    Schedule(ScheduleEvent),
    /// The registry room reports something that concerns no single application.
    Registry(RegistryOutcome),
    /// The configured registries were replaced by others, which hold from now on.
    RegistriesReloaded {
        /// What became of the entries.
        counts: ReloadCounts,
        /// Applications whose images are looked up to find out who serves them now.
        applications: usize,
    },
    /// Other registries were asked for that cannot be worked with: the old ones stay.
    RegistriesRefused {
        /// All that is wrong, one sentence each.
        problems: Vec<String>,
    },
    /// Shutting down: nothing new starts.
    ShutdownBegun {
        /// Operations that are waited for.
        operations: usize,
    },
    /// Everything that was waited for has ended, or the grace period has.
    Stopped {
        /// Operations that are given up.
        abandoned: usize,
    },
}

/// Why a run takes place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RunKind {
    /// The application's own clock, or its cycle: an attempt that counts.
    Check,
    /// The pass before the loop: a check that never writes and does not count (`ops.md` 6).
    Warmup,
    /// Something that it depends on changed: decided from what is kept, no attempt (`design.md` 4.2).
    Redecision,
}

impl RunKind {
    /// The word for logs and explanations.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Warmup => "warmup",
            Self::Redecision => "redecision",
        }
    }

    /// True when the scheduler started it and waits for its end.
    pub(crate) const fn is_scheduled(self) -> bool {
        matches!(self, Self::Check | Self::Warmup)
    }
}

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RunEnd {
    /// Without an error; nothing had to be written, or it was.
    Success,
    /// With at least one error.
    Failure,
    /// It took longer than the per-application deadline (S17).
    DeadlineExceeded,
    /// The application went away, or the process is shutting down.
    Abandoned,
}

impl RunEnd {
    /// The word in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::Abandoned => "abandoned",
        }
    }
}
