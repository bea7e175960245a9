//! The defects of `ops.md` 20.1, one by one: our scheduler does it right.

use alloc::string::ToString as _;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

use super::world::{
    NAMES, World, capped, continuous, cycle, fail_first, key, limited, lru, parallel, secs,
};
use crate::keyed::Seed;
use crate::schedule::{
    Concurrency, Grant, Mode, Outcome, PassName, Schedule, ScheduleEvent, ScheduleSettings,
    Standing,
};
use crate::time::Time;

// S1
#[test]
fn lru_puts_the_oldest_success_first() {
    let mut world = World::new(lru(cycle(10)), &["a", "b", "c"]);
    assert_eq!(world.starts(0), ["a"]);
    world.finishes(3, "a", true);
    assert_eq!(world.starts(3), ["b"]);
    world.finishes(4, "b", false);
    assert_eq!(world.starts(4), ["c"]);
    world.finishes(5, "c", true);
    assert_eq!(world.starts(5), [""; 0], "the cycle ends");
    assert_eq!(
        world.run_one_by_one(16, 3),
        ["b", "a", "c"],
        "never succeeded, then oldest"
    );
}

// S2
#[test]
fn what_happened_in_one_cycle_orders_the_next() {
    let mut world = World::new(fail_first(cycle(10)), &["a", "b", "c"]);
    world.finish_in_turn(0, &[("a", true), ("b", true), ("c", false)]);
    assert_eq!(world.starts(11), ["c"]);
}

// S3
#[test]
fn outcomes_count_in_continuous_mode() {
    let mut world = World::new(fail_first(continuous(10)), &["a", "b", "c"]);
    world.finish_in_turn(0, &[("a", true), ("b", false), ("c", true)]);
    assert_eq!(world.history("b").fail_count, 1);
    assert_eq!(world.history("c").last_success, Some(Time::ZERO));
    assert_eq!(world.starts(10), ["b"]);
}

// S4
#[test]
fn one_failure_outweighs_any_age() {
    let mut world = World::new(fail_first(continuous(1)), &["a", "b", "old"]);
    world.finish_in_turn(0, &[("a", false), ("b", false), ("old", true)]);
    assert_eq!(
        world.run_one_by_one(1_000_000, 2),
        ["a", "b"],
        "oldest attempt first"
    );
}

// S5
#[test]
fn whoever_cools_goes_behind_all_others() {
    let settings = ScheduleSettings {
        cooldown: Duration::from_secs(100),
        ..continuous(10)
    };
    let mut world = World::new(settings, &["a", "b"]);
    world.finish_in_turn(0, &[("a", true), ("b", false)]);
    world.applies(9, "c");
    assert_eq!(world.run_one_by_one(10, 3), ["c", "b", "a"]);
}

// S6
#[test]
fn a_cycle_ends_although_the_cap_put_somebody_off() {
    let mut world = World::new(capped(parallel(cycle(10)), 1), &["a", "b", "c"]);
    world.drop_events();
    assert_eq!(world.starts(0), ["a"]);
    world.finishes(7, "a", true);
    assert_eq!(world.starts(7), [""; 0]);
    let ended = world.last_event();
    let Some(ScheduleEvent::PassEnded {
        name,
        duration,
        totals,
    }) = ended
    else {
        panic!("the cycle ends: {ended:?}");
    };
    assert_eq!((name, duration), (PassName::Cycle, Duration::from_secs(7)));
    assert_eq!(
        (totals.applications, totals.started, totals.deferred),
        (3, 1, 2)
    );
    assert_eq!(
        world.starts(18),
        ["b"],
        "put off to the next, and then first"
    );
}

// S7
#[test]
fn the_cap_counts_what_is_in_flight_in_continuous_mode() {
    let mut world = World::new(capped(parallel(continuous(10)), 1), &["a", "b"]);
    world.schedule.on_applied(Time::ZERO, &key("c"), "other");
    assert_eq!(world.starts(0), ["a", "c"]);
    assert_eq!(world.starts(5), [""; 0]);
    assert_eq!(world.wakeup(), None, "only the end of a run can change it");
    world.finishes(5, "a", true);
    assert_eq!(world.starts(5), ["b"]);
    assert_eq!(world.schedule.stats().deferrals, 1);
}

#[test]
fn the_cap_holds_for_a_second_when_runs_are_short() {
    let mut world = World::new(capped(parallel(continuous(60)), 2), &["a", "b", "c"]);
    assert_eq!(world.starts(0), ["a", "b"]);
    world.finishes(0, "a", true);
    world.finishes(0, "b", true);
    assert_eq!(world.starts(0), [""; 0]);
    assert_eq!(world.standing("c"), Standing::PerRepoCap { passes: 1 });
    assert_eq!(world.wakeup(), Some(Time::from_secs(1)));
    assert_eq!(world.starts(1), ["c"]);
}

