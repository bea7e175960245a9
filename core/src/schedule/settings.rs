//! What the scheduler is told by its user, and which combinations make no sense.

use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU32;
use core::time::Duration;

/// The longest start spread that is chosen by default (`ops.md` 7.5).
const START_SPREAD_DEFAULT_MAX: Duration = Duration::from_secs(30);
/// The share of the interval that is added at most, by default (`ops.md` 7.5).
const JITTER_PERCENT_DEFAULT: u32 = 10;
/// Runs per CPU with automatic concurrency (`ops.md` 7.6).
const WORKERS_PER_CPU: u32 = 8;

/// How time is divided among applications.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Mode {
    /// All together, then a rest of one interval counted from the end (`ops.md` 4).
    #[default]
    Cycle,
    /// Each by its own clock, counted from start to start (`ops.md` 5).
    Continuous,
}

/// Who goes first (`ops.md` 7.2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Policy {
    /// Never attempted first, then the oldest attempt.
    #[default]
    Default,
    /// Never succeeded first, then the oldest success.
    Lru,
    /// Most failures in a row first, then the oldest attempt.
    FailFirst,
}

/// How many applications may have work of their own in flight (`ops.md` 7.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Concurrency {
    /// Eight per CPU, but not more than there are applications.
    #[default]
    Auto,
    /// Exactly this many.
    Fixed(NonZeroU32),
}

impl Concurrency {
    /// One at a time.
    pub const ONE: Self = Self::Fixed(NonZeroU32::MIN);

    /// The limit for `applications` applications on `cpus` CPUs; never below 1.
    pub fn workers(self, cpus: u32, applications: usize) -> u32 {
        match self {
            Self::Auto => {
                let applications = u32::try_from(applications).unwrap_or(u32::MAX);
                cpus.saturating_mul(WORKERS_PER_CPU)
                    .min(applications)
                    .max(1)
            }
            Self::Fixed(limit) => limit.get(),
        }
    }
}

impl TryFrom<i64> for Concurrency {
    type Error = ScheduleSettingsError;

    /// Reads the number of the flag: 0 is automatic, more is a limit, less is an error.
    fn try_from(number: i64) -> Result<Self, Self::Error> {
        if number < 0 {
            return Err(ScheduleSettingsError::ConcurrencyNegative(number));
        }
        let limit = u32::try_from(number).unwrap_or(u32::MAX);
        Ok(NonZeroU32::new(limit).map_or(Self::Auto, Self::Fixed))
    }
}

/// The scheduler's settings; see `ops.md` 4 to 7.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScheduleSettings {
    /// Cycle or continuous.
    pub mode: Mode,
    /// The interval; zero means one pass and then the end (`--once`).
    pub interval: Duration,
    /// Who goes first.
    pub policy: Policy,
    /// For how long after a success an application goes behind all others; zero is off.
    pub cooldown: Duration,
    /// How many applications of one repository one pass may start; 0 is unlimited.
    pub per_repo_cap: u32,
    /// The limit of slots.
    pub concurrency_max: Concurrency,
    /// The same for the warm-up, which goes one by one unless told otherwise (`ops.md` 6).
    pub warmup_concurrency_max: Concurrency,
    /// The CPUs that this process may use.
    pub cpus: u32,
    /// Whether a dry pass with one slot comes first; left out when the interval is zero (`ops.md` 6).
    pub warmup: bool,
    /// Over how much time first checks are spread in continuous mode; zero is off (`ops.md` 7.5).
    pub start_spread: Duration,
    /// Up to which percentage of the interval is added to it in continuous mode; 0 is off.
    pub jitter_percent: u32,
}

impl ScheduleSettings {
    /// The defaults for `mode` and `interval`.
    pub fn new(mode: Mode, interval: Duration) -> Self {
        Self {
            mode,
            interval,
            policy: Policy::Default,
            cooldown: Duration::ZERO,
            per_repo_cap: 0,
            concurrency_max: Concurrency::Auto,
            warmup_concurrency_max: Concurrency::ONE,
            cpus: 1,
            warmup: true,
            start_spread: interval.min(START_SPREAD_DEFAULT_MAX),
            jitter_percent: JITTER_PERCENT_DEFAULT,
        }
    }

