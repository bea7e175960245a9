//! How fast the watch tries again: at once after a healthy stretch, ever slower otherwise.

use std::time::Duration;

use tokio::time::Instant;

use crate::clock::stopwatch;

/// First pause.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause of our own.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest pause that a server may ask for.
const ASKED_MAX: Duration = Duration::from_mins(5);
/// A stream that lasted this long was healthy, however it ended.
const HEALTHY_MIN: Duration = Duration::from_secs(10);

/// Failures in a row, and since when the stream at hand has been in order.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    in_order_since: Option<Instant>,
}

impl Pace {
    /// A new attempt starts.
    pub(super) fn on_attempt(&mut self) {
        self.in_order_since = None;
    }

    /// The attempt got to where events are followed.
    pub(super) fn on_in_order(&mut self) {
        self.in_order_since.get_or_insert_with(stopwatch);
    }

    /// The attempt ended; returns how long to pause before the next. Waits that the server asked
    /// for are kept within bounds.
    pub(super) fn on_end(&mut self, asked: Option<Duration>) -> Duration {
        let asked = asked.unwrap_or_default().min(ASKED_MAX);
        let is_healthy = self
            .in_order_since
            .take()
            .is_some_and(|since| stopwatch().duration_since(since) >= HEALTHY_MIN);
        if is_healthy {
            self.failures = 0;
            return asked;
        }
        let doubled = PAUSE_MIN.saturating_mul(1 << self.failures.min(10));
        self.failures = self.failures.saturating_add(1);
        asked.max(doubled.min(PAUSE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_limit_and_start_over_after_a_healthy_stretch() {
        let mut pace = Pace::default();
        let pauses: Vec<u64> = (0..7).map(|_| pace.on_end(None).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);

        pace.on_attempt();
        pace.on_in_order();
        tokio::time::advance(HEALTHY_MIN).await;
        assert_eq!(pace.on_end(None), Duration::ZERO);
        assert_eq!(pace.on_end(None), PAUSE_MIN);

        pace.on_attempt();
        pace.on_in_order();
        assert_eq!(
            pace.on_end(None),
            Duration::from_secs(2),
            "it ended at once"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn server_may_ask_for_more_within_bounds() {
        let mut pace = Pace::default();
        let secs = Duration::from_secs;
        assert_eq!(pace.on_end(Some(secs(20))), secs(20));
        assert_eq!(pace.on_end(Some(secs(1_000_000))), ASKED_MAX);
    }
}
