//! Why an attempt came to nothing, in classes that decide what happens next (`writeback.md` 15.5, 15.6).
//!
//! Servers say the same in many wordings; the place for another one is [`of_report`].

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Classes of refusal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum RefusalKind {
    /// The branch is not where it was read. It is read again, and decided again.
    Conflict,
    /// A program on the server declined the commit.
    HookDeclined,
    /// The branch takes no direct pushes.
    BranchProtected,
    /// The user may not write there.
    PermissionDenied,
    /// The server does not know the user.
    Unauthenticated,
    /// There is no such repository, or not for this user.
    RepositoryMissing,
    /// The repository takes no pushes at all.
    RepositoryReadOnly,
    /// There is no such branch.
    BranchMissing,
    /// The name is that of a tag or commit.
    NotABranch,
    /// The repository has no default branch, or is empty.
    NoDefaultBranch,
    /// The server takes no branch of that name.
    BranchName,
    /// The repository or the push is too large for the server.
    Quota,
    /// What had to be read is larger than `GIT_PACK_BYTES_MAX`.
    PackTooLarge,
    /// The repository names its objects by another hash than SHA-1.
    ObjectFormat,
    /// What answers is not git's smart protocol.
    NotGit,
    /// The repository is somewhere else now.
    Moved,
    /// An edit to what is not a file of this repository.
    Path,
    /// The commit could not be signed.
    Signing,
    /// No connection, or it ended early.
    Transport,
    /// The server asks for fewer requests.
    Throttled,
    /// The server failed.
    ServerFailed,
}

/// What can be done about a refusal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Read the branch again and apply the changes to what it is now.
    ReadAgain,
    /// Try again later.
    Wait,
    /// Somebody has to change something; asking again soon only repeats the answer.
    Human,
}

impl RefusalKind {
    /// The class as a word in logs, metrics and reasons.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::HookDeclined => "hook-declined",
            Self::BranchProtected => "branch-protected",
            Self::PermissionDenied => "permission-denied",
            Self::Unauthenticated => "unauthenticated",
            Self::RepositoryMissing => "repository-missing",
            Self::RepositoryReadOnly => "repository-read-only",
            Self::BranchMissing => "branch-missing",
            Self::NotABranch => "not-a-branch",
            Self::NoDefaultBranch => "no-default-branch",
            Self::BranchName => "branch-name",
            Self::Quota => "quota",
            Self::PackTooLarge => "pack-too-large",
            Self::ObjectFormat => "object-format",
            Self::NotGit => "not-git",
            Self::Moved => "moved",
            Self::Path => "path",
            Self::Signing => "signing",
            Self::Transport => "transport",
            Self::Throttled => "throttled",
            Self::ServerFailed => "server-failed",
        }
    }

    /// What can be done about it.
    pub const fn remedy(self) -> Remedy {
        match self {
            Self::Conflict => Remedy::ReadAgain,
            Self::Transport | Self::Throttled | Self::ServerFailed => Remedy::Wait,
            Self::HookDeclined
            | Self::BranchProtected
            | Self::PermissionDenied
            | Self::Unauthenticated
            | Self::RepositoryMissing
            | Self::RepositoryReadOnly
            | Self::BranchMissing
            | Self::NotABranch
            | Self::NoDefaultBranch
            | Self::BranchName
            | Self::Quota
            | Self::PackTooLarge
            | Self::ObjectFormat
            | Self::NotGit
            | Self::Moved
            | Self::Path
            | Self::Signing => Remedy::Human,
        }
    }
}

/// Why an attempt came to nothing. Nothing was changed on the server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The class.
    pub kind: RefusalKind,
    /// One line for people.
    pub text: String,
    /// What programs on the server said; at most [`super::sideband::MESSAGE_LINES_MAX`] lines.
    pub messages: Vec<String>,
}

