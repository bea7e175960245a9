//! What is wrong with a `registries.conf`, and what of its endpoints does not fit together
//! (`registry.md` 2.5, D-38).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use super::url;
use crate::http::ShownUrl;

/// Everything that is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfError {
    /// The problems in the order of the file; at least one.
    pub problems: Vec<ConfProblem>,
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.problems.iter().enumerate() {
            if place > 0 {
                f.write_str("; ")?;
            }
            f.write_str(&problem.detail)?;
        }
        Ok(())
    }
}

impl core::error::Error for ConfError {}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfProblem {
    /// The class.
    pub kind: ConfProblemKind,
    /// A clause for people.
    pub detail: Box<str>,
}

impl ConfProblem {
    pub(super) fn new(kind: ConfProblemKind, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            detail: detail.into(),
        }
    }
}

/// Classes of problems.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum ConfProblemKind {
    /// The text is no YAML, or uses more of it than is read here.
    YamlSyntax,
    /// A key that does not exist.
    UnknownKey,
    /// A key that stands twice.
    DuplicateKey,
    /// A value of another type.
    TypeMismatch,
    /// An entry without `name`.
    MissingName,
    /// An entry without `api_url`.
    MissingApiUrl,
    /// An `api_url` that is no `http` or `https` URL.
    InvalidApiUrl,
    /// A second entry without `prefix`.
    MultipleWithoutPrefix,
    /// A `prefix` that an earlier entry has.
    DuplicatePrefix,
    /// A `prefix` that no image can have.
    InvalidPrefix,
    /// A `defaultns` that no repository's name can begin with.
    InvalidNamespace,
    /// An unknown word in `tagsortmode`.
    UnknownTagSortMode,
    /// A credential reference that does not parse.
    InvalidCredentials,
    /// Both `ca_file` and `ca_data`.
    ConflictingTrust,
    /// A `ca_data` without a PEM certificate.
    InvalidCertificate,
    /// A second entry with `default: true`.
    SecondDefault,
}

impl ConfProblemKind {
    /// The class as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::YamlSyntax => "yaml_syntax",
            Self::UnknownKey => "unknown_key",
            Self::DuplicateKey => "duplicate_key",
            Self::TypeMismatch => "type_mismatch",
            Self::MissingName => "missing_name",
            Self::MissingApiUrl => "missing_api_url",
            Self::InvalidApiUrl => "invalid_api_url",
            Self::MultipleWithoutPrefix => "multiple_without_prefix",
            Self::DuplicatePrefix => "duplicate_prefix",
            Self::InvalidPrefix => "invalid_prefix",
            Self::InvalidNamespace => "invalid_namespace",
            Self::UnknownTagSortMode => "unknown_tag_sort_mode",
            Self::InvalidCredentials => "invalid_credentials",
            Self::ConflictingTrust => "conflicting_trust",
            Self::InvalidCertificate => "invalid_certificate",
            Self::SecondDefault => "second_default",
        }
    }

    /// Where such a problem shows: `yaml`, `validate` or `load`.
    pub const fn stage(self) -> &'static str {
        match self {
            Self::YamlSyntax | Self::UnknownKey | Self::DuplicateKey | Self::TypeMismatch => "yaml",
            Self::MissingName
            | Self::MissingApiUrl
            | Self::InvalidApiUrl
            | Self::MultipleWithoutPrefix
            | Self::DuplicatePrefix
            | Self::InvalidPrefix
            | Self::InvalidNamespace
            | Self::UnknownTagSortMode
            | Self::InvalidCredentials
            | Self::ConflictingTrust
            | Self::InvalidCertificate => "validate",
            Self::SecondDefault => "load",
        }
    }
}

/// What tells one endpoint from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndpointNames<'a> {
    pub(super) name: &'a str,
    pub(super) api_url: &'a str,
    pub(super) prefix: &'a str,
    pub(super) is_default: bool,
}

fn api_url_problem(api_url: &str) -> Option<String> {
    match url::split_strictly(api_url) {
        Ok(parts) if parts.query.is_empty() => None,
        Ok(_) => Some("has a query, which no API URL has".into()),
        Err(error) => Some(error.to_string()),
    }
}

/// What of the endpoints is missing, and what stands twice (`registry.md` 2.5, D-38).
pub(super) fn check_endpoints<'a>(
    endpoints: impl Iterator<Item = EndpointNames<'a>>,
) -> Vec<ConfProblem> {
    let mut problems = Vec::new();
    let mut by_prefix: BTreeMap<&str, &str> = BTreeMap::new();
    let mut default: Option<&str> = None;
    for (place, endpoint) in endpoints.enumerate() {
        let mut add = |kind, detail: String| problems.push(ConfProblem::new(kind, detail));
        let EndpointNames {
            name,
            api_url,
            prefix,
            is_default,
        } = endpoint;
        let place = place + 1;
        // Who forgot the name is told the place.
        let whose = if name.is_empty() {
            format!("in entry {place}")
        } else {
            String::from(name)
        };
        if name.is_empty() {
            let detail = format!("registry name is missing for entry {place}");
            add(ConfProblemKind::MissingName, detail);
        }
        if api_url.is_empty() {
            let detail = format!("API URL must be specified for registry {whose}");
            add(ConfProblemKind::MissingApiUrl, detail);
        } else if let Some(reason) = api_url_problem(api_url) {
            let detail = format!(
                "API URL \"{}\" of registry {whose} {reason}",
                ShownUrl(api_url)
            );
            add(ConfProblemKind::InvalidApiUrl, detail);
        }
        // A slash at its end makes no difference to what a prefix matches.
        match by_prefix.insert(prefix.trim_end_matches('/'), name) {
            Some(first) if prefix.is_empty() => {
                let detail = format!(
                    "there must be only one registry without prefix: {whose} has none, and there already is {first}"
                );
                add(ConfProblemKind::MultipleWithoutPrefix, detail);
            }
            Some(first) => {
                let detail = format!("prefix {prefix} of {whose} is that of {first} already");
                add(ConfProblemKind::DuplicatePrefix, detail);
            }
            None => {}
        }
        if is_default {
            if let Some(first) = default {
                let detail = format!(
                    "cannot set registry {prefix} as default: {first} is the default already"
                );
                add(ConfProblemKind::SecondDefault, detail);
            }
            default = default.or(Some(prefix));
        }
    }
    problems
}
