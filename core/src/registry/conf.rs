//! `registries.conf`: read strictly, checked as a whole, every problem told at once (`registry.md` 2,
//! D-38).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use super::conf_yaml::{ConfNode, ConfScalar, read_document};
use super::settings::EndpointSettings;
use super::url;
use crate::credential::{CredentialReference, RegistryPrefix};
use crate::duration::GoDuration;
use crate::http::TrustAnchors;
use crate::image::TagListSort;

/// One entry of the file, as written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RegistryEntry {
    /// `name`: for people.
    pub name: String,
    /// `api_url` without one trailing slash.
    pub api_url: String,
    /// `prefix`: host, host:port or host/path; may be empty once.
    pub prefix: String,
    /// `credentials`: a credential reference, or empty.
    pub credentials: String,
    /// `credsexpire`; zero and below is never.
    pub credsexpire: GoDuration,
    /// `tagsortmode`.
    pub tag_sort: TagListSort,
    /// `insecure`.
    pub is_insecure: bool,
    /// `defaultns`.
    pub default_namespace: String,
    /// `limit` in requests per second, with its default; `None` is unlimited (D-36).
    pub rate_max: Option<u32>,
    /// `default`.
    pub is_default: bool,
    /// `ping` was given: it is accepted and does nothing, which is worth a warning (D-37).
    pub has_ping: bool,
}

