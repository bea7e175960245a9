//! Sessions of the core's git machine against the `git` that is installed, in both versions of the protocol,
//! as over HTTP and as over SSH.

use std::fmt::Write as _;

use image_updater_core::git::job::{Inspect, PathRefusal, Relation};
use image_updater_core::git::pack::PackLimits;
use image_updater_core::git::{
    Edits, Finished, Found, Job, Known, Limits, Outcome, RefusalKind, Remote, Session, Target,
    Worktree,
};
use image_updater_tests::git::jobs::{
    edit_job, noise, publish_job, published, refused, remote, write,
};
use image_updater_tests::git::{Pipes, Repository, Transport, drive};
use image_updater_tests::servers::{Server, is_available};

const WAYS: [(Transport, bool); 4] = [
    (Transport::Http, true),
    (Transport::Http, false),
    (Transport::Ssh, true),
    (Transport::Ssh, false),
];

const FILES: &[(&str, &str, &str)] = &[
    ("100644", "a.yaml", "tag: 1.0\r\nother: x\r\n"),
    ("100755", "bin/run", "#!/bin/sh\n"),
    ("120000", "bin/link", "run"),
    ("120000", "charts", "deploy"),
    ("100644", "deploy/app/values.yaml", "tag: 1.0\n"),
    ("100644", "deploy/app-2/values.yaml", "tag: 1.0\n"),
    (
        "160000",
        "module",
        "1111111111111111111111111111111111111111",
    ),
];

#[test]
fn an_edit_becomes_one_commit_and_nothing_else_changes() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let world = World::new(FILES, transport, is_v2);
        let before = world.repository.tree("main");
        let parent = world.repository.tip("main");
        let finished = world.publish(&[
            ("deploy/app/values.yaml", "tag: 1.1\n"),
            ("bin/run", "#!/bin/bash\n"),
            ("deploy/new/x.yaml", "tag: 1.1\n"),
        ]);
        let commit = published(&finished, Relation::Same);
        world.repository.check();
        assert_eq!(world.repository.tip("main"), commit);
        assert_eq!(
            world.repository.file("main", "deploy/app/values.yaml"),
            "tag: 1.1\n"
        );
        let head = world.repository.git(&["cat-file", "commit", "main"]);
        assert!(
            head.contains(&format!(
                "parent {parent}\nauthor Updater <up@example.com> 1700000001 +0000\n"
            )),
            "{head}"
        );
        assert!(head.ends_with("\n\nupdate\n\nBatch: 7\n"), "{head}");
        let after = world.repository.tree("main");
        let changed: Vec<&str> = after
            .iter()
            .filter(|line| !before.contains(line))
            .filter_map(|line| line.split('\t').nth(1))
            .collect();
        assert_eq!(
            changed,
            [
                "bin",
                "bin/run",
                "deploy",
                "deploy/app",
                "deploy/app/values.yaml",
                "deploy/new",
                "deploy/new/x.yaml"
            ]
        );
        assert!(
            after
                .iter()
                .any(|line| line.starts_with("100755 blob") && line.ends_with("bin/run"))
        );
        assert_eq!(after.len(), before.len() + 2);
    }
}

#[test]
fn what_is_already_so_makes_no_commit() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let world = World::new(FILES, transport, is_v2);
        let parent = world.repository.tip("main");
        let finished = world.publish(&[("a.yaml", "tag: 1.0\r\nother: x\r\n")]);
        assert!(
            matches!(finished.outcome, Outcome::Unchanged { .. }),
            "{:?}",
            finished.outcome
        );
        assert_eq!(world.repository.tip("main"), parent);
    }
}

#[test]
fn paths_are_read_or_refused_for_a_reason() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let world = World::new(FILES, transport, is_v2);
        let paths = [
            "a.yaml",
            "bin/none",
            "bin/link",
            "charts/app/values.yaml",
            "module/x",
            "deploy",
            "../x",
        ];
        let job = Job::Read {
            target: Target::default(),
            paths: paths.iter().map(|&path| path.into()).collect(),
        };
        let finished = world.run(job, Known::default(), |_| panic!("nothing to edit"));
        let Outcome::Read(Worktree { tip, files }) = finished.outcome else {
            panic!("{:?}", finished.outcome);
        };
        assert_eq!((&*tip.branch, &*tip.base), ("main", "main"));
        let found: Vec<Found> = paths.iter().map(|&path| files[path].clone()).collect();
        assert_eq!(
            found,
            [
                Found::File(b"tag: 1.0\r\nother: x\r\n".to_vec()),
                Found::Absent,
                Found::Refused(PathRefusal::Symlink),
                Found::Refused(PathRefusal::Symlink),
                Found::Refused(PathRefusal::Submodule),
                Found::Refused(PathRefusal::Directory),
                Found::Refused(PathRefusal::Invalid),
            ]
        );
    }
}

