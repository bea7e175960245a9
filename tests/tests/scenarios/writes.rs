//! Write-back: conflicts, lost replies, throttling, and what changes while a patch is under way.

use std::time::Duration;

use image_updater_core::event::RunEnd;
use image_updater_core::schedule::Concurrency;
use image_updater_core::{Event, Settings};
use image_updater_fixtures::AppSpec;
use image_updater_tests::world::{ApiFault, INTERVAL, NAMESPACE, World};
use serde_json::json;

const WEB: &str = "r.test/org/web";

#[test]
fn an_update_is_one_patch_of_the_image_parameters_alone() {
    let mut world = world_of_one();
    world.run_for(Duration::from_secs(1));
    let (_, key, patch) = &world.patches[0];
    assert_eq!(key.to_string(), "argocd/web");
    assert_eq!(patch[0]["path"], "/metadata/resourceVersion");
    assert_eq!(world.parameter("web", "web.tag"), Some("1.1.0"));
    assert_eq!(world.written("web"), 1);
    world.run_for(INTERVAL * 3);
    assert_eq!(world.patches.len(), 1, "the same change is written once");
    assert_eq!(world.codes("web"), ["already-in-spec"]);
}

#[test]
fn a_conflict_is_read_decided_again_and_patched() {
    let mut world = world_of_one();
    world.is_watch_held = true;
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(1)));
    world.run_for(Duration::from_millis(500));
    assert_eq!(world.patching().len(), 1);
    world.edit("web", |object| object["spec"]["project"] = json!("other"));
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.parameter("web", "web.tag"), Some("1.1.0"));
    assert_eq!(world.object("web")["spec"]["project"], "other", "kept");
    assert_eq!(world.patches.len(), 2);
    assert_eq!(world.written("web"), 1);
}

#[test]
fn edits_of_other_members_survive_a_conflict() {
    let mut world = world_of_one();
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(1)));
    world.run_for(Duration::from_millis(500));
    world.edit("web", |object| {
        object["spec"]["source"]["helm"]["parameters"] =
            json!([{"name": "replicas", "value": "3"}]);
    });
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.parameter("web", "replicas"), Some("3"));
    assert_eq!(world.parameter("web", "web.tag"), Some("1.1.0"));
}

#[test]
fn a_lost_reply_is_inspected_before_anything_is_repeated() {
    for (fault, patches) in [(ApiFault::ReplyLost, 1), (ApiFault::RequestLost, 2)] {
        let mut world = world_of_one();
        world.is_watch_held = true;
        world.api_faults.push_back(fault.clone());
        world.run_for(Duration::from_secs(30));
        assert_eq!(
            world.parameter("web", "web.tag"),
            Some("1.1.0"),
            "{fault:?}"
        );
        assert_eq!(world.written("web"), 1, "{fault:?}");
        assert_eq!(world.patches.len(), patches, "{fault:?}");
    }
}

#[test]
fn a_lost_reply_is_not_taken_for_written_when_nothing_can_be_decided_any_more() {
    let mut settings = World::settings();
    // Room for one listing: the one of the other repository drives this one out.
    settings.registry.listing_bytes_max = 1;
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.push("r.test/org/api", &["1.0.0"]);
    world.apply(&web());
    world.sync();
    world.is_watch_held = true;
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(5)));
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(5)));
    world.run_for(Duration::from_secs(1));
    world.edit("web", |object| object["spec"]["project"] = json!("other"));
    world.is_watch_held = false;
    world.follow();
    world.apply(&AppSpec::helm(NAMESPACE, "api").image("r.test/org/api", "1.0.0"));
    world.run_for(Duration::from_mins(1));
    assert_eq!(
        world.parameter("web", "web.tag"),
        None,
        "nothing was written"
    );
    assert_eq!(world.written("web"), 0);
}

#[test]
fn a_lost_reply_is_no_success_when_somebody_elses_value_stands_there() {
    let mut world = world_of_one();
    world.is_watch_held = true;
    world.api_faults.push_back(ApiFault::RequestLost);
    world.step_on();
    // The new version runs by now, for a reason that is not ours, and a person asks for another one.
    world.edit("web", |object| {
        object["status"]["summary"]["images"] = json!([format!("{WEB}:1.1.0")]);
        object["spec"]["source"]["helm"]["parameters"] =
            json!([{"name": "web.tag", "value": "9.9.9"}]);
    });
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.parameter("web", "web.tag"), Some("9.9.9"));
    assert_eq!(world.written("web"), 0);
}

