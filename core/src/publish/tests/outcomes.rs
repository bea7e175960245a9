//! What becomes of intents by the answers of servers.

use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::world::{
    Started, World, boxed, commit, inspected, published, refused, unchanged, unknown,
};
use crate::git::RefusalKind;
use crate::id::AppId;
use crate::publish::{BatchEnd, GitOutcome, IntentEnd, IntentRefusal, PublishOutcome, PublishWait};

const FLUSH: Duration = Duration::from_secs(2);

fn not_there() -> IntentEnd {
    IntentEnd::Refused(IntentRefusal::Entangled(boxed("a/link")))
}

#[test]
fn every_application_has_its_own_end_and_a_bad_one_sinks_nobody() {
    let mut world = World::new();
    for app in 1..=3 {
        world.want(app, "v2");
    }
    let started = world.wait(FLUSH);
    let ends = vec![IntentEnd::Written, not_there(), IntentEnd::Unchanged];
    world.answer(&started[0], published(1, ends));
    assert_eq!(
        world.ends(),
        [
            "1 published 01",
            "2 edit refused: a/link cannot be made: another application makes a file where a folder is needed",
            "3 unchanged",
        ]
    );
    assert!(world.room.is_idle());
}

#[test]
fn a_conflict_is_repeated_at_the_new_tip_with_the_newcomers_and_bounded() {
    let mut world = World::new();
    world.want(1, "v2");
    let mut started = world.wait(FLUSH);
    let mut pauses = Vec::new();
    for _ in 0..2 {
        world.answer(&started[0], refused(RefusalKind::Conflict));
        let before = world.now;
        started = world.jump();
        pauses.push(world.now.since(before).as_millis());
    }
    assert!((500..625).contains(&pauses[0]), "{pauses:?}");
    assert!((1_000..1_250).contains(&pauses[1]), "{pauses:?}");
    world.want(2, "v2");
    world.answer(&started[0], refused(RefusalKind::Conflict));
    assert_eq!(world.ends(), ["1 repeated", "1 repeated", "1 failed: no"]);
    assert_eq!(world.wait(FLUSH)[0].apps(), ["2"]);
}

#[test]
fn an_intent_that_waits_for_a_repetition_can_be_exchanged_and_taken_back() {
    let mut world = World::new();
    world.want(1, "v2");
    world.want(2, "v2");
    let started = world.wait(FLUSH);
    world.answer(&started[0], refused(RefusalKind::Conflict));
    let standing = world.room.standing(world.now, AppId(1)).expect("it waits");
    assert!(matches!(standing.wait, PublishWait::Pause(left) if !left.is_zero()));
    assert_eq!(standing.n_failed, 1);
    world.room.forget(AppId(1));
    world.want(2, "v3");
    let again = world.jump();
    let intents = again[0].intents.clone().expect("a publish");
    assert_eq!(intents, [("2".into(), "v3".into())]);
}

#[test]
fn what_only_people_can_change_is_not_repeated() {
    for kind in [
        RefusalKind::HookDeclined,
        RefusalKind::BranchProtected,
        RefusalKind::PermissionDenied,
        RefusalKind::Quota,
        RefusalKind::BranchMissing,
        RefusalKind::Signing,
    ] {
        let mut world = World::new();
        world.want(1, "v2");
        world.want(2, "v2");
        let started = world.wait(FLUSH);
        let outcome = GitOutcome::Refused {
            refusal: crate::git::Refusal::new(kind, "no"),
            ends: vec![IntentEnd::Written, not_there()],
        };
        world.answer(&started[0], outcome);
        let expected = alloc::format!("1 refused {}", kind.as_str());
        let ends = world.ends();
        assert_eq!(ends[0], expected);
        assert!(ends[1].starts_with("2 edit refused"), "{ends:?}");
        assert!(world.room.is_idle());
    }
}

#[test]
fn an_unknown_login_is_tried_once_more_with_the_credential_read_anew() {
    let mut world = World::new();
    world.want(1, "v2");
    let started = world.wait(FLUSH);
    let again = world.answer(&started[0], refused(RefusalKind::Unauthenticated));
    assert_eq!(again[0].apps(), ["1"], "at once");
    world.answer(&again[0], refused(RefusalKind::Unauthenticated));
    assert_eq!(world.ends(), ["1 repeated", "1 refused unauthenticated"]);
}

#[test]
fn a_lost_reply_is_inspected_before_anything_is_repeated() {
    let (mut world, started, inspection) = lost();
    assert_eq!(inspection.intents, None);
    assert_eq!(inspection.batch, started.batch);
    assert_eq!(inspection.since, Some(commit(9)));
    let standing = world.room.standing(world.now, AppId(1)).expect("it waits");
    assert_eq!(standing.wait, PublishWait::Inspection);
    world.answer(&inspection, inspected(Some(1)));
    assert_eq!(world.ends(), ["1 published 01"]);
    assert!(world.room.is_idle());
}

