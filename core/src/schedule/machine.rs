//! The scheduler itself: what the facade tells it and polls from it.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;

use crate::id::AppKey;
use crate::keyed::Seed;
use crate::schedule::entry::{Entry, Holding, Phase};
use crate::schedule::lane::LaneId;
use crate::schedule::line::{Line, PassKind};
use crate::schedule::pass::{PassName, ScheduleEvent};
use crate::schedule::policy::{History, Outcome};
use crate::schedule::settings::{Mode, ScheduleSettings};
use crate::schedule::slots::Slots;
use crate::schedule::stage::Stage;
use crate::time::Time;

/// Leave to go on, with the slot that it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Grant {
    /// Start a run. It is answered by one [`Schedule::on_finished`].
    Start {
        /// Whose.
        key: Arc<AppKey>,
        /// The run belongs to the warm-up: it must not write, and does not count (`ops.md` 6).
        is_warmup: bool,
    },
    /// Work that gave its slot back and asked for one again has it.
    Resume {
        /// Whose.
        key: Arc<AppKey>,
    },
}

/// Decides which application is checked when.
///
/// After every input, [`Self::poll_grant`] is called until it returns `None`; only then
/// [`Self::next_wakeup`] holds.
#[derive(Debug)]
pub struct Schedule {
    pub(super) settings: ScheduleSettings,
    pub(super) seed: Seed,
    pub(super) now: Time,
    pub(super) stage: Stage,
    pub(super) apps: BTreeMap<Arc<AppKey>, Entry>,
    /// Those of `apps` that are not deleted.
    pub(super) n_live: usize,
    pub(super) n_running: usize,
    pub(super) line: Line,
    pub(super) slots: Slots,
    /// Who wants a slot again, by ticket.
    pub(super) tickets: BTreeMap<u64, Arc<AppKey>>,
    pub(super) next_ticket: u64,
    /// When idle applications fall due, in continuous mode.
    pub(super) timers: BTreeSet<(Time, Arc<AppKey>)>,
    pub(super) last_pass_end: Option<Time>,
    pub(super) is_shut_down: bool,
    pub(super) events: VecDeque<ScheduleEvent>,
}

impl Schedule {
    /// A scheduler that knows no application yet.
    pub fn new(settings: ScheduleSettings, seed: Seed) -> Self {
        let kind = match settings.mode {
            Mode::Cycle => PassKind::Whole,
            Mode::Continuous => PassKind::Timed,
        };
        let line = Line::new(
            settings.policy,
            settings.cooldown,
            settings.per_repo_cap,
            kind,
        );
        Self {
            slots: Slots::new(settings.workers(0, false)),
            settings,
            seed,
            now: Time::ZERO,
            stage: Stage::Unsynced,
            apps: BTreeMap::new(),
            n_live: 0,
            n_running: 0,
            line,
            tickets: BTreeMap::new(),
            next_ticket: 0,
            timers: BTreeSet::new(),
            last_pass_end: None,
            is_shut_down: false,
            events: VecDeque::new(),
        }
    }

    /// The first listing of applications is complete: nothing starts before. Again is nothing.
    pub fn handle_synced(&mut self, now: Time) {
        self.on_now(now);
        if !matches!(self.stage, Stage::Unsynced) {
            return;
        }
        if self.settings.warmup && !self.settings.is_once() {
            self.line.on_exempt(true);
            self.begin_pass(PassName::Warmup);
        } else {
            self.open();
        }
    }

    /// Starts nothing from now on; runs under way may go on (`ops.md` 3.3).
    pub const fn handle_shutdown(&mut self) {
        self.is_shut_down = true;
    }

