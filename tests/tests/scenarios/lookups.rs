//! Lookups: what is shared, what waits, and who is left in peace by a sick registry.

use std::time::Duration;

use image_updater_core::Event;
use image_updater_core::schedule::Concurrency;
use image_updater_core::time::Time;
use image_updater_fixtures::AppSpec;
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, RegistryFault, World};

const WEB: &str = "r.test/org/web";
const API: &str = "q.test/org/api";

#[test]
fn a_hundred_applications_share_one_listing_per_interval() {
    let mut settings = World::settings();
    settings.schedule.start_spread = INTERVAL;
    settings.schedule.jitter_percent = 10;
    let mut world = World::new(settings);
    fill(&mut world, 100);
    world.run_for(INTERVAL * 10);
    let listings = world.listings("r.test");
    assert!((9..=11).contains(&listings), "{listings} in ten intervals");
    assert!(world.count(|event| matches!(event, Event::CheckStarted { .. })) >= 900);
}

#[test]
fn whoever_waits_for_a_shared_listing_holds_no_slot() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = Concurrency::try_from(1).expect("a limit");
    let mut world = World::new(settings);
    slow(&mut world, "r.test", 30);
    world.push(API, &["1.0.0", "1.1.0"]);
    fill(&mut world, 100);
    world.apply(&AppSpec::helm(NAMESPACE, "zz").image(API, "1.0.0"));
    world.run_for(Duration::from_secs(5));
    assert_eq!(
        world.written("zz"),
        1,
        "the other registry's application goes on"
    );
    let waiting = world.core.stats().runs;
    assert_eq!(waiting, 100, "all wait together");
    world.run_for(Duration::from_mins(1));
    let written = world.count(|event| matches!(event, Event::Written { .. }));
    assert_eq!(written, 101);
    assert_eq!(world.listings("r.test"), 1);
}

#[test]
fn one_slot_is_enough_for_everyone_in_the_end() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = Concurrency::try_from(1).expect("a limit");
    let mut world = World::new(settings);
    fill(&mut world, 30);
    world.run_for(Duration::from_secs(10));
    let written = world.count(|event| matches!(event, Event::Written { .. }));
    assert_eq!(written, 30);
    assert_eq!(world.api_in_flight_peak, 1, "a write needs the slot");
}

#[test]
fn a_sick_registry_is_alone_with_its_illness() {
    let status = |status, headers: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        RegistryFault::Status(status, headers.iter().map(own).collect())
    };
    let faults = [
        RegistryFault::Silent,
        RegistryFault::Mute,
        RegistryFault::Slow(Duration::from_secs(50)),
        RegistryFault::Body(b"{\"tags\":[\"1.0".to_vec()),
        status(500, &[]),
        status(401, &[]),
        status(403, &[]),
        status(404, &[]),
        status(429, &[("retry-after", "30")]),
        status(429, &[("retry-after", "86400")]),
    ];
    let healthy = starts_of_healthy(None);
    for fault in faults {
        let starts = starts_of_healthy(Some(fault.clone()));
        assert_eq!(
            starts, healthy,
            "{fault:?}: others keep their schedule exactly"
        );
    }
}

/// When the checks of the healthy registry's applications start, with the other registry like that.
fn starts_of_healthy(fault: Option<RegistryFault>) -> Vec<(String, usize, usize)> {
    let mut settings = World::settings();
    settings.schedule.start_spread = Duration::from_secs(30);
    let mut world = World::new(settings);
    world.push(API, &["1.0.0", "1.1.0"]);
    if let Some(fault) = fault {
        world.registry_faults.insert("r.test".to_owned(), fault);
    }
    fill(&mut world, 10);
    for n in 0..10 {
        world.apply(&AppSpec::helm(NAMESPACE, &format!("api-{n}")).image(API, "1.0.0"));
    }
    world.run_for(INTERVAL * 10);
    let row = |n| {
        let name = format!("api-{n}");
        let (checks, written) = (world.checks(&name), world.written(&name));
        (name, checks, written)
    };
    (0..10).map(row).collect()
}

