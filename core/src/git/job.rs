//! What a session is to do, and what comes of it.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::known::Known;
use super::object::{Identity, ObjectId};
use super::pack::PackLimits;
use super::refusal::Refusal;
use crate::time::UnixTime;

/// One job; a session is one attempt of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Read files.
    Read {
        /// Where.
        target: Target,
        /// Which, as paths from the root of the repository.
        paths: BTreeSet<String>,
    },
    /// Read files, have them edited, commit and push.
    Publish(Publish),
    /// Find out whether a commit is on the branch.
    Inspect(Inspect),
}

/// A branch to read and write.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Target {
    /// The branch that things start from; the default branch when not given.
    pub base: Option<String>,
    /// The branch that is written; the base when not given (`writeback.md` 2.3).
    pub write: Option<String>,
}

/// What is to be published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// Where.
    pub target: Target,
    /// The files that edits begin with, as paths from the root of the repository.
    pub paths: BTreeSet<String>,
    /// Who writes the commit.
    pub author: Identity,
    /// When it is written.
    pub time: UnixTime,
    /// The commit is signed.
    pub is_signed: bool,
}

/// What is to be looked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inspect {
    /// Where.
    pub target: Target,
    /// The line in the commit's message that names the batch.
    pub trailer: String,
    /// The commit that the batch would follow, when known: only what came after it is read. Else the last
    /// few hundred commits are.
    pub since: Option<ObjectId>,
}

/// Bounds of a session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Of all packs together that are held at a time.
    pub pack: PackLimits,
    /// Longest file that is read.
    pub file_bytes_max: usize,
    /// What is kept for the next session, in bytes.
    pub known_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pack: PackLimits::default(),
            file_bytes_max: 4 << 20,
            known_bytes_max: 4 << 20,
        }
    }
}

/// A file that was asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Found {
    /// It is there.
    File(Vec<u8>),
    /// It is not there, and may be made.
    Absent,
    /// It is not to be touched.
    Refused(PathRefusal),
}

/// Why a path is not to be touched (`writeback.md` 15.8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PathRefusal {
    /// It is no path inside a repository.
    Invalid,
    /// It is a symbolic link, or goes through one.
    Symlink,
    /// It is a submodule, or goes through one.
    Submodule,
    /// It is a folder.
    Directory,
    /// It goes through a file.
    BehindFile,
    /// The file is longer than [`Limits::file_bytes_max`].
    TooLarge,
}

impl fmt::Display for PathRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "is no path inside the repository",
            Self::Symlink => "goes through a symbolic link",
            Self::Submodule => "goes through a submodule",
            Self::Directory => "is a folder",
            Self::BehindFile => "goes through a file",
            Self::TooLarge => "is too large a file",
        })
    }
}

/// How the branch that is written stands to its base (`design.md` 4.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Relation {
    /// They are the same branch, or at the same commit.
    Same,
    /// The written one does not exist; it starts from the base.
    Created,
    /// All of it is in the base; it starts from the base again.
    Restarted,
    /// All of the base is in it.
    Ahead,
    /// Both have what the other has not, as far as was read.
    Diverged,
}

/// Where a session starts from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tip {
    /// The branch that is written, without `refs/heads/`.
    pub branch: String,
    /// The base, without `refs/heads/`.
    pub base: String,
    /// The commit that is read, and that a new one follows.
    pub commit: ObjectId,
    /// Where the written branch is; [`ObjectId::NULL`] when it does not exist.
    pub old: ObjectId,
    /// How it stands to its base.
    pub relation: Relation,
}

/// The files that edits begin with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Worktree {
    /// Where they are from.
    pub tip: Tip,
    /// Every path that was asked for.
    pub files: BTreeMap<String, Found>,
}

/// What is made of the files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edits {
    /// More files are needed first.
    Read(BTreeSet<String>),
    /// These files with their new content are committed with this message. What is unchanged is no change,
    /// and no changes make no commit.
    Write {
        /// New contents by path. A file that is there keeps its mode.
        files: BTreeMap<String, Vec<u8>>,
        /// The commit's message.
        message: String,
    },
}

/// What came of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The files of [`Job::Read`].
    Read(Worktree),
    /// The commit is on the branch.
    Published {
        /// What it was made from.
        tip: Tip,
        /// The commit.
        commit: ObjectId,
        /// What programs on the server said.
        messages: Vec<String>,
    },
    /// There was nothing to change.
    Unchanged {
        /// What was read.
        tip: Tip,
    },
    /// The answer of [`Job::Inspect`].
    Inspected {
        /// The commit with the line, if there is one.
        commit: Option<ObjectId>,
        /// The branch's tip; [`ObjectId::NULL`] when it does not exist.
        tip: ObjectId,
    },
    /// Nothing was changed.
    Refused(Refusal),
    /// The push was sent, and what became of it is not known. It is inspected before anything is repeated.
    Unknown {
        /// What the commit was made from.
        tip: Tip,
        /// The commit.
        commit: ObjectId,
        /// What went wrong, for people.
        detail: String,
    },
}

/// A session's end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// What came of it.
    pub outcome: Outcome,
    /// What the next session about this target begins with.
    pub known: Known,
}
