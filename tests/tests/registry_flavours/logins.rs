//! Credentials: who is shown them, when they end, and what refusals cost.

use std::collections::BTreeMap;
use std::time::Duration;

use image_updater_core::credential::CredentialSource;
use image_updater_core::registry::EndpointSettings;
use image_updater_core::time::Time;
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::{Auth, Conduct, Flavour, ImageSpec, Registry, Rule, Target};
use image_updater_tests::world::{INTERVAL, NAMESPACE, World};

use super::{REPOSITORY, SECRET, apply, check_found, close, create, world, world_of};

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
            // The last check is over, too, with its reading of the credential.
            world.run_for(INTERVAL * 5 + Duration::from_secs(1));
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
    world.registry(host).auth = Auth::Basic(BTreeMap::new());
    world.is_audited = false;
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
fn a_password_that_ends_unannounced_costs_one_round_at_most() {
    let flavour = Flavour::Ecr;
    let host = flavour.public_host();
    let hour = Duration::from_hours(1);
    let mut settings = World::settings();
    settings.registry.endpoints.push(EndpointSettings {
        credentials: CredentialSource::parse("ext:/bin/login").ok(),
        ..EndpointSettings::inferred(host)
    });
    let mut world = world_of(World::new(settings), flavour);
    world.is_audited = false;
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
    world.run_for(Duration::from_secs(12 * 3600 - 1));
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