#[test]
fn a_tip_that_is_known_costs_what_changed() {
    if !is_available(Server::Git) {
        return;
    }
    let contents: Vec<(String, String)> = (0..1_500)
        .map(|n| {
            (
                format!("apps/team-{}/app-{n}/values.yaml", n % 40),
                format!("tag: {n}\n"),
            )
        })
        .collect();
    let mut files: Vec<(&str, &str, &str)> = contents
        .iter()
        .map(|(path, text)| ("100644", &**path, &**text))
        .collect();
    let noise = noise(3 << 20);
    files.push(("100644", "large.bin", &noise));
    for transport in [Transport::Http, Transport::Ssh] {
        let world = World::new(&files, transport, true);
        let path = &contents[7].0;
        let (first, cold) = world.publish_with(Known::default(), (path, "tag: a\n"));
        published(&first, Relation::Same);
        assert!(
            cold.received < 200_000,
            "the large file is not sent: {cold:?}"
        );

        let (second, warm) = world.publish_with(first.known, (path, "tag: b\n"));
        published(&second, Relation::Same);
        assert!(warm.received < 3_000, "the tip is known: {warm:?}");
        assert!(warm.requests < cold.requests, "{warm:?} {cold:?}");

        world.repository.commit(
            "main",
            "human",
            &[("100644", "apps/team-1/app-1/values.yaml", "tag: human\n")],
        );
        let (third, moved) = world.publish_with(second.known, (path, "tag: c\n"));
        published(&third, Relation::Same);
        assert!(moved.received < 6_000, "{moved:?}");
        assert!(moved.requests <= cold.requests, "{moved:?} {cold:?}");

        let (fourth, other) = world.publish_with(
            third.known,
            (
                &contents[900].0,
                "tag: d
",
            ),
        );
        published(&fourth, Relation::Same);
        assert!(other.received < cold.received / 2, "{other:?} {cold:?}");
        world.repository.check();
        assert_eq!(
            world
                .repository
                .file("main", "apps/team-1/app-1/values.yaml"),
            "tag: human\n"
        );
    }
}

#[test]
fn a_branch_that_moved_is_a_conflict_and_nobodys_commit_is_lost() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let world = World::new(FILES, transport, is_v2);
        let mut pipes = world.pipes();
        pipes.before_push = Some(Box::new(|| {
            world
                .repository
                .commit("main", "human", &[("100644", "human", "x")]);
        }));
        let finished = drive(
            world.session(edit_job(&["a.yaml"], Target::default()), Known::default()),
            &mut pipes,
            |_| write(&[("a.yaml", "tag: 2\n")]),
        );
        assert_eq!(
            refused(&finished),
            RefusalKind::Conflict,
            "{:?}",
            finished.outcome
        );
        drop(pipes);
        let human = world.repository.tip("main");
        let (again, _) = world.publish_with(finished.known, ("a.yaml", "tag: 2\n"));
        published(&again, Relation::Same);
        world.repository.check();
        assert_eq!(world.repository.git(&["rev-parse", "main^"]).trim(), human);
        assert_eq!(world.repository.file("main", "human"), "x");
    }
}

#[test]
fn hooks_refuse_in_their_own_words() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let world = World::new(FILES, transport, is_v2);
        let parent = world.repository.tip("main");
        for (hook, said, kind) in [
            (
                "pre-receive",
                "tags must be signed",
                RefusalKind::HookDeclined,
            ),
            (
                "update",
                "You are not allowed to push code to protected branches",
                RefusalKind::BranchProtected,
            ),
        ] {
            world
                .repository
                .hook(hook, &format!("echo '{said}' >&2; exit 1"));
            let finished = world.publish(&[("a.yaml", "tag: 2\n")]);
            assert_eq!(refused(&finished), kind);
            let Outcome::Refused(refusal) = finished.outcome else {
                panic!("refused");
            };
            assert_eq!(refusal.messages[0], said, "{transport:?}");
            world.repository.hook(hook, "exit 0");
        }
        assert_eq!(world.repository.tip("main"), parent);
        world.repository.check();
    }
}

