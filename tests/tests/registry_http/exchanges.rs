//! What is exchanged: listings, dates, digests, passwords, tokens, pages.

use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::{Auth, ImageSpec};
use image_updater_sim::wire::{Conduct, Port};
use image_updater_tests::servers::{DockerRegistry, Setup};

use crate::stand::{Stand, conf, image, requests};

const OLD: &str = "2026-01-02T03:04:05Z";
const NEW: &str = "2026-02-02T03:04:05Z";
const NEWEST: &str = "2026-03-02T03:04:05Z";

#[test]
fn anonymous_registry_with_many_tags_is_read_whole() {
    let Some(registry) = DockerRegistry::start(Setup::Open) else {
        return;
    };
    registry.push_image("team/web", "1.0.0", OLD, "linux/amd64");
    for minor in 1..=130 {
        registry.copy_tag("team/web", "1.0.0", &format!("1.{minor}.0"));
    }
    registry.copy_tag("team/web", "1.0.0", "latest");
    let stand = Stand::new(0);
    stand.apply(&AppSpec::helm("argocd", "web").image(&image(&registry, "team/web"), "1.0.0"));
    let program = stand.start(&conf(&registry.url, ""), &[]);
    stand.expect_tag(&program, "1.130.0");
    let told = ["update from 1.0.0 to 1.130.0", "reason=updated"];
    program.expect_line(&told);
    program.finish();
}

#[test]
fn basic_credentials_open_a_registry() {
    let Some(registry) = DockerRegistry::start(Setup::User("robot", "s3cret:word")) else {
        return;
    };
    push_two(&registry);
    let stand = Stand::new(0);
    stand.wire.with_world(|world| {
        world
            .cluster
            .put_secret("argocd", "login", "creds", "robot:s3cret:word");
    });
    stand.apply(&AppSpec::helm("argocd", "web").image(&image(&registry, "web"), "1.0.0"));
    let conf = conf(&registry.url, "  credentials: secret:argocd/login#creds\n");
    let program = stand.start(&conf, &["--loglevel=trace"]);
    stand.expect_tag(&program, "1.1.0");
    let log = program.finish();
    assert!(!log.contains("s3cret"), "{log}");
}

#[test]
fn wrong_password_is_told_with_advice_and_the_registry_not_hammered() {
    let Some(registry) = DockerRegistry::start(Setup::User("robot", "s3cret:word")) else {
        return;
    };
    push_two(&registry);
    let stand = Stand::new(0);
    stand.wire.with_world(|world| {
        world
            .cluster
            .put_secret("argocd", "login", "creds", "robot:wrong");
    });
    stand.apply(&AppSpec::helm("argocd", "web").image(&image(&registry, "web"), "1.0.0"));
    let conf = conf(&registry.url, "  credentials: secret:argocd/login#creds\n");
    let program = stand.start(&conf, &[]);
    program.expect_line(&[
        "level=error",
        "application=web",
        "reason=listing-failed",
        registry.host(),
        "check the credentials for this registry and their rights",
    ]);
    program.expect_lines(3, &["check finished", "application=web", "end=failure"]);
    let log = program.finish();
    let n_checks = log.matches("msg=\"check started\"").count();
    let n_asked = requests(&registry, "GET /v2/web/tags/list");
    assert!(
        (1..=n_checks + 1).contains(&n_asked),
        "{n_asked} requests in {n_checks} checks: one each, and the first without credentials"
    );
    assert!(!log.contains("robot:wrong"), "{log}");
}

#[test]
fn newest_build_is_the_newest_that_has_the_wanted_platform() {
    let Some(registry) = DockerRegistry::start(Setup::Open) else {
        return;
    };
    registry.push_image("web", "build-a", OLD, "linux/arm64");
    registry.push_index(
        "web",
        "build-b",
        &[("linux/amd64", OLD), ("linux/arm64", NEW)],
    );
    registry.push_image("web", "build-c", NEWEST, "linux/amd64");
    let stand = Stand::new(0);
    let app = AppSpec::helm("argocd", "web")
        .image(&image(&registry, "web"), "build-a")
        .strategy("newest-build")
        .annotation("web.platforms", "linux/arm64");
    stand.apply(&app);
    let program = stand.start(&conf(&registry.url, ""), &[]);
    stand.expect_tag(&program, "build-b");

    // What was learnt of a tag is kept: another check reads no config again.
    program.expect_checks("web", 1);
    let n_blobs = requests(&registry, "GET /v2/web/blobs/");
    program.expect_checks("web", 1);
    assert!(n_blobs > 0, "dates stand in blobs");
    let again = requests(&registry, "GET /v2/web/blobs/");
    assert_eq!(again, n_blobs, "blobs do not change");

    registry.push_image("web", "build-d", NEWEST, "linux/arm64");
    stand.expect_tag(&program, "build-d");
    program.finish();
}

