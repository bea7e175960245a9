//! How long an operation is waited for (A7, A9): to its deadline, when it is cancelled, and [`ANSWER_GRACE`] longer,
//! when it counts as stalled. Only its completion ends it.

use core::time::Duration;

use crate::time::Time;

/// How long after its deadline an operation may stay unanswered before it counts as stalled.
pub(crate) const ANSWER_GRACE: Duration = Duration::from_secs(30);

/// How far the waiting for one operation has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Patience {
    deadline: Time,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Running,
    Cancelled,
    Stalled,
}

/// What is due of an operation that was not answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Overdue {
    /// Its deadline has passed: it is to be cancelled.
    Cancel,
    /// It was not answered, not even when it was cancelled.
    Stalled,
}

impl Patience {
    /// For an operation that begins now and is to end by then.
    pub(crate) const fn until(deadline: Time) -> Self {
        Self {
            deadline,
            phase: Phase::Running,
        }
    }

    /// What is due at `now`, each thing once; asked again until nothing is.
    pub(crate) fn take_overdue(&mut self, now: Time) -> Option<Overdue> {
        if self.due()? > now {
            return None;
        }
        let (phase, overdue) = match self.phase {
            Phase::Running => (Phase::Cancelled, Overdue::Cancel),
            Phase::Cancelled | Phase::Stalled => (Phase::Stalled, Overdue::Stalled),
        };
        self.phase = phase;
        Some(overdue)
    }

    /// When the next thing is due; `None` once the operation has stalled.
    pub(crate) fn due(&self) -> Option<Time> {
        match self.phase {
            Phase::Running => Some(self.deadline),
            Phase::Cancelled => Some(self.deadline.after(ANSWER_GRACE)),
            Phase::Stalled => None,
        }
    }
}
