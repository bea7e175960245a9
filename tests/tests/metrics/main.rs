//! Metrics as users read them: every family moves, nothing mentions what is gone, the text can be read back
//! (`registry.md` 11, `ops.md` 16).

mod readings;
mod worlds;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use image_updater_core::Settings;
use image_updater_core::metrics::{FAMILIES, FamilyType, Value};
use image_updater_core::schedule::Mode;
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::Auth;
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, RegistryFault, World};

use readings::{PREFIX, applications, bucket, lines, text, total};
use worlds::{
    a_cap_per_repository, a_denied_patch, a_pull_quota, a_silent_registry, a_tag_that_is_missing,
    an_image_that_does_not_run, answered_with, fill, life, refused_logins, tokens,
    two_applications_on_one_repository,
};

/// Families that are there, and that the client of the Argo CD API will move.
const OF_ARGOCD: [&str; 2] = ["argocd_api_errors_total", "argocd_api_requests_total"];

type Scenario = fn() -> World;

#[test]
fn every_family_moves() {
    let table: &[(Scenario, &[&str])] = &[
        (
            || two_applications_on_one_repository(Mode::Continuous),
            &[
                "application_last_attempt_timestamp",
                "application_last_success_timestamp",
                "application_update_duration_seconds",
                "applications_watched_total",
                "images_considered_total",
                "images_updated_total",
                "images_watched_total",
                "k8s_api_requests_total",
                "registry_http_status_total",
                "registry_request_duration_seconds",
                "registry_requests_total",
                "singleflight_followers_total",
                "singleflight_leaders_total",
                "update_cycle_last_end_timestamp",
            ],
        ),
        (
            || two_applications_on_one_repository(Mode::Cycle),
            &["update_cycle_duration_seconds"],
        ),
        (
            || answered_with(503, &[]),
            &[
                "images_errors_total",
                "registry_errors_total",
                "registry_request_retries_total",
                "registry_requests_failed_total",
            ],
        ),
        (
            || answered_with(429, &[("retry-after", "30")]),
            &["registry_throttled_until_timestamp"],
        ),
        (a_pull_quota, &["registry_quota_remaining"]),
        (a_tag_that_is_missing, &["registry_tags_unusable_total"]),
        (a_silent_registry, &["registry_in_flight_requests"]),
        (
            || tokens(Settings::clone(&World::settings())),
            &[
                "registry_jwt_auth_duration_seconds",
                "registry_jwt_auth_requests_total",
                "registry_jwt_token_ttl_seconds",
            ],
        ),
        (refused_logins, &["registry_jwt_auth_errors_total"]),
        (an_image_that_does_not_run, &["images_skipped_total"]),
        (a_cap_per_repository, &["scheduler_skipped_total"]),
        (a_denied_patch, &["k8s_api_errors_total"]),
    ];
    let mut missing: BTreeSet<&str> = FAMILIES
        .iter()
        .map(|family| family.name.strip_prefix(PREFIX).expect("the prefix"))
        .filter(|name| !OF_ARGOCD.contains(name))
        .collect();
    for (scenario, names) in table {
        let world = scenario();
        for name in *names {
            assert!(total(&world, name, &[]) > 0, "{name} did not move");
            assert!(missing.remove(name), "{name} is no family, or named twice");
        }
    }
    assert!(missing.is_empty(), "no scenario moves {missing:?}");
}

#[test]
fn both_modes_move_the_same_series_of_applications() {
    let [cycle, continuous] = [Mode::Cycle, Mode::Continuous]
        .map(two_applications_on_one_repository)
        .map(|world| {
            let names = lines(&world).into_keys();
            names
                .filter(|name| name.contains("application="))
                .collect::<BTreeSet<String>>()
        });
    assert_eq!(cycle, continuous);
    assert!(cycle.len() > 10, "{cycle:?}");
}

