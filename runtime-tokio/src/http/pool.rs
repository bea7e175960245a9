//! The connections of one (registry, TLS setting): a line for each host that it leads to.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use image_updater_core::http::PoolKey;
use tokio::time::Instant;

use super::footprint::{PoolFootprint, Sockets};
use super::line::Line;
use super::settings::HttpSettings;
use super::target::Target;
use super::trust::Trust;
use crate::clock::stopwatch;

/// A pool that nobody has used for so long is forgotten with its connections (`registry.md` 18, D-53).
const UNUSED_TIME_MAX: Duration = Duration::from_mins(30);
/// Hosts that are remembered before those without connections are forgotten.
const HOSTS_MAX: usize = 64;

/// One pool.
#[derive(Debug)]
pub(super) struct Pool {
    key: PoolKey,
    /// Whose certificates it trusts.
    pub(super) trust: Trust,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    lines: BTreeMap<Target, Arc<Line>>,
    used_at: Instant,
    /// When the janitor comes next, if ever.
    janitor_at: Option<Instant>,
}

impl Pool {
    /// A pool without connections. The janitor's first visit is anywhere within an interval, by the
    /// pool's key: otherwise all pools would connect again at the same time (D-51).
    pub(super) fn new(key: &PoolKey, trust: Trust, settings: &HttpSettings) -> Self {
        let now = stopwatch();
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let per_mille = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
        Self {
            key: key.clone(),
            trust,
            state: Mutex::new(State {
                lines: BTreeMap::new(),
                used_at: now,
                janitor_at: settings
                    .janitor_interval
                    .map(|interval| now + interval / 1000 * per_mille + interval / 1000),
            }),
        }
    }

    /// The line to `target`.
    pub(super) fn line(&self, target: &Target, settings: &HttpSettings) -> Arc<Line> {
        let mut state = self.lock();
        state.used_at = stopwatch();
        if let Some(line) = state.lines.get(target) {
            return Arc::clone(line);
        }
        if state.lines.len() >= HOSTS_MAX {
            // Whoever waits or connects holds a reference of his own.
            state
                .lines
                .retain(|_, line| Arc::strong_count(line) > 1 || !line.is_empty());
        }
        let line = Arc::new(Line::new(
            target.is_tls,
            settings.connections_per_host_max,
            settings.idle_per_host_max,
        ));
        state.lines.insert(target.clone(), Arc::clone(&line));
        line
    }

    /// Closes what has been idle for too long; true when the janitor was due.
    pub(super) fn tidy(&self, settings: &HttpSettings, now: Instant) -> bool {
        let mut state = self.lock();
        let is_visited = state.janitor_at.is_some_and(|at| at <= now);
        let mut idle_max = settings.idle_timeout;
        if is_visited {
            state.janitor_at = settings
                .janitor_interval
                .map(|interval| now + interval.max(Duration::from_millis(1)));
            let janitor_max = settings.janitor_idle_min;
            idle_max = Some(idle_max.map_or(janitor_max, |idle_max| idle_max.min(janitor_max)));
        }
        if let Some(since) = idle_max.and_then(|idle_max| now.checked_sub(idle_max)) {
            for line in state.lines.values() {
                line.close_idle(since);
            }
        }
        is_visited
    }

    /// When there is something to tidy next, as far as is known at `now`.
    pub(super) fn next_due(&self, settings: &HttpSettings, now: Instant) -> Instant {
        let state = self.lock();
        let idle_since = state.lines.values().filter_map(|line| line.idle_since());
        let idle_until = idle_since
            .min()
            .and_then(|since| since.checked_add(settings.idle_timeout?));
        let used_at = if state.is_in_use() {
            now
        } else {
            state.used_at
        };
        let earlier = [idle_until, state.janitor_at].into_iter().flatten();
        earlier.fold(used_at + UNUSED_TIME_MAX, Instant::min)
    }

    /// True when it has not been used for so long that it is forgotten.
    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        let state = self.lock();
        !state.is_in_use() && state.used_at + UNUSED_TIME_MAX <= now
    }

    /// True when requests are under way or wait.
    pub(super) fn is_in_use(&self) -> bool {
        self.lock().is_in_use()
    }

    /// Closes all of its idle connections.
    pub(super) fn close(&self) {
        let now = stopwatch();
        for line in self.lines() {
            line.close_idle(now);
        }
    }

    /// Its lines.
    pub(super) fn lines(&self) -> Vec<Arc<Line>> {
        self.lock().lines.values().cloned().collect()
    }

    /// What it holds.
    pub(super) fn footprint(&self) -> PoolFootprint {
        let lines = self.lines();
        let mut sockets = Sockets::default();
        let mut n_waiting = 0;
        for line in &lines {
            let (of_line, waiting) = line.footprint();
            sockets += of_line;
            n_waiting += waiting;
        }
        PoolFootprint {
            registry: self.key.registry.clone(),
            insecure: self.key.insecure,
            n_hosts: lines.len(),
            sockets,
            n_waiting,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_in_use(&self) -> bool {
        self.lines.values().any(|line| line.is_in_use())
    }
}
