//! Health as `/healthz` tells it: whether this machine has run out of local ports (`registry.md` 10,
//! `ops.md` 15).
//!
//! Invariant: memory is bounded whatever fails how often. Every failed exchange counts, whatever it was for
//! (D-52).

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::time::Time;

/// Failures that are always kept; a higher threshold keeps as many as it has.
const FAILURES_KEPT_MIN: u32 = 1024;
/// `EADDRNOTAVAIL` of Linux.
const EADDRNOTAVAIL: i32 = 99;
/// What every system says about it.
const NO_LOCAL_PORT: &str = "cannot assign requested address";

/// The failures for want of a local port, within a window.
#[derive(Clone, Debug)]
pub struct PortExhaustion {
    window: Duration,
    threshold: u32,
    /// When each failure happened, oldest first.
    failures: VecDeque<Time>,
}

impl PortExhaustion {
    /// No failure yet. A threshold of zero counts as one.
    pub const fn new(window: Duration, threshold: u32) -> Self {
        Self {
            window,
            threshold: if threshold == 0 { 1 } else { threshold },
            failures: VecDeque::new(),
        }
    }

    /// A failure happened. Time does not run backwards: an older one counts as of the last.
    pub fn record(&mut self, now: Time) {
        let now = self.failures.back().map_or(now, |last| now.max(*last));
        self.forget_old(now);
        if self.failures.len() >= self.failures_max() {
            self.failures.pop_front();
        }
        self.failures.push_back(now);
    }

    /// Forgets failures that no longer count.
    pub fn forget_old(&mut self, now: Time) {
        while self
            .failures
            .front()
            .is_some_and(|at| !self.counts(*at, now))
        {
            self.failures.pop_front();
        }
        if self.failures.is_empty() {
            // A rare storm does not hold its memory for ever.
            self.failures = VecDeque::new();
        }
    }

    /// Failures that happened strictly later than `now` less the window; exact up to 1024 or the threshold,
    /// whichever is more.
    pub fn count(&self, now: Time) -> usize {
        let n_old = self.failures.partition_point(|at| !self.counts(*at, now));
        self.failures.len() - n_old
    }

    /// True when the threshold is reached.
    pub fn is_degraded(&self, now: Time) -> bool {
        self.count(now) >= self.threshold as usize
    }

    /// True when half of the threshold is reached: time to use fewer connections.
    pub fn is_strained(&self, now: Time) -> bool {
        self.count(now) >= self.threshold.div_ceil(2) as usize
    }

    /// When one of the two answers changes by itself, if it will.
    pub fn next_change(&self, now: Time) -> Option<Time> {
        let count = self.count(now);
        let threshold = self.threshold as usize;
        let bar = if count >= threshold {
            threshold
        } else {
            threshold.div_ceil(2)
        };
        let last = self.failures.len().checked_sub(bar)?;
        let is_due = |at: &Time| *at > now;
        self.failures
            .get(last)
            .map(|at| at.after(self.window))
            .filter(is_due)
    }

    /// Bytes, about.
    pub fn footprint(&self) -> usize {
        self.failures.capacity() * size_of::<Time>()
    }

    fn counts(&self, at: Time, now: Time) -> bool {
        now.since(at) < self.window
    }

    fn failures_max(&self) -> usize {
        self.threshold.max(FAILURES_KEPT_MIN) as usize
    }
}

/// True when a failure is for want of a local port: by the system's error number, or by its words.
pub fn is_no_local_port(os_errno: Option<i32>, message: &str) -> bool {
    os_errno == Some(EADDRNOTAVAIL)
        || message
            .as_bytes()
            .windows(NO_LOCAL_PORT.len())
            .any(|words| words.eq_ignore_ascii_case(NO_LOCAL_PORT.as_bytes()))
}

/// What `HEALTH_FAIL_ON_PORT_EXHAUSTION` says: unset, empty, `1`, `true` and `yes` in any letter case are
/// on, and every other word is off.
pub fn is_failing_wanted(word: Option<&str>) -> bool {
    word.is_none_or(|word| {
        word.is_empty()
            || ["1", "true", "yes"]
                .iter()
                .any(|on| on.eq_ignore_ascii_case(word))
    })
}

/// How the process is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Health {
    /// Local ports have run out.
    pub is_degraded: bool,
    /// Failures for want of a local port within the window.
    pub n_port_failures: usize,
    /// That is a reason to answer a probe with a failure.
    pub is_failing_wanted: bool,
}

impl Health {
    /// Status and body of an answer to `GET /healthz`, exactly.
    pub const fn answer(&self) -> (u16, &'static str) {
        if self.is_failing_wanted && self.is_degraded {
            (503, "PORT-EXHAUSTION")
        } else {
            (200, "OK\n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn the_verdict_changes_when_it_said_it_would() {
        let mut ports = PortExhaustion::new(MINUTE, 4);
        for secs in [100, 101, 102, 103, 104] {
            ports.record(Time::from_secs(secs));
        }
        let now = Time::from_secs(110);
        assert!(ports.is_degraded(now));
        let recovers = ports.next_change(now).expect("a change");
        assert_eq!(
            recovers,
            Time::from_secs(161),
            "the last four are three then"
        );
        assert!(!ports.is_degraded(recovers) && ports.is_strained(recovers));
        let calm = ports.next_change(recovers).expect("a change");
        assert_eq!(calm, Time::from_secs(163));
        assert!(!ports.is_strained(calm));
        assert_eq!(ports.next_change(calm), None);
    }

    #[test]
    fn a_storm_of_failures_is_bounded_in_memory_and_forgotten() {
        let mut ports = PortExhaustion::new(MINUTE, 8);
        (0..1_000_000).for_each(|n| ports.record(Time::from_nanos(n)));
        assert!(ports.footprint() < 64 << 10);
        assert!(ports.is_degraded(Time::from_secs(1)));
        ports.forget_old(Time::from_secs(61));
        assert_eq!(ports.footprint(), 0);
    }

    #[test]
    fn the_words_are_found_anywhere_in_any_case() {
        assert!(is_no_local_port(
            None,
            "dial: Cannot Assign Requested Address (os error)"
        ));
        assert!(is_no_local_port(Some(99), ""));
        assert!(!is_no_local_port(Some(111), "connection refused"));
        assert!(!is_no_local_port(None, "cannot assign requested addres"));
    }
}
