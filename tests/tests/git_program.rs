//! The program that writes through Git: a cluster, a registry, and a real Git server with a private authority.

use std::io::Write as _;

use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::ImageSpec;
use image_updater_sim::wire::{Wire, WireWorld};
use image_updater_tests::git::Repository;
use image_updater_tests::program::Program;
use image_updater_tests::servers::{Admission, Authority, GitHttp};

const USER: &str = "updater";
const PASSWORD: &str = "correct-horse-canary";
const SECRET_TYPE: &str = "argocd.argoproj.io/secret-type";
const APPS: [&str; 3] = ["api", "web", "worker"];

#[test]
fn applications_share_one_commit_that_no_later_check_and_no_restart_repeats() {
    let Some(world) = World::new("git") else {
        return;
    };
    world.put_login("repo-creds", world.server.origin(), PASSWORD);
    let first = world.repository.tip("main");
    let before = world.repository.tree("main");
    let flags = [
        "--git-commit-user=Robot",
        "--git-commit-email=robot@example.com",
        "--git-commit-sign-off",
    ];
    let program = world.start(&flags);
    program.eventually("the commit", || {
        (world.repository.tip("main") != first).then_some(())
    });
    program.expect_checks(APPS[0], 2);
    let mut log = program.finish();
    let program = world.start(&flags);
    program.expect_checks(APPS[0], 2);
    log += &program.finish();
    assert!(!log.contains(PASSWORD), "{log}");
    world.repository.check();
    assert_eq!(world.commits(), 2, "{log}");
    let about =
        world
            .repository
            .git(&["log", "-1", "--format=%an <%ae>%n%cn <%ce>%n%P%n%B", "main"]);
    let lines: Vec<&str> = about.lines().collect();
    let robot = "Robot <robot@example.com>";
    assert_eq!(lines[..3], [robot, robot, &*first], "{about}");
    let sign_off = format!("Signed-off-by: {robot}");
    assert!(lines.contains(&&*sign_off), "{about}");
    for app in APPS {
        let file = world
            .repository
            .file("main", &format!("apps/.argocd-source-{app}.yaml"));
        assert!(file.contains("1.1.0"), "{file}");
    }
    let now = world.repository.tree("main");
    for line in before.iter().filter(|line| !line.contains(" tree ")) {
        assert!(now.contains(line), "{line} has changed");
    }
    // Nothing but Git was written to.
    world
        .wire
        .with_world(|world| assert_eq!(world.patches.len(), 0));
}

#[test]
fn login_that_is_wrong_is_told_and_taken_from_the_secret_anew_for_each_attempt() {
    let Some(world) = World::new("git:secret:team/login") else {
        return;
    };
    let first = world.repository.tip("main");
    let program = world.start(&[]);
    program.expect_line(&["secret team/login does not exist"]);
    world.wire.with_world(|world| {
        world.cluster.put_secret("team", "login", "username", USER);
        world
            .cluster
            .put_secret("team", "login", "password", "wrong");
    });
    program.expect_line(&["unauthenticated", "401"]);
    assert_eq!(world.repository.tip("main"), first);
    world.wire.with_world(|world| {
        world
            .cluster
            .put_secret("team", "login", "password", PASSWORD);
    });
    program.eventually("the commit", || {
        (world.repository.tip("main") != first).then_some(())
    });
    let log = program.finish();
    assert!(!log.contains(PASSWORD), "{log}");
    world.repository.check();
}

#[test]
fn program_without_a_login_says_where_to_put_one_and_writes_nothing() {
    let Some(world) = World::new("git") else {
        return;
    };
    // That of another server.
    world.put_login("repo-creds", "https://elsewhere.test", PASSWORD);
    let first = world.repository.tip("main");
    let program = world.start(&[]);
    program.expect_line(&["are not configured in Argo CD settings"]);
    world
        .wire
        .with_world(|world| world.cluster.deny("list", "secrets"));
    program.expect_line(&["grant the verb list on secrets in namespace argocd"]);
    program.finish();
    assert_eq!(world.repository.tip("main"), first);
}

struct World {
    wire: Wire,
    repository: Repository,
    server: GitHttp,
    folder: tempfile::TempDir,
}

impl World {
    /// Applications with this method to write, each with an update that waits. `None` without a Git server.
    fn new(method: &str) -> Option<Self> {
        let repository = Repository::with_files(&[
            ("100644", "apps/Chart.yaml", "name: apps\n"),
            ("100755", "bin/run", "#!/bin/sh\n"),
            ("120000", "bin/link", "run"),
        ]);
        let authority = Authority::new();
        let admission = Admission::User(USER, PASSWORD);
        let server = GitHttp::start(&repository, &authority, admission, "")?;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("127.0.0.1"), authority.pem())
            .expect("the folder can be written to");
        let wire = Wire::start(WireWorld::new(1)).expect("loopback has ports");
        for name in APPS {
            let image = format!("{}/{name}", wire.registry_host(0));
            let app = AppSpec::helm("argocd", name)
                .repo_url(&server.url)
                .image(&image, "1.0.0")
                .annotation("write-back-method", method);
            let mut app = app.to_json();
            app["spec"]["source"]["path"] = "apps".into();
            app["spec"]["source"]["targetRevision"] = "main".into();
            wire.with_world(|world| {
                for tag in ["1.0.0", "1.1.0"] {
                    world.registries[0].push(name, tag, &ImageSpec::default());
                }
                world.cluster.apply(&app);
            });
        }
        Some(Self {
            wire,
            repository,
            server,
            folder,
        })
    }

    /// Makes a login known to Argo CD.
    fn put_login(&self, kind: &str, url: &str, password: &str) {
        self.wire.with_world(|world| {
            let fields = [("url", url), ("username", USER), ("password", password)];
            for (field, value) in fields {
                world.cluster.put_secret("argocd", "login", field, value);
            }
            world
                .cluster
                .label_secret("argocd", "login", SECRET_TYPE, kind);
        });
    }

    fn start(&self, flags: &[&str]) -> Program {
        let mut kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
        kubeconfig
            .write_all(self.wire.kubeconfig().as_bytes())
            .expect("a temporary file can be written to");
        let conf = format!(
            "registries:\n- name: tests\n  api_url: {}\n  prefix: {}\n  limit: 0\n",
            self.wire.registry_url(0),
            self.wire.registry_host(0)
        );
        let usual = [
            "--mode=continuous",
            "--interval=2s",
            "--warmup-cache=false",
            "--loglevel=debug",
            "--argocd-namespace=argocd",
        ];
        let folder = self.folder.path().to_str().expect("a name in UTF-8");
        Program::start_with(
            kubeconfig.path(),
            &conf,
            &[&usual, flags].concat(),
            &[
                ("ARGOCD_TLS_DATA_PATH", folder),
                ("GIT_BATCH_FLUSH_INTERVAL", "300ms"),
            ],
        )
    }

    fn commits(&self) -> usize {
        let count = self.repository.git(&["rev-list", "--count", "main"]);
        count.trim().parse().expect("git counts")
    }
}
