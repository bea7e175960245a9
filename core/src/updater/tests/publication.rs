//! One application that is written with Git, every answer given by the test.

use alloc::string::ToString as _;

use super::*;
use crate::explain::LastPublishEnd;
use crate::git::job::Relation;
use crate::git::{ObjectId, Refusal, RefusalKind};
use crate::publish::{
    CredentialReference, GitJob, GitOutcome, GitTask, Intent, IntentEnd, PublishSettings,
    PublishWait,
};
use crate::writeback::edit::FileEdit;

#[test]
fn one_update_goes_from_the_watch_to_the_commit() {
    let mut world = git_world(Duration::from_mins(2));
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    assert_eq!(world.effects(), [], "it waits for others");
    let explanation = world.explain();
    let standing = explanation.publishing.expect("it waits in a batch");
    assert!(matches!(standing.wait, PublishWait::Others(_)));
    assert_eq!(&*standing.repository, "https://git.test/x");
    let (op, job) = commit(&mut world);
    assert_eq!(job.repository.reveal(), "https://git.test/x");
    let project = "default".into();
    assert_eq!(job.credential, CredentialReference::Repository { project });
    let intent = only_intent(&job);
    assert_eq!(intent.target.path.as_str(), "p/.argocd-source-web.yaml");
    let FileEdit::Parameters(parameters) = &intent.edit else {
        panic!("{intent:?}");
    };
    assert!(parameters.iter().any(|one| &*one.value == "1.1.0"));
    assert!(intent.message.contains("org/web tag '1.0.0' to '1.1.0'"));
    assert_eq!(world.core.audit(), Ok(()));
    world.events();
    answer(&mut world, op, published());
    let events = world.events();
    let told =
        |event: &Event| matches!(event, Event::Published { branch, .. } if &**branch == "main");
    assert!(events.iter().any(told), "{events:?}");
    assert_eq!(world.last_run(), Some((RunKind::Check, RunEnd::Success)));
    let last = world.explain().last_publish.expect("it was published");
    assert!(matches!(last.end, LastPublishEnd::Published { .. }));
    assert_eq!(world.core.audit(), Ok(()));
}

#[test]
fn what_the_branch_says_already_is_no_update() {
    let mut world = git_world(Duration::from_mins(2));
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    let (op, _) = commit(&mut world);
    world.events();
    let outcome = GitOutcome::Unchanged {
        branch: "main".into(),
        ends: Vec::from([IntentEnd::Unchanged]),
    };
    answer(&mut world, op, outcome);
    let events = world.events();
    let ended = |event: &&Event| matches!(event, Event::CheckFinished { .. });
    let Some(Event::CheckFinished { counters, .. }) = events.iter().find(ended) else {
        panic!("the check ended: {events:?}");
    };
    assert_eq!((counters.n_updated, counters.n_errors), (0, 0));
    assert_eq!(world.core.stats().writes, 0);
}

#[test]
fn a_refusal_is_told_with_the_words_of_the_server_and_counts_as_an_error() {
    let mut world = git_world(Duration::from_mins(2));
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    let (op, _) = commit(&mut world);
    let outcome = GitOutcome::Refused {
        refusal: Refusal::new(RefusalKind::HookDeclined, "not on a Friday"),
        ends: Vec::new(),
    };
    answer(&mut world, op, outcome);
    assert_eq!(world.last_run(), Some((RunKind::Check, RunEnd::Failure)));
    let last = world.explain().last_publish.expect("it was tried");
    let LastPublishEnd::Failed { detail } = last.end else {
        panic!("{last:?}");
    };
    assert_eq!(&*detail, "hook-declined: not on a Friday");
    assert_eq!(world.core.audit(), Ok(()));
}

#[test]
fn a_wish_that_changes_while_its_intent_waits_is_decided_anew() {
    let mut world = git_world(Duration::from_mins(2));
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    apply(&mut world, 2, "~2", "");
    assert_eq!(world.last_run(), Some((RunKind::Check, RunEnd::Success)));
    assert_eq!(world.core.stats().writes, 0);
    assert_eq!(world.explain().publishing, None);
    assert_eq!(world.core.audit(), Ok(()));
}

