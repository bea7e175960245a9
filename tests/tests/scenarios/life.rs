//! The life of the process and of runs: once, shutdown, deadlines.

use std::time::Duration;

use image_updater_core::event::RunEnd;
use image_updater_core::schedule::{Concurrency, Mode};
use image_updater_core::{Event, Settings};
use image_updater_fixtures::AppSpec;
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, RegistryFault, World};

const WEB: &str = "r.test/org/web";

#[test]
fn once_ends_when_everything_is_done_in_both_modes() {
    for mode in [Mode::Cycle, Mode::Continuous] {
        let mut world = World::new(once(mode));
        slow(&mut world, 20);
        world
            .api_faults
            .push_back(ApiFault::Slow(Duration::from_secs(20)));
        fill(&mut world, 20);
        let mut checks = 0;
        while !world.core.is_finished() {
            world.run_for(Duration::from_millis(100));
            checks += 1;
            assert!(checks < 10_000, "{mode:?}: it ends");
        }
        let written = world.count(|event| matches!(event, Event::Written { .. }));
        assert_eq!(written, 20, "{mode:?}: nothing is lost");
        assert_eq!(world.listings("r.test"), 1, "{mode:?}");
        assert_eq!(world.core.stats().runs, 0, "{mode:?}");
        assert_eq!(
            world.core.poll_timeout(),
            None,
            "{mode:?}: nothing more is due"
        );
        world.run_for(INTERVAL * 5);
        let started = world.count(|event| matches!(event, Event::CheckStarted { .. }));
        assert_eq!(started, 20, "{mode:?}: one pass and no more");
    }
}

#[test]
fn once_with_nothing_to_do_ends_at_once_but_not_before_it_knows() {
    for mode in [Mode::Cycle, Mode::Continuous] {
        let mut world = World::new(once(mode));
        world.run_for(Duration::from_secs(1));
        assert!(!world.core.is_finished(), "{mode:?}: nothing is known yet");
        world.sync();
        assert!(world.core.is_finished(), "{mode:?}");
    }
}

#[test]
fn once_ends_also_when_everything_fails() {
    for mode in [Mode::Cycle, Mode::Continuous] {
        let mut world = World::new(once(mode));
        world
            .registry_faults
            .insert("r.test".into(), RegistryFault::Silent);
        fill(&mut world, 3);
        world.run_for(Duration::from_secs(1000));
        assert!(world.core.is_finished(), "{mode:?}");
        assert_eq!(world.codes("web-0"), ["listing-failed"], "{mode:?}");
    }
}

#[test]
fn a_shutdown_starts_nothing_new_and_waits_for_what_is_in_flight() {
    let mut world = World::plain();
    world.registry("r.test").page_tags_max = 1;
    world.push("q.test/org/api", &["1.0.0", "1.1.0"]);
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(10)));
    world.apply(&AppSpec::helm(NAMESPACE, "api").image("q.test/org/api", "1.0.0"));
    slow(&mut world, 5);
    fill(&mut world, 3);
    world.run_for(Duration::from_secs(2));
    assert_eq!(world.patching().len(), 1);
    let (requests, patches) = (world.requests.len(), world.patches.len());
    world.shut_down();
    world.apply(&AppSpec::helm(NAMESPACE, "late").image("q.test/org/api", "1.0.0"));
    world.annotate("api", "image-list", "api=q.test/org/api:~1");
    world.run_for(Duration::from_secs(5));
    assert!(!world.core.is_finished(), "a patch is in flight");
    world.run_for(Duration::from_secs(10));
    assert!(world.core.is_finished());
    assert_eq!(world.requests.len(), requests, "not even the next page");
    assert_eq!(world.patches.len(), patches);
    assert_eq!(
        world.count(|event| matches!(event, Event::Stopped { abandoned: 0 })),
        1
    );
    assert_eq!(world.core.poll_timeout(), None);
}

#[test]
fn every_check_that_was_started_is_told_to_have_ended_when_the_process_goes_down() {
    let mut world = World::plain();
    slow(&mut world, 5);
    fill(&mut world, 3);
    world.run_for(Duration::from_secs(1));
    world.shut_down();
    let ended = |event: &Event| {
        matches!(
            event,
            Event::CheckFinished {
                end: RunEnd::Abandoned,
                ..
            }
        )
    };
    assert_eq!(world.count(ended), 3);
    assert!(world.core.is_finished());
}

