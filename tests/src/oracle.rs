//! The independent judge: the Go program in `tests/oracle`, which reads with the libraries that Argo CD, Helm and
//! kustomize read with. It is skipped loudly where Go is missing, as a server is.

#![allow(
    clippy::missing_panics_doc,
    reason = "what goes wrong in the harness of a test fails the test"
)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::servers::{Server, is_available, skip};

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle");

/// The program, built into a folder of its own.
#[derive(Debug)]
pub struct Oracle {
    folder: tempfile::TempDir,
}

impl Oracle {
    /// Builds it; `None` when Go or a module of it is missing and not required.
    pub fn build() -> Option<Self> {
        if !is_available(Server::Go) {
            return None;
        }
        let downloaded = go().args(["mod", "download"]).output();
        let downloaded = downloaded.expect("go starts");
        if !downloaded.status.success() {
            let error = String::from_utf8_lossy(&downloaded.stderr);
            skip(&format!(
                "modules of tests/oracle missing: {}",
                error.trim()
            ));
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let oracle = Self { folder };
        let status = go()
            .args(["build", "-o"])
            .arg(oracle.program())
            .arg(".")
            .status()
            .expect("go starts");
        assert!(status.success(), "tests/oracle does not build");
        Some(oracle)
    }

    /// What Go renders of each template with its sample: `outcome`, `text`, `error`.
    pub fn renderings(&self, templates: &[String]) -> Vec<Value> {
        self.ask(&json!({ "templates": templates }), "renderings")
    }

    /// What Go reads of each text as YAML: `documents`, `error` (`tests/oracle/yaml.go`).
    pub fn readings(&self, documents: &[String]) -> Vec<Value> {
        self.ask(&json!({ "documents": documents }), "readings")
    }

    fn ask(&self, question: &Value, part: &str) -> Vec<Value> {
        let mut child = Command::new(self.program())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the oracle starts");
        let mut stdin = child.stdin.take().expect("it reads");
        stdin
            .write_all(question.to_string().as_bytes())
            .expect("it takes the question");
        drop(stdin);
        let answer = child.wait_with_output().expect("it answers");
        assert!(answer.status.success(), "the oracle failed");
        let mut answer: Value = serde_json::from_slice(&answer.stdout).expect("it answers in JSON");
        serde_json::from_value(answer[part].take()).expect("it answers with a list")
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("oracle")
    }
}

fn go() -> Command {
    let mut command = Command::new("go");
    command.current_dir(SOURCES);
    command
}
