//! All pools, and what keeps them tidy.
//!
//! One task closes connections at their age, makes the janitor's rounds and forgets unused pools. It
//! decides nothing else, and ends with the client.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use image_updater_core::http::PoolKey;
use rustls::RootCertStore;
use tokio::sync::Notify;

use super::footprint::Footprint;
use super::pool::Pool;
use super::settings::HttpSettings;
use super::trust::Trust;
use crate::clock::stopwatch;
use crate::spawn::spawn;

/// Pools that are kept before those without requests are closed: more than the core infers endpoints.
const POOLS_MAX: usize = 2_048;
/// The least time between two rounds.
const ROUND_TIME_MIN: Duration = Duration::from_millis(10);

/// The pools of a client.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) settings: HttpSettings,
    roots: Arc<RootCertStore>,
    by_key: Mutex<BTreeMap<PoolKey, Arc<Pool>>>,
    /// Tells the task that there is something to tidy, or that it is over.
    changed: Arc<Notify>,
}

impl Pools {
    /// No pools yet.
    pub(super) fn new(settings: HttpSettings, roots: RootCertStore) -> Self {
        Self {
            settings,
            roots: Arc::new(roots),
            by_key: Mutex::default(),
            changed: Arc::default(),
        }
    }

    /// The pool of `key`; the first one starts the task.
    pub(super) fn pool(self: &Arc<Self>, key: &PoolKey) -> Arc<Pool> {
        let mut pools = self.lock();
        if let Some(pool) = pools.get(key) {
            return Arc::clone(pool);
        }
        if pools.len() >= POOLS_MAX {
            // Exchanges under way hold a reference of their own.
            pools.retain(|_, pool| {
                let is_kept = Arc::strong_count(pool) > 1 || pool.is_in_use();
                if !is_kept {
                    pool.close();
                }
                is_kept
            });
        }
        if pools.is_empty() {
            drop(spawn(keep_tidy(
                Arc::downgrade(self),
                Arc::clone(&self.changed),
            )));
        }
        let trust = Trust::new(key, Arc::clone(&self.roots), &self.settings.ca_folder);
        let pool = Arc::new(Pool::new(key, trust, &self.settings));
        pools.insert(key.clone(), Arc::clone(&pool));
        self.changed.notify_one();
        pool
    }

    /// Closes the longest idle connections while there are too many in all pools together.
    pub(super) fn trim_idle(&self) {
        let lines: Vec<_> = self.lock().values().flat_map(|pool| pool.lines()).collect();
        let mut n_idle: usize = lines.iter().map(|line| line.n_idle()).sum();
        while n_idle > self.settings.idle_max {
            let idle = lines
                .iter()
                .filter_map(|line| Some((line.idle_since()?, line)));
            let Some((since, line)) = idle.min_by_key(|(since, _)| *since) else {
                return;
            };
            let n_closed = line.close_idle(since);
            if n_closed == 0 {
                return;
            }
            n_idle = n_idle.saturating_sub(n_closed);
        }
    }

    /// What they hold.
    pub(super) fn footprint(&self) -> Footprint {
        Footprint {
            pools: self.lock().values().map(|pool| pool.footprint()).collect(),
        }
    }

    /// One round; returns after how long the next one is due, or `None` when no pool is left.
    fn tidy(&self) -> Option<Duration> {
        let now = stopwatch();
        let mut pools = self.lock();
        let mut is_visited = false;
        pools.retain(|_, pool| {
            is_visited |= pool.tidy(&self.settings, now);
            let is_forgotten = Arc::strong_count(pool) == 1 && pool.is_forgotten(now);
            if is_forgotten {
                pool.close();
            }
            !is_forgotten
        });
        // Without pools there is no next round; the next pool starts the task again.
        let due = pools
            .values()
            .map(|pool| pool.next_due(&self.settings, now))
            .min()?;
        drop(pools);
        if is_visited {
            tracing::debug!("connections to registries: {}", self.footprint());
        }
        // What becomes idle from now on is due no earlier than an idle time from now.
        let idle_timeout = self.settings.idle_timeout.unwrap_or(Duration::MAX);
        let ahead = due.saturating_duration_since(now);
        Some(ahead.min(idle_timeout).max(ROUND_TIME_MIN))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PoolKey, Arc<Pool>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pools {
    fn drop(&mut self) {
        self.changed.notify_one();
    }
}

async fn keep_tidy(pools: Weak<Pools>, changed: Arc<Notify>) {
    loop {
        let Some(ahead) = pools.upgrade().and_then(|pools| pools.tidy()) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep(ahead) => {}
            () = changed.notified() => {}
        }
    }
}
