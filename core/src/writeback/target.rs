//! Which file of the repository is edited (`writeback.md` 2.4).
//!
//! A path is cleaned as text and never leaves the repository. Whether a folder on its way is a link or a
//! submodule is known only where the tree is read.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::id::AppKey;

/// Longest path, in bytes.
pub const PATH_BYTES_MAX: usize = 4_096;

/// What is edited.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TargetKind {
    /// A file of parameters that Argo CD lays over the source.
    Override,
    /// A values file of Helm.
    HelmValues,
    /// The folder of a kustomization.
    Kustomization,
}

/// What is edited, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// What it is.
    pub kind: TargetKind,
    /// The file, or the folder of a kustomization.
    pub path: RepoPath,
    /// The path as the annotation has it, for messages.
    pub written: Box<str>,
}

/// A path from the root of a repository, clean and inside of it; the root itself is empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RepoPath(Box<str>);

/// Why a target cannot be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TargetError {
    /// The path leaves the repository (WB-32).
    Outside(Box<str>),
    /// The path names a folder where a file is needed (WB-31).
    Folder(Box<str>),
    /// The path goes through a folder that belongs to Git.
    Internal(Box<str>),
    /// The path holds a character that no path has, or is longer than [`PATH_BYTES_MAX`].
    Malformed(Box<str>),
}

impl Target {
    /// Reads the `write-back-target` annotation of the application `key` whose source has `source_path`
    /// (`writeback.md` 2.4).
    ///
    /// A keyword stands alone or is followed by a colon (WB-31); a path behind it is relative to the source,
    /// or with a slash in front to the repository. Anything else is a file in the repository.
    ///
    /// # Errors
    /// When the path leaves the repository or cannot be that of a file.
    pub fn parse(
        annotation: Option<&str>,
        key: &AppKey,
        controller_namespace: &str,
        source_path: &str,
    ) -> Result<Self, TargetError> {
        let Some(written) = annotation else {
            let written = override_path(key, controller_namespace, source_path);
            return Self::file(TargetKind::Override, written);
        };
        let keyword = written.trim();
        if let Some(rest) = behind(keyword, "kustomization", "") {
            let path = joined(source_path, rest);
            return Ok(Self {
                kind: TargetKind::Kustomization,
                path: RepoPath::parse(&path)?,
                written: path.into(),
            });
        }
        if let Some(rest) = behind(keyword, "helmvalues", "values.yaml") {
            if is_folder(rest) {
                return Err(TargetError::Folder(shown(written)));
            }
            let path = joined(source_path, rest);
            return Self::file(TargetKind::HelmValues, path);
        }
        Self::file(TargetKind::Override, String::from(written))
    }

    fn file(kind: TargetKind, written: String) -> Result<Self, TargetError> {
        let path = RepoPath::parse(&written)?;
        if path.is_root() || is_folder(&written) {
            return Err(TargetError::Folder(shown(&written)));
        }
        Ok(Self {
            kind,
            path,
            written: written.into(),
        })
    }
}

/// The file that Argo CD lays over a source (`writeback.md` 2.4), as text: whether it is inside of the repository
/// is another question.
pub fn override_path(key: &AppKey, controller_namespace: &str, source_path: &str) -> String {
    let AppKey { namespace, name } = key;
    let is_own = namespace.is_empty()
        || **namespace == *controller_namespace
        || controller_namespace == "default";
    let file = if is_own {
        format!(".argocd-source-{name}.yaml")
    } else {
        format!(".argocd-source-{namespace}_{name}.yaml")
    };
    joined_from_source(source_path, &file)
}

/// What follows a keyword: the text behind its colon, or `default` where it stands alone.
fn behind<'a>(text: &'a str, keyword: &str, default: &'a str) -> Option<&'a str> {
    match text.strip_prefix(keyword)? {
        "" => Some(default),
        rest => rest.strip_prefix(':'),
    }
}

fn joined(source_path: &str, rest: &str) -> String {
    match rest.strip_prefix('/') {
        Some(rest) => clean(rest),
        None => joined_from_source(source_path, rest),
    }
}

fn joined_from_source(source_path: &str, rest: &str) -> String {
    match (source_path, rest) {
        ("", rest) => clean(rest),
        (path, "") => clean(path),
        (path, rest) => clean(&format!("{path}/{rest}")),
    }
}

/// A path without `.`, double slashes, and `..` that can be resolved; the root and nothing are `.`.
fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if is_rooted => {}
            part => parts.push(part),
        }
    }
    let body = parts.join("/");
    match (is_rooted, body.is_empty()) {
        (true, _) => format!("/{body}"),
        (false, true) => String::from("."),
        (false, false) => body,
    }
}

impl RepoPath {
    /// Reads a path from the root of a repository; slashes in front of it are no matter.
    ///
    /// # Errors
    /// When it leaves the repository, goes into `.git`, or is no path.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        if text.len() > PATH_BYTES_MAX || text.contains(char::is_control) {
            return Err(TargetError::Malformed(shown(text)));
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts
                        .pop()
                        .ok_or_else(|| TargetError::Outside(shown(text)))?;
                }
                part => parts.push(part),
            }
        }
        if parts.iter().any(|part| is_internal(part)) {
            return Err(TargetError::Internal(shown(text)));
        }
        Ok(Self(parts.join("/").into()))
    }

    /// The path; empty for the root.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for the root of the repository.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The path of `name` in this folder.
    ///
    /// # Errors
    /// As for [`RepoPath::parse`].
    pub fn join(&self, name: &str) -> Result<Self, TargetError> {
        Self::parse(&format!("{}/{name}", self.0))
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_root() { "." } else { &self.0 })
    }
}

