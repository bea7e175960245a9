//! The contract of the core, A1 to A12 as its documentation states it: one test per line, or more.

use std::time::Duration;

use image_updater_core::credential::CredentialOutcome;
use image_updater_core::credential::CredentialSource;
use image_updater_core::event::Event;
use image_updater_core::http::{HttpOutcome, HttpResponse};
use image_updater_core::id::{AppKey, OpId};
use image_updater_core::input::{ClusterInput, Input, PatchOutcome, ReadOutcome};
use image_updater_core::keyed::Seed;
use image_updater_core::registry::{EndpointSettings, RegistryOutcome};
use image_updater_core::schedule::Concurrency;
use image_updater_core::time::{Now, Time, WakeReason};
use image_updater_core::updater::DECISIONS_PER_CALL_MAX;
use image_updater_core::{Config, Updater};
use image_updater_fixtures::AppSpec;
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, RegistryFault, World};

const WEB: &str = "r.test/org/web";

#[test]
fn a1_equal_calls_give_equal_answers() {
    let tell = || {
        let mut world = busy_world();
        world.trace = Some(Vec::new());
        world.run_for(INTERVAL * 5);
        (
            world.trace,
            world.core.state_hash(),
            world.core.poll_timeout(),
        )
    };
    let (one, other) = (tell(), tell());
    assert!(one.0.as_ref().is_some_and(|trace| trace.len() > 100));
    assert_eq!(one, other);
}

#[test]
fn a2_time_that_runs_backwards_is_clamped_and_counted() {
    let mut world = busy_world();
    world.run_for(Duration::from_secs(50));
    world.wake();
    let deadline = world.core.poll_timeout();
    let now = world.clock();
    // The wall clock alone may be set back: it decides nothing.
    let old = Now {
        mono: Time::from_secs(1),
        wall: now.wall,
    };
    let state = world.core.state_hash();
    world.core.handle_timeout(old);
    world.core.handle_input(
        old,
        Input::Cluster(ClusterInput::Deleted(AppKey::new("no", "one"))),
    );
    assert_eq!(world.core.stats().clock_regressions, 2);
    assert_eq!(world.core.poll_timeout(), deadline, "nothing moved");
    assert_eq!(world.core.state_hash(), state);
    world.core.handle_timeout(now);
    assert_eq!(
        world.core.stats().clock_regressions,
        2,
        "equal is not older"
    );
}

#[test]
fn a3_a_timeout_before_the_deadline_does_nothing_and_twice_is_once() {
    let run = |wakes_often: bool| {
        let mut world = busy_world();
        world.trace = Some(Vec::new());
        for _ in 0..4000 {
            world.run_for(Duration::from_millis(137));
            let is_turn = world
                .core
                .poll_timeout()
                .is_some_and(|wakeup| wakeup.reason == WakeReason::Turn);
            if wakes_often && !is_turn {
                world.wake();
                let state = world.core.state_hash();
                world.wake();
                assert_eq!(world.core.state_hash(), state, "twice is once");
            }
        }
        world.wake();
        (world.trace, world.core.state_hash())
    };
    let (quiet, nervous) = (run(false), run(true));
    assert!(quiet.0.as_ref().is_some_and(|trace| trace.len() > 100));
    assert_eq!(quiet, nervous);
}

#[test]
fn a4_the_next_wake_up_is_pure() {
    let mut world = busy_world();
    for _ in 0..200 {
        world.step_on();
        let (state, wakeup) = (world.core.state_hash(), world.core.poll_timeout());
        assert_eq!(world.core.poll_timeout(), wakeup);
        assert_eq!(world.core.poll_effect(), None);
        assert_eq!(world.core.poll_event(), None);
        world.core.stats();
        world.core.footprint();
        world.core.explain(&AppKey::new(NAMESPACE, "web-0"));
        world.core.is_finished();
        assert_eq!(
            world.core.poll_timeout(),
            wakeup,
            "only handle calls change it"
        );
        assert_eq!(world.core.state_hash(), state);
    }
}

