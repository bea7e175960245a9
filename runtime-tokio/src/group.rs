//! The one place that starts programs: an `ext` helper, or `gpg`; never through a shell.
//!
//! A program leads a process group of its own. When it has ended, its time is over, or nobody waits for it any
//! more, the whole group is killed; that happens only while the leader has not been waited for, so that its number
//! cannot belong to anybody else.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

/// What is kept of what a program complains of.
const COMPLAINT_BYTES_MAX: u64 = 8 << 10;

/// A program and its group; killed when dropped before the program was waited for.
pub(crate) struct Group {
    child: Child,
    leader: Option<Pid>,
}

/// A program that has ended.
pub(crate) struct Ended {
    /// Its standard output.
    pub(crate) output: Vec<u8>,
    /// The beginning of its standard error.
    pub(crate) complaint: Vec<u8>,
    /// How much it wrote there.
    pub(crate) complaint_bytes: u64,
    /// How it ended.
    pub(crate) status: ExitStatus,
}

impl Group {
    /// Starts a program, looked for in `PATH` unless it is a path.
    #[expect(
        clippy::disallowed_methods,
        reason = "programs are started here and nowhere else"
    )]
    pub(crate) fn start(program: &Path, arguments: &[&str]) -> io::Result<Self> {
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let leader = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self { child, leader })
    }

    /// Writes `input` to the program and reads what it prints to its end; [`io::ErrorKind::FileTooLarge`] at once
    /// when that is longer than `output_bytes_max`, whatever the program does then.
    pub(crate) async fn run(mut self, input: &[u8], output_bytes_max: u64) -> io::Result<Ended> {
        let stdin = self.child.stdin.take();
        let stdout = self.child.stdout.take();
        let stderr = self.child.stderr.take();
        let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(io::Error::other("the pipes are gone"));
        };
        let write = async move {
            // A program may end without having read it all: its status tells whether that was right.
            drop(stdin.write_all(input).await);
            drop(stdin);
            Ok(())
        };
        let output = read_output(stdout, output_bytes_max);
        let complaint = read_complaint(stderr);
        let ((), output, (complaint, complaint_bytes)) =
            futures_util::future::try_join3(write, output, complaint).await?;
        if let Some(leader) = self.leader {
            until_ended(leader).await?;
        }
        // What it left behind in the background ends with it, while its number is still its own.
        self.kill();
        let status = self.child.wait().await?;
        self.leader = None;
        Ok(Ended {
            output,
            complaint,
            complaint_bytes,
            status,
        })
    }

    fn kill(&self) {
        if let Some(leader) = self.leader {
            // It may have ended this very moment.
            let _gone = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Waits until a child has ended, and leaves it to be waited for.
async fn until_ended(child: Pid) -> io::Result<()> {
    // Listened to before the first look: what ends in between is heard of.
    let mut ends = signal(SignalKind::child())?;
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    while waitid(WaitId::Pid(child), look)?.is_none() {
        ends.recv().await;
    }
    Ok(())
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn read_output(pipe: impl AsyncRead + Unpin, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    pipe.take(bytes_max + 1).read_to_end(&mut output).await?;
    if output.len() as u64 > bytes_max {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(output)
}

/// It is read to its end, or the program would wait for us.
async fn read_complaint(mut pipe: impl AsyncRead + Unpin) -> io::Result<(Vec<u8>, u64)> {
    let mut kept = Vec::new();
    let mut head = (&mut pipe).take(COMPLAINT_BYTES_MAX);
    let n_kept = head.read_to_end(&mut kept).await?;
    let n_dropped = tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    Ok((kept, n_kept as u64 + n_dropped))
}
