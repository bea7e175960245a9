//! The production core against each registry that people use: what is found, what is asked for, and who
//! is shown which credential.

use std::time::Duration;

use image_updater_core::credential::CredentialSource;
use image_updater_core::registry::EndpointSettings;
use image_updater_core::time::Time;
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::{
    Auth, Conduct, Flavour, Hint, ImageSpec, Platform, Registry, Rule, Target,
};
use image_updater_tests::world::{INTERVAL, NAMESPACE, World};

const REPOSITORY: &str = "org/app";
const SECRET: &str = "s3cret-canary";
/// What Docker Hub grants by default is less than what the repository of these tests needs at once.
const QUOTA_PLENTY: usize = 10_000;

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
fn a_private_repository_opens_to_its_reader_and_nobody_else_sees_the_credential() {
    for flavour in Flavour::ALL {
        let mut world = world(flavour);
        close(&mut world, flavour);
        create(&mut world, flavour, true);
        world.run_for(Duration::from_mins(1));
        check_found(&world, flavour);
        let registry = &world.registries[flavour.public_host()];
        assert_eq!(registry.ledger.leaks, [], "{flavour:?}");
        let host = registry.host.clone();
        let expected = match flavour {
            Flavour::Ecr => vec![(host, "Basic".to_owned())],
            Flavour::Plain
            | Flavour::DockerHub
            | Flavour::Ghcr
            | Flavour::GitLab
            | Flavour::Harbor
            | Flavour::Quay
            | Flavour::Gar
            | Flavour::Acr => vec![
                (host, "Bearer".to_owned()),
                (registry.token_host(), "Basic".to_owned()),
            ],
        };
        let shown: Vec<_> = world.shown.iter().cloned().collect();
        let mut expected = expected;
        expected.sort();
        assert_eq!(shown, expected, "{flavour:?}");
    }
}

#[test]
fn a_private_repository_stays_shut_to_others_and_is_not_hammered() {
    for flavour in Flavour::ALL {
        for (is_logged_in, password) in [(false, ""), (true, "wrong")] {
            let mut world = world(flavour);
            close(&mut world, flavour);
            create(&mut world, flavour, is_logged_in);
            world
                .credentials
                .insert("env:CREDENTIAL".into(), format!("robot:{password}"));
            world.run_for(INTERVAL * 5);
            for name in ["semver", "newest", "digest"] {
                assert_eq!(world.written(name), 0, "{flavour:?} {name}");
            }
            let codes = world.codes("semver");
            assert_eq!(codes, ["listing-failed"], "{flavour:?} {password}");
            let registry = &world.registries[flavour.public_host()];
            assert_eq!(registry.ledger.leaks, [], "{flavour:?}");
            assert_eq!(registry.served.while_banned, 0, "{flavour:?}");
            let peak = registry.ledger.failed_logins_peak(Duration::from_mins(3));
            assert!(peak < 15, "{flavour:?}: {peak} failed logins in 3 minutes");
        }
    }
}

#[test]
fn a_cloud_password_that_ends_is_read_anew_and_nothing_stops() {
    let flavour = Flavour::Ecr;
    let mut world = world(flavour);
    let host = flavour.public_host();
    world.registry(host).auth = Auth::Basic(std::collections::BTreeMap::new());
    let hour = Duration::from_hours(1);
    let mut now = Time::ZERO;
    create(&mut world, flavour, true);
    // A new password every six hours, each of which holds for twelve; the helper of the cloud gives the
    // latest, and rotates in the middle between two checks.
    for n in 0..4 {
        let password = format!("{SECRET}-{n}");
        let ends = now.after(hour * 12);
        world.registry(host).issue_password("AWS", &password, ends);
        let raw = format!("AWS:{password}");
        world.credentials.insert("env:CREDENTIAL".into(), raw);
        world.run_for(hour * 6);
        now = now.after(hour * 6);
        let tag = format!("2.{n}.0");
        world
            .registry(host)
            .push(REPOSITORY, &tag, &ImageSpec::default());
        world.run_for(INTERVAL * 2);
        now = now.after(INTERVAL * 2);
        assert_eq!(world.parameter("semver", "app.tag"), Some(tag.as_str()));
    }
    let served = world.registries[host].served;
    assert_eq!(served.failed_logins, 0, "{served:?}");
}

