//! Time as the core sees it: a sample handed in with every call, never asked for.
//!
//! [`Time`] is monotonic and decides; [`UnixTime`] is the wall clock and is only ever shown to people
//! or compared with dates that came from outside. Both travel together in [`Now`].

use core::fmt;
use core::time::Duration;

/// Nanoseconds in one second.
const NANOS_PER_SEC: u64 = 1_000_000_000;

/// Monotonic time: nanoseconds since the driver started. Saturates instead of wrapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The instant at which the driver started.
    pub const ZERO: Self = Self(0);

    /// The instant `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant `millis` milliseconds after the start.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The instant `secs` seconds after the start.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC))
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole milliseconds since the start.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Time passed since `earlier`; zero when `earlier` lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved ahead by `duration`, saturating at the end of time.
    #[must_use]
    pub const fn after(self, duration: Duration) -> Self {
        let nanos = duration.as_nanos();
        if nanos > u64::MAX as u128 {
            return Self(u64::MAX);
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "checked against u64::MAX above"
        )]
        Self(self.0.saturating_add(nanos as u64))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:09}s",
            self.0 / NANOS_PER_SEC,
            self.0 % NANOS_PER_SEC
        )
    }
}

/// Wall-clock time: nanoseconds since the Unix epoch, negative before it.
///
/// Sixty-four bits of nanoseconds reach from the year 1677 to 2262.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct UnixTime(i64);

impl UnixTime {
    /// The wall-clock time `nanos` nanoseconds after the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The wall-clock time `secs` seconds after the epoch, saturating.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }
}

/// One sample of both clocks, taken by the driver and valid for one call into the core.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Monotonic time; decides.
    pub mono: Time,
    /// Wall-clock time; is shown, and compared with dates from outside.
    pub wall: UnixTime,
}

/// The next moment at which the core wants to be called, and who wants it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Wakeup {
    /// When [`crate::Updater::handle_timeout`] is to be called, at the earliest.
    pub at: Time,
    /// Who asked; for traces and for finding wake-up storms.
    pub reason: WakeReason,
}

impl Wakeup {
    /// The earlier of two optional wake-ups; ties keep `a`.
    #[must_use]
    pub fn soonest(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (one, other) => one.or(other),
        }
    }
}

/// Who wants to be woken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum WakeReason {
    /// Work is left over from this instant; call again after serving I/O.
    Turn,
    /// A check of some application falls due, or a cycle starts.
    Schedule,
    /// A registry request may be sent, repeated or is overdue.
    Registry,
    /// A patch may be sent, repeated or is overdue.
    Writeback,
    /// A batch is due, a publish is repeated or overdue.
    Publish,
    /// An application's run as a whole reaches its deadline.
    RunDeadline,
    /// The shutdown grace period ends.
    Shutdown,
}
