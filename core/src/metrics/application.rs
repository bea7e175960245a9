//! The series of applications. Invariant: there are series of exactly those applications that take part;
//! what comes later for another one is dropped, so that nothing brings it back (`registry.md` 11.3, D-49).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;

use super::family::FamilyId;
use super::histogram::Histogram;
use crate::bytes;
use crate::event::RunEnd;
use crate::id::AppKey;
use crate::time::UnixTime;
use crate::update::Counters;

/// The series of all applications that take part.
#[derive(Debug, Default)]
pub(super) struct Applications {
    series: BTreeMap<AppKey, Box<ApplicationSeries>>,
}

/// The series of one application. What was never moved is not there.
#[derive(Debug, Default)]
pub(super) struct ApplicationSeries {
    pub(super) images: Option<ImageTotals>,
    pub(super) last_attempt: Option<UnixTime>,
    pub(super) last_success: Option<UnixTime>,
    pub(super) duration: Histogram,
}

/// What became of the images of an application.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ImageTotals {
    /// In the last run.
    pub(super) watched: u64,
    pub(super) updated: u64,
    pub(super) errors: u64,
    pub(super) considered: u64,
    pub(super) skipped: u64,
}

impl Applications {
    /// An application takes part from now on. There are as many as the core holds at most (A10).
    pub(super) fn on_considered(&mut self, key: &AppKey) {
        if !self.series.contains_key(key) {
            self.series.insert(key.clone(), Box::default());
        }
    }

    /// An application takes part no more: nothing mentions it from now on (A11).
    pub(super) fn on_gone(&mut self, key: &AppKey) {
        self.series.remove(key);
    }

    /// The series of an application; `None` when it takes no part.
    pub(super) fn find_mut(&mut self, key: &AppKey) -> Option<&mut ApplicationSeries> {
        self.series.get_mut(key).map(|series| &mut **series)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&AppKey, &ApplicationSeries)> {
        self.series.iter().map(|(key, series)| (key, &**series))
    }

    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// Bytes, about.
    pub(super) fn footprint(&self) -> usize {
        let owned: usize = self
            .iter()
            .map(|(key, series)| {
                key.namespace.len()
                    + key.name.len()
                    + size_of::<ApplicationSeries>()
                    + series.duration.heap_bytes()
            })
            .sum();
        bytes::tree::<AppKey, Box<ApplicationSeries>>(self.series.len()) + owned
    }
}

impl ApplicationSeries {
    /// Adds what a run, or a decision without one, did to the images. `is_written` is false where nothing
    /// is written whatever was decided: in the warm-up and in a dry run.
    pub(super) fn on_decided(&mut self, end: RunEnd, counters: &Counters, is_written: bool) {
        // The application went away, or the process does: that says nothing about its images.
        if end == RunEnd::Abandoned {
            return;
        }
        let images = self.images.get_or_insert_default();
        if counters.n_applications > 0 {
            images.watched = counters.n_considered;
        }
        images.considered += counters.n_considered;
        images.skipped += counters.n_skipped;
        images.errors += counters.n_errors;
        if end == RunEnd::DeadlineExceeded {
            images.errors += 1;
        }
        if is_written {
            images.updated += counters.n_updated;
        }
    }

    pub(super) fn on_checked(&mut self, duration: core::time::Duration) {
        let bounds = FamilyId::ApplicationUpdateDuration.bounds();
        self.duration.observe(bounds, duration);
    }
}
