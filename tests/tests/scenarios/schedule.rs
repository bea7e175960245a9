//! The scheduler seen through the facade: what users were promised of it (`ops.md` 4 to 7, 20.1).

use std::time::Duration;

use image_updater_core::Event;
use image_updater_core::schedule::{Concurrency, Mode, Policy, ScheduleEvent, Standing, Totals};
use image_updater_core::time::Time;
use image_updater_fixtures::AppSpec;
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, RegistryFault, World};

const WEB: &str = "r.test/org/web";

#[test]
fn outcomes_are_remembered_across_cycles() {
    let mut settings = World::settings();
    settings.schedule.mode = Mode::Cycle;
    settings.schedule.policy = Policy::FailFirst;
    let mut world = World::new(settings);
    for name in ["a", "b", "c"] {
        world.apply(&web(name));
    }
    // Not in the registry, hence failing in every cycle.
    world.apply(&AppSpec::helm(NAMESPACE, "z").image("r.test/org/none", "1.0.0"));
    world.push(WEB, &["1.0.0"]);
    world.sync();
    world.run_for(INTERVAL + Duration::from_mins(1));
    assert_eq!(starts(&world)[4..], ["z", "a", "b", "c"]);
}

#[test]
fn the_cap_per_repository_puts_off_and_never_hangs() {
    for mode in [Mode::Cycle, Mode::Continuous] {
        let mut settings = World::settings();
        settings.schedule.mode = mode;
        settings.schedule.per_repo_cap = 2;
        let mut world = World::new(settings);
        world.push(WEB, &["1.0.0"]);
        for n in 0..6 {
            world.apply(&web(&format!("web-{n}")));
        }
        world.apply(&web("other").repo_url("https://git.example.com/other.git"));
        world.sync();
        let first = starts(&world);
        assert_eq!(
            first.len(),
            3,
            "{mode:?}: two of one, one of the other: {first:?}"
        );
        world.run_for(INTERVAL * 4);
        let all = starts(&world);
        for n in 0..6 {
            let name = format!("web-{n}");
            assert!(all.contains(&name), "{mode:?}: {name} is not starved");
        }
    }
}

#[test]
fn one_limit_holds_for_the_whole_process() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = Concurrency::try_from(3).expect("a limit");
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world
        .api_faults
        .extend(vec![ApiFault::Slow(Duration::from_secs(25)); 40]);
    for n in 0..40 {
        world.apply(&web(&format!("web-{n}")));
    }
    world.sync();
    world.run_for(INTERVAL * 4);
    assert_eq!(world.api_in_flight_peak, 3, "over many passes");
    assert_eq!(
        world.count(|event| matches!(event, Event::Written { .. })),
        40
    );
}

#[test]
fn a_new_application_is_noticed_while_all_slots_are_taken() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = Concurrency::try_from(1).expect("a limit");
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(20)));
    world.apply(&web("a"));
    world.sync();
    world.run_for(Duration::from_secs(5));
    world.apply(&web("b"));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.explain("b").standing, Some(Standing::NoSlot));
    world.run_for(Duration::from_secs(15));
    assert_eq!(world.written("b"), 1, "it starts when the slot is free");
}

#[test]
fn nothing_ticks_and_nothing_is_listed_twice() {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0"]);
    world.apply(&web("a"));
    world.sync();
    world.run_for(Duration::from_secs(1));
    let wakeup = world.core.poll_timeout().expect("the next check");
    assert_eq!(wakeup.at, Time::ZERO.after(INTERVAL), "no call before that");
    let events = world.events.len();
    world.run_for(INTERVAL / 2);
    assert_eq!(world.events.len(), events);
}

#[test]
fn both_modes_tell_the_same_events() {
    let told = |mode| {
        let mut settings = World::settings();
        settings.schedule.mode = mode;
        let mut world = World::new(settings);
        world.push(WEB, &["1.0.0", "1.1.0"]);
        world.apply(&web("a"));
        world.apply(&AppSpec::helm(NAMESPACE, "b").image("none.test/org/b", "1.0.0"));
        world.sync();
        world.run_for(Duration::from_secs(100));
        let mut ends: Vec<String> = world.events.iter().filter_map(brief).collect();
        ends.sort();
        ends
    };
    let cycle = told(Mode::Cycle);
    assert_eq!(cycle.len(), 5, "{cycle:?}");
    assert_eq!(cycle, told(Mode::Continuous));
}

