//! How fast somebody may be asked who has complained: a window of silence, then a lowered rate that rises
//! again with every good answer.

use core::time::Duration;

use crate::time::Time;

/// Requests per 1000 s of one request per second.
const PER_SECOND: u64 = 1000;
/// The lowest rate: one request in two seconds, so that a list of some pages fits its attempt.
const RATE_MIN: u64 = PER_SECOND / 2;
/// What is halved where no rate is configured.
const RATE_ASSUMED: u64 = 20 * PER_SECOND;
/// Time of good answers that leads from nothing to the full rate.
const RECOVERY_SECS: u64 = 300;
/// Longest pause between good answers that counts towards it.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// Throttle window and lowered rate of an account, or of an endpoint as a whole.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The full rate, in requests per 1000 s.
    rate_max: u64,
    window_end: Option<Time>,
    lowered: Option<Lowered>,
}

#[derive(Clone, Copy, Debug)]
struct Lowered {
    /// Requests per 1000 s.
    rate: u64,
    /// When the rate was lowered last: complaints about requests from before do not count again.
    since: Time,
    /// Up to where it has risen.
    raised: Time,
    /// When the next request may be sent.
    next: Time,
}

impl Pace {
    /// A full pace of so many requests per second; `None` is unlimited.
    pub fn new(per_second: Option<u32>) -> Self {
        let rate_max = per_second.map_or(RATE_ASSUMED, |rate| u64::from(rate) * PER_SECOND);
        Self {
            rate_max: rate_max.max(RATE_MIN),
            window_end: None,
            lowered: None,
        }
    }

    /// Takes another full rate.
    pub fn adapt(&mut self, per_second: Option<u32>) {
        self.rate_max = Self::new(per_second).rate_max;
        if self
            .lowered
            .is_some_and(|lowered| lowered.rate >= self.rate_max)
        {
            self.lowered = None;
        }
    }

    /// Takes over what the same server said by another entry: the later window, the lower rate.
    pub fn inherit(&mut self, known: &Self, per_second: Option<u32>) {
        self.window_end = self.window_end.max(known.window_end);
        let rate = |lowered: &Lowered| lowered.rate;
        self.lowered = match (self.lowered, known.lowered) {
            (Some(own), Some(other)) => Some(core::cmp::min_by_key(own, other, rate)),
            (own, other) => own.or(other),
        };
        self.adapt(per_second);
    }

    /// The end of the window of silence, if `now` lies in one.
    pub fn window_end(&self, now: Time) -> Option<Time> {
        self.window_end.filter(|until| *until > now)
    }

    /// Widens the window of silence. False when it reached that far already.
    pub fn close_until(&mut self, now: Time, until: Time) -> bool {
        let is_wider = until > now && self.window_end.is_none_or(|known| known < until);
        if is_wider {
            self.window_end = Some(until);
        }
        is_wider
    }

    /// When the next request may be sent: `now` or later.
    pub fn next_at(&self, now: Time) -> Time {
        let next = self.lowered.map_or(now, |lowered| lowered.next);
        next.max(self.window_end.unwrap_or(now)).max(now)
    }

    /// Notes that a request was sent.
    pub fn take(&mut self, now: Time) {
        if let Some(lowered) = &mut self.lowered {
            lowered.next = now.after(interval(lowered.rate));
        }
    }

    /// A complaint about a request that was sent at `sent`: the rate is halved, once for all requests that
    /// were under way together. True when it was.
    pub fn lower(&mut self, now: Time, sent: Time) -> bool {
        let rate = match &self.lowered {
            Some(lowered) if sent <= lowered.since => return false,
            Some(lowered) => lowered.rate,
            None => self.rate_max,
        };
        self.lowered = Some(Lowered {
            rate: (rate / 2).max(RATE_MIN),
            since: now,
            raised: now,
            next: now,
        });
        true
    }

    /// A good answer to a request that was sent at `sent`: the rate rises by the time since the last.
    /// True when it is the full one again.
    pub fn raise(&mut self, now: Time, sent: Time) -> bool {
        let Some(lowered) = &mut self.lowered else {
            return false;
        };
        if sent <= lowered.since {
            return false;
        }
        let pause = now.since(lowered.raised).min(PAUSE_MAX).as_millis();
        let pause = u64::try_from(pause).unwrap_or(0);
        lowered.rate += self.rate_max * pause / (RECOVERY_SECS * 1000);
        lowered.raised = now;
        let is_full = lowered.rate >= self.rate_max;
        if is_full {
            self.lowered = None;
        }
        is_full
    }

    /// The lowered rate in requests per 1000 s; `None` when it is the full one.
    pub fn lowered_rate(&self) -> Option<u64> {
        self.lowered.map(|lowered| lowered.rate)
    }
}

fn interval(rate: u64) -> Duration {
    Duration::from_nanos(1_000_000_000_000 / rate.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_halve_the_rate_down_to_a_floor_and_a_burst_of_them_counts_once() {
        let mut pace = Pace::new(Some(10));
        let rates: [u64; 6] = core::array::from_fn(|n| {
            let sent = Time::from_secs(10 + n as u64 * 10);
            let now = sent.after(Duration::from_secs(1));
            assert!(pace.lower(now, sent));
            assert!(
                !pace.lower(now.after(Duration::from_secs(1)), sent),
                "sent before the complaint"
            );
            pace.lowered_rate().expect("a lowered rate")
        });
        assert_eq!(rates, [5000, 2500, 1250, 625, 500, 500]);
    }

    #[test]
    fn good_answers_lead_back_within_minutes_and_pauses_do_not() {
        let mut pace = Pace::new(Some(20));
        pace.lower(Time::from_secs(100), Time::from_secs(99));
        assert!(!pace.raise(Time::from_secs(3600), Time::from_secs(3599)));
        let rate = pace.lowered_rate().expect("a lowered rate");
        assert_eq!(
            rate,
            10_000 + 20_000 / 30,
            "a long pause counts as ten seconds"
        );
        let mut now = Time::from_secs(3600);
        let full = (0..1000).find(|_| {
            let sent = now;
            now = now.after(Duration::from_secs(1));
            pace.raise(now, sent)
        });
        assert_eq!(full, Some(141));
        assert_eq!(pace.lowered_rate(), None);
    }

    #[test]
    fn a_lowered_pace_spaces_requests_and_a_full_one_does_not() {
        let mut pace = Pace::new(None);
        let now = Time::from_secs(50);
        pace.take(now);
        assert_eq!(pace.next_at(now), now);
        pace.lower(now, Time::ZERO.after(Duration::from_secs(1)));
        pace.take(now);
        assert_eq!(pace.next_at(now), now.after(Duration::from_millis(100)));
        assert!(pace.close_until(now, Time::from_secs(60)));
        assert!(!pace.close_until(now, Time::from_secs(55)));
        assert_eq!(pace.next_at(now), Time::from_secs(60));
        assert_eq!(pace.window_end(Time::from_secs(60)), None);
    }
}
