//! Tokens in the place of passwords: of a GitHub App's installation, of a service account of Google Cloud
//! (`writeback.md` 11.3).
//!
//! A token is asked for once, whoever needs it at the same time, and is used until shortly before its end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use image_updater_core::git::{ChannelEnd, RefusalKind, Remedy, refusal};
use image_updater_core::http::{HeaderValue, Method};
use image_updater_core::registry::base64;
use image_updater_core::rfc3339;
use image_updater_core::secret::Secret;
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use tokio::time::Instant;

use super::https::ended;
use super::login::refused;
use crate::clock::{Clock, stopwatch};
use crate::http::{PrivateClient, PrivateRequest};

/// A token is not used in the last minutes of its life.
const MARGIN: Duration = Duration::from_mins(5);
/// How long what we sign is good for; GitHub allows ten minutes, and clocks differ.
const ASSERTION_SECS: i64 = 540;
const CLOCK_SKEW_SECS: i64 = 60;
const BODY_BYTES_MAX: usize = 64 << 10;
/// Tokens that are kept before those that are over are forgotten.
const TOKENS_MAX: usize = 256;
const GITHUB_URL: &str = "https://api.github.com";
const GOOGLE_URL: &str = "https://oauth2.googleapis.com/token";
const GOOGLE_SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// Who gives out a token, and for what.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Issuer {
    kind: IssuerKind,
    url: String,
    /// PEM.
    private_key: Secret,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum IssuerKind {
    Github { app_id: i64, installation_id: i64 },
    Google { email: String },
}

#[derive(Deserialize)]
struct GoogleKey {
    client_email: String,
    private_key: String,
    token_uri: Option<String>,
}

#[derive(Deserialize)]
struct GithubAnswer {
    token: String,
    expires_at: Option<String>,
}

#[derive(Deserialize)]
struct GoogleAnswer {
    access_token: String,
    expires_in: Option<u64>,
}

impl Issuer {
    /// GitHub, or a GitHub Enterprise at `base_url`.
    pub(super) fn github(
        app_id: i64,
        installation_id: i64,
        private_key: &Secret,
        base_url: &str,
    ) -> Result<Self, ChannelEnd> {
        let base = match base_url.trim().trim_end_matches('/') {
            "" => GITHUB_URL,
            base => base,
        };
        let issuer = Self {
            kind: IssuerKind::Github {
                app_id,
                installation_id,
            },
            url: format!("{base}/app/installations/{installation_id}/access_tokens"),
            private_key: private_key.clone(),
        };
        issuer.key_pair()?;
        Ok(issuer)
    }

    /// Google, for the service account of a key file.
    pub(super) fn google(key: &Secret) -> Result<Self, ChannelEnd> {
        let key: GoogleKey = serde_json::from_str(key.reveal()).map_err(|_| {
            refused("credentials for Google Cloud Source repositories are invalid".to_owned())
        })?;
        let url = key.token_uri.as_deref().unwrap_or(GOOGLE_URL);
        if !url.starts_with("https://") {
            return Err(refused(
                "token_uri in the Google Cloud key is no https:// URL".to_owned(),
            ));
        }
        let issuer = Self {
            url: url.to_owned(),
            kind: IssuerKind::Google {
                email: key.client_email,
            },
            private_key: Secret::new(key.private_key),
        };
        issuer.key_pair()?;
        Ok(issuer)
    }

    /// Where tokens are asked for.
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// The user that stands beside its tokens, where that is not the usual one.
    pub(super) fn user(&self) -> Option<&str> {
        match &self.kind {
            IssuerKind::Github { .. } => None,
            IssuerKind::Google { email } => Some(email),
        }
    }

