//! Attempts at batches against the fake remote: every intent has its own end, and one that cannot be edited
//! harms nobody.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use image_updater_core::app::Parameter;
use image_updater_core::git::{
    Identity, Known, Limits, ObjectId, RefusalKind, Remote, Session, Target as Branches,
};
use image_updater_core::id::AppKey;
use image_updater_core::publish::{
    BatchId, CredentialReference, GitJob, GitOutcome, GitTask, Intent, IntentEnd, IntentRefusal,
    PublishTask, RepositoryUrl, Work,
};
use image_updater_core::time::UnixTime;
use image_updater_core::writeback::edit::FileEdit;
use image_updater_core::writeback::target::Target;
use image_updater_fixtures::git::{File, GitRemote, PushConduct, overlay};
use image_updater_tests::git::{Fake, Transport, drive};

#[test]
fn every_intent_of_a_batch_has_its_own_end_in_one_commit() {
    let mut remote = GitRemote::with_files(&[
        File::new("README", "hello\n"),
        File::new("c", file_of(&[("tag", "2")])),
        File::new("elsewhere/x", "x\n"),
        File::new("link", "elsewhere").with_mode("120000"),
        File::new(
            "shared",
            format!(
                "# by hand\n{}",
                file_of(&[("a", "1"), ("b", "1"), ("c", "2")])
            ),
        ),
    ]);
    let before = tip(&remote);
    let intents = [
        intent("one", "deploy/one", "tag", "2"),
        intent("two", "link/two", "tag", "2"),
        intent("three", "c", "tag", "2"),
        intent("four", "shared", "a", "2"),
        intent("five", "shared", "b", "2"),
        intent("six", "shared", "b", "2"),
        intent("seven", "shared", "c", "2"),
    ];
    let outcome = run(&mut remote, publish(intents));
    let GitOutcome::Published { commit, ends, .. } = outcome else {
        panic!("{outcome:?}");
    };
    let codes: Vec<&str> = ends.iter().map(code).collect();
    // What an earlier one of the batch brings is as new for those who want the same.
    assert_eq!(
        codes,
        [
            "written",
            "refused",
            "unchanged",
            "written",
            "written",
            "written",
            "unchanged"
        ]
    );
    assert_eq!(tip(&remote), commit);
    assert_eq!(remote.pushes.len(), 1);
    assert_eq!(file(&remote, "deploy/one"), file_of(&[("tag", "2")]));
    let wanted = file_of(&[("a", "2"), ("b", "2"), ("c", "2")]);
    assert_eq!(file(&remote, "shared"), format!("# by hand\n{wanted}"));
    let text = remote.repository.commit_text(commit).expect("a commit");
    let named: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Image-Updater-Application: "))
        .collect();
    assert_eq!(
        named,
        ["argocd/one", "argocd/four", "argocd/five", "argocd/six"]
    );
    assert!(text.contains("Image-Updater-Batch: "), "{text}");
    let changed: Vec<String> = changed(&remote, before, commit);
    assert_eq!(changed, ["deploy/one", "shared"]);
}

#[test]
fn files_that_would_have_to_be_folders_are_the_later_ones_trouble() {
    for (first, second) in [("x", "x/y"), ("x/y", "x")] {
        let mut remote = GitRemote::with_files(&[File::new("README", "hello\n")]);
        let intents = [
            intent("one", first, "tag", "2"),
            intent("two", second, "tag", "2"),
            intent("three", "z", "tag", "2"),
        ];
        let outcome = run(&mut remote, publish(intents));
        assert_eq!(
            codes(&outcome),
            ["written", "entangled", "written"],
            "{first}, then {second}"
        );
        assert_eq!(file(&remote, first), file_of(&[("tag", "2")]));
    }
}

#[test]
fn where_nobody_can_be_written_nothing_is_pushed() {
    let mut remote = GitRemote::with_files(&[
        File::new("elsewhere/x", "x\n"),
        File::new("link", "elsewhere").with_mode("120000"),
    ]);
    let intents = [intent("one", "link/one", "tag", "2")];
    let outcome = run(&mut remote, publish(intents));
    assert!(
        matches!(outcome, GitOutcome::Unchanged { .. }),
        "{outcome:?}"
    );
    assert_eq!(codes(&outcome), ["refused"]);
    assert_eq!(remote.pushes, []);
}

#[test]
fn a_thousand_applications_of_which_some_share_a_file_are_one_commit() {
    let mut remote = GitRemote::with_files(&[File::new("README", "hello\n")]);
    let intents = (0..1_000).map(|n| {
        let path = if n % 50 == 0 {
            "shared".into()
        } else {
            format!("apps/{n}")
        };
        intent(&format!("app-{n}"), &path, &format!("tag-{n}"), "2")
    });
    let outcome = run(&mut remote, publish(intents));
    assert!(codes(&outcome).iter().all(|code| code == "written"));
    assert_eq!(remote.pushes.len(), 1);
    assert_eq!(overlay::read(file(&remote, "shared").as_bytes()).len(), 20);
}