// S8
#[test]
fn slots_of_earlier_passes_count() {
    let mut world = World::new(limited(continuous(10), 2), &["a", "b", "c", "d"]);
    assert_eq!(world.starts(0), ["a", "b"]);
    for secs in 1..100 {
        assert_eq!(world.starts(secs), [""; 0], "second {secs}");
    }
    world.finishes(100, "a", true);
    assert_eq!(world.starts(100), ["c"]);
}

// S9
#[test]
fn a_full_house_keeps_nobody_from_being_noticed() {
    let mut world = World::new(continuous(10), &["a"]);
    assert_eq!(world.starts(0), ["a"]);
    world.applies(5, "b");
    assert_eq!(world.starts(5), [""; 0]);
    assert_eq!(world.standing("b"), Standing::NoSlot);
    assert_eq!(
        world.wakeup(),
        None,
        "nothing can start before a slot is free"
    );
    world.finishes(6, "a", true);
    assert_eq!(world.starts(6), ["b"]);
}

// S10
#[test]
fn a_check_starts_in_the_instant_in_which_it_is_due() {
    let mut world = World::new(continuous(10), &["a"]);
    world.finish_in_turn(0, &[("a", true)]);
    assert_eq!(world.wakeup(), Some(Time::from_secs(10)));
    assert_eq!(world.starts(10), ["a"]);
}

// S11
#[test]
fn an_idle_hour_costs_one_wakeup_per_check() {
    let mut world = World::new(ScheduleSettings::new(Mode::Continuous, secs(60)), &NAMES);
    world.schedule.handle_synced(Time::ZERO);
    world.pass_warmup();
    let (mut n_wakeups, mut n_checks) = (0, 0);
    while let Some(at) = world.wakeup().filter(|at| *at < Time::from_secs(3600)) {
        n_wakeups += 1;
        for name in world.starts_at(at) {
            n_checks += 1;
            world
                .schedule
                .on_finished(at, &key(&name), Outcome::Success);
            assert!(world.schedule.poll_grant(at).is_none());
        }
    }
    assert!(n_checks > 500, "{n_checks}");
    assert!(n_wakeups <= n_checks, "{n_wakeups} for {n_checks}");
}

// S12
#[test]
fn ten_thousand_held_back_by_a_cap_are_not_walked_past_one_by_one() {
    let settings = capped(limited(continuous(600), 64), 3);
    let mut schedule = Schedule::new(settings, Seed(1));
    for n in 0..10_000 {
        let repo = if n < 9_000 { "busy" } else { "calm" };
        schedule.on_applied(Time::ZERO, &key(&format!("{n:05}")), repo);
    }
    schedule.handle_synced(Time::ZERO);
    let mut n_starts = 0;
    for secs in 0..600 {
        let now = Time::from_secs(secs);
        let mut started = Vec::new();
        while let Some(Grant::Start { key, .. }) = schedule.poll_grant(now) {
            started.push(key);
        }
        for key in started {
            n_starts += 1;
            schedule.on_finished(now, &key, Outcome::Success);
        }
    }
    assert_eq!(
        n_starts,
        600 * 3 + 334 * 3 - 2,
        "three of each repository a second"
    );
}

// S13, S20
#[test]
fn a_cycle_is_summed_up_once_at_its_end() {
    let mut world = World::new(cycle(10), &["a", "b", "c"]);
    world.finish_in_turn(0, &[("a", true), ("b", false), ("c", true)]);
    let ended = world.last_event();
    let Some(ScheduleEvent::PassEnded { totals, .. }) = ended else {
        panic!("the cycle ends: {ended:?}");
    };
    assert_eq!(
        (totals.succeeded, totals.failed, totals.deferred),
        (2, 1, 0)
    );
    assert_eq!(world.schedule.last_pass_end(), Some(Time::ZERO));
}

#[test]
fn a_look_at_all_that_is_due_is_the_pass_of_continuous_mode() {
    let mut world = World::new(continuous(10), &["a"]);
    assert_eq!(world.starts(3), ["a"]);
    assert_eq!(world.schedule.last_pass_end(), Some(Time::from_secs(3)));
}

// S14
#[test]
fn once_waits_for_its_runs_in_both_modes() {
    for settings in [continuous(0), cycle(0)] {
        let mut world = World::new(parallel(settings), &["a", "b"]);
        assert!(!world.schedule.is_once_finished());
        assert_eq!(world.starts(0), ["a", "b"]);
        world.applies(1, "late");
        world.finishes(1, "a", true);
        assert_eq!(world.starts(2), [""; 0], "each is attempted once");
        assert!(!world.schedule.is_once_finished(), "b still runs");
        world.finishes(3, "b", false);
        assert_eq!(world.starts(3), [""; 0]);
        assert!(world.schedule.is_once_finished());
        assert_eq!(world.wakeup(), None);
    }
}