#[test]
fn an_unread_reply_is_read_again_before_the_patch_is_repeated() {
    let mut world = world_of_one();
    world.is_watch_held = true;
    world.api_faults.extend([
        ApiFault::ReplyLost,
        ApiFault::Transient,
        ApiFault::Throttled(None),
    ]);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.patches.len(), 1, "only a read can tell");
    assert_eq!(world.written("web"), 1);
}

#[test]
fn a_throttled_api_server_is_left_alone_for_the_time_it_names() {
    let mut world = world_of_many(20);
    let wait = Duration::from_secs(30);
    world.api_faults.push_back(ApiFault::Throttled(Some(wait)));
    world.run_for(Duration::from_secs(100));
    let first = world.patches[0].0;
    let answered = first.after(Duration::from_millis(5));
    let inside = |at| at > answered && at < answered.after(wait);
    assert!(
        world.patches.iter().all(|(at, ..)| !inside(*at)),
        "no patch within the pause"
    );
    assert_eq!(
        world.count(|event| matches!(event, Event::Written { .. })),
        20
    );
}

#[test]
fn a_conflict_during_the_pause_of_a_throttled_server_waits_for_its_end() {
    let mut world = world_of_many(2);
    world.is_watch_held = true;
    world
        .api_faults
        .push_back(ApiFault::Throttled(Some(Duration::from_secs(30))));
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(1)));
    world.run_for(Duration::from_millis(500));
    world.edit("web-1", |object| object["spec"]["project"] = json!("other"));
    world.run_for(Duration::from_secs(100));
    assert_eq!(world.parameter("web-0", "web.tag"), Some("1.1.0"));
    assert_eq!(world.parameter("web-1", "web.tag"), Some("1.1.0"));
}

#[test]
fn the_pause_holds_also_when_the_throttled_application_is_gone() {
    let mut world = world_of_many(3);
    let mut faults = vec![ApiFault::Throttled(Some(Duration::from_mins(1)))];
    faults.resize(3, ApiFault::Slow(Duration::from_millis(100)));
    world.api_faults.extend(faults);
    // The answer is on its way when the application goes.
    world.run_for(Duration::from_millis(12));
    assert_eq!(world.patching().len(), 3);
    world.delete("web-0");
    world.run_for(Duration::from_secs(1));
    let before = world.patches.len();
    world.apply(&AppSpec::helm(NAMESPACE, "late").image(WEB, "1.0.0"));
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.patches.len(), before, "all are paused");
    world.run_for(Duration::from_mins(1));
    assert_eq!(world.parameter("late", "web.tag"), Some("1.1.0"));
}

#[test]
fn no_more_than_sixteen_patches_are_in_flight() {
    let mut world = world_of_many(100);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.api_in_flight_peak, 16);
    assert_eq!(
        world.count(|event| matches!(event, Event::Written { .. })),
        100
    );
}

#[test]
fn refused_patches_are_errors_with_their_text() {
    for (fault, text) in [
        (ApiFault::Denied, "grant the verb patch"),
        (ApiFault::Rejected, "spec.source is no source"),
    ] {
        let mut world = world_of_one();
        world.api_faults.push_back(fault);
        world.run_for(Duration::from_mins(1));
        let told = |event: &Event| matches!(event, Event::WriteFailed { detail, is_repeated: false, .. } if detail == text);
        assert_eq!(world.count(told), 1, "{text}");
        assert_eq!(world.patches.len(), 1, "{text}: repeating is pointless");
        let last = world.explain("web").last_run.expect("a run ended");
        assert_eq!(last.end, RunEnd::Failure);
        world.run_for(INTERVAL);
        assert_eq!(world.written("web"), 1, "the next check tries again");
    }
}

#[test]
fn a_failing_api_server_gets_a_bounded_number_of_attempts() {
    let mut world = world_of_one();
    world.api_faults.extend(vec![ApiFault::Transient; 100]);
    world.run_for(Duration::from_secs(100));
    assert_eq!(world.patches.len(), 8);
    assert_eq!(
        world.explain("web").last_run.expect("it ended").end,
        RunEnd::Failure
    );
}

