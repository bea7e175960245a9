//! Randomness without a stream: each draw is a function of (seed, subject, attempt).
//!
//! A generator that is shared between concerns makes every later draw depend on every earlier one;
//! removing one application would change the timing of all others. Keyed draws do not have this flaw,
//! which is what makes exact comparisons between runs and shrinking of plans possible
//! (`simulation.md` 3.6, L3).

use core::time::Duration;

/// The seed of everything that is drawn inside one core.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seed(pub u64);

/// What a draw is for. Different purposes with one subject give independent draws.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Where in the start spread an application's first check falls.
    StartSpread = 1,
    /// The addition to an application's interval.
    IntervalJitter = 2,
    /// The factor of a backoff sleep.
    Backoff = 3,
    /// How much earlier than at its full age a kept fact is asked for again.
    Revalidation = 4,
    /// The name of a batch of commits.
    Batch = 5,
}

impl Seed {
    /// A draw below `bound`; 0 when `bound` is 0.
    pub fn below(self, purpose: Purpose, subject: &[u8], attempt: u64, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let mut hash = fnv1a(FNV_OFFSET ^ self.0, subject);
        hash = mix(hash ^ (purpose as u64).rotate_left(48));
        hash = mix(hash ^ attempt);
        // Multiply-shift maps the full range onto the bound without the bias of a remainder.
        let product = u128::from(hash) * u128::from(bound);
        (product >> 64) as u64
    }

    /// A duration in `[0, bound)`; zero when `bound` is zero. Bounds above 584 years saturate.
    pub fn duration(
        self,
        purpose: Purpose,
        subject: &[u8],
        attempt: u64,
        bound: Duration,
    ) -> Duration {
        let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(purpose, subject, attempt, bound))
    }
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// FNV-1a over `bytes`, continued from `hash`: short, portable, and good enough before [`mix`].
pub(crate) fn fnv1a(mut hash: u64, bytes: &[u8]) -> u64 {
    for byte in bytes {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    }
    hash
}

/// A 64-bit fingerprint of `bytes`, for change detection and never for security.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    mix(fnv1a(FNV_OFFSET, bytes))
}

/// The finaliser of splitmix64: spreads every input bit over all output bits.
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_every_part_of_the_key_and_stay_below_the_bound() {
        let seed = Seed(7);
        let base = seed.below(Purpose::Backoff, b"ns/a", 0, u64::MAX);
        assert_ne!(
            base,
            Seed(8).below(Purpose::Backoff, b"ns/a", 0, u64::MAX),
            "seed"
        );
        assert_ne!(
            base,
            seed.below(Purpose::StartSpread, b"ns/a", 0, u64::MAX),
            "purpose"
        );
        assert_ne!(
            base,
            seed.below(Purpose::Backoff, b"ns/b", 0, u64::MAX),
            "subject"
        );
        assert_ne!(
            base,
            seed.below(Purpose::Backoff, b"ns/a", 1, u64::MAX),
            "attempt"
        );
        assert_eq!(
            base,
            seed.below(Purpose::Backoff, b"ns/a", 0, u64::MAX),
            "repeatable"
        );
        for attempt in 0..1000 {
            assert!(seed.below(Purpose::Backoff, b"x", attempt, 10) < 10);
        }
        assert_eq!(seed.below(Purpose::Backoff, b"x", 0, 0), 0);
    }

    #[test]
    fn draws_fill_the_range_evenly() {
        let mut buckets = [0_u32; 10];
        for attempt in 0..10_000 {
            let draw = Seed(1).below(Purpose::StartSpread, b"app", attempt, 10);
            buckets[usize::try_from(draw).expect("below ten")] += 1;
        }
        assert!(
            buckets.iter().all(|count| (800..1200).contains(count)),
            "{buckets:?}"
        );
    }
}