#[test]
fn a_lost_reply_is_found_by_the_name_of_its_batch() {
    for (conduct, is_there) in [
        (PushConduct::ReplyLost, true),
        (PushConduct::RefusedReplyLost, false),
    ] {
        let mut remote = GitRemote::with_files(&[File::new("README", "hello\n")]);
        remote.conduct.pushes.push_back(conduct);
        let job = publish([intent("one", "one", "tag", "2")]);
        let GitTask::Publish(task) = &job.task else {
            panic!("{job:?}");
        };
        let batch = task.batch.clone();
        let outcome = run(&mut remote, job);
        let GitOutcome::Unknown { since, ends, .. } = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!(ends, [IntentEnd::Written]);
        for since in [since, None] {
            let batch = batch.clone();
            let inspection = job_of(GitTask::Inspect { batch, since });
            let outcome = run(&mut remote, inspection);
            let commit = is_there.then(|| tip(&remote));
            assert_eq!(outcome, GitOutcome::Inspected { commit });
        }
    }
}

#[test]
fn a_branch_that_moved_is_a_conflict_and_nothing_is_forced() {
    let mut remote = GitRemote::with_files(&[File::new("README", "hello\n")]);
    let file = File::new("first", "come\n");
    remote
        .conduct
        .pushes
        .push_back(PushConduct::MovedFirst(file));
    let outcome = run(&mut remote, publish([intent("one", "one", "tag", "2")]));
    let GitOutcome::Refused { refusal, ends } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(refusal.kind, RefusalKind::Conflict);
    assert_eq!(ends, [IntentEnd::Written], "it would have been");
    assert!(remote.pushes.iter().all(|push| !push.is_forced));
}

fn intent(app: &str, path: &str, key: &str, value: &str) -> Intent {
    let app = AppKey::new("argocd", app);
    Intent {
        target: Target::parse(Some(path), &app, "argocd", "").expect("a path"),
        edit: FileEdit::Parameters(vec![Parameter {
            name: key.into(),
            value: value.into(),
            force_string: true,
        }]),
        message: format!("update {}", app.name).into(),
        app,
    }
}

/// An override file as one of ours looks.
fn file_of(parameters: &[(&str, &str)]) -> String {
    let mut text = "helm:\n  parameters:\n".to_owned();
    for (name, value) in parameters {
        let lines = format!("  - name: {name}\n    value: \"{value}\"\n    forcestring: true\n");
        text.push_str(&lines);
    }
    text
}

fn publish(intents: impl IntoIterator<Item = Intent>) -> GitJob {
    job_of(GitTask::Publish(Box::new(PublishTask {
        batch: BatchId::new("0123456789abcdef"),
        intents: intents.into_iter().map(Arc::new).collect(),
        author: Identity {
            name: "Updater".into(),
            email: "up@example.com".into(),
        },
        time: UnixTime::from_secs(1_700_000_001),
        is_signed: false,
        is_signed_off: false,
    })))
}

fn job_of(task: GitTask) -> GitJob {
    GitJob {
        repository: RepositoryUrl::new("https://git.test/repo"),
        credential: CredentialReference::Repository {
            project: "default".into(),
        },
        target: Branches::default(),
        task,
        timeout: Duration::from_secs(90),
    }
}

fn run(remote: &mut GitRemote, job: GitJob) -> GitOutcome {
    let url = job.repository.reveal().to_owned();
    let (job, mut work) = Work::new(job);
    let session = Session::new(job, Remote::Http(url), Known::default(), Limits::default());
    let mut channels = Fake::new(remote, Transport::Http);
    let finished = drive(session, &mut channels, |worktree| work.edit(worktree));
    work.outcome_of(finished.outcome)
}

fn codes(outcome: &GitOutcome) -> Vec<String> {
    let ends = match outcome {
        GitOutcome::Published { ends, .. }
        | GitOutcome::Unchanged { ends, .. }
        | GitOutcome::Refused { ends, .. }
        | GitOutcome::Unknown { ends, .. } => ends,
        GitOutcome::Inspected { .. } => panic!("{outcome:?}"),
    };
    ends.iter().map(|end| code(end).to_owned()).collect()
}

fn code(end: &IntentEnd) -> &'static str {
    match end {
        IntentEnd::Written => "written",
        IntentEnd::Unchanged => "unchanged",
        IntentEnd::Refused(IntentRefusal::Edit(_)) => "refused",
        IntentEnd::Refused(IntentRefusal::Entangled(_)) => "entangled",
    }
}

fn tip(remote: &GitRemote) -> ObjectId {
    remote.repository.tip("main").expect("a branch")
}

fn file(remote: &GitRemote, path: &str) -> String {
    let content = remote.repository.file("main", path).unwrap_or_default();
    String::from_utf8_lossy(content).into_owned()
}

fn changed(remote: &GitRemote, before: ObjectId, after: ObjectId) -> Vec<String> {
    let [before, after] = [before, after].map(|commit| remote.repository.entries(commit));
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differs = |path: &&&String| before.get(**path) != after.get(**path);
    all.iter()
        .filter(differs)
        .map(|path| (*path).clone())
        .collect()
}