    fn key_pair(&self) -> Result<RsaKeyPair, ChannelEnd> {
        let pair = match PrivateKeyDer::from_pem_slice(self.private_key.reveal().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(der)) => RsaKeyPair::from_der(der.secret_pkcs1_der()).ok(),
            Ok(PrivateKeyDer::Pkcs8(der)) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok(),
            Ok(_) | Err(_) => None,
        };
        pair.ok_or_else(|| {
            let text =
                "its private key is no RSA key of at least 2048 bits in PEM without a password";
            refused(format!("{self}: {text}"))
        })
    }

    fn assertion(&self, now_secs: i64) -> Result<String, ChannelEnd> {
        let (from, until) = (now_secs - CLOCK_SKEW_SECS, now_secs + ASSERTION_SECS);
        let claims = match &self.kind {
            IssuerKind::Github { app_id, .. } => serde_json::json!({
                "iat": from, "exp": until, "iss": app_id.to_string(),
            }),
            IssuerKind::Google { email } => serde_json::json!({
                "iat": from, "exp": until, "iss": email, "aud": self.url, "scope": GOOGLE_SCOPE,
            }),
        };
        let mut text = base64_url(br#"{"alg":"RS256","typ":"JWT"}"#);
        text.push('.');
        text.push_str(&base64_url(claims.to_string().as_bytes()));
        let pair = self.key_pair()?;
        let mut signature = vec![0; pair.public().modulus_len()];
        let random = SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature)
            .map_err(|_| refused(format!("{self}: its private key does not sign")))?;
        text.push('.');
        text.push_str(&base64_url(&signature));
        Ok(text)
    }

    fn request(&self, assertion: &str) -> PrivateRequest<'_> {
        let plain =
            |name: &str, value: &str| (name.to_owned(), HeaderValue::Plain(value.to_owned()));
        let (headers, body) = match self.kind {
            IssuerKind::Github { .. } => {
                let bearer = Secret::new(format!("Bearer {assertion}"));
                let headers = vec![
                    plain("accept", "application/vnd.github+json"),
                    ("authorization".to_owned(), HeaderValue::Secret(bearer)),
                ];
                (headers, Vec::new())
            }
            IssuerKind::Google { .. } => {
                let form = format!(
                    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
                );
                let headers = vec![plain("content-type", "application/x-www-form-urlencoded")];
                (headers, form.into_bytes())
            }
        };
        PrivateRequest {
            method: Method::Post,
            url: &self.url,
            headers,
            body,
            is_repeatable: true,
        }
    }

    /// The token in an answer, and how long it lives.
    fn read(&self, body: &[u8], now_secs: i64) -> Option<(Secret, Option<Duration>)> {
        match self.kind {
            IssuerKind::Github { .. } => {
                let answer: GithubAnswer = serde_json::from_slice(body).ok()?;
                let end = answer.expires_at.as_deref().and_then(rfc3339::parse);
                let life = end.map(|end| end.as_secs() - now_secs);
                let life = life.map(|secs| Duration::from_secs(u64::try_from(secs).unwrap_or(0)));
                Some((Secret::new(answer.token), life))
            }
            IssuerKind::Google { .. } => {
                let answer: GoogleAnswer = serde_json::from_slice(body).ok()?;
                let life = answer.expires_in.map(Duration::from_secs);
                Some((Secret::new(answer.access_token), life))
            }
        }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            IssuerKind::Github {
                app_id,
                installation_id,
            } => write!(f, "GitHub App {app_id}, installation {installation_id}"),
            IssuerKind::Google { email } => write!(f, "Google Cloud account {email}"),
        }
    }
}

/// The tokens of the process.
#[derive(Debug)]
pub(super) struct Tokens {
    lifetime_max: Duration,
    clock: Clock,
    slots: Mutex<BTreeMap<Issuer, Arc<Slot>>>,
}

/// A token, and the line of those who wait for it.
#[derive(Debug, Default)]
struct Slot {
    asking: tokio::sync::Mutex<()>,
    kept: Mutex<Option<Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    token: Secret,
    until: Instant,
}

