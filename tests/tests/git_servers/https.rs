//! Over HTTPS: `git http-backend` behind nginx.

use std::collections::BTreeSet;
use std::time::Duration;

use image_updater_core::git::job::{Inspect, Relation};
use image_updater_core::git::{Finished, Job, Outcome, RefusalKind, Target};
use image_updater_tests::git::Repository;
use image_updater_tests::git::jobs::{edit_job, published, refused, write};
use image_updater_tests::servers::{Admission, Authority, GitHttp, eventually};
use image_updater_tokio::git::Signer;
use image_updater_tokio::http::Proxies;
use image_updater_tokio::spawn::Cancelled;

use crate::stand::{
    FILES, PASSWORD, PATH, Stand, USER, assert_only_edit, assert_untouched, basic, talkative,
    waiting, waiting_when_committed,
};

#[test]
fn an_edit_becomes_one_commit_over_one_connection() {
    for protocol in ["http1", "http2"] {
        let Some(world) = World::speaking(protocol) else {
            return;
        };
        let before = world.repository.tree("main");
        let finished = world.publish();
        let commit = published(&finished, Relation::Same);
        assert_eq!(world.repository.tip("main"), commit);
        assert_only_edit(&world.repository, &before);
        let requests = world.server.requests();
        let connections = requests.iter().filter_map(|line| line.split(' ').next());
        let connections: BTreeSet<&str> = connections.collect();
        assert!(requests.len() >= 4, "{requests:#?}");
        assert_eq!(connections.len(), 1, "{protocol}: {requests:#?}");
    }
}

#[test]
fn a_hook_behind_the_push_is_not_cut_off() {
    let Some(world) = World::new() else { return };
    let end = world.file("end");
    world.repository.hook("post-receive", &talkative(&end));
    published(&world.publish(), Relation::Same);
    assert!(std::fs::exists(end).expect("it can be asked for"));
}

#[test]
fn a_server_that_is_not_known_is_shown_nothing() {
    let Some(world) = World::new() else { return };
    let tip = world.repository.tip("main");
    let stranger = Stand::new(None);
    let finished = stranger.publish(&world.server.url, &basic(USER, PASSWORD));
    assert_eq!(refused(&finished), RefusalKind::Transport);
    assert_says(&finished, "no TLS with 127.0.0.1");
    assert_eq!(world.server.requests(), [""; 0]);
    assert_untouched(&world.repository, &tip);

    let mut credential = basic(USER, PASSWORD);
    credential.is_insecure = true;
    let finished = stranger.publish(&world.server.url, &credential);
    published(&finished, Relation::Same);
    world.repository.check();
}

#[test]
fn a_repository_that_moved_is_followed_on_its_host_alone() {
    let Some(world) = World::new() else { return };
    let tip = world.repository.tip("main");
    let url = |path: &str| format!("{}{path}", world.server.origin());
    let finished = world.stand.publish(&url("/away"), &basic(USER, PASSWORD));
    assert_eq!(refused(&finished), RefusalKind::Moved);
    assert_says(&finished, "https://elsewhere.test/repo");
    assert_untouched(&world.repository, &tip);
    let finished = world.stand.publish(&url("/old"), &basic(USER, PASSWORD));
    published(&finished, Relation::Same);
    world.repository.check();
}

#[test]
fn what_a_hook_says_is_kept_and_tells_what_to_do() {
    let Some(world) = World::new() else { return };
    let tip = world.repository.tip("main");
    for (script, kind) in [
        (
            "echo no tags on Fridays >&2; exit 1",
            RefusalKind::HookDeclined,
        ),
        (
            "echo Not allowed to push to protected branch main >&2; exit 1",
            RefusalKind::BranchProtected,
        ),
    ] {
        world.repository.hook("pre-receive", script);
        let finished = world.publish();
        assert_eq!(refused(&finished), kind, "{script}");
        assert_untouched(&world.repository, &tip);
    }
    let Outcome::Refused(refusal) = world.publish().outcome else {
        panic!("it is refused");
    };
    assert_eq!(
        refusal.messages,
        ["Not allowed to push to protected branch main"]
    );
}

#[test]
fn a_server_that_repeats_the_password_is_not_quoted() {
    let Some(world) = World::new() else { return };
    let script = format!("echo denied for {USER}:{PASSWORD} >&2; exit 1");
    world.repository.hook("pre-receive", &script);
    let finished = world.publish();
    assert_eq!(refused(&finished), RefusalKind::HookDeclined);
    assert_says(&finished, "not shown, since it repeats a secret");
    let shown = format!("{finished:?} {:?}", basic(USER, PASSWORD));
    assert!(!shown.contains(PASSWORD), "{shown}");
}

