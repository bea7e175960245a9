//! How often durations fell between bounds, in whole numbers.

use alloc::boxed::Box;
use alloc::vec;
use core::time::Duration;

/// Counts of durations by upper bounds, and their sum. Takes no memory before the first one.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Histogram {
    /// One count for each bound and one above them all, each for its own range alone.
    counts: Box<[u32]>,
    sum_nanos: u64,
}

impl Histogram {
    /// Counts a duration. A bound belongs to the range below it. Counts and sum saturate.
    pub(super) fn observe(&mut self, bounds: &[Duration], duration: Duration) {
        if self.counts.is_empty() {
            self.counts = vec![0; bounds.len() + 1].into_boxed_slice();
        }
        let at = bounds.partition_point(|bound| *bound < duration);
        if let Some(count) = self.counts.get_mut(at) {
            *count = count.saturating_add(1);
        }
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos = self.sum_nanos.saturating_add(nanos);
    }

    /// True before the first duration.
    pub const fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// How many durations there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// The sum of all durations, in nanoseconds.
    pub const fn sum_nanos(&self) -> u64 {
        self.sum_nanos
    }

    /// For each bound, and then for infinity: how many durations were at most as long.
    pub fn cumulative(&self) -> impl Iterator<Item = u64> + '_ {
        self.counts.iter().scan(0, |sum, count| {
            *sum += u64::from(*count);
            Some(*sum)
        })
    }

    pub(super) const fn heap_bytes(&self) -> usize {
        size_of_val(&*self.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn a_duration_counts_for_every_bound_that_it_does_not_exceed() {
        let bounds = [1, 10].map(Duration::from_secs);
        let mut histogram = Histogram::default();
        assert!(histogram.is_empty());
        for millis in [0, 1_000, 1_001, 10_000, 10_001] {
            histogram.observe(&bounds, Duration::from_millis(millis));
        }
        assert_eq!(histogram.cumulative().collect::<Vec<_>>(), [2, 4, 5]);
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.sum_nanos(), 22_002_000_000);
    }

    #[test]
    fn an_endless_duration_saturates() {
        let mut histogram = Histogram::default();
        histogram.observe(&[], Duration::MAX);
        histogram.observe(&[], Duration::MAX);
        assert_eq!((histogram.sum_nanos(), histogram.count()), (u64::MAX, 2));
    }
}
