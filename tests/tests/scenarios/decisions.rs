//! Re-decisions and explanations: what is decided from what is kept, and how it is told.

use std::time::Duration;

use image_updater_core::event::RunEnd;
use image_updater_core::event::{Event, RunKind};
use image_updater_core::schedule::Mode;
use image_updater_fixtures::AppSpec;
use image_updater_tests::world::{INTERVAL, NAMESPACE, RegistryFault, World};
use serde_json::json;

const WEB: &str = "r.test/org/web";

/// A code, the tag that runs, and annotations that lead to it.
type Case<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

#[test]
fn an_edited_annotation_decides_at_once_without_any_request() {
    let mut world = world_of(1);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.codes("web-0"), ["up-to-date"]);
    let (requests, checks) = (world.requests.len(), world.checks("web-0"));
    world.annotate("web-0", "image-list", "web=r.test/org/web:*-0");
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.parameter("web-0", "web.tag"), Some("1.2.0-rc.1"));
    assert_eq!(world.requests.len(), requests, "no call of its own");
    assert_eq!(world.checks("web-0"), checks, "no attempt");
    assert_eq!(world.redecided("web-0"), 1);
}

#[test]
fn a_changed_listing_decides_for_all_users_at_once_and_counts_as_nobodys_check() {
    let mut settings = World::settings();
    // Neither cooldown nor the cap holds re-decisions back.
    settings.schedule.cooldown = Duration::from_hours(1);
    settings.schedule.per_repo_cap = 1;
    settings.schedule.start_spread = INTERVAL;
    let mut world = World::new(settings);
    fill(&mut world, 50);
    world.run_for(INTERVAL * 2);
    let checks: Vec<usize> = (0..50).map(|n| world.checks(&format!("web-{n}"))).collect();
    let listings = world.listings("r.test");
    world.push(WEB, &["1.1.0"]);
    while world.listings("r.test") == listings {
        world.run_for(Duration::from_millis(100));
    }
    world.run_for(Duration::from_secs(2));
    let written = world.count(|event| matches!(event, Event::Written { .. }));
    assert_eq!(written, 50, "one lookup serves all");
    let after: usize = (0..50).map(|n| world.checks(&format!("web-{n}"))).sum();
    let before: usize = checks.iter().sum();
    assert!(
        after - before <= 5,
        "{before} {after}: only those whose own clock struck"
    );
}

#[test]
fn an_unchanged_listing_decides_nothing_again() {
    let mut world = world_of(20);
    world.run_for((INTERVAL * 5).saturating_sub(Duration::from_secs(1)));
    assert_eq!(
        world.count(|event| matches!(event, Event::Redecided { .. })),
        0
    );
    // A check and a listing per interval, and one decision per check.
    let checks = world.count(|event| matches!(event, Event::CheckStarted { .. }));
    assert_eq!(
        world.core.stats().decisions,
        u64::try_from(checks).expect("a small number")
    );
}

#[test]
fn nobody_is_decided_again_before_its_first_check() {
    let mut settings = World::settings();
    settings.schedule.start_spread = Duration::from_secs(100);
    let mut world = World::new(settings);
    fill(&mut world, 3);
    for n in 0..3 {
        world.annotate(&format!("web-{n}"), "web.allow-tags", "any");
    }
    let checks = world.count(|event| matches!(event, Event::CheckStarted { .. }));
    assert_eq!(checks, 0);
    assert_eq!(world.core.stats().runs, 0);
}

#[test]
fn the_warm_up_writes_nothing_and_does_not_count() {
    for mode in [Mode::Cycle, Mode::Continuous] {
        let mut settings = World::settings();
        settings.schedule.mode = mode;
        settings.schedule.warmup = true;
        settings.schedule.start_spread = Duration::from_mins(1);
        let mut world = World::new(settings);
        world
            .registry_faults
            .insert("r.test".into(), RegistryFault::Slow(Duration::from_secs(5)));
        world.push(WEB, &["2.0.0"]);
        fill(&mut world, 3);
        world.run_for(Duration::from_secs(2));
        world.annotate("web-0", "image-list", "web=r.test/org/web:2");
        let is_warm = |event: &Event| {
            matches!(
                event,
                Event::CheckFinished {
                    is_warmup: true,
                    ..
                }
            )
        };
        while world.count(is_warm) < 3 {
            assert!(world.patches.is_empty(), "{mode:?}");
            world.run_for(Duration::from_millis(10));
        }
        world.run_for(Duration::from_secs(90));
        for n in 0..3 {
            let name = format!("web-{n}");
            assert_eq!(world.parameter(&name, "web.tag"), Some("2.0.0"), "{mode:?}");
            let real = |event: &Event| matches!(event, Event::CheckStarted { key, is_warmup: false } if *key.name == *name);
            assert_eq!(
                world.count(real),
                1,
                "{mode:?}: its first check is still due"
            );
        }
        assert_eq!(
            world.listings("r.test"),
            1,
            "{mode:?}: the warm-up has filled the cache"
        );
    }
}

#[test]
fn an_edit_between_warm_up_and_first_check_waits_for_that_check() {
    let mut settings = World::settings();
    settings.schedule.warmup = true;
    settings.schedule.start_spread = Duration::from_secs(100);
    let mut world = World::new(settings);
    fill(&mut world, 1);
    world.run_for(Duration::from_millis(100));
    let last = world.explain("web-0").last_run.expect("it was warmed up");
    assert_eq!(last.kind, RunKind::Warmup);
    world.annotate("web-0", "image-list", "web=r.test/org/web:*-0");
    world.run_for(Duration::from_secs(100));
    assert_eq!(world.redecided("web-0"), 0);
    assert_eq!(world.parameter("web-0", "web.tag"), Some("1.2.0-rc.1"));
}

