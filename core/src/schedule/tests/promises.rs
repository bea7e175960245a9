//! Promises of `ops.md` 6 and 7 and of `design.md` 4.2 that no defect stands for.

use alloc::format;
use alloc::vec::Vec;

use super::world::{World, capped, continuous, cycle, fail_first, key, limited, parallel};
use crate::id::AppKey;
use crate::keyed::Seed;
use crate::schedule::{Grant, History, Schedule, ScheduleSettings};
use crate::time::Time;

#[test]
fn a_failing_application_does_not_starve_its_siblings_under_a_cap() {
    let settings = capped(fail_first(cycle(10)), 1);
    let mut world = World::new(settings, &["a", "b", "bad", "c"]);
    let mut order = Vec::new();
    for n in 0..8 {
        let now = n * 20;
        let name = world.starts(now).remove(0);
        world.finishes(now, &name, name != "bad");
        assert_eq!(world.starts(now), [""; 0]);
        order.push(name);
    }
    assert_eq!(
        order,
        ["a", "b", "bad", "c", "a", "b", "bad", "c"],
        "four passes for four"
    );
}

#[test]
fn the_warmup_is_dry_has_one_slot_and_leaves_no_trace() {
    let settings = ScheduleSettings {
        warmup: true,
        ..capped(limited(continuous(10), 5), 1)
    };
    let mut world = World::new(settings, &["a", "b"]);
    for name in ["a", "b"] {
        let grant = world.schedule.poll_grant(Time::ZERO);
        let wanted = Grant::Start {
            key: key(name).into(),
            is_warmup: true,
        };
        assert_eq!(grant, Some(wanted));
        assert_eq!(world.schedule.poll_grant(Time::ZERO), None, "one slot");
        world.finishes(0, name, false);
    }
    assert_eq!(
        world.starts(0),
        ["a"],
        "the normal life begins, and with it the cap"
    );
    assert_eq!(world.history("b"), History::default());
}

#[test]
fn a_warmup_that_takes_long_holds_back_nobody_else() {
    for (settings, bound) in [
        (continuous(10), 10),
        (cycle(10), 10),
        (continuous(300), 60),
        (cycle(300), 60),
    ] {
        let settings = ScheduleSettings {
            warmup: true,
            ..parallel(settings)
        };
        let mut world = World::new(settings, &["hangs", "other"]);
        assert_eq!(world.starts(0), ["hangs"], "one slot");
        world.schedule.give_slot(&key("hangs"));
        assert_eq!(world.starts(0), ["other"]);
        world.finishes(1, "other", true);
        assert_eq!(world.starts(bound - 1), [""; 0]);
        let wakeup = world.schedule.next_wakeup();
        assert_eq!(wakeup, Some(Time::from_secs(bound)));
        assert_eq!(world.starts(bound), ["other"], "{settings:?}");
        assert_eq!(world.history("hangs"), History::default());
        // What it had begun goes on, and is the dry run that it was.
        world.finishes(bound + 1, "hangs", true);
        assert_eq!(world.history("hangs"), History::default());
        world.finishes(bound + 1, "other", true);
        let names = (bound + 1..=bound + 400).flat_map(|now| world.starts(now));
        assert!(
            names.into_iter().any(|name| name == "hangs"),
            "{settings:?}"
        );
    }
}

#[test]
fn a_recreated_application_is_a_new_one_and_waits_for_the_old_run() {
    let mut world = World::new(parallel(continuous(10)), &["a"]);
    assert_eq!(world.starts(0), ["a"]);
    world
        .schedule
        .on_recreated(Time::from_secs(1), &key("a"), "repo");
    assert_eq!(world.starts(1), [""; 0], "one run of a name at a time");
    world.finishes(2, "a", false);
    assert_eq!(world.history("a").fail_count, 0, "not its failure");
    assert_eq!(world.starts(2), ["a"]);
}

#[test]
fn whoever_wants_a_slot_again_gets_it_before_new_runs_in_the_order_of_asking() {
    let mut world = World::new(limited(continuous(10), 1), &["a", "b", "c", "d"]);
    for name in ["a", "b"] {
        assert_eq!(world.starts(0), [name]);
        world.schedule.give_slot(&key(name));
    }
    assert_eq!(world.starts(0), ["c"]);
    world.schedule.request_slot(&key("b"));
    world.schedule.request_slot(&key("a"));
    world.finishes(1, "c", true);
    assert_eq!(world.grants(1), ["resume b"]);
    world.finishes(2, "b", true);
    assert_eq!(world.grants(2), ["resume a"]);
    world.schedule.give_slot(&key("a"));
    assert_eq!(world.grants(3), ["start d"]);
}

#[test]
fn after_a_shutdown_nothing_starts_but_runs_under_way_go_on() {
    let mut world = World::new(limited(continuous(10), 1), &["a", "b"]);
    assert_eq!(world.starts(0), ["a"]);
    world.schedule.give_slot(&key("a"));
    world.schedule.request_slot(&key("a"));
    world.schedule.handle_shutdown();
    assert_eq!(world.grants(0), ["resume a"]);
    assert!(!world.schedule.is_idle());
    world.finishes(1, "a", true);
    assert_eq!(world.grants(100), [""; 0]);
    assert_eq!(world.wakeup(), None);
    assert!(world.schedule.is_idle());
}

#[test]
fn an_application_costs_some_two_hundred_bytes_beside_its_key() {
    let mut schedule = Schedule::new(continuous(600), Seed(1));
    let empty = schedule.footprint();
    let mut keys = 0;
    for n in 0..10_000 {
        let key = key(&format!("application-{n}"));
        keys += size_of::<AppKey>() + 16 + key.name.len() + key.namespace.len();
        schedule.on_applied(Time::ZERO, &key, "https://git.example.com/apps.git");
    }
    schedule.handle_synced(Time::ZERO);
    let each = (schedule.footprint() - empty - keys) / 10_000;
    assert!(each <= 240, "{each} bytes");
}