#[test]
fn one_lookup_serves_all_and_is_counted_so() {
    let world = two_applications_on_one_repository(Mode::Continuous);
    let of = |name, value| total(&world, name, &[("kind", value)]);
    assert_eq!(of("singleflight_leaders_total", "tags"), 1);
    assert_eq!(of("singleflight_followers_total", "tags"), 1);
    let registry = ("registry", "https://r.test");
    assert_eq!(total(&world, "registry_requests_total", &[registry]), 1);
    let ok = [("code", "200"), registry];
    assert_eq!(total(&world, "registry_http_status_total", &ok), 1);
    assert_eq!(total(&world, "registry_requests_failed_total", &[]), 0);
    assert_eq!(total(&world, "images_updated_total", &[]), 2);
    let web = [("application", "argocd/web-0")];
    assert_eq!(total(&world, "images_updated_total", &web), 1);
    assert_eq!(total(&world, "k8s_api_requests_total", &[]), 2);
    assert_eq!(total(&world, "k8s_api_errors_total", &[]), 0);
    assert_eq!(
        total(&world, "application_last_attempt_timestamp", &web),
        1_767_225_600
    );
}

#[test]
fn the_in_flight_gauge_brackets_a_request_and_overdue_ones_are_errors() {
    let mut world = a_silent_registry();
    assert_eq!(total(&world, "registry_in_flight_requests", &[]), 1);
    assert_eq!(total(&world, "registry_requests_total", &[]), 1);
    world.run_for(Duration::from_secs(63));
    let overdue = [("kind", "ctx_deadline")];
    assert_eq!(total(&world, "registry_errors_total", &overdue), 1);
    assert_eq!(total(&world, "registry_requests_failed_total", &[]), 1);
    let tags = [("op", "tags")];
    assert_eq!(total(&world, "registry_request_retries_total", &tags), 1);
    world.delete("web");
    world.run_for(Duration::from_secs(1));
    assert_eq!(total(&world, "registry_in_flight_requests", &[]), 0);
}

#[test]
fn failures_are_counted_by_their_kind() {
    for (status, kind, n_failed) in [(503, "5xx", 3), (429, "429", 3), (403, "auth_error", 1)] {
        let world = answered_with(status, &[]);
        assert_eq!(
            total(&world, "registry_errors_total", &[("kind", kind)]),
            n_failed,
            "{status}"
        );
        assert_eq!(
            total(&world, "registry_errors_total", &[]),
            n_failed,
            "{status}: no other kind"
        );
        assert_eq!(
            total(&world, "registry_requests_failed_total", &[]),
            n_failed,
            "{status} (D-50)"
        );
        assert_eq!(
            total(&world, "registry_request_retries_total", &[]),
            n_failed - 1,
            "{status}: retries, not failures (D-45)"
        );
    }
    let mut world = World::plain();
    world.apply(&AppSpec::helm(NAMESPACE, "web").image("nowhere.test/org/web", "1.0.0"));
    world.sync();
    world.run_for(Duration::from_secs(20));
    let dial = [("kind", "dial_error")];
    assert_eq!(total(&world, "registry_errors_total", &dial), 3);
}

#[test]
fn a_challenge_is_no_failure_and_scopes_are_one_unless_they_are_wanted() {
    let mut settings = World::settings();
    for (has_scope, n_series) in [(false, 1), (true, 2)] {
        settings.metrics.has_scope = has_scope;
        let world = tokens(settings.clone());
        assert_eq!(total(&world, "registry_requests_failed_total", &[]), 0);
        assert_eq!(total(&world, "registry_errors_total", &[]), 0);
        assert_eq!(total(&world, "registry_jwt_auth_requests_total", &[]), 2);
        let service = [("service", "t.test")];
        assert_eq!(
            total(&world, "registry_jwt_auth_requests_total", &service),
            2
        );
        let name = "registry_jwt_auth_requests_total{";
        let series = lines(&world).into_keys().filter(|key| key.contains(name));
        assert_eq!(series.count(), n_series, "has_scope: {has_scope}");
        let scope = [("scope", "repository:org/one:pull")];
        let of_one = total(&world, "registry_jwt_auth_requests_total", &scope);
        assert_eq!(of_one > 0, has_scope);
        // 300 s were announced: the bound of five minutes holds them, the one of two does not.
        let text = text(&world);
        assert!(text.contains("le=\"300\"} "), "{text}");
        let bucket = |le: &str| bucket(&world, "registry_jwt_token_ttl_seconds", le);
        assert_eq!((bucket("120"), bucket("300"), bucket("+Inf")), (0, 2, 2));
    }
}

