//! The worlds in which each family of metrics moves.

use std::time::Duration;

use image_updater_core::Settings;
use image_updater_core::schedule::Mode;
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::{Auth, PullQuota};
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, RegistryFault, World};

use crate::readings::total;

/// The image of most of them.
pub(crate) const WEB: &str = "r.test/org/web";

pub(crate) fn two_applications_on_one_repository(mode: Mode) -> World {
    let mut settings = World::settings();
    settings.schedule.mode = mode;
    let mut world = World::new(settings);
    fill(&mut world, 2);
    world.run_for(Duration::from_secs(20));
    world
}

pub(crate) fn answered_with(status: u16, headers: &[(&str, &str)]) -> World {
    let mut world = World::plain();
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    world.registry_faults.insert(
        "r.test".into(),
        RegistryFault::Status(status, headers.collect()),
    );
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(20));
    world
}

pub(crate) fn a_silent_registry() -> World {
    let mut world = World::plain();
    world
        .registry_faults
        .insert("r.test".into(), RegistryFault::Silent);
    world.apply(&AppSpec::helm(NAMESPACE, "web").image(WEB, "1.0.0"));
    world.sync();
    world.run_for(Duration::from_secs(1));
    world
}

/// Two repositories of a registry with tokens.
pub(crate) fn tokens(settings: Settings) -> World {
    let mut world = World::new(settings);
    world.registry("t.test").auth = Auth::bearer(300);
    for name in ["one", "two"] {
        let image = format!("t.test/org/{name}");
        world.push(&image, &["1.0.0", "1.1.0"]);
        world.apply(&AppSpec::helm(NAMESPACE, name).image(&image, "1.0.0"));
    }
    world.sync();
    world.run_for(Duration::from_secs(20));
    world
}

/// A registry that counts pulls by account, asked for a manifest.
pub(crate) fn a_pull_quota() -> World {
    let mut world = World::plain();
    let registry = world.registry("t.test");
    registry.auth = Auth::bearer(300);
    registry.pull_quota = Some(PullQuota {
        anonymous_max: 100,
        account_max: 200,
        window: Duration::from_hours(6),
    });
    world.push("t.test/org/web", &["latest"]);
    let app = AppSpec::helm(NAMESPACE, "web").image_with("t.test/org/web", "latest", "latest");
    world.apply(&app.strategy("digest"));
    world.sync();
    world.run_for(Duration::from_secs(20));
    world
}

/// A tag that is listed, and is not there.
pub(crate) fn a_tag_that_is_missing() -> World {
    let mut world = World::plain();
    world.registry("r.test").push_name("org/web", "1.2.0");
    fill(&mut world, 1);
    world.annotate("web-0", "web.update-strategy", "newest-build");
    world.run_for(INTERVAL * 2);
    world
}

pub(crate) fn refused_logins() -> World {
    let mut world = World::plain();
    world.registry("t.test").auth = Auth::bearer(300).with_user("u", "p");
    world.push("t.test/org/web", &["1.0.0"]);
    world.apply(&AppSpec::helm(NAMESPACE, "web").image("t.test/org/web", "1.0.0"));
    world.sync();
    world.run_for(Duration::from_secs(20));
    let reason = [("reason", "http_401")];
    assert_eq!(total(&world, "registry_jwt_auth_errors_total", &reason), 1);
    assert!(total(&world, "registry_errors_total", &[("kind", "auth_error")]) > 0);
    world
}

pub(crate) fn an_image_that_does_not_run() -> World {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0"]);
    let mut object = AppSpec::helm(NAMESPACE, "web")
        .image(WEB, "1.0.0")
        .to_json();
    object["status"]["summary"]["images"] = serde_json::json!(["other.test/x:1"]);
    world.apply_json(&object);
    world.sync();
    world.run_for(Duration::from_secs(20));
    world
}

pub(crate) fn a_cap_per_repository() -> World {
    let mut settings = World::settings();
    settings.schedule.per_repo_cap = 1;
    settings.schedule.cooldown = INTERVAL * 2;
    let mut world = World::new(settings);
    fill(&mut world, 3);
    world.run_for(INTERVAL * 2);
    for reason in ["per-repo-cap", "cooldown"] {
        let skipped = total(&world, "scheduler_skipped_total", &[("reason", reason)]);
        assert!(skipped > 0, "{reason}");
    }
    world
}

pub(crate) fn a_denied_patch() -> World {
    let mut world = World::plain();
    world.api_faults.push_back(ApiFault::Denied);
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(20));
    assert_eq!(total(&world, "images_updated_total", &[]), 0);
    assert_eq!(total(&world, "images_errors_total", &[]), 1);
    world
}

/// Something of everything.
pub(crate) fn life(settings: Settings) -> World {
    let mut world = tokens(settings);
    fill(&mut world, 5);
    world.api_faults.push_back(ApiFault::Transient);
    world.run_for(INTERVAL);
    world
        .registry_faults
        .insert("r.test".into(), RegistryFault::Status(503, Vec::new()));
    world.run_for(INTERVAL * 3);
    world
}

/// Applications `web-0` and so on with one image each, of one repository with a newer tag.
pub(crate) fn fill(world: &mut World, n: usize) {
    world.push(WEB, &["1.0.0", "1.1.0"]);
    for idx in 0..n {
        world.apply(&AppSpec::helm(NAMESPACE, &format!("web-{idx}")).image(WEB, "1.0.0"));
    }
    world.sync();
}
