//! The one place that reads clocks.
//!
//! Monotonic time is that of tokio's timer, so that the two never disagree and tests can pause both.
//! It counts from the start of the process and never runs backwards; where the system clock shows
//! that the machine slept, the core sees the jump in the wall clock only.

use std::time::SystemTime;

use image_updater_core::time::{Now, Time, UnixTime};
use tokio::time::Instant;

/// Samples both clocks for the calls into the core.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts counting: this moment is [`Time::ZERO`].
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock is read here and nowhere else"
    )]
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// One sample of both clocks.
    #[expect(
        clippy::disallowed_methods,
        reason = "the clock is read here and nowhere else"
    )]
    pub fn now(&self) -> Now {
        Now {
            mono: Time::ZERO.after(self.start.elapsed()),
            wall: to_unix(SystemTime::now()),
        }
    }

    /// The instant of tokio's timer that corresponds to `at`, for `sleep_until`; far deadlines are
    /// cut to a day, after which the driver asks the core again.
    pub fn to_deadline(&self, at: Time) -> Instant {
        let ahead = at.since(self.now().mono).min(DEADLINE_MAX);
        stopwatch() + ahead
    }
}

/// The farthest deadline that is handed to the timer.
const DEADLINE_MAX: std::time::Duration = std::time::Duration::from_hours(24);

/// An instant of tokio's clock (which tests pause), to measure how long something lasted.
#[expect(
    clippy::disallowed_methods,
    reason = "the clock is read here and nowhere else"
)]
pub(crate) fn stopwatch() -> Instant {
    Instant::now()
}

fn to_unix(wall: SystemTime) -> UnixTime {
    let nanos = match wall.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |n| -n),
    };
    UnixTime::from_nanos(nanos)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn wall_clock_counts_from_the_epoch_in_both_directions() {
        let epoch = SystemTime::UNIX_EPOCH;
        let check = |wall, nanos| assert_eq!(to_unix(wall), UnixTime::from_nanos(nanos));
        check(epoch, 0);
        check(epoch + Duration::from_millis(1500), 1_500_000_000);
        check(epoch - Duration::from_secs(2), -2_000_000_000);
        check(epoch + Duration::from_secs(20_000_000_000), i64::MAX);
    }

    #[test]
    fn monotonic_time_does_not_run_backwards() {
        let clock = Clock::start();
        let first = clock.now().mono;
        assert!(clock.now().mono >= first);
    }
}