#[test]
fn a_registry_that_asks_to_be_left_alone_is_left_alone_by_all_its_repositories() {
    let mut world = World::plain();
    let retry = vec![("retry-after".to_owned(), "40".to_owned())];
    world
        .registry_faults
        .insert("r.test".to_owned(), RegistryFault::Status(429, retry));
    world.push(WEB, &["1.0.0"]);
    world.push("r.test/org/other", &["1.0.0"]);
    world.apply(&AppSpec::helm(NAMESPACE, "a").image(WEB, "1.0.0"));
    world.sync();
    world.run_for(Duration::from_secs(1));
    let asked = world.requests.len();
    world.registry_faults.clear();
    world.apply(&AppSpec::helm(NAMESPACE, "b").image("r.test/org/other", "1.0.0"));
    world.run_for(Duration::from_secs(38));
    assert_eq!(world.requests.len(), asked, "nothing inside the window");
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.codes("a"), ["up-to-date"]);
    assert_eq!(world.codes("b"), ["up-to-date"]);
}

#[test]
fn a_listing_that_comes_after_the_run_gave_up_still_decides() {
    let mut settings = World::settings();
    settings.run_deadline = Duration::from_secs(20);
    let mut world = World::new(settings);
    slow(&mut world, "r.test", 40);
    fill(&mut world, 2);
    world.run_for(Duration::from_secs(30));
    let late = |event: &Event| {
        matches!(event, Event::CheckFinished { end, .. }
            if end.as_str() == "deadline-exceeded")
    };
    assert_eq!(world.count(late), 2);
    world.run_for(Duration::from_secs(20));
    assert_eq!(
        world.written("web-0"),
        1,
        "a listing that changed decides for its users"
    );
    assert_eq!(world.written("web-1"), 1);
}

#[test]
fn each_follower_gives_up_at_its_own_deadline() {
    let mut settings = World::settings();
    settings.run_deadline = Duration::from_secs(20);
    let mut world = World::new(settings);
    slow(&mut world, "r.test", 50);
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(15));
    world.apply(&AppSpec::helm(NAMESPACE, "late").image(WEB, "1.0.0"));
    let given_up = |world: &World| -> Vec<String> {
        let late = world.events.iter().filter_map(|event| {
            let Event::CheckFinished { key, end, .. } = event else {
                return None;
            };
            (end.as_str() == "deadline-exceeded").then(|| key.name.to_string())
        });
        late.collect()
    };
    world.run_for(Duration::from_secs(4));
    assert!(given_up(&world).is_empty());
    world.run_for(Duration::from_secs(10));
    assert_eq!(
        given_up(&world),
        ["web-0"],
        "the one that came later waits on"
    );
    world.run_for(Duration::from_secs(10));
    assert_eq!(given_up(&world), ["web-0", "late"]);
    assert_eq!(
        world.listings("r.test"),
        1,
        "the lookup went on without them"
    );
    world.run_for(Duration::from_secs(20));
    assert_eq!((world.written("web-0"), world.written("late")), (1, 1));
}

#[test]
fn a_follower_that_is_deleted_disturbs_nobody() {
    for gone in ["web-0", "web-2", "web-4"] {
        let mut world = World::plain();
        slow(&mut world, "r.test", 30);
        fill(&mut world, 5);
        world.run_for(Duration::from_secs(5));
        world.delete(gone);
        world.run_for(Duration::from_secs(40));
        for n in 0..5 {
            let name = format!("web-{n}");
            let expected = usize::from(name != gone);
            assert_eq!(world.written(&name), expected, "{name} without {gone}");
        }
        assert_eq!(world.listings("r.test"), 1, "without {gone}");
    }
}

#[test]
fn fifty_followers_are_told_what_the_leader_is_told() {
    let torn = RegistryFault::Body(b"{\"tags\":[\"1.0".to_vec());
    for fault in [
        torn,
        RegistryFault::Status(403, Vec::new()),
        RegistryFault::Status(404, Vec::new()),
    ] {
        let mut world = World::plain();
        world
            .registry_faults
            .insert("r.test".to_owned(), fault.clone());
        fill(&mut world, 50);
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.listings("r.test"), 1, "{fault:?}");
        let told = world.codes("web-0");
        assert_eq!(told, ["listing-failed"], "{fault:?}");
        for n in 1..50 {
            assert_eq!(world.codes(&format!("web-{n}")), told, "{fault:?}");
        }
    }
}

