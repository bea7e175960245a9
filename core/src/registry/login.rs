//! From the raw content of a credential source to a login (`registry.md` 4.2, 4.3).

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde_json::Value;

use super::{base64, url};
use crate::credential::CredentialSource;
use crate::keyed::fingerprint;
use crate::secret::Secret;

/// Who we are towards a registry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    /// The user; may be empty when there is an identity token.
    pub username: Box<str>,
    /// The password.
    pub password: Secret,
    /// A refresh token (`identitytoken` of a docker config), used instead of user and password.
    pub identity_token: Option<Secret>,
}

impl Login {
    /// True when user and password can be sent.
    pub fn has_password(&self) -> bool {
        !self.username.is_empty() && !self.password.is_empty()
    }

    /// The value of `Authorization` for Basic, when user and password are known.
    pub fn to_basic(&self) -> Option<Secret> {
        self.has_password().then(|| {
            let pair = format!("{}:{}", self.username, self.password.reveal());
            Secret::new(format!("Basic {}", base64::encode(pair.as_bytes())))
        })
    }

    /// Distinguishes logins in keys; tells nothing about them.
    pub fn fingerprint(&self) -> u64 {
        let token = self.identity_token.as_ref().map_or("", Secret::reveal);
        let parts = [&*self.username, self.password.reveal(), token];
        fingerprint(parts.join("\0").as_bytes())
    }
}

/// The parsed content of a credential source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginContent {
    /// One `user:password`, whatever the registry.
    Single(Login),
    /// A docker config: one login per registry.
    DockerConfig(DockerConfig),
}

impl LoginContent {
    /// Parses what `source` yielded.
    ///
    /// # Errors
    /// [`LoginError`]; its text never holds the content.
    pub fn parse(source: &CredentialSource, raw: &Secret) -> Result<Self, LoginError> {
        match source {
            CredentialSource::PullSecret { .. } => {
                DockerConfig::parse(raw.reveal()).map(Self::DockerConfig)
            }
            CredentialSource::Secret { .. }
            | CredentialSource::Env(_)
            | CredentialSource::Ext(_) => parse_pair(source, raw.reveal()).map(Self::Single),
        }
    }

    /// The login for a registry, given its API URL and the repository.
    ///
    /// # Errors
    /// [`LoginError`] when a docker config has no usable entry for it.
    pub fn login_for(&self, api_url: &str, repository: Option<&str>) -> Result<Login, LoginError> {
        match self {
            Self::Single(login) => Ok(login.clone()),
            Self::DockerConfig(config) => config.login_for(api_url, repository),
        }
    }
}

/// Why a credential cannot be used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LoginError {
    /// A value is not one line of `user:password`; the text says whose.
    Malformed(Box<str>),
    /// A docker config is no JSON object.
    Json,
    /// A docker config has no object `auths`.
    NoAuths,
    /// No entry is for this registry.
    NoEntry(Box<str>),
    /// The entry for this registry is broken; the text says how.
    BrokenEntry(Box<str>),
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(text) | Self::BrokenEntry(text) => f.write_str(text),
            Self::Json => f.write_str("the image pull secret is no json object"),
            Self::NoAuths => f.write_str("no credentials in image pull secret"),
            Self::NoEntry(registry) => write!(
                f,
                "no valid auth entry for registry {registry} found in image pull secret"
            ),
        }
    }
}

impl core::error::Error for LoginError {}

fn parse_pair(source: &CredentialSource, raw: &str) -> Result<Login, LoginError> {
    let malformed = || {
        LoginError::Malformed(match source {
            CredentialSource::Env(name) => {
                format!("value of {name} is malformed: user:password is wanted").into()
            }
            CredentialSource::Secret {
                namespace,
                name,
                field,
            } => format!(
                "invalid credentials in secret {namespace}/{name}, field {field}: \
                 user:password is wanted"
            )
            .into(),
            CredentialSource::Ext(path) => {
                format!("invalid script output from {path}: user:password is wanted").into()
            }
            CredentialSource::PullSecret { namespace, name } => {
                format!("invalid pull secret {namespace}/{name}").into()
            }
        })
    };
    let line = raw.trim_end_matches(['\r', '\n']);
    match line.split_once(':') {
        Some((user, password))
            if !user.is_empty() && !password.is_empty() && !line.contains(['\r', '\n']) =>
        {
            Ok(Login {
                username: user.into(),
                password: Secret::new(password),
                identity_token: None,
            })
        }
        _ => Err(malformed()),
    }
}

