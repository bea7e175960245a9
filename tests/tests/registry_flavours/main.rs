//! The production core against each registry that people use: what is found, what is asked for, and who
//! is shown which credential.

mod contents;
mod faults;
mod logins;

use image_updater_core::time::Time;
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::{Auth, Flavour, ImageSpec, Platform, Registry};
use image_updater_tests::world::{NAMESPACE, World};

const REPOSITORY: &str = "org/app";
const SECRET: &str = "s3cret-canary";
/// What Docker Hub grants by default is less than what the repository of these tests needs at once.
const QUOTA_PLENTY: usize = 10_000;

/// A registry of `flavour` at its public host with a repository of 260 tags: versions, images for two
/// platforms with attestations, and `latest`.
fn world(flavour: Flavour) -> World {
    world_of(World::plain(), flavour)
}

fn world_of(mut world: World, flavour: Flavour) -> World {
    let host = flavour.public_host();
    let mut registry = Registry::of(flavour, host);
    if let Some(quota) = &mut registry.pull_quota {
        (quota.anonymous_max, quota.account_max) = (QUOTA_PLENTY, QUOTA_PLENTY);
    }
    if flavour == Flavour::Ecr {
        registry.issue_password("robot", SECRET, Time::from_secs(43_200));
    }
    for n in 0..250 {
        registry.push(REPOSITORY, &format!("1.{n}.0"), &ImageSpec::default());
    }
    for (day, tag) in [(3, "build-a"), (9, "build-b"), (5, "build-c")] {
        let on = |day: u32, architecture: &str| ImageSpec {
            created: Some(format!("2025-12-{day:02}T00:00:00Z")),
            platform: Platform {
                architecture: architecture.to_owned(),
                ..Platform::default()
            },
        };
        // Newer for another platform counts for nothing.
        let images = [on(day, "amd64"), on(30 - day, "arm64")];
        registry.push_attested(REPOSITORY, tag, &images);
    }
    registry.push_docker(REPOSITORY, "latest", &ImageSpec::default());
    world.registries.insert(host.to_owned(), registry);
    world
}

/// Only `robot` may read.
fn close(world: &mut World, flavour: Flavour) {
    let registry = world.registry(flavour.public_host());
    registry.restrict(REPOSITORY, &["robot"]);
    registry.issue_password("robot", SECRET, Time::from_secs(1_000_000));
    if flavour == Flavour::Plain {
        registry.auth = Auth::bearer(300).with_user("robot", SECRET);
    }
}

fn create(world: &mut World, flavour: Flavour, is_logged_in: bool) {
    let raw = format!("robot:{SECRET}");
    world.credentials.insert("env:CREDENTIAL".into(), raw);
    for strategy in ["semver", "newest", "digest"] {
        apply(world, flavour, strategy, is_logged_in);
    }
    world.sync();
}

/// An application that is named after its strategy.
fn apply(world: &mut World, flavour: Flavour, strategy: &str, is_logged_in: bool) {
    let image = image(flavour);
    let spec = AppSpec::helm(NAMESPACE, strategy);
    let spec = match strategy {
        "semver" => spec.image(&image, "1.0.0"),
        "newest" => spec
            .image(&image, "build-a")
            .strategy("newest-build")
            .annotation("app.allow-tags", "regexp:^build-"),
        _ => spec
            .image_with(&image, "latest", "latest")
            .strategy("digest"),
    };
    let spec = if is_logged_in {
        spec.annotation("app.pull-secret", "env:CREDENTIAL")
    } else {
        spec
    };
    world.apply(&spec);
}

/// The image as people write it.
fn image(flavour: Flavour) -> String {
    match flavour {
        Flavour::DockerHub => format!("docker.io/{REPOSITORY}"),
        Flavour::Plain
        | Flavour::Ghcr
        | Flavour::GitLab
        | Flavour::Harbor
        | Flavour::Quay
        | Flavour::Ecr
        | Flavour::Gar
        | Flavour::Acr => format!("{}/{REPOSITORY}", flavour.public_host()),
    }
}

#[track_caller]
fn check_found(world: &World, flavour: Flavour) {
    let registry = &world.registries[flavour.public_host()];
    let explain = |name| format!("{flavour:?}: {:?}", world.explain(name).images);
    let found = world.parameter("semver", "app.tag");
    assert_eq!(found, Some("1.249.0"), "{}", explain("semver"));
    let found = world.parameter("newest", "app.tag");
    assert_eq!(found, Some("build-b"), "{}", explain("newest"));
    let digest = registry.digest(REPOSITORY, "latest").expect("a digest");
    let expected = format!("latest@{digest}");
    let found = world.parameter("digest", "app.tag");
    assert_eq!(found, Some(expected.as_str()), "{}", explain("digest"));
}