#[test]
fn a5_a_call_takes_a_bounded_number_of_decisions_and_the_rest_follows_in_turns() {
    let n: usize = 10_000;
    let mut settings = World::settings();
    settings.dry_run = true;
    let mut world = World::new(settings);
    world.is_audited = false;
    world.push(WEB, &["1.0.0", "1.1.0"]);
    for n in 0..n {
        world.apply(&web(&format!("web-{n}")));
    }
    world.sync();
    let (mut most, mut turns) = (0, 0);
    let mut before = world.core.stats().decisions;
    while usize::try_from(before) != Ok(n) {
        world.step_on();
        let after = world.core.stats().decisions;
        most = most.max(after - before);
        before = after;
        turns += 1;
        assert!(turns < 1000, "turns are bounded (A6)");
    }
    assert_eq!(usize::try_from(most), Ok(DECISIONS_PER_CALL_MAX));
    assert_eq!(world.core.poll_effect(), None);
    assert_eq!(world.core.poll_event(), None);
}

#[test]
fn a6_a_wake_up_lies_ahead_unless_a_turn_is_due_and_turns_end() {
    let mut world = busy_world();
    let (mut instant, mut turns) = (world.now(), 0);
    for _ in 0..3000 {
        world.step_on();
        turns = if world.now() == instant { turns + 1 } else { 0 };
        instant = world.now();
        assert!(turns < 200, "no live-lock");
        let Some(wakeup) = world.core.poll_timeout() else {
            continue;
        };
        match wakeup.reason {
            WakeReason::Turn => assert_eq!(wakeup.at, world.now()),
            WakeReason::Schedule
            | WakeReason::Registry
            | WakeReason::Writeback
            | WakeReason::Publish
            | WakeReason::RunDeadline
            | WakeReason::Shutdown => assert!(wakeup.at > world.now(), "{wakeup:?}"),
        }
    }
}

#[test]
fn a7_every_operation_has_a_deadline_of_the_cores_own() {
    let mut settings = World::settings();
    settings.patch.timeout = Duration::from_secs(30);
    settings.registry.endpoints = vec![EndpointSettings {
        credentials: Some(CredentialSource::parse("env:LOGIN").expect("a source")),
        ..EndpointSettings::inferred("secret.test")
    }];
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.apply(&web("patched"));
    world.sync();
    world.api_faults.push_back(ApiFault::Mute);
    world
        .registry_faults
        .insert("mute.test".to_owned(), RegistryFault::Mute);
    world.apply(&AppSpec::helm(NAMESPACE, "listed").image("mute.test/org/a", "1.0.0"));
    world.are_credentials_read = false;
    world.apply(&AppSpec::helm(NAMESPACE, "secret").image("secret.test/org/a", "1.0.0"));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.n_in_flight(), 3, "a patch, a request, a credential");
    assert!(world.cancelled.is_empty());
    world.run_for(Duration::from_secs(64));
    assert_eq!(world.cancelled.len(), 3, "{:?}", world.cancelled);
}

#[test]
fn a8_an_unknown_stale_or_repeated_id_changes_only_a_counter() {
    let mut world = busy_world();
    world.api_faults.push_front(ApiFault::Mute);
    world.run_for(Duration::from_secs(50));
    // Those in flight are of other kinds than what is said here, or long gone.
    let completions = |op: OpId| {
        let response = HttpOutcome::Response(HttpResponse::default());
        let missing = CredentialOutcome::Missing(String::new());
        [
            Input::Http(op, response),
            Input::Credential(op, missing),
            Input::Cluster(ClusterInput::Patched(op, PatchOutcome::Conflict)),
            Input::Cluster(ClusterInput::Patched(
                op,
                PatchOutcome::Throttled(Some(INTERVAL)),
            )),
            Input::Cluster(ClusterInput::Read(op, ReadOutcome::Missing)),
        ]
    };
    world.wake();
    let in_flight = world.ops_in_flight();
    let all = (0..2000).map(OpId).chain([OpId(u64::MAX)]);
    let mut told = world.core.stats().stale_completions;
    let state = world.core.state_hash();
    for op in all.filter(|op| !in_flight.contains(op)) {
        for input in completions(op) {
            world.core.handle_input(world.clock(), input.clone());
            told += 1;
            assert_eq!(world.core.stats().stale_completions, told, "{input:?}");
            assert_eq!(world.core.poll_effect(), None, "{input:?}");
            assert_eq!(world.core.poll_event(), None, "{input:?}");
        }
    }
    assert_eq!(world.core.state_hash(), state);
    // An answer of another kind than was asked for is nobody's answer.
    let patch = world.patch_in_flight().expect("one hangs");
    let request = in_flight.into_iter().find(|op| *op != patch);
    let [http, credential, _, _, read] = completions(patch);
    let [_, _, of_request, ..] = completions(request.expect("a silent registry"));
    for input in [http, credential, read, of_request] {
        world.core.handle_input(world.clock(), input.clone());
        told += 1;
        assert_eq!(world.core.stats().stale_completions, told, "{input:?}");
    }
    assert_eq!(world.core.state_hash(), state);
}

