//! The runner of the contract vectors: one function per group, all cases of all files.
//!
//! A case is `{id, input, expect}`. A group's runner computes the actual result from `input`; the
//! harness compares it with `expect`: whole, or only the named fields when the case says
//! `"partial": true`. A runner that needs its own comparison (an expected error that names only a
//! kind, an unordered list) returns a [`Verdict`] itself.

mod app;
mod cli;
mod files;
mod harness;
mod health;
mod image;
mod metrics;
mod ping;
mod registry;
mod schedule;
mod update;
mod writeback;

pub use harness::{Case, Summary, Verdict, compare, run_folder};

/// A group's runner: from one case to a verdict.
pub type Runner = fn(&Case<'_>) -> Verdict;

/// The runner of group `name` in file `file` (its stem); `None` where there is none yet.
///
/// Two files may hold groups of one name with different shapes (`duration_parse`), hence the file.
pub fn runner(file: &str, group: &str) -> Option<Runner> {
    let rooms: [fn(&str, &str) -> Option<Runner>; 11] = [
        app::runner,
        image::runner,
        update::runner,
        schedule::runner,
        metrics::runner,
        registry::runner,
        ping::runner,
        cli::runner,
        writeback::runner,
        files::runner,
        health::runner,
    ];
    rooms.iter().find_map(|room| room(file, group))
}
