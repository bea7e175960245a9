//! When batches close, what they take, and whose turn it is.

use alloc::string::ToString as _;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::world::{World, published, refused};
use crate::git::RefusalKind;
use crate::id::{AppId, OpId};
use crate::publish::{PublishSettings, PublishWait};

#[test]
fn a_batch_takes_all_that_one_event_made_and_not_only_what_triggers_it() {
    let mut world = World::new();
    for app in 0..500 {
        world.want(app, "v2");
    }
    let started = world.turn();
    let sizes: Vec<usize> = started.iter().map(|one| one.apps().len()).collect();
    assert_eq!(sizes, [500]);
    assert_eq!(
        started[0].apps()[..3],
        ["0", "1", "2"],
        "in order of arrival"
    );
}

#[test]
fn a_batch_holds_a_thousand_and_the_rest_follows() {
    let mut world = World::new();
    for app in 0..1_001 {
        world.want(app, "v2");
    }
    let first = world.turn();
    assert_eq!(first[0].apps().len(), 1_000);
    assert_eq!(world.turn(), [], "one publish at a time");
    world.answer(&first[0], published(1, vec![]));
    let second = world.wait(Duration::from_secs(2));
    assert_eq!(second[0].apps(), ["1000"]);
}

#[test]
fn a_few_wait_for_others_no_longer_than_the_flush_interval() {
    let mut world = World::new();
    world.want(1, "v2");
    assert_eq!(world.turn(), []);
    // Others that keep coming do not hold the first back (L5).
    for app in 2..5 {
        assert_eq!(world.wait(Duration::from_millis(600)), []);
        world.want(app, "v2");
    }
    let standing = world.room.standing(world.now, AppId(1)).expect("it waits");
    assert_eq!(standing.n_waiting, 4);
    assert_eq!(
        standing.wait,
        PublishWait::Others(Duration::from_millis(200))
    );
    let started = world.wait(Duration::from_millis(200));
    assert_eq!(started[0].apps(), ["1", "2", "3", "4"]);
}

#[test]
fn the_newest_intent_of_an_application_wins_and_one_that_is_gone_is_not_written() {
    let mut world = World::new();
    world.want(1, "v2");
    world.want(2, "v2");
    world.want(1, "v3");
    world.want(3, "v2");
    world.room.forget(AppId(2));
    let started = world.wait(Duration::from_secs(2));
    let intents = started[0].intents.clone().expect("a publish");
    let pair = |app: &str, text: &str| (app.to_string(), text.to_string());
    assert_eq!(intents, [pair("1", "v3"), pair("3", "v2")]);
    world.room.forget(AppId(1));
    world.room.forget(AppId(3));
    world.answer(&started[0], published(1, vec![]));
    assert_eq!(world.ends(), Vec::<&str>::new(), "nobody wants to know");
    assert!(world.room.is_idle());
}

#[test]
fn an_intent_for_another_branch_leaves_the_first_one() {
    let mut world = World::new();
    world.want_at(1, "https://git.test/r", Some("main"), "v2");
    world.want_at(1, "https://git.test/r", Some("dev"), "v2");
    let started = world.wait(Duration::from_secs(2));
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].target.base.as_deref(), Some("dev"));
}

#[test]
fn one_publish_is_under_way_per_branch_however_its_repository_is_spelt() {
    let mut world = World::new();
    world.want_at(1, "https://git.test/r", Some("main"), "v2");
    world.want_at(2, "git@git.test:r.git", Some("main"), "v2");
    world.want_at(3, "https://git.test/r", None, "v2");
    world.want_at(4, "https://git.test/r", Some("dev"), "v2");
    world.want_at(5, "https://git.test/other", Some("main"), "v2");
    let first = world.wait(Duration::from_secs(2));
    let apps: Vec<_> = first.iter().map(|one| one.apps()[0]).collect();
    assert_eq!(apps, ["1", "5"]);
    let second = world.answer(&first[0], published(1, vec![]));
    assert_eq!(second[0].apps(), ["2"]);
    let third = world.answer(&second[0], published(2, vec![]));
    assert_eq!(third[0].apps(), ["3"], "the default branch may be any");
    assert_eq!(third.len(), 1);
    let fourth = world.answer(&third[0], published(3, vec![]));
    assert_eq!(fourth[0].apps(), ["4"]);
}