#[test]
fn a_check_that_waits_for_a_re_decision_does_not_begin_while_the_process_goes_down() {
    let mut world = World::plain();
    world.push(WEB, &["1.0.5"]);
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(1));
    // Just before its next check an edit decides, and that patch hangs over the time of the check.
    world.run_for(INTERVAL.saturating_sub(Duration::from_secs(2)));
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(10)));
    world.annotate("web-0", "image-list", "web=r.test/org/web:~1.0.0");
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.checks("web-0"), 2, "the check was granted");
    assert_eq!(world.patching().len(), 1);
    let requests = world.requests.len();
    world.shut_down();
    world.run_for(Duration::from_secs(20));
    assert!(world.core.is_finished());
    assert_eq!(world.requests.len(), requests, "it did not begin");
    let finished = world.count(|event| matches!(event, Event::CheckFinished { .. }));
    assert_eq!(finished, 2, "and it is told to have ended");
}

#[test]
fn a_conflict_during_a_shutdown_is_not_followed_up() {
    let mut world = World::plain();
    world.is_watch_held = true;
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(5)));
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(1));
    world.edit("web-0", |object| object["spec"]["project"] = "other".into());
    world.shut_down();
    world.run_for(Duration::from_secs(5));
    assert!(world.core.is_finished());
    assert_eq!(world.n_in_flight(), 0);
    assert_eq!(
        world.count(|event| matches!(event, Event::WriteFailed { .. })),
        1
    );
}

#[test]
fn the_grace_of_a_shutdown_is_bounded() {
    let mut world = World::plain();
    world.api_faults.push_back(ApiFault::Mute);
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(1));
    let begun = world.now();
    world.shut_down();
    world.shut_down();
    assert!(!world.core.is_finished());
    world.run_for(Duration::from_secs(30));
    assert!(world.core.is_finished());
    assert_eq!(
        world.count(|event| matches!(event, Event::Stopped { abandoned: 1 })),
        1
    );
    assert_eq!(
        world.count(|event| matches!(event, Event::ShutdownBegun { operations: 1 })),
        1
    );
    assert!(world.now().since(begun) >= Duration::from_secs(25));
}

#[test]
fn a_run_past_its_deadline_gives_its_slot_back() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = Concurrency::try_from(1).expect("a limit");
    let mut world = World::new(settings);
    fill(&mut world, 2);
    world.run_for(Duration::from_secs(1));
    // The API server asks all to wait for longer than a run may take.
    world.push(WEB, &["1.2.0"]);
    let wait = Some(Duration::from_hours(1));
    world.api_faults.push_back(ApiFault::Throttled(wait));
    world.run_for(INTERVAL + Duration::from_secs(620));
    let late = |event: &Event| {
        matches!(
            event,
            Event::CheckFinished {
                end: RunEnd::DeadlineExceeded,
                ..
            } | Event::Redecided {
                end: RunEnd::DeadlineExceeded,
                ..
            }
        )
    };
    assert!(world.count(late) >= 1);
    let last = world.explain("web-0").last_run.expect("it ended");
    assert_eq!(last.end, RunEnd::DeadlineExceeded);
    let patches = world.patches.len();
    world.run_for(Duration::from_secs(2900));
    assert_eq!(world.patches.len(), patches, "the pause is honoured");
    world.run_for(Duration::from_mins(10));
    assert_eq!(world.parameter("web-0", "web.tag"), Some("1.2.0"));
    assert_eq!(world.parameter("web-1", "web.tag"), Some("1.2.0"));
}

#[test]
fn a_run_outlives_its_deadline_only_as_long_as_its_patch_is_in_flight() {
    let mut settings = World::settings();
    settings.run_deadline = Duration::from_secs(10);
    let mut world = World::new(settings);
    world
        .api_faults
        .extend([ApiFault::Slow(Duration::from_secs(15))]);
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(12));
    assert_eq!(world.core.stats().runs, 1);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.written("web-0"), 1, "what was written is told");
    assert_eq!(world.core.stats().runs, 0);
}

fn once(mode: Mode) -> Settings {
    let mut settings = World::settings();
    settings.schedule.mode = mode;
    settings.schedule.interval = Duration::ZERO;
    settings.registry.once = true;
    settings
}

fn slow(world: &mut World, secs: u64) {
    let fault = RegistryFault::Slow(Duration::from_secs(secs));
    world.registry_faults.insert("r.test".to_owned(), fault);
}

fn fill(world: &mut World, n: usize) {
    world.push(WEB, &["1.0.0", "1.1.0"]);
    for n in 0..n {
        world.apply(&AppSpec::helm(NAMESPACE, &format!("web-{n}")).image(WEB, "1.0.0"));
    }
    world.sync();
}
