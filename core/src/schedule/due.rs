//! When a check or a cycle is due, as functions of times alone.

use core::time::Duration;

use crate::id::AppKey;
use crate::keyed::{Purpose, Seed};
use crate::schedule::policy::History;
use crate::schedule::settings::ScheduleSettings;
use crate::time::Time;

/// True when an application is due in continuous mode: it is not being checked, and was never
/// attempted or not for one interval (`ops.md` 5.1).
pub fn is_due(last_attempt: Option<Time>, now: Time, interval: Duration, in_flight: bool) -> bool {
    !in_flight && last_attempt.is_none_or(|last| last <= now && now.since(last) >= interval)
}

/// True when a cycle starts: none has run yet, or strictly more than the interval passed since the
/// end of the last one (`ops.md` 4).
pub fn is_cycle_due(last_end: Option<Time>, now: Time, interval: Duration) -> bool {
    last_end.is_none_or(|end| now > end && now >= cycle_next(end, interval))
}

/// The first instant at which a cycle may follow one that ended at `end` (`ops.md` 4).
pub const fn cycle_next(end: Time, interval: Duration) -> Time {
    end.after(interval).after(Duration::from_nanos(1))
}

/// When the next check of an application is due in continuous mode, looking from `now`.
///
/// The first check falls into the start spread. Later ones come an interval after the last attempt,
/// plus a jitter that never shortens it. Both are keyed by the application alone (`ops.md` 7.5).
pub(super) fn next_due(
    settings: &ScheduleSettings,
    seed: Seed,
    now: Time,
    key: &AppKey,
    history: &History,
    attempts: u32,
) -> Time {
    let (base, least, purpose, bound) = match history.last_attempt {
        None => (
            now,
            Duration::ZERO,
            Purpose::StartSpread,
            settings.start_spread,
        ),
        Some(last) => {
            let bound = percent_of(settings.interval, settings.jitter_percent);
            (last, settings.interval, Purpose::IntervalJitter, bound)
        }
    };
    let drawn = if bound.is_zero() {
        Duration::ZERO
    } else {
        seed.duration(
            purpose,
            key.to_subject().as_bytes(),
            u64::from(attempts),
            bound,
        )
    };
    base.after(least).after(drawn)
}

/// `percent` hundredths of `duration`, saturating at 584 years.
fn percent_of(duration: Duration, percent: u32) -> Duration {
    let nanos = duration.as_nanos().saturating_mul(u128::from(percent)) / 100;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::settings::Mode;

    const INTERVAL: Duration = Duration::from_secs(100);

    #[test]
    fn an_attempt_in_the_future_is_not_due_even_without_interval() {
        assert!(!is_due(
            Some(Time::from_secs(9)),
            Time::from_secs(1),
            Duration::ZERO,
            false
        ));
        assert!(is_due(None, Time::ZERO, INTERVAL, false));
        assert!(!is_due(None, Time::ZERO, INTERVAL, true));
    }

    #[test]
    fn a_cycle_rests_one_nanosecond_more_than_the_interval() {
        let end = Time::from_secs(5);
        let next = cycle_next(end, INTERVAL);
        assert_eq!(next.as_nanos(), 105_000_000_001);
        assert!(is_cycle_due(Some(end), next, INTERVAL));
        assert!(!is_cycle_due(
            Some(end),
            Time::from_nanos(next.as_nanos() - 1),
            INTERVAL
        ));
    }

    #[test]
    fn jitter_only_adds_and_first_checks_stay_within_the_spread() {
        let settings = ScheduleSettings::new(Mode::Continuous, INTERVAL);
        for attempts in 0..500 {
            let key = AppKey::new("ns", alloc::format!("app-{attempts}"));
            let fresh = next_due(&settings, Seed(3), Time::ZERO, &key, &History::default(), 0);
            assert!(fresh < Time::from_secs(30), "{fresh:?}");
            let history = History {
                last_attempt: Some(Time::from_secs(50)),
                ..History::default()
            };
            let due = next_due(&settings, Seed(3), Time::ZERO, &key, &history, attempts);
            assert!(
                due >= Time::from_secs(150) && due < Time::from_secs(160),
                "{due:?}"
            );
        }
    }

    #[test]
    fn endless_intervals_saturate() {
        assert_eq!(
            cycle_next(Time::from_secs(1), Duration::MAX),
            Time::from_nanos(u64::MAX)
        );
        assert_eq!(
            percent_of(Duration::MAX, 100).as_nanos(),
            u128::from(u64::MAX)
        );
    }
}
