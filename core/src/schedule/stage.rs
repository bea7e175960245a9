//! What the scheduler as a whole is doing: warm-up, cycles and rests, or the continuous mode.
//!
//! ```text
//!   Unsynced ──► Passing(Warmup) ──► Resting ◄──► Passing(Cycle) ──► Done (once)
//!      │                │
//!      └────────────────┴──────────► Continuous
//! ```

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use crate::id::AppKey;
use crate::schedule::due::cycle_next;
use crate::schedule::entry::Phase;
use crate::schedule::machine::Schedule;
use crate::schedule::pass::{Pass, PassName, ScheduleEvent};
use crate::schedule::settings::Mode;
use crate::time::Time;

/// Events kept for an observer that does not come; the oldest go first.
const EVENTS_MAX: usize = 64;

/// The longest that the warm-up holds back the first checks; an interval, where that is shorter.
pub(super) const WARMUP_MAX: Duration = Duration::from_mins(1);

/// What the scheduler as a whole is doing.
#[derive(Debug)]
pub(super) enum Stage {
    /// Not all applications are known yet.
    Unsynced,
    /// A pass over all that were present at its beginning.
    Passing(Pass),
    /// Cycle mode, between cycles.
    Resting { until: Time },
    /// Cycle mode, after the only cycle.
    Done,
    /// Continuous mode.
    Continuous,
}

impl Schedule {
    /// What time and the end of runs bring about. At most one pass begins in one call, so that no
    /// interval, however small, loops here.
    pub(super) fn advance(&mut self) {
        if let Stage::Passing(pass) = &self.stage {
            let is_over = !self.line.has_next() && self.n_running == 0;
            match pass.name {
                PassName::Warmup if is_over || self.is_warmup_overdue() => self.end_warmup(),
                PassName::Cycle if is_over => self.end_cycle(),
                PassName::Warmup | PassName::Cycle => {}
            }
        }
        if let Stage::Resting { until } = self.stage
            && until <= self.now
            && !self.is_shut_down
        {
            self.begin_pass(PassName::Cycle);
            if !self.line.has_next() && self.n_running == 0 {
                self.end_cycle();
            }
        }
        while let Some((at, _)) = self.timers.first()
            && *at <= self.now
        {
            let (_, key) = self.timers.pop_first().expect("there is a first");
            self.enter_line(&key);
        }
    }

    fn present(&self) -> Vec<Arc<AppKey>> {
        let live = self.apps.iter().filter(|(_, entry)| !entry.is_deleted);
        live.map(|(key, _)| Arc::clone(key)).collect()
    }

    /// Begins a pass over everyone present.
    pub(super) fn begin_pass(&mut self, name: PassName) {
        let keys = self.present();
        for key in &keys {
            self.enter_line(key);
        }
        let pass = Pass::new(name, self.now, keys.len(), self.line.deferrals());
        self.push_event(pass.to_started_event());
        self.stage = Stage::Passing(pass);
        self.on_count();
    }

    /// When the warm-up ends at the latest: a registry that hangs holds back its own applications only
    /// (L3). Runs that are under way then go on, dry.
    pub(super) fn warmup_end(&self) -> Option<Time> {
        match &self.stage {
            Stage::Passing(pass) if pass.name == PassName::Warmup => {
                Some(pass.began().after(self.settings.interval.min(WARMUP_MAX)))
            }
            Stage::Unsynced
            | Stage::Passing(_)
            | Stage::Resting { .. }
            | Stage::Done
            | Stage::Continuous => None,
        }
    }

    fn is_warmup_overdue(&self) -> bool {
        self.warmup_end().is_some_and(|end| end <= self.now)
    }

    fn end_warmup(&mut self) {
        self.close_pass();
        self.line.on_exempt(false);
        for key in &self.present() {
            // Whom the warm-up did not reach was not passed over.
            self.entry_mut(key).since = None;
        }
        self.open();
    }

    fn end_cycle(&mut self) {
        self.close_pass();
        self.last_pass_end = Some(self.now);
        self.stage = if self.settings.is_once() {
            Stage::Done
        } else {
            Stage::Resting {
                until: cycle_next(self.now, self.settings.interval),
            }
        };
    }

    /// Ends the pass: who is still in line was put off to the next.
    fn close_pass(&mut self) {
        for key in self.line.close_pass() {
            self.entry_mut(&key).phase = Phase::Idle { due: None };
        }
        if let Stage::Passing(pass) = &self.stage {
            let event = pass.to_ended_event(self.now, self.line.deferrals());
            self.push_event(event);
        }
    }

    /// The normal life begins.
    pub(super) fn open(&mut self) {
        match self.settings.mode {
            Mode::Cycle => self.stage = Stage::Resting { until: self.now },
            Mode::Continuous => {
                self.stage = Stage::Continuous;
                for key in &self.present() {
                    self.arm(key);
                }
            }
        }
        self.on_count();
    }

    /// The number of applications or the stage changed: so may the limit (`ops.md` 7.6).
    pub(super) fn on_count(&mut self) {
        let is_warmup = self.is_warming_up();
        self.slots
            .on_limit(self.settings.workers(self.n_live, is_warmup));
    }

    pub(super) fn push_event(&mut self, event: ScheduleEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) const fn is_continuous(&self) -> bool {
        matches!(self.stage, Stage::Continuous)
    }

    /// True while the warm-up pass is under way (`ops.md` 6).
    pub fn is_warming_up(&self) -> bool {
        matches!(&self.stage, Stage::Passing(pass) if pass.name == PassName::Warmup)
    }
}
