//! Registries that misbehave: nothing is decided on what they say then.

use std::time::Duration;

use image_updater_core::time::Time;
use image_updater_fixtures::registry::{Conduct, Flavour, Hint, ImageSpec, Registry, Rule, Target};
use image_updater_tests::world::{INTERVAL, World};

use super::{REPOSITORY, apply, check_found, create, world};

#[test]
fn lists_out_of_order_with_repeated_pages_are_read_alike() {
    for conduct in [Conduct::Shuffle(3), Conduct::RepeatPage] {
        let mut world = world(Flavour::Quay);
        create(&mut world, Flavour::Quay, false);
        let rule = Rule::new(Target::Pages, conduct);
        world.registry(Flavour::Quay.public_host()).rules.push(rule);
        world.run_for(Duration::from_mins(1));
        check_found(&world, Flavour::Quay);
    }
}

#[test]
fn what_fails_decides_nothing_and_what_comes_back_does() {
    let ends = Time::from_secs(600);
    let hints = [
        Hint::Nothing,
        Hint::Seconds(30),
        Hint::DateIn(30),
        Hint::DateIn(-3600),
        Hint::Text("soon".into()),
        Hint::Body("retry after 30s".into()),
        Hint::Body("try again in 1.5 seconds".into()),
        Hint::Body("wait 250000\u{b5}s".into()),
        Hint::Reset(30),
    ];
    let mut conducts: Vec<Conduct> = hints.into_iter().map(Conduct::Throttle).collect();
    conducts.extend([
        Conduct::Fail(500),
        Conduct::Fail(502),
        Conduct::Fail(503),
        Conduct::Unauthorized,
        Conduct::Forbidden,
        Conduct::Vanish,
        Conduct::Truncate,
        Conduct::LoopPages,
    ]);
    for conduct in conducts {
        for flavour in [Flavour::Quay, Flavour::GitLab] {
            let mut world = world(flavour);
            create(&mut world, flavour, false);
            let rule = Rule::new(Target::Pages, conduct.clone()).until(ends);
            world.registry(flavour.public_host()).rules.push(rule);
            world.run_for(Duration::from_secs(590));
            assert_eq!(world.written("semver"), 0, "{flavour:?} {conduct:?}");
            assert_eq!(world.codes("semver"), ["listing-failed"], "{conduct:?}");
            world.run_for(Duration::from_secs(30) + INTERVAL * 2);
            check_found(&world, flavour);
        }
    }
}

#[test]
fn contents_that_are_not_what_they_are_called_are_asked_for_again() {
    for flavour in Flavour::ALL {
        let mut world = world(flavour);
        create(&mut world, flavour, flavour == Flavour::Ecr);
        let target = match world.registries[flavour.public_host()].cdn_host() {
            Some(_) => Target::Elsewhere,
            None => Target::Blobs,
        };
        let rule = Rule::new(target, Conduct::Corrupt).times(1);
        world.registry(flavour.public_host()).rules.push(rule);
        world.run_for(Duration::from_mins(2));
        check_found(&world, flavour);
    }
}

#[test]
fn a_page_that_hangs_while_the_repository_shrinks_decides_nothing_until_it_is_read_whole() {
    let mut world = World::plain();
    let host = Flavour::GitLab.public_host();
    world
        .registries
        .insert(host.to_owned(), Registry::of(Flavour::GitLab, host));
    for n in 0..5000 {
        let name = format!("1.{}.{}", n / 100, n % 100);
        world
            .registry(host)
            .push(REPOSITORY, &name, &ImageSpec::default());
    }
    let ends = Time::from_secs(400);
    let rule = Rule::new(Target::LaterPages, Conduct::Hang).until(ends);
    world.registry(host).rules.push(rule);
    apply(&mut world, Flavour::GitLab, "semver", false);
    world.sync();
    world.run_for(Duration::from_secs(350));
    assert_eq!(
        world.written("semver"),
        0,
        "the first page alone decides nothing"
    );
    world.registry(host).keep_newest_tags(REPOSITORY, 100);
    world.run_for(Duration::from_secs(50) + INTERVAL * 3);
    assert_eq!(world.parameter("semver", "app.tag"), Some("1.49.99"));
    assert_eq!(world.written("semver"), 1);
}

#[test]
fn a_repository_that_shrinks_between_two_pages_is_read_to_its_end() {
    let mut world = world(Flavour::GitLab);
    let host = Flavour::GitLab.public_host();
    let rule = Rule::new(Target::LaterPages, Conduct::Shrink(100)).times(1);
    world.registry(host).rules.push(rule);
    create(&mut world, Flavour::GitLab, false);
    world.run_for(INTERVAL * 3);
    check_found(&world, Flavour::GitLab);
}
