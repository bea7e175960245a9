//! Which branch is read and which is written (`writeback.md` 2.3, 7).

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use sha2::{Digest as _, Sha256};

use super::template::{RenderError, Template, TemplateError, Value};
use crate::id::AppKey;
use crate::repo::url::is_commit_id;
use crate::update::Change;

/// Longest name of a branch, in bytes (`writeback.md` 7.3).
pub const BRANCH_BYTES_MAX: usize = 255;

/// The `git-branch` annotation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GitBranch {
    /// The branch that is read; empty when the application's revision is.
    pub base: Box<str>,
    /// The template of the branch that is written; empty when it is the one that is read.
    pub write: Box<str>,
}

impl GitBranch {
    /// Reads the annotation: parted at the first colon, further ones belong to the template (WB-28).
    pub fn parse(annotation: Option<&str>) -> Self {
        let text = annotation.unwrap_or_default().trim();
        let (base, write) = text.split_once(':').unwrap_or((text, ""));
        Self {
            base: base.into(),
            write: write.into(),
        }
    }

    /// The branch that is read: that of the annotation, else the application's revision (`writeback.md` 7.1).
    ///
    /// # Errors
    /// When it is a commit, or not the name of a branch (WB-25).
    pub fn base_or(&self, revision: &str) -> Result<Base, BranchError> {
        let name = if self.base.is_empty() {
            revision
        } else {
            &self.base
        };
        let name = name.strip_prefix("refs/heads/").unwrap_or(name);
        if name.is_empty() || name == "HEAD" {
            return Ok(Base::Default);
        }
        if is_commit_id(name) || name.starts_with("refs/") {
            return Err(BranchError::NotABranch(shown(name)));
        }
        BranchName::parse(name).map(Base::Named)
    }

    /// The branch that is written for `app`, if that is another one than is read.
    ///
    /// # Errors
    /// When the template cannot be read or rendered, or renders nothing.
    pub fn rendered(
        &self,
        app: &AppKey,
        changes: &[Change],
    ) -> Result<Option<BranchName>, BranchError> {
        if self.write.is_empty() {
            return Ok(None);
        }
        render(&self.write, app, changes).map(Some)
    }
}

/// The branch that is read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Base {
    /// The one that `HEAD` of the server stands for.
    Default,
    /// The one with that name.
    Named(BranchName),
}

/// A name that Git accepts for a branch, without `refs/heads/`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BranchName(Box<str>);

impl BranchName {
    /// Accepts what `git check-ref-format --branch` accepts.
    ///
    /// # Errors
    /// When Git does not take it, or it is longer than [`BRANCH_BYTES_MAX`].
    pub fn parse(name: &str) -> Result<Self, BranchError> {
        if name.len() <= BRANCH_BYTES_MAX && is_branch_name(name) {
            Ok(Self(name.into()))
        } else {
            Err(BranchError::Malformed(shown(name)))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BranchName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Renders the name of the write branch of `app` (`writeback.md` 7.3): characters that Git forbids become dashes, and what
/// is too long is cut between two characters (WB-27).
///
/// # Errors
/// When the template cannot be read or rendered, or nothing of its text can be a name.
pub fn render(template: &str, app: &AppKey, changes: &[Change]) -> Result<BranchName, BranchError> {
    let failed = |cause| BranchError::Template {
        app: app.clone(),
        template: shown(template),
        cause,
    };
    let parsed = Template::parse(template).map_err(|error| failed(Cause::Syntax(error)))?;
    let text = parsed
        .render(&data(changes))
        .map_err(|error| failed(Cause::Rendering(error)))?;
    let name = to_branch_name(&text);
    BranchName::parse(&name).map_err(|_| failed(Cause::NoName))
}

/// What the template of a branch works with.
fn data(changes: &[Change]) -> Value {
    let mut hash = Sha256::new();
    let images = changes
        .iter()
        .map(|change| {
            let [old, new] = [&change.old, &change.new].map(super::message::shown_tag);
            hash.update(format!("{}-{old}-{new},", change.image.name));
            Value::record(Vec::from([
                ("Name", Value::text(&change.image.name)),
                ("Alias", Value::text(&change.image.alias)),
                ("OldTag", Value::text(old)),
                ("NewTag", Value::text(new)),
            ]))
        })
        .collect();
    let mut digest = String::with_capacity(64);
    for byte in hash.finalize() {
        write!(digest, "{byte:02x}").expect("a String takes everything");
    }
    Value::record(Vec::from([
        ("Images", Value::list(images)),
        ("SHA256", Value::text(&digest)),
    ]))
}

/// Makes of a text what Git takes for a branch, as far as that is possible.
fn to_branch_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len().min(BRANCH_BYTES_MAX));
    for char in text.trim().chars() {
        let last = name.chars().next_back();
        let char = match char {
            '/' if matches!(last, None | Some('/')) => continue,
            '.' if matches!(last, None | Some('/' | '.')) => '-',
            '{' if last == Some('@') => '-',
            _ if is_forbidden(char) => '-',
            _ => char,
        };
        if char == '-' && last.is_none() {
            continue;
        }
        if name.len() + char.len_utf8() > BRANCH_BYTES_MAX {
            break;
        }
        name.push(char);
    }
    while name.ends_with(['/', '.']) {
        name.pop();
    }
    let parts: Vec<String> = name
        .split('/')
        .map(|part| match part.strip_suffix(LOCK) {
            Some(rest) => format!("{rest}-lock"),
            None => part.into(),
        })
        .collect();
    parts.join("/")
}

const LOCK: &str = ".lock";

fn is_branch_name(name: &str) -> bool {
    !matches!(name, "" | "@" | "HEAD")
        && !name.starts_with('-')
        && !name.ends_with('.')
        && !name.contains("..")
        && !name.contains("@{")
        && !name.contains(is_forbidden)
        && name
            .split('/')
            .all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with(LOCK))
}

