//! The facade: six methods, one match on inputs, one on due timers; it drains its children and
//! translates.
//!
//! Everything that decides lives below, in rooms that know nothing of each other: `schedule` says who
//! may start, `registry` looks up, `update` decides, `patch` writes. Only this module knows how one
//! update goes through them; the life cycle of a run stands in `run.rs`.

mod apps;
mod cluster;
mod decision;
mod inquiry;
mod journal;
mod progress;
mod publication;
mod reload;
mod run;
mod view;
mod write;

#[cfg(test)]
mod tests;

pub use view::{Footprint, Stats};

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::config::Config;
use crate::effect::Effect;
use crate::event::{Event, RunKind};
use crate::id::{AppId, AppKey, OpIds};
use crate::input::{Input, ProcessInput, SettingsInput};
use crate::keyed::Seed;
use crate::metrics::Metrics;
use crate::patch::{PatchOutcome, Patches};
use crate::publish::{PublishSettings, Publishes};
use crate::registry::Registry;
use crate::schedule::Schedule;
use crate::time::{Now, Time, WakeReason, Wakeup};

/// Most decisions in one call; the rest follows in turns (A5).
pub const DECISIONS_PER_CALL_MAX: usize = 256;

/// The core.
///
/// A driver calls [`Updater::handle_input`] and [`Updater::handle_timeout`], and after each call polls
/// effects and events until they are `None`, then asks for the next wake-up. The contract A1 to A12
/// stands in the crate's documentation.
#[derive(Debug)]
pub struct Updater {
    config: Config,
    now: Now,
    ops: OpIds,
    apps: apps::Apps,
    schedule: Schedule,
    registry: Registry,
    patches: Patches,
    publishes: Publishes,
    /// Runs that can go on, and applications to decide again, in the order in which they came.
    line: VecDeque<Work>,
    /// When runs reach their deadline.
    deadlines: BTreeSet<(Time, AppId)>,
    /// Runs that are over while an operation of theirs is in flight.
    leaving: BTreeMap<AppId, Leaving>,
    effects: VecDeque<Effect>,
    events: journal::Journal,
    stage: Stage,
    /// The last call left work over.
    is_turn_due: bool,
    counts: view::Counts,
}

/// A run that is over, but for the answer to its last operation.
#[derive(Debug)]
struct Leaving {
    key: AppKey,
    kind: RunKind,
    follows: Option<RunKind>,
}

/// Work in line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Work {
    /// The look-ups of this application's run are in: go on.
    Progress(AppId),
    /// Decide this application again, from what is kept.
    Redecide(AppId),
    /// Ask anew who serves the images of this application; it is decided again if that changed, or if
    /// what is known of them says something else now.
    Resolve { id: AppId, is_resorted: bool },
}

/// Where the life of the process stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Running,
    ShuttingDown { deadline: Time },
    Stopped,
}

impl Updater {
    /// A core that knows nothing yet. It does nothing before the first listing of applications.
    pub fn new(config: Config, seed: Seed, now: Now) -> Self {
        Self {
            schedule: Schedule::new(config.schedule, seed),
            registry: Registry::new(config.registry.clone(), seed),
            patches: Patches::new(config.patch.clone(), seed),
            publishes: Publishes::new(
                config
                    .publish
                    .clone()
                    .unwrap_or_else(|| PublishSettings::new("")),
                seed,
            ),
            events: journal::Journal::new(Metrics::new(config.metrics, config.dry_run), now),
            config,
            now,
            ops: OpIds::default(),
            apps: apps::Apps::default(),
            line: VecDeque::new(),
            deadlines: BTreeSet::new(),
            leaving: BTreeMap::new(),
            effects: VecDeque::new(),
            stage: Stage::Running,
            is_turn_due: false,
            counts: view::Counts::default(),
        }
    }

