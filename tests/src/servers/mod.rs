//! Real servers for tests: found, or skipped loudly, or with `IMAGE_UPDATER_REQUIRE_SERVERS=1` required.
//!
//! A server lives in a folder of its own, is started by the scripts in `tests/servers` and
//! `tests/cluster`, ends when its value is dropped, and at the latest with the test process.

#![allow(
    clippy::missing_panics_doc,
    reason = "what goes wrong in the harness of a test fails the test"
)]

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

mod api_server;
mod authority;
mod connect_proxy;
mod docker_registry;
mod exchange;
mod git_http;
mod proxy;
mod sshd;
mod token_service;

pub use api_server::{ApiServer, Identity};
pub use authority::{Authority, Issued};
pub use connect_proxy::{ConnectProxy, ProxyKind};
pub use docker_registry::{DockerRegistry, Setup};
pub use exchange::Reply;
pub use git_http::{Admission, GitHttp};
pub use proxy::Proxy;
pub use sshd::Sshd;
pub use token_service::{Desk, TokenService};

/// A server that a test cannot do without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Server {
    /// `etcd` and `kube-apiserver`.
    ApiServer,
    /// The registry of the Debian package `docker-registry`, and `htpasswd` for its users.
    DockerRegistry,
    /// nginx, of the Debian package `nginx-light`.
    Proxy,
    /// The program `git`.
    Git,
    /// `git http-backend` behind nginx.
    GitHttp,
    /// `sshd`, of the Debian package `openssh-server`.
    Sshd,
    /// `gpg` with its agent.
    Gpg,
    /// The program `go`, which builds what is in `tests/oracle`.
    Go,
}

impl Server {
    /// What is missing to start it, and how to install that.
    fn missing(self) -> Option<String> {
        let (programs, install) = match self {
            Self::ApiServer => (
                &["bash", "setsid", "openssl"][..],
                "apt-get install openssl",
            ),
            Self::DockerRegistry => (
                &["bash", "setsid", "docker-registry", "htpasswd"][..],
                "apt-get install docker-registry apache2-utils",
            ),
            Self::Proxy => (
                &["bash", "setsid", "nginx"][..],
                "apt-get install nginx-light",
            ),
            Self::Git => (&["git"][..], "apt-get install git"),
            Self::GitHttp => (
                &["bash", "setsid", "git", "nginx", "fcgiwrap", "htpasswd"][..],
                "apt-get install git nginx-light fcgiwrap apache2-utils",
            ),
            Self::Sshd => (
                &["bash", "setsid", "git", "sshd", "ssh-keygen"][..],
                "apt-get install git openssh-server openssh-client",
            ),
            Self::Gpg => (
                &["gpg", "gpg-agent", "gpgconf"][..],
                "apt-get install gnupg",
            ),
            Self::Go => (&["go"][..], "Go 1.26 from https://go.dev/dl"),
        };
        let missing: Vec<&str> = programs
            .iter()
            .copied()
            .filter(|program| !is_installed(program))
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(", ");
            return Some(format!("{missing} missing, install with: {install}"));
        }
        let is_built = || Script::new("cluster/build.sh").run(&["--find"]).is_ok();
        (self == Self::ApiServer && !is_built()).then(|| {
            "etcd and kube-apiserver missing, build with: tests/cluster/build.sh (needs Go 1.26)"
                .to_owned()
        })
    }
}

/// True when the server can be started. Else says on standard error, past the test harness, that the
/// test is skipped and what to install.
///
/// # Panics
/// When the server is missing and `IMAGE_UPDATER_REQUIRE_SERVERS` is `1`.
pub fn is_available(server: Server) -> bool {
    server.missing().inspect(|missing| skip(missing)).is_none()
}

/// Says that the running test is skipped, and what is missing.
///
/// # Panics
/// When `IMAGE_UPDATER_REQUIRE_SERVERS` is `1`.
pub(crate) fn skip(missing: &str) {
    assert!(
        std::env::var_os("IMAGE_UPDATER_REQUIRE_SERVERS").is_none_or(|value| value != "1"),
        "{missing} (required by IMAGE_UPDATER_REQUIRE_SERVERS)"
    );
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not `eprintln!`: the harness keeps that back for tests that pass.
    drop(writeln!(std::io::stderr(), "SKIPPED: {test}: {missing}"));
}

/// Asks until there is an answer, at most half a minute: for what other processes do in their own time.
///
/// # Panics
/// When the time is over.
#[track_caller]
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    match within_half_a_minute(ask) {
        Some(answer) => answer,
        None => panic!("in vain waited for: {what}"),
    }
}

/// Asks until there is an answer; `None` when there is none after half a minute.
pub(crate) fn within_half_a_minute<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if begin.elapsed() >= Duration::from_secs(30) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Where servers lie, also for those whose path does not lead there.
    let more = [PathBuf::from("/usr/sbin")];
    std::env::split_paths(&path)
        .chain(more)
        .any(|folder| folder.join(program).is_file())
}

/// One of the scripts that start and end servers.
struct Script {
    path: PathBuf,
    input: Option<String>,
    variables: Vec<(&'static str, String)>,
}

impl Script {
    /// `path` is below `tests/`.
    fn new(path: &str) -> Self {
        Self {
            path: Path::new(env!("CARGO_MANIFEST_DIR")).join(path),
            input: None,
            variables: Vec::new(),
        }
    }

    /// The same in an environment with these variables more.
    fn with(mut self, variables: Vec<(&'static str, String)>) -> Self {
        self.variables = variables;
        self
    }

    /// Any program, with `input` on its standard input.
    fn program(path: &Path, input: Option<&str>) -> Self {
        Self {
            path: path.to_owned(),
            input: input.map(str::to_owned),
            variables: Vec::new(),
        }
    }

    /// What it prints; when it fails, what it prints as error.
    fn run(&self, arguments: &[&str]) -> Result<String, ScriptError> {
        let failed = |text: String| ScriptError {
            command: format!("{} {}", self.path.display(), arguments.join(" ")),
            text,
        };
        let mut child = Command::new(&self.path)
            .args(arguments)
            .env("OWNER_PID", std::process::id().to_string())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), &self.input) {
            stdin
                .write_all(input.as_bytes())
                .map_err(|error| failed(error.to_string()))?;
        }
        let output = child
            .wait_with_output()
            .map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()))
        }
    }
}

/// A script or program that failed.
#[derive(Debug)]
pub struct ScriptError {
    command: String,
    /// Its standard error.
    pub text: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed: {}", self.command, self.text.trim_end())
    }
}

impl std::error::Error for ScriptError {}

/// A new folder below the system's temporary one; removed when dropped.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("image-updater-{name}-{}-{n}", std::process::id()));
        // A process of that id may have been here before.
        drop(std::fs::remove_dir_all(&path));
        std::fs::create_dir_all(&path).expect("the temporary folder can be written to");
        Self(path)
    }

    /// Writes a file; its path.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("the temporary folder can be written to");
        path.to_str()
            .expect("the temporary folder has a name in UTF-8")
            .to_owned()
    }

    fn text(&self) -> &str {
        self.0
            .to_str()
            .expect("the temporary folder has a name in UTF-8")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
