//! Over SSH: `sshd` on a high port.

use image_updater_core::git::job::Relation;
use image_updater_core::git::{Finished, Outcome, RefusalKind};
use image_updater_core::repo::credential::{CredentialKind, GitCredential};
use image_updater_core::secret::Secret;
use image_updater_tests::git::Repository;
use image_updater_tests::git::jobs::{published, refused};
use image_updater_tests::servers::{ConnectProxy, ProxyKind, Sshd, eventually};

use crate::stand::{
    FILES, Stand, assert_only_edit, assert_untouched, basic, credential, talkative,
    waiting_when_committed,
};

#[test]
fn an_edit_becomes_one_commit_in_both_versions_of_the_protocol() {
    for passes_protocol in [true, false] {
        let Some(world) = World::new(passes_protocol) else {
            return;
        };
        let before = world.repository.tree("main");
        let finished = world.publish(&world.sshd.admit("ed25519"));
        let commit = published(&finished, Relation::Same);
        assert_eq!(world.repository.tip("main"), commit);
        assert_only_edit(&world.repository, &before);
        assert_eq!(world.sshd.n_logins(), 1, "one connection for all rounds");
    }
}

#[test]
fn every_kind_of_key_opens_a_repository() {
    let Some(world) = World::new(true) else {
        return;
    };
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = world.sshd.admit(kind);
        // As it comes out of a Secret that somebody has pasted it into.
        let pasted = format!("\n{}", key.trim_end().replace('\n', "\r\n"));
        for text in [key, pasted] {
            let finished = world.publish(&text);
            assert!(
                matches!(
                    finished.outcome,
                    Outcome::Published { .. } | Outcome::Unchanged { .. }
                ),
                "{kind}: {:?}",
                finished.outcome
            );
        }
    }
    world.repository.check();
}

#[test]
fn a_key_that_opens_nothing_is_told_as_such() {
    let Some(world) = World::new(true) else {
        return;
    };
    let tip = world.repository.tip("main");
    let check = |finished: &Finished, text: &str| {
        assert_eq!(refused(finished), RefusalKind::Unauthenticated);
        assert_says(finished, text);
    };
    let stranger = world.sshd.make_key("ed25519", "");
    check(&world.publish(&stranger), "does not accept the key SHA256:");
    let locked = world.sshd.make_key("ed25519", "password-canary");
    check(&world.publish(&locked), "is encrypted");
    check(&world.publish("no key"), "is no private key of SSH");
    let url = world.sshd.url(&world.repository);
    let finished = world.stand.publish(&url, &basic("u", "password-canary"));
    check(&finished, "needs a private key");
    assert_untouched(&world.repository, &tip);
}

#[test]
fn a_host_is_spoken_to_only_by_a_key_that_is_known() {
    let Some(world) = World::new(true) else {
        return;
    };
    let tip = world.repository.tip("main");
    let key = world.sshd.admit("ed25519");
    let host = world.sshd.host();
    let line = |hosts: &str| world.sshd.known_host(hosts, "ed25519");
    let other = Sshd::start(true).expect("as before");
    for (text, said) in [
        (String::new(), "it is not in ssh_known_hosts"),
        (
            other.known_host(&host, "ed25519"),
            "is not the one in ssh_known_hosts",
        ),
        (
            format!("{}@revoked {}", line(&host), line("*")),
            "is @revoked",
        ),
        (format!("@cert-authority {}", line("*")), "@cert-authority"),
    ] {
        world.stand.know_hosts(&text);
        let finished = world.publish(&key);
        assert_eq!(refused(&finished), RefusalKind::Transport, "{text}");
        assert_says(&finished, said);
    }
    assert_eq!(world.sshd.n_logins(), 0);
    assert_untouched(&world.repository, &tip);

    // The host shows a key of the kind that is known, whatever it prefers.
    for text in [line("127.0.0.*"), world.sshd.known_host(&host, "rsa")] {
        world.stand.know_hosts(&text);
        let finished = world.publish(&key);
        let is_refused = matches!(finished.outcome, Outcome::Refused(_));
        assert!(!is_refused, "{:?}", finished.outcome);
    }
    world.stand.forget_hosts();
    let finished = world.publish(&key);
    assert_says(&finished, "its key cannot be looked up");
    let mut credential = credential(CredentialKind::Ssh(Secret::new(key)));
    credential.is_insecure = true;
    let finished = world.stand.publish(&world.url(), &credential);
    assert!(matches!(finished.outcome, Outcome::Unchanged { .. }));
    world.repository.check();
}

#[test]
fn hashed_hosts_are_known() {
    let Some(world) = World::new(true) else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hosts");
    let line = world.sshd.known_host(&world.sshd.host(), "ed25519");
    std::fs::write(&file, line).expect("it is written");
    let hashed = std::process::Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&file)
        .status();
    assert!(hashed.expect("ssh-keygen runs").success());
    let text = std::fs::read_to_string(&file).expect("it was written");
    assert!(text.starts_with("|1|"), "{text}");
    world.stand.know_hosts(&text);
    published(&world.publish(&world.sshd.admit("ed25519")), Relation::Same);
}