    /// Takes in a fact, and does what has fallen due meanwhile: an answer that comes at the very instant
    /// of a deadline is still an answer, and the deadlines of others do not wait for it (A6). Bounded
    /// work: what is left over is asked for as a [`WakeReason::Turn`].
    pub fn handle_input(&mut self, now: Now, input: Input) {
        self.on_now(now);
        match input {
            Input::Cluster(input) => self.on_cluster(input),
            Input::Http(op, outcome) => {
                let known = self.registry.handle_http(self.now, op, outcome);
                self.count_completion(known);
            }
            Input::Credential(op, outcome) => {
                let known = self.registry.handle_credential(self.now, op, outcome);
                self.count_completion(known);
            }
            Input::Git(op, outcome) => {
                let known = self.publishes.handle_git(self.now.mono, op, *outcome);
                self.count_completion(known);
            }
            Input::Settings(SettingsInput::Registries(endpoints)) => self.on_registries(&endpoints),
            Input::Process(ProcessInput::Shutdown) => self.on_shutdown(),
        }
        self.on_due();
        self.turn();
    }

    /// Does what has fallen due. Before the deadline of [`Updater::poll_timeout`] it does nothing, and
    /// twice at one instant equals once, unless a turn is due (A3).
    pub fn handle_timeout(&mut self, now: Now) {
        self.on_now(now);
        self.on_due();
        self.turn();
    }