// S15
#[test]
fn first_checks_are_spread_and_stay_apart() {
    let settings = parallel(ScheduleSettings {
        warmup: false,
        ..ScheduleSettings::new(Mode::Continuous, secs(60))
    });
    let mut schedule = Schedule::new(settings, Seed(5));
    for n in 0..3000 {
        schedule.on_applied(Time::ZERO, &key(&n.to_string()), "repo");
    }
    schedule.handle_synced(Time::ZERO);
    let mut per_second = vec![0_u32; 600];
    for second in &mut per_second {
        let now = schedule.now.after(secs(1));
        while let Some(Grant::Start { key, .. }) = schedule.poll_grant(now) {
            *second += 1;
            schedule.on_finished(now, &key, Outcome::Success);
        }
    }
    let peak = per_second.iter().max();
    assert!(
        peak.is_some_and(|peak| *peak <= 2 * 3000 / 30),
        "{peak:?} (L10)"
    );
    assert!(
        per_second[30..58].iter().all(|n| *n == 0),
        "nobody earlier than the interval"
    );
}

// S16, S17
#[test]
fn a_run_that_crashed_or_overran_is_a_failure_like_any_other() {
    let mut world = World::new(continuous(10), &["a"]);
    assert_eq!(world.starts(0), ["a"]);
    world.finishes(600, "a", false);
    assert_eq!(world.history("a").fail_count, 1);
    assert_eq!(
        world.starts(600),
        ["a"],
        "longer than the interval: at once"
    );
    assert_eq!(world.schedule.stats().slots_in_use, 1);
}

// S18
#[test]
fn nothing_is_left_of_a_deleted_application() {
    let mut world = World::new(capped(continuous(10), 1), &[]);
    let before = world.schedule.stats();
    for name in ["a", "b", "c"] {
        world.applies(0, name);
    }
    assert_eq!(world.starts(0), ["a"]);
    for name in ["a", "b", "c"] {
        world.schedule.on_deleted(Time::ZERO, &key(name));
    }
    assert_eq!(world.starts(5), [""; 0], "nothing deleted starts");
    assert_eq!(world.schedule.stats().running, 1, "its run goes on");
    world.finishes(6, "a", true);
    let after = world.schedule.stats();
    assert_eq!(
        (after.applications, after.running, after.slots_in_use),
        (0, 0, 0)
    );
    assert_eq!(after.slots_max, before.slots_max);
    world.schedule.assert_empty();
}

// S19
#[test]
fn automatic_concurrency_follows_the_cpus_handed_in_and_the_applications() {
    let settings = ScheduleSettings {
        cpus: 2,
        concurrency_max: Concurrency::Auto,
        ..continuous(10)
    };
    let mut world = World::new(settings, &[]);
    for n in 1..40_u32 {
        world.applies(0, &format!("{n}"));
        assert_eq!(world.schedule.stats().slots_max, n.min(16));
    }
}

// S21
#[test]
fn the_default_order_is_never_attempted_then_oldest_attempt_then_key() {
    let mut world = World::new(continuous(10), &["b", "a"]);
    assert_eq!(world.run_one_by_one(0, 2), ["a", "b"]);
    world.applies(10, "z");
    assert_eq!(world.run_one_by_one(10, 3), ["z", "a", "b"]);
}

// S22
#[test]
fn an_attempt_is_stamped_when_the_run_starts_not_when_it_gets_in_line() {
    let mut world = World::new(cycle(10), &["a", "b"]);
    assert_eq!(world.starts(0), ["a"]);
    assert_eq!(world.history("b").last_attempt, None);
    world.finishes(7, "a", true);
    assert_eq!(world.starts(7), ["b"]);
    assert_eq!(world.history("b").last_attempt, Some(Time::from_secs(7)));
}

// S23
#[test]
fn cycles_rest_from_end_to_start_and_continuous_checks_run_from_start_to_start() {
    for (settings, next) in [
        (cycle(10), 14_000_000_001),
        (continuous(10), 10_000_000_000),
    ] {
        let mut world = World::new(settings, &["a"]);
        assert_eq!(world.starts(0), ["a"]);
        world.finishes(4, "a", true);
        assert_eq!(world.starts(4), [""; 0]);
        assert_eq!(world.wakeup(), Some(Time::from_nanos(next)));
    }
}

// S24
#[test]
fn whoever_cools_still_runs_when_there_is_a_slot() {
    let settings = ScheduleSettings {
        cooldown: Duration::MAX,
        ..continuous(10)
    };
    let mut world = World::new(settings, &["a"]);
    world.finish_in_turn(0, &[("a", true)]);
    assert_eq!(world.starts(10), ["a"]);
}
