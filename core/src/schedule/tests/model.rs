//! The scheduler once more, as naive as can be: lists, linear scans, no state that could be derived.

use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use crate::id::AppKey;
use crate::keyed::{Purpose, Seed};
use crate::schedule::{History, Mode, Outcome, Policy, ScheduleSettings};
use crate::time::Time;

/// What the model lets go on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Given {
    Start(AppKey, bool),
    Resume(AppKey),
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    settings: ScheduleSettings,
    seed: Seed,
    now: Time,
    apps: Vec<App>,
    lanes: Vec<Lane>,
    stage: Stage,
    next_ticket: u64,
    is_shut_down: bool,
    pub(super) deferrals: u64,
}

#[derive(Clone, Debug)]
struct App {
    key: AppKey,
    repo: Option<u8>,
    history: History,
    attempts: u64,
    /// Passes in a row that put it off; `None` before it was in line.
    put_off: Option<u32>,
    state: State,
    ticket: Option<u64>,
    has_slot: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Idle(Option<Time>),
    Waiting,
    Running {
        repo: u8,
        started: Time,
        counts: bool,
    },
}

#[derive(Clone, Debug)]
struct Lane {
    repo: u8,
    window: Option<Time>,
    starts: Vec<Time>,
    blocked: bool,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Stage {
    Unsynced,
    Warmup(Time),
    Cycle,
    Resting(Time),
    Done,
    Continuous,
}

impl Model {
    pub(super) fn new(settings: ScheduleSettings, seed: Seed) -> Self {
        Self {
            settings,
            seed,
            now: Time::ZERO,
            apps: Vec::new(),
            lanes: Vec::new(),
            stage: Stage::Unsynced,
            next_ticket: 0,
            is_shut_down: false,
            deferrals: 0,
        }
    }

    pub(super) fn synced(&mut self) {
        if self.stage != Stage::Unsynced {
            return;
        }
        if self.settings.warmup && !self.settings.interval.is_zero() {
            self.stage = Stage::Warmup(self.now);
            self.all_wait();
        } else {
            self.open();
        }
    }

    pub(super) fn shutdown(&mut self) {
        self.is_shut_down = true;
    }

    pub(super) fn applied(&mut self, key: &AppKey, repo: u8) {
        let repo = if self.settings.per_repo_cap == 0 {
            0
        } else {
            repo
        };
        let once = self.settings.interval.is_zero();
        match self.apps.iter().position(|app| app.key == *key) {
            Some(n) if self.apps[n].repo.is_some() => {
                if self.apps[n].repo != Some(repo) {
                    self.apps[n].repo = Some(repo);
                    self.apps[n].put_off = None;
                    if self.apps[n].state == State::Waiting {
                        self.apps[n].state = State::Idle(None);
                        self.wait(n);
                    }
                }
            }
            Some(n) => {
                self.apps[n].repo = Some(repo);
                let is_running = matches!(self.apps[n].state, State::Running { .. });
                if self.stage == Stage::Continuous && !once && !is_running {
                    self.arm(n);
                }
            }
            None => {
                self.apps.push(App {
                    key: key.clone(),
                    repo: Some(repo),
                    history: History::default(),
                    attempts: 0,
                    put_off: None,
                    state: State::Idle(None),
                    ticket: None,
                    has_slot: false,
                });
                if self.stage == Stage::Continuous && !once {
                    self.arm(self.apps.len() - 1);
                }
            }
        }
        self.forget();
    }

    pub(super) fn deleted(&mut self, key: &AppKey) {
        if let Some(app) = self.apps.iter_mut().find(|app| app.key == *key) {
            app.repo = None;
            app.history = History::default();
            app.attempts = 0;
            app.put_off = None;
            app.ticket = None;
            match &mut app.state {
                State::Running { counts, .. } => *counts = false,
                other @ (State::Idle(_) | State::Waiting) => *other = State::Idle(None),
            }
        }
        self.forget();
    }

    pub(super) fn finished(&mut self, key: &AppKey, outcome: Outcome) {
        let Some(n) = self.apps.iter().position(|app| app.key == *key) else {
            return;
        };
        let app = &mut self.apps[n];
        let State::Running { counts, .. } = app.state else {
            return;
        };
        app.state = State::Idle(None);
        app.has_slot = false;
        app.ticket = None;
        match outcome {
            _ if !counts => {}
            Outcome::Success => {
                app.history.last_success = Some(self.now);
                app.history.fail_count = 0;
            }
            Outcome::Failure => app.history.fail_count += 1,
        }
        let once = self.settings.interval.is_zero();
        if app.repo.is_some() && self.stage == Stage::Continuous && !once {
            self.arm(n);
        }
        self.look_at_caps();
        self.forget();
    }

