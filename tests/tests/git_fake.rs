//! Sessions of the core's git machine against the fake remote, in all that a server may be able to do or not.

use image_updater_core::git::job::{Inspect, Relation};
use image_updater_core::git::{
    Action, ChannelEnd, ChannelId, Edits, Finished, Found, Job, Known, Limits, ObjectId, Outcome,
    RefusalKind, Remote, Session, Target, Worktree,
};
use image_updater_fixtures::git::{File, GitRemote, PushConduct};
use image_updater_tests::git::jobs::{edit_job, published, refused, remote, write};
use image_updater_tests::git::{Fake, Transport, drive};

#[test]
fn a_publish_works_with_whatever_a_server_can_do() {
    for_every_server(|mut world| {
        let before = world.files();
        let parent = world.tip("main");
        let finished = world.publish(&[("deploy/app/values.yaml", "tag: 2\n")]);
        let commit = published(&finished, Relation::Same);
        assert_eq!(world.tip("main").to_string(), commit);
        let mut after = world.files();
        let (mode, _) = after.remove("deploy/app/values.yaml").expect("a file");
        assert_eq!(mode, "100644");
        assert_eq!(
            world
                .remote
                .repository
                .file("main", "deploy/app/values.yaml"),
            Some(&b"tag: 2\n"[..])
        );
        assert!(
            after
                .iter()
                .all(|(path, entry)| before.get(path) == Some(entry))
        );
        assert_eq!(after.len() + 1, before.len());
        let [push] = &*world.remote.pushes else {
            panic!("one push");
        };
        assert_eq!((push.old, push.is_forced), (parent, false));
        if world.remote.conduct.has_filter
            && world.remote.conduct.is_v2
            && world.remote.conduct.has_wants_by_id
        {
            assert_eq!(world.remote.sent_blobs.len(), 1, "no file but the one");
        }
    });
}

#[test]
fn a_channel_that_is_not_opened_for_a_reason_is_refused_for_it() {
    for transport in [Transport::Http, Transport::Ssh] {
        let world = World::new(transport);
        let mut session = world.session(&["a.yaml"], Known::default());
        let Some(Action::Open { channel, .. }) = session.poll_action() else {
            panic!("a session begins by opening a channel");
        };
        let end = ChannelEnd::Refused {
            kind: RefusalKind::Unauthenticated,
            detail: "no such key".into(),
        };
        session.handle_end(channel, &end);
        let Some(Action::Finish(finished)) = session.poll_action() else {
            panic!("it ends");
        };
        assert_eq!(refused(&finished), RefusalKind::Unauthenticated);
    }
}

#[test]
fn pieces_of_any_size_are_the_same_to_a_session() {
    for piece_bytes in [1, 2, 7, 100_000] {
        for transport in [Transport::Http, Transport::Ssh] {
            let mut world = World::new(transport);
            let session = world.session(&["a.yaml"], Known::default());
            let mut fake = Fake::new(&mut world.remote, transport);
            fake.piece_bytes = piece_bytes;
            let finished = drive(session, &mut fake, |_| write(&[("a.yaml", "x")]));
            published(&finished, Relation::Same);
        }
    }
}

#[test]
fn what_pushes_meet_decides_what_is_done_about_them() {
    use RefusalKind as Kind;
    for_every_server(|mut world| {
        let old = world.tip("main");
        let status = if world.transport == Transport::Http {
            Kind::Unauthenticated
        } else {
            Kind::Transport
        };
        for (conduct, kind) in [
            (
                PushConduct::Hook("sign your commits".into()),
                Kind::HookDeclined,
            ),
            (
                PushConduct::Hook(
                    "GitLab: You are not allowed to push code to this project.".into(),
                ),
                Kind::PermissionDenied,
            ),
            (PushConduct::Status(401), status),
        ] {
            world.remote.conduct.pushes.push_back(conduct.clone());
            let finished = world.publish(&[("a.yaml", "tag: 2\n")]);
            if world.transport == Transport::Http || !matches!(conduct, PushConduct::Status(_)) {
                assert_eq!(refused(&finished), kind, "{conduct:?}");
            }
            assert_eq!(world.tip("main"), old);
        }
        world.remote.conduct.protected.insert("main".into());
        let finished = world.publish(&[("a.yaml", "tag: 2\n")]);
        assert_eq!(refused(&finished), Kind::BranchProtected);
        world.remote.conduct.protected.clear();

        let human = PushConduct::MovedFirst(File::new("human", "x"));
        world.remote.conduct.pushes.push_back(human);
        let finished = world.publish(&[("a.yaml", "tag: 2\n")]);
        assert_eq!(refused(&finished), Kind::Conflict);
        let finished = world.publish_with(finished.known, &[("a.yaml", "tag: 2\n")]);
        published(&finished, Relation::Same);
        assert_eq!(
            world.remote.repository.file("main", "human"),
            Some(&b"x"[..])
        );
        assert!(world.remote.pushes.iter().all(|push| !push.is_forced));
    });
}