#[test]
fn a_lost_reply_is_unknown_and_the_batch_is_found() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let world = World::new(FILES, transport, is_v2);
        let inspect = |since| {
            let job = Job::Inspect(Inspect {
                target: Target::default(),
                trailer: "Batch: 7".into(),
                since,
            });
            let finished = world.run(job, Known::default(), |_| panic!("nothing to edit"));
            let Outcome::Inspected { commit, .. } = finished.outcome else {
                panic!("{:?}", finished.outcome);
            };
            commit
        };
        assert_eq!(inspect(None), None);
        let mut pipes = world.pipes();
        pipes.is_reply_lost = true;
        let finished = drive(
            world.session(edit_job(&["a.yaml"], Target::default()), Known::default()),
            &mut pipes,
            |_| write(&[("a.yaml", "tag: 2\n")]),
        );
        drop(pipes);
        let Outcome::Unknown { tip, commit, .. } = finished.outcome else {
            panic!("{:?}", finished.outcome);
        };
        assert_eq!(
            world.repository.tip("main"),
            commit.to_string(),
            "it was taken"
        );
        assert_eq!(inspect(Some(tip.commit)), Some(commit));
        world
            .repository
            .commit("main", "human", &[("100644", "human", "x")]);
        assert_eq!(inspect(Some(tip.commit)), Some(commit));
        assert_eq!(inspect(None), Some(commit));
        // What is written again is there already.
        let (again, _) = world.publish_with(finished.known, ("a.yaml", "tag: 2\n"));
        assert!(matches!(again.outcome, Outcome::Unchanged { .. }));
    }
}

#[test]
fn write_branches_start_again_when_they_were_merged_and_are_never_forced() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let world = World::new(FILES, transport, is_v2);
        let target = Target {
            base: Some("main".into()),
            write: Some("updates/app".into()),
        };
        let publish = |text: &str| {
            let job = edit_job(&["a.yaml"], target.clone());
            world.run(job, Known::default(), |_| write(&[("a.yaml", text)]))
        };
        let parent = || {
            world
                .repository
                .git(&["rev-parse", "updates/app^"])
                .trim()
                .to_owned()
        };
        let main = world.repository.tip("main");
        let first = published(&publish("1\n"), Relation::Created);
        assert_eq!(parent(), main);
        published(&publish("2\n"), Relation::Ahead);
        assert_eq!(parent(), first);

        world
            .repository
            .git(&["update-ref", "refs/heads/main", "refs/heads/updates/app"]);
        published(&publish("3\n"), Relation::Same);
        world
            .repository
            .git(&["update-ref", "refs/heads/main", "refs/heads/updates/app"]);
        let main = world
            .repository
            .commit("main", "human", &[("100644", "human", "x")]);
        published(&publish("4\n"), Relation::Restarted);
        assert_eq!(parent(), main);

        let ours = world.repository.tip("updates/app");
        world
            .repository
            .commit("main", "human", &[("100644", "human", "y")]);
        published(&publish("5\n"), Relation::Diverged);
        assert_eq!(parent(), ours);
        world.repository.check();
    }
}

#[test]
fn what_cannot_be_written_is_refused_by_name() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let empty = World {
            repository: Repository::empty(),
            transport,
            is_v2,
        };
        let read = |world: &World, base: Option<&str>| {
            let job = Job::Read {
                target: Target {
                    base: base.map(Into::into),
                    write: None,
                },
                paths: ["a.yaml".into()].into(),
            };
            refused(&world.run(job, Known::default(), |_| panic!("nothing to edit")))
        };
        assert_eq!(read(&empty, None), RefusalKind::NoDefaultBranch);
        assert_eq!(read(&empty, Some("main")), RefusalKind::BranchMissing);
        let world = World::new(FILES, transport, is_v2);
        world.repository.git(&["tag", "v1", "main"]);
        assert_eq!(read(&world, Some("none")), RefusalKind::BranchMissing);
        assert_eq!(read(&world, Some("v1")), RefusalKind::NotABranch);
        let tip = world.repository.tip("main");
        assert_eq!(read(&world, Some(&tip)), RefusalKind::NotABranch);

        let target = Target {
            base: None,
            write: Some("main/below".into()),
        };
        let job = edit_job(&["a.yaml"], target);
        let finished = world.run(job, Known::default(), |_| write(&[("a.yaml", "x")]));
        assert_eq!(refused(&finished), RefusalKind::BranchName);
    }
}

