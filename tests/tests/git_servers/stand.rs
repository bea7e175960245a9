//! One repository with its client, and what every test asks of them.

use std::time::Duration;

use image_updater_core::git::{Edits, Finished, Job, Known, Limits, Session, Target, Worktree};
use image_updater_core::repo::credential::{CredentialKind, GitCredential};
use image_updater_core::secret::Secret;
use image_updater_tests::git::Repository;
use image_updater_tests::git::jobs::{edit_job, write};
use image_updater_tests::servers::Authority;
use image_updater_tokio::git::{Destination, Editor, GitClient, GitSettings, Signer};
use image_updater_tokio::http::{HttpSettings, Proxies, system_roots};
use image_updater_tokio::spawn::Cancelled;
use tokio::runtime::{Builder, Runtime};

pub(crate) const FILES: &[(&str, &str, &str)] = &[
    ("100644", "a.yaml", "tag: 1.0\r\nother: x\r\n"),
    ("100755", "bin/run", "#!/bin/sh\n"),
    ("120000", "bin/link", "run"),
    ("100644", "deploy/app/values.yaml", "tag: 1.0\n"),
];
pub(crate) const PATH: &str = "deploy/app/values.yaml";

/// A client with its runtime. Authorities are trusted as files in a folder, as in production.
pub(crate) struct Stand {
    pub(crate) client: GitClient,
    runtime: Runtime,
    folder: tempfile::TempDir,
}

impl Stand {
    /// A client that trusts `authority` for the hosts of these tests.
    pub(crate) fn new(authority: Option<&Authority>) -> Self {
        Self::with(authority, Proxies::default(), Duration::from_secs(90))
    }

    pub(crate) fn with(authority: Option<&Authority>, proxies: Proxies, limit: Duration) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for host in ["127.0.0.1", "git.test"] {
            if let Some(authority) = authority {
                let file = folder.path().join(host);
                std::fs::write(file, authority.pem()).expect("the folder can be written to");
            }
        }
        let settings = GitSettings {
            http: HttpSettings {
                ca_folder: folder.path().to_owned(),
                proxies,
                ..HttpSettings::default()
            },
            exchange_timeout: limit,
            known_hosts: folder.path().join("ssh_known_hosts"),
            ..GitSettings::default()
        };
        Self {
            client: GitClient::new(settings, system_roots()),
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            folder,
        }
    }

    /// These lines are `ssh_known_hosts`.
    pub(crate) fn know_hosts(&self, text: &str) {
        std::fs::write(self.known_hosts(), text).expect("the folder can be written to");
    }

    /// There is no `ssh_known_hosts`.
    pub(crate) fn forget_hosts(&self) {
        std::fs::remove_file(self.known_hosts()).expect("it was there");
    }

    fn known_hosts(&self) -> std::path::PathBuf {
        self.folder.path().join("ssh_known_hosts")
    }

    /// Publishes `tag: 1.1` in one file.
    pub(crate) fn publish(&self, url: &str, credential: &GitCredential) -> Finished {
        let job = edit_job(&[PATH], Target::default());
        self.run(url, credential, &Signer::None, job, |_| {
            write(&[(PATH, "tag: 1.1\n")])
        })
    }

    pub(crate) fn run(
        &self,
        url: &str,
        credential: &GitCredential,
        signer: &Signer,
        job: Job,
        editor: impl FnMut(&Worktree) -> Edits + Send + 'static,
    ) -> Finished {
        self.run_until(url, credential, signer, job, editor, Cancelled::never())
    }

    /// The same, until somebody gives it up.
    pub(crate) fn run_until(
        &self,
        url: &str,
        credential: &GitCredential,
        signer: &Signer,
        job: Job,
        editor: impl FnMut(&Worktree) -> Edits + Send + 'static,
        cancelled: Cancelled,
    ) -> Finished {
        let destination = Destination::parse(url).expect("a repository's URL");
        let session = Session::new(
            job,
            destination.remote(),
            Known::default(),
            Limits::default(),
        );
        let editor: Editor = Box::new(editor);
        let (client, to) = (&self.client, &destination);
        let work = client.run_until(session, to, credential, signer, editor, cancelled);
        self.runtime.block_on(work)
    }
}

/// A credential of this kind, and nothing else.
pub(crate) fn credential(kind: CredentialKind) -> GitCredential {
    GitCredential {
        kind,
        is_insecure: false,
        proxy: Secret::default(),
        no_proxy: "".into(),
        client_certificate: None,
    }
}

pub(crate) const USER: &str = "updater";
pub(crate) const PASSWORD: &str = "correct-horse-canary";

/// User and password.
pub(crate) fn basic(username: &str, password: &str) -> GitCredential {
    credential(CredentialKind::Basic {
        username: username.into(),
        password: Secret::new(password),
        is_forced: false,
    })
}

/// Nothing but the one file has changed since `before`, and git finds nothing wrong.
#[track_caller]
pub(crate) fn assert_only_edit(repository: &Repository, before: &[String]) {
    repository.check();
    let changed: Vec<String> = repository
        .tree("main")
        .iter()
        .filter(|line| !before.contains(line))
        .filter_map(|line| Some(line.split_once('\t')?.1.to_owned()))
        .collect();
    assert_eq!(changed, ["deploy", "deploy/app", PATH]);
    assert_eq!(repository.file("main", PATH), "tag: 1.1\n");
}

/// Nothing has changed since `tip`, and git finds nothing wrong.
#[track_caller]
pub(crate) fn assert_untouched(repository: &Repository, tip: &str) {
    repository.check();
    assert_eq!(repository.tip("main"), tip);
}

/// A hook that speaks for a second, to a reader that must still be there, and then makes a file.
pub(crate) fn talkative(end: &str) -> String {
    format!(
        "set -e; for n in 1 2 3 4 5 6 7 8 9 10; do echo working >&2; sleep 0.1; done; touch {end}"
    )
}

/// What a hook does to wait: it makes the file `begun` and goes on when there is `end`, or when all is removed
/// because the test has failed.
pub(crate) fn waiting(begun: &str, end: &str) -> String {
    format!("touch {begun}; while [ -e {begun} ] && [ ! -e {end} ]; do sleep 0.05; done")
}

/// The same in the hook `reference-transaction`, where the branch has moved and nobody was told.
pub(crate) fn waiting_when_committed(begun: &str, end: &str) -> String {
    format!("[ \"$1\" = committed ] || exit 0; {}", waiting(begun, end))
}
