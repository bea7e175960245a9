//! The `write-back-method` annotation (`images.md` 4.2, `writeback.md` 2.1).

use alloc::boxed::Box;
use core::fmt;

/// How changes of an application are written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteBackMethod {
    /// As a patch of the Application.
    Argocd,
    /// As a commit.
    Git(GitCredentials),
}

/// Where the credentials of a Git write-back come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GitCredentials {
    /// Those that Argo CD has for the repository.
    Repository,
    /// A Secret; the text behind `secret:` is looked at when it is needed.
    Secret(Box<str>),
}

/// Why the annotation names no method; the application is in error (D-57).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum WriteBackMethodError {
    /// The method is neither `argocd` nor `git`.
    Method(Box<str>),
    /// The credentials are neither `repocreds` nor `secret:...`.
    Credentials(Box<str>),
}

impl WriteBackMethod {
    /// Reads the annotation; absent means `argocd` (`writeback.md` 2.1).
    ///
    /// # Errors
    /// When it is neither `argocd` nor `git[:<credentials>]`; also when it is empty.
    pub fn parse(value: Option<&str>) -> Result<Self, WriteBackMethodError> {
        let Some(value) = value.map(str::trim) else {
            return Ok(Self::Argocd);
        };
        if value == "argocd" {
            return Ok(Self::Argocd);
        }
        let (method, credentials) = match value.split_once(':') {
            Some((method, credentials)) if !method.is_empty() => (method.trim(), credentials),
            Some(_) | None => (value, REPOSITORY),
        };
        if method != "git" {
            return Err(WriteBackMethodError::Method(quoted(method)));
        }
        if credentials == REPOSITORY {
            return Ok(Self::Git(GitCredentials::Repository));
        }
        credentials
            .strip_prefix("secret:")
            .map(|secret| Self::Git(GitCredentials::Secret(secret.into())))
            .ok_or_else(|| WriteBackMethodError::Credentials(quoted(credentials)))
    }
}

const REPOSITORY: &str = "repocreds";

/// The begin of a text, enough to recognise it in a message.
fn quoted(text: &str) -> Box<str> {
    const QUOTED_CHARS_MAX: usize = 80;
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        None => text.into(),
        Some((at, _)) => text[..at].into(),
    }
}

impl fmt::Display for WriteBackMethodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(found) => write!(
                f,
                "invalid update mechanism: {found}; accepted are argocd and git[:<credentials>]"
            ),
            Self::Credentials(found) => write!(
                f,
                "invalid git credentials source: expected repocreds or \
                 secret:<namespace>/<secret>, found {found}"
            ),
        }
    }
}

impl core::error::Error for WriteBackMethodError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_read() {
        let git = |credentials| Ok(WriteBackMethod::Git(credentials));
        let secret = |text: &str| git(GitCredentials::Secret(text.into()));
        check(None, &Ok(WriteBackMethod::Argocd));
        check(Some(" argocd\n"), &Ok(WriteBackMethod::Argocd));
        check(Some(" git "), &git(GitCredentials::Repository));
        check(Some("git :repocreds"), &git(GitCredentials::Repository));
        check(Some("git:secret:a/b"), &secret("a/b"));
        check(Some("git:secret:"), &secret(""));
    }

    #[test]
    fn anything_else_is_an_error() {
        let method = |text: &str| Err(WriteBackMethodError::Method(text.into()));
        let credentials = |text: &str| Err(WriteBackMethodError::Credentials(text.into()));
        check(Some(""), &method(""));
        check(Some("Git"), &method("Git"));
        check(Some("argocd:repocreds"), &method("argocd"));
        check(Some(":git"), &method(":git"));
        check(Some("git:"), &credentials(""));
        check(Some("git:repocreds:x"), &credentials("repocreds:x"));
        check(Some(&"ä".repeat(10_000)), &method(&"ä".repeat(80)));
    }

    fn check(value: Option<&str>, expect: &Result<WriteBackMethod, WriteBackMethodError>) {
        assert_eq!(&WriteBackMethod::parse(value), expect, "{value:?}");
    }
}
