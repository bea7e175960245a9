//! A pass with a beginning and an end: a cycle, or the warm-up; and what observers hear of it.

use core::time::Duration;

use crate::schedule::policy::Outcome;
use crate::time::Time;

/// What kind of pass.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PassName {
    /// The dry pass before all others (`ops.md` 6).
    Warmup,
    /// A cycle (`ops.md` 4).
    Cycle,
}

/// What a pass did so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Applications that it was for.
    pub applications: u64,
    /// Runs started.
    pub started: u64,
    /// Runs that ended without an error.
    pub succeeded: u64,
    /// Runs that ended with an error.
    pub failed: u64,
    /// Applications that were put off to the next pass by the per-repository cap.
    pub deferred: u64,
}

/// A fact for observers; dropping one harms nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScheduleEvent {
    /// A pass begins, with this many applications.
    PassStarted {
        /// Which kind.
        name: PassName,
        /// How many take part.
        applications: u64,
    },
    /// The last run of a pass ended.
    PassEnded {
        /// Which kind.
        name: PassName,
        /// From its beginning to the end of its last run (`ops.md` 16.1).
        duration: Duration,
        /// What it did.
        totals: Totals,
    },
}

/// A pass under way.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) name: PassName,
    began: Time,
    totals: Totals,
    deferrals_before: u64,
}

impl Pass {
    pub(super) fn new(name: PassName, now: Time, applications: usize, deferrals: u64) -> Self {
        let totals = Totals {
            applications: u64::try_from(applications).unwrap_or(u64::MAX),
            ..Totals::default()
        };
        Self {
            name,
            began: now,
            totals,
            deferrals_before: deferrals,
        }
    }

    pub(super) const fn began(&self) -> Time {
        self.began
    }

    pub(super) const fn on_started(&mut self) {
        self.totals.started += 1;
    }

    /// A run that was started then has ended. Those that the warm-up left behind are not of this pass.
    pub(super) fn on_finished(&mut self, started: Time, outcome: Outcome) {
        match outcome {
            _ if started < self.began => {}
            Outcome::Success => self.totals.succeeded += 1,
            Outcome::Failure => self.totals.failed += 1,
        }
    }

    pub(super) const fn to_started_event(&self) -> ScheduleEvent {
        ScheduleEvent::PassStarted {
            name: self.name,
            applications: self.totals.applications,
        }
    }

    /// The event of its end at `now`; `deferrals` is the count of the whole process.
    pub(super) const fn to_ended_event(&self, now: Time, deferrals: u64) -> ScheduleEvent {
        ScheduleEvent::PassEnded {
            name: self.name,
            duration: now.since(self.began),
            totals: Totals {
                deferred: deferrals.saturating_sub(self.deferrals_before),
                ..self.totals
            },
        }
    }
}