#[test]
fn nothing_of_a_deleted_application_enters_a_batch() {
    let mut world = git_world(Duration::from_mins(2));
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    world.tell(Input::Cluster(ClusterInput::Deleted(key())));
    assert_eq!(world.effects(), []);
    assert_eq!(world.core.audit(), Ok(()));
    assert_eq!(world.core.poll_timeout(), None, "nothing is due");
}

#[test]
fn one_that_is_gone_while_it_is_published_leaves_nothing() {
    let mut world = git_world(Duration::from_mins(2));
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    let (op, _) = commit(&mut world);
    world.tell(Input::Cluster(ClusterInput::Deleted(key())));
    world.events();
    answer(&mut world, op, published());
    let events = world.events();
    let is_told = |event: &Event| matches!(event, Event::Published { .. });
    assert!(!events.iter().any(is_told), "{events:?}");
    assert_eq!(world.core.stats().operations, 0);
    assert_eq!(world.core.audit(), Ok(()));
}

#[test]
fn a_shutdown_sends_what_waits_and_ends_when_it_is_answered() {
    let mut world = git_world(Duration::from_mins(2));
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    assert_eq!(world.effects(), []);
    world.tell(Input::Process(crate::input::ProcessInput::Shutdown));
    let (op, _) = started(&mut world);
    assert!(!world.core.is_finished());
    answer(&mut world, op, published());
    assert!(world.core.is_finished());
    let events = world.events();
    assert!(events.contains(&Event::ShutdownBegun { operations: 1 }));
    assert!(events.contains(&Event::Stopped { abandoned: 0 }));
}

#[test]
fn what_was_not_published_when_the_time_is_over_is_told() {
    let mut world = git_world(Duration::from_mins(2));
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    world.tell(Input::Process(crate::input::ProcessInput::Shutdown));
    started(&mut world);
    while !world.core.is_finished() {
        world.wait();
        assert_eq!(world.effects(), [], "nothing new starts");
    }
    let events = world.events();
    let told = |event: &Event| matches!(event, Event::WriteFailed { detail, is_repeated: false, .. } if detail.contains("not known"));
    assert!(events.iter().any(told), "{events:?}");
    assert!(events.contains(&Event::Stopped { abandoned: 1 }));
}

#[test]
fn once_is_over_when_the_commit_is_there() {
    let mut world = git_world(Duration::ZERO);
    apply(&mut world, 1, "", "");
    world.tell(Input::Cluster(ClusterInput::ResetBegun));
    apply(&mut world, 1, "", "");
    world.tell(Input::Cluster(ClusterInput::ResetDone));
    answer_listing(&mut world);
    assert!(!world.core.is_finished(), "an intent waits");
    let (op, _) = commit(&mut world);
    assert!(!world.core.is_finished(), "a commit is under way");
    answer(&mut world, op, published());
    assert!(world.core.is_finished());
}

#[test]
fn a_revision_that_is_no_branch_is_refused_before_anything_is_asked_of_git() {
    let mut world = git_world(Duration::from_mins(2));
    let revision = "0123456789012345678901234567890123456789";
    let mut app = git_app(1, "", "");
    let crate::app::Sources::Single(source) = &mut app.sources else {
        panic!("one source");
    };
    source.target_revision = revision.into();
    world.tell(Input::Cluster(ClusterInput::Applied(Box::new(app))));
    if world
        .core
        .poll_timeout()
        .is_some_and(|due| due.at <= world.now.mono)
    {
        world.core.handle_timeout(world.now);
    }
    answer_listing(&mut world);
    assert_eq!(world.effects(), []);
    let refusal = world.explain().refusal.expect("it is refused");
    assert_eq!(refusal.code(), "invalid-git-write-back");
    assert!(refusal.to_string().contains(revision), "{refusal}");
}