#[test]
fn tag_that_moves_is_followed_by_its_digest() {
    let Some(registry) = DockerRegistry::start(Setup::Open) else {
        return;
    };
    let first = registry.push_image("web", "1.0.0", OLD, "linux/amd64");
    registry.copy_tag("web", "1.0.0", "stable");
    let stand = Stand::new(0);
    let app = AppSpec::helm("argocd", "web")
        .image_with(&image(&registry, "web"), "stable", "stable")
        .strategy("digest");
    stand.apply(&app);
    // A tag that moves shows in no listing.
    let program = stand.start(&conf(&registry.url, ""), &[]);
    stand.expect_tag(&program, &format!("stable@{first}"));

    let second = registry.push_index(
        "web",
        "1.1.0",
        &[("linux/amd64", NEW), ("linux/arm64", NEW)],
    );
    registry.copy_tag("web", "1.1.0", "stable");
    stand.expect_tag(&program, &format!("stable@{second}"));
    program.finish();
}

#[test]
fn tokens_are_fetched_once_and_again_when_they_expire() {
    for (ttl_s, is_renewed) in [(3600, false), (3, true)] {
        let stand = Stand::new(1);
        stand.wire.with_world(|world| {
            let registry = &mut world.registries[0];
            registry.auth = Auth::bearer(ttl_s).with_user("robot", "s3cret");
            for tag in ["1.0.0", "1.1.0"] {
                registry.push("team/web", tag, &ImageSpec::default());
            }
            world
                .cluster
                .put_secret("argocd", "login", "creds", "robot:s3cret");
        });
        let image = format!("{}/team/web", stand.wire.registry_host(0));
        stand.apply(&AppSpec::helm("argocd", "web").image(&image, "1.0.0"));
        let conf = conf(
            &stand.wire.registry_url(0),
            "  credentials: secret:argocd/login#creds\n",
        );
        let program = stand.start(&conf, &["--loglevel=trace"]);
        stand.expect_tag(&program, "1.1.0");
        program.expect_checks("web", 3);
        let log = program.finish();
        let served = stand.wire.with_world(|world| world.registries[0].served);
        assert!(served.listings > 3, "{served:?}");
        assert_eq!(served.tokens > 1, is_renewed, "{ttl_s} s: {served:?}");
        assert!(served.tokens < served.listings, "{served:?}");
        assert!(!log.contains("token-1"), "{log}");
        assert!(!log.contains("level=error"), "{log}");
    }
}

#[test]
fn pages_of_tags_are_followed_to_the_last() {
    let stand = Stand::new(1);
    stand.wire.with_world(|world| {
        let registry = &mut world.registries[0];
        registry.page_tags_max = 50;
        for minor in 0..=120 {
            let tag = format!("1.{minor}.0");
            registry.push("team/web", &tag, &ImageSpec::default());
        }
    });
    let image = format!("{}/team/web", stand.wire.registry_host(0));
    stand.apply(&AppSpec::helm("argocd", "web").image(&image, "1.0.0"));
    let conf = conf(&stand.wire.registry_url(0), "");
    let program = stand.start(&conf, &["--interval=10m"]);
    stand.expect_tag(&program, "1.120.0");
    program.finish();
    let served = stand.wire.with_world(|world| world.registries[0].served);
    assert_eq!((served.listings, served.tag_pages), (1, 3), "{served:?}");
}

#[test]
fn registry_that_is_down_is_an_error_with_advice_until_it_is_back() {
    let stand = Stand::new(1);
    stand.wire.with_world(|world| {
        for tag in ["1.0.0", "1.1.0"] {
            world.registries[0].push("web", tag, &ImageSpec::default());
        }
    });
    stand.wire.switch(Port::Registry(0), Conduct::Down);
    let host = stand.wire.registry_host(0);
    stand.apply(&AppSpec::helm("argocd", "web").image(&format!("{host}/web"), "1.0.0"));
    let program = stand.start(&conf(&stand.wire.registry_url(0), ""), &[]);
    program.expect_line(&[
        "level=error",
        "application=web",
        "reason=listing-failed",
        &host,
        "check the registry's address, port and certificate",
    ]);
    stand.wire.switch(Port::Registry(0), Conduct::Serving);
    stand.expect_tag(&program, "1.1.0");
    program.finish();
}

fn push_two(registry: &DockerRegistry) {
    for tag in ["1.0.0", "1.1.0"] {
        registry.push_image("web", tag, OLD, "linux/amd64");
    }
}