#[test]
fn repositories_that_are_too_large_or_hashed_otherwise_are_refused() {
    if !is_available(Server::Git) {
        return;
    }
    let noise = noise(1 << 20);
    for (transport, is_v2) in WAYS {
        let world = World::new(
            &[
                ("100644", "a.yaml", "tag: 1\n"),
                ("100644", "large.bin", &noise),
            ],
            transport,
            is_v2,
        );
        world
            .repository
            .git(&["config", "uploadpack.allowFilter", "false"]);
        let limits = Limits {
            pack: PackLimits::new(200_000),
            ..Limits::default()
        };
        let job = edit_job(&["a.yaml"], Target::default());
        let session = Session::new(job, world.remote(), Known::default(), limits);
        let finished = drive(session, &mut world.pipes(), |_| panic!("nothing was read"));
        assert_eq!(refused(&finished), RefusalKind::PackTooLarge);
        let finished = world.publish(&[("a.yaml", "tag: 2\n")]);
        published(&finished, Relation::Same);
        world.repository.check();
    }
    let repository = Repository::empty();
    std::fs::remove_dir_all(repository.path()).expect("it is there");
    std::fs::create_dir(repository.path()).expect("a folder can be made");
    repository.git(&[
        "init",
        "--quiet",
        "--bare",
        "--object-format=sha256",
        "--initial-branch=main",
        ".",
    ]);
    repository.commit("main", "first", FILES.split_at(6).0);
    for (transport, is_v2) in WAYS {
        let job = edit_job(&["a.yaml"], Target::default());
        let session = Session::new(job, remote(transport), Known::default(), Limits::default());
        let mut pipes = Pipes::new(&repository, transport, is_v2);
        let finished = drive(session, &mut pipes, |_| panic!("nothing was read"));
        assert_eq!(
            refused(&finished),
            RefusalKind::ObjectFormat,
            "{transport:?} {is_v2}"
        );
    }
}

#[test]
fn histories_with_packed_differences_are_read() {
    if !is_available(Server::Git) {
        return;
    }
    let mut long = String::new();
    for n in 0..2_000 {
        writeln!(long, "key-{n}: value").expect("memory");
    }
    for (transport, is_v2) in WAYS {
        for filters in ["true", "false"] {
            let world = World::new(FILES, transport, is_v2);
            world
                .repository
                .git(&["config", "uploadpack.allowFilter", filters]);
            for n in 0..20 {
                let text = format!("{long}last: {n}\n");
                let path = format!("deploy/app-{n}/values.yaml");
                world.repository.commit(
                    "main",
                    "human",
                    &[("100644", "long.yaml", &text), ("100644", &path, &text)],
                );
            }
            world
                .repository
                .git(&["repack", "-adfq", "--depth=50", "--window=50"]);
            let finished =
                world.publish(&[("long.yaml", "x\n"), ("deploy/app-3/values.yaml", "y\n")]);
            let commit = published(&finished, Relation::Same);
            assert_eq!(world.repository.tip("main"), commit);
            world.repository.check();
        }
    }
}

#[test]
fn more_files_can_be_read_before_they_are_edited_and_commits_signed() {
    if !is_available(Server::Git) {
        return;
    }
    for (transport, is_v2) in WAYS {
        let world = World::new(FILES, transport, is_v2);
        let mut job = publish_job(&["a.yaml"], Target::default());
        job.is_signed = true;
        let mut n_asked = 0;
        let finished = world.run(Job::Publish(job), Known::default(), |worktree| {
            n_asked += 1;
            if n_asked == 1 {
                return Edits::Read(["deploy/app/values.yaml".into()].into());
            }
            assert_eq!(worktree.files.len(), 2);
            assert_eq!(
                worktree.files["deploy/app/values.yaml"],
                Found::File(b"tag: 1.0\n".to_vec())
            );
            write(&[("deploy/app/values.yaml", "tag: 3\n")])
        });
        published(&finished, Relation::Same);
        let head = world.repository.git(&["cat-file", "commit", "main"]);
        assert!(head.contains("\ngpgsig signed "), "{head}");
        world.repository.check();
    }
}

struct World {
    repository: Repository,
    transport: Transport,
    is_v2: bool,
}

#[derive(Debug)]
struct Cost {
    received: usize,
    requests: usize,
}

impl World {
    fn new(files: &[(&str, &str, &str)], transport: Transport, is_v2: bool) -> Self {
        Self {
            repository: Repository::with_files(files),
            transport,
            is_v2,
        }
    }

    fn pipes(&self) -> Pipes<'_> {
        Pipes::new(&self.repository, self.transport, self.is_v2)
    }

    fn remote(&self) -> Remote {
        remote(self.transport)
    }

    fn session(&self, job: Job, known: Known) -> Session {
        Session::new(job, self.remote(), known, Limits::default())
    }

    fn run(&self, job: Job, known: Known, edit: impl FnMut(&Worktree) -> Edits) -> Finished {
        drive(self.session(job, known), &mut self.pipes(), edit)
    }

    fn publish(&self, files: &[(&str, &str)]) -> Finished {
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let job = edit_job(&paths, Target::default());
        self.run(job, Known::default(), |_| write(files))
    }

    fn publish_with(&self, known: Known, file: (&str, &str)) -> (Finished, Cost) {
        let mut pipes = self.pipes();
        let job = edit_job(&[file.0], Target::default());
        let finished = drive(self.session(job, known), &mut pipes, |_| write(&[file]));
        let cost = Cost {
            received: pipes.n_received,
            requests: pipes.n_requests,
        };
        (finished, cost)
    }
}
