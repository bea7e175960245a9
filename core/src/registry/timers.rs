//! Deadlines of the registry room, each owned by one thing.

use alloc::collections::{BTreeMap, BTreeSet};

use super::endpoint::EndpointId;
use super::job::JobId;
use super::repository::RepositoryId;
use crate::bytes;
use crate::id::OpId;
use crate::time::Time;

/// What falls due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Timer {
    /// An endpoint may send again: its throttle window ends, or its budget has a permit.
    Endpoint(EndpointId),
    /// A listing that somebody waits for.
    Listing(RepositoryId),
    /// The sleep of a lookup ends.
    Job(JobId),
    /// An operation is overdue.
    Op(OpId),
    /// Failures for want of a local port age out.
    Ports,
}

/// At most one deadline per owner.
#[derive(Debug, Default)]
pub(super) struct Timers {
    by_time: BTreeSet<(Time, Timer)>,
    by_owner: BTreeMap<Timer, Time>,
}

impl Timers {
    pub(super) fn arm(&mut self, timer: Timer, at: Time) {
        self.disarm(timer);
        self.by_time.insert((at, timer));
        self.by_owner.insert(timer, at);
    }

    pub(super) fn disarm(&mut self, timer: Timer) {
        if let Some(at) = self.by_owner.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    /// Takes the next timer that is due at `now`.
    pub(super) fn take_due(&mut self, now: Time) -> Option<Timer> {
        let (at, timer) = *self.by_time.first()?;
        (at <= now).then(|| {
            self.disarm(timer);
            timer
        })
    }

    /// Bytes, about.
    pub(super) fn footprint(&self) -> usize {
        bytes::tree::<(Time, Timer), ()>(self.by_time.len())
            + bytes::tree::<Timer, Time>(self.by_owner.len())
    }

    pub(super) fn next(&self) -> Option<Time> {
        self.by_time.first().map(|(at, _)| *at)
    }

    pub(super) fn len(&self) -> usize {
        self.by_time.len()
    }
}