#[test]
fn a_cycle_tells_its_totals() {
    let mut settings = World::settings();
    settings.schedule.mode = Mode::Cycle;
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0"]);
    world.apply(&web("a"));
    world.apply(&AppSpec::helm(NAMESPACE, "b").image("none.test/org/b", "1.0.0"));
    world.sync();
    world.run_for(Duration::from_secs(100));
    let is_begin =
        |event: &Event| matches!(event, Event::Schedule(ScheduleEvent::PassStarted { .. }));
    let is_check = |event: &Event| matches!(event, Event::CheckStarted { .. });
    let (begin, check) = (
        world.events.iter().position(is_begin),
        world.events.iter().position(is_check),
    );
    assert!(begin < check, "the cycle begins before its checks");
    let totals: Vec<_> = world.events.iter().filter_map(totals_of).collect();
    assert_eq!(totals.len(), 1);
    assert_eq!(
        (totals[0].started, totals[0].succeeded, totals[0].failed),
        (2, 1, 1)
    );
}

#[test]
fn first_checks_are_spread() {
    let mut settings = World::settings();
    settings.schedule.start_spread = Duration::from_secs(30);
    settings.schedule.jitter_percent = 10;
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0"]);
    for n in 0..300 {
        world.apply(&web(&format!("web-{n}")));
    }
    world.sync();
    let mut most = 0;
    let mut before = 0;
    for _ in 0..30 {
        world.run_for(Duration::from_secs(1));
        let started = starts(&world).len();
        most = most.max(started - before);
        before = started;
    }
    assert_eq!(before, 300);
    assert!(most <= 20, "{most} in one second, ten are even");
}

#[test]
fn an_attempt_is_stamped_when_it_starts() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = Concurrency::try_from(1).expect("a limit");
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(20)));
    world.apply(&web("a"));
    world.sync();
    world.run_for(Duration::from_secs(5));
    world.apply(&web("b"));
    world.run_for(Duration::from_secs(20));
    let started = Time::ZERO.after(Duration::from_millis(20_010));
    let next = Standing::NotDue {
        due: Some(started.after(INTERVAL)),
    };
    assert_eq!(
        world.explain("b").standing,
        Some(next),
        "counted from its start, not from its due time"
    );
}

#[test]
fn intervals_count_from_the_start_or_from_the_end() {
    for (mode, second) in [(Mode::Continuous, 120), (Mode::Cycle, 150)] {
        let mut settings = World::settings();
        settings.schedule.mode = mode;
        let mut world = World::new(settings);
        let fault = RegistryFault::Slow(Duration::from_secs(30));
        world.registry_faults.insert("r.test".to_owned(), fault);
        world.push(WEB, &["1.0.0"]);
        world.apply(&web("a"));
        world.sync();
        world.run_for(Duration::from_secs(second - 1));
        assert_eq!(world.checks("a"), 1, "{mode:?}");
        world.run_for(Duration::from_secs(2));
        assert_eq!(world.checks("a"), 2, "{mode:?}");
    }
}

#[test]
fn a_crashed_request_is_a_failure_of_its_application() {
    use image_updater_core::http::{HttpOutcome, TransportFailure, TransportKind};
    use image_updater_core::{Input, OpId};
    let mut world = World::plain();
    world
        .registry_faults
        .insert("r.test".to_owned(), RegistryFault::Mute);
    world.apply(&web("a"));
    world.push("q.test/org/web", &["1.0.0"]);
    world.apply(&AppSpec::helm(NAMESPACE, "b").image("q.test/org/web", "1.0.0"));
    world.sync();
    for n in 0..20 {
        let failure = TransportFailure {
            kind: TransportKind::Crashed,
            detail: "the task panicked".to_owned(),
        };
        world.tell(Input::Http(OpId(n), HttpOutcome::Failed(failure)));
        world.run_for(Duration::from_secs(5));
    }
    assert_eq!(world.codes("a"), ["listing-failed"]);
    assert!(world.explain("b").last_run.is_some());
}

fn web(name: &str) -> AppSpec {
    AppSpec::helm(NAMESPACE, name).image(WEB, "1.0.0")
}

/// The applications whose checks started, in order.
fn starts(world: &World) -> Vec<String> {
    let started = |event: &Event| {
        let Event::CheckStarted { key, .. } = event else {
            return None;
        };
        Some(key.name.to_string())
    };
    world.events.iter().filter_map(started).collect()
}

/// What both modes tell alike, in a line.
fn brief(event: &Event) -> Option<String> {
    if let Event::CheckFinished {
        key, end, counters, ..
    } = event
    {
        return Some(format!("{key} {end:?} {counters:?}"));
    }
    if let Event::ImageDecided { key, reason, .. } = event {
        return Some(format!("{key} {}", reason.code()));
    }
    let Event::Written { key, .. } = event else {
        return None;
    };
    Some(format!("{key} written"))
}

fn totals_of(event: &Event) -> Option<Totals> {
    let Event::Schedule(ScheduleEvent::PassEnded { totals, .. }) = event else {
        return None;
    };
    Some(*totals)
}