impl Tokens {
    /// None yet; each is used for `lifetime_max` at most.
    pub(super) fn new(lifetime_max: Duration) -> Self {
        Self {
            lifetime_max,
            clock: Clock::start(),
            slots: Mutex::default(),
        }
    }

    /// A token that can be used now; asks for one within `limit`.
    pub(super) async fn token(
        &self,
        issuer: &Issuer,
        client: &mut PrivateClient,
        limit: Duration,
    ) -> Result<Secret, ChannelEnd> {
        let slot = self.slot(issuer);
        let _first = slot.asking.lock().await;
        if let Some(token) = slot.token() {
            return Ok(token);
        }
        let now_secs = self.clock.now().wall.as_secs();
        let assertion = issuer.assertion(now_secs)?;
        let asked = async {
            let answer = client.send(issuer.request(&assertion), limit).await;
            let answer = answer.map_err(ended)?;
            let status = answer.status;
            let body = answer.whole(BODY_BYTES_MAX).await;
            let body = body.map_err(|failure| failure.detail).map_err(not_opened)?;
            Ok((status, body.unwrap_or_default()))
        };
        let answered = tokio::time::timeout(limit, asked).await;
        let (status, body) = answered
            .unwrap_or_else(|_passed| Err(not_opened(format!("no token within {limit:?}"))))
            .map_err(|end| about(issuer, end))?;
        if !(200..300).contains(&status) {
            // A server that knows no such app or installation says 404.
            let kind = refusal::of_status(status);
            let kind = if kind.remedy() == Remedy::Wait {
                kind
            } else {
                RefusalKind::Unauthenticated
            };
            let detail = format!(
                "{issuer}: {} answers {status} to the request for a token",
                issuer.url
            );
            return Err(ChannelEnd::Refused { kind, detail });
        }
        let (token, life) = issuer.read(&body, now_secs).ok_or_else(|| {
            not_opened(format!(
                "{issuer}: there is no token in the answer of {}",
                issuer.url
            ))
        })?;
        let life = life.unwrap_or(self.lifetime_max).saturating_sub(MARGIN);
        let until = stopwatch() + life.min(self.lifetime_max);
        *lock(&slot.kept) = Some(Kept {
            token: token.clone(),
            until,
        });
        Ok(token)
    }

    /// The token that was used last.
    pub(super) fn kept(&self, issuer: &Issuer) -> Option<Secret> {
        let slots = lock(&self.slots);
        let kept = lock(&slots.get(issuer)?.kept).clone();
        kept.map(|kept| kept.token)
    }

    /// The token was not accepted.
    pub(super) fn forget(&self, issuer: &Issuer) {
        lock(&self.slots).remove(issuer);
    }

    fn slot(&self, issuer: &Issuer) -> Arc<Slot> {
        let mut slots = lock(&self.slots);
        if slots.len() >= TOKENS_MAX {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.token().is_some());
        }
        if slots.len() >= TOKENS_MAX {
            slots.clear();
        }
        Arc::clone(slots.entry(issuer.clone()).or_default())
    }
}

impl Slot {
    fn token(&self) -> Option<Secret> {
        let kept = lock(&self.kept);
        let usable = kept.as_ref().filter(|kept| stopwatch() < kept.until);
        usable.map(|kept| kept.token.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_opened(detail: String) -> ChannelEnd {
    ChannelEnd::NotOpened { detail }
}

/// Whatever happened to the request for a token, the channel was not opened.
fn about(issuer: &Issuer, end: ChannelEnd) -> ChannelEnd {
    match end {
        ChannelEnd::NotOpened { detail } | ChannelEnd::Broken { detail } => {
            not_opened(format!("{issuer}: {detail}"))
        }
        end @ (ChannelEnd::Finished | ChannelEnd::Refused { .. }) => end,
    }
}

fn base64_url(bytes: &[u8]) -> String {
    let text = base64::encode(bytes);
    text.trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}