#[test]
fn a_slow_hook_is_waited_for() {
    let Some(world) = World::new() else { return };
    let before = world.repository.tree("main");
    let (begun, end) = (world.file("begun"), world.file("end"));
    world.repository.hook("pre-receive", &waiting(&begun, &end));
    let helper = std::thread::spawn(move || {
        eventually("the hook runs", || std::fs::metadata(&begun).ok());
        std::fs::write(&end, "").expect("it is written");
    });
    published(&world.publish(), Relation::Same);
    helper.join().expect("the hook was ended");
    assert_only_edit(&world.repository, &before);
}

#[test]
fn a_reply_that_is_lost_leaves_an_unknown_that_can_be_looked_up() {
    let Some(world) = World::new() else { return };
    let before = world.repository.tree("main");
    let tip = world.repository.tip("main");
    let (begun, end) = (world.file("begun"), world.file("end"));
    let script = waiting_when_committed(&begun, &end);
    world.repository.hook("reference-transaction", &script);
    let finished = std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the branch has moved", || std::fs::metadata(&begun).ok());
            world.server.stop();
            std::fs::write(&end, "").expect("it is written");
        });
        world.publish()
    });
    let Outcome::Unknown { commit, .. } = finished.outcome else {
        panic!("{:?}", finished.outcome);
    };
    assert_only_edit(&world.repository, &before);
    assert_eq!(world.repository.tip("main"), commit.to_string());

    let server = world.serve_again();
    let job = Job::Inspect(Inspect {
        target: Target::default(),
        trailer: "Batch: 7".to_owned(),
        since: image_updater_core::git::ObjectId::from_hex(tip.as_bytes()),
    });
    let finished = world.stand.run(
        &server.url,
        &basic(USER, PASSWORD),
        &Signer::None,
        job,
        |_| panic!("nothing to edit"),
    );
    let Outcome::Inspected { commit: found, .. } = finished.outcome else {
        panic!("{:?}", finished.outcome);
    };
    assert_eq!(found, Some(commit));
}

#[test]
fn a_server_that_does_not_answer_in_time_leaves_an_unknown() {
    let Some(mut world) = World::new() else {
        return;
    };
    let before = world.repository.tree("main");
    let (begun, end) = (world.file("begun"), world.file("end"));
    let script = waiting_when_committed(&begun, &end);
    world.repository.hook("reference-transaction", &script);
    let limit = Duration::from_secs(5);
    world.stand = Stand::with(Some(&world.authority), Proxies::default(), limit);
    let finished = world.publish();
    std::fs::write(&end, "").expect("it is written");
    let Outcome::Unknown { commit, detail, .. } = finished.outcome else {
        panic!("{:?}", finished.outcome);
    };
    assert!(detail.contains("within 5s"), "{detail}");
    assert_eq!(world.repository.tip("main"), commit.to_string());
    assert_only_edit(&world.repository, &before);
}

#[test]
fn attempt_that_is_given_up_says_how_far_it_came() {
    let Some(world) = World::new() else { return };
    let before = world.repository.tree("main");
    let tip = world.repository.tip("main");
    let (begun, end) = (world.file("begun"), world.file("end"));
    let script = waiting_when_committed(&begun, &end);
    world.repository.hook("reference-transaction", &script);
    let (cancel, cancelled) = tokio::sync::oneshot::channel();
    let finished = std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the hook runs", || std::fs::metadata(&begun).ok());
            cancel.send(()).expect("the attempt is under way");
        });
        world.publish_until(cancelled.into())
    });
    std::fs::write(&end, "").expect("it is written");
    let outcome = finished.outcome;
    let Outcome::Unknown {
        tip: read, commit, ..
    } = outcome
    else {
        panic!("{outcome:?}");
    };
    assert_eq!(read.commit.to_string(), tip);
    assert_eq!(world.repository.tip("main"), commit.to_string());
    assert_only_edit(&world.repository, &before);

    // Nothing was sent yet.
    let (cancel, cancelled) = tokio::sync::oneshot::channel();
    cancel.send(()).expect("somebody waits");
    let finished = world.publish_until(cancelled.into());
    assert_eq!(refused(&finished), RefusalKind::Transport);
    assert_only_edit(&world.repository, &before);
}