#[test]
fn a_read_that_finds_another_application_of_the_name_ends_the_run() {
    let mut world = world_of_one();
    world.is_watch_held = true;
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(1)));
    world.run_for(Duration::from_millis(500));
    world.delete("web");
    world.apply(&web());
    world.run_for(Duration::from_secs(5));
    world.is_watch_held = false;
    world.run_for(Duration::from_secs(5));
    assert_eq!(
        world.parameter("web", "web.tag"),
        Some("1.1.0"),
        "the new one is updated"
    );
    assert_eq!(world.written("web"), 1);
}

#[test]
fn a_read_that_finds_an_application_that_no_longer_takes_part_ends_the_run() {
    let mut world = world_of_one();
    world.is_watch_held = true;
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(1)));
    world.run_for(Duration::from_millis(500));
    world.edit("web", |object| {
        object["metadata"]["annotations"] = json!({});
    });
    world.run_for(Duration::from_secs(5));
    assert!(world.explain("web").ignored.is_some());
    assert_eq!(world.patches.len(), 1);
    // It comes back, and is updated: nothing of the old run is left.
    world.is_watch_held = false;
    world.apply(&web());
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.parameter("web", "web.tag"), Some("1.1.0"));
}

#[test]
fn a_policy_edited_while_a_patch_conflicts_holds_for_the_repetition() {
    let mut world = world_of_one();
    world.push(WEB, &["1.0.1"]);
    world.is_watch_held = true;
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(1)));
    world.run_for(Duration::from_millis(500));
    world.annotate("web", "image-list", "web=r.test/org/web:~1.0");
    world.run_for(Duration::from_secs(5));
    assert_eq!(
        world.parameter("web", "web.tag"),
        Some("1.0.1"),
        "1.1.0 is not allowed any more"
    );
    assert_eq!(world.written("web"), 1);
}

#[test]
fn an_image_replaced_while_a_patch_conflicts_is_looked_up_anew() {
    for held in [true, false] {
        let mut world = world_of_one();
        world.push("q.test/org/api", &["2.0.0", "2.1.0"]);
        world.is_watch_held = held;
        world
            .api_faults
            .push_back(ApiFault::Slow(Duration::from_secs(1)));
        world.run_for(Duration::from_millis(500));
        let other = AppSpec::helm(NAMESPACE, "web").image("q.test/org/api", "2.0.0");
        world.apply(&other);
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.parameter("web", "api.tag"), Some("2.1.0"));
        assert_eq!(
            world.parameter("web", "web.tag"),
            None,
            "no longer its image"
        );
    }
}

#[test]
fn a_revert_by_hand_is_overwritten_at_the_next_check_and_not_before() {
    let mut world = world_of_one();
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.patches.len(), 1);
    for n in 2..5 {
        world.edit("web", |object| {
            object["spec"]["source"]["helm"]["parameters"] = json!([]);
        });
        world.run_for(INTERVAL / 2);
        assert_eq!(world.patches.len(), n - 1, "not at once");
        world.run_for(INTERVAL / 2);
        assert_eq!(world.patches.len(), n, "at the next check");
    }
}

#[test]
fn an_own_write_is_no_reason_to_decide_again() {
    let mut world = world_of_one();
    world.run_for(INTERVAL / 2);
    assert_eq!(world.written("web"), 1);
    assert_eq!(world.redecided("web"), 0);
}

#[test]
fn a_recreated_application_waits_for_the_patch_of_its_namesake() {
    let mut world = world_of_one();
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(10)));
    world.run_for(Duration::from_millis(500));
    world.delete("web");
    world.apply(&web());
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.patches.len(), 1, "one patch per name in flight (S1)");
    world.run_for(Duration::from_secs(20));
    assert_eq!(world.parameter("web", "web.tag"), Some("1.1.0"));
    assert_eq!(world.written("web"), 1);
}

#[test]
fn a_recreated_application_keeps_its_own_slot_when_its_namesakes_patch_ends() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = slots(2);
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    let narrow = newest(WEB, "web").annotation("web.allow-tags", "regexp:^1[.]0");
    world.apply(&narrow);
    // Somebody else keeps the repository in memory.
    world.apply(&newest(WEB, "zz").annotation("web.allow-tags", "regexp:^1[.]0"));
    world.sync();
    world.run_for(Duration::from_secs(1));
    // A re-decision that fetched facts holds the slot while its patch hangs.
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_mins(1)));
    world.annotate("web", "web.allow-tags", "any");
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.patching().len(), 1);
    world.delete("web");
    world.apply(&newest(WEB, "web"));
    // The audit of the world counts slots at every call.
    world.run_for(Duration::from_secs(100));
    assert_eq!(world.parameter("web", "web.tag"), Some("1.1.0"));
}

