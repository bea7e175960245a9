//! Reload: registries.conf changes while applications are being checked.

use std::time::Duration;

use image_updater_core::Event;
use image_updater_core::credential::CredentialSource;
use image_updater_core::image::TagListSort;
use image_updater_core::registry::EndpointSettings;
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::Auth;
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, RegistryFault, World};

const WEB: &str = "r.test/org/web";

#[test]
fn a_lowered_limit_spaces_the_next_requests_and_costs_none() {
    let mut world = World::new(settings(&[unlimited("r.test")]));
    fill(&mut world, 20);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.listings("r.test"), 20);
    let lowered = EndpointSettings {
        rate_max: Some(1),
        ..unlimited("r.test")
    };
    world.reload(vec![lowered]);
    world.run_for(Duration::from_secs(118));
    assert_eq!(world.listings("r.test"), 20, "nothing is asked again");
    world.run_for(Duration::from_secs(31));
    let since = world.requests[20..].iter().map(|(at, _)| *at);
    let times: Vec<_> = since.collect();
    assert_eq!(times.len(), 20, "{times:?}");
    let late = times.windows(2).filter(|pair| pair[1] > pair[0]).count();
    assert!(
        late >= 9,
        "eleven at once after idleness, one a second then: {times:?}"
    );
    let counts = world.events.iter().find_map(|event| {
        let Event::RegistriesReloaded {
            counts,
            applications,
        } = event
        else {
            return None;
        };
        Some((counts.adapted, *applications))
    });
    assert_eq!(counts, Some((1, 0)));
}

#[test]
fn other_credentials_mend_all_applications_at_once_and_not_at_their_next_check() {
    let secured = |variable: &str| EndpointSettings {
        credentials: Some(CredentialSource::Env(variable.into())),
        ..unlimited("r.test")
    };
    let mut world = World::new(settings(&[secured("OLD")]));
    world
        .credentials
        .insert("env:OLD".into(), "robot:stale".into());
    world
        .credentials
        .insert("env:NEW".into(), "robot:fresh".into());
    world.registry("r.test").auth = Auth::basic("robot", "fresh");
    fill(&mut world, 3);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.codes("app-0"), ["listing-failed"]);
    world.reload(vec![secured("NEW")]);
    world.run_for(Duration::from_secs(1));
    for name in ["app-0", "app-1", "app-2"] {
        assert_eq!(world.written(name), 1, "{name}: {:?}", world.codes(name));
        assert_eq!(world.checks(name), 1, "no check came in between");
    }
    // The clocks of the applications are as they were.
    world.run_for(INTERVAL);
    assert_eq!(world.checks("app-0"), 2);
}

#[test]
fn a_removed_entry_leaves_its_images_to_their_host() {
    let mirror = EndpointSettings {
        api_url: "https://mirror.test".into(),
        ..unlimited("r.test")
    };
    let mut world = World::new(settings(&[mirror]));
    world.push("mirror.test/org/web", &["1.0.0", "1.1.0"]);
    world.push(WEB, &["1.0.0", "1.1.0", "1.2.0"]);
    world.apply(&AppSpec::helm(NAMESPACE, "a").image(WEB, "1.0.0"));
    world.sync();
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.parameter("a", "web.tag"), Some("1.1.0"));
    world.reload(Vec::new());
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.parameter("a", "web.tag"), Some("1.2.0"));
    let asked = world.requests.len();
    world.run_for(INTERVAL);
    let later = &world.requests[asked..];
    assert!(
        later
            .iter()
            .all(|(_, url)| url.starts_with("https://r.test/")),
        "{later:?}"
    );
}

#[test]
fn a_longer_prefix_takes_over_repositories_whose_lookups_are_in_flight() {
    for fault in [
        RegistryFault::Silent,
        RegistryFault::Mute,
        RegistryFault::Slow(Duration::from_secs(3)),
        RegistryFault::Status(503, Vec::new()),
        RegistryFault::Status(429, vec![("retry-after".into(), "50".into())]),
    ] {
        let mut world = World::new(settings(&[unlimited("r.test")]));
        world.push(WEB, &["1.0.0", "9.0.0"]);
        world.push("team.test/org/web", &["1.0.0", "1.1.0"]);
        world.registry_faults.insert("r.test".into(), fault.clone());
        // More than one call may take, and more than the slots of a registry.
        for n in 0..600 {
            let app = AppSpec::helm(NAMESPACE, &format!("app-{n}")).image(WEB, "1.0.0");
            world.apply(&app);
        }
        world.sync();
        world.run_for(Duration::from_secs(1));
        let team = EndpointSettings {
            api_url: "https://team.test".into(),
            ..unlimited("r.test/org")
        };
        world.is_audited = false;
        world.reload(vec![unlimited("r.test"), team]);
        let sent = world.listings("r.test");
        world.run_for(Duration::from_secs(20));
        let written = world.count(|event| matches!(event, Event::Written { .. }));
        assert_eq!(written, 600, "{fault:?}: nobody waits for the old one");
        assert_eq!(
            world.parameter("app-599", "web.tag"),
            Some("1.1.0"),
            "{fault:?}"
        );
        assert_eq!(world.listings("team.test"), 1, "one for all");
        assert_eq!(world.listings("r.test"), sent, "and none at the old one");
        world.release();
        world.core.audit().expect("the audit agrees (S16)");
    }
}

