//! What the scheduler keeps of one application, some hundred bytes.

use crate::schedule::lane::LaneId;
use crate::schedule::policy::History;
use crate::time::Time;

/// One application, or the rest of one that was deleted while it ran.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) history: History,
    /// Starts that counted; keys the jitter.
    pub(super) attempts: u32,
    /// The lane of its repository; void once it is deleted.
    pub(super) lane: LaneId,
    /// The pass of its lane since which it waits without having been started.
    pub(super) since: Option<u32>,
    pub(super) phase: Phase,
    pub(super) holding: Holding,
    /// Gone from the cluster; the entry goes when its run is finished and its slot given back.
    pub(super) is_deleted: bool,
}

/// Where an application stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Not in line; in continuous mode with the time at which it falls due.
    Idle { due: Option<Time> },
    /// In line.
    Waiting,
    /// Its run is under way.
    Running {
        /// Where it counts against the cap, whatever its repository is by now.
        lane: LaneId,
        started: Time,
        /// False for the warm-up, and when the application was replaced by another of its name.
        counts: bool,
    },
}

/// Its relation to the slots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holding {
    /// Needs none.
    Nothing,
    /// Wants one again, in this order.
    Ticket(u64),
    /// Holds one.
    Slot,
}

impl Entry {
    pub(super) fn new(lane: LaneId) -> Self {
        Self {
            history: History::default(),
            attempts: 0,
            lane,
            since: None,
            phase: Phase::Idle { due: None },
            holding: Holding::Nothing,
            is_deleted: false,
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }
}

/// What an application waits for; for explanations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// For its time, when it has one of its own; else for the next cycle.
    NotDue {
        /// When it falls due.
        due: Option<Time>,
    },
    /// It is due; for a slot (`ops.md` 7.2, step 3).
    NoSlot,
    /// It is due; for others of its repository.
    PerRepoCap {
        /// How many passes in a row put it off.
        passes: u32,
    },
    /// Its run is under way.
    Running {
        /// When it started.
        started: Time,
        /// The run waits for a slot to go on.
        awaits_slot: bool,
    },
}