    /// An application exists, with this repository (`ops.md` 7.4); or has another one now.
    pub fn on_applied(&mut self, now: Time, key: &AppKey, repo: &str) {
        self.on_now(now);
        let Some((shared, entry)) = self.apps.get_key_value(key) else {
            let shared = Arc::new(key.clone());
            let entry = Entry::new(self.line.join(repo));
            self.apps.insert(Arc::clone(&shared), entry);
            self.on_new(&shared);
            return;
        };
        let shared = Arc::clone(shared);
        if entry.is_deleted {
            let lane = self.line.join(repo);
            let entry = self.entry_mut(&shared);
            entry.is_deleted = false;
            entry.lane = lane;
            self.on_new(&shared);
        } else if !self.line.is_lane_of(entry.lane, repo) {
            self.move_lane(&shared, repo);
        }
    }

    /// Another application has taken the name (new UID): nothing of the old one holds for it
    /// (`ops.md` 7.1).
    pub fn on_recreated(&mut self, now: Time, key: &AppKey, repo: &str) {
        self.on_deleted(now, key);
        self.on_applied(now, key, repo);
    }

    /// An application is gone. It is not started any more, and a run of it that waits for a slot gets
    /// none; what is kept of it goes when its run is finished and its slot given back (A11, S13).
    pub fn on_deleted(&mut self, now: Time, key: &AppKey) {
        self.on_now(now);
        let Some((shared, entry)) = self.apps.get_key_value(key) else {
            return;
        };
        if entry.is_deleted {
            return;
        }
        let shared = Arc::clone(shared);
        if let Holding::Ticket(_) = entry.holding {
            self.drop_holding(&shared);
        }
        self.leave_line(&shared);
        let entry = self.entry_mut(&shared);
        let lane = entry.lane;
        entry.is_deleted = true;
        entry.history = History::default();
        entry.attempts = 0;
        entry.since = None;
        if let Phase::Running { counts, .. } = &mut entry.phase {
            *counts = false;
        }
        self.line.leave(lane);
        self.n_live -= 1;
        self.on_count();
        self.forget_if_over(&shared);
    }

    /// The run of an application ended; its slot, if it holds one, is free. Without a run: nothing.
    pub fn on_finished(&mut self, now: Time, key: &AppKey, outcome: Outcome) {
        self.on_now(now);
        let now = self.now;
        let Some((shared, entry)) = self.apps.get_key_value(key) else {
            return;
        };
        let Phase::Running {
            lane,
            started,
            counts,
        } = entry.phase
        else {
            return;
        };
        let shared = Arc::clone(shared);
        self.line.on_finished(now, lane, started);
        self.line.leave(lane);
        self.n_running -= 1;
        if let Stage::Passing(pass) = &mut self.stage {
            pass.on_finished(started, outcome);
        }
        self.drop_holding(&shared);
        let entry = self.entry_mut(&shared);
        entry.phase = Phase::Idle { due: None };
        if counts {
            entry.history.on_outcome(now, outcome);
        }
        if !self.forget_if_over(&shared) && self.is_continuous() && !self.settings.is_once() {
            self.arm(&shared);
        }
    }

    /// An application has no work of its own in flight for now. Without a slot: nothing.
    pub fn give_slot(&mut self, key: &AppKey) {
        if let Some((shared, _)) = self.apps.get_key_value(key) {
            let shared = Arc::clone(shared);
            self.drop_holding(&shared);
            self.forget_if_over(&shared);
        }
    }

    /// An application needs a slot: a run that goes on, or work without a run of its own, such as a
    /// re-decision. It gets in line before all new runs and is answered by [`Grant::Resume`], unless
    /// it is deleted first. Who holds or awaits one already, or is deleted: nothing.
    pub fn request_slot(&mut self, key: &AppKey) {
        let Some((shared, entry)) = self.apps.get_key_value(key) else {
            return;
        };
        if entry.is_deleted || entry.holding != Holding::Nothing {
            return;
        }
        let shared = Arc::clone(shared);
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.entry_mut(&shared).holding = Holding::Ticket(ticket);
        self.tickets.insert(ticket, shared);
    }

