//! What was built (`ops.md` 11).
//!
//! Build data comes from variables of the build: `IMAGE_UPDATER_GIT_COMMIT`,
//! `IMAGE_UPDATER_BUILD_DATE` and `IMAGE_UPDATER_RUST_VERSION`.

use crate::args::{PROGRAM, own_platform};

const COMMIT: &str = match option_env!("IMAGE_UPDATER_GIT_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

const BUILD_DATE: &str = match option_env!("IMAGE_UPDATER_BUILD_DATE") {
    Some(date) => date,
    None => "1970-01-01T00:00:00Z",
};

const RUST_VERSION: &str = match option_env!("IMAGE_UPDATER_RUST_VERSION") {
    Some(version) => version,
    None => concat!(env!("CARGO_PKG_RUST_VERSION"), " or later"),
};

/// `v<version>+<first 7 characters of the commit>`.
pub fn short_version() -> String {
    let commit: String = COMMIT.chars().take(7).collect();
    format!("v{}+{commit}", env!("CARGO_PKG_VERSION"))
}

/// How the program introduces itself to registries, and the first line of `version`.
pub fn user_agent() -> String {
    format!("{PROGRAM}: {}", short_version())
}

/// What `version` prints, ended by a newline.
pub fn long_version() -> String {
    format!(
        "{}\n  BuildDate: {BUILD_DATE}\n  GitCommit: {COMMIT}\n  RustVersion: {RUST_VERSION}\n  Platform: {}\n",
        user_agent(),
        own_platform()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_begins_with_what_registries_see() {
        let text = long_version();
        assert!(
            text.starts_with(&format!("{}\n  BuildDate: ", user_agent())),
            "{text}"
        );
        assert!(user_agent().is_ascii() && !user_agent().contains(char::is_control));
        assert!(short_version().starts_with('v'));
    }
}
