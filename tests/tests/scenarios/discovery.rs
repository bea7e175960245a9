//! Discovery: what the watch says exists, and what is made of it.

use image_updater_core::Event;
use image_updater_core::app::IgnoreReason;
use image_updater_core::id::AppKey;
use image_updater_core::input::{ClusterInput, Input};
use image_updater_fixtures::AppSpec;
use image_updater_tests::world::{INTERVAL, NAMESPACE, World, record};
use std::time::Duration;

const WEB: &str = "r.test/org/web";

#[test]
fn nothing_is_checked_before_the_first_listing_is_complete() {
    let mut world = world();
    world.tell(Input::Cluster(ClusterInput::ResetBegun));
    tell_applied(&mut world, "a");
    world.run_for(INTERVAL * 2);
    assert_eq!(world.checks("a"), 0);
    world.tell(Input::Cluster(ClusterInput::ResetDone));
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.checks("a"), 1);
}

#[test]
fn a_listing_that_broke_off_deletes_nothing() {
    let mut world = world();
    world.sync();
    world.tell(Input::Cluster(ClusterInput::ResetBegun));
    tell_applied(&mut world, "a");
    world.tell(Input::Cluster(ClusterInput::ResetBegun));
    assert_eq!(world.core.stats().applications, 2);
    tell_applied(&mut world, "b");
    assert_eq!(
        world.core.stats().applications,
        2,
        "not before it is complete"
    );
    world.tell(Input::Cluster(ClusterInput::ResetDone));
    assert_eq!(
        world.core.stats().applications,
        1,
        "the second listing named b alone"
    );
    assert!(world.core.explain(&AppKey::new(NAMESPACE, "a")).is_none());
}

#[test]
fn a_listing_of_a_restored_server_counts_although_its_versions_are_older() {
    let mut world = world();
    world.sync();
    let mut restored = record(world.object("a"));
    restored.resource_version = "1".into();
    restored.images = Box::new(["r.test/org/web:0.1.0".into()]);
    let tell = |world: &mut World, app: &image_updater_core::app::Application| {
        world.tell(Input::Cluster(ClusterInput::Applied(Box::new(app.clone()))));
    };
    tell(&mut world, &restored);
    assert!(
        !format!("{:?}", world.core).contains("web:0.1.0"),
        "a watch event of an older version is old news"
    );
    world.tell(Input::Cluster(ClusterInput::ResetBegun));
    tell(&mut world, &restored);
    world.tell(Input::Cluster(ClusterInput::ResetDone));
    assert!(format!("{:?}", world.core).contains("web:0.1.0"));
}

#[test]
fn the_end_of_a_listing_that_never_began_deletes_nothing() {
    let mut world = world();
    world.sync();
    world.tell(Input::Cluster(ClusterInput::ResetDone));
    assert_eq!(world.core.stats().applications, 2);
}

#[test]
fn a_complete_listing_deletes_what_it_does_not_name() {
    let mut world = world();
    world.sync();
    world.is_watch_held = true;
    world.delete("a");
    world.sync();
    let deleted =
        |event: &Event| matches!(event, Event::ApplicationDeleted { key } if &*key.name == "a");
    assert_eq!(world.count(deleted), 1);
    let (a, b) = (world.checks("a"), world.checks("b"));
    world.run_for(INTERVAL);
    assert_eq!(world.checks("a"), a);
    assert!(world.checks("b") > b);
}

#[test]
fn a_listing_repeated_without_change_starts_nothing() {
    let mut world = world();
    world.sync();
    world.run_for(Duration::from_secs(10));
    let (requests, events) = (world.requests.len(), world.events.len());
    world.sync();
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.requests.len(), requests);
    assert_eq!(world.events.len(), events);
}

#[test]
fn another_uid_is_another_application() {
    let mut world = world();
    world.sync();
    world.run_for(Duration::from_secs(10));
    world.is_watch_held = true;
    world.delete("a");
    world.apply(&spec(NAMESPACE, "a"));
    world.is_watch_held = false;
    // Deletion and creation come as one event, as watches may tell them.
    world.skip_changes();
    tell_applied(&mut world, "a");
    let told: Vec<&str> = world.events.iter().filter_map(birth_or_death).collect();
    assert_eq!(told, ["+a", "+b", "-a", "+a"]);
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.checks("a"), 2, "it has its own first check");
}

