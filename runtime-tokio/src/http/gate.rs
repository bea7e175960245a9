//! The bound on what is under way with one host.
//!
//! The pool bounds idle connections only: four hundred requests at once open four hundred of them.
//! With at most `n` requests under way there are at most `n` connections, busy and idle together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Hosts that are remembered before those without requests under way are forgotten.
const HOSTS_MAX: usize = 64;

/// Admits requests, so many at a time per host.
#[derive(Debug)]
pub(crate) struct Gate {
    permits_per_host: usize,
    hosts: Mutex<BTreeMap<Box<str>, Arc<Semaphore>>>,
}

impl Gate {
    /// A gate that admits `permits_per_host` requests at a time to each host, at least one.
    pub(crate) fn new(permits_per_host: usize) -> Self {
        Self {
            permits_per_host: permits_per_host.clamp(1, Semaphore::MAX_PERMITS),
            hosts: Mutex::default(),
        }
    }

    /// Waits for a place with `host`; it is given back when the permit is dropped.
    pub(crate) async fn take(&self, host: &str) -> OwnedSemaphorePermit {
        self.semaphore(host)
            .acquire_owned()
            .await
            .expect("the gate's semaphores are never closed")
    }

    fn semaphore(&self, host: &str) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(host) {
            return Arc::clone(known);
        }
        if hosts.len() >= HOSTS_MAX {
            // Permits and waiters hold a reference of their own.
            hosts.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let semaphore = Arc::new(Semaphore::new(self.permits_per_host));
        hosts.insert(host.into(), Arc::clone(&semaphore));
        semaphore
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn full_host_makes_its_own_requests_wait_and_no_others() {
        let gate = Gate::new(2);
        let first = gate.take("a").await;
        let _second = gate.take("a").await;
        assert!(gate.take("a").now_or_never().is_none());
        assert!(gate.take("b").now_or_never().is_some());
        drop(first);
        assert!(gate.take("a").now_or_never().is_some());
    }

    #[tokio::test]
    async fn hosts_without_requests_are_forgotten_and_busy_ones_are_not() {
        let gate = Gate::new(1);
        let _busy = gate.take("busy").await;
        for n in 0..1000 {
            drop(gate.take(&n.to_string()).await);
        }
        assert!(gate.hosts.lock().expect("no panic before").len() <= HOSTS_MAX);
        assert!(gate.take("busy").now_or_never().is_none());
    }
}