#[test]
fn without_settings_for_git_nothing_is_written_and_it_says_so() {
    let mut world = World::new();
    apply(&mut world, 1, "", "");
    answer_listing(&mut world);
    assert_eq!(world.effects(), []);
    let refusal = world.explain().refusal.expect("it is refused");
    assert_eq!(refusal.code(), "git-not-built");
    assert_eq!(world.core.audit(), Ok(()));
}

/// A core that writes with Git; without an interval it makes one pass.
fn git_world(interval: Duration) -> World {
    let mode = if interval.is_zero() {
        Mode::Cycle
    } else {
        Mode::Continuous
    };
    let schedule = ScheduleSettings {
        warmup: false,
        start_spread: Duration::ZERO,
        ..ScheduleSettings::new(mode, interval)
    };
    let mut settings = Settings::new(schedule, RegistrySettings::default());
    settings.publish = Some(PublishSettings::new("argocd"));
    let config = Config::new(settings).expect("valid settings");
    let now = Now::default();
    let mut core = Updater::new(config, Seed(1), now);
    if !interval.is_zero() {
        core.handle_input(now, Input::Cluster(ClusterInput::ResetBegun));
        core.handle_input(now, Input::Cluster(ClusterInput::ResetDone));
    }
    World { core, now }
}

impl World {
    fn explain(&self) -> crate::Explanation {
        self.core.explain(&key()).expect("it is known")
    }
}

fn key() -> AppKey {
    AppKey::new("argocd", "web")
}

fn git_app(version: u64, constraint: &str, set: &str) -> Application {
    let mut app = app(version, constraint, set);
    let pairs = app.annotations.iter().map(|(key, value)| {
        let key = format!("argocd-image-updater.argoproj.io/{key}");
        (key, String::from(value))
    });
    let mut pairs: Vec<(String, String)> = pairs.collect();
    let method = "argocd-image-updater.argoproj.io/write-back-method";
    pairs.push((method.into(), "git".into()));
    let pairs = pairs.iter().map(|(key, value)| (&**key, &**value));
    app.annotations = crate::app::Annotations::from_pairs(pairs);
    app.project = "default".into();
    app
}

fn apply(world: &mut World, version: u64, constraint: &str, set: &str) {
    let app = Box::new(git_app(version, constraint, set));
    world.tell(Input::Cluster(ClusterInput::Applied(app)));
    if world
        .core
        .poll_timeout()
        .is_some_and(|wakeup| wakeup.at <= world.now.mono)
    {
        world.core.handle_timeout(world.now);
    }
}

fn answer_listing(world: &mut World) {
    let effects = world.effects();
    let [Effect::Http(op, _)] = &effects[..] else {
        panic!("one request: {effects:?}");
    };
    let response = HttpResponse {
        status: 200,
        headers: Vec::new(),
        body: br#"{"tags":["1.0.0","1.1.0"]}"#.to_vec(),
    };
    world.tell(Input::Http(*op, HttpOutcome::Response(response)));
}

/// The flush interval is over: the attempt that starts.
fn commit(world: &mut World) -> (OpId, GitJob) {
    world.wait();
    started(world)
}

fn started(world: &mut World) -> (OpId, GitJob) {
    let mut effects = world.effects();
    let Some(Effect::Git(op, job)) = effects.pop() else {
        panic!("an attempt: {effects:?}");
    };
    assert_eq!(effects, [], "and nothing else");
    (op, *job)
}

fn only_intent(job: &GitJob) -> &Intent {
    let GitTask::Publish(task) = &job.task else {
        panic!("{job:?}");
    };
    let [intent] = &task.intents[..] else {
        panic!("{job:?}");
    };
    intent
}

fn published() -> GitOutcome {
    GitOutcome::Published {
        commit: ObjectId::NULL,
        branch: "main".into(),
        relation: Relation::Same,
        messages: Vec::new(),
        ends: Vec::from([IntentEnd::Written]),
    }
}

fn answer(world: &mut World, op: OpId, outcome: GitOutcome) {
    world.tell(Input::Git(op, Box::new(outcome)));
}
