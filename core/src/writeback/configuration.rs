//! How an application is written back, as its annotations and sources say (`writeback.md` 2, 7.1).

use alloc::boxed::Box;
use core::fmt;

use super::branch::GitBranch;
use super::target::{Target, TargetError};
use crate::app::annotation::{GIT_BRANCH, GIT_REPOSITORY, WRITE_BACK_METHOD, WRITE_BACK_TARGET};
use crate::app::{Application, GitCredentials, Sources, WriteBackMethod, WriteBackMethodError};
use crate::repo::url::is_same_repository;

/// How an application is written back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteBack {
    /// As a patch of the Application; annotations about Git mean nothing.
    Argocd,
    /// As a commit.
    Git(GitWriteBack),
}

/// Where a commit goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitWriteBack {
    /// Where the credentials come from.
    pub credentials: GitCredentials,
    /// The repository, as written.
    pub repository: Box<str>,
    /// Its branches, as written.
    pub branch: GitBranch,
    /// The revision that is read where the annotation names no branch.
    pub base_revision: Box<str>,
    /// What is edited.
    pub target: Target,
}

/// Why an application cannot be written back; it is in error (WB-30).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteBackError {
    /// The method cannot be read.
    Method(WriteBackMethodError),
    /// There is no source to write (WB-57).
    NoSource,
    /// The target cannot be written.
    Target(TargetError),
}

impl WriteBack {
    /// Reads the configuration of an application (`writeback.md` 2).
    ///
    /// # Errors
    /// When a part of it cannot be followed.
    pub fn of(app: &Application, controller_namespace: &str) -> Result<Self, WriteBackError> {
        let annotation = |key| app.annotations.value(key);
        let method = WriteBackMethod::parse(annotation(WRITE_BACK_METHOD))
            .map_err(WriteBackError::Method)?;
        let WriteBackMethod::Git(credentials) = method else {
            return Ok(Self::Argocd);
        };
        let selected = app.selected_source().ok_or(WriteBackError::NoSource)?;
        let target = Target::parse(
            annotation(WRITE_BACK_TARGET),
            &app.key,
            controller_namespace,
            &selected.source.path,
        )
        .map_err(WriteBackError::Target)?;
        let repository = annotation(GIT_REPOSITORY).unwrap_or(&selected.source.repo_url);
        Ok(Self::Git(GitWriteBack {
            credentials,
            repository: repository.into(),
            branch: GitBranch::parse(annotation(GIT_BRANCH)),
            base_revision: base_revision(app).into(),
            target,
        }))
    }
}

/// The revision that an application contributes as branch (`writeback.md` 7.1): of several sources that of the
/// repository that is written, however its URL is spelt (WB-56), else of the selected source; empty without one.
pub fn base_revision(app: &Application) -> &str {
    let written = app.annotations.value(GIT_REPOSITORY);
    if let (Some(written), Sources::Multiple(sources)) = (written, &app.sources) {
        let same = |url: &str| url == written || is_same_repository(url, written);
        if let Some(source) = sources.iter().find(|source| same(&source.repo_url)) {
            return &source.target_revision;
        }
    }
    app.selected_source()
        .map_or("", |selected| &selected.source.target_revision)
}

impl fmt::Display for WriteBackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(error) => error.fmt(f),
            Self::NoSource => f.write_str("the application has no source that could be written"),
            Self::Target(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for WriteBackError {}