/// The `auths` of a docker config JSON.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DockerConfig {
    entries: Vec<DockerConfigEntry>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct DockerConfigEntry {
    host: Box<str>,
    /// Path without slashes at its ends and without the API version.
    path: Box<str>,
    login: Result<Login, LoginError>,
}

impl DockerConfig {
    /// Parses the text of a `.dockerconfigjson`.
    ///
    /// # Errors
    /// [`LoginError::Json`] and [`LoginError::NoAuths`]; broken entries are errors of their registry
    /// only.
    pub fn parse(text: &str) -> Result<Self, LoginError> {
        let document: Value = serde_json::from_str(text).map_err(|_| LoginError::Json)?;
        let auths = document
            .get("auths")
            .and_then(Value::as_object)
            .ok_or(LoginError::NoAuths)?;
        let entries = auths
            .iter()
            .map(|(key, value)| {
                let (host, path) = normalise(key);
                DockerConfigEntry {
                    host: host.into(),
                    path: path.into(),
                    login: parse_entry(key, value),
                }
            })
            .collect();
        Ok(Self { entries })
    }

    /// The login for a registry: host and port are equal, Docker Hub's names are one, the longest path
    /// wins, a broken entry only counts when there is no other of its path (`registry.md` D-29).
    ///
    /// The path of a key must lead to the API URL's path or to the repository. Without a repository, a
    /// key whose path leads further than the API URL is taken when there is no better one.
    ///
    /// # Errors
    /// [`LoginError::NoEntry`] or [`LoginError::BrokenEntry`].
    pub fn login_for(&self, api_url: &str, repository: Option<&str>) -> Result<Login, LoginError> {
        let (host, path) = normalise(api_url);
        let rank = |entry: &DockerConfigEntry| -> Option<(bool, usize, bool)> {
            let is_leading = leads_to(&entry.path, &path)
                || repository.is_some_and(|repository| leads_to(&entry.path, repository));
            let is_possible = *entry.host == *host && (is_leading || repository.is_none());
            is_possible.then(|| {
                let weight = if is_leading { entry.path.len() } else { 0 };
                (is_leading, weight, entry.login.is_ok())
            })
        };
        self.entries
            .iter()
            .filter_map(|entry| rank(entry).map(|rank| (rank, entry)))
            .max_by_key(|(rank, _)| *rank)
            .map_or_else(
                || Err(LoginError::NoEntry(api_url.into())),
                |(_, entry)| entry.login.clone(),
            )
    }
}

