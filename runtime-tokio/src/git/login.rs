//! What a Git server over HTTP is shown: nothing, a header line, or one with a token that is asked for first.

use std::sync::Arc;
use std::time::Duration;

use image_updater_core::git::{ChannelEnd, RefusalKind};
use image_updater_core::registry::base64;
use image_updater_core::repo::credential::CredentialKind;
use image_updater_core::secret::Secret;

use super::echo;
use super::token::{Issuer, Tokens};
use crate::http::PrivateClient;

/// The user that stands beside a token, and where no user is given (`writeback.md` 11.3, 12.1).
const TOKEN_USER: &str = "x-access-token";

/// How a server over HTTP learns who we are.
pub(super) enum Login {
    /// It does not.
    None,
    /// By a line that is always the same.
    Line { line: Secret, shown: Vec<String> },
    /// By a token of an issuer.
    Token {
        issuer: Box<Issuer>,
        client: Box<PrivateClient>,
        tokens: Arc<Tokens>,
    },
}

impl Login {
    /// The login of a credential. `client` makes connections to an issuer of tokens.
    pub(super) fn new(
        user: Option<&(String, Secret)>,
        kind: &CredentialKind,
        client: &dyn Fn(&str) -> PrivateClient,
        tokens: &Arc<Tokens>,
    ) -> Result<Self, ChannelEnd> {
        let token = |issuer: Issuer| Self::Token {
            client: Box::new(client(issuer.url())),
            issuer: Box::new(issuer),
            tokens: Arc::clone(tokens),
        };
        Ok(match kind {
            CredentialKind::None => match user {
                Some((name, password)) => Self::basic(name, password.reveal()),
                None => Self::None,
            },
            CredentialKind::Basic {
                username, password, ..
            } => {
                let of_url = user.map(|(name, _)| name.as_str()).unwrap_or_default();
                let name = match &**username {
                    "" if of_url.is_empty() => TOKEN_USER,
                    "" => of_url,
                    name => name,
                };
                Self::basic(name, password.reveal())
            }
            CredentialKind::Bearer(token) => Self::Line {
                line: Secret::new(format!("Bearer {}", token.reveal())),
                shown: Vec::new(),
            },
            CredentialKind::Ssh(_) => {
                let text =
                    "a private key opens no repository over HTTP: write its URL as user@host:path";
                return Err(refused(text.to_owned()));
            }
            CredentialKind::GithubApp {
                app_id,
                installation_id,
                private_key,
                base_url,
            } => token(Issuer::github(
                *app_id,
                *installation_id,
                private_key,
                base_url,
            )?),
            CredentialKind::GoogleCloud(key) => token(Issuer::google(key)?),
        })
    }

    fn basic(name: &str, password: &str) -> Self {
        let mut shown = Vec::new();
        echo::add(&mut shown, password);
        Self::Line {
            line: basic(name, password),
            shown,
        }
    }

    /// The value of the header line, if there is one.
    pub(super) async fn authorization(
        &mut self,
        limit: Duration,
    ) -> Result<Option<Secret>, ChannelEnd> {
        match self {
            Self::None => Ok(None),
            Self::Line { line, .. } => Ok(Some(line.clone())),
            Self::Token {
                issuer,
                client,
                tokens,
            } => {
                let token = tokens.token(issuer, client, limit).await?;
                let user = issuer.user().unwrap_or(TOKEN_USER);
                Ok(Some(basic(user, token.reveal())))
            }
        }
    }

    /// The server did not accept it: a token is not used again.
    pub(super) fn forget(&self) {
        match self {
            Self::None | Self::Line { .. } => {}
            Self::Token { issuer, tokens, .. } => tokens.forget(issuer),
        }
    }

    /// Texts that nobody else may see.
    pub(super) fn secrets(&self) -> Vec<String> {
        match self {
            Self::None => Vec::new(),
            Self::Line { shown, .. } => shown.clone(),
            Self::Token { issuer, tokens, .. } => {
                let mut shown = Vec::new();
                if let Some(token) = tokens.kept(issuer) {
                    echo::add(&mut shown, token.reveal());
                }
                shown
            }
        }
    }
}

fn basic(name: &str, password: &str) -> Secret {
    let pair = base64::encode(format!("{name}:{password}").as_bytes());
    Secret::new(format!("Basic {pair}"))
}

/// What cannot be opened until somebody changes the credential.
pub(super) fn refused(detail: String) -> ChannelEnd {
    ChannelEnd::Refused {
        kind: RefusalKind::Unauthenticated,
        detail,
    }
}