#[test]
fn a_commit_that_is_not_there_is_repeated_under_another_name_and_alone() {
    let (mut world, started, inspection) = lost();
    world.want(2, "v2");
    world.answer(&inspection, inspected(None));
    let again = world.jump();
    assert_eq!(again[0].apps(), ["1"]);
    assert_ne!(again[0].batch, started.batch);
    world.answer(&again[0], published(2, vec![IntentEnd::Written]));
    assert_eq!(world.ends(), ["1 repeated", "1 published 02"]);
    assert_eq!(world.wait(FLUSH)[0].apps(), ["2"]);
}

#[test]
fn a_commit_that_comes_late_is_found_when_its_repetition_has_nothing_to_change() {
    for found in [Some(1), None] {
        let (mut world, started, inspection) = lost();
        world.answer(&inspection, inspected(None));
        let again = world.jump();
        world.answer(&again[0], refused(RefusalKind::Conflict));
        let third = world.jump();
        assert_eq!(third[0].apps(), ["1"]);
        let inspection = world.answer(&third[0], unchanged(vec![IntentEnd::Unchanged]));
        assert_eq!(inspection[0].batch, started.batch);
        assert_eq!(inspection[0].intents, None);
        world.answer(&inspection[0], inspected(found));
        let last = world.ends().pop().expect("an end");
        let expected = match found {
            Some(_) => "1 published 01",
            None => "1 unchanged",
        };
        assert_eq!(last, expected);
        assert!(world.room.is_idle());
    }
}

#[test]
fn what_cannot_be_found_out_is_told_and_given_up() {
    let (mut world, _, mut inspection) = lost();
    for _ in 0..2 {
        world.answer(&inspection, refused(RefusalKind::Transport));
        inspection = world.jump().remove(0);
        assert_eq!(inspection.intents, None);
    }
    world.answer(&inspection, refused(RefusalKind::Transport));
    let ends = world.ends();
    assert!(
        ends[0].starts_with("1 failed: whether the commit is on the branch is not known"),
        "{ends:?}"
    );
    assert!(world.room.is_idle());
}

#[test]
fn nobody_looks_for_a_commit_that_nobody_wants_any_more() {
    let mut world = World::new();
    world.want(1, "v2");
    let started = world.wait(FLUSH);
    world.room.forget(AppId(1));
    let next = world.answer(&started[0], unknown(9, vec![IntentEnd::Written]));
    assert_eq!(next, []);
    assert!(world.room.is_idle());
    let (mut world, _, inspection) = lost();
    world.answer(&inspection, refused(RefusalKind::Transport));
    world.room.forget(AppId(1));
    assert_eq!(world.jump(), []);
    assert!(world.room.is_idle());
}

#[test]
fn a_task_that_crashed_is_inspected_and_what_it_wrote_read_from_the_branch() {
    let mut world = World::new();
    world.want(1, "v2");
    let started = world.wait(FLUSH);
    let crashed = GitOutcome::Unknown {
        since: None,
        branch: boxed(""),
        detail: "the task panicked".into(),
        ends: vec![],
    };
    let inspection = world.answer(&started[0], crashed);
    assert_eq!(inspection[0].intents, None);
    assert_eq!(inspection[0].since, None);
    world.answer(&inspection[0], inspected(Some(1)));
    let again = world.jump();
    world.answer(&again[0], unchanged(vec![IntentEnd::Unchanged]));
    assert_eq!(world.ends(), ["1 repeated", "1 repeated", "1 unchanged"]);
}

#[test]
fn observers_are_told_of_batches_without_passwords() {
    let mut world = World::new();
    world.want_at(1, "https://user:canary@git.test/r.git", Some("main"), "v2");
    let started = world.wait(FLUSH);
    assert_eq!(started[0].repository, "https://user:canary@git.test/r.git");
    assert!(!alloc::format!("{:?}", world.room).contains("canary"));
    world.answer(&started[0], published(1, vec![IntentEnd::Written]));
    let outcomes = world.outcomes();
    let Some(PublishOutcome::Batch(report)) = outcomes.first() else {
        panic!("{outcomes:?}");
    };
    assert_eq!(&*report.repository, "https://git.test/r.git");
    assert_eq!((&*report.branch, report.applications), ("main", 1));
    assert!(matches!(report.end, BatchEnd::Published { .. }));
}

/// One application's commit of which the reply was lost, and the inspection that follows.
fn lost() -> (World, Started, Started) {
    let mut world = World::new();
    world.want(1, "v2");
    let started = world.wait(FLUSH);
    let next = world.answer(&started[0], unknown(9, vec![IntentEnd::Written]));
    assert_eq!(world.ends(), ["1 repeated"]);
    (world, started[0].clone(), next[0].clone())
}
