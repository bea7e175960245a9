//! Deadlines that fall on the very instant of something else (A6): the strict world looks after every
//! call that no wake-up was left behind.

use std::time::Duration;

use image_updater_core::keyed::{Purpose, Seed};
use image_updater_core::schedule::Concurrency;
use image_updater_fixtures::AppSpec;
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, RegistryFault, World};

const WEB: &str = "r.test/org/web";

#[test]
fn a_deadline_at_the_very_instant_of_an_answer_is_seen_to() {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0", "1.1.0"]);
    let overdue = World::settings().patch.timeout;
    let faults = [ApiFault::Silent, ApiFault::Slow(overdue), ApiFault::Mute];
    let n = faults.len();
    for at in 0..n {
        world.apply(&web(&format!("web-{at}")));
    }
    world.api_faults.extend(faults);
    world.sync();
    while world.patches.len() < n {
        world.step_on();
    }
    let sent = world.patches[0].0;
    assert!(world.patches.iter().all(|patch| patch.0 == sent));
    // The answer to the one in the middle comes when the others are overdue.
    world.run_for(overdue);
    assert_eq!(world.cancelled.len(), 2);
    world.run_for(INTERVAL);
    assert_eq!(world.written("web-0"), 1);
}

#[test]
fn answers_and_deadlines_that_meet_at_whole_seconds_leave_no_wake_up_behind() {
    for seed in 0..40 {
        let mut settings = World::settings();
        settings.registry.interval = Duration::from_secs(30);
        settings.run_deadline = Duration::from_mins(1);
        settings.schedule.concurrency_max = Concurrency::try_from(4).expect("a limit");
        let mut world = World::new(settings);
        let draw = |n, bound| Seed(seed).below(Purpose::Backoff, b"whole seconds", n, bound);
        for n in 0..8 {
            let host = format!("r{n}.test");
            world.push(&format!("{host}/org/web"), &["1.0.0", "1.1.0"]);
            let secs = Duration::from_secs(5 * draw(n, 8));
            let fault = match draw(100 + n, 4) {
                0 => RegistryFault::Silent,
                1 => RegistryFault::Mute,
                2 => RegistryFault::Status(429, vec![("retry-after".into(), "5".into())]),
                _ => RegistryFault::Slow(secs),
            };
            world.registry_faults.insert(host.clone(), fault);
            let image = format!("{host}/org/web");
            world.apply(&AppSpec::helm(NAMESPACE, &format!("sick-{n}")).image(&image, "1.0.0"));
            world.apply(&web(&format!("web-{n}")));
        }
        world.push(WEB, &["1.0.0", "1.1.0"]);
        world
            .registry_faults
            .insert("r.test".to_owned(), RegistryFault::Slow(Duration::ZERO));
        for n in 0..30 {
            let secs = Duration::from_secs(5 * draw(200 + n, 8));
            world.api_faults.push_back(match draw(300 + n, 5) {
                0 => ApiFault::Silent,
                1 => ApiFault::Mute,
                2 => ApiFault::Throttled(Some(secs)),
                _ => ApiFault::Slow(secs),
            });
        }
        world.sync();
        world.run_for(Duration::from_mins(8));
        world.shut_down();
        world.run_for(Duration::from_mins(1));
        assert!(world.core.is_finished());
    }
}

fn web(name: &str) -> AppSpec {
    AppSpec::helm(NAMESPACE, name).image(WEB, "1.0.0")
}