    /// How many applications of `applications` may have work in flight, in the warm-up or after it.
    pub fn workers(&self, applications: usize, is_warmup: bool) -> u32 {
        let concurrency = if is_warmup {
            self.warmup_concurrency_max
        } else {
            self.concurrency_max
        };
        concurrency.workers(self.cpus, applications)
    }

    /// True when one pass is all that is wanted.
    pub const fn is_once(&self) -> bool {
        self.interval.is_zero()
    }

    /// Checks the settings as a whole; the error lists everything that is wrong.
    pub fn validated(self) -> Result<Self, ScheduleSettingsErrors> {
        let mut errors = Vec::new();
        if self.jitter_percent > 100 {
            errors.push(ScheduleSettingsError::JitterAboveInterval(
                self.jitter_percent,
            ));
        }
        if self.start_spread > self.interval {
            errors.push(ScheduleSettingsError::SpreadAboveInterval {
                start_spread: self.start_spread,
                interval: self.interval,
            });
        }
        if errors.is_empty() {
            Ok(self)
        } else {
            Err(ScheduleSettingsErrors(errors))
        }
    }
}

/// One thing that is wrong with the settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ScheduleSettingsError {
    /// The concurrency is below zero.
    ConcurrencyNegative(i64),
    /// The jitter exceeds the interval.
    JitterAboveInterval(u32),
    /// First checks would be spread over more than an interval.
    SpreadAboveInterval {
        /// The spread wanted.
        start_spread: Duration,
        /// The interval.
        interval: Duration,
    },
}

impl fmt::Display for ScheduleSettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConcurrencyNegative(number) => {
                write!(
                    f,
                    "max concurrency is {number}, must be 0 (automatic) or more"
                )
            }
            Self::JitterAboveInterval(percent) => {
                write!(f, "jitter is {percent} percent, must be 0 to 100")
            }
            Self::SpreadAboveInterval {
                start_spread,
                interval,
            } => write!(
                f,
                "start spread is {start_spread:?}, must not exceed the interval of {interval:?}"
            ),
        }
    }
}

impl core::error::Error for ScheduleSettingsError {}

/// Everything that is wrong with the settings; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScheduleSettingsErrors(pub Vec<ScheduleSettingsError>);

impl fmt::Display for ScheduleSettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl core::error::Error for ScheduleSettingsErrors {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn defaults_are_valid_for_every_interval() {
        for secs in [0, 1, 29, 30, 120, u64::MAX] {
            let settings = ScheduleSettings::new(Mode::Continuous, Duration::from_secs(secs));
            assert!(settings.start_spread <= Duration::from_secs(30));
            assert!(settings.validated().is_ok(), "{secs}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_listed() {
        let settings = ScheduleSettings {
            jitter_percent: 101,
            start_spread: Duration::from_secs(3),
            ..ScheduleSettings::new(Mode::Cycle, Duration::from_secs(2))
        };
        assert_eq!(
            settings.validated().unwrap_err().to_string(),
            "jitter is 101 percent, must be 0 to 100; start spread is 3s, must not exceed the interval of 2s"
        );
    }

    #[test]
    fn concurrency_is_read_without_overflow() {
        assert_eq!(Concurrency::try_from(0), Ok(Concurrency::Auto));
        let huge = Concurrency::try_from(i64::MAX).unwrap();
        assert_eq!(huge.workers(1, 1), u32::MAX);
        assert_eq!(
            Concurrency::try_from(-1).unwrap_err().to_string(),
            "max concurrency is -1, must be 0 (automatic) or more"
        );
        assert_eq!(Concurrency::Auto.workers(u32::MAX, usize::MAX), u32::MAX);
        assert_eq!(Concurrency::Auto.workers(0, 10), 1, "unknown CPUs");
    }
}
