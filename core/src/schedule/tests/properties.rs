//! Any sequence of inputs, in any setting, against the naive model and against the promises.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::num::NonZeroU32;
use core::time::Duration;

use proptest::prelude::*;

use super::model::{Given, Model};
use crate::fixed_cases::config;
use crate::id::AppKey;
use crate::keyed::Seed;
use crate::schedule::{Concurrency, Grant, Mode, Outcome, Policy, Schedule, ScheduleSettings};
use crate::time::Time;

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn any_sequence_goes_as_the_naive_model_says(
        settings in settings(),
        seed in any::<u64>(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut pair = Pair::new(settings, seed);
        for step in steps {
            pair.take(&step);
        }
        pair.tear_down();
    }
}

proptest! {
    #![proptest_config(config(300))]

    /// L2: bounded bypass.
    #[test]
    fn nobody_is_passed_twice_while_due_in_the_default_order(
        n_apps in 2_u8..8,
        limit in 1_u32..4,
        jitter in 0_u32..=10,
        ends in prop::collection::vec((0_usize..8, 1_u64..20_000, any::<bool>()), 1..150),
    ) {
        let settings = ScheduleSettings {
            concurrency_max: Concurrency::Fixed(NonZeroU32::new(limit).unwrap()),
            jitter_percent: jitter,
            warmup: false,
            ..ScheduleSettings::new(Mode::Continuous, Duration::from_secs(10))
        };
        let mut schedule = Schedule::new(settings, Seed(u64::from(jitter)));
        let keys: Vec<_> = (0..n_apps).map(key).collect();
        for key in &keys {
            schedule.on_applied(Time::ZERO, key, "repo");
        }
        schedule.handle_synced(Time::ZERO);
        let mut now = 0;
        let mut running: Vec<AppKey> = Vec::new();
        let mut passed: BTreeMap<(AppKey, AppKey), u32> = BTreeMap::new();
        for (which, millis, is_success) in ends {
            while let Some(Grant::Start { key, .. }) = schedule.poll_grant(Time::from_millis(now)) {
                for due in keys.iter().filter(|due| is_waiting(&schedule, due)) {
                    let times = passed.entry((due.clone(), (*key).clone())).or_default();
                    *times += 1;
                    prop_assert!(*times <= 1, "{key} passed {due} {times} times");
                }
                passed.retain(|(due, _), _| *due != *key);
                running.push((*key).clone());
            }
            now += millis;
            if !running.is_empty() {
                let key = running.remove(which % running.len());
                let outcome = if is_success { Outcome::Success } else { Outcome::Failure };
                schedule.on_finished(Time::from_millis(now), &key, outcome);
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Synced,
    Applied(u8, u8),
    Deleted(u8),
    Recreated(u8, u8),
    Finished(u8, bool),
    Gives(u8),
    Requests(u8),
    Passes(u64),
    Shutdown,
}

fn step() -> impl Strategy<Value = Step> {
    let app = || 0_u8..6;
    let repo = || 0_u8..3;
    prop_oneof![
        2 => Just(Step::Synced),
        6 => (app(), repo()).prop_map(|(app, repo)| Step::Applied(app, repo)),
        2 => app().prop_map(Step::Deleted),
        2 => (app(), repo()).prop_map(|(app, repo)| Step::Recreated(app, repo)),
        12 => (app(), any::<bool>()).prop_map(|(app, ok)| Step::Finished(app, ok)),
        3 => app().prop_map(Step::Gives),
        3 => app().prop_map(Step::Requests),
        8 => prop_oneof![Just(0), Just(1000), 1..900_u64, 1..15_000_u64].prop_map(Step::Passes),
        1 => prop_oneof![9 => Just(Step::Synced), 1 => Just(Step::Shutdown)],
    ]
}

prop_compose! {
    fn settings()(
        is_cycle in any::<bool>(),
        interval in prop_oneof![1 => Just(0_u64), 4 => 1..5000_u64],
        policy in prop_oneof![
            Just(Policy::Default), Just(Policy::Lru), Just(Policy::FailFirst)
        ],
        cooldown in prop_oneof![Just(0_u64), 1..10_000_u64],
        per_repo_cap in 0_u32..4,
        limit in 0_u32..4,
        warmup in any::<bool>(),
        start_spread in prop_oneof![Just(0_u64), 1..3000_u64],
        jitter_percent in prop_oneof![Just(0_u32), Just(10)],
    ) -> ScheduleSettings {
        let mode = if is_cycle { Mode::Cycle } else { Mode::Continuous };
        let interval = Duration::from_millis(interval);
        ScheduleSettings {
            policy,
            cooldown: Duration::from_millis(cooldown),
            per_repo_cap,
            concurrency_max: NonZeroU32::new(limit).map_or(Concurrency::Auto, Concurrency::Fixed),
            warmup,
            start_spread: Duration::from_millis(start_spread).min(interval),
            jitter_percent,
            ..ScheduleSettings::new(mode, interval)
        }
    }
}

/// The machine, the model, and what the world sees of the machine.
struct Pair {
    schedule: Schedule,
    /// Fed the same calls; must give the same answers.
    twin: Schedule,
    model: Model,
    cap: u32,
    now: Time,
    live: BTreeMap<u8, u8>,
    /// The repository of each run at its start.
    running: BTreeMap<AppKey, u8>,
    holders: Vec<AppKey>,
}

impl Pair {
    fn new(settings: ScheduleSettings, seed: u64) -> Self {
        let settings = settings.validated().expect("valid settings are drawn");
        Self {
            cap: settings.per_repo_cap,
            schedule: Schedule::new(settings, Seed(seed)),
            twin: Schedule::new(settings, Seed(seed)),
            model: Model::new(settings, Seed(seed)),
            now: Time::ZERO,
            live: BTreeMap::new(),
            running: BTreeMap::new(),
            holders: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        let now = self.now;
        while self.schedule.poll_event().is_some() {}
        match *step {
            Step::Synced => {
                self.both(|schedule| schedule.handle_synced(now));
                self.model.synced();
            }
            Step::Applied(app, repo) => {
                self.both(|schedule| schedule.on_applied(now, &key(app), repo_name(repo)));
                self.model.applied(&key(app), repo);
                self.live.insert(app, repo);
            }
            Step::Deleted(app) => {
                self.both(|schedule| schedule.on_deleted(now, &key(app)));
                self.model.deleted(&key(app));
                self.live.remove(&app);
            }
            Step::Recreated(app, repo) => {
                self.both(|schedule| schedule.on_recreated(now, &key(app), repo_name(repo)));
                self.model.deleted(&key(app));
                self.model.applied(&key(app), repo);
                self.live.insert(app, repo);
            }
            Step::Finished(app, is_success) => self.finish(&key(app), is_success),
            Step::Gives(app) => self.give(&key(app)),
            Step::Requests(app) => {
                self.both(|schedule| schedule.request_slot(&key(app)));
                self.model.request(&key(app));
            }
            Step::Passes(millis) => self.pass(Duration::from_millis(millis)),
            Step::Shutdown => {
                self.both(Schedule::handle_shutdown);
                self.model.shutdown();
            }
        }
        self.drain();
    }

    /// Lets time pass from wake-up to wake-up; before each, nothing could have started.
    fn pass(&mut self, duration: Duration) {
        let until = self.now.after(duration);
        for _ in 0..20 {
            let Some(at) = self.schedule.next_wakeup().filter(|at| *at <= until) else {
                break;
            };
            self.nothing_starts_by(Time::from_nanos(at.as_nanos() - 1));
            let waiting = self.schedule.stats().waiting;
            self.on_time(at);
            let n_grants = self.drain();
            let is_of_use = n_grants > 0
                || self.schedule.stats().waiting > waiting
                || core::iter::from_fn(|| self.schedule.poll_event()).count() > 0;
            assert!(is_of_use, "a wake-up at {at:?} for nothing (L8)");
        }
        if self.schedule.next_wakeup().is_none_or(|at| at > until) {
            self.nothing_starts_by(until);
        }
        self.on_time(until);
    }

    fn on_time(&mut self, now: Time) {
        self.now = now;
        self.model.on_time(now);
    }

    fn nothing_starts_by(&self, at: Time) {
        let mut model = self.model.clone();
        model.on_time(at);
        assert_eq!(model.poll(), None, "a wake-up was missed");
    }

    /// Polls until nothing is left, and compares everything; returns how much there was.
    fn drain(&mut self) -> usize {
        for n_grants in 0..100 {
            let got = self.schedule.poll_grant(self.now);
            assert_eq!(
                got,
                self.twin.poll_grant(self.now),
                "equal calls, equal answers"
            );
            let got = got.map(|grant| match grant {
                Grant::Start { key, is_warmup } => Given::Start((*key).clone(), is_warmup),
                Grant::Resume { key } => Given::Resume((*key).clone()),
            });
            assert_eq!(got, self.model.poll(), "the machine, the model");
            match got {
                None => {
                    let again = self.schedule.poll_grant(self.now);
                    assert_eq!(again, None, "none stays none (A5)");
                    self.judge();
                    return n_grants;
                }
                Some(Given::Start(key, is_warmup)) => self.on_start(key, is_warmup),
                Some(Given::Resume(key)) => {
                    assert!(!self.holders.contains(&key), "one slot per application");
                    self.holders.push(key);
                }
            }
            assert!(self.holders.len() <= self.model.limit(), "slots (S2)");
        }
        panic!("more than a hundred grants at one instant (S15)");
    }

    fn on_start(&mut self, key: AppKey, is_warmup: bool) {
        let number: u8 = key.name.parse().expect("names are numbers");
        let repo = self
            .live
            .get(&number)
            .expect("only what exists starts (S13)");
        let twice = self.running.insert(key.clone(), *repo);
        assert!(twice.is_none(), "one run per application (S1)");
        if !self.holders.contains(&key) {
            self.holders.push(key);
        }
        let of_repo = self.running.values().filter(|of| *of == repo).count();
        assert!(
            self.cap == 0 || is_warmup || of_repo <= self.cap as usize,
            "the cap holds"
        );
    }

    /// What holds once nothing can start.
    fn judge(&self) {
        let stats = self.schedule.stats();
        assert_eq!(
            stats.slots_in_use as usize,
            self.holders.len(),
            "slots, recounted (S16)"
        );
        assert_eq!(stats.running, self.running.len(), "runs, recounted (S16)");
        assert_eq!(
            stats.applications,
            self.live.len(),
            "applications, recounted (S16)"
        );
        assert_eq!(stats.deferrals, self.model.deferrals, "deferrals");
        let wakeup = self.schedule.next_wakeup();
        assert!(
            wakeup.is_none_or(|at| at > self.now),
            "wake-up {wakeup:?} (A6)"
        );
    }

    fn finish(&mut self, key: &AppKey, is_success: bool) {
        let now = self.now;
        let outcome = if is_success {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        self.both(|schedule| schedule.on_finished(now, key, outcome));
        self.model.finished(key, outcome);
        if self.running.remove(key).is_some() {
            self.holders.retain(|holder| holder != key);
        }
    }

    fn give(&mut self, key: &AppKey) {
        self.both(|schedule| schedule.give_slot(key));
        self.model.give(key);
        self.holders.retain(|holder| holder != key);
    }

    /// Deletes everything, ends everything: nothing is left (A11).
    fn tear_down(mut self) {
        for app in 0..6 {
            self.take(&Step::Deleted(app));
        }
        for app in 0..6 {
            self.finish(&key(app), true);
            self.give(&key(app));
        }
        self.drain();
        assert!(self.model.is_empty());
        assert!(self.schedule.is_idle());
        self.schedule.assert_empty();
    }

    fn both(&mut self, call: impl Fn(&mut Schedule)) {
        call(&mut self.schedule);
        call(&mut self.twin);
    }
}

fn is_waiting(schedule: &Schedule, key: &AppKey) -> bool {
    matches!(
        schedule.standing(key),
        Some(crate::schedule::Standing::NoSlot | crate::schedule::Standing::PerRepoCap { .. })
    )
}

fn key(app: u8) -> AppKey {
    AppKey::new("ns", alloc::format!("{app}"))
}

fn repo_name(repo: u8) -> &'static str {
    [
        "",
        "https://git.example.com/one.git",
        "git@git.example.com:one.git",
    ][usize::from(repo)]
}