#[test]
fn a9_a_patch_keeps_its_slot_until_it_is_answered() {
    let mut settings = World::settings();
    settings.patch.in_flight_max = 1;
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.apply(&web("a"));
    world.apply(&web("b"));
    world.api_faults.push_back(ApiFault::Mute);
    world.sync();
    world.run_for(Duration::from_secs(40));
    assert_eq!(world.cancelled.len(), 1, "cancelled at its deadline");
    assert_eq!(world.patches.len(), 1, "but its slot is taken");
    let stalled = |event: &Event| matches!(event, Event::OperationStalled { .. });
    assert_eq!(world.count(stalled), 0);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.count(stalled), 1, "past deadline and grace");
    assert_eq!(world.patches.len(), 1);
    world.release();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.written("b"), 1);
}

#[test]
fn a9_a_request_that_never_ends_closes_its_registry_until_it_does() {
    let mut world = World::plain();
    world
        .registry_faults
        .insert("r.test".to_owned(), RegistryFault::Mute);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.push("q.test/org/web", &["1.0.0", "1.1.0"]);
    world.apply(&web("a"));
    world.sync();
    world.run_for(Duration::from_secs(400));
    let stalled = |event: &Event| {
        matches!(event, Event::Registry(RegistryOutcome::Stalled { endpoint })
            if **endpoint == *"https://r.test")
    };
    assert_eq!(world.count(stalled), 1);
    let asked = world.requests.len();
    world.registry_faults.clear();
    world.apply(&AppSpec::helm(NAMESPACE, "b").image("r.test/org/other", "1.0.0"));
    world.apply(&AppSpec::helm(NAMESPACE, "c").image("q.test/org/web", "1.0.0"));
    world.run_for(INTERVAL);
    let to_r = |(_, url): &&(Time, String)| url.starts_with("https://r.test/");
    assert_eq!(
        world.requests[asked..].iter().filter(to_r).count(),
        0,
        "it is closed"
    );
    assert_eq!(world.written("c"), 1, "others are open");
    world.release();
    world.run_for(INTERVAL * 2);
    let reopened =
        |event: &Event| matches!(event, Event::Registry(RegistryOutcome::Reopened { .. }));
    assert_eq!(world.count(reopened), 1);
    assert_eq!(world.written("a"), 1);
}

#[test]
fn a10_applications_beyond_the_bound_are_refused_loudly() {
    let mut settings = World::settings();
    settings.applications_max = 2;
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    for name in ["a", "b", "c"] {
        world.apply(&web(name));
    }
    world.sync();
    world.run_for(INTERVAL);
    assert_eq!(world.core.stats().applications, 2);
    let refused = |event: &Event| matches!(event, Event::ApplicationRefused { key, applications_max: 2 } if &*key.name == "c");
    assert_eq!(world.count(refused), 1);
    assert_eq!(world.written("c"), 0);
    world.delete("a");
    world.sync();
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.written("c"), 1, "there is room now");
}

#[test]
fn a10_lookups_beyond_the_bound_of_a_queue_fail_with_that_reason() {
    let mut settings = World::settings();
    settings.registry.in_flight_max = 2;
    settings.registry.queue_max = 5;
    let mut world = World::new(settings);
    let slow = RegistryFault::Slow(Duration::from_secs(10));
    world.registry_faults.insert("r.test".to_owned(), slow);
    for n in 0..20 {
        let image = format!("r.test/org/app{n}");
        world.push(&image, &["1.0.0"]);
        world.apply(&AppSpec::helm(NAMESPACE, &format!("app{n}")).image(&image, "1.0.0"));
    }
    world.sync();
    world.run_for(Duration::from_secs(100));
    let codes: Vec<_> = (0..20)
        .flat_map(|n| world.codes(&format!("app{n}")))
        .collect();
    assert!(
        codes.iter().filter(|code| **code == "up-to-date").count() >= 5,
        "{codes:?}"
    );
    assert!(codes.contains(&"listing-failed"), "{codes:?}");
    world.registry_faults.clear();
    world.run_for(INTERVAL * 10);
    let late: Vec<_> = (0..20)
        .flat_map(|n| world.codes(&format!("app{n}")))
        .collect();
    assert!(!late.contains(&"not-looked-up"), "{late:?}");
}