#[test]
fn a_lost_reply_is_unknown_whether_the_push_was_taken_or_not() {
    for_every_server(|mut world| {
        for (conduct, is_taken) in [
            (PushConduct::RefusedReplyLost, false),
            (PushConduct::ReplyLost, true),
        ] {
            world.remote.conduct.pushes.push_back(conduct);
            let finished = world.publish(&[("a.yaml", "tag: 2\n")]);
            let Outcome::Unknown { tip, commit, .. } = finished.outcome else {
                panic!("{:?}", finished.outcome);
            };
            let job = Job::Inspect(Inspect {
                target: Target::default(),
                trailer: "Batch: 7".into(),
                since: Some(tip.commit),
            });
            let finished = world.run(job, finished.known, |_| panic!("nothing to edit"));
            let Outcome::Inspected { commit: found, .. } = finished.outcome else {
                panic!("{:?}", finished.outcome);
            };
            assert_eq!(found, is_taken.then_some(commit));
        }
    });
}

#[test]
fn a_restart_finds_what_was_written_and_writes_nothing() {
    for_every_server(|mut world| {
        published(&world.publish(&[("a.yaml", "tag: 2\n")]), Relation::Same);
        let finished = world.publish(&[("a.yaml", "tag: 2\n")]);
        assert!(
            matches!(finished.outcome, Outcome::Unchanged { .. }),
            "{:?}",
            finished.outcome
        );
        assert_eq!(world.remote.pushes.len(), 1);
    });
}

#[test]
fn servers_that_answer_otherwise_are_refused_in_a_line() {
    let check =
        |status: u16, headers: &[(&str, &str)], body: &str, kind: RefusalKind, text: &str| {
            let mut world = World::new(Transport::Http);
            let mut session = world.session(&["a.yaml"], Known::default());
            assert!(matches!(session.poll_action(), Some(Action::Open { .. })));
            let id = ChannelId(1);
            let headers: Vec<(String, String)> = headers
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect();
            session.handle_head(id, status, &headers);
            session.handle_data(id, body.as_bytes());
            session.handle_end(id, &ChannelEnd::Finished);
            world.remote.pushes.clear();
            while let Some(action) = session.poll_action() {
                if let Action::Finish(finished) = action {
                    assert_eq!(refused(&finished), kind, "{status} {body}");
                    let Outcome::Refused(refusal) = finished.outcome else {
                        panic!("refused")
                    };
                    assert!(refusal.to_string().contains(text), "{refusal}");
                    return;
                }
            }
            panic!("the session goes on after {status}");
        };
    let html = [("content-type", "text/html")];
    let git = [(
        "content-type",
        "application/x-git-upload-pack-advertisement",
    )];
    check(200, &html, "<html>", RefusalKind::NotGit, "text/html");
    check(
        200,
        &git,
        "<html>",
        RefusalKind::NotGit,
        "not git's protocol",
    );
    check(
        200,
        &git,
        "001e# service=git-upload-pack\n",
        RefusalKind::Transport,
        "early",
    );
    check(401, &html, "<html>", RefusalKind::Unauthenticated, "401");
    check(
        404,
        &[],
        "Repository not found.",
        RefusalKind::RepositoryMissing,
        "not found",
    );
    check(503, &[], "busy", RefusalKind::ServerFailed, "busy");
    check(429, &[], "", RefusalKind::Throttled, "429");
    let moved = [(
        "location",
        "https://other.test/r/info/refs?service=git-upload-pack",
    )];
    check(301, &moved, "", RefusalKind::Moved, "https://other.test/r");
}

