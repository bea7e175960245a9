//! Bearer tokens: the request for one, and what the answer means (`registry.md` 5.7.3).

use alloc::format;
use alloc::string::String;
use core::fmt;
use core::time::Duration;

use serde::Deserialize;

use super::login::Login;
use super::url;
use crate::http::{Method, ShownUrl};
use crate::secret::Secret;

/// Shortest life of a token, whatever the server says.
const LIFETIME_MIN: Duration = Duration::from_mins(1);
/// Longest life that we believe.
const LIFETIME_MAX: Duration = Duration::from_hours(24);

/// The scope that reading a repository takes, asked for at a token server with this host and port.
///
/// Azure's registries part reading into three actions (`registry.md` 18), everybody else's call it one.
pub fn read_scope(authority: &str, repository: &str) -> String {
    let host = authority.split(':').next().unwrap_or(authority);
    let is_azure = [".azurecr.io", ".azurecr.cn", ".azurecr.us"]
        .iter()
        .any(|domain| host.to_ascii_lowercase().ends_with(domain));
    let actions = if is_azure {
        "pull,metadata_read,content_read"
    } else {
        "pull"
    };
    format!("repository:{repository}:{actions}")
}

/// What to send to a token server. `Debug` hides the query.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// GET with a query, or POST with a form.
    pub method: Method,
    /// The realm; for GET with its query.
    pub url: String,
    /// The form of a POST; holds the refresh token.
    pub form: Option<Secret>,
    /// The value of `Authorization`.
    pub basic: Option<Secret>,
}

impl fmt::Debug for TokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            method,
            url,
            form,
            basic,
        } = self;
        f.debug_struct("TokenRequest")
            .field("method", method)
            .field("url", &ShownUrl(url))
            .field("form", form)
            .field("basic", basic)
            .finish()
    }
}

/// Why no token can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RealmError {
    /// The challenge names no realm.
    Missing,
    /// The realm is no `http` or `https` URL.
    Unreadable,
}

impl fmt::Display for RealmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "no realm specified for token auth challenge",
            Self::Unreadable => "the realm of the token auth challenge is no http or https URL",
        })
    }
}

impl core::error::Error for RealmError {}

/// Builds the request for a token that may pull `repository`.
///
/// With a refresh token it is a POST; else a GET, with user and password when both are known.
///
/// # Errors
/// [`RealmError`] when the realm is empty or no URL.
pub fn request(
    realm: &str,
    service: &str,
    repository: &str,
    login: Option<&Login>,
    refresh_token: Option<&Secret>,
) -> Result<TokenRequest, RealmError> {
    if realm.is_empty() {
        return Err(RealmError::Missing);
    }
    let parts = url::split(realm).ok_or(RealmError::Unreadable)?;
    let scope = read_scope(parts.authority, repository);
    if let Some(refresh_token) = refresh_token {
        let mut pairs = alloc::vec![
            ("client_id", "registry-client"),
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.reveal()),
            ("scope", scope.as_str()),
        ];
        if !service.is_empty() {
            pairs.push(("service", service));
        }
        return Ok(TokenRequest {
            method: Method::Post,
            url: realm.into(),
            form: Some(Secret::new(url::encode_form(&pairs))),
            basic: None,
        });
    }
    let login = login.filter(|login| login.has_password());
    let own = url::decode_form(parts.query.trim_start_matches('?'));
    let mut pairs: alloc::vec::Vec<(&str, &str)> = own
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    if !service.is_empty() {
        pairs.push(("service", service));
    }
    pairs.push(("scope", &scope));
    if let Some(login) = login {
        pairs.push(("account", &login.username));
    }
    let base = realm.split(['?', '#']).next().unwrap_or(realm);
    Ok(TokenRequest {
        method: Method::Get,
        url: format!("{base}?{}", url::encode_form(&pairs)),
        form: None,
        basic: login.and_then(Login::to_basic),
    })
}

/// A token as the server issued it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IssuedToken {
    /// The token.
    pub token: Secret,
    /// How long it lives from its receipt: at least 60 seconds.
    pub lifetime: Duration,
    /// The life that the server announced, if it announced one.
    pub announced: Option<Duration>,
    /// A refresh token that came with it.
    pub refresh_token: Option<Secret>,
}

impl IssuedToken {
    /// How long after its receipt it is renewed: a tenth of its life early, at most 30 seconds (D-27).
    pub fn renew_after(&self) -> Duration {
        self.lifetime
            .saturating_sub((self.lifetime / 10).min(Duration::from_secs(30)))
    }
}

/// Why an answer holds no token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenError {
    /// The body is no JSON of the expected shape.
    Undecodable,
    /// There is no token in it.
    Missing,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Undecodable => "unable to decode token response",
            Self::Missing => "authorization server did not include a token in the response",
        })
    }
}

impl core::error::Error for TokenError {}

/// Reads a successful answer of a token server. `access_token` wins over `token`, and is the only one
/// that counts after a POST. The life of the token counts from its receipt, not from the server's
/// `issued_at`: clocks differ (D-27).
///
/// # Errors
/// [`TokenError`] when there is no token.
pub fn read_response(method: Method, body: &[u8]) -> Result<IssuedToken, TokenError> {
    #[derive(Deserialize)]
    struct Body {
        token: Option<String>,
        access_token: Option<String>,
        expires_in: Option<i64>,
        refresh_token: Option<String>,
    }
    let body: Body = serde_json::from_slice(body).map_err(|_| TokenError::Undecodable)?;
    let is_given = |token: &String| !token.is_empty();
    let token = body.access_token.filter(is_given).or_else(|| {
        body.token
            .filter(is_given)
            .filter(|_| method != Method::Post)
    });
    let token = token
        .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or(TokenError::Missing)?;
    let secs = u64::try_from(body.expires_in.unwrap_or(0)).unwrap_or(0);
    Ok(IssuedToken {
        token: Secret::new(token),
        lifetime: Duration::from_secs(secs).clamp(LIFETIME_MIN, LIFETIME_MAX),
        announced: (secs > 0).then(|| Duration::from_secs(secs)),
        refresh_token: body.refresh_token.filter(is_given).map(Secret::new),
    })
}