#[test]
fn what_was_decided_by_the_old_table_is_not_written_after_the_reload() {
    let mut world = World::new(settings(&[unlimited("r.test")]));
    world.push(WEB, &["1.0.0", "9.0.0"]);
    world.push("right.test/org/web", &["1.0.0", "1.1.0"]);
    // The first patch is refused for a second, and the reload comes in between.
    world
        .api_faults
        .push_back(ApiFault::Throttled(Some(Duration::from_secs(5))));
    world.apply(&AppSpec::helm(NAMESPACE, "a").image(WEB, "1.0.0"));
    world.sync();
    world.run_for(Duration::from_secs(1));
    let right = EndpointSettings {
        api_url: "https://right.test".into(),
        ..unlimited("r.test")
    };
    world.reload(vec![right]);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.parameter("a", "web.tag"), Some("1.1.0"));
    assert_eq!(world.written("a"), 1);
}

#[test]
fn another_order_of_tags_decides_again_without_a_request() {
    let mut world = World::new(settings(&[unlimited("r.test")]));
    world.push(WEB, &["3", "1", "2"]);
    let app = AppSpec::helm(NAMESPACE, "a")
        .image(WEB, "1")
        .annotation("web.update-strategy", "newest-build");
    world.apply(&app);
    world.sync();
    world.run_for(Duration::from_secs(5));
    let asked = world.requests.len();
    let sorted = EndpointSettings {
        tag_sort_mode: TagListSort::LatestFirst,
        ..unlimited("r.test")
    };
    let before = world.redecided("a");
    world.reload(vec![sorted]);
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.redecided("a"), before + 1);
    assert_eq!(world.requests.len(), asked);
}

#[test]
fn a_bad_list_changes_nothing_and_names_every_problem() {
    let mut world = World::new(settings(&[unlimited("r.test")]));
    fill(&mut world, 2);
    world.run_for(Duration::from_secs(5));
    let bad = EndpointSettings {
        api_url: "nowhere".into(),
        ..unlimited("r.test")
    };
    world.reload(vec![bad.clone(), bad]);
    world.run_for(INTERVAL * 2);
    let problems = world.events.iter().find_map(|event| {
        let Event::RegistriesRefused { problems } = event else {
            return None;
        };
        Some(problems.len())
    });
    assert_eq!(problems, Some(3));
    assert_eq!(world.checks("app-0"), 3);
    assert_eq!(world.codes("app-0"), ["already-in-spec"]);
}

#[test]
fn reload_after_reload_while_everything_is_in_line_ends_with_the_last_one() {
    let mut world = World::new(settings(&[unlimited("r.test")]));
    world.is_audited = false;
    world.push("last.test/org/web", &["1.0.0", "1.1.0"]);
    world.push(WEB, &["1.0.0", "9.0.0"]);
    world
        .registry_faults
        .insert("r.test".into(), RegistryFault::Silent);
    for n in 0..1000 {
        let app = AppSpec::helm(NAMESPACE, &format!("app-{n}")).image(WEB, "1.0.0");
        world.apply(&app);
    }
    world.sync();
    world.run_for(Duration::from_secs(1));
    for n in 0..50 {
        let next = EndpointSettings {
            api_url: format!("https://dead-{n}.test"),
            ..unlimited("r.test")
        };
        world.reload(vec![next]);
    }
    let last = EndpointSettings {
        api_url: "https://last.test".into(),
        ..unlimited("r.test")
    };
    world.reload(vec![last]);
    world.run_for(Duration::from_secs(30));
    let written = world.count(|event| matches!(event, Event::Written { .. }));
    assert_eq!(written, 1000);
    assert_eq!(world.listings("last.test"), 1);
    world.core.audit().expect("the audit agrees (S16)");
    assert_eq!(
        world.core.stats().repositories,
        1,
        "nothing is left of the others (A11)"
    );
}

fn unlimited(prefix: &str) -> EndpointSettings {
    EndpointSettings {
        rate_max: None,
        ..EndpointSettings::inferred(prefix)
    }
}

fn settings(endpoints: &[EndpointSettings]) -> image_updater_core::Settings {
    let mut settings = World::settings();
    settings.registry.endpoints = endpoints.to_vec();
    settings
}

/// Applications with an image each, of which there is a newer version.
fn fill(world: &mut World, n: usize) {
    for n in 0..n {
        let image = format!("r.test/org/web-{n}");
        world.push(&image, &["1.0.0", "1.1.0"]);
        world.apply(&AppSpec::helm(NAMESPACE, &format!("app-{n}")).image(&image, "1.0.0"));
    }
    world.sync();
}
