//! Who goes first: what is remembered of an application, and its rank made from that.

use alloc::sync::Arc;
use core::cmp::Reverse;
use core::time::Duration;

use crate::id::AppKey;
use crate::schedule::settings::Policy;
use crate::time::Time;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Without an error; also when there was nothing to update (`ops.md` 4).
    Success,
    /// With at least one error.
    Failure,
}

/// What is remembered of an application's runs (`ops.md` 7.1). Lives as long as the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct History {
    /// When its last run was started.
    pub last_attempt: Option<Time>,
    /// When its last run without an error ended.
    pub last_success: Option<Time>,
    /// How many runs failed since.
    pub fail_count: u32,
}

impl History {
    /// When the application stops to cool, if it cools at `now`: its newest outcome is a success
    /// younger than `cooldown` (`ops.md` 7.2, step 2).
    pub fn cooling_until(&self, cooldown: Duration, now: Time) -> Option<Time> {
        if cooldown.is_zero() || self.fail_count > 0 {
            return None;
        }
        let until = self.last_success?.after(cooldown);
        (now < until).then_some(until)
    }

    /// Records how a run ended.
    pub(super) const fn on_outcome(&mut self, now: Time, outcome: Outcome) {
        match outcome {
            Outcome::Success => {
                self.last_success = Some(now);
                self.fail_count = 0;
            }
            Outcome::Failure => self.fail_count = self.fail_count.saturating_add(1),
        }
    }
}

/// A place in the order of dispatch: the smaller goes first (`ops.md` 7.2).
///
/// Ties end at the key, so that no two applications have one rank.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rank {
    /// All that cool go behind all others; the order inside both groups is kept.
    cooling: bool,
    /// Counts with `fail-first` only.
    failures: Reverse<u32>,
    /// Counts with `lru` only; never is before ever.
    success: Option<Time>,
    /// Never is before ever.
    attempt: Option<Time>,
    key: Arc<AppKey>,
}

impl Rank {
    /// The rank of `key` under `policy`.
    pub fn new(policy: Policy, history: &History, cooling: bool, key: Arc<AppKey>) -> Self {
        let (failures, success) = match policy {
            Policy::Default => (0, None),
            Policy::Lru => (0, history.last_success),
            Policy::FailFirst => (history.fail_count, None),
        };
        Self {
            cooling,
            failures: Reverse(failures),
            success,
            attempt: history.last_attempt,
            key,
        }
    }

    /// Whose rank it is.
    pub const fn key(&self) -> &Arc<AppKey> {
        &self.key
    }

    /// The same rank after its application stopped to cool.
    #[must_use]
    pub(super) fn into_warm(self) -> Self {
        Self {
            cooling: false,
            ..self
        }
    }
}
