//! What was built (`ops.md` 11).
//!
//! Build data comes from variables of the build: `IMAGE_UPDATER_GIT_COMMIT`,
//! `IMAGE_UPDATER_BUILD_DATE` and `IMAGE_UPDATER_RUST_VERSION`. Where they are not set, the build
//! script finds commit and compiler; a date is never found, since builds are to be repeatable.

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
    None => "unknown",
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

    #[test]
    fn compiler_is_the_one_that_built_this() {
        let text = long_version();
        let version = text
            .lines()
            .find_map(|line| line.strip_prefix("  RustVersion: "));
        let mut parts = version.unwrap_or_default().split(['.', ' ', '-']);
        let mut number = || parts.next().and_then(|part| part.parse::<u32>().ok());
        let (major, minor) = (number(), number());
        assert!(number().is_some(), "all of it: {text}");
        assert!((major, minor) >= (Some(1), Some(95)), "{text}");
    }
}