#[test]
fn the_warm_up_is_neither_attempt_nor_success_and_a_dry_run_updates_nothing() {
    let mut settings = World::settings();
    settings.schedule.warmup = true;
    settings.schedule.mode = Mode::Cycle;
    let mut world = World::new(settings);
    world
        .registry_faults
        .insert("r.test".into(), RegistryFault::Slow(Duration::from_secs(5)));
    fill(&mut world, 1);
    world.run_for(Duration::from_secs(4));
    assert_eq!(total(&world, "application_last_attempt_timestamp", &[]), 0);
    assert_eq!(total(&world, "applications_watched_total", &[]), 1);
    world.run_for(Duration::from_mins(1));
    assert!(total(&world, "application_last_attempt_timestamp", &[]) > 0);
    assert_eq!(total(&world, "images_updated_total", &[]), 1);
    assert_eq!(total(&world, "update_cycle_duration_seconds", &[]), 2);

    let mut settings = World::settings();
    settings.dry_run = true;
    let mut world = World::new(settings);
    fill(&mut world, 1);
    world.run_for(Duration::from_mins(1));
    assert_eq!(total(&world, "images_considered_total", &[]), 1);
    assert_eq!(total(&world, "images_updated_total", &[]), 0);
}

#[test]
fn events_that_nobody_reads_are_counted_all_the_same() {
    let mut settings = World::settings();
    let all = life(settings.clone());
    settings.events_max = 1;
    let dropped = life(settings);
    assert!(dropped.events.len() < all.events.len());
    assert_eq!(text(&dropped), text(&all));
}

#[test]
fn nothing_mentions_a_deleted_application_although_its_answers_come_late() {
    let mut world = World::plain();
    world
        .registry_faults
        .insert("r.test".into(), RegistryFault::Slow(Duration::from_secs(9)));
    for _ in 0..2 {
        world
            .api_faults
            .push_back(ApiFault::Slow(Duration::from_secs(9)));
    }
    fill(&mut world, 2);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.patching().len(), 2, "they are writing");
    world.delete("web-0");
    assert!(!text(&world).contains("web-0"));
    world.run_for(Duration::from_secs(30));
    assert!(!text(&world).contains("web-0"), "S18");
    assert_eq!(total(&world, "applications_watched_total", &[]), 1);
    assert!(text(&world).contains("https://r.test"));
    world.delete("web-1");
    world.run_for(Duration::from_secs(30));
    assert!(!text(&world).contains("web-1"), "S18");
    assert!(
        !text(&world).contains("r.test"),
        "its registry has no endpoint any more (D-47)"
    );
}

#[test]
fn a_scope_goes_with_its_repository() {
    let mut settings = World::settings();
    settings.metrics.has_scope = true;
    let mut world = tokens(settings);
    assert!(text(&world).contains("repository:org/one:pull"));
    world.delete("one");
    let text = text(&world);
    assert!(!text.contains("org/one"), "{text}");
    assert!(text.contains("repository:org/two:pull"), "{text}");
}

#[test]
fn an_application_that_takes_no_part_any_more_has_no_series() {
    let mut world = World::plain();
    fill(&mut world, 2);
    world.run_for(Duration::from_secs(20));
    world.edit("web-0", |object| {
        object["metadata"]["annotations"] = serde_json::json!({});
    });
    assert!(!text(&world).contains("web-0"));
    assert_eq!(total(&world, "applications_watched_total", &[]), 1);
}

