//! What a login to a repository consists of (`writeback.md` 11).

use alloc::boxed::Box;

use crate::secret::Secret;

/// How one logs in to a repository, and how its server is trusted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GitCredential {
    /// The login.
    pub kind: CredentialKind,
    /// True when neither certificate nor host key of the server is looked at; only when that was asked for (WB-46).
    pub is_insecure: bool,
    /// The proxy for this repository; empty when there is none of its own.
    pub proxy: Secret,
    /// Hosts that are reached without it.
    pub no_proxy: Box<str>,
    /// A certificate of our own.
    pub client_certificate: Option<ClientCertificate>,
}

/// A login.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CredentialKind {
    /// None; the client certificate may be enough.
    None,
    /// A user and a password, or a token in its place.
    Basic {
        /// The user; may be empty.
        username: Box<str>,
        /// The password.
        password: Secret,
        /// True when it is sent before it is asked for.
        is_forced: bool,
    },
    /// A token, sent as it is (`bearerToken`).
    Bearer(Secret),
    /// A private key.
    Ssh(Secret),
    /// An installation of a GitHub App, for which a token is asked.
    GithubApp {
        /// The app.
        app_id: i64,
        /// Its installation.
        installation_id: i64,
        /// Its private key.
        private_key: Secret,
        /// The address of GitHub Enterprise; empty for `api.github.com` (WB-48).
        base_url: Box<str>,
    },
    /// The key of a service account of Google Cloud, for which a token is asked (WB-51).
    GoogleCloud(Secret),
}

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ClientCertificate {
    /// The certificate.
    pub certificate: Secret,
    /// Its key.
    pub key: Secret,
}

impl ClientCertificate {
    /// Both, or nothing.
    pub(super) fn of(certificate: Option<&Secret>, key: Option<&Secret>) -> Option<Self> {
        let [certificate, key] = [certificate, key].map(|one| one.filter(|one| !one.is_empty()));
        Some(Self {
            certificate: certificate?.clone(),
            key: key?.clone(),
        })
    }
}