/// True when `path` is `target` or leads to it at a `/`.
fn leads_to(path: &str, target: &str) -> bool {
    path.is_empty()
        || target
            .strip_prefix(path)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Host with port in lower case, and path without the API version.
fn normalise(key: &str) -> (String, String) {
    let (is_https, rest) = match key.split_once("://") {
        Some((scheme, rest)) => (!scheme.eq_ignore_ascii_case("http"), rest),
        None => (true, key),
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = url::without_own_port(authority, is_https).to_ascii_lowercase();
    let host = match host.as_str() {
        "docker.io" | "index.docker.io" | "registry-1.docker.io" => "docker.io".to_owned(),
        _ => host,
    };
    let path = path.trim_matches('/');
    let path = match path {
        "v1" | "v2" => "",
        _ => path
            .strip_suffix("/v1")
            .or_else(|| path.strip_suffix("/v2"))
            .unwrap_or(path),
    };
    (host, path.to_owned())
}

fn parse_entry(key: &str, value: &Value) -> Result<Login, LoginError> {
    let broken = |text: &str| LoginError::BrokenEntry(format!("{text} {key}").into());
    let entry = value
        .as_object()
        .ok_or_else(|| broken("invalid image pull secret ('auths' entry should be map) for"))?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("");
    let identity_token = Some(text("identitytoken"))
        .filter(|token| !token.is_empty())
        .map(Secret::new);
    let auth = match entry.get("auth") {
        None | Some(Value::Null) => "",
        Some(auth) => auth
            .as_str()
            .ok_or_else(|| broken("invalid auth token for registry entry"))?,
    };
    if !auth.is_empty() {
        let decoded = base64::decode(auth)
            .ok_or_else(|| broken("could not base64-decode auth data for registry entry"))?;
        let pair = String::from_utf8(decoded).ok();
        let (username, password) = pair
            .as_deref()
            .and_then(|pair| pair.split_once(':'))
            .ok_or_else(|| {
                broken("invalid data after base64 decoding auth entry for registry entry")
            })?;
        return Ok(Login {
            username: username.into(),
            password: Secret::new(password),
            identity_token,
        });
    }
    let (username, password) = (text("username"), text("password"));
    if identity_token.is_none() && (username.is_empty() || password.is_empty()) {
        return Err(broken("invalid auth token for registry entry"));
    }
    Ok(Login {
        username: username.into(),
        password: Secret::new(password),
        identity_token,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, api_url: &str, repository: Option<&str>, expected: Option<&str>) {
        let config = DockerConfig::parse(json).expect("a docker config");
        let login = config.login_for(api_url, repository).ok();
        assert_eq!(login.as_ref().map(|login| &*login.username), expected);
    }

    #[test]
    fn hosts_are_equal_and_the_longest_path_wins() {
        let json = r#"{"auths":{"reg.io":{"auth":"YTox"},"reg.io/team":{"auth":"Yjoy"},
            "reg.io.evil":{"auth":"YzozIA=="},"reg.io:5000":{"auth":"ZDo0"}}}"#;
        check(json, "https://reg.io", Some("org/app"), Some("a"));
        check(json, "https://reg.io", Some("team/app"), Some("b"));
        check(json, "https://reg.io", Some("teams/app"), Some("a"));
        check(json, "https://reg.io", None, Some("a"));
        check(json, "https://reg.io:443", None, Some("a"));
        check(json, "https://reg.io:5000", None, Some("d"));
        check(json, "https://io", None, None);
    }

    #[test]
    fn docker_hub_has_three_names() {
        let json = r#"{"auths":{"https://index.docker.io/v1/":{"username":"u","password":"p"}}}"#;
        check(
            json,
            "https://registry-1.docker.io",
            Some("library/nginx"),
            Some("u"),
        );
    }

    #[test]
    fn an_identity_token_is_a_login_without_a_password() {
        let json = r#"{"auths":{"x.azurecr.io":{"identitytoken":"RT"}}}"#;
        let login = DockerConfig::parse(json)
            .expect("a docker config")
            .login_for("https://x.azurecr.io", None)
            .expect("an entry");
        assert!(login.to_basic().is_none());
        assert!(login.identity_token.is_some());
    }

    #[test]
    fn a_secret_never_shows_in_an_error_or_debug() {
        let source = CredentialSource::Env("X".into());
        let error = LoginContent::parse(&source, &Secret::new("canary")).expect_err("malformed");
        assert!(!format!("{error} {error:?}").contains("canary"));
        let login = LoginContent::parse(&source, &Secret::new("u:canary\r\n")).expect("a pair");
        assert!(!format!("{login:?}").contains("canary"));
        for bad in ["u:p\nv:q", "u:", ":p", "", "up"] {
            assert!(
                LoginContent::parse(&source, &Secret::new(bad)).is_err(),
                "{bad:?}"
            );
        }
    }
}