    pub(super) fn give(&mut self, key: &AppKey) {
        if let Some(app) = self.apps.iter_mut().find(|app| app.key == *key) {
            app.has_slot = false;
            app.ticket = None;
        }
        self.forget();
    }

    pub(super) fn request(&mut self, key: &AppKey) {
        let found = self.apps.iter_mut().find(|app| app.key == *key);
        if let Some(app) = found.filter(|app| app.repo.is_some() && !app.has_slot)
            && app.ticket.is_none()
        {
            app.ticket = Some(self.next_ticket);
            self.next_ticket += 1;
        }
    }

    pub(super) fn on_time(&mut self, now: Time) {
        self.now = self.now.max(now);
        self.look_at_caps();
    }

    pub(super) fn poll(&mut self) -> Option<Given> {
        self.advance();
        let slots = self.apps.iter().filter(|app| app.has_slot).count();
        if slots >= self.limit() {
            return None;
        }
        let waiting = self.apps.iter_mut().filter(|app| app.ticket.is_some());
        if let Some(app) = waiting.min_by_key(|app| app.ticket) {
            app.ticket = None;
            app.has_slot = true;
            return Some(Given::Resume(app.key.clone()));
        }
        if self.is_shut_down {
            return None;
        }
        let n = self.next()?;
        let is_warmup = matches!(self.stage, Stage::Warmup(_));
        let now = self.now;
        let app = &mut self.apps[n];
        let repo = app.repo?;
        app.state = State::Running {
            repo,
            started: now,
            counts: !is_warmup,
        };
        app.ticket = None;
        app.has_slot = true;
        app.put_off = None;
        if !is_warmup {
            app.history.last_attempt = Some(now);
            app.attempts += 1;
        }
        let key = app.key.clone();
        let lane = self.lane(repo);
        lane.window.get_or_insert(now);
        lane.starts.push(now);
        self.look_at_caps();
        Some(Given::Start(key, is_warmup))
    }

    pub(super) fn limit(&self) -> usize {
        let live = self.apps.iter().filter(|app| app.repo.is_some()).count();
        let is_warmup = matches!(self.stage, Stage::Warmup(_));
        self.settings.workers(live, is_warmup) as usize
    }

    pub(super) fn is_empty(&self) -> bool {
        self.apps.is_empty()
    }

    /// Who goes first: the repository of whom policy puts first, and in it whoever was put off most.
    fn next(&mut self) -> Option<usize> {
        let mut open: Vec<usize> = (0..self.apps.len())
            .filter(|n| self.apps[*n].state == State::Waiting)
            .filter(|n| {
                let repo = self.apps[*n].repo;
                !self
                    .lanes
                    .iter()
                    .any(|lane| Some(lane.repo) == repo && lane.blocked)
            })
            .collect();
        open.sort_by(|a, b| self.compare(*a, *b));
        let repo = self.apps[*open.first()?].repo;
        open.retain(|n| self.apps[*n].repo == repo);
        // A stable sort keeps the policy's order among equals.
        open.sort_by_key(|n| Reverse(self.apps[*n].put_off));
        open.first().copied()
    }

    fn compare(&self, a: usize, b: usize) -> core::cmp::Ordering {
        let (a, b) = (&self.apps[a], &self.apps[b]);
        let cools = |app: &App| {
            let success = app.history.last_success;
            app.history.fail_count == 0
                && success.is_some_and(|at| self.now.since(at) < self.settings.cooldown)
        };
        let by_policy = match self.settings.policy {
            Policy::Default => core::cmp::Ordering::Equal,
            Policy::Lru => a.history.last_success.cmp(&b.history.last_success),
            Policy::FailFirst => b.history.fail_count.cmp(&a.history.fail_count),
        };
        cools(a)
            .cmp(&cools(b))
            .then(by_policy)
            .then(a.history.last_attempt.cmp(&b.history.last_attempt))
            .then(a.key.cmp(&b.key))
    }

    fn advance(&mut self) {
        let is_running = |app: &App| matches!(app.state, State::Running { .. });
        let is_over =
            |model: &mut Self| model.next().is_none() && !model.apps.iter().any(is_running);
        if let Stage::Warmup(began) = self.stage {
            let long = self.settings.interval.min(Duration::from_mins(1));
            if is_over(self) || self.now.since(began) >= long {
                self.close();
                for app in &mut self.apps {
                    app.put_off = None;
                }
                self.open();
            }
        } else if self.stage == Stage::Cycle && is_over(self) {
            self.end_cycle();
        }
        if let Stage::Resting(until) = self.stage
            && until <= self.now
            && !self.is_shut_down
        {
            self.stage = Stage::Cycle;
            self.all_wait();
            if is_over(self) {
                self.end_cycle();
            }
        }
        for n in 0..self.apps.len() {
            if matches!(self.apps[n].state, State::Idle(Some(due)) if due <= self.now) {
                self.wait(n);
            }
        }
    }

