//! Where a credential comes from, and how it is read (`registry.md` 4.1, `images.md` 4.3).

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use crate::secret::Secret;

/// A parsed credential reference.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CredentialSource {
    /// One field of a Kubernetes Secret, holding `user:password`.
    Secret {
        /// Namespace of the Secret.
        namespace: Box<str>,
        /// Name of the Secret.
        name: Box<str>,
        /// Field in its data.
        field: Box<str>,
    },
    /// A docker config JSON in field `.dockerconfigjson` of a Kubernetes Secret.
    PullSecret {
        /// Namespace of the Secret.
        namespace: Box<str>,
        /// Name of the Secret.
        name: Box<str>,
    },
    /// An environment variable, holding `user:password`.
    Env(Box<str>),
    /// A program at an absolute path that prints `user:password`.
    Ext(Box<str>),
}

/// A reference as written: an optional registry, which has no effect on lookups, and the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialReference {
    /// Text before the `=`; empty when none was written.
    pub registry: Box<str>,
    /// Where the credential comes from.
    pub source: CredentialSource,
}

/// Whether a reference must name its registry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RegistryPrefix {
    /// `registry=` may be left out: annotations, `registries.conf`, the command line.
    Optional,
    /// `registry=` must be there.
    Required,
}

/// Why a text is no credential reference.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CredentialError {
    /// It does not have the form `[registry=]type:definition`.
    Spec,
    /// The type is none of `secret`, `pullsecret`, `env` and `ext`.
    UnknownType,
    /// The definition of a Secret lacks a part or has one too many.
    Definition,
}

/// How the reading of a credential ended. The texts never hold the secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CredentialOutcome {
    /// The raw content: `user:password`, or a docker config JSON for a pull secret.
    Found(Secret),
    /// It is not there (variable unset, Secret or field missing).
    Missing(String),
    /// We may not read it; the text says which verb to grant.
    Denied(String),
    /// It failed: program failed, timed out, API server away.
    Failed(String),
}

impl CredentialSource {
    /// Reads a reference whose registry is optional and of no interest (`images.md` 4.3).
    ///
    /// # Errors
    /// When the text does not follow the grammar of `registry.md` 4.1.
    pub fn parse(text: &str) -> Result<Self, CredentialError> {
        CredentialReference::parse(text, RegistryPrefix::Optional).map(|read| read.source)
    }

    /// The text before the colon, in lower case.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Secret { .. } => Kind::Secret.name(),
            Self::PullSecret { .. } => Kind::PullSecret.name(),
            Self::Env(_) => Kind::Env.name(),
            Self::Ext(_) => Kind::Ext.name(),
        }
    }
}

impl fmt::Display for CredentialSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind())?;
        match self {
            Self::Secret {
                namespace,
                name,
                field,
            } => write!(f, "{namespace}/{name}#{field}"),
            Self::PullSecret { namespace, name } => write!(f, "{namespace}/{name}"),
            Self::Env(text) | Self::Ext(text) => f.write_str(text),
        }
    }
}

impl CredentialReference {
    /// Reads `[registry=]type:definition`, splitting at the first separator only (`registry.md`
    /// 4.1, D-34): a path or a variable may hold further `:` and `=`. Nothing is trimmed.
    ///
    /// # Errors
    /// When the text does not follow the grammar, or a required registry is missing.
    pub fn parse(text: &str, prefix: RegistryPrefix) -> Result<Self, CredentialError> {
        let (registry, source) = split_registry(text, prefix)?;
        Ok(Self {
            registry: registry.into(),
            source: parse_source(source)?,
        })
    }
}

/// Parts the registry from the source; the registry is empty when there is none.
fn split_registry(text: &str, prefix: RegistryPrefix) -> Result<(&str, &str), CredentialError> {
    let split = text
        .split_once('=')
        .filter(|(before, after)| !before.is_empty() && !after.is_empty());
    match (split, prefix) {
        (None, RegistryPrefix::Optional) => Ok(("", text)),
        (None, RegistryPrefix::Required) => Err(CredentialError::Spec),
        (Some(split), RegistryPrefix::Required) => Ok(split),
        (Some((before, after)), RegistryPrefix::Optional) => {
            // `ext:/bin/a=b` has its `=` in the path: what follows it names no type.
            if is_free_text(before) && kind_of(after).is_none() {
                Ok(("", text))
            } else {
                Ok((before, after))
            }
        }
    }
}

/// True when `text` begins like a source whose definition may hold any character.
fn is_free_text(text: &str) -> bool {
    matches!(kind_of(text), Some(Kind::Env | Kind::Ext))
}