#[test]
fn what_a_hook_says_and_a_missing_repository_are_told() {
    for passes_protocol in [true, false] {
        let Some(world) = World::new(passes_protocol) else {
            return;
        };
        let key = world.sshd.admit("ed25519");
        let tip = world.repository.tip("main");
        world
            .repository
            .hook("update", "echo no tags on Fridays >&2; exit 1");
        let finished = world.publish(&key);
        assert_eq!(refused(&finished), RefusalKind::HookDeclined);
        assert_says(&finished, "no tags on Fridays");
        assert_untouched(&world.repository, &tip);
        let url = format!("{}-missing", world.url());
        let login = credential(CredentialKind::Ssh(Secret::new(key)));
        let finished = world.stand.publish(&url, &login);
        assert_eq!(refused(&finished), RefusalKind::RepositoryMissing);
    }
}

#[test]
fn a_hook_behind_the_push_is_not_cut_off() {
    let Some(world) = World::new(true) else {
        return;
    };
    let end = world.repository.path().join("end");
    let script = talkative(&end.display().to_string());
    world.repository.hook("post-receive", &script);
    published(&world.publish(&world.sshd.admit("ed25519")), Relation::Same);
    assert!(end.exists(), "the hook has come to its end");
}

#[test]
fn a_reply_that_is_lost_leaves_an_unknown() {
    let Some(world) = World::new(true) else {
        return;
    };
    let before = world.repository.tree("main");
    let path = |name: &str| world.repository.path().join(name);
    let (begun, end) = (path("begun"), path("end"));
    let [held_begun, held_end] = [&begun, &end].map(|path| path.display().to_string());
    let script = waiting_when_committed(&held_begun, &held_end);
    world.repository.hook("reference-transaction", &script);
    let key = world.sshd.admit("ed25519");
    let proxy = ConnectProxy::start(ProxyKind::Http);
    let finished = std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the branch has moved", || std::fs::metadata(&begun).ok());
            proxy.cut();
            std::fs::write(&end, "").expect("it is written");
        });
        let (url, login) = world.through(&proxy, "http", &key);
        world.stand.publish(&url, &login)
    });
    assert!(
        matches!(finished.outcome, Outcome::Unknown { .. }),
        "{:?}",
        finished.outcome
    );
    assert_only_edit(&world.repository, &before);
}

#[test]
fn a_repository_is_reached_through_its_proxy() {
    let Some(world) = World::new(true) else {
        return;
    };
    let key = world.sshd.admit("ed25519");
    let login = Some(("carl", "pass-canary"));
    for (kind, scheme) in [
        (ProxyKind::Socks5(login), "socks5"),
        (ProxyKind::Http, "http"),
    ] {
        let proxy = ConnectProxy::start(kind);
        let (url, mut credential) = world.through(&proxy, scheme, &key);
        let finished = world.stand.publish(&url, &credential);
        let is_refused = matches!(finished.outcome, Outcome::Refused(_));
        assert!(!is_refused, "{scheme}: {:?}", finished.outcome);
        let heads = proxy.heads();
        assert!(heads[0].starts_with("CONNECT git.test:"), "{heads:?}");
        credential.proxy = Secret::new(format!("{scheme}://carl:wrong-canary@{}", proxy.address));
        credential.no_proxy = "git.test".into();
        let finished = world.stand.publish(&url, &credential);
        assert_eq!(refused(&finished), RefusalKind::Transport);
        assert_eq!(proxy.heads().len(), 1, "it is not used");
    }
    let proxy = ConnectProxy::start(ProxyKind::Socks5(login));
    let (url, mut credential) = world.through(&proxy, "socks5", &key);
    credential.proxy = Secret::new(format!("socks5://carl:wrong-canary@{}", proxy.address));
    let finished = world.stand.publish(&url, &credential);
    assert_says(&finished, "it does not accept the user and password");
    assert!(!format!("{finished:?}").contains("canary"), "{finished:?}");
}

struct World {
    repository: Repository,
    sshd: Sshd,
    stand: Stand,
}

impl World {
    fn new(passes_protocol: bool) -> Option<Self> {
        let sshd = Sshd::start(passes_protocol)?;
        let stand = Stand::new(None);
        stand.know_hosts(&sshd.known_host(&sshd.host(), "ed25519"));
        Some(Self {
            repository: Repository::with_files(FILES),
            sshd,
            stand,
        })
    }

    fn url(&self) -> String {
        self.sshd.url(&self.repository)
    }

    fn publish(&self, key: &str) -> Finished {
        let credential = credential(CredentialKind::Ssh(Secret::new(key)));
        self.stand.publish(&self.url(), &credential)
    }

    /// The repository under a name that only a proxy finds, and a credential that names the proxy.
    fn through(&self, proxy: &ConnectProxy, scheme: &str, key: &str) -> (String, GitCredential) {
        let hosts = format!("[git.test]:{}", self.sshd.port);
        self.stand
            .know_hosts(&self.sshd.known_host(&hosts, "ed25519"));
        let mut credential = credential(CredentialKind::Ssh(Secret::new(key)));
        credential.proxy = Secret::new(format!("{scheme}://carl:pass-canary@{}", proxy.address));
        (self.url().replace("127.0.0.1", "git.test"), credential)
    }
}

#[track_caller]
fn assert_says(finished: &Finished, text: &str) {
    let Outcome::Refused(refusal) = &finished.outcome else {
        panic!("{:?}", finished.outcome);
    };
    let said = refusal.to_string();
    assert!(said.contains(text), "{said}");
    assert!(!said.contains("canary"), "{said}");
}
