//! The built program: streams and exit status of what needs no cluster (`ops.md` 1.6).

use std::io::Read as _;
use std::process::{Command, Output, Stdio};

#[test]
fn help_and_version_go_to_standard_output() {
    for (line, text) in [
        (&[][..], "Commands:"),
        (&["--help"], "Commands:"),
        (&["run", "--help"], "--interval"),
        (&["help", "webhook"], "--webhook-port"),
        (&["version"], "argocd-image-updater: v"),
        (&["completion", "bash"], "complete "),
    ] {
        let output = output(line, &[]);
        assert_eq!(output.status.code(), Some(0), "{line:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).contains(text),
            "{line:?}"
        );
        assert!(output.stderr.is_empty(), "{line:?}");
    }
}

#[test]
fn mistakes_go_to_standard_error_with_status_1() {
    for (line, text) in [
        (&["bogus"][..], "Error: unknown command"),
        (&["run", "--bogus"], "Error: unknown flag: --bogus"),
        (
            &["run", "--interval=30"],
            "Error: invalid argument \"30\" for \"--interval\"",
        ),
        (&["run", "once"], "Error: unexpected argument \"once\""),
        (&["webhook", "--webhook-port=65536"], "0 to 65535"),
    ] {
        let output = output(line, &[]);
        assert_eq!(output.status.code(), Some(1), "{line:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains(text) && stderr.contains("Usage:"),
            "{line:?}: {stderr}"
        );
        assert!(output.stdout.is_empty(), "{line:?}");
    }
    let output = output(&["test"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("Usage:"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs an image"));
}

#[test]
fn credential_helper_fails_with_its_own_status() {
    let output = output(
        &["--help"],
        &[("ARGOCD_BINARY_NAME", "argocd-git-ask-pass")],
    );
    assert_eq!(output.status.code(), Some(20));
    assert!(output.stdout.is_empty() && !output.stderr.is_empty());
}

#[test]
fn ways_to_read_applications_that_are_not_there_are_refused_by_flag_and_by_variable() {
    let refusal = "--applications-api argocd: the Argo CD API is not part of this build yet";
    for (line, environment, text) in [
        (
            &["run", "--once", "--applications-api=argocd"][..],
            &[][..],
            refusal,
        ),
        (
            &["run", "--once"],
            &[("APPLICATIONS_API", "argocd")],
            refusal,
        ),
        (
            &["run", "--once", "--disable-kubernetes"],
            &[],
            "--disable-kubernetes leaves no way",
        ),
    ] {
        let output = output(line, environment);
        assert_eq!(output.status.code(), Some(1), "{line:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains("level=fatal") && stderr.contains(text),
            "{line:?}: {stderr}"
        );
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(!stdout.contains("the Argo CD API is"), "{line:?}: {stdout}");
    }
}

#[test]
fn reader_that_goes_away_is_no_failure() {
    let mut child = program(&["run", "--help"], &[])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let mut stderr = String::new();
    let mut pipe = child.stderr.take().expect("standard error is piped");
    pipe.read_to_string(&mut stderr)
        .expect("standard error is text");
    assert_eq!(
        child.wait().expect("the program ends").code(),
        Some(0),
        "{stderr}"
    );
}

fn output(line: &[&str], environment: &[(&str, &str)]) -> Output {
    program(line, environment)
        .output()
        .expect("the program starts")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test starts the program under test"
)]
fn program(line: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_argocd-image-updater"));
    command
        .args(line)
        .env_clear()
        .envs(environment.iter().copied());
    command
}