#[test]
fn method_git_says_that_it_is_not_built() {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.apply(&web("web-0").annotation("write-back-method", "git"));
    world.sync();
    world.run_for(INTERVAL * 3);
    let explanation = world.explain("web-0");
    assert_eq!(
        explanation.refusal.expect("a refusal").code(),
        "git-not-built"
    );
    assert_eq!(world.codes("web-0"), ["git-not-built"]);
    let refused = |event: &Event| {
        matches!(event, Event::WriteRefused { refusal, .. }
        if refusal.to_string().contains("git is not built"))
    };
    assert_eq!(world.count(refused), 1, "said once, not at every check");
    assert!(world.patches.is_empty());
    assert_eq!(explanation.last_run.expect("it ran").end, RunEnd::Failure);
    world.annotate("web-0", "write-back-method", "argocd");
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.written("web-0"), 1);
    assert!(world.explain("web-0").refusal.is_none());
}

#[test]
fn every_kind_of_outcome_has_its_code() {
    let list = |constraint: &str| format!("web=r.test/org/web{constraint}");
    let cases: [Case<'_>; 17] = [
        ("updated", "1.0.0", &[]),
        ("up-to-date", "1.1.0", &[]),
        (
            "none-in-constraint",
            "1.0.0",
            &[("image-list", &list(":~7"))],
        ),
        (
            "invalid-constraint",
            "1.0.0",
            &[("image-list", &list(":>>1"))],
        ),
        ("running-tag-not-a-version", "stable", &[]),
        (
            "no-tag-allowed",
            "1.0.0",
            &[("web.allow-tags", "regexp:^none$")],
        ),
        (
            "no-constraint-tag",
            "1.0.0",
            &[("web.update-strategy", "digest")],
        ),
        (
            "tag-not-found",
            "1.0.0",
            &[
                ("web.update-strategy", "digest"),
                ("image-list", &list(":gone")),
            ],
        ),
        (
            "invalid-option",
            "1.0.0",
            &[("web.update-strategy", "newest")],
        ),
        (
            "not-live",
            "1.0.0",
            &[("image-list", "web=r.test/org/other")],
        ),
        (
            "listing-failed",
            "1.0.0",
            &[
                ("force-update", "true"),
                ("web.force-update", "true"),
                ("image-list", "web=none.test/org/web"),
            ],
        ),
        (
            "write-back-method-unsupported",
            "1.0.0",
            &[("write-back-method", "ftp")],
        ),
        ("git-not-built", "1.0.0", &[("write-back-method", "git")]),
        (
            "invalid-git-branch",
            "1.0.0",
            &[("write-back-method", "git"), ("git-branch", "a:b:c")],
        ),
        (
            "no-versions",
            "1.0.0",
            &[("web.allow-tags", "regexp:^latest$")],
        ),
        (
            "updated",
            "1.0.0",
            &[("web.update-strategy", "newest-build")],
        ),
        (
            "updated",
            "1.0.0",
            &[("web.update-strategy", "alphabetical")],
        ),
    ];
    for (code, live, annotations) in cases {
        let mut world = World::plain();
        world.push(WEB, &["1.0.0", "1.1.0", "latest"]);
        let mut spec = AppSpec::helm(NAMESPACE, "web-0").image(WEB, live);
        for (key, value) in annotations {
            spec = spec.annotation(key, value);
        }
        world.apply(&spec);
        world.sync();
        world.run_for(Duration::from_secs(100));
        assert_eq!(world.codes("web-0"), [code], "{annotations:?}");
    }
}

#[test]
fn a_write_that_does_not_run_yet_is_told_as_such() {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.apply(&web("web-0"));
    world.sync();
    world.run_for(INTERVAL + Duration::from_secs(1));
    assert_eq!(world.codes("web-0"), ["already-in-spec"]);
    world.edit("web-0", |object| {
        object["status"]["summary"]["images"] = json!(["r.test/org/web:1.1.0"]);
    });
    world.run_for(INTERVAL);
    assert_eq!(world.codes("web-0"), ["up-to-date"]);
}

#[test]
fn an_application_that_argo_cd_tells_of_for_the_first_time_is_decided_at_once() {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0", "1.1.0"]);
    let mut object = web("web-0").to_json();
    object["status"]["summary"]["images"] = json!([]);
    world.apply_json(&object);
    world.sync();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.codes("web-0"), ["not-live"]);
    world.edit("web-0", |object| {
        object["status"]["summary"]["images"] = json!(["r.test/org/web:1.0.0"]);
    });
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.written("web-0"), 1);
}

fn web(name: &str) -> AppSpec {
    AppSpec::helm(NAMESPACE, name).image(WEB, "1.0.0")
}

fn fill(world: &mut World, n: usize) {
    world.push(WEB, &["1.0.0", "1.2.0-rc.1"]);
    for n in 0..n {
        world.apply(&web(&format!("web-{n}")));
    }
    world.sync();
}

fn world_of(n: usize) -> World {
    let mut world = World::plain();
    fill(&mut world, n);
    world
}
