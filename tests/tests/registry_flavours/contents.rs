//! What is found, and what it costs.

use std::time::Duration;

use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::{Flavour, ImageSpec, Registry};
use image_updater_tests::world::{INTERVAL, NAMESPACE, World};

use super::{REPOSITORY, apply, check_found, create, world};

#[test]
fn every_registry_serves_every_strategy() {
    for flavour in Flavour::ALL {
        let mut world = world(flavour);
        let is_closed = flavour == Flavour::Ecr;
        create(&mut world, flavour, is_closed);
        world.run_for(Duration::from_mins(1));
        check_found(&world, flavour);
        let registry = &world.registries[flavour.public_host()];
        assert_eq!(registry.ledger.leaks, [], "{flavour:?}");
        assert_eq!(registry.served.failed_logins, 0, "{flavour:?}");
        assert_eq!(registry.served.listings, 1, "{flavour:?}: shared by all");
        let n_pages = match flavour {
            Flavour::Plain | Flavour::DockerHub | Flavour::Harbor | Flavour::Gar | Flavour::Ecr => {
                1
            }
            Flavour::Ghcr | Flavour::GitLab | Flavour::Acr => 3,
            Flavour::Quay => 6,
        };
        assert_eq!(registry.served.tag_pages, n_pages, "{flavour:?}");
    }
}

#[test]
fn the_pull_quota_of_docker_hub_is_kept_in_the_steady_state() {
    let flavour = Flavour::DockerHub;
    let host = flavour.public_host();
    let mut world = world(flavour);
    create(&mut world, flavour, false);
    world.run_for(Duration::from_mins(10));
    let first = world.registries[host].served;
    world.run_for(Duration::from_hours(6));
    let then = world.registries[host].served;
    assert_eq!(
        then.pulls, first.pulls,
        "what is known is asked for by HEAD"
    );
    assert!(then.heads > first.heads);
    assert_eq!(then.throttled, 0);
}

#[test]
fn one_application_under_digest_costs_one_pull_however_often_it_is_checked() {
    let flavour = Flavour::DockerHub;
    let host = flavour.public_host();
    let mut world = world(flavour);
    world.registry(host).pull_quota = Registry::of(flavour, host).pull_quota;
    apply(&mut world, flavour, "digest", false);
    world.sync();
    world.run_for(Duration::from_hours(6));
    let served = world.registries[host].served;
    assert_eq!((served.throttled, served.pulls), (0, 1), "{served:?}");
}

#[test]
fn images_of_every_form_are_dated() {
    let mut world = World::plain();
    let host = Flavour::Quay.public_host();
    world
        .registries
        .insert(host.to_owned(), Registry::of(Flavour::Quay, host));
    let on = |day: u32| ImageSpec::created(format!("2025-12-{day:02}T00:00:00Z"));
    let registry = world.registry(host);
    registry.push(REPOSITORY, "build-oci", &on(1));
    registry.push_docker(REPOSITORY, "build-docker", &on(2));
    registry.push_schema_1(REPOSITORY, "build-schema-1", &on(3));
    registry.push_index(REPOSITORY, "build-index", &[on(4)]);
    registry.push_docker_list(REPOSITORY, "build-list", &[on(5)]);
    registry.push_attested(REPOSITORY, "build-attested", &[on(6)]);
    registry.push_nested(REPOSITORY, "build-nested", &[on(7)]);
    let newest_first = [
        "nested", "attested", "list", "index", "schema-1", "docker", "oci",
    ];
    let image = format!("{host}/{REPOSITORY}");
    let spec = AppSpec::helm(NAMESPACE, "newest").image(&image, "build-0");
    let spec = spec.annotation("app.allow-tags", "regexp:^build-");
    world.apply(&spec.strategy("newest-build"));
    world.sync();
    for form in newest_first {
        world.run_for(INTERVAL * 2);
        let tag = format!("build-{form}");
        assert_eq!(world.parameter("newest", "app.tag"), Some(tag.as_str()));
        world.registry(host).delete_tag(REPOSITORY, &tag);
    }
}

#[test]
fn a_quota_that_is_used_up_is_not_hammered() {
    let flavour = Flavour::DockerHub;
    let host = flavour.public_host();
    let mut world = world(flavour);
    world.registry(host).pull_quota = Registry::of(flavour, host).pull_quota;
    for n in 0..300 {
        let name = format!("build-{n:03}");
        world
            .registry(host)
            .push(REPOSITORY, &name, &ImageSpec::default());
    }
    apply(&mut world, flavour, "newest", false);
    world.sync();
    world.run_for(Duration::from_hours(1));
    let served = world.registries[host].served;
    assert!(served.throttled < 100, "{served:?}");
    assert_eq!(
        world.written("newest"),
        0,
        "what is not known decides nothing"
    );
}
