//! Repositories and credential templates of Argo CD (`writeback.md` 11.1).

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use super::credential::{ClientCertificate, CredentialKind, GitCredential};
use super::secret::Fields;
use super::url::{Transport, is_same_repository, normalised};
use crate::secret::Secret;

/// A repository, or a template of credentials, as one Secret of Argo CD holds it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Record(Fields);

/// Fields that make credentials.
const LOGIN_FIELDS: [&str; 7] = [
    "username",
    "password",
    "bearerToken",
    "sshPrivateKey",
    "tlsClientCertData",
    "githubAppPrivateKey",
    "gcpServiceAccountKey",
];
/// Fields that a template fills where they are empty.
const FILLED_FIELDS: [&str; 16] = [
    "username",
    "password",
    "bearerToken",
    "sshPrivateKey",
    "tlsClientCertData",
    "tlsClientCertKey",
    "githubAppPrivateKey",
    "githubAppID",
    "githubAppInstallationID",
    "githubAppEnterpriseBaseUrl",
    "gcpServiceAccountKey",
    "forceHttpBasicAuth",
    "proxy",
    "noProxy",
    "insecure",
    "insecureIgnoreHostKey",
];

/// Why Argo CD has no credential for a repository.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// Nothing is configured; the repository's URL without a password in it.
    NotConfigured(Box<str>),
    /// A field is no number.
    NoNumber(&'static str),
}

impl Record {
    /// Takes the fields of a Secret.
    pub const fn new(fields: Fields) -> Self {
        Self(fields)
    }

    fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", Secret::reveal)
    }

    fn secret(&self, name: &str) -> Option<&Secret> {
        self.0.get(name).filter(|secret| !secret.is_empty())
    }

    fn has_login(&self) -> bool {
        LOGIN_FIELDS.iter().any(|name| self.secret(name).is_some())
    }

    /// The credential that this record holds for `repository`, by the way to it (`writeback.md` 11.1, WB-49).
    ///
    /// # Errors
    /// When there is none, or a number in it is malformed.
    pub fn credential(&self, repository: &str) -> Result<GitCredential, RecordError> {
        if !self.has_login() {
            return Err(RecordError::NotConfigured(without_password(repository)));
        }
        Ok(GitCredential {
            kind: self.kind(repository)?,
            is_insecure: self.is_set("insecure") || self.is_set("insecureIgnoreHostKey"),
            proxy: self.secret("proxy").cloned().unwrap_or_default(),
            no_proxy: self.text("noProxy").into(),
            client_certificate: ClientCertificate::of(
                self.secret("tlsClientCertData"),
                self.secret("tlsClientCertKey"),
            ),
        })
    }

    fn kind(&self, repository: &str) -> Result<CredentialKind, RecordError> {
        if matches!(Transport::of(repository), Transport::Ssh(_)) {
            let key = self.secret("sshPrivateKey").cloned();
            return Ok(key.map_or(CredentialKind::None, CredentialKind::Ssh));
        }
        if let Some(password) = self.secret("password") {
            return Ok(CredentialKind::Basic {
                username: self.text("username").into(),
                password: password.clone(),
                is_forced: self.is_set("forceHttpBasicAuth"),
            });
        }
        if let Some(token) = self.secret("bearerToken") {
            return Ok(CredentialKind::Bearer(token.clone()));
        }
        if let Some(private_key) = self.secret("githubAppPrivateKey") {
            let app_id = self.number("githubAppID")?;
            let installation_id = self.number("githubAppInstallationID")?;
            if app_id != 0 && installation_id != 0 {
                return Ok(CredentialKind::GithubApp {
                    app_id,
                    installation_id,
                    private_key: private_key.clone(),
                    base_url: self.text("githubAppEnterpriseBaseUrl").into(),
                });
            }
        }
        let key = self.secret("gcpServiceAccountKey").cloned();
        Ok(key.map_or(CredentialKind::None, CredentialKind::GoogleCloud))
    }

    fn number(&self, name: &'static str) -> Result<i64, RecordError> {
        match self.text(name) {
            "" => Ok(0),
            digits => digits.parse().map_err(|_| RecordError::NoNumber(name)),
        }
    }

    fn is_set(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }

    /// This record with its empty fields filled from `template`.
    fn filled(mut self, template: &Self) -> Self {
        for name in FILLED_FIELDS {
            if let Some(value) = template.secret(name)
                && self.secret(name).is_none()
            {
                self.0.insert(name.into(), value.clone());
            }
        }
        self
    }
}

