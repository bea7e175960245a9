//! Events that wait for an observer, and the numbers that are counted from them before any is dropped.

use alloc::collections::VecDeque;
use core::fmt;

use crate::bytes;
use crate::event::Event;
use crate::metrics::Metrics;
use crate::time::Now;

/// Counts every event and keeps it until it is polled.
pub(super) struct Journal {
    queue: VecDeque<Event>,
    pub(super) metrics: Metrics,
    now: Now,
}

impl Journal {
    pub(super) const fn new(metrics: Metrics, now: Now) -> Self {
        Self {
            queue: VecDeque::new(),
            metrics,
            now,
        }
    }

    pub(super) const fn on_now(&mut self, now: Now) {
        self.now = now;
    }

    pub(super) fn push_back(&mut self, event: Event) {
        self.metrics.on_event(self.now, &event);
        self.queue.push_back(event);
    }

    pub(super) fn pop_front(&mut self) -> Option<Event> {
        self.queue.pop_front()
    }

    /// Dropping an event harms nobody; keeping all for nobody would (A10). The oldest go.
    pub(super) fn keep_last(&mut self, events_max: usize) {
        let excess = self.queue.len().saturating_sub(events_max);
        self.queue.drain(..excess);
    }

    pub(super) fn queue_bytes(&self) -> usize {
        bytes::queue(&self.queue)
    }
}

/// Shows what waits: numbers are no state that decides.
impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.queue).finish()
    }
}