    /// The next application that may go on now, with its slot taken and its attempt stamped.
    pub fn poll_grant(&mut self, now: Time) -> Option<Grant> {
        self.on_now(now);
        self.advance();
        let grant = self.resume().or_else(|| self.start());
        if grant.is_none() && self.is_continuous() {
            self.last_pass_end = Some(self.now);
        }
        grant
    }

    /// When [`Self::poll_grant`] may have something although nothing else happens. Pure; valid after a
    /// poll that returned `None`, and then later than its `now` (A6). Changed by every other call.
    pub fn next_wakeup(&self) -> Option<Time> {
        if self.is_shut_down {
            return None;
        }
        let at = match &self.stage {
            Stage::Resting { until } => Some(*until),
            Stage::Continuous if self.slots.can_take() => {
                let timer = self.timers.first().map(|(at, _)| *at);
                let opening = self.line.next_wakeup();
                match (timer, opening) {
                    (Some(one), Some(other)) => Some(one.min(other)),
                    (one, other) => one.or(other),
                }
            }
            // A slot that comes free is a call, and so is the end of a run.
            Stage::Passing(_) => self.warmup_end(),
            Stage::Unsynced | Stage::Done | Stage::Continuous => None,
        };
        at.filter(|at| *at < Time::from_nanos(u64::MAX))
    }

    /// The next fact for observers.
    pub fn poll_event(&mut self) -> Option<ScheduleEvent> {
        self.events.pop_front()
    }

    fn on_now(&mut self, now: Time) {
        self.now = self.now.max(now);
    }

    fn resume(&mut self) -> Option<Grant> {
        if !self.slots.can_take() {
            return None;
        }
        let (_, key) = self.tickets.pop_first()?;
        self.slots.take();
        self.entry_mut(&key).holding = Holding::Slot;
        Some(Grant::Resume { key })
    }

    fn start(&mut self) -> Option<Grant> {
        if self.is_shut_down || !self.slots.can_take() {
            return None;
        }
        let (key, lane) = self.line.poll_next(self.now)?;
        Some(self.on_start(key, lane))
    }

    /// Whoever was next in line starts to run.
    fn on_start(&mut self, key: Arc<AppKey>, lane: LaneId) -> Grant {
        let now = self.now;
        self.line.hold(lane);
        self.n_running += 1;
        let is_warmup = self.is_warming_up();
        if let Stage::Passing(pass) = &mut self.stage {
            pass.on_started();
        }
        let entry = self.apps.get_mut(&key).expect("who waits is known");
        assert!(!entry.is_running(), "an application runs once at a time");
        assert!(!entry.is_deleted, "a deleted application is not in line");
        // Work without a run may hold a slot already; an application has one at most.
        if entry.holding != Holding::Slot {
            self.slots.take();
        }
        if let Holding::Ticket(ticket) = entry.holding {
            self.tickets.remove(&ticket);
        }
        entry.holding = Holding::Slot;
        entry.since = None;
        entry.phase = Phase::Running {
            lane,
            started: now,
            counts: !is_warmup,
        };
        if !is_warmup {
            entry.history.last_attempt = Some(now);
            entry.attempts = entry.attempts.wrapping_add(1);
        }
        Grant::Start { key, is_warmup }
    }

    /// A live application was added.
    fn on_new(&mut self, key: &Arc<AppKey>) {
        self.n_live += 1;
        self.on_count();
        // With one pass only, those that come later come too late.
        if self.is_continuous() && !self.settings.is_once() && !self.entry(key).is_running() {
            self.arm(key);
        }
    }

    pub(super) fn entry(&self, key: &Arc<AppKey>) -> &Entry {
        self.apps
            .get(key)
            .expect("a key that was looked up is known")
    }

    pub(super) fn entry_mut(&mut self, key: &Arc<AppKey>) -> &mut Entry {
        self.apps
            .get_mut(key)
            .expect("a key that was looked up is known")
    }
}
