//! Bare repositories of the `git` that is installed.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::servers::Folder;

/// A bare repository in a folder of its own, with the branch `main`.
pub struct Repository {
    folder: Folder,
}

impl Repository {
    /// An empty one.
    pub fn empty() -> Self {
        let repository = Self {
            folder: Folder::new("git"),
        };
        repository.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."]);
        for setting in ["uploadpack.allowFilter", "receive.fsckObjects"] {
            repository.git(&["config", setting, "true"]);
        }
        repository
    }

    /// One with a first commit that has these files: mode, path, content. Content of a submodule is its
    /// commit.
    pub fn with_files(files: &[(&str, &str, &str)]) -> Self {
        let repository = Self::empty();
        repository.commit("main", "first", files);
        repository
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.folder.0
    }

    /// What `git` with these arguments prints.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.try_git(arguments, "");
        output.unwrap_or_else(|error| panic!("git {arguments:?}: {error}"))
    }

    /// Commits these files to `branch`, on top of what is there, and says the commit's id.
    pub fn commit(&self, branch: &str, message: &str, files: &[(&str, &str, &str)]) -> String {
        let mut stream = format!(
            "commit refs/heads/{branch}\ncommitter Human <human@example.com> 1700000000 +0000\ndata {}\n{message}\n",
            message.len()
        );
        if self.has(&format!("refs/heads/{branch}")) {
            writeln!(stream, "from refs/heads/{branch}^0").expect("memory takes it");
        } else if branch != "main" && self.has("refs/heads/main") {
            stream += "from refs/heads/main^0\n";
        }
        for (mode, path, content) in files {
            let line = if *mode == "160000" {
                format!("M {mode} {content} {path}\n")
            } else {
                let n_bytes = content.len();
                format!("M {mode} inline {path}\ndata {n_bytes}\n{content}\n")
            };
            stream += &line;
        }
        stream += "done\n";
        let arguments = ["fast-import", "--quiet", "--force", "--done"];
        self.try_git(&arguments, &stream)
            .unwrap_or_else(|error| panic!("{error}"));
        self.tip(branch)
    }

    /// True when `name` is there.
    pub fn has(&self, name: &str) -> bool {
        self.try_git(&["rev-parse", "--quiet", "--verify", name], "")
            .is_ok()
    }

    /// The commit that `branch` is at.
    pub fn tip(&self, branch: &str) -> String {
        let name = format!("refs/heads/{branch}^0");
        self.git(&["rev-parse", &name]).trim().to_owned()
    }

    /// The content of a file.
    pub fn file(&self, branch: &str, path: &str) -> String {
        self.git(&["cat-file", "blob", &format!("refs/heads/{branch}:{path}")])
    }

    /// Every file with mode and id.
    pub fn tree(&self, branch: &str) -> Vec<String> {
        let tree = self.git(&["ls-tree", "-r", "-t", branch]);
        tree.lines().map(str::to_owned).collect()
    }

    /// Puts a program in the place of hook `name`.
    pub fn hook(&self, name: &str, script: &str) {
        let path = self.path().join("hooks").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a hook can be written");
        make_executable(&path);
    }

    /// Everything is as git wants it.
    #[track_caller]
    pub fn check(&self) {
        self.git(&["fsck", "--strict", "--no-dangling", "--no-progress"]);
    }

    fn try_git(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut child = git(self.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that reads nothing may have ended.
            drop(stdin.write_all(input.as_bytes()));
        }
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

fn make_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("a hook can be made executable");
}

/// `git` in `folder`, without the settings of whoever runs the tests.
pub(super) fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .current_dir(folder)
        .env("HOME", PathBuf::from("/nonexistent"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env_remove("GIT_DIR");
    command
}