fn is_forbidden(char: char) -> bool {
    matches!(
        char,
        '\0'..=' ' | '\x7f' | '~' | '^' | ':' | '?' | '*' | '[' | '\\'
    )
}

/// Why there is no branch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BranchError {
    /// The revision is a commit or another reference than a branch.
    NotABranch(Box<str>),
    /// Git does not accept the name.
    Malformed(Box<str>),
    /// The template gives no name.
    Template {
        /// Of which application.
        app: AppKey,
        /// Its begin.
        template: Box<str>,
        /// Why.
        cause: Cause,
    },
}

/// Why a template gives no name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// It cannot be read.
    Syntax(TemplateError),
    /// It cannot be rendered.
    Rendering(RenderError),
    /// Nothing of its text can be a name.
    NoName,
}

fn shown(text: &str) -> Box<str> {
    const SHOWN_CHARS_MAX: usize = 300;
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        None => text.into(),
        Some((at, _)) => text[..at].into(),
    }
}

impl fmt::Display for BranchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABranch(name) => write!(
                f,
                "{name:?} is not a branch and cannot be written to; name one in the annotation git-branch"
            ),
            Self::Malformed(name) => {
                write!(f, "{name:?} is not a name that Git accepts for a branch")
            }
            Self::Template {
                app,
                template,
                cause,
            } => {
                write!(
                    f,
                    "Git branch name could not be created from the template: {template} (application {app}, "
                )?;
                match cause {
                    Cause::Syntax(error) => write!(f, "{error})"),
                    Cause::Rendering(error) => write!(f, "{error})"),
                    Cause::NoName => f.write_str("it renders no name)"),
                }
            }
        }
    }
}

impl core::error::Error for BranchError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    #[test]
    fn forbidden_characters_become_dashes() {
        check("iu-sha256:ab", Some("iu-sha256-ab"));
        check(" up ", Some("up"));
        check("a b~c^d?e*f[g\\h", Some("a-b-c-d-e-f-g-h"));
        check("a..b", Some("a.-b"));
        check("//a//b/", Some("a/b"));
        check("a/.b", Some("a/-b"));
        check("a.lock/b.lock", Some("a-lock/b-lock"));
        check("a@{b", Some("a@-b"));
        check("-a", Some("a"));
        check("a.", Some("a"));
        check("{{`` }}", None);
        check("@", None);
        check("HEAD", None);
        check("...", None);
    }

    #[test]
    fn template_without_a_name_is_told_with_application_and_place() {
        let branch = GitBranch::parse(Some("main:iu-{{.AppName}}"));
        let error = branch
            .rendered(&AppKey::new("ns", "a"), &[])
            .expect_err("no such member");
        assert_eq!(
            error.to_string(),
            "Git branch name could not be created from the template: iu-{{.AppName}} \
             (application ns/a, line 1, column 6: a member does not exist: .AppName)"
        );
        let blank = GitBranch::parse(Some(":{{print}}")).rendered(&AppKey::new("ns", "a"), &[]);
        assert!(blank.is_err());
    }

    #[test]
    fn names_are_checked_as_git_checks_them() {
        for name in ["a", "a/b", "a@b", "1.0", "\u{e9}", "a-", "@a"] {
            assert!(BranchName::parse(name).is_ok(), "{name}");
        }
        for name in [
            "", "@", "HEAD", "-a", "a.", "a..b", "a@{b", "a b", "a:b", "/a", "a/", "a//b", ".a",
            "a/.b", "a.lock", "a.lock/b", "a\x7f",
        ] {
            assert!(BranchName::parse(name).is_err(), "{name}");
        }
        assert!(BranchName::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn base_is_a_branch_or_the_default() {
        let named = |name: &str| Ok(Base::Named(BranchName(name.into())));
        check_base("", "", &Ok(Base::Default));
        check_base("", "HEAD", &Ok(Base::Default));
        check_base("HEAD", "dev", &Ok(Base::Default));
        check_base("main", "dev", &named("main"));
        check_base(":up", "dev", &named("dev"));
        check_base("refs/heads/x", "", &named("x"));
        let commit = "0123456789012345678901234567890123456789";
        check_base("", commit, &Err(BranchError::NotABranch(commit.into())));
        check_base(
            "",
            "refs/tags/v1",
            &Err(BranchError::NotABranch("refs/tags/v1".into())),
        );
        check_base("main :up", "", &Err(BranchError::Malformed("main ".into())));
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_text_becomes_a_name_or_none(text in "[-a./@{~ é\\x00:lock]{0,300}") {
            let name = to_branch_name(&text);
            let is_refused = matches!(&*name, "" | "@" | "HEAD");
            prop_assert_eq!(BranchName::parse(&name).is_err(), is_refused, "{}", name);
        }
    }

    fn check(template: &str, expect: Option<&str>) {
        let got = render(template, &AppKey::new("ns", "a"), &[])
            .ok()
            .map(|name| name.to_string());
        assert_eq!(got.as_deref(), expect, "{template}");
    }

    fn check_base(annotation: &str, revision: &str, expect: &Result<Base, BranchError>) {
        let branch = GitBranch::parse(Some(annotation));
        assert_eq!(&branch.base_or(revision), expect, "{annotation} {revision}");
    }
}
