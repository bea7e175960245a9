//! What an application wants to have in its repository, and what tells which intents share a commit.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;

use crate::git;
use crate::http::ShownUrl;
use crate::id::AppKey;
use crate::repo::url::serial_key;
use crate::writeback::edit::FileEdit;
use crate::writeback::target::Target;

/// What one application wants written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    /// Whose it is.
    pub app: AppKey,
    /// Which file.
    pub target: Target,
    /// What is to become of that file.
    pub edit: FileEdit,
    /// Its part of the commit's message.
    pub message: Box<str>,
}

/// The URL of a repository as somebody wrote it: it may hold a password, and is shown without.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepositoryUrl(Arc<str>);

impl RepositoryUrl {
    /// Wraps a URL.
    pub fn new(url: &str) -> Self {
        Self(url.into())
    }

    /// The URL with all that is in it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ShownUrl(&self.0).fmt(f)
    }
}

impl fmt::Debug for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ShownUrl(&self.0).fmt(f)
    }
}

/// Where a credential for a repository comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CredentialReference {
    /// What Argo CD has for the repository, as seen from this project (`writeback.md` 11.1).
    Repository {
        /// The project of the application: another project's credential is never used (WB-11).
        project: Box<str>,
    },
    /// A Secret, as `namespace/name` (`writeback.md` 11.2).
    Secret(Box<str>),
}

/// What intents have in common that share a commit (`design.md` 4.7, `writeback.md` 15.3).
///
/// The identity of the author is that of the process, so it has no place here.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BatchKey {
    /// The repository as it is asked for, without what different spellings of one way differ in. Letters keep
    /// their case: servers may tell them apart, and an edit must not reach another repository.
    url: RepositoryUrl,
    /// The branches, without `refs/heads/`.
    target: git::Target,
    credential: CredentialReference,
}

impl BatchKey {
    /// The key of intents for `url` and these branches.
    pub fn new(url: &str, target: git::Target, credential: CredentialReference) -> Self {
        let url = url.trim().trim_end_matches('/');
        let url = url.strip_suffix(".git").unwrap_or(url);
        Self {
            url: RepositoryUrl::new(url.trim_end_matches('/')),
            target,
            credential,
        }
    }

    /// The branches.
    pub const fn target(&self) -> &git::Target {
        &self.target
    }

    /// Where the credential comes from.
    pub const fn credential(&self) -> &CredentialReference {
        &self.credential
    }

    /// What tells whether two writers meet in one repository, whatever the spelling (WB-10).
    pub(super) fn serial(&self) -> Arc<str> {
        serial_key(self.url.reveal()).into()
    }

    /// The branch that is written, where that is known before the repository was asked.
    pub(super) fn branch(&self) -> Option<&str> {
        let target = &self.target;
        target.write.as_deref().or(target.base.as_deref())
    }

    /// The subject of keyed draws.
    pub(super) fn to_subject(&self) -> Box<str> {
        let branch = self.branch().unwrap_or_default();
        alloc::format!("{}\n{branch}", self.url.reveal()).into_boxed_str()
    }

    /// Bytes held beside the record itself.
    pub(super) fn heap_bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let credential = match &self.credential {
            CredentialReference::Repository { project: text }
            | CredentialReference::Secret(text) => text.len(),
        };
        self.url.reveal().len() + text(&self.target.base) + text(&self.target.write) + credential
    }
}

/// Names a batch in the trailer of its commit; never used again, also not after a restart with another seed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct BatchId(Box<str>);

impl BatchId {
    /// Takes a name that nothing else has.
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_way_share_a_batch_and_different_ways_only_their_turn() {
        let key = |url: &str| {
            let project = "default".into();
            BatchKey::new(
                url,
                git::Target::default(),
                CredentialReference::Repository { project },
            )
        };
        let plain = key("https://git.test/Org/repo");
        for same in [
            "https://git.test/Org/repo.git",
            " https://git.test/Org/repo/ ",
        ] {
            assert_eq!(key(same), plain, "{same}");
        }
        for other in ["https://git.test/org/repo", "git@git.test:Org/repo.git"] {
            assert_ne!(key(other), plain, "{other}");
            assert_eq!(key(other).serial(), plain.serial(), "{other}");
        }
        assert_ne!(key("https://git.test/other").serial(), plain.serial());
    }
}
