//! The demo as its users start it.
#![cfg(feature = "demo")]

use std::time::{Duration, Instant};

/// What the demo promises.
const DEMO_TIME_MAX: Duration = Duration::from_secs(20);

#[test]
fn the_demo_ends_by_itself_and_every_expectation_holds() {
    let begun = now();
    let output = program().output().expect("the program starts");
    let text = String::from_utf8(output.stdout).expect("the demo writes text");
    assert!(output.status.success(), "{text}");
    assert!(begun.elapsed() < DEMO_TIME_MAX, "{text}");
    assert!(!text.contains('\u{1b}'), "no colours in a pipe");
    assert!(!text.contains("FAILED"), "{text}");
    for title in [
        "First sight",
        "New tags",
        "An edited annotation",
        "Two writers",
        "A deletion",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(title)),
            "{title}: {text}"
        );
    }
    let last = text.lines().last().unwrap_or_default();
    assert!(
        last.starts_with("all ") && last.contains("expectations held in "),
        "{text}"
    );
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors, "", "the log keeps quiet");
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test starts the program and measures how long it lasts"
)]
fn program() -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_argocd-image-updater"));
    command.arg("demo");
    command
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test measures how long the program lasts"
)]
fn now() -> Instant {
    Instant::now()
}