#[test]
fn a10_listings_stay_within_their_budget_of_memory() {
    let mut settings = World::settings();
    settings.registry.listing_bytes_max = 4000;
    let mut world = World::new(settings);
    for n in 0..50 {
        let image = format!("r.test/org/app{n}");
        let tags: Vec<String> = (0..100).map(|minor| format!("1.{minor}.{n}")).collect();
        world.push(&image, &tags.iter().map(String::as_str).collect::<Vec<_>>());
        world.apply(&AppSpec::helm(NAMESPACE, &format!("app{n}")).image(&image, "1.0.0"));
    }
    world.sync();
    world.run_for(INTERVAL * 2);
    let bytes = world.core.footprint().listings;
    assert!(bytes <= 8000, "{bytes}");
    assert_eq!(
        world.count(|event| matches!(event, Event::Written { .. })),
        50
    );
}

#[test]
fn a10_events_that_nobody_polls_are_dropped_the_oldest_first() {
    let mut settings = World::settings();
    settings.events_max = 100;
    let config = Config::new(settings).expect("valid settings");
    let mut core = Updater::new(config, Seed(1), Now::default());
    core.handle_input(Now::default(), Input::Cluster(ClusterInput::ResetBegun));
    for n in 0..1000 {
        let mut object = web(&format!("web-{n}")).to_json();
        object["metadata"]["uid"] = n.to_string().into();
        let record = image_updater_tests::world::record(&object);
        core.handle_input(
            Now::default(),
            Input::Cluster(ClusterInput::Applied(Box::new(record))),
        );
    }
    let first = core.poll_event();
    assert!(
        matches!(&first, Some(Event::ApplicationConsidered { key, .. }) if &*key.name == "web-900"),
        "{first:?}"
    );
    assert_eq!(std::iter::from_fn(|| core.poll_event()).count(), 99);
}

#[test]
fn a11_nothing_mentions_an_application_that_is_gone() {
    // Deleted at every moment of its life, and whatever its operations end with.
    let faults = [
        vec![],
        vec![ApiFault::Slow(Duration::from_secs(3))],
        vec![ApiFault::Silent],
        vec![ApiFault::Throttled(Some(Duration::from_secs(3)))],
        vec![ApiFault::Transient, ApiFault::Transient],
        vec![ApiFault::ReplyLost, ApiFault::Slow(Duration::from_secs(3))],
    ];
    for strategy in ["semver", "newest-build", "digest"] {
        for faults in &faults {
            for moment_ms in (0..60).step_by(3).chain((100..4000).step_by(450)) {
                let what = format!("{strategy} {faults:?} {moment_ms}");
                let mut world = one_that_will_go(strategy, faults.clone());
                world.run_for(Duration::from_millis(moment_ms));
                world.delete("zebra");
                world.run_for(Duration::from_secs(100));
                assert_eq!(world.n_in_flight(), 0, "{what}");
                let text = format!("{:?}", world.core);
                for word in ["zebra", "quagga", "okapi"] {
                    assert!(!text.contains(word), "{what}: {word} is left in {text}");
                }
                let stats = world.core.stats();
                assert_eq!(
                    (stats.runs, stats.repositories, stats.operations),
                    (0, 0, 0),
                    "{what}"
                );
            }
        }
    }
}

#[test]
fn a11_the_footprint_is_that_of_a_fresh_core_when_all_are_gone() {
    let mut world = busy_world();
    let fresh = World::plain().core.footprint();
    world.run_for(INTERVAL * 3);
    assert!(world.core.footprint().total() > 10 * fresh.total());
    let names: Vec<String> = world
        .cluster
        .applications()
        .map(|object| {
            object["metadata"]["name"]
                .as_str()
                .expect("a name")
                .to_owned()
        })
        .collect();
    for name in names {
        world.delete(&name);
    }
    world.registry_faults.clear();
    world.release();
    world.run_for(Duration::from_secs(200));
    let left = world.core.footprint();
    assert_eq!(
        (left.listings, left.registry),
        (fresh.listings, fresh.registry)
    );
    // Lists keep some room for those to come, and nothing else.
    assert!(
        left.applications <= fresh.applications + 16 * 1024,
        "{left:?} {fresh:?}"
    );
    assert_eq!(
        world.core.poll_timeout(),
        None,
        "nobody is left to wake up for"
    );
}