impl RegistryEntry {
    fn to_names(&self) -> EndpointNames<'_> {
        EndpointNames {
            name: &self.name,
            api_url: &self.api_url,
            prefix: &self.prefix,
            is_default: self.is_default,
        }
    }

    /// The entry as the registry room takes it.
    pub fn to_settings(&self) -> EndpointSettings {
        let credentials = CredentialReference::parse(&self.credentials, RegistryPrefix::Optional);
        EndpointSettings {
            name: self.name.as_str().into(),
            prefix: self.prefix.as_str().into(),
            api_url: self.api_url.clone(),
            credentials: credentials.ok().map(|reference| reference.source),
            credentials_age_max: self.credsexpire.to_duration().filter(|age| !age.is_zero()),
            is_insecure: self.is_insecure,
            trust: TrustAnchors::System,
            default_namespace: Some(self.default_namespace.as_str())
                .filter(|namespace| !namespace.is_empty())
                .map(Into::into),
            tag_sort_mode: self.tag_sort,
            rate_max: self.rate_max,
            is_default: self.is_default,
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
        if name.is_empty() {
            let detail = format!("registry name is missing for entry {place}");
            add(ConfProblemKind::MissingName, detail);
        }
        if api_url.is_empty() {
            let detail = format!("API URL must be specified for registry {name}");
            add(ConfProblemKind::MissingApiUrl, detail);
        } else if url::split(api_url).is_none_or(|parts| !parts.query.is_empty()) {
            let detail = format!("API URL {api_url:?} of registry {name} is no http or https URL");
            add(ConfProblemKind::InvalidApiUrl, detail);
        }
        match by_prefix.insert(prefix, name) {
            Some(first) if prefix.is_empty() => {
                let detail = format!(
                    "there must be only one registry without prefix: {name} has none, and there already is {first}"
                );
                add(ConfProblemKind::MultipleWithoutPrefix, detail);
            }
            Some(first) => {
                let detail = format!("prefix {prefix} of {name} is that of {first} already");
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

/// Reads the text of a `registries.conf`. Only its first document counts; an empty one is no entry.
///
/// # Errors
/// [`ConfError`] with everything that is wrong.
pub fn parse(text: &str) -> Result<Vec<RegistryEntry>, ConfError> {
    let mut problems = Vec::new();
    let document = read_document(text).map_err(|problem| ConfError {
        problems: alloc::vec![problem],
    })?;
    let mut entries = Vec::new();
    for (key, value) in fields(document, "the file", &mut problems) {
        if key != "registries" {
            let detail = format!("unknown key {key:?}: the only one is registries");
            problems.push(ConfProblem::new(ConfProblemKind::UnknownKey, detail));
            continue;
        }
        match value {
            ConfNode::List(items) => {
                for (place, item) in items.into_iter().enumerate() {
                    entries.push(read_entry(place + 1, item, &mut problems));
                }
            }
            node if node.is_null() => {}
            ConfNode::Scalar(_) | ConfNode::Map(_) => {
                let detail = "registries is no list";
                problems.push(ConfProblem::new(ConfProblemKind::TypeMismatch, detail));
            }
        }
    }
    problems.extend(check_endpoints(entries.iter().map(RegistryEntry::to_names)));
    if problems.is_empty() {
        Ok(entries)
    } else {
        Err(ConfError { problems })
    }
}

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
    /// An unknown word in `tagsortmode`.
    UnknownTagSortMode,
    /// A credential reference that does not parse.
    InvalidCredentials,
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
            Self::UnknownTagSortMode => "unknown_tag_sort_mode",
            Self::InvalidCredentials => "invalid_credentials",
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
            | Self::UnknownTagSortMode
            | Self::InvalidCredentials => "validate",
            Self::SecondDefault => "load",
        }
    }
}

/// The members of a mapping; none of an empty value.
fn fields(node: ConfNode, whose: &str, problems: &mut Vec<ConfProblem>) -> Vec<(String, ConfNode)> {
    match node {
        ConfNode::Map(members) => {
            let mut seen: BTreeSet<&str> = BTreeSet::new();
            for (key, _) in &members {
                if !seen.insert(key) {
                    let detail = format!("key {key:?} stands twice in {whose}");
                    problems.push(ConfProblem::new(ConfProblemKind::DuplicateKey, detail));
                }
            }
            members
        }
        node if node.is_null() => Vec::new(),
        ConfNode::Scalar(_) | ConfNode::List(_) => {
            let detail = format!("{whose} is no mapping");
            problems.push(ConfProblem::new(ConfProblemKind::TypeMismatch, detail));
            Vec::new()
        }
    }
}

fn read_entry(place: usize, node: ConfNode, problems: &mut Vec<ConfProblem>) -> RegistryEntry {
    let mut entry = RegistryEntry {
        name: String::new(),
        api_url: String::new(),
        prefix: String::new(),
        credentials: String::new(),
        credsexpire: GoDuration::ZERO,
        tag_sort: TagListSort::Unsorted,
        is_insecure: false,
        default_namespace: String::new(),
        rate_max: EndpointSettings::rate_of(None),
        is_default: false,
        has_ping: false,
    };
    let whose = format!("entry {place}");
    for (key, value) in fields(node, &whose, problems) {
        let ConfNode::Scalar(scalar) = value else {
            let detail = format!("{key} of {whose} is no single value");
            problems.push(ConfProblem::new(ConfProblemKind::TypeMismatch, detail));
            continue;
        };
        if let Err((kind, detail)) = read_field(&mut entry, &key, &scalar) {
            problems.push(ConfProblem::new(kind, format!("{detail} in {whose}")));
        }
    }
    if entry.api_url.ends_with('/') {
        entry.api_url.pop();
    }
    entry
}

type FieldResult = Result<(), (ConfProblemKind, String)>;

fn read_field(entry: &mut RegistryEntry, key: &str, scalar: &ConfScalar) -> FieldResult {
    let mismatch = |wanted: &str| {
        let detail = format!("{key} must be {wanted}, not {:?}", scalar.text);
        (ConfProblemKind::TypeMismatch, detail)
    };
    let text = || String::from(scalar.as_text());
    let flag = || scalar.to_bool().ok_or_else(|| mismatch("true or false"));
    match key {
        "name" => entry.name = text(),
        "api_url" => entry.api_url = text(),
        "prefix" => entry.prefix = text(),
        "defaultns" => entry.default_namespace = text(),
        "ping" => {
            flag()?;
            entry.has_ping = true;
        }
        "insecure" => entry.is_insecure = flag()?,
        "default" => entry.is_default = flag()?,
        "credentials" => {
            entry.credentials = text();
            if !entry.credentials.is_empty() {
                CredentialReference::parse(&entry.credentials, RegistryPrefix::Optional)
                    .map_err(|error| (ConfProblemKind::InvalidCredentials, error.to_string()))?;
            }
        }
        "credsexpire" | "limit" if scalar.is_null() => {}
        "credsexpire" => {
            entry.credsexpire = scalar
                .text
                .parse()
                .map_err(|_| mismatch("a duration with a unit such as 12h"))?;
        }
        "limit" => {
            let limit = scalar
                .to_integer()
                .ok_or_else(|| mismatch("a whole number"))?;
            // Below zero was always unlimited; above the range is as good as that.
            entry.rate_max = EndpointSettings::rate_of(Some(u32::try_from(limit).unwrap_or(0)));
        }
        "tagsortmode" => {
            entry.tag_sort = match scalar.as_text().to_ascii_lowercase().as_str() {
                "" | "none" | "unsorted" => TagListSort::Unsorted,
                "latest-first" => TagListSort::LatestFirst,
                "latest-last" => TagListSort::LatestLast,
                _ => {
                    let detail = format!(
                        "unknown tag sort mode {:?}: none, latest-first and latest-last are known",
                        scalar.text
                    );
                    return Err((ConfProblemKind::UnknownTagSortMode, detail));
                }
            };
        }
        _ => return Err((ConfProblemKind::UnknownKey, format!("unknown key {key:?}"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn all_problems_are_told_at_once() {
        let text = "registries:\n- name: A\n  api_url: ftp://a\n  limit: many\n  color: red\n- api_url: https://b.io/\n  \
                    default: true\n- name: C\n  api_url: https://c.io\n  prefix: c.io\n  default: yes\n  credsexpire: 3600\n";
        let error = parse(text).expect_err("many problems");
        let kinds: Vec<_> = error.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!(
            kinds,
            vec![
                ConfProblemKind::TypeMismatch,
                ConfProblemKind::UnknownKey,
                ConfProblemKind::TypeMismatch,
                ConfProblemKind::InvalidApiUrl,
                ConfProblemKind::MissingName,
                ConfProblemKind::MultipleWithoutPrefix,
                ConfProblemKind::SecondDefault,
            ],
            "{error}"
        );
    }

    #[test]
    fn odd_files_are_errors_and_no_crashes() {
        let deep = "[".repeat(10_000);
        let deep_block = "- ".repeat(10_000);
        let long = "a".repeat(2 << 20);
        for text in [
            "[",
            "- x",
            "x",
            "registries: 7",
            "registries: {}",
            "? [a]\n: b",
            "a: *b",
            "registries: &a [*a]",
            &deep,
            &deep_block,
            &long,
            "\u{0}",
        ] {
            assert!(parse(text).is_err(), "{text:.40}");
        }
        for text in [
            "",
            "~",
            "---\n...\n",
            "registries:",
            "registries: []\n---\n[",
            "# nothing",
        ] {
            assert_eq!(parse(text), Ok(vec![]), "{text}");
        }
    }
}
