//! The program itself as a child process: started with flags, its lines read, ended by a signal.
//!
//! The executable is the one beside the test's own, `target/<profile>/argocd-image-updater`. Cargo
//! builds it on the way of `cargo test --workspace`; where it is missing or older than its sources,
//! because somebody tests this package alone, it is built once per test process.

#![allow(
    clippy::missing_panics_doc,
    reason = "what goes wrong in the harness of a test fails the test"
)]

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use rustix::process::{Pid, Signal, kill_process};

use crate::servers::{Folder, within_half_a_minute};

const NAME: &str = "argocd-image-updater";
const CONF: &str = "registries.conf";

/// The program, running; killed when dropped.
pub struct Program {
    child: Child,
    lines: Lines,
    readers: Vec<JoinHandle<()>>,
    folder: Folder,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// Everything it wrote, in order of arrival.
    pub log: String,
}

type Lines = Arc<Mutex<Vec<Line>>>;

struct Line {
    stream: Stream,
    text: String,
}

impl Line {
    fn has(&self, parts: &[&str]) -> bool {
        parts.iter().all(|part| self.text.contains(part))
    }
}

/// Where a line was written to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a command that ends by itself has written.
#[derive(Debug)]
pub struct Answered {
    /// Its exit status; `None` when a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs a command to its end with `registries` as its `registries.conf`, in an environment that holds
/// `variables` alone.
pub fn ask(
    command: &str,
    registries: &str,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> Answered {
    let folder = Folder::new("command");
    let conf = folder.0.join(CONF);
    std::fs::write(&conf, registries).expect("the temporary folder can be written to");
    let path = |path: &Path| path.to_str().expect("a path of letters").to_owned();
    let (home, conf) = (path(&folder.0), path(&conf));
    let words = [&[command, "--registries-conf-path", &conf], arguments].concat();
    answer(&words, &[&[("HOME", &*home)], variables].concat())
}

/// Runs the program to its end with these words, in an environment that holds `variables` alone.
pub fn answer(words: &[&str], variables: &[(&str, &str)]) -> Answered {
    let output = Command::new(executable())
        .env_clear()
        .envs(variables.iter().copied())
        .args(words)
        .stdin(Stdio::null())
        .output()
        .expect("the program can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
    Answered {
        status: output.status.code(),
        out: text(output.stdout),
        err: text(output.stderr),
    }
}

impl Program {
    /// Starts `run` with `flags`, in an environment of its own, with `registries` as its
    /// `registries.conf`, and servers of its own and jitter off.
    pub fn start(kubeconfig: &Path, registries: &str, flags: &[&str]) -> Self {
        Self::start_with(kubeconfig, registries, flags, &[])
    }

    /// The same in an environment that holds `variables`.
    pub fn start_with(
        kubeconfig: &Path,
        registries: &str,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let folder = Folder::new("program");
        let conf = folder.0.join(CONF);
        std::fs::write(&conf, registries).expect("the temporary folder can be written to");
        // A file of its own, which stays as long as the program, whenever that reads it.
        let own = folder.0.join("kubeconfig");
        std::fs::copy(kubeconfig, &own).expect("the kubeconfig can be read");
        let mut child = Command::new(executable())
            .env_clear()
            .env("HOME", &folder.0)
            .envs(variables.iter().copied())
            .arg("run")
            .arg("--kubeconfig")
            .arg(&own)
            .arg("--registries-conf-path")
            .arg(&conf)
            .args(["--health-port=0", "--metrics-port=0", "--jitter=false"])
            // Longer than a test waits: what ends at all has not waited for this.
            .arg("--shutdown-timeout=1h")
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let lines = Lines::default();
        let stdout = child.stdout.take().expect("standard output is piped");
        let stderr = child.stderr.take().expect("standard error is piped");
        let readers = vec![
            read(stdout, Stream::Out, &lines),
            read(stderr, Stream::Err, &lines),
        ];
        Self {
            child,
            lines,
            readers,
            folder,
        }
    }

    /// Replaces its `registries.conf` in the way of a mounted `ConfigMap`, as a whole.
    pub fn replace_registries(&self, registries: &str) {
        let next = self.folder.0.join("next.conf");
        std::fs::write(&next, registries).expect("the temporary folder can be written to");
        let conf = self.folder.0.join(CONF);
        std::fs::rename(next, conf).expect("the temporary folder can be written to");
    }

    /// Starts it in continuous mode with a check every two seconds and no warm-up.
    pub fn start_continuous(kubeconfig: &Path, registries: &str, flags: &[&str]) -> Self {
        let usual = [
            "--mode=continuous",
            "--interval=2s",
            "--warmup-cache=false",
            "--loglevel=debug",
        ];
        Self::start(kubeconfig, registries, &[&usual, flags].concat())
    }

    /// Everything it has written so far.
    pub fn log(&self) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        all.join("\n")
    }

    /// How many lines hold all of these parts.
    pub fn count(&self, parts: &[&str]) -> usize {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().filter(|line| line.has(parts)).count()
    }

    /// Waits for a line with all of these parts, and says where it was written to.
    ///
    /// # Panics
    /// With the log, when there is none in time.
    #[track_caller]
    pub fn expect_line(&self, parts: &[&str]) -> Stream {
        self.expect_lines(1, parts)
    }

    /// Waits for `n` such lines; where the last of them was written to.
    ///
    /// # Panics
    /// With the log, when there are fewer in time.
    #[track_caller]
    pub fn expect_lines(&self, n: usize, parts: &[&str]) -> Stream {
        self.eventually(&format!("{n} line(s) with {parts:?}"), || {
            let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            let mut found = lines.iter().filter(|line| line.has(parts));
            found.nth(n.saturating_sub(1)).map(|line| line.stream)
        })
    }

    /// Waits until `rounds` more checks of an application have ended: time enough for the program
    /// to do whatever it does in each.
    #[track_caller]
    pub fn expect_checks(&self, app: &str, rounds: usize) {
        let application = format!("application={app} ");
        let parts = ["check finished", application.as_str()];
        let so_far = self.count(&parts);
        self.expect_lines(so_far + rounds, &parts);
    }

    /// Asks until there is an answer, at most half a minute.
    ///
    /// # Panics
    /// With the log, when the time is over.
    #[track_caller]
    pub fn eventually<T>(&self, what: &str, ask: impl FnMut() -> Option<T>) -> T {
        match within_half_a_minute(ask) {
            Some(answer) => answer,
            None => panic!(
                "in vain waited for: {what}; the program wrote:\n{}",
                self.log()
            ),
        }
    }

    /// Tells it to end, as Kubernetes does.
    pub fn signal_end(&self) {
        let pid = i32::try_from(self.child.id()).expect("a process id is small");
        let pid = Pid::from_raw(pid).expect("a process id is positive");
        kill_process(pid, Signal::TERM).expect("a child that was not waited for can be signalled");
    }

    /// Tells it to end, as Kubernetes does, and waits for that.
    #[track_caller]
    pub fn terminate(self) -> Ended {
        self.signal_end();
        self.wait()
    }

    /// The same, and requires what every run promises: status 0, and soon, if nothing is under way.
    #[track_caller]
    pub fn finish(self) -> String {
        let ended = self.terminate();
        assert_eq!(ended.status.code(), Some(0), "it wrote:\n{}", ended.log);
        ended.log
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn wait(mut self) -> Ended {
        let status = within_half_a_minute(|| self.child.try_wait().expect("a child has a status"));
        let Some(status) = status else {
            panic!("it does not end; it wrote:\n{}", self.log());
        };
        for reader in self.readers.drain(..) {
            reader.join().expect("a stream ends with its writer");
        }
        Ended {
            status,
            log: self.log(),
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has usually ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(stream: impl Read + Send + 'static, from: Stream, lines: &Lines) -> JoinHandle<()> {
    let lines = Arc::clone(lines);
    std::thread::spawn(move || {
        for text in BufReader::new(stream).lines().map_while(Result::ok) {
            let line = Line { stream: from, text };
            lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line);
        }
    })
}

/// The executable, up to date.
pub fn executable() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| {
        let test = std::env::current_exe().expect("a test knows its executable");
        // target/<profile>/deps/<test>
        let profile = test.ancestors().nth(2).expect("tests are built in deps");
        let path = profile.join(NAME);
        let built = path.metadata().and_then(|about| about.modified()).ok();
        if built.is_none_or(|built| built < newest_source()) {
            build();
        }
        path
    })
}

fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root())
        .args(["build", "--quiet", "-p", "image-updater-tokio"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let status = command.status().expect("cargo can be started");
    assert!(status.success(), "{NAME} does not build");
}

/// When a file that the executable is made from was changed last.
fn newest_source() -> SystemTime {
    ["core/src", "runtime-tokio/src", "Cargo.lock"]
        .iter()
        .map(|part| newest(&root().join(part)))
        .max()
        .expect("the list is not empty")
}

fn newest(path: &Path) -> SystemTime {
    let inner = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(newest(&entry.ok()?.path())));
    let own = path.metadata().and_then(|about| about.modified());
    inner.fold(own.expect("the sources are there"), SystemTime::max)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
