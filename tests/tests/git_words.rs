//! What we call branches and write into commits, judged by `git` itself.

use std::io::Write as _;
use std::process::{Command, Stdio};

use image_updater_core::id::AppKey;
use image_updater_core::writeback::branch::{BRANCH_BYTES_MAX, BranchName, render};
use image_updater_core::writeback::message::{BatchPart, of_batch, stored};
use image_updater_sim::entropy::{Entropy, Stream};

/// Names and messages that are made of parts.
const CASES: usize = 200;

#[test]
fn names_that_we_take_for_branches_are_those_that_git_takes() {
    let parts = [
        "a",
        "B",
        "1",
        "main",
        "v1",
        "x-y",
        "b_c",
        "up",
        "z",
        "-",
        "-",
        "/",
        "/",
        ".",
        ".",
        "..",
        ".lock",
        "@",
        "@{",
        "~",
        "^",
        ":",
        "?",
        "*",
        "[",
        "]",
        "\\",
        " ",
        "\t",
        "\u{7f}",
        "\u{e9}",
        "\u{1f600}",
        "HEAD",
        "refs/heads/",
        "{",
        "}",
        "$",
        "'",
    ];
    let mut n_taken = 0;
    for name in made_of(&parts, 4) {
        // The bound is ours; a name that Git expands is none of ours.
        let git = is_branch(&name) && name.len() <= BRANCH_BYTES_MAX;
        assert_eq!(BranchName::parse(&name).is_ok(), git, "{name:?}");
        n_taken += usize::from(git);
        let template = format!("{{{{print {name:?}}}}}").replace("\\u{7f}", "\\u007f");
        if let Ok(rendered) = render(&template, &AppKey::new("ns", "app"), &[]) {
            assert!(is_branch(rendered.as_str()), "{name:?} {rendered}");
        }
    }
    assert!((20..CASES - 20).contains(&n_taken), "{n_taken}");
}

#[test]
fn messages_are_kept_as_git_keeps_them() {
    let parts = [
        "a", "b c", " ", "\t", "\n", "\n", "\n\n", "\r\n", "\r", "#", "\u{b}", "\u{c}", "\u{a0}",
        "\u{e9}",
    ];
    for message in made_of(&parts, 12) {
        let git = git(&["stripspace"], &message);
        let expect = if git.is_empty() {
            "Update parameters\n"
        } else {
            &git
        };
        assert_eq!(stored(&message), expect, "{message:?}");
    }
}

#[test]
fn trailers_of_batches_are_trailers_for_git() {
    let parts = [
        "build: x",
        "\n",
        "\n\n",
        "\n\n",
        "Refs: 1",
        "text",
        "\n more",
        "Image-Updater-Batch: b0",
        ":",
    ];
    let key = |name| AppKey::new("ns", name);
    for (n, message) in made_of(&parts, 8).into_iter().enumerate() {
        let mut batch = vec![BatchPart {
            key: key("one"),
            message: message.clone().into(),
        }];
        let mut ours = vec!["Image-Updater-Application: ns/one"];
        if n % 2 == 1 {
            batch.push(BatchPart {
                key: key("two"),
                message: "Update two\n\nRefs: 2".into(),
            });
            ours.push("Image-Updater-Application: ns/two");
        }
        ours.extend(["Image-Updater-Batch: b1", "Signed-off-by: N <n@x>"]);
        let whole = of_batch(&batch, "b1", Some("N <n@x>"));
        // Nothing of it is lost when Git writes it.
        assert_eq!(git(&["stripspace"], &whole), whole, "{message:?}");
        let found = git(&["interpret-trailers", "--parse"], &whole);
        let found: Vec<&str> = found.lines().collect();
        assert!(found.ends_with(&ours), "{whole}\n{found:?}");
        let n_batches = found
            .iter()
            .filter(|line| line.starts_with("Image-Updater-Batch"))
            .count();
        assert_eq!(n_batches, 1, "{whole}");
        assert_eq!(n % 2 == 1, found.contains(&"Refs: 2"), "{whole}");
    }
}

/// Texts of up to `n_parts_max` parts, the same in every run.
fn made_of(parts: &[&str], n_parts_max: u64) -> Vec<String> {
    let mut entropy = Entropy::new(1, Stream::Workload);
    let mut text = || -> String {
        let n_parts = entropy.between(1, n_parts_max);
        (0..n_parts)
            .map(|_| parts[entropy.index(parts.len())])
            .collect()
    };
    (0..CASES).map(|_| text()).collect()
}

fn is_branch(name: &str) -> bool {
    command(&["check-ref-format", "--branch", name])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("git starts")
        .success()
}

/// What git writes when it reads `input`.
fn git(arguments: &[&str], input: &str) -> String {
    let mut child = command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git starts");
    let mut stdin = child.stdin.take().expect("it reads");
    stdin
        .write_all(input.as_bytes())
        .expect("it takes the message");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{arguments:?} {input:?}");
    String::from_utf8(output.stdout).expect("it writes UTF-8")
}

/// Git outside of any repository and without settings.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("git");
    command
        .args(arguments)
        .current_dir("/")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null");
    command
}