    /// The next effect to start. `None` until the next handle call (A5).
    #[must_use]
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// The next event. `None` until the next handle call (A5).
    #[must_use]
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When to call [`Updater::handle_timeout`] next, and who wants it. Pure. Its answer may change
    /// with [`Updater::handle_input`] and [`Updater::handle_timeout`], and with nothing else. Later than
    /// the time just handled, unless the reason is [`WakeReason::Turn`] (A6).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Wakeup> {
        if self.stage == Stage::Stopped {
            return None;
        }
        if self.is_turn_due {
            return Some(Wakeup {
                at: self.now.mono,
                reason: WakeReason::Turn,
            });
        }
        let shutdown = match self.stage {
            Stage::ShuttingDown { deadline } => Some(deadline),
            Stage::Running | Stage::Stopped => None,
        };
        let wakeups = [
            (self.schedule.next_wakeup(), WakeReason::Schedule),
            (self.registry.next_wakeup(), WakeReason::Registry),
            (self.patches.next_wakeup(), WakeReason::Writeback),
            (self.publishes.next_wakeup(), WakeReason::Publish),
            (
                self.deadlines.first().map(|(at, _)| *at),
                WakeReason::RunDeadline,
            ),
            (shutdown, WakeReason::Shutdown),
        ];
        let wakeups = wakeups
            .into_iter()
            .map(|(at, reason)| at.map(|at| Wakeup { at, reason }));
        wakeups.fold(None, Wakeup::soonest)
    }

    /// True when nothing is left to do: a single pass is over (`--once`), or a shutdown is complete.
    pub fn is_finished(&self) -> bool {
        match self.stage {
            Stage::Running => {
                self.schedule.is_once_finished()
                    && self.line.is_empty()
                    && self.deadlines.is_empty()
                    && self.patches.in_flight() == 0
                    && self.patches.waiting() == 0
                    && self.publishes.is_idle()
            }
            Stage::ShuttingDown { .. } => false,
            Stage::Stopped => true,
        }
    }

    /// Takes one sample of time. Time never runs backwards inside (A2).
    fn on_now(&mut self, now: Now) {
        if now.mono < self.now.mono {
            self.counts.clock_regressions += 1;
            self.now.wall = now.wall;
        } else {
            self.now = now;
        }
        self.events.on_now(self.now);
    }

    /// Lets every child do what has fallen due. The scheduler does so when it is polled for grants.
    fn on_due(&mut self) {
        self.registry.handle_timeout(self.now);
        self.patches.handle_timeout(self.now.mono);
        self.publishes.handle_timeout(self.now.mono);
        while let Some((at, id)) = self.deadlines.first().copied()
            && at <= self.now.mono
        {
            self.deadlines.remove(&(at, id));
            self.on_run_deadline(id);
        }
        if let Stage::ShuttingDown { deadline } = self.stage
            && deadline <= self.now.mono
        {
            self.stop();
        }
    }

    const fn count_completion(&mut self, known: bool) {
        if !known {
            self.counts.stale_completions += 1;
        }
    }

    /// Lets everything move that can, within the bound of one call.
    fn turn(&mut self) {
        let mut budget = DECISIONS_PER_CALL_MAX;
        loop {
            let moved = self.drain_children()
                | self.start_granted(&mut budget)
                | self.work_off(&mut budget)
                | self.send_ready(&mut budget);
            if !moved || budget == 0 {
                break;
            }
        }
        // A batch takes all that one event made: it is looked at when nothing of that is left.
        if budget > 0 && self.stage != Stage::Stopped {
            self.publishes.handle_drained_turn(self.now, &mut self.ops);
            while let Some(effect) = self.publishes.poll_effect() {
                self.effects.push_back(effect);
            }
        }
        // The scheduler's last look may have ended a pass: that is told now, not with the next call.
        self.drain_schedule();
        self.is_turn_due = budget == 0;
        if self.schedule.last_pass_end() == Some(self.now.mono) {
            self.events.metrics.on_pass_looked(self.now.wall);
        }
        self.events.keep_last(self.config.events_max);
        if let Stage::ShuttingDown { .. } = self.stage
            && self.patches.in_flight() == 0
            && self.publishes.is_idle()
        {
            self.stop();
        }
    }

    /// Drains what the children report and want started. True when something was there.
    fn drain_children(&mut self) -> bool {
        let mut moved = false;
        while let Some(outcome) = self.registry.poll_outcome() {
            moved = true;
            self.on_registry(outcome);
        }
        while let Some(PatchOutcome::Stalled(op)) = self.patches.poll_outcome() {
            moved = true;
            self.events.push_back(Event::OperationStalled { op });
        }
        // Once the process goes down nothing new starts, not even the next page of a list.
        while self.is_running()
            && let Some(effect) = self.registry.poll_effect(&mut self.ops)
        {
            moved = true;
            self.effects.push_back(effect);
            // Each request is told before the next is sent, so that none is lost to a full queue.
            while let Some(outcome) = self.registry.poll_outcome() {
                self.on_registry(outcome);
            }
        }
        // A lookup that was about to be sent may have failed instead, and that is all that happened.
        moved |= self.registry.has_outcome();
        while let Some(effect) = self.patches.poll_effect() {
            moved = true;
            self.effects.push_back(effect);
        }
        while let Some(outcome) = self.publishes.poll_outcome() {
            moved = true;
            self.on_publish(outcome);
        }
        while let Some(effect) = self.publishes.poll_effect() {
            moved = true;
            self.effects.push_back(effect);
        }
        moved
    }

    fn drain_schedule(&mut self) {
        while let Some(event) = self.schedule.poll_event() {
            self.events.push_back(Event::Schedule(event));
        }
    }

    /// Goes on with runs and decides again, in the order of the line. True when something was done.
    fn work_off(&mut self, budget: &mut usize) -> bool {
        let mut moved = false;
        while *budget > 0
            && let Some(work) = self.line.pop_front()
        {
            moved = true;
            *budget -= 1;
            match work {
                Work::Progress(id) => self.on_progress(id),
                Work::Redecide(id) => self.on_redecide(id),
                Work::Resolve { id, is_resorted } => self.on_resolve(id, is_resorted),
            }
        }
        moved
    }

    fn on_shutdown(&mut self) {
        if self.stage != Stage::Running {
            return;
        }
        let deadline = self.now.mono.after(self.config.shutdown_grace);
        self.stage = Stage::ShuttingDown { deadline };
        self.schedule.handle_shutdown();
        self.line.clear();
        self.abandon_unwritten();
        self.publishes.handle_drain();
        let operations = self.patches.in_flight() + self.publishes.n_intents();
        self.events.push_back(Event::ShutdownBegun { operations });
    }

    fn stop(&mut self) {
        let abandoned = self.patches.in_flight() + self.publishes.n_intents();
        self.abandon_unpublished();
        self.stage = Stage::Stopped;
        self.events.push_back(Event::Stopped { abandoned });
    }

    const fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }
}
