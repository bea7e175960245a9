//! Liveness and quality of service: L1, L2, L8, L10.

use std::collections::BTreeMap;
use std::time::Duration;

use image_updater_core::event::Event;
use image_updater_core::id::AppKey;
use image_updater_core::input::{ClusterInput, Input};
use image_updater_core::time::Time;

use super::Violation;
use crate::options::{Options, Policy};
use crate::workload::Action;
use crate::world::{NAMESPACE, World};

/// Worlds up to this size are judged app by app (L2).
const BYPASS_APPS_MAX: u32 = 50;
/// The longest that one run may take: the per-application deadline.
const RUN_MAX: Duration = Duration::from_mins(10);
/// Over how long starts of a fresh process are spread, at most.
const START_SPREAD_MAX: Duration = Duration::from_secs(30);

/// What must happen in time.
#[derive(Debug)]
pub struct Liveness {
    options: Options,
    /// Applications that exist, with the time from which their waiting counts.
    waiting: BTreeMap<AppKey, Waiting>,
    /// Starts in the current second, and when the process began.
    second: (u64, u32),
    peak: u32,
    process_began: Time,
    next_judged: Time,
    /// Wake-ups and checks since the count was begun (L8).
    pub quiet: Quiet,
    /// Checks started in the whole run.
    pub checks: u64,
}

/// Counts over a quiet time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet {
    /// Calls of `handle_timeout`.
    pub wakeups: u64,
    /// Checks started.
    pub checks: u64,
    /// Requests sent.
    pub requests: u64,
}

#[derive(Debug)]
struct Waiting {
    since: Time,
    running: bool,
    /// How often each other application started since this one was due.
    passed_by: BTreeMap<AppKey, u32>,
}

impl Liveness {
    /// The checks for a run with `options`.
    pub fn new(options: &Options) -> Self {
        Self {
            options: options.clone(),
            waiting: BTreeMap::new(),
            second: (0, 0),
            peak: 0,
            process_began: Time::ZERO,
            next_judged: Time::ZERO,
            quiet: Quiet::default(),
            checks: 0,
        }
    }

    /// All waiting begins anew with the process.
    pub fn restarted(&mut self, now: Time) {
        self.process_began = now;
        for waiting in self.waiting.values_mut() {
            *waiting = Waiting::from(now);
        }
    }

    /// Deleted applications wait for nothing; created ones begin to wait.
    pub fn act(&mut self, now: Time, action: &Action, world: &World) {
        match action {
            Action::Delete(app) => {
                self.waiting
                    .remove(&AppKey::new(NAMESPACE, &*world.apps[*app].name));
            }
            Action::Create(app) => {
                let key = AppKey::new(NAMESPACE, &*world.apps[*app].name);
                self.waiting.insert(key, Waiting::from(now));
            }
            Action::Push(..)
            | Action::DeleteTag(..)
            | Action::EditPolicy(..)
            | Action::ForeignEdit(_)
            | Action::WatchReset
            | Action::Restart
            | Action::Trouble(_)
            | Action::Git(..)
            | Action::Rotate { .. } => {}
        }
    }

    /// The world's applications wait from the start, whether the core was told of them or not.
    pub fn expect(&mut self, now: Time, key: AppKey) {
        self.waiting.insert(key, Waiting::from(now));
    }

    /// A re-created application begins to wait when the core learns of it at the latest.
    pub fn told(&mut self, now: Time, input: &Input) {
        if let Input::Cluster(ClusterInput::Deleted(key)) = input
            && let Some(waiting) = self.waiting.get_mut(key)
        {
            *waiting = Waiting::from(now);
        }
    }

    /// The core sends a request.
    pub const fn sent(&mut self) {
        self.quiet.requests += 1;
    }

    /// The core is woken.
    pub const fn woken(&mut self) {
        self.quiet.wakeups += 1;
    }

    /// L2 and L10, at every start.
    pub fn event(&mut self, now: Time, event: &Event) -> Result<(), Violation> {
        match event {
            Event::CheckStarted { key, .. } => {
                self.quiet.checks += 1;
                self.checks += 1;
                self.count_start(now);
                self.bypass(now, key)?;
                // What is deleted already, and not yet known to be, waits for nothing.
                if let Some(waiting) = self.waiting.get_mut(key) {
                    *waiting = Waiting {
                        since: now,
                        running: true,
                        passed_by: BTreeMap::new(),
                    };
                }
            }
            Event::CheckFinished { key, .. } => {
                if let Some(waiting) = self.waiting.get_mut(key) {
                    waiting.running = false;
                    let since = waiting.since;
                    // In cycle mode the interval begins at the end; a long run delays the next.
                    waiting.since = if self.options.cycle {
                        now
                    } else {
                        since.max(waiting.since)
                    };
                }
            }
            Event::ApplicationConsidered { .. }
            | Event::ApplicationIgnored { .. }
            | Event::ApplicationMalformed { .. }
            | Event::ApplicationDeleted { .. }
            | Event::ApplicationRefused { .. }
            | Event::Synced { .. }
            | Event::Redecided { .. }
            | Event::ImageDecided { .. }
            | Event::WriteRefused { .. }
            | Event::DryRun { .. }
            | Event::Written { .. }
            | Event::Published { .. }
            | Event::AlreadyPublished { .. }
            | Event::Batch(_)
            | Event::MessageNotRendered { .. }
            | Event::WriteFailed { .. }
            | Event::OperationStalled { .. }
            | Event::Schedule(_)
            | Event::Registry(_)
            | Event::RegistriesReloaded { .. }
            | Event::RegistriesRefused { .. }
            | Event::ShutdownBegun { .. }
            | Event::Stopped { .. } => {}
        }
        Ok(())
    }

