//! `registries.conf`: read strictly, checked as a whole, every problem told at once (`registry.md` 2,
//! D-38).

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

pub use super::conf_problem::{ConfError, ConfProblem, ConfProblemKind};
use super::conf_problem::{EndpointNames, check_endpoints};
use super::conf_yaml::{ConfNode, ConfScalar, read_document};
use super::endpoint::is_repository;
use super::link::ForeignLinks;
use super::settings::EndpointSettings;
use super::{pem, url};
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
    /// `foreign_links`.
    pub foreign_links: ForeignLinks,
    /// `ca_file` or `ca_data` (`registry.md` 18, D-42).
    pub trust: TrustAnchors,
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

    /// What the user should know though it stops nothing, one clause each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let mut warn = |text: &str| warnings.push(format!("registry {}: {text}", self.name));
        if self.has_ping {
            warn("ping has no effect");
        }
        if self.tag_sort != TagListSort::Unsorted {
            warn("tagsortmode takes the place of dates: metadata retrieval is disabled");
        }
        let is_https = url::split(&self.api_url).is_some_and(|parts| parts.is_https);
        if self.trust != TrustAnchors::System && self.is_insecure {
            warn("ca_file and ca_data have no effect: insecure trusts every certificate");
        } else if self.trust != TrustAnchors::System && !is_https {
            warn("ca_file and ca_data have no effect: the API URL is not https");
        }
        if self.prefix.contains("://") {
            warn("no image has a prefix with a scheme: it is to be host, host:port or host/path");
        }
        warnings
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
            foreign_links: self.foreign_links,
            trust: self.trust.clone(),
            default_namespace: Some(self.default_namespace.as_str())
                .filter(|namespace| !namespace.is_empty())
                .map(Into::into),
            tag_sort_mode: self.tag_sort,
            rate_max: self.rate_max,
            is_default: self.is_default,
        }
    }
}

/// Reads the text of a `registries.conf`. Only its first document counts; an empty one is no entry.
///
/// # Errors
/// [`ConfError`] with everything that is wrong.
pub fn parse(text: &str) -> Result<Vec<RegistryEntry>, ConfError> {
    let (entries, problems) = read(text);
    if problems.is_empty() {
        Ok(entries)
    } else {
        Err(ConfError { problems })
    }
}

