//! Signatures, as `git verify-commit` judges them.

use std::path::Path;
use std::process::Command;

use image_updater_core::git::job::{Publish, Relation};
use image_updater_core::git::{Finished, Job, RefusalKind, Target};
use image_updater_core::repo::credential::CredentialKind;
use image_updater_core::secret::Secret;
use image_updater_tests::git::Repository;
use image_updater_tests::git::jobs::{publish_job, published, refused, write};
use image_updater_tests::servers::{Server, Sshd, is_available};
use image_updater_tokio::args::SigningMethod;
use image_updater_tokio::git::Signer;

use crate::stand::{FILES, PATH, Stand, assert_untouched, credential};

#[test]
fn a_commit_is_signed_with_every_kind_of_ssh_key() {
    let Some(world) = World::new() else { return };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let file = world.file(kind, &world.sshd.make_key(kind, ""));
        let signer = Signer::of(SigningMethod::Ssh, &file);
        published(&world.publish(&signer, kind), Relation::Same);
        world.repository.check();
        let public = said(Command::new("ssh-keygen").args(["-y", "-f", &file]));
        let allowed = world.file("allowed", &format!("up@example.com {public}"));
        let allowed = format!("gpg.ssh.allowedSignersFile={allowed}");
        let verdict = world.verify(&["-c", &allowed], Path::new("none"));
        let good = "Good \"git\" signature for up@example.com";
        assert!(verdict.contains(good), "{kind}: {verdict}");
    }
}

#[test]
fn a_commit_is_signed_by_gpg_or_not_made() {
    if !is_available(Server::Gpg) {
        return;
    }
    let Some(world) = World::new() else { return };
    let keyring = Keyring::new();
    let tip = world.repository.tip("main");
    let signer = |id: &str| Signer::OpenPgp {
        id: id.to_owned(),
        home: Some(keyring.path().to_owned()),
    };
    let finished = world.publish(&signer("nobody@example.com"), "1");
    assert_eq!(refused(&finished), RefusalKind::Signing);
    let told = format!("{finished:?}");
    assert!(
        told.contains("nobody@example.com") && told.contains("No secret key"),
        "{told}"
    );
    assert_untouched(&world.repository, &tip);

    let fingerprint = keyring.make_key("up@example.com");
    for (tag, id) in [("2", &*fingerprint), ("3", "up@example.com")] {
        published(&world.publish(&signer(id), tag), Relation::Same);
        world.repository.check();
        let verdict = world.verify(&[], keyring.path());
        assert!(verdict.contains("Good signature from"), "{verdict}");
    }
}

struct World {
    sshd: Sshd,
    key: String,
    repository: Repository,
    stand: Stand,
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Option<Self> {
        let sshd = Sshd::start(true)?;
        let stand = Stand::new(None);
        stand.know_hosts(&sshd.known_host(&sshd.host(), "ed25519"));
        Some(Self {
            key: sshd.admit("ed25519"),
            sshd,
            repository: Repository::with_files(FILES),
            stand,
            folder: tempfile::tempdir().expect("a folder"),
        })
    }

    fn publish(&self, signer: &Signer, tag: &str) -> Finished {
        let job = Job::Publish(Publish {
            is_signed: true,
            ..publish_job(&[PATH], Target::default())
        });
        let credential = credential(CredentialKind::Ssh(Secret::new(&*self.key)));
        let text = format!("tag: {tag}\n");
        let url = self.sshd.url(&self.repository);
        self.stand.run(&url, &credential, signer, job, move |_| {
            write(&[(PATH, &text)])
        })
    }

    /// What git says of the last commit's signature.
    fn verify(&self, settings: &[&str], keyring: &Path) -> String {
        said(
            Command::new("git")
                .current_dir(self.repository.path())
                .env("GNUPGHOME", keyring)
                .args(["-c", "safe.directory=*"])
                .args(settings)
                .args(["verify-commit", "main"]),
        )
    }

    /// A file that only its owner can read, as keys want to be.
    fn file(&self, name: &str, text: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the folder can be written to");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("it is ours");
        path.display().to_string()
    }
}

/// Keys of `gpg` in a folder of their own; its agent ends with them.
struct Keyring(tempfile::TempDir);

impl Keyring {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Makes a key; its fingerprint.
    fn make_key(&self, mail: &str) -> String {
        let who = format!("Updater <{mail}>");
        let batch = ["--batch", "--passphrase", "", "--quick-gen-key"];
        self.gpg(&[&batch[..], &[&who, "ed25519", "sign", "never"]].concat());
        let listed = self.gpg(&["--batch", "--with-colons", "--list-keys"]);
        let line = listed.lines().find(|line| line.starts_with("fpr:"));
        let field = line.and_then(|line| line.split(':').nth(9));
        field.expect("a fingerprint").to_owned()
    }

    fn gpg(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("gpg");
        said(command.arg("--homedir").arg(self.path()).args(arguments))
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        let ended = command
            .arg("--homedir")
            .arg(self.path())
            .args(["--kill", "gpg-agent"])
            .status();
        drop(ended);
    }
}

/// What a program prints, on either stream.
#[track_caller]
fn said(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}
