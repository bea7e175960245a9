//! What can be read from the scheduler: numbers, standings, sizes. Nothing here changes anything.

use alloc::sync::Arc;

use crate::bytes;
use crate::id::AppKey;
use crate::schedule::entry::{Entry, Holding, Phase, Standing};
use crate::schedule::machine::Schedule;
use crate::schedule::policy::History;
use crate::schedule::stage::Stage;
use crate::time::Time;

/// Plain numbers, for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stats {
    /// Applications known.
    pub applications: usize,
    /// Applications that are due and not running.
    pub waiting: usize,
    /// Runs under way, with or without a slot.
    pub running: usize,
    /// Slots in use.
    pub slots_in_use: u32,
    /// The limit of slots.
    pub slots_max: u32,
    /// Times that the per-repository cap put an application off
    /// (`scheduler_skipped_total{reason="per-repo-cap"}`).
    pub deferrals: u64,
    /// Times that the cooldown put an application behind others
    /// (`scheduler_skipped_total{reason="cooldown"}`).
    pub coolings: u64,
}

impl Schedule {
    /// True when one pass was wanted and it is over, every run finished (`ops.md` 5.4, S14).
    pub fn is_once_finished(&self) -> bool {
        if !self.settings.is_once() {
            return false;
        }
        match self.stage {
            Stage::Done => true,
            Stage::Continuous => {
                self.timers.is_empty() && self.line.n_waiting() == 0 && self.n_running == 0
            }
            Stage::Unsynced | Stage::Passing(_) | Stage::Resting { .. } => false,
        }
    }

    /// True when no run is under way and no slot is in use; after a shutdown it stays so.
    pub const fn is_idle(&self) -> bool {
        self.n_running == 0 && self.slots.in_use() == 0
    }

    /// When the last pass ended: a cycle, or in continuous mode a look at all that was due
    /// (`ops.md` 5.3).
    pub const fn last_pass_end(&self) -> Option<Time> {
        self.last_pass_end
    }

    /// What is remembered of an application.
    pub fn history(&self, key: &AppKey) -> Option<&History> {
        self.live(key).map(|entry| &entry.history)
    }

    /// What an application waits for.
    pub fn standing(&self, key: &AppKey) -> Option<Standing> {
        let entry = self.live(key)?;
        Some(match entry.phase {
            Phase::Idle { due } => Standing::NotDue { due },
            Phase::Waiting if self.line.is_blocked(entry.lane) => Standing::PerRepoCap {
                passes: entry
                    .since
                    .map_or(0, |since| self.line.passes_since(entry.lane, since)),
            },
            Phase::Waiting => Standing::NoSlot,
            Phase::Running { started, .. } => Standing::Running {
                started,
                awaits_slot: matches!(entry.holding, Holding::Ticket(_)),
            },
        })
    }

    /// Plain numbers.
    pub fn stats(&self) -> Stats {
        Stats {
            applications: self.n_live,
            waiting: self.line.n_waiting(),
            running: self.n_running,
            slots_in_use: self.slots.in_use(),
            slots_max: self.slots.limit(),
            deferrals: self.line.deferrals(),
            coolings: self.line.coolings(),
        }
    }

    /// Bytes of state, about.
    pub fn footprint(&self) -> usize {
        let keys: usize = self
            .apps
            .keys()
            .map(|key| size_of::<AppKey>() + 16 + key.name.len() + key.namespace.len())
            .sum();
        keys + bytes::tree::<Arc<AppKey>, Entry>(self.apps.len())
            + bytes::tree::<(Time, Arc<AppKey>), ()>(self.timers.len())
            + bytes::tree::<u64, Arc<AppKey>>(self.tickets.len())
            + self.line.footprint()
    }

    /// Room of lanes and events, which stays when they are empty.
    pub fn queue_bytes(&self) -> usize {
        self.line.slab_bytes() + bytes::queue(&self.events)
    }

    fn live(&self, key: &AppKey) -> Option<&Entry> {
        self.apps.get(key).filter(|entry| !entry.is_deleted)
    }
}
