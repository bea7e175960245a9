//! A small world around the scheduler, for tests that tell a story.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use crate::id::AppKey;
use crate::keyed::Seed;
use crate::schedule::{
    Concurrency, Grant, History, Mode, Outcome, Policy, Schedule, ScheduleEvent, ScheduleSettings,
    Standing,
};
use crate::time::Time;

pub(super) const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

/// The machine in a world in which everything has one repository.
pub(super) struct World {
    pub(super) schedule: Schedule,
}

impl World {
    pub(super) fn new(settings: ScheduleSettings, names: &[&str]) -> Self {
        let settings = settings.validated().expect("valid settings");
        let mut world = Self {
            schedule: Schedule::new(settings, Seed(1)),
        };
        for name in names {
            world.applies(0, name);
        }
        world.schedule.handle_synced(Time::ZERO);
        world
    }

    pub(super) fn applies(&mut self, secs: u64, name: &str) {
        self.schedule
            .on_applied(Time::from_secs(secs), &key(name), "repo");
    }

    pub(super) fn finishes(&mut self, secs: u64, name: &str, is_success: bool) {
        let outcome = if is_success {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        self.schedule
            .on_finished(Time::from_secs(secs), &key(name), outcome);
    }

    /// Names of all that starts now.
    pub(super) fn starts(&mut self, secs: u64) -> Vec<String> {
        self.starts_at(Time::from_secs(secs))
    }

    pub(super) fn starts_at(&mut self, now: Time) -> Vec<String> {
        let mut names = Vec::new();
        while let Some(grant) = self.schedule.poll_grant(now) {
            let Grant::Start { key, .. } = grant else {
                panic!("nobody asked for a slot");
            };
            names.push(key.name.to_string());
        }
        names
    }

    pub(super) fn grants(&mut self, secs: u64) -> Vec<String> {
        let now = Time::from_secs(secs);
        let grants = core::iter::from_fn(|| self.schedule.poll_grant(now));
        let words = grants.map(|grant| match grant {
            Grant::Start { key, .. } => format!("start {}", key.name),
            Grant::Resume { key } => format!("resume {}", key.name),
        });
        words.collect()
    }

    /// With one slot: starts and finishes `n` in one instant, successfully; returns their order.
    pub(super) fn run_one_by_one(&mut self, secs: u64, n: usize) -> Vec<String> {
        let mut order = Vec::new();
        while order.len() < n {
            let name = self.starts(secs).remove(0);
            self.finishes(secs, &name, true);
            order.push(name);
        }
        order
    }

    /// With one slot: these start in this order, and finish in the same instant.
    pub(super) fn finish_in_turn(&mut self, secs: u64, runs: &[(&str, bool)]) {
        for (name, is_success) in runs {
            assert_eq!(self.starts(secs), [*name]);
            self.finishes(secs, name, *is_success);
        }
        assert_eq!(self.starts(secs), [""; 0]);
    }

    pub(super) fn pass_warmup(&mut self) {
        let mut n_left = NAMES.len();
        while n_left > 0 {
            for name in self.starts(0) {
                self.finishes(0, &name, true);
                n_left -= 1;
            }
        }
        assert_eq!(self.starts(0), [""; 0]);
    }

    pub(super) fn wakeup(&self) -> Option<Time> {
        self.schedule.next_wakeup()
    }

    pub(super) fn history(&self, name: &str) -> History {
        *self.schedule.history(&key(name)).expect("it exists")
    }

    pub(super) fn standing(&self, name: &str) -> Standing {
        self.schedule.standing(&key(name)).expect("it exists")
    }

    pub(super) fn drop_events(&mut self) {
        while self.schedule.poll_event().is_some() {}
    }

    pub(super) fn last_event(&mut self) -> Option<ScheduleEvent> {
        core::iter::from_fn(|| self.schedule.poll_event()).last()
    }
}

/// One slot, no spread, no jitter, no warm-up.
pub(super) fn continuous(interval_secs: u64) -> ScheduleSettings {
    let settings = ScheduleSettings {
        start_spread: Duration::ZERO,
        jitter_percent: 0,
        warmup: false,
        ..ScheduleSettings::new(Mode::Continuous, secs(interval_secs))
    };
    limited(settings, 1)
}

pub(super) fn cycle(interval_secs: u64) -> ScheduleSettings {
    ScheduleSettings {
        mode: Mode::Cycle,
        ..continuous(interval_secs)
    }
}

pub(super) fn lru(settings: ScheduleSettings) -> ScheduleSettings {
    ScheduleSettings {
        policy: Policy::Lru,
        ..settings
    }
}

pub(super) fn fail_first(settings: ScheduleSettings) -> ScheduleSettings {
    ScheduleSettings {
        policy: Policy::FailFirst,
        ..settings
    }
}

pub(super) fn capped(settings: ScheduleSettings, per_repo_cap: u32) -> ScheduleSettings {
    ScheduleSettings {
        per_repo_cap,
        ..settings
    }
}

pub(super) fn limited(settings: ScheduleSettings, slots: u32) -> ScheduleSettings {
    ScheduleSettings {
        concurrency_max: NonZeroU32::new(slots).map_or(Concurrency::Auto, Concurrency::Fixed),
        ..settings
    }
}

pub(super) fn parallel(settings: ScheduleSettings) -> ScheduleSettings {
    limited(settings, 100_000)
}

pub(super) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) fn key(name: &str) -> AppKey {
    AppKey::new("ns", name)
}
