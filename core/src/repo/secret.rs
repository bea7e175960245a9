//! Credentials in a Secret that an annotation names (`writeback.md` 11.2).

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;

use super::credential::{ClientCertificate, CredentialKind, GitCredential};
use super::url::Transport;
use crate::secret::Secret;

/// The fields of a Secret.
pub type Fields = BTreeMap<Box<str>, Secret>;

/// Which Secret an annotation names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SecretReference {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// Why a Secret holds no credential.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretError {
    /// The reference does not have the form `namespace/name`.
    Reference(Box<str>),
    /// A field is missing.
    NoField(SecretReference, &'static str),
    /// A field is no number.
    NoNumber(&'static str),
    /// Neither a GitHub App nor a user is there.
    NoLogin(SecretReference),
    /// The repository is reached in a way that is not known.
    UnknownTransport,
}

impl SecretReference {
    /// Reads the text behind `secret:`, parted at its first slash.
    ///
    /// # Errors
    /// When there is no slash.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let (namespace, name) = text
            .split_once('/')
            .ok_or_else(|| SecretError::Reference(text.into()))?;
        Ok(Self {
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    /// The credential for `repository` in the fields of this Secret (`writeback.md` 11.2).
    ///
    /// What is there decides, also when it is empty. The server is trusted as everywhere, unless field `insecure`
    /// or `insecureIgnoreHostKey` is `true` (WB-46).
    ///
    /// # Errors
    /// When a field is missing or malformed, or the way to the repository is not known.
    pub fn credential(
        &self,
        fields: &Fields,
        repository: &str,
    ) -> Result<GitCredential, SecretError> {
        let field = |name: &'static str| {
            fields
                .get(name)
                .ok_or_else(|| SecretError::NoField(self.clone(), name))
        };
        let text = |name: &str| fields.get(name).map_or("", Secret::reveal);
        let kind = match Transport::of(repository) {
            Transport::Ssh(_) => CredentialKind::Ssh(field("sshPrivateKey")?.clone()),
            Transport::Unknown => return Err(SecretError::UnknownTransport),
            Transport::Http | Transport::Https if fields.contains_key("githubAppID") => {
                let number = |name: &'static str| {
                    let digits = field(name)?.reveal();
                    digits.parse().map_err(|_| SecretError::NoNumber(name))
                };
                let app_id = number("githubAppID")?;
                let installation_id = number("githubAppInstallationID")?;
                CredentialKind::GithubApp {
                    app_id,
                    installation_id,
                    private_key: field("githubAppPrivateKey")?.clone(),
                    base_url: text("githubAppEnterpriseBaseUrl").into(),
                }
            }
            Transport::Http | Transport::Https if fields.contains_key("username") => {
                CredentialKind::Basic {
                    username: text("username").into(),
                    password: field("password")?.clone(),
                    is_forced: text("forceHttpBasicAuth") == "true",
                }
            }
            Transport::Http | Transport::Https => return Err(SecretError::NoLogin(self.clone())),
        };
        Ok(GitCredential {
            kind,
            is_insecure: ["insecure", "insecureIgnoreHostKey"]
                .iter()
                .any(|name| text(name) == "true"),
            proxy: fields.get("proxy").cloned().unwrap_or_default(),
            no_proxy: text("noProxy").into(),
            client_certificate: ClientCertificate::of(
                fields.get("tlsClientCertData"),
                fields.get("tlsClientCertKey"),
            ),
        })
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(text) => write!(
                f,
                "secret ref must be in format 'namespace/name', but is '{text}'"
            ),
            Self::NoField(secret, field) => {
                write!(f, "invalid secret {secret}: does not contain field {field}")
            }
            Self::NoNumber(field) => write!(f, "invalid value in field {field}: not a whole number"),
            Self::NoLogin(secret) => write!(
                f,
                "invalid repository credentials in secret {secret}: does not contain githubAppID or username"
            ),
            Self::UnknownTransport => f.write_str(
                "unknown repository type: accepted are https://, http://, ssh:// and user@host:path",
            ),
        }
    }
}

impl core::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_is_checked_unless_the_secret_says_otherwise() {
        check(&[("username", "u"), ("password", "p")], false);
        check(
            &[("username", "u"), ("password", "p"), ("insecure", "true")],
            true,
        );
        check(
            &[("username", "u"), ("password", "p"), ("insecure", "yes")],
            false,
        );
    }

    #[test]
    fn github_enterprise_is_honoured() {
        let fields = fields(&[
            ("githubAppID", "1"),
            ("githubAppInstallationID", "2"),
            ("githubAppPrivateKey", "k"),
            ("githubAppEnterpriseBaseUrl", "https://ghe/api/v3"),
        ]);
        let credential = reference().credential(&fields, "HTTPS://ghe/a/b");
        assert!(matches!(
            credential.map(|found| found.kind),
            Ok(CredentialKind::GithubApp { app_id: 1, installation_id: 2, base_url, .. })
                if &*base_url == "https://ghe/api/v3"
        ));
    }

    fn check(pairs: &[(&str, &str)], is_insecure: bool) {
        let credential = reference().credential(&fields(pairs), "https://h/a");
        assert_eq!(
            credential.map(|found| found.is_insecure),
            Ok(is_insecure),
            "{pairs:?}"
        );
    }

    fn reference() -> SecretReference {
        SecretReference::parse("a/b").expect("a reference")
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), Secret::new(*value)))
            .collect()
    }
}
