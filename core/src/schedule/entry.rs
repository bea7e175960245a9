//! What the scheduler keeps of one application, some hundred bytes, and how it moves between timers,
//! line and slots.

use alloc::sync::Arc;

use crate::id::AppKey;
use crate::schedule::due::next_due;
use crate::schedule::lane::LaneId;
use crate::schedule::machine::Schedule;
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

impl Schedule {
    /// Sets the clock of an idle application.
    pub(super) fn arm(&mut self, key: &Arc<AppKey>) {
        let entry = self.apps.get_mut(key).expect("who is armed is known");
        if entry.is_running() {
            return;
        }
        let at = next_due(
            &self.settings,
            self.seed,
            self.now,
            key,
            &entry.history,
            entry.attempts,
        );
        entry.phase = Phase::Idle { due: Some(at) };
        self.timers.insert((at, Arc::clone(key)));
    }

    pub(super) fn enter_line(&mut self, key: &Arc<AppKey>) {
        let now = self.now;
        let entry = self.apps.get_mut(key).expect("who enters is known");
        if entry.is_running() {
            return;
        }
        let since = self
            .line
            .enter(now, entry.lane, key, &entry.history, entry.since);
        entry.since = Some(since);
        entry.phase = Phase::Waiting;
    }

    /// Takes an application out of the line or from the timers.
    pub(super) fn leave_line(&mut self, key: &Arc<AppKey>) {
        let entry = self.apps.get_mut(key).expect("who leaves is known");
        match entry.phase {
            Phase::Idle { due } => {
                if let Some(at) = due {
                    self.timers.remove(&(at, Arc::clone(key)));
                }
                entry.phase = Phase::Idle { due: None };
            }
            Phase::Waiting => {
                let since = entry.since.expect("who waits knows since when");
                self.line.remove(entry.lane, key, &entry.history, since);
                entry.phase = Phase::Idle { due: None };
            }
            Phase::Running { .. } => {}
        }
    }

    /// The application has another repository; its run goes on counting under the old one.
    pub(super) fn move_lane(&mut self, key: &Arc<AppKey>, repo: &str) {
        let was_waiting = matches!(self.entry(key).phase, Phase::Waiting);
        if was_waiting {
            self.leave_line(key);
        }
        let lane = self.line.join(repo);
        let entry = self.entry_mut(key);
        let old = core::mem::replace(&mut entry.lane, lane);
        entry.since = None;
        self.line.leave(old);
        if was_waiting {
            self.enter_line(key);
        }
    }

    /// Gives back slot or ticket.
    pub(super) fn drop_holding(&mut self, key: &Arc<AppKey>) {
        let entry = self.entry_mut(key);
        match core::mem::replace(&mut entry.holding, Holding::Nothing) {
            Holding::Nothing => {}
            Holding::Ticket(ticket) => {
                self.tickets.remove(&ticket);
            }
            Holding::Slot => self.slots.give(),
        }
    }

    /// Forgets a deleted application that has nothing in flight any more; true when it did.
    pub(super) fn forget_if_over(&mut self, key: &Arc<AppKey>) -> bool {
        let entry = self.entry(key);
        let is_over = entry.is_deleted && !entry.is_running() && entry.holding == Holding::Nothing;
        if is_over {
            self.apps.remove(key);
        }
        is_over
    }
}
