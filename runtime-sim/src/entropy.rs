//! The one interface to chance, and its seeded source.
//!
//! Integer ratios instead of floats, so that a draw is the same on every machine. Streams are split by
//! purpose from one root seed: drawing more in one leaves the others alone (`simulation.md` 3.1).

use std::time::Duration;

/// A stream of draws for one purpose.
///
/// The generator is xoshiro256** with a splitmix64 start: written out here so that recorded seeds
/// outlive every change of a dependency.
#[derive(Clone, Debug)]
pub struct Entropy {
    state: [u64; 4],
}

/// What a stream is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// The derived options of a run.
    Options = 1,
    /// What happens in the world.
    Workload = 2,
    /// How long answers take.
    Latency = 3,
    /// What goes wrong.
    Faults = 4,
    /// The core's own seed.
    Core = 5,
    /// Derived options of registries: a stream of their own, so that older seeds keep the rest.
    RegistryOptions = 6,
    /// What goes wrong at registries.
    RegistryFaults = 7,
    /// Who logs in where.
    Logins = 8,
    /// Derived options of Git repositories.
    GitOptions = 9,
    /// Who is written to Git, and what people do there.
    Git = 10,
    /// What goes wrong at Git servers.
    GitFaults = 11,
}

impl Entropy {
    /// The stream `stream` of the run with seed `root`.
    pub fn new(root: u64, stream: Stream) -> Self {
        let mut z = root ^ (stream as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let state = std::array::from_fn(|_| {
            z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = z;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        });
        Self { state }
    }

    /// The part of a stream that belongs to `key`: what happens to one key moves no other.
    pub fn keyed(root: u64, stream: Stream, key: &str) -> Self {
        let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self::new(root ^ hash, stream)
    }

    /// Sixty-four random bits.
    pub fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let result = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A number below `bound`; 0 when `bound` is 0.
    ///
    /// # Panics
    /// Never: the high half of the product is below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.bits()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the high half of a product fits")
    }

    /// An index below `len`; 0 when `len` is 0.
    ///
    /// # Panics
    /// Never: an index below a length fits.
    pub fn index(&mut self, len: usize) -> usize {
        let bound = u64::try_from(len).expect("a length fits in 64 bits");
        usize::try_from(self.below(bound)).expect("an index below a length fits")
    }

    /// A number in `low..=high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// True `per_million` times in a million.
    pub fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }

    /// The index of one of `weights`, each as likely as its weight; 0 when all are zero.
    pub fn pick(&mut self, weights: &[u32]) -> usize {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        let mut at = self.below(total);
        for (idx, weight) in weights.iter().enumerate() {
            if at < u64::from(*weight) {
                return idx;
            }
            at -= u64::from(*weight);
        }
        0
    }

    /// A duration with about exponential distribution around `mean`, at most `12 * mean`.
    ///
    /// Halves as long as a coin shows heads, then draws evenly inside the step: close enough to the
    /// exponential for latencies, without a logarithm.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        let step = u64::try_from(mean.as_nanos()).unwrap_or(u64::MAX) * 7 / 10;
        let heads = u64::from(self.bits().trailing_ones().min(16));
        Duration::from_nanos(step.saturating_mul(heads).saturating_add(self.below(step)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draws = |seed, stream| {
            let mut entropy = Entropy::new(seed, stream);
            [entropy.bits(), entropy.bits(), entropy.bits()]
        };
        assert_eq!(draws(7, Stream::Faults), draws(7, Stream::Faults));
        assert_ne!(draws(7, Stream::Faults), draws(7, Stream::Latency));
        assert_ne!(draws(7, Stream::Faults), draws(8, Stream::Faults));
    }

    #[test]
    fn draws_stay_inside_their_bounds_and_near_their_mean() {
        let mut entropy = Entropy::new(1, Stream::Options);
        for _ in 0..1000 {
            assert!(entropy.below(3) < 3);
            assert!((5..=9).contains(&entropy.between(5, 9)));
            assert_eq!(entropy.pick(&[0, 4, 0]), 1);
            assert!(!entropy.chance(0));
            assert!(entropy.chance(1_000_000));
        }
        let mean = Duration::from_millis(100);
        let total: Duration = (0..10_000).map(|_| entropy.exponential(mean)).sum();
        let average = total / 10_000;
        assert!((80..120).contains(&average.as_millis()), "{average:?}");
    }
}