#[test]
fn a_check_that_follows_a_re_decision_keeps_its_slot() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = slots(1);
    settings.registry.interval = INTERVAL * 10;
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.0.5", "1.1.0"]);
    world.apply(&web());
    world.sync();
    world.run_for(INTERVAL.saturating_sub(Duration::from_secs(1)));
    // The patch of a re-decision hangs, and fails, while the next check falls due.
    world.api_faults.extend([
        ApiFault::Silent,
        ApiFault::Denied,
        ApiFault::Slow(Duration::from_secs(20)),
    ]);
    world.annotate("web", "image-list", "web=r.test/org/web:~1.0.0");
    world.run_for(Duration::from_secs(15));
    assert_eq!(world.checks("web"), 2);
    assert_eq!(world.redecided("web"), 0, "still on its way");
    // The audit of the world counts slots at every call.
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.redecided("web"), 1);
    assert_eq!(world.patching().len(), 1, "the check writes");
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.parameter("web", "web.tag"), Some("1.0.5"));
}

#[test]
fn a_strategy_edited_while_waiting_for_a_slot_is_looked_up_anew() {
    let mut settings = World::settings();
    settings.schedule.concurrency_max = slots(1);
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.push("q.test/org/api", &["1.0.0", "1.1.0"]);
    world.apply(&AppSpec::helm(NAMESPACE, "api").image("q.test/org/api", "1.0.0"));
    world.apply(&web());
    world.sync();
    // The first that is ready takes the slot and keeps it; the other waits for it with its draft.
    world
        .api_faults
        .push_back(ApiFault::Slow(Duration::from_secs(20)));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.patching().len(), 1);
    assert_eq!(&*world.patching()[0].name, "api");
    world.annotate("web", "update-strategy", "newest-build");
    world.run_for(Duration::from_secs(40));
    assert_eq!(world.codes("web"), ["updated"]);
    assert_eq!(world.written("web"), 1);
}

#[test]
fn old_news_of_a_namesake_does_not_bring_it_back() {
    let mut world = world_of_one();
    let old = image_updater_tests::world::record(world.object("web"));
    world.run_for(Duration::from_secs(1));
    world.delete("web");
    world.apply(&web());
    let uid = world.object("web")["uid"].clone();
    let applied = image_updater_core::input::ClusterInput::Applied(Box::new(old));
    let deletions =
        |world: &World| world.count(|event| matches!(event, Event::ApplicationDeleted { .. }));
    assert_eq!(deletions(&world), 1);
    world.tell(image_updater_core::Input::Cluster(applied));
    assert_eq!(deletions(&world), 1, "{uid}");
}

#[test]
fn nothing_is_written_in_a_dry_run() {
    let settings = Settings {
        dry_run: true,
        ..World::settings()
    };
    let mut world = World::new(settings);
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.apply(&web());
    world.sync();
    world.run_for(INTERVAL * 2);
    assert!(world.patches.is_empty());
    let dry = |event: &Event| matches!(event, Event::DryRun { changes, .. } if changes.len() == 1);
    assert!(world.count(dry) >= 2, "each check says what it would write");
    assert_eq!(world.codes("web"), ["updated"]);
}

fn web() -> AppSpec {
    AppSpec::helm(NAMESPACE, "web").image(WEB, "1.0.0")
}

fn newest(image: &str, name: &str) -> AppSpec {
    AppSpec::helm(NAMESPACE, name)
        .image(image, "1.0.0")
        .strategy("newest-build")
}

fn slots(limit: i64) -> Concurrency {
    Concurrency::try_from(limit).expect("a limit")
}

/// One application that is one version behind.
fn world_of_one() -> World {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0", "1.1.0"]);
    world.apply(&web());
    world.sync();
    world
}

/// `n` applications of one image that are one version behind.
fn world_of_many(n: usize) -> World {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0", "1.1.0"]);
    for n in 0..n {
        world.apply(&AppSpec::helm(NAMESPACE, &format!("web-{n}")).image(WEB, "1.0.0"));
    }
    world.sync();
    world
}
