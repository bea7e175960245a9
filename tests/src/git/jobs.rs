//! Jobs as tests give them, and what they expect of their outcomes.

use std::fmt::Write as _;

use image_updater_core::git::job::{Publish, Relation};
use image_updater_core::git::{
    Edits, Finished, Identity, Job, ObjectId, Outcome, RefusalKind, Remote, Target,
};
use image_updater_core::time::UnixTime;

use super::Transport;

/// The repository of these tests.
pub fn remote(transport: Transport) -> Remote {
    match transport {
        Transport::Http => Remote::Http("https://git.test/repo".into()),
        Transport::Ssh => Remote::Ssh("/repo".into()),
    }
}

/// A publish that begins with these files.
pub fn publish_job(paths: &[&str], target: Target) -> Publish {
    Publish {
        target,
        paths: paths.iter().map(|&path| path.into()).collect(),
        author: Identity {
            name: "Updater".into(),
            email: "up@example.com".into(),
        },
        time: UnixTime::from_secs(1_700_000_001),
        is_signed: false,
    }
}

/// The same as a job.
pub fn edit_job(paths: &[&str], target: Target) -> Job {
    Job::Publish(publish_job(paths, target))
}

/// New contents, with the message of batch 7.
pub fn write(files: &[(&str, &str)]) -> Edits {
    Edits::Write {
        files: files
            .iter()
            .map(|(path, text)| ((*path).into(), text.as_bytes().to_vec()))
            .collect(),
        message: "update\n\nBatch: 7\n".into(),
    }
}

/// The commit that was published on a branch that stands so to its base.
#[track_caller]
pub fn published(finished: &Finished, relation: Relation) -> String {
    let Outcome::Published { tip, commit, .. } = &finished.outcome else {
        panic!("{:?}", finished.outcome);
    };
    assert_eq!(tip.relation, relation);
    assert!(*commit != ObjectId::NULL);
    commit.to_string()
}

/// The class of the refusal.
#[track_caller]
pub fn refused(finished: &Finished) -> RefusalKind {
    let Outcome::Refused(refusal) = &finished.outcome else {
        panic!("{:?}", finished.outcome);
    };
    refusal.kind
}

/// Text that does not deflate well, the same in every run.
pub fn noise(n_bytes: usize) -> String {
    let mut state = 1_u64;
    let mut text = String::new();
    while text.len() < n_bytes {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        write!(text, "{:016x}", state ^ state >> 29).expect("memory takes it");
    }
    text
}