#[test]
fn no_more_than_the_bound_is_under_way_over_all_repositories() {
    let mut world = World::with(PublishSettings {
        in_flight_max: 2,
        ..PublishSettings::new("argocd")
    });
    for (app, url) in ["https://a.test/r", "https://b.test/r", "https://c.test/r"]
        .into_iter()
        .enumerate()
    {
        world.want_at(app as u64, url, None, "v2");
    }
    let started = world.wait(Duration::from_secs(2));
    assert_eq!(started.len(), 2);
    let standing = world.room.standing(world.now, AppId(2)).expect("it waits");
    assert_eq!(standing.wait, PublishWait::Turn);
    let next = world.answer(&started[0], published(1, vec![]));
    assert_eq!(next[0].apps(), ["2"]);
}

#[test]
fn without_batches_every_application_has_a_commit_of_its_own_at_once() {
    let mut world = World::with(PublishSettings {
        is_batched: false,
        ..PublishSettings::new("argocd")
    });
    world.want(1, "v2");
    world.want(2, "v2");
    let first = world.turn();
    assert_eq!(first[0].apps(), ["1"]);
    let second = world.answer(&first[0], published(1, vec![]));
    assert_eq!(second[0].apps(), ["2"]);
    assert_ne!(first[0].batch, second[0].batch);
}

#[test]
fn a_drain_sends_what_waits_at_once_and_repeats_what_fails() {
    let mut world = World::new();
    world.want(1, "v2");
    assert_eq!(world.turn(), []);
    world.room.handle_drain();
    let started = world.turn();
    assert_eq!(started[0].apps(), ["1"]);
    world.want(2, "v2");
    assert_eq!(world.turn(), [], "after the one that is under way");
    world.answer(&started[0], refused(RefusalKind::Conflict));
    let again = world.jump();
    assert_eq!(again[0].apps(), ["1", "2"]);
    world.answer(&again[0], published(1, vec![]));
    assert!(world.room.is_idle());
}

#[test]
fn an_attempt_that_hangs_is_cancelled_and_keeps_its_branch_until_it_is_answered() {
    let mut world = World::new();
    world.want(1, "v2");
    let started = world.wait(Duration::from_secs(2));
    world.want(2, "v2");
    assert_eq!(world.wait(Duration::from_secs(90)), []);
    assert_eq!(world.wait(Duration::from_secs(30)), []);
    assert_eq!(world.ends(), ["stalled 0"]);
    let next = world.answer(&started[0], refused(RefusalKind::Transport));
    assert_eq!(next, [], "a pause comes first");
    assert_eq!(world.jump()[0].apps(), ["1", "2"]);
}

#[test]
fn an_answer_to_what_was_not_asked_changes_nothing() {
    let mut world = World::new();
    world.want(1, "v2");
    let started = world.wait(Duration::from_secs(2));
    assert!(
        !world
            .room
            .handle_git(world.now, OpId(7), published(1, vec![]))
    );
    world.answer(&started[0], published(1, vec![]));
    assert!(
        !world
            .room
            .handle_git(world.now, started[0].op, published(2, vec![]))
    );
    assert_eq!(world.ends(), ["1 published 01"]);
}

#[test]
fn names_of_batches_differ_and_follow_from_the_seed() {
    let names = || {
        let mut world = World::new();
        let mut names = Vec::new();
        for _ in 0..3 {
            world.want(1, "v2");
            let started = world.wait(Duration::from_secs(2));
            names.push(started[0].batch.clone());
            world.answer(&started[0], published(1, vec![]));
        }
        names
    };
    let first = names();
    assert_eq!(first, names());
    assert!(first[0] != first[1] && first[1] != first[2]);
    assert_eq!(first[0].as_str().len(), 32);
}