    fn end_cycle(&mut self) {
        self.close();
        self.stage = if self.settings.interval.is_zero() {
            Stage::Done
        } else {
            let end = self.now.as_nanos();
            let rest = u64::try_from(self.settings.interval.as_nanos()).expect("small");
            Stage::Resting(Time::from_nanos(end + rest + 1))
        };
    }

    fn close(&mut self) {
        for app in &mut self.apps {
            if app.state == State::Waiting {
                app.state = State::Idle(None);
            }
        }
        self.lanes.clear();
    }

    fn open(&mut self) {
        match self.settings.mode {
            Mode::Cycle => self.stage = Stage::Resting(self.now),
            Mode::Continuous => {
                self.stage = Stage::Continuous;
                for n in 0..self.apps.len() {
                    let is_running = matches!(self.apps[n].state, State::Running { .. });
                    if self.apps[n].repo.is_some() && !is_running {
                        self.arm(n);
                    }
                }
            }
        }
    }

    fn arm(&mut self, n: usize) {
        let settings = &self.settings;
        let app = &mut self.apps[n];
        let subject = app.key.to_subject();
        let due = match app.history.last_attempt {
            None => self.now.after(self.seed.duration(
                Purpose::StartSpread,
                subject.as_bytes(),
                app.attempts,
                settings.start_spread,
            )),
            Some(last) => last.after(settings.interval).after(self.seed.duration(
                Purpose::IntervalJitter,
                subject.as_bytes(),
                app.attempts,
                settings.interval * settings.jitter_percent / 100,
            )),
        };
        app.state = State::Idle(Some(due));
    }

    fn all_wait(&mut self) {
        for n in 0..self.apps.len() {
            let is_running = matches!(self.apps[n].state, State::Running { .. });
            if self.apps[n].repo.is_some() && !is_running {
                self.wait(n);
            }
        }
    }

    fn wait(&mut self, n: usize) {
        let repo = self.apps[n].repo.expect("a live application");
        self.lane(repo);
        // A run that the warm-up left behind may close a lane that is new.
        self.look_at_caps();
        let blocked = self.lane(repo).blocked;
        let app = &mut self.apps[n];
        app.state = State::Waiting;
        app.put_off.get_or_insert(u32::from(blocked));
        self.deferrals += u64::from(blocked);
    }

    /// Opens and closes the lanes of all repositories.
    fn look_at_caps(&mut self) {
        for n in 0..self.lanes.len() {
            let lane = &mut self.lanes[n];
            let repo = lane.repo;
            let over = self.now.as_nanos().saturating_sub(1_000_000_000);
            if self.settings.mode == Mode::Continuous
                && lane.window.is_some_and(|begin| begin.as_nanos() <= over)
                && self.now.as_nanos() >= 1_000_000_000
            {
                lane.window = None;
                lane.starts.clear();
            }
            let window = lane.window;
            let earlier = self.apps.iter().filter(|app| {
                matches!(app.state, State::Running { repo: of, started, .. }
                    if of == repo && window.is_none_or(|begin| started < begin))
            });
            let used = lane.starts.len() + earlier.count();
            let cap = self.settings.per_repo_cap as usize;
            let full = cap > 0 && !matches!(self.stage, Stage::Warmup(_)) && used >= cap;
            if full && !lane.blocked {
                for app in &mut self.apps {
                    if app.repo == Some(repo) && app.state == State::Waiting {
                        app.put_off = app.put_off.map(|times| times + 1);
                        self.deferrals += 1;
                    }
                }
            }
            lane.blocked = full;
        }
    }

    fn lane(&mut self, repo: u8) -> &mut Lane {
        let n = self.lanes.iter().position(|lane| lane.repo == repo);
        let n = n.unwrap_or_else(|| {
            self.lanes.push(Lane {
                repo,
                window: None,
                starts: Vec::new(),
                blocked: false,
            });
            self.lanes.len() - 1
        });
        &mut self.lanes[n]
    }

    /// Nothing is kept of what is gone.
    fn forget(&mut self) {
        self.apps.retain(|app| {
            app.repo.is_some() || app.has_slot || matches!(app.state, State::Running { .. })
        });
        let apps = &self.apps;
        self.lanes.retain(|lane| {
            apps.iter().any(|app| {
                app.repo == Some(lane.repo)
                    || matches!(app.state, State::Running { repo, .. } if repo == lane.repo)
            })
        });
    }
}
