//! An `ext` credential helper: a program without arguments and without a shell (`registry.md` 4.2).

use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use image_updater_core::secret::Secret;

use crate::group::{Ended, Group};

/// Longest output.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

/// Why a program gave no credential. The texts never hold its output.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProgramError {
    /// The path is relative.
    #[error("path to script must be absolute: {0}")]
    Relative(String),
    /// There is no such file.
    #[error("could not stat {path}: {source}")]
    Stat {
        /// The program.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// It could not be started.
    #[error("cannot run {path}: {source}")]
    Start {
        /// The program.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// Its output could not be read.
    #[error("cannot read the output of {path}: {source}")]
    Output {
        /// The program.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// It ran for too long.
    #[error("{path} did not end within {limit:?}")]
    TimedOut {
        /// The program.
        path: String,
        /// How long it was given.
        limit: Duration,
    },
    /// It ended with an error. What it complains of may hold the credential, as with `set -x`.
    #[error(
        "{path} failed ({status}); {complaint_bytes} bytes on its standard error are not shown, as they may \
         hold the credential: run it by hand to read them"
    )]
    Failed {
        /// The program.
        path: String,
        /// How it ended.
        status: ExitStatus,
        /// How much it wrote to its standard error.
        complaint_bytes: u64,
    },
    /// It printed more than a credential.
    #[error("{0} printed more than {OUTPUT_BYTES_MAX} bytes")]
    TooLong(String),
    /// It printed something else than text.
    #[error("{0} printed something that is no text")]
    NoText(String),
}