    /// L1: an application that is due starts within the dispatch bound.
    pub fn dispatch_bound(&mut self, now: Time) -> Result<(), Violation> {
        if now < self.next_judged || self.options.faults.lost > 0 {
            return Ok(());
        }
        self.next_judged = now.after(Duration::from_secs(1));
        let bound = self.bound();
        let late = self.waiting.iter().find(|(_, waiting)| {
            !waiting.running && now.since(waiting.since.max(self.process_began)) > bound
        });
        let Some((key, waiting)) = late else {
            return Ok(());
        };
        let detail = format!("not started since {:?}, bound {bound:?}", waiting.since);
        Err(Violation::new("L1", key.to_string(), detail))
    }

    /// The longest that an application may wait between two starts.
    fn bound(&self) -> Duration {
        let apps = self.options.apps.max(1);
        let slots = match self.options.concurrency_max {
            0 => 8,
            slots => slots,
        };
        // Every application in front, served `slots` at a time, and as slowly as faults allow.
        let slow = if self.options.is_faultless() {
            Duration::from_secs(2)
        } else {
            RUN_MAX
        };
        // Whoever is in flight counts against the cap of its repository.
        let slots = match self.options.per_repo_cap {
            0 => slots,
            cap => slots.min(cap),
        };
        let queue = slow * apps.div_ceil(slots);
        let passes = match self.options.per_repo_cap {
            0 => 1,
            cap => apps.div_ceil(cap),
        };
        // A cycle waits for its slowest application; a pass of the cap waits for a cycle.
        let pass = if self.options.cycle {
            self.options.interval + queue
        } else {
            Duration::from_secs(1)
        };
        self.options.interval * 11 / 10
            + START_SPREAD_MAX
            + queue
            + pass * passes
            + Duration::from_secs(5)
    }

    /// L2: with the default order and neither cap nor cooldown, nobody else starts twice while one
    /// application is due.
    fn bypass(&mut self, now: Time, started: &AppKey) -> Result<(), Violation> {
        let options = &self.options;
        let claimed = options.policy == Policy::Default
            && options.per_repo_cap == 0
            && options.cooldown.is_zero()
            && options.apps <= BYPASS_APPS_MAX
            && options.faults.lost == 0;
        if !claimed {
            return Ok(());
        }
        let due_after = options.interval * 11 / 10 + START_SPREAD_MAX;
        for (key, waiting) in &mut self.waiting {
            let since = waiting.since.max(self.process_began);
            if key == started || waiting.running || now.since(since) <= due_after {
                continue;
            }
            let times = waiting.passed_by.entry(started.clone()).or_default();
            *times += 1;
            // One start may have been on its way when the other became due.
            if *times > 2 {
                let detail = format!("{started} started {times} times while it was due");
                return Err(Violation::new("L2", key.to_string(), detail));
            }
        }
        Ok(())
    }

    fn count_start(&mut self, now: Time) {
        let second = now.as_millis() / 1000;
        if self.second.0 != second {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        // The first interval of a process is the start spread's own affair.
        if now.since(self.process_began) > self.options.interval * 2 {
            self.peak = self.peak.max(self.second.1);
        }
    }

    /// L10: starts of continuous mode stay spread.
    pub fn herd(&self) -> Result<(), Violation> {
        if self.options.cycle || !self.options.is_faultless() {
            return Ok(());
        }
        let spread = self.options.interval.min(START_SPREAD_MAX).as_secs().max(1);
        let mean = u64::from(self.options.apps) / spread;
        // The constant is for small fleets, where two starts in one second are chance.
        let bound = 2 * mean + 10;
        if u64::from(self.peak) > bound {
            let detail = format!("{} starts in one second, bound {bound}", self.peak);
            return Err(Violation::new("L10", "run", detail));
        }
        Ok(())
    }

    /// L8: over a quiet time, no more wake-ups than there were reasons.
    pub fn quiescence(&self, elapsed: Duration) -> Result<(), Violation> {
        let Quiet {
            wakeups,
            checks,
            requests,
        } = self.quiet;
        // A check is due, its listing is due, its requests have deadlines; and each request may have waited
        // for a rate.
        let bound = 8 * checks + requests + 10 + elapsed.as_secs() / 10;
        if wakeups > bound {
            let detail = format!(
                "{wakeups} wake-ups for {checks} checks and {requests} requests in {elapsed:?}"
            );
            return Err(Violation::new("L8", "run", detail));
        }
        Ok(())
    }
}

impl Waiting {
    const fn from(since: Time) -> Self {
        Self {
            since,
            running: false,
            passed_by: BTreeMap::new(),
        }
    }
}
