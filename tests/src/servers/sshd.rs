//! `sshd` on a high port with host keys of its own.

use std::fmt::Write as _;
use std::process::Command;

use super::{Folder, Script, Server, is_available};
use crate::git::Repository;

/// A running server; ends when dropped.
pub struct Sshd {
    /// The port on `127.0.0.1`.
    pub port: u16,
    folder: Folder,
}

impl Sshd {
    /// Starts one that passes the variable of git's protocol on, or not. `None` when it is not installed, see
    /// [`is_available`].
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(passes_protocol: bool) -> Option<Self> {
        if !is_available(Server::Sshd) {
            return None;
        }
        let folder = Folder::new("sshd");
        let variable = if passes_protocol {
            "GIT_PROTOCOL"
        } else {
            "none"
        };
        let printed = Script::new("servers/sshd.sh").run(&["start", folder.text(), variable]);
        let port = printed.unwrap_or_else(|error| panic!("{error}"));
        Some(Self {
            port: port.trim().parse().expect("a port is printed"),
            folder,
        })
    }

    /// The URL of `repository` on it.
    pub fn url(&self, repository: &Repository) -> String {
        let user = Command::new("id").arg("-un").output().expect("id runs");
        let user = String::from_utf8(user.stdout).expect("a name");
        let path = repository.path().display();
        format!("ssh://{}@127.0.0.1:{}{path}", user.trim(), self.port)
    }

    /// Makes a key of this kind (`ed25519`, `ecdsa`, `rsa`) and lets who has it in.
    pub fn admit(&self, kind: &str) -> String {
        let private = self.make_key(kind, "");
        let public = self.read(&format!("{kind}.pub"));
        let mut admitted = self.read("authorized_keys");
        writeln!(admitted, "{}", public.trim()).expect("memory takes it");
        self.folder.write("authorized_keys", &admitted);
        private
    }

    /// Makes a key that nobody lets in, with a password where it is not empty.
    pub fn make_key(&self, kind: &str, password: &str) -> String {
        let path = self.folder.0.join(kind);
        drop(std::fs::remove_file(&path));
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", kind, "-N", password, "-f"])
            .arg(&path)
            .status();
        assert!(made.expect("ssh-keygen runs").success());
        self.read(kind)
    }

    /// The public half of its host key of this kind (`ed25519`, `rsa`), as a line for `hosts`.
    pub fn known_host(&self, hosts: &str, kind: &str) -> String {
        let key = self.read(&format!("host_{kind}.pub"));
        let words: Vec<&str> = key.split_whitespace().take(2).collect();
        format!("{hosts} {}\n", words.join(" "))
    }

    /// Host and port as `ssh_known_hosts` names them.
    pub fn host(&self) -> String {
        format!("[127.0.0.1]:{}", self.port)
    }

    /// How many connections it has had so far in which somebody was let in.
    pub fn n_logins(&self) -> usize {
        self.read("sshd.log").matches("Accepted publickey").count()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.0.join(name)).expect("it was written")
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(Script::new("servers/sshd.sh").run(&["stop", self.folder.text()]));
    }
}