#[test]
fn what_is_large_and_not_edited_is_not_sent() {
    let Some(world) = World::new() else { return };
    let large = image_updater_tests::git::jobs::noise(8 << 20);
    let files = [("100644", "large.bin", &*large)];
    world.repository.commit("main", "large", &files);
    let before = world.repository.tree("main");
    published(&world.publish(), Relation::Same);
    assert_only_edit(&world.repository, &before);
    let requests = world.server.requests();
    let sent = requests.iter().filter_map(|line| line.split(' ').nth(2));
    let n_bytes: usize = sent.filter_map(|bytes| bytes.parse::<usize>().ok()).sum();
    assert!((1..100_000).contains(&n_bytes), "{requests:#?}");
}

#[test]
fn a_branch_that_moved_meanwhile_is_a_conflict_and_nobody_loses() {
    let Some(world) = World::new() else { return };
    let job = edit_job(&[PATH], Target::default());
    let human = std::sync::Arc::clone(&world.repository);
    let finished = world.stand.run(
        &world.server.url,
        &basic(USER, PASSWORD),
        &Signer::None,
        job,
        move |_| {
            human.commit("main", "human", &[("100644", "b.yaml", "x\n")]);
            write(&[(PATH, "tag: 1.1\n")])
        },
    );
    assert_eq!(refused(&finished), RefusalKind::Conflict);
    world.repository.check();
    assert_eq!(world.repository.file("main", "b.yaml"), "x\n");
    assert_eq!(world.repository.file("main", PATH), "tag: 1.0\n");
    published(&world.publish(), Relation::Same);
    assert_eq!(world.repository.file("main", "b.yaml"), "x\n");
    world.repository.check();
}

#[test]
fn an_empty_repository_is_refused_by_name() {
    let authority = Authority::new();
    let repository = Repository::empty();
    let admission = Admission::User(USER, PASSWORD);
    let Some(server) = GitHttp::start(&repository, &authority, admission, "") else {
        return;
    };
    let finished = Stand::new(Some(&authority)).publish(&server.url, &basic(USER, PASSWORD));
    assert_eq!(refused(&finished), RefusalKind::NoDefaultBranch);
    repository.check();
}

#[test]
fn a_large_file_is_read_from_a_server_without_filter() {
    let Some(world) = World::new() else { return };
    let text = image_updater_tests::git::jobs::noise(3 << 20);
    world
        .repository
        .git(&["config", "uploadpack.allowFilter", "false"]);
    world
        .repository
        .commit("main", "large", &[("100644", "large.bin", &text)]);
    let job = Job::Read {
        target: Target::default(),
        paths: ["large.bin".to_owned()].into(),
    };
    let finished = world.stand.run(
        &world.server.url,
        &basic(USER, PASSWORD),
        &Signer::None,
        job,
        |_| panic!("nothing to edit"),
    );
    let Outcome::Read(worktree) = finished.outcome else {
        panic!("{:?}", finished.outcome);
    };
    let file = image_updater_core::git::Found::File(text.into_bytes());
    assert!(worktree.files["large.bin"] == file);
    published(&world.publish(), Relation::Same);
    world.repository.check();
}

struct World {
    authority: Authority,
    repository: std::sync::Arc<Repository>,
    server: GitHttp,
    stand: Stand,
}

impl World {
    fn new() -> Option<Self> {
        Self::speaking("http2")
    }

    fn speaking(protocol: &str) -> Option<Self> {
        let authority = Authority::new();
        let repository = std::sync::Arc::new(Repository::with_files(FILES));
        let admission = Admission::User(USER, PASSWORD);
        Some(Self {
            server: GitHttp::speaking(protocol, &repository, &authority, admission, "")?,
            stand: Stand::new(Some(&authority)),
            authority,
            repository,
        })
    }

    fn serve_again(&self) -> GitHttp {
        let admission = Admission::User(USER, PASSWORD);
        GitHttp::start(&self.repository, &self.authority, admission, "").expect("as before")
    }

    fn publish(&self) -> Finished {
        self.stand.publish(&self.server.url, &basic(USER, PASSWORD))
    }

    fn publish_until(&self, cancelled: Cancelled) -> Finished {
        self.stand.run_until(
            &self.server.url,
            &basic(USER, PASSWORD),
            &Signer::None,
            edit_job(&[PATH], Target::default()),
            |_| write(&[(PATH, "tag: 1.1\n")]),
            cancelled,
        )
    }

    /// A file for hooks, beside the repository's own.
    fn file(&self, name: &str) -> String {
        self.repository.path().join(name).display().to_string()
    }
}

#[track_caller]
fn assert_says(finished: &Finished, text: &str) {
    let Outcome::Refused(refusal) = &finished.outcome else {
        panic!("{:?}", finished.outcome);
    };
    let said = refusal.to_string();
    assert!(said.contains(text), "{said}");
}
