//! The rate limit of an endpoint: a leaky bucket with slack (`registry.md` 5.3).

use core::time::Duration;

use crate::time::Time;

/// How many intervals of idleness may be caught up at once.
const SLACK: u32 = 10;

/// Permits to send, evenly spaced; after idleness up to eleven pass at once.
#[derive(Clone, Debug)]
pub struct RateBudget {
    /// Distance between two permits; zero when unlimited.
    interval: Duration,
    /// The time of the last permit.
    last: Option<Time>,
}

impl RateBudget {
    /// A budget of `per_second` permits; `None` or zero is unlimited.
    pub fn new(per_second: Option<u32>) -> Self {
        let interval = match per_second {
            None | Some(0) => Duration::ZERO,
            Some(rate) => Duration::from_nanos(1_000_000_000 / u64::from(rate)),
        };
        Self {
            interval,
            last: None,
        }
    }

    /// Goes on with another rate; the next permit counts from the last.
    pub fn adapt(&mut self, per_second: Option<u32>) {
        self.interval = Self::new(per_second).interval;
    }

    /// The time for which the next permit would be issued when asked at `now`.
    pub fn permit_at(&self, now: Time) -> Time {
        let Some(last) = self.last.filter(|_| !self.interval.is_zero()) else {
            return now;
        };
        if now.since(last) > self.interval * (SLACK + 1) {
            let slack = self.interval * SLACK;
            return Time::ZERO.after(now.since(Time::ZERO).saturating_sub(slack));
        }
        last.after(self.interval)
    }

    /// True when a permit can be taken without waiting.
    pub fn can_take(&self, now: Time) -> bool {
        self.permit_at(now) <= now
    }

    /// Takes the next permit and returns when it may be used: `now` or later.
    pub fn take(&mut self, now: Time) -> Time {
        let permit = self.permit_at(now);
        self.last = Some(permit);
        permit.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_budget_allows_no_burst_and_an_idle_one_eleven() {
        let mut budget = RateBudget::new(Some(10));
        assert_eq!(budget.take(Time::ZERO), Time::ZERO);
        assert!(!budget.can_take(Time::ZERO));
        let later = Time::from_secs(60);
        let at_once = (0..20).filter(|_| budget.take(later) == later).count();
        assert_eq!(at_once, 11);
    }

    #[test]
    fn an_unlimited_budget_never_waits() {
        let mut budget = RateBudget::new(None);
        assert!((0..1000).all(|_| budget.take(Time::ZERO) == Time::ZERO));
    }
}