/// The record for `repository` of an application in `project` (`writeback.md` 11.1): of the repositories that are
/// the same one that of the project, else one of no project, never another project's; without a login it is filled
/// from the template with the longest URL that `repository` begins with.
pub fn select(
    repositories: &[Record],
    templates: &[Record],
    repository: &str,
    project: &str,
) -> Record {
    let of_project = |project: &str| {
        repositories.iter().find(|record| {
            record.text("project") == project && is_same_repository(record.text("url"), repository)
        })
    };
    let record = of_project(project)
        .or_else(|| of_project(""))
        .cloned()
        .unwrap_or_default();
    if record.has_login() {
        return record;
    }
    let wanted = normalised(repository);
    let template = templates
        .iter()
        .map(|template| (normalised(template.text("url")), template))
        .filter(|(prefix, _)| !prefix.is_empty() && wanted.starts_with(&**prefix))
        // Of equal ones the first.
        .rev()
        .max_by_key(|(prefix, _)| prefix.len());
    match template {
        Some((_, template)) => record.filled(template),
        None => record,
    }
}

/// The URL as it may be shown (WB-64).
fn without_password(url: &str) -> Box<str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.into();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => {
            let name = user.split(':').next().unwrap_or_default();
            let mut shown = String::from(scheme);
            for part in ["://", name, ":***@", host, path] {
                shown.push_str(part);
            }
            shown.into()
        }
        Some(_) | None => url.into(),
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotConfigured(url) => write!(
                f,
                "credentials for '{url}' are not configured in Argo CD settings; \
                 add a repository with a login that may push, or name a secret in write-back-method"
            ),
            Self::NoNumber(field) => {
                write!(f, "field {field} of the repository is not a whole number")
            }
        }
    }
}

impl core::error::Error for RecordError {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::string::ToString as _;

    #[test]
    fn own_project_comes_before_none_and_others_never() {
        let repositories = [
            record(&[
                ("url", "https://h/a"),
                ("project", "other"),
                ("password", "x"),
            ]),
            record(&[("url", "https://h/a.git"), ("password", "shared")]),
            record(&[
                ("url", "https://H/A"),
                ("project", "own"),
                ("password", "own"),
            ]),
        ];
        check(&repositories, &[], "own", Some("own"));
        check(&repositories, &[], "third", Some("shared"));
        check(&repositories[..1], &[], "own", None);
    }

    #[test]
    fn longest_template_fills_what_is_empty() {
        let templates = [
            record(&[("url", "https://h"), ("password", "short")]),
            record(&[("url", "https://h/a"), ("password", "long")]),
            record(&[("url", "https://h/ab"), ("password", "other")]),
            record(&[("url", ""), ("password", "none")]),
        ];
        check(&[], &templates, "p", Some("long"));
        let nameless = record(&[("url", "https://h/a"), ("insecure", "true")]);
        let filled = select(&[nameless], &templates, "https://h/a", "p");
        assert!(
            filled
                .credential("https://h/a")
                .is_ok_and(|found| found.is_insecure)
        );
        let with_login = [record(&[("url", "https://h/a"), ("username", "u")])];
        check(&with_login, &templates, "p", None);
    }

    #[test]
    fn login_follows_the_way_to_the_repository() {
        let both = record(&[("password", "p"), ("sshPrivateKey", "k")]);
        let kind = |url| both.credential(url).map(|found| found.kind);
        assert!(matches!(kind("git@h:a"), Ok(CredentialKind::Ssh(_))));
        assert!(matches!(
            kind("https://h/a"),
            Ok(CredentialKind::Basic { .. })
        ));
        let token = record(&[("bearerToken", "t")]).credential("https://h/a");
        assert!(matches!(
            token.map(|found| found.kind),
            Ok(CredentialKind::Bearer(token)) if token.reveal() == "t"
        ));
        let certificate = record(&[("tlsClientCertData", "c"), ("tlsClientCertKey", "k")]);
        let found = certificate
            .credential("https://h/a")
            .expect("a certificate is a login");
        assert!(found.client_certificate.is_some());
    }

    #[test]
    fn nothing_secret_is_shown() {
        let error = Record::default()
            .credential("https://u:hush@h/a")
            .expect_err("nothing there");
        assert!(error.to_string().contains("https://u:***@h/a"), "{error}");
        let credential = record(&[("password", "hush"), ("proxy", "http://u:hush@p")]);
        assert!(!format!("{credential:?}").contains("hush"));
        assert!(!format!("{:?}", credential.credential("https://h/a")).contains("hush"));
    }

    fn check(repositories: &[Record], templates: &[Record], project: &str, expect: Option<&str>) {
        let record = select(repositories, templates, "https://h/a", project);
        let password = match record.credential("https://h/a").map(|found| found.kind) {
            Ok(CredentialKind::Basic { password, .. }) => Some(password),
            Ok(
                CredentialKind::None
                | CredentialKind::Bearer(_)
                | CredentialKind::Ssh(_)
                | CredentialKind::GithubApp { .. }
                | CredentialKind::GoogleCloud(_),
            )
            | Err(_) => None,
        };
        assert_eq!(password.as_ref().map(Secret::reveal), expect);
    }

    fn record(pairs: &[(&str, &str)]) -> Record {
        Record::new(
            pairs
                .iter()
                .map(|(name, value)| ((*name).into(), Secret::new(*value)))
                .collect(),
        )
    }
}