/// Reads the text of a `registries.conf` as far as it can be read, for whoever finds more wrong with it:
/// the entries hold only when there is no problem.
pub fn read(text: &str) -> (Vec<RegistryEntry>, Vec<ConfProblem>) {
    let mut problems = Vec::new();
    let mut entries = Vec::new();
    let document = match read_document(text) {
        Ok(document) => document,
        Err(problem) => return (entries, alloc::vec![problem]),
    };
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
    (entries, problems)
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
        foreign_links: ForeignLinks::Refused,
        trust: TrustAnchors::System,
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
        "prefix" => {
            entry.prefix = text();
            if !entry.prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
                let detail = format!(
                    "prefix {:?} is that of no image: it is to be host, host:port or host/path",
                    entry.prefix
                );
                return Err((ConfProblemKind::InvalidPrefix, detail));
            }
        }
        "defaultns" => {
            entry.default_namespace = text();
            if !entry.default_namespace.is_empty() && !is_repository(&entry.default_namespace) {
                let detail = format!(
                    "defaultns {:?} can begin no repository's name: lower-case letters, digits and \
                     single . _ - between them",
                    entry.default_namespace
                );
                return Err((ConfProblemKind::InvalidNamespace, detail));
            }
        }
        "ping" => {
            flag()?;
            entry.has_ping = true;
        }
        "insecure" => entry.is_insecure = flag()?,
        "foreign_links" if flag()? => entry.foreign_links = ForeignLinks::Followed,
        "foreign_links" => entry.foreign_links = ForeignLinks::Refused,
        "default" => entry.is_default = flag()?,
        "credentials" => {
            entry.credentials = text();
            if !entry.credentials.is_empty() {
                CredentialReference::parse(&entry.credentials, RegistryPrefix::Optional)
                    .map_err(|error| (ConfProblemKind::InvalidCredentials, error.to_string()))?;
            }
        }
        "ca_file" | "ca_data" if scalar.as_text().is_empty() => {}
        "ca_file" | "ca_data" if entry.trust != TrustAnchors::System => {
            let detail = "ca_file and ca_data cannot both be given";
            return Err((ConfProblemKind::ConflictingTrust, detail.into()));
        }
        "ca_file" => entry.trust = TrustAnchors::File(text()),
        "ca_data" => {
            if !pem::has_certificate(&scalar.text) {
                let detail = "ca_data holds no PEM certificate: it is to be a block from \
                              BEGIN CERTIFICATE to END CERTIFICATE, with its lines kept (ca_data: |)";
                return Err((ConfProblemKind::InvalidCertificate, detail.into()));
            }
            entry.trust = TrustAnchors::Data(text());
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
            // Cut off it would be 0, which is the very opposite of what was meant (D-36).
            if limit == 0 && !scalar.is_zero() {
                return Err(mismatch("at least 1 request per second, or 0 for no limit"));
            }
            // Below zero was always unlimited.
            let limit = u32::try_from(limit.max(0)).unwrap_or(u32::MAX);
            entry.rate_max = EndpointSettings::rate_of(Some(limit));
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
        _ => {
            // Who leaves the blank behind the colon out has written a value into the key.
            let key = key.split([':', '=']).next().unwrap_or_default();
            return Err((ConfProblemKind::UnknownKey, format!("unknown key {key:?}")));
        }
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

    fn entry(lines: &str) -> Result<RegistryEntry, Vec<ConfProblemKind>> {
        let lines = lines.replace('\n', "\n  ");
        let text =
            format!("registries:\n- name: A\n  api_url: https://a.io\n  prefix: a.io\n  {lines}");
        match parse(&text) {
            Ok(entries) => Ok(entries.into_iter().next().expect("an entry")),
            Err(error) => Err(error.problems.iter().map(|problem| problem.kind).collect()),
        }
    }

    const PEM: &str =
        "ca_data: |\n  -----BEGIN CERTIFICATE-----\n  TUlJ\n  -----END CERTIFICATE-----";

    #[test]
    fn certificates_of_a_private_authority_come_from_a_file_or_stand_here() {
        let trust = |lines: &str| entry(lines).map(|entry| entry.to_settings().trust);
        assert_eq!(
            trust("ca_file: /etc/ca.pem"),
            Ok(TrustAnchors::File("/etc/ca.pem".into()))
        );
        let pem = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----";
        assert_eq!(
            trust(PEM).map(|trust| match trust {
                TrustAnchors::Data(text) => text.trim() == pem,
                TrustAnchors::System | TrustAnchors::File(_) => false,
            }),
            Ok(true)
        );
        for none in ["ca_file:", "ca_data: ~", "ca_file: \"\""] {
            assert_eq!(trust(none), Ok(TrustAnchors::System), "{none}");
        }
        let both = format!("ca_file: /etc/ca.pem\n{PEM}");
        assert_eq!(trust(&both), Err(vec![ConfProblemKind::ConflictingTrust]));
        // A folded block loses its lines, and a path is no certificate.
        for bad in [PEM.replace('|', ">"), "ca_data: /etc/ca.pem".into()] {
            let expected = Err(vec![ConfProblemKind::InvalidCertificate]);
            assert_eq!(trust(&bad), expected, "{bad}");
        }
        assert_eq!(
            trust("ca_file: [a]"),
            Err(vec![ConfProblemKind::TypeMismatch])
        );
        assert_eq!(trust("cafile: a"), Err(vec![ConfProblemKind::UnknownKey]));
    }

    #[test]
    fn what_has_no_effect_is_a_warning() {
        let check = |lines: &str, expected: &[&str]| {
            let warnings = entry(lines).expect("an entry").warnings();
            assert_eq!(warnings.len(), expected.len(), "{lines}: {warnings:?}");
            for (warning, part) in warnings.iter().zip(expected) {
                assert!(warning.starts_with("registry A: "), "{warning}");
                assert!(warning.contains(part), "{warning}");
            }
        };
        check("limit: 5", &[]);
        check("ping: yes", &["ping has no effect"]);
        check(
            "ping: no\ntagsortmode: latest-first",
            &["ping", "metadata retrieval is disabled"],
        );
        check("tagsortmode: unsorted", &[]);
        check("ca_file: /ca.pem", &[]);
        check(
            "ca_file: /ca.pem\ninsecure: on",
            &["insecure trusts every certificate"],
        );
        check(
            &format!("{PEM}\ninsecure: yes"),
            &["insecure trusts every certificate"],
        );
    }

    #[test]
    fn a_limit_has_a_default_and_zero_lifts_it() {
        for (lines, rate) in [
            ("insecure: no", Some(20)),
            ("limit:", Some(20)),
            ("limit: 7", Some(7)),
            ("limit: 0", None),
            ("limit: -1", None),
            ("limit: 0.0", None),
            ("limit: 0x0", None),
            ("limit: 2.5", Some(2)),
            ("limit: 4294967296", Some(u32::MAX)),
            ("limit: 9e18", Some(u32::MAX)),
        ] {
            assert_eq!(
                entry(lines).map(|entry| entry.rate_max),
                Ok(rate),
                "{lines}"
            );
        }
        for bad in [
            "limit: 0.5",
            "limit: 1e-3",
            "limit: .9",
            "limit: 0_0.1",
            "limit: -0.5",
            "limit: 1e30",
        ] {
            assert_eq!(
                entry(bad),
                Err(vec![ConfProblemKind::TypeMismatch]),
                "{bad}"
            );
        }
    }

    #[test]
    fn an_api_url_that_cannot_be_meant_is_told_with_its_reason() {
        for (lines, parts) in [
            (
                "name: A\n  api_url: https://a.io:99999",
                &["registry A", "no number from 1 to 65535"][..],
            ),
            (
                "name: A\n  api_url: https://a.io:http/v2",
                &["no number from 1 to 65535"],
            ),
            (
                "name: A\n  api_url: http://u:canary@a.io",
                &["http://a.io", "credentials"],
            ),
            ("name: A\n  api_url: https://a.io?x=1", &["query"]),
            (
                "prefix: a.io",
                &[
                    "missing for entry 1",
                    "API URL must be specified for registry in entry 1",
                ],
            ),
        ] {
            let error = parse(&format!("registries:\n- {lines}\n")).expect_err("a problem");
            let text = error.to_string();
            for part in parts {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!text.contains("canary"), "{text}");
        }
    }

    #[test]
    fn what_no_image_can_be_called_is_refused() {
        for good in [
            "prefix: reg.io:5000/a",
            "defaultns: a/b-c",
            "defaultns: no",
            "defaultns:",
        ] {
            assert!(entry_of(good).is_ok(), "{good}");
        }
        for (lines, kind) in [
            ("prefix: \"a b\"", ConfProblemKind::InvalidPrefix),
            ("prefix: \" a\"", ConfProblemKind::InvalidPrefix),
            ("prefix: \"a\\tb\"", ConfProblemKind::InvalidPrefix),
            ("defaultns: 'A b'", ConfProblemKind::InvalidNamespace),
            ("defaultns: a//b", ConfProblemKind::InvalidNamespace),
            ("defaultns: a/", ConfProblemKind::InvalidNamespace),
        ] {
            let error = entry_of(lines).expect_err("a problem");
            let kinds: Vec<_> = error.problems.iter().map(|problem| problem.kind).collect();
            assert_eq!(kinds, [kind], "{lines}: {error}");
        }
    }

    fn entry_of(line: &str) -> Result<Vec<RegistryEntry>, ConfError> {
        parse(&format!(
            "registries:\n- name: A\n  api_url: https://a.io\n  {line}\n"
        ))
    }

    #[test]
    fn an_age_without_a_unit_is_no_age() {
        let age = |lines| entry(lines).map(|entry| entry.to_settings().credentials_age_max);
        assert_eq!(
            age("credsexpire: 12h"),
            Ok(Some(core::time::Duration::from_hours(12)))
        );
        assert_eq!(
            age("credsexpire: \"12h\""),
            Ok(Some(core::time::Duration::from_hours(12)))
        );
        for never in [
            "credsexpire: 0s",
            "credsexpire: 0",
            "credsexpire: -5m",
            "credsexpire:",
        ] {
            assert_eq!(age(never), Ok(None), "{never}");
        }
        for bad in ["credsexpire: 3600", "credsexpire: 1d", "credsexpire: yes"] {
            assert_eq!(age(bad), Err(vec![ConfProblemKind::TypeMismatch]), "{bad}");
        }
    }

    #[test]
    fn the_word_that_is_printed_for_no_order_is_accepted() {
        for (lines, sort) in [
            ("tagsortmode: unsorted", TagListSort::Unsorted),
            ("tagsortmode: None", TagListSort::Unsorted),
            ("tagsortmode: LATEST-last", TagListSort::LatestLast),
        ] {
            assert_eq!(
                entry(lines).map(|entry| entry.tag_sort),
                Ok(sort),
                "{lines}"
            );
        }
        assert_eq!(
            entry("tagsortmode: newest"),
            Err(vec![ConfProblemKind::UnknownTagSortMode])
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