#[test]
fn a_list_that_breaks_off_at_its_second_page_decides_nothing_for_anybody() {
    let mut world = World::plain();
    world.registry("r.test").page_tags_max = 1;
    fill(&mut world, 50);
    while world.requests.len() < 2 {
        world.step_on();
    }
    let fault = RegistryFault::Status(404, Vec::new());
    world.registry_faults.insert("r.test".to_owned(), fault);
    world.run_for(Duration::from_secs(5));
    let decided = |event: &Event| matches!(event, Event::Written { .. });
    assert_eq!(world.count(decided), 0);
    for n in 0..50 {
        assert_eq!(world.codes(&format!("web-{n}")), ["listing-failed"]);
    }
    world.registry_faults.clear();
    world.run_for(INTERVAL);
    assert_eq!(world.count(decided), 50, "the next list is whole");
}

#[test]
fn an_endpoint_that_found_no_room_is_used_once_there_is() {
    let mut settings = World::settings();
    settings.registry.inferred_max = 1;
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.push(API, &["1.0.0", "1.1.0"]);
    world.apply(&AppSpec::helm(NAMESPACE, "web").image(WEB, "1.0.0"));
    world.sync();
    world.apply(&AppSpec::helm(NAMESPACE, "api").image(API, "1.0.0"));
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.written("api"), 0);
    world.delete("web");
    world.apply(&AppSpec::helm(NAMESPACE, "api2").image(API, "1.0.0"));
    world.run_for(INTERVAL * 2);
    assert_eq!(world.written("api"), 1);
    assert_eq!(world.core.stats().repositories, 1);
    world.push(API, &["1.2.0"]);
    world.run_for(INTERVAL * 2);
    assert_eq!(world.parameter("api", "api.tag"), Some("1.2.0"));
    world.delete("api");
    world.delete("api2");
    assert_eq!(world.core.stats().repositories, 0);
}

#[test]
fn facts_that_fail_all_at_once_cost_no_more_than_their_number() {
    let mut world = World::plain();
    for n in 0..20_000 {
        world
            .registry("r.test")
            .push_name("org/web", format!("1.0.{n}"));
    }
    let spec = AppSpec::helm(NAMESPACE, "web").image(WEB, "1.0.0");
    world.apply(&spec.strategy("newest-build"));
    world.sync();
    world.run_for(Duration::from_secs(2));
    let retry = vec![("retry-after".to_owned(), "3600".to_owned())];
    world
        .registry_faults
        .insert("r.test".to_owned(), RegistryFault::Status(429, retry));
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.codes("web"), ["metadata-failed"]);
}

#[test]
fn a_changed_plan_is_looked_up_in_the_middle_of_a_lookup() {
    let mut world = World::plain();
    slow(&mut world, "r.test", 10);
    world.push(API, &["1.0.0", "1.1.0"]);
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(5));
    world.apply(&AppSpec::helm(NAMESPACE, "web-0").image(API, "1.0.0"));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.parameter("web-0", "api.tag"), Some("1.1.0"));
    world.run_for(Duration::from_mins(1));
    assert_eq!(world.written("web-0"), 1);
}

#[test]
fn facts_hold_a_slot_and_listings_do_not() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = Concurrency::try_from(1).expect("a limit");
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.push(API, &["1.0.0", "1.1.0"]);
    let newest = |name, image| {
        AppSpec::helm(NAMESPACE, name)
            .image(image, "1.0.0")
            .strategy("newest-build")
    };
    world.apply(&newest("a", WEB));
    world.apply(&newest("b", API));
    world.sync();
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(20)));
    world.run_for(Duration::from_secs(10));
    let manifests = |world: &World| {
        let mut urls = world.requests.iter().map(|(_, url)| url);
        urls.any(|url| url.contains("q.test") && url.contains("/manifests/"))
    };
    assert!(!manifests(&world), "the slot is taken");
    assert_eq!(world.listings("q.test"), 1);
    world.run_for(Duration::from_secs(20));
    assert!(manifests(&world));
    assert_eq!(world.written("b"), 1);
    assert!(world.now() > Time::ZERO);
}

fn slow(world: &mut World, host: &str, secs: u64) {
    let fault = RegistryFault::Slow(Duration::from_secs(secs));
    world.registry_faults.insert(host.to_owned(), fault);
}

fn fill(world: &mut World, n: usize) {
    world.push(WEB, &["1.0.0", "1.1.0"]);
    for n in 0..n {
        world.apply(&AppSpec::helm(NAMESPACE, &format!("web-{n}")).image(WEB, "1.0.0"));
    }
    world.sync();
}