#[test]
fn a_refresh_token_that_was_volunteered_is_used_and_given_up_when_it_is_revoked() {
    let flavour = Flavour::Acr;
    let host = flavour.public_host();
    let mut world = world(flavour);
    close(&mut world, flavour);
    create(&mut world, flavour, true);
    world.run_for(Duration::from_hours(2));
    let tokens = world.registries[host].served.tokens;
    assert!(tokens >= 2, "{tokens}");
    world.registry(host).revoke_refresh_tokens();
    world.registry(host).revoke_tokens();
    world
        .registry(host)
        .push(REPOSITORY, "2.0.0", &ImageSpec::default());
    world.run_for(INTERVAL * 3);
    assert_eq!(world.parameter("semver", "app.tag"), Some("2.0.0"));
    let served = world.registries[host].served;
    assert!(served.failed_logins <= 1, "{served:?}");
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
fn a_challenge_for_a_token_goes_before_one_for_a_password() {
    for flavour in [Flavour::Harbor, Flavour::Quay] {
        let mut world = world(flavour);
        close(&mut world, flavour);
        let basic = "Basic realm=\"r\"".to_owned();
        world
            .registry(flavour.public_host())
            .other_challenges
            .push(basic);
        create(&mut world, flavour, true);
        world.run_for(Duration::from_mins(1));
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

#[test]
fn a_password_that_ends_unannounced_costs_one_round_at_most() {
    let flavour = Flavour::Ecr;
    let host = flavour.public_host();
    let hour = Duration::from_hours(1);
    let mut settings = World::settings();
    settings.registry.endpoints.push(EndpointSettings {
        credentials: CredentialSource::parse("ext:/bin/login").ok(),
        ..EndpointSettings::new(host, format!("https://{host}"))
    });
    let mut world = world_of(World::new(settings), flavour);
    let now = Time::ZERO.after(hour * 12);
    let give = |world: &mut World, password: &str| {
        let raw = format!("AWS:{password}");
        world.credentials.insert("ext:/bin/login".into(), raw);
    };
    world.registry(host).issue_password("AWS", "first", now);
    world
        .registry(host)
        .issue_password("AWS", "second", now.after(hour * 12));
    give(&mut world, "first");
    for strategy in ["semver", "newest", "digest"] {
        apply(&mut world, flavour, strategy, false);
    }
    world.sync();
    world.run_for(hour * 12 - Duration::from_secs(1));
    check_found(&world, flavour);
    give(&mut world, "second");
    world
        .registry(host)
        .push(REPOSITORY, "2.0.0", &ImageSpec::default());
    world.run_for(INTERVAL * 2 + Duration::from_secs(5));
    assert_eq!(world.parameter("semver", "app.tag"), Some("2.0.0"));
    let served = world.registries[host].served;
    assert!(served.failed_logins <= 5, "{served:?}");
}

#[test]
fn the_clocks_of_token_servers_do_not_matter() {
    for skew_s in [-86_400, 86_400] {
        let flavour = Flavour::DockerHub;
        let host = flavour.public_host();
        let mut world = world(flavour);
        create(&mut world, flavour, false);
        let rule = Rule::new(Target::Tokens, Conduct::SkewIssuedAt(skew_s));
        world.registry(host).rules.push(rule);
        world.run_for(Duration::from_hours(1));
        check_found(&world, flavour);
        let served = world.registries[host].served;
        assert_eq!(
            served.refused, 1,
            "only the first request comes without a token"
        );
        assert!(served.tokens <= 16, "{served:?}");
    }
}

#[test]
fn many_repositories_with_one_wrong_password_do_not_get_the_address_banned() {
    let flavour = Flavour::GitLab;
    let host = flavour.public_host();
    let mut world = World::plain();
    world
        .registries
        .insert(host.to_owned(), Registry::of(flavour, host));
    world
        .credentials
        .insert("env:CREDENTIAL".into(), "robot:wrong".into());
    for n in 0..60 {
        let repository = format!("org/app{n}");
        world
            .registry(host)
            .push(&repository, "1.0.0", &ImageSpec::default());
        let image = format!("{host}/{repository}");
        let spec = AppSpec::helm(NAMESPACE, &format!("app-{n}")).image(&image, "1.0.0");
        world.apply(&spec.annotation("pull-secret", "env:CREDENTIAL"));
    }
    world.sync();
    world.run_for(Duration::from_mins(30));
    let registry = &world.registries[host];
    let peak = registry.ledger.failed_logins_peak(Duration::from_mins(3));
    assert!(peak < 15, "{peak} failed logins in 3 minutes");
    assert_eq!(registry.served.while_banned, 0);
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