#[test]
fn a12_everything_that_is_wrong_with_settings_is_told_at_once() {
    let mut settings = World::settings();
    settings.name_patterns = vec!["[".to_owned()];
    settings.schedule.jitter_percent = 101;
    settings.schedule.start_spread = INTERVAL * 2;
    settings.schedule.concurrency_max = Concurrency::Auto;
    settings.registry.tag_attempts = 0;
    settings.registry.endpoints = vec![EndpointSettings {
        api_url: "ftp://r.test".to_owned(),
        ..EndpointSettings::inferred("r.test")
    }];
    settings.patch.in_flight_max = 0;
    settings.patch.timeout = Duration::ZERO;
    settings.run_deadline = Duration::ZERO;
    settings.shutdown_grace = Duration::ZERO;
    settings.applications_max = 0;
    settings.events_max = 0;
    let error = Config::new(settings).expect_err("nothing is right");
    for part in [
        "--match-application-name: \"[\"",
        "jitter is 101 percent",
        "start spread is 240s",
        "tag attempts must be at least 1",
        "API URL \"ftp://r.test\"",
        "patches: at least one",
        "patch timeout",
        "run deadline",
        "shutdown grace",
        "applications: at least one",
        "events: at least one",
    ] {
        let told = error
            .problems
            .iter()
            .filter(|one| one.contains(part))
            .count();
        assert_eq!(told, 1, "{part} in {error}");
    }
    assert_eq!(error.problems.len(), 11, "{error}");
    Config::new(World::settings()).expect("and these are valid");
}

fn web(name: &str) -> AppSpec {
    AppSpec::helm(NAMESPACE, name).image(WEB, "1.0.0")
}

/// An application with names of its own, alone in its world.
fn one_that_will_go(strategy: &str, faults: Vec<ApiFault>) -> World {
    let mut world = World::plain();
    world.push("quagga.test/okapi/web", &["1.0.0", "1.1.0"]);
    world.api_faults.extend(faults);
    let image = "quagga.test/okapi/web";
    let spec = if strategy == "digest" {
        AppSpec::helm(NAMESPACE, "zebra").image_with(image, "1.0.0", "1.1.0")
    } else {
        AppSpec::helm(NAMESPACE, "zebra").image(image, "1.0.0")
    };
    world.apply(&spec.strategy(strategy));
    world.sync();
    world
}

/// A world in which everything happens: all strategies, sick registries, faults of the API server,
/// edits, deletions.
fn busy_world() -> World {
    let mut settings = World::settings();
    settings.schedule.start_spread = Duration::from_secs(20);
    settings.schedule.jitter_percent = 10;
    settings.schedule.concurrency_max = Concurrency::try_from(4).expect("a limit");
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0", "latest"]);
    world.push("q.test/org/web", &["1.0.0", "1.1.0"]);
    world
        .registry_faults
        .insert("q.test".to_owned(), RegistryFault::Status(503, Vec::new()));
    world
        .registry_faults
        .insert("s.test".to_owned(), RegistryFault::Silent);
    for (n, strategy) in ["semver", "newest-build", "alphabetical", "digest"]
        .iter()
        .enumerate()
    {
        for m in 0..5 {
            let constraint = if *strategy == "digest" { "latest" } else { "" };
            let spec = AppSpec::helm(NAMESPACE, &format!("web-{}", 5 * n + m));
            let spec = spec.image_with(WEB, "1.0.0", constraint);
            world.apply(&spec.strategy(strategy));
        }
    }
    world.apply(&AppSpec::kustomize(NAMESPACE, "down").image("q.test/org/web", "1.0.0"));
    world.apply(&AppSpec::kustomize(NAMESPACE, "hang").image("s.test/org/web", "1.0.0"));
    world.api_faults.extend([
        ApiFault::ReplyLost,
        ApiFault::Transient,
        ApiFault::Throttled(Some(Duration::from_secs(2))),
        ApiFault::Slow(Duration::from_secs(9)),
        ApiFault::Denied,
    ]);
    world.sync();
    world.annotate("web-3", "web.allow-tags", "regexp:^1");
    world.delete("web-7");
    world
}