#[test]
fn one_name_in_two_namespaces_is_two_applications() {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0", "1.1.0"]);
    for namespace in ["blue", "green"] {
        world.apply(&spec(namespace, "web"));
    }
    world.sync();
    world.run_for(Duration::from_secs(10));
    assert_eq!(world.written("web"), 2);
    let mut patched: Vec<String> = world
        .patches
        .iter()
        .map(|(_, key, _)| key.to_string())
        .collect();
    patched.sort();
    assert_eq!(patched, ["blue/web", "green/web"]);
    let gone = ClusterInput::Deleted(AppKey::new("blue", "web"));
    world.tell(Input::Cluster(gone));
    assert!(world.core.explain(&AppKey::new("green", "web")).is_some());
}

#[test]
fn who_takes_no_part_is_told_once_and_again_when_the_reason_changes() {
    let mut world = World::plain();
    let mut object = spec(NAMESPACE, "a").to_json();
    object["status"]["sourceType"] = "Directory".into();
    world.apply_json(&object);
    world.sync();
    world.run_for(INTERVAL * 3);
    world.edit("a", |object| object["spec"]["project"] = "other".into());
    let reasons = |world: &World| -> Vec<IgnoreReason> {
        let of = |event: &Event| {
            let Event::ApplicationIgnored { reason, .. } = event else {
                return None;
            };
            Some(reason.clone())
        };
        world.events.iter().filter_map(of).collect()
    };
    let directory = IgnoreReason::UnsupportedType("Directory".into());
    assert_eq!(reasons(&world), vec![directory.clone()]);
    world.edit("a", |object| {
        object["metadata"]["annotations"] = serde_json::json!({});
    });
    assert_eq!(reasons(&world), [directory, IgnoreReason::NoImageList]);
    assert_eq!(world.explain("a").ignored, Some(IgnoreReason::NoImageList));
}

#[test]
fn an_application_that_stops_to_take_part_is_left_alone_and_may_come_back() {
    let mut world = world();
    world.sync();
    world.run_for(Duration::from_secs(1));
    let checks = world.checks("a");
    world.edit("a", |object| {
        object["metadata"]["annotations"] = serde_json::json!({});
    });
    world.run_for(INTERVAL * 3);
    assert_eq!(world.checks("a"), checks);
    assert!(world.explain("a").images.is_empty(), "old reports are gone");
    world.apply(&spec(NAMESPACE, "a"));
    world.run_for(INTERVAL);
    assert!(world.checks("a") > checks);
}

#[test]
fn old_news_of_an_application_change_nothing() {
    let mut world = world();
    world.sync();
    let old = record(world.object("a"));
    world.annotate("a", "image-list", "web=r.test/org/web:~2");
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.codes("a"), ["none-in-constraint"]);
    world.tell(Input::Cluster(ClusterInput::Applied(Box::new(old))));
    world.run_for(INTERVAL);
    assert_eq!(world.codes("a"), ["none-in-constraint"]);
}

fn birth_or_death(event: &Event) -> Option<&'static str> {
    if let Event::ApplicationConsidered { key, .. } = event {
        return Some(if &*key.name == "a" { "+a" } else { "+b" });
    }
    matches!(event, Event::ApplicationDeleted { .. }).then_some("-a")
}

fn spec(namespace: &str, name: &str) -> AppSpec {
    AppSpec::helm(namespace, name).image(WEB, "1.0.0")
}

/// Two applications that are up to date, not listed yet.
fn world() -> World {
    let mut world = World::plain();
    world.push(WEB, &["1.0.0"]);
    world.apply(&spec(NAMESPACE, "a"));
    world.apply(&spec(NAMESPACE, "b"));
    world
}

fn tell_applied(world: &mut World, name: &str) {
    let record = record(world.object(name));
    world.tell(Input::Cluster(ClusterInput::Applied(Box::new(record))));
}
