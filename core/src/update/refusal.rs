//! Why nothing is written for a whole application, whatever was decided about its images.

use alloc::boxed::Box;
use core::fmt;

use crate::app::{ImageListProblem, Problem, WriteBackMethodError};

/// Why nothing is written; an error of the application (`images.md` 13, D-57).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There is no usable image list.
    ImageList(ImageListProblem),
    /// One of our annotations could not be read: going on without it could mean something else.
    Annotation(Problem),
    /// `write-back-method` names no method.
    Method(WriteBackMethodError),
    /// `git-branch` has more than two parts.
    GitBranch(Box<str>),
    /// Where a commit is to go cannot be followed.
    Git(Box<str>),
    /// Updates are to be written with Git, which this version does not do.
    GitNotBuilt,
}

impl Refusal {
    /// A stable code for logs, explanations and tests.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ImageList(_) => "invalid-image-list",
            Self::Annotation(_) => "unreadable-annotation",
            Self::Method(_) => "write-back-method-unsupported",
            Self::GitBranch(_) => "invalid-git-branch",
            Self::Git(_) => "invalid-git-write-back",
            Self::GitNotBuilt => "git-not-built",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ImageList(problem) => problem.fmt(f),
            Self::Annotation(problem) => write!(f, "{}: {}", problem.path, problem.detail),
            Self::Method(error) => error.fmt(f),
            Self::GitBranch(text) => write!(
                f,
                "invalid git-branch {text:?}: expected <base>, <base>:<write> or :<write>"
            ),
            Self::Git(text) => f.write_str(text),
            Self::GitNotBuilt => f.write_str(
                "write-back with git is not built yet in this version: nothing was written; \
                 use write-back-method argocd, or leave this application to the program that \
                 writes it now",
            ),
        }
    }
}

impl core::error::Error for Refusal {}