/// True for a path that cannot be that of a file, whatever the repository has.
fn is_folder(path: &str) -> bool {
    matches!(path.rsplit('/').next(), None | Some("" | "." | ".."))
}

/// Names that Git does not have in a tree, as they are `.git` on one file system or another: NTFS has streams behind
/// a colon, sees a backslash as a slash and drops blanks and dots; HFS+ sees some characters not at all.
fn is_internal(part: &str) -> bool {
    let is_seen = |char: &char| !matches!(char, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let seen: String = part.chars().filter(is_seen).collect();
    seen.split('\\').any(|part| {
        let part = part.split(':').next().unwrap_or(part);
        let part = part.trim_end_matches([' ', '.']);
        part.eq_ignore_ascii_case(".git") || part.eq_ignore_ascii_case("git~1")
    })
}

fn shown(text: &str) -> Box<str> {
    const SHOWN_CHARS_MAX: usize = 200;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text.into(),
        Some((at, _)) => text[..at].into(),
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outside(path) => write!(
                f,
                "the write-back target {path:?} leaves the repository; name a path inside of it"
            ),
            Self::Folder(path) => write!(
                f,
                "the write-back target {path:?} is a folder; name a file in it"
            ),
            Self::Internal(path) => write!(
                f,
                "the write-back target {path:?} goes into a folder of Git's own; name another path"
            ),
            Self::Malformed(path) => write!(
                f,
                "the write-back target {path:?} is not a path of at most {PATH_BYTES_MAX} bytes"
            ),
        }
    }
}

impl core::error::Error for TargetError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    #[test]
    fn keywords_stand_alone_or_before_a_colon() {
        check(
            "kustomization",
            "c/foo",
            Ok((TargetKind::Kustomization, "c/foo")),
        );
        check(
            "kustomization:",
            "c/foo",
            Ok((TargetKind::Kustomization, "c/foo")),
        );
        check(
            "kustomization:/",
            "c/foo",
            Ok((TargetKind::Kustomization, ".")),
        );
        check(
            "kustomization:../bar",
            "c/foo",
            Ok((TargetKind::Kustomization, "c/bar")),
        );
        check(
            "helmvalues",
            "",
            Ok((TargetKind::HelmValues, "values.yaml")),
        );
        check(
            "helmvalues:/a//b.yaml",
            "x",
            Ok((TargetKind::HelmValues, "a/b.yaml")),
        );
        check(
            "kustomization.yaml",
            "x",
            Ok((TargetKind::Override, "kustomization.yaml")),
        );
        check(
            "helmvalues.yaml",
            "x",
            Ok((TargetKind::Override, "helmvalues.yaml")),
        );
        check(
            "Helmvalues:x",
            "x",
            Ok((TargetKind::Override, "Helmvalues:x")),
        );
    }

    #[test]
    fn no_target_leaves_the_repository_or_is_a_folder() {
        let outside = |path: &str| Err(TargetError::Outside(path.into()));
        let folder = |path: &str| Err(TargetError::Folder(path.into()));
        check("kustomization:../..", "a", outside(".."));
        check("helmvalues:/../x", "a", outside("../x"));
        check("../x", "a", outside("../x"));
        check("/a/../../x", "a", outside("/a/../../x"));
        check("helmvalues:", "a", folder("helmvalues:"));
        check("helmvalues:/", "a", folder("helmvalues:/"));
        check("", "a", folder(""));
        check("a/", "a", folder("a/"));
        check("a/..", "a", folder("a/.."));
        check("a/b/..", "a", folder("a/b/.."));
        check("helmvalues:.", "a", folder("helmvalues:."));
        check("helmvalues:../b/..", "a", folder("helmvalues:../b/.."));
        for path in [
            "a/.GIT/hooks",
            ".git. /x",
            ".git::$INDEX_ALLOCATION/x",
            "a\\.git\\x",
            ".g\u{200c}it/x",
            "GIT~1",
        ] {
            check(path, "a", Err(TargetError::Internal(path.into())));
        }
        for path in [".gitignore", "a.git", "b/git~10", ".github/values.yaml"] {
            check(path, "a", Ok((TargetKind::Override, path)));
        }
        check("a\0b", "a", Err(TargetError::Malformed("a\0b".into())));
    }

    #[test]
    fn source_outside_of_the_repository_is_refused_where_it_is_used() {
        let key = AppKey::new("ns", "app");
        assert_eq!(
            override_path(&key, "argocd", "../x"),
            "../x/.argocd-source-ns_app.yaml"
        );
        assert!(Target::parse(None, &key, "argocd", "../x").is_err());
    }

    fn check(annotation: &str, source_path: &str, expect: Result<(TargetKind, &str), TargetError>) {
        let key = AppKey::new("argocd", "app");
        let got = Target::parse(Some(annotation), &key, "argocd", source_path)
            .map(|target| (target.kind, target.path.to_string()));
        let expect = expect.map(|(kind, path)| (kind, path.to_string()));
        assert_eq!(got, expect, "{annotation}");
    }
}
