//! How long to sleep after a failed attempt (`registry.md` 6.2).

use core::time::Duration;

use crate::keyed::{Purpose, Seed};

/// Base and cap of the sleeps between attempts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backoff {
    /// Sleep after the first failed attempt, before jitter.
    pub base: Duration,
    /// Longest sleep; applied after jitter.
    pub sleep_max: Duration,
}

impl Backoff {
    /// 200 ms up to 3 s: what tag lists and manifests use.
    pub const REGISTRY: Self = Self {
        base: Duration::from_millis(200),
        sleep_max: Duration::from_secs(3),
    };

    /// The sleep after failed attempt number `attempt` (from 0): `base * 2^attempt` times a factor in
    /// [0.7, 1.3), then capped. Saturates, and is a function of its arguments only.
    pub fn sleep_after(&self, attempt: u32, seed: Seed, subject: &[u8]) -> Duration {
        let factor_ppm =
            700_000 + seed.below(Purpose::Backoff, subject, u64::from(attempt), 600_000);
        // At most 2^63 ns times 2^40 times 1.3 million: fits, and is far above any cap.
        let raw = self.base.as_nanos().min(1 << 63) << attempt.min(40);
        let nanos = raw * u128::from(factor_ppm) / 1_000_000;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(self.sleep_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_attempts_saturate_at_the_cap() {
        let largest = Backoff {
            base: Duration::MAX,
            sleep_max: Duration::from_hours(1),
        };
        for attempt in [5, 36, 63, 64, 99, u32::MAX] {
            let slept = Backoff::REGISTRY.sleep_after(attempt, Seed(1), b"x");
            assert_eq!(slept, Duration::from_secs(3), "{attempt}");
            let slept = largest.sleep_after(attempt, Seed(1), b"x");
            assert_eq!(slept, Duration::from_hours(1), "{attempt}");
        }
    }
}