impl Refusal {
    /// A refusal about which the server said nothing.
    pub fn new(kind: RefusalKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            messages: Vec::new(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        match &*self.messages.join("; ") {
            "" => Ok(()),
            messages => write!(f, " ({messages})"),
        }
    }
}

/// Wordings in lower case, the more particular first. Whoever has it in its reason or messages is of that
/// class.
const WORDINGS: &[(RefusalKind, &[&str])] = &[
    (
        RefusalKind::BranchName,
        &[
            "exists; cannot create",
            "funny refname",
            "invalid ref name",
            "invalid refname",
            "bad ref name",
            "not a valid ref",
        ],
    ),
    (
        RefusalKind::BranchProtected,
        &[
            "protected branch",
            "protected ref",
            "repository rule violations",
            "modified through pull requests",
            "must use a pull request",
            "changes must be made through a pull request",
            "refusing to update checked out branch",
            "branch is currently checked out",
            "restricted branch",
        ],
    ),
    (
        RefusalKind::RepositoryReadOnly,
        &["archived", "read-only", "readonly", "read only"],
    ),
    (
        RefusalKind::Quota,
        &[
            "quota",
            "no space left",
            "disk full",
            "size limit",
            "exceeds",
            "too large",
            "over its size",
        ],
    ),
    (
        RefusalKind::PermissionDenied,
        &[
            "not allowed to push",
            "permission denied",
            "permission to ",
            "not permitted",
            "prohibited by gerrit",
            "access denied",
            "unauthorized",
            "write access",
            "deny updating a hidden ref",
        ],
    ),
];

/// Reasons that a server gives for a reference that is not where the push said, in lower case.
const CONFLICTS: &[&str] = &[
    "non-fast-forward",
    "non-fast forward",
    "non fast forward",
    "not a fast-forward",
    "fetch first",
    "stale info",
    "needs force",
    "failed to update ref",
    "failed to lock",
    "cannot lock ref",
    "unable to lock",
    "lock error",
    "lock failure",
    "lock_failure",
    "but expected",
    "incorrect old value",
    "unexpected old value",
    "reference already exists",
    "already exists",
    "already been updated",
    "missing necessary objects",
    "reference does not exist",
];

/// The class of what a server reports about a reference: `reason` is its own, `messages` what programs said.
pub fn of_report(reason: &str, messages: &[String]) -> RefusalKind {
    let reason = reason.to_lowercase();
    let said = messages.join("\n").to_lowercase();
    let has = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
    let of = |text: &str| {
        WORDINGS
            .iter()
            .find(|(_, words)| has(text, words))
            .map(|(kind, _)| *kind)
    };
    let is_hook = has(&reason, &["hook", "policy", "rejected"]);
    // A lock that fails tells why in a message, and a branch that stands in the way is no conflict.
    if has(&reason, CONFLICTS) && !is_hook {
        return match of(&said) {
            Some(RefusalKind::BranchName) => RefusalKind::BranchName,
            Some(_) | None => RefusalKind::Conflict,
        };
    }
    let is_lock = has(&said, &["but expected", "cannot lock ref"]);
    of(&reason).or_else(|| of(&said)).unwrap_or(if is_lock {
        RefusalKind::Conflict
    } else {
        RefusalKind::HookDeclined
    })
}

/// The class of a status over HTTP that is not success.
pub const fn of_status(status: u16) -> RefusalKind {
    match status {
        300..=399 => RefusalKind::Moved,
        401 | 407 => RefusalKind::Unauthenticated,
        403 => RefusalKind::PermissionDenied,
        404 | 410 => RefusalKind::RepositoryMissing,
        413 | 507 => RefusalKind::Quota,
        429 => RefusalKind::Throttled,
        500..=599 | 408 => RefusalKind::ServerFailed,
        _ => RefusalKind::NotGit,
    }
}

/// The class of a server's last words before anything was read.
pub fn of_last_words(text: &str) -> RefusalKind {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["not our ref", "no such ref", "not valid"]) {
        // The branch moved between two requests, and what it was is gone.
        RefusalKind::Conflict
    } else if has(&[
        "not found",
        "could not be found",
        "does not exist",
        "does not appear to be a git repository",
        "no such",
        "not exported",
    ]) {
        RefusalKind::RepositoryMissing
    } else if has(&["denied", "not allowed", "permission", "forbidden", "access"]) {
        RefusalKind::PermissionDenied
    } else if has(&["archived", "read-only", "read only"]) {
        RefusalKind::RepositoryReadOnly
    } else if has(&["rate limit", "too many"]) {
        RefusalKind::Throttled
    } else {
        RefusalKind::ServerFailed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_wordings_are_told_apart() {
        use RefusalKind as Kind;
        for (reason, said, kind) in [
            ("non-fast-forward", "", Kind::Conflict),
            ("fetch first", "", Kind::Conflict),
            (
                "failed to update ref",
                "error: cannot lock ref 'refs/heads/main': is at a but expected b",
                Kind::Conflict,
            ),
            (
                "cannot lock ref 'refs/heads/main': is at a but expected b",
                "",
                Kind::Conflict,
            ),
            ("reference already exists", "", Kind::Conflict),
            (
                "atomic transaction failed",
                "error: cannot lock ref 'refs/heads/main': is at a but expected b",
                Kind::Conflict,
            ),
            ("incorrect old value provided", "", Kind::Conflict),
            (
                "TF401028: The reference 'refs/heads/main' has already been updated by another client, so you cannot update it.",
                "",
                Kind::Conflict,
            ),
            (
                "failed to update ref",
                "error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create 'refs/heads/a/b'",
                Kind::BranchName,
            ),
            ("pre-receive hook declined", "", Kind::HookDeclined),
            (
                "pre-receive hook declined",
                "error: image tags must be signed",
                Kind::HookDeclined,
            ),
            (
                "pre-receive hook declined",
                "GitLab: You are not allowed to push code to protected branches on this project.",
                Kind::BranchProtected,
            ),
            (
                "pre-receive hook declined",
                "GitLab: You are not allowed to push code to this project.",
                Kind::PermissionDenied,
            ),
            (
                "pre-receive hook declined",
                "Gitea: Not allowed to push to protected branch main",
                Kind::BranchProtected,
            ),
            (
                "protected branch hook declined",
                "error: GH006: Protected branch update failed for refs/heads/main.",
                Kind::BranchProtected,
            ),
            (
                "push declined due to repository rule violations",
                "",
                Kind::BranchProtected,
            ),
            (
                "TF402455: Pushes to this branch are not permitted; you must use a pull request to update this branch.",
                "",
                Kind::BranchProtected,
            ),
            (
                "pre-receive hook declined",
                "Branch refs/heads/main can only be modified through pull requests.",
                Kind::BranchProtected,
            ),
            ("branch is currently checked out", "", Kind::BranchProtected),
            (
                "prohibited by Gerrit: not permitted: update",
                "",
                Kind::PermissionDenied,
            ),
            (
                "pre-receive hook declined",
                "remote: Repository size limit exceeded",
                Kind::Quota,
            ),
            (
                "pre-receive hook declined",
                "This repository was archived so it is read-only.",
                Kind::RepositoryReadOnly,
            ),
            ("something new", "", Kind::HookDeclined),
        ] {
            assert_eq!(of_report(reason, &[said.into()]), kind, "{reason} / {said}");
        }
    }

    #[test]
    fn only_conflicts_are_read_again_at_once() {
        assert_eq!(RefusalKind::Conflict.remedy(), Remedy::ReadAgain);
        for status in [401, 403, 404, 301, 413, 200] {
            assert_eq!(of_status(status).remedy(), Remedy::Human, "{status}");
        }
        for status in [429, 500, 502, 503] {
            assert_eq!(of_status(status).remedy(), Remedy::Wait, "{status}");
        }
        assert_eq!(
            of_last_words("upload-pack: not our ref abc"),
            RefusalKind::Conflict
        );
        assert_eq!(
            of_last_words("Repository not found."),
            RefusalKind::RepositoryMissing
        );
        assert_eq!(
            of_last_words("internal server error"),
            RefusalKind::ServerFailed
        );
    }
}