/// Random lives of applications: the labels are those that take part, at every moment, and once all
/// operations have ended no other registry is mentioned.
#[test]
fn the_labels_are_the_live_applications_whatever_happens() {
    for seed in 1..=40_u64 {
        let mut draw = Draw(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut settings = World::settings();
        if seed % 2 == 0 {
            settings.schedule.mode = Mode::Cycle;
        }
        settings.metrics.has_scope = seed % 3 == 0;
        let mut world = World::new(settings);
        for host in 0..3 {
            let tags = ["1.0.0", "1.1.0"];
            world.push(&format!("r{host}.test/org/web"), &tags);
            if host == 1 {
                world.registry("r1.test").auth = Auth::bearer(300);
            }
        }
        world.sync();
        let mut live = BTreeSet::new();
        for _ in 0..60 {
            let (n, host) = (draw.below(5), draw.below(3));
            let name = format!("web-{n}");
            match draw.below(8) {
                0 | 1 => {
                    let image = format!("r{host}.test/org/web");
                    world.apply(&AppSpec::helm(NAMESPACE, &name).image(&image, "1.0.0"));
                    live.insert(format!("{NAMESPACE}/{name}"));
                }
                2 if live.remove(&format!("{NAMESPACE}/{name}")) => world.delete(&name),
                3 if live.remove(&format!("{NAMESPACE}/{name}")) => {
                    // It stays, and takes no part.
                    world.edit(&name, |object| {
                        object["metadata"]["annotations"] = serde_json::json!({});
                    });
                    world.delete(&name);
                }
                4 => {
                    let fault = match draw.below(4) {
                        0 => RegistryFault::Silent,
                        1 => RegistryFault::Status(503, Vec::new()),
                        2 => RegistryFault::Slow(Duration::from_secs(7)),
                        _ => RegistryFault::Status(401, Vec::new()),
                    };
                    world.registry_faults.insert(format!("r{host}.test"), fault);
                }
                5 => world.registry_faults.clear(),
                6 => world.api_faults.push_back(match draw.below(3) {
                    0 => ApiFault::Slow(Duration::from_secs(20)),
                    1 => ApiFault::Denied,
                    _ => ApiFault::ReplyLost,
                }),
                _ => world.run_for(Duration::from_millis(draw.below(40_000))),
            }
            let labels = applications(&world);
            // Without a check there is no series yet; never is there one too many.
            assert!(labels.is_subset(&live), "seed {seed}: {labels:?}, {live:?}");
            let watched = total(&world, "applications_watched_total", &[]);
            assert_eq!(watched, live.len() as u64, "seed {seed}");
        }
        world.registry_faults.clear();
        world.api_faults.clear();
        world.run_for(INTERVAL * 3);
        assert_eq!(applications(&world), live, "seed {seed}");
        for key in live {
            world.delete(key.strip_prefix("argocd/").expect("the namespace"));
        }
        world.run_for(Duration::from_mins(3));
        assert_eq!(world.n_in_flight(), 0);
        let text = text(&world);
        assert!(!text.contains("argocd/"), "seed {seed}: {text}");
        assert!(!text.contains(".test"), "seed {seed}: {text}");
    }
}

#[test]
fn the_text_can_be_read_back() {
    for world in [life(World::settings()), World::plain()] {
        let text = text(&world);
        let mut types = BTreeMap::new();
        let mut last = "";
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("# HELP ") {
                let (name, help) = head.split_once(' ').expect("a name and a help text");
                assert!(last < name, "families are sorted and told once: {name}");
                assert!(!help.is_empty());
                last = name;
            } else if let Some(head) = line.strip_prefix("# TYPE ") {
                let (name, kind) = head.split_once(' ').expect("a name and a type");
                types.insert(name, kind);
            } else {
                assert!(line.starts_with(last), "{line} stands below its family");
            }
        }
        let parsed = lines(&world);
        for sample in world.core.metrics().samples() {
            let family = sample.family;
            assert_eq!(types[family.name], family.kind.as_str());
            let labels: Vec<String> = sample
                .labels()
                .map(|(name, value)| format!("{name}=\"{value}\""))
                .collect();
            let key = |suffix: &str| {
                let name = family.name;
                if labels.is_empty() {
                    format!("{name}{suffix}")
                } else {
                    format!("{name}{suffix}{{{}}}", labels.join(","))
                }
            };
            match sample.value {
                Value::Integer(value) => assert_eq!(parsed[&key("")], value.to_string()),
                Value::Histogram(histogram) => {
                    let count = histogram.count().to_string();
                    assert_eq!(parsed[&key("_count")], count);
                    let buckets = text.lines().filter(|line| {
                        line.starts_with(&format!("{}_bucket", family.name))
                            && labels.iter().all(|label| line.contains(label.as_str()))
                    });
                    let counts: Vec<u64> = buckets
                        .map(|line| line.rsplit(' ').next().expect("a value"))
                        .map(|count| count.parse().expect("a count"))
                        .collect();
                    assert!(counts.is_sorted(), "cumulative");
                    assert_eq!(counts.last().map(ToString::to_string), Some(count));
                    let FamilyType::Histogram(bounds) = family.kind else {
                        panic!("{} is a histogram", family.name);
                    };
                    assert_eq!(counts.len(), bounds.len() + 1);
                }
            }
        }
        assert!(text.ends_with('\n'));
    }
}

/// Draws for one life.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}