fn parse_source(text: &str) -> Result<CredentialSource, CredentialError> {
    let (kind, definition) = text
        .split_once(':')
        .filter(|(kind, definition)| !kind.is_empty() && !definition.is_empty())
        .ok_or(CredentialError::Spec)?;
    match Kind::parse(kind).ok_or(CredentialError::UnknownType)? {
        Kind::Secret => {
            let (path, field) = split_exactly(definition, '#')?;
            let (namespace, name) = split_exactly(path, '/')?;
            Ok(CredentialSource::Secret {
                namespace: namespace.into(),
                name: name.into(),
                field: field.into(),
            })
        }
        Kind::PullSecret => {
            let (namespace, name) = split_exactly(definition, '/')?;
            Ok(CredentialSource::PullSecret {
                namespace: namespace.into(),
                name: name.into(),
            })
        }
        Kind::Env => Ok(CredentialSource::Env(definition.into())),
        Kind::Ext => Ok(CredentialSource::Ext(definition.into())),
    }
}

/// Two non-empty parts with exactly one separator between them.
fn split_exactly(text: &str, separator: char) -> Result<(&str, &str), CredentialError> {
    text.split_once(separator)
        .filter(|(before, after)| {
            !before.is_empty() && !after.is_empty() && !after.contains(separator)
        })
        .ok_or(CredentialError::Definition)
}

fn kind_of(text: &str) -> Option<Kind> {
    Kind::parse(text.split_once(':')?.0)
}

#[derive(Clone, Copy)]
enum Kind {
    Secret,
    PullSecret,
    Env,
    Ext,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Secret, Self::PullSecret, Self::Env, Self::Ext];

    fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(text))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::PullSecret => "pullsecret",
            Self::Env => "env",
            Self::Ext => "ext",
        }
    }
}

impl CredentialError {
    /// The family of the message (`registry.md` 4.1).
    pub const fn family(self) -> &'static str {
        match self {
            Self::Spec => "invalid credential spec",
            Self::UnknownType => "unknown credential source",
            Self::Definition => "invalid secret definition",
        }
    }
}

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let accepted = match self {
            Self::Spec | Self::UnknownType => {
                "secret:<namespace>/<name>#<field>, pullsecret:<namespace>/<name>, \
                 env:<variable> or ext:<absolute path>"
            }
            Self::Definition => {
                "secret:<namespace>/<name>#<field> or pullsecret:<namespace>/<name>"
            }
        };
        write!(f, "{}: expected {accepted}", self.family())
    }
}

impl core::error::Error for CredentialError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::{String, ToString as _};
    use proptest::prelude::*;

    use crate::fixed_cases::{CASES, config};

    #[test]
    fn references_are_read_to_the_letter() {
        check("secret:a/b#c", "|secret:a/b#c");
        check("SECRET:a/b#c", "|secret:a/b#c");
        check("reg:5000=pullsecret:a/b", "reg:5000|pullsecret:a/b");
        check("reg:5000/x=ENV:A", "reg:5000/x|env:A");
        check("ext:/bin/a:b=c", "|ext:/bin/a:b=c");
        check("ext:/bin/a:=", "|ext:/bin/a:=");
        check("reg=ext:/bin/a=b", "reg|ext:/bin/a=b");
        check("ext=env:A", "ext|env:A");
        check("pullsecret:a/b#c", "|pullsecret:a/b#c");
    }

    #[test]
    fn mistakes_have_a_family() {
        check("", "invalid credential spec");
        check("argocd/secret", "invalid credential spec");
        check("gcr.io=", "invalid credential spec");
        check("gcr.io=secret:", "invalid credential spec");
        check(":x", "invalid credential spec");
        check(" secret:a/b#c", "unknown credential source");
        check("=secret:a/b#c", "unknown credential source");
        check("secret:a/b/c#d", "invalid secret definition");
        check("secret:a/b#c#d", "invalid secret definition");
        check("secret:a/b", "invalid secret definition");
        check("pullsecret:a", "invalid secret definition");
    }

    #[test]
    fn required_registry_is_missed() {
        let read = CredentialReference::parse("env:A", RegistryPrefix::Required);
        assert_eq!(read, Err(CredentialError::Spec));
    }

    proptest! {
        #![proptest_config(config(CASES))]

        #[test]
        fn any_text_is_answered(text in "[a-z:=/# ]{0,24}") {
            if let Ok(source) = CredentialSource::parse(&text) {
                prop_assert_eq!(CredentialSource::parse(&source.to_string()), Ok(source));
            }
        }
    }

    fn check(text: &str, expect: &str) {
        let got: String = match CredentialReference::parse(text, RegistryPrefix::Optional) {
            Ok(read) => alloc::format!("{}|{}", read.registry, read.source),
            Err(error) => error.family().into(),
        };
        assert_eq!(got, expect, "{text}");
    }
}
