//! Finds what `version` tells of the build: the compiler's version and the commit.
//!
//! What the build's environment says stands, and nothing that cannot be found fails the build.

use std::path::Path;
use std::process::Command;

const COMMIT: &str = "IMAGE_UPDATER_GIT_COMMIT";
const BUILD_DATE: &str = "IMAGE_UPDATER_BUILD_DATE";
const RUST_VERSION: &str = "IMAGE_UPDATER_RUST_VERSION";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for name in [COMMIT, BUILD_DATE, RUST_VERSION] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    if std::env::var_os(RUST_VERSION).is_none() {
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        if let Some(version) = first_line(&rustc, &["--version"]) {
            let version = version.strip_prefix("rustc ").unwrap_or(&version);
            println!("cargo::rustc-env={RUST_VERSION}={version}");
        }
    }
    if std::env::var_os(COMMIT).is_none() && is_own_repository() {
        if let Some(commit) = first_line("git", &["rev-parse", "HEAD"]) {
            println!("cargo::rustc-env={COMMIT}={commit}");
        }
        // Changed by whatever moves the tip.
        for name in ["HEAD", "logs/HEAD"] {
            let path = first_line("git", &["rev-parse", "--git-path", name]);
            if let Some(path) = path.filter(|path| Path::new(path).exists()) {
                println!("cargo::rerun-if-changed={path}");
            }
        }
    }
}

/// False for sources that lie in a repository of somebody else, whose commit is not ours.
fn is_own_repository() -> bool {
    let prefix = first_line("git", &["rev-parse", "--show-prefix"]);
    prefix.as_deref() == Some("runtime-tokio/")
}

/// The first line that `program` prints, if it can be run and succeeds.
#[expect(
    clippy::disallowed_methods,
    reason = "the build asks, there is no runtime whose rules it could break"
)]
fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}