#[test]
fn a_redirect_on_the_same_host_is_followed_and_no_other() {
    let world = World::new(Transport::Http);
    let mut session = world.session(&["a.yaml"], Known::default());
    for n in 1..10 {
        let next = loop {
            match session.poll_action() {
                Some(Action::Close { .. }) => {}
                other => break other,
            }
        };
        match next {
            Some(Action::Open { channel, .. }) => {
                assert_eq!(channel, ChannelId(n));
                let url = format!("https://git.test/moved-{n}/info/refs?service=git-upload-pack");
                session.handle_head(channel, 302, &[("location".into(), url)]);
            }
            Some(Action::Finish(finished)) => {
                assert_eq!(refused(&finished), RefusalKind::Moved);
                assert!(n > 3, "a few are followed");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("redirects without end");
}

#[test]
fn a_session_given_up_ends_and_after_its_push_is_unknown() {
    for is_pushed in [false, true] {
        let mut world = World::new(Transport::Http);
        let mut session = world.session(&["a.yaml"], Known::default());
        let mut n_opened = 0;
        let finished = loop {
            match session.poll_action() {
                Some(Action::Open {
                    channel,
                    service,
                    open,
                }) => {
                    n_opened += 1;
                    let is_push = service == image_updater_core::git::Service::ReceivePack;
                    if is_push == is_pushed && (is_push || n_opened == 2) {
                        session.handle_cancel("its time is over");
                        continue;
                    }
                    let action = Action::Open {
                        channel,
                        service,
                        open,
                    };
                    let mut fake = Fake::new(&mut world.remote, Transport::Http);
                    image_updater_tests::git::Channels::perform(&mut fake, &mut session, action);
                }
                Some(Action::Edit(_)) => session.handle_edits(write(&[("a.yaml", "x")])),
                Some(Action::Finish(finished)) => break finished,
                Some(Action::Close { .. }) => {}
                other => panic!("{other:?}"),
            }
        };
        if let Outcome::Unknown { commit, .. } = &finished.outcome {
            assert!(is_pushed && *commit != ObjectId::NULL);
        } else {
            assert!(!is_pushed);
            assert_eq!(refused(&finished), RefusalKind::Transport);
        }
    }
}

struct World {
    remote: GitRemote,
    transport: Transport,
}

fn for_every_server(mut check: impl FnMut(World)) {
    for transport in [Transport::Http, Transport::Ssh] {
        for bits in 0..16 {
            let mut world = World::new(transport);
            let can = &mut world.remote.conduct;
            can.is_v2 = bits & 1 == 0;
            can.has_filter = bits & 2 == 0;
            can.has_shallow = bits & 4 == 0;
            can.has_wants_by_id = bits & 8 == 0;
            check(world);
        }
    }
}

impl World {
    fn new(transport: Transport) -> Self {
        let mut remote = GitRemote::with_files(&[
            File::new("a.yaml", "tag: 1\n"),
            File::new("bin/run", "#!/bin/sh\n").with_mode("100755"),
            File::new("deploy/link", "app").with_mode("120000"),
            File::new("deploy/app/values.yaml", "tag: 1\n"),
            File::new("module", "1111111111111111111111111111111111111111").with_mode("160000"),
        ]);
        for n in 0..5 {
            let file = File::new(&format!("other/{n}"), format!("{n}"));
            remote.repository.commit("main", "more", &[file]);
        }
        Self { remote, transport }
    }

    fn tip(&self, branch: &str) -> ObjectId {
        self.remote.repository.tip(branch).expect("a branch")
    }

    fn files(&self) -> std::collections::BTreeMap<String, (String, ObjectId)> {
        self.remote.repository.entries(self.tip("main"))
    }

    fn session(&self, paths: &[&str], known: Known) -> Session {
        let remote: Remote = remote(self.transport);
        Session::new(
            edit_job(paths, Target::default()),
            remote,
            known,
            Limits::default(),
        )
    }

    fn run(&mut self, job: Job, known: Known, edit: impl FnMut(&Worktree) -> Edits) -> Finished {
        let session = Session::new(job, remote(self.transport), known, Limits::default());
        drive(
            session,
            &mut Fake::new(&mut self.remote, self.transport),
            edit,
        )
    }

    fn publish(&mut self, files: &[(&str, &str)]) -> Finished {
        self.publish_with(Known::default(), files)
    }

    fn publish_with(&mut self, known: Known, files: &[(&str, &str)]) -> Finished {
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        self.run(edit_job(&paths, Target::default()), known, |worktree| {
            let found = worktree.files.values();
            assert!(
                found
                    .into_iter()
                    .all(|found| matches!(found, Found::File(_)))
            );
            write(files)
        })
    }
}