/// Runs the program at `path` and returns what it printed, less one trailing newline.
pub(super) async fn run(path: &str, limit: Duration) -> Result<Secret, ProgramError> {
    let name = || path.to_owned();
    if !path.starts_with('/') {
        return Err(ProgramError::Relative(name()));
    }
    tokio::fs::metadata(path)
        .await
        .map_err(|source| ProgramError::Stat {
            path: name(),
            source,
        })?;
    let group = Group::start(Path::new(path), &[]).map_err(|source| ProgramError::Start {
        path: name(),
        source,
    })?;
    let ended = tokio::time::timeout(limit, group.run(b"", OUTPUT_BYTES_MAX))
        .await
        .map_err(|_| ProgramError::TimedOut {
            path: name(),
            limit,
        })?;
    let ended = ended.map_err(|source| {
        if source.kind() == io::ErrorKind::FileTooLarge {
            ProgramError::TooLong(name())
        } else {
            ProgramError::Output {
                path: name(),
                source,
            }
        }
    })?;
    let Ended {
        output,
        complaint_bytes,
        status,
        ..
    } = ended;
    if !status.success() {
        return Err(ProgramError::Failed {
            path: name(),
            status,
            complaint_bytes,
        });
    }
    let mut text = String::from_utf8(output).map_err(|_| ProgramError::NoText(name()))?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use tokio::sync::Mutex;

    use super::*;

    /// A script must not be run while another test, about to start its own, holds it open for writing.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

    #[tokio::test]
    async fn output_is_the_credential_without_one_newline() {
        check("printf 'user:pass\\n\\n'", Ok("user:pass\n")).await;
        check("printf user:pass", Ok("user:pass")).await;
        check("echo user:pass; echo noise >&2", Ok("user:pass")).await;
        check("cat; echo \"args:$#\"", Ok("args:0")).await;
    }

    #[tokio::test]
    async fn failure_names_the_status_and_shows_nothing_of_what_was_written() {
        check(
            "echo user:secret; echo secret >&2; exit 3",
            Err("failed (exit status: 3); 7 bytes on its standard error are not shown"),
        )
        .await;
        check(
            "i=0; while [ $i -lt 2000 ]; do printf 0123456789 >&2; i=$((i+1)); done; exit 1",
            Err("(exit status: 1); 20000 bytes"),
        )
        .await;
    }

    #[tokio::test]
    async fn output_that_is_no_credential_is_refused() {
        check(
            "head -c 70000 /dev/zero; sleep 60",
            Err("printed more than"),
        )
        .await;
        check("printf '\\377\\376'", Err("no text")).await;
    }

    #[tokio::test]
    async fn path_must_be_absolute_and_exist() {
        let limit = Duration::from_secs(1);
        let check = async |path: &str, expected: &str| {
            let error = run(path, limit)
                .await
                .expect_err("it is no program")
                .to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("bin/true", "must be absolute").await;
        check("", "must be absolute").await;
        check("/no/such/program", "could not stat").await;
        check("/etc/passwd", "cannot run").await;
        check("/bin\0/true", "could not stat").await;
    }

    #[tokio::test]
    async fn program_that_hangs_is_killed_with_its_children_and_reaped() {
        let hanging = Hanging::new("sleep 600 & echo $! >$0.pids; echo $$ >>$0.pids; wait").await;
        let error = hanging.time_out().await;
        assert!(matches!(error, ProgramError::TimedOut { .. }), "{error}");
        hanging.wait_until_killed().await;
    }

    #[tokio::test]
    async fn program_that_nobody_waits_for_any_more_is_killed_with_its_children() {
        let hanging = Hanging::new("sleep 600 & echo $! >$0.pids; echo $$ >>$0.pids; wait").await;
        let running = run(&hanging.script, Duration::from_mins(10));
        tokio::select! {
            result = running => panic!("{result:?}"),
            () = hanging.wait_until_begun() => {}
        }
        hanging.wait_until_killed().await;
    }

    #[tokio::test]
    async fn child_that_outlives_its_program_and_holds_the_output_ends_with_the_time() {
        // The program itself ends at once.
        let hanging =
            Hanging::new("echo user:pass; sleep 600 & echo $! >$0.pids; echo $$ >>$0.pids");
        let hanging = hanging.await;
        let error = hanging.time_out().await;
        assert!(matches!(error, ProgramError::TimedOut { .. }), "{error}");
        assert!(!error.to_string().contains("pass"), "{error}");
        hanging.wait_until_killed().await;
    }

    #[tokio::test]
    async fn what_a_program_leaves_in_the_background_ends_with_it() {
        for (end, is_good) in [("echo user:pass", true), ("exit 1", false)] {
            let body = "sleep 600 >/dev/null 2>&1 & echo $! >$0.pids; echo $$ >>$0.pids;";
            let left = Hanging::new(&format!("{body} {end}")).await;
            let result = run(&left.script, Duration::from_mins(10)).await;
            assert_eq!(result.is_ok(), is_good, "{result:?}");
            left.wait_until_killed().await;
        }
    }

    #[tokio::test]
    async fn program_that_closes_its_output_and_goes_on_is_waited_for() {
        check(
            "printf user:pass; exec >&- 2>&-; sleep 0.1; exit 0",
            Ok("user:pass"),
        )
        .await;
    }

    #[tokio::test]
    async fn program_that_floods_is_killed_with_its_children() {
        let flood = "yes & echo $! >$0.pids; echo $$ >>$0.pids; wait";
        let hanging = Hanging::new(flood).await;
        let limit = Duration::from_mins(10);
        let error = run(&hanging.script, limit)
            .await
            .expect_err("it is too long");
        assert!(matches!(error, ProgramError::TooLong(_)), "{error}");
        hanging.wait_until_killed().await;
    }

    #[tokio::test]
    async fn environment_and_folder_are_ours_and_the_process_group_is_not() {
        let folder = std::env::current_dir().expect("there is one");
        let expected = format!("{} {}", env!("CARGO_PKG_NAME"), folder.display());
        check("printf \"%s\" \"$CARGO_PKG_NAME $PWD\"", Ok(&expected)).await;
        // Fields of the process table after the name: state, parent, group.
        let group = "set -- $(sed 's/.*) //' /proc/$$/stat); [ \"$3\" = $$ ] && printf own:group";
        check(group, Ok("own:group")).await;
    }

    /// A script that never ends by itself, and writes its child's number and its own beside it.
    struct Hanging {
        script: String,
        _folder: tempfile::TempDir,
        _turn: tokio::sync::MutexGuard<'static, ()>,
    }

    impl Hanging {
        async fn new(body: &str) -> Self {
            let turn = ONE_AT_A_TIME.lock().await;
            let folder = tempfile::tempdir().expect("a folder");
            Self {
                script: script(folder.path(), body).await,
                _folder: folder,
                _turn: turn,
            }
        }

        /// Runs it until its time is over, which it is as soon as it has begun.
        async fn time_out(&self) -> ProgramError {
            let limit = Duration::from_mins(10);
            let clock = async {
                self.wait_until_begun().await;
                tokio::time::pause();
                tokio::time::advance(limit).await;
                tokio::time::resume();
            };
            let (result, ()) = tokio::join!(run(&self.script, limit), clock);
            result.expect_err("it does not end")
        }

        async fn pids(&self) -> Vec<i32> {
            let path = format!("{}.pids", self.script);
            let text = tokio::fs::read_to_string(path).await.unwrap_or_default();
            text.lines().filter_map(|line| line.parse().ok()).collect()
        }

        async fn wait_until_begun(&self) {
            while self.pids().await.len() < 2 {
                tokio::task::yield_now().await;
            }
        }

        async fn wait_until_killed(&self) {
            let [child, own] = self.pids().await[..] else {
                panic!("the script has not begun");
            };
            wait_until_gone(child, true).await;
            wait_until_gone(own, false).await;
        }
    }

    /// Polls the process table. A killed child of a killed script is reaped by somebody else, perhaps
    /// late; the script itself by us.
    async fn wait_until_gone(pid: i32, or_waits_to_be_reaped: bool) {
        let is_gone = async || match tokio::fs::read_to_string(format!("/proc/{pid}/stat")).await {
            Err(_) => true,
            Ok(stat) => or_waits_to_be_reaped && stat.contains(") Z "),
        };
        let gone = async {
            while !is_gone().await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone)
            .await
            .unwrap_or_else(|_| panic!("{pid} was not killed"));
    }

    async fn check(body: &str, expected: Result<&str, &str>) {
        let _turn = ONE_AT_A_TIME.lock().await;
        let folder = tempfile::tempdir().expect("a folder");
        let script = script(folder.path(), body).await;
        let result = run(&script, Duration::from_secs(30)).await;
        match (result, expected) {
            (Ok(output), Ok(expected)) => assert_eq!(output.reveal(), expected),
            (Err(error), Err(expected)) => {
                let error = error.to_string();
                assert!(error.contains(expected), "{error}");
                assert!(error.len() < 400 && !error.contains("secret"), "{error}");
            }
            (result, _) => panic!("{body}: {result:?}"),
        }
    }

    async fn script(folder: &Path, body: &str) -> String {
        let path = folder.join("script");
        tokio::fs::write(&path, format!("#!/bin/sh\n{body}\n"))
            .await
            .expect("the folder is writable");
        tokio::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700))
            .await
            .expect("the file is ours");
        path.to_str().expect("a path of text").to_owned()
    }
}
