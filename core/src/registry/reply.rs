//! What a registry's answer means: the one place that maps statuses and transport failures to
//! decisions (`registry.md` 5.9, D-14).

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::Value;

use super::budget::Hint;
use super::challenge;
use super::outcome::LookupFailureKind;
use crate::http::{HttpOutcome, HttpResponse, TransportKind};
use crate::time::UnixTime;

/// Longest piece of a server's words that is passed on to people.
const WORDS_CHARS_MAX: usize = 300;

/// What an answer means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// 2xx: the content is there.
    Found(HttpResponse),
    /// 301, 302, 303, 307, 308 with a place to go.
    Moved(String),
    /// 304: what was asked for on a condition has not changed.
    Unchanged(HttpResponse),
    /// 401: show who you are.
    Challenged(HttpResponse),
    /// Anything else.
    Refused(Refusal),
}

/// A failed attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The class.
    pub kind: LookupFailureKind,
    /// Another attempt may succeed: transport failures, 408, 429, 5xx.
    pub is_retryable: bool,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
    /// A clause for people, without names and secrets.
    pub detail: Box<str>,
}

impl Refusal {
    /// A failure that no further attempt can mend.
    pub fn lasting(kind: LookupFailureKind, detail: impl Into<Box<str>>) -> Self {
        Self {
            kind,
            is_retryable: false,
            retry_after: None,
            detail: detail.into(),
        }
    }
}

/// Sorts an answer that came at `wall`.
pub fn judge(outcome: HttpOutcome, wall: UnixTime) -> Reply {
    let response = match outcome {
        HttpOutcome::Response(response) => response,
        HttpOutcome::Failed(failure) => {
            return Reply::Refused(judge_transport(failure.kind, &failure.detail));
        }
    };
    match response.status {
        200..=299 => Reply::Found(response),
        301 | 302 | 303 | 307 | 308 => match response.header("location") {
            Some(place) if !place.is_empty() => Reply::Moved(place.to_owned()),
            _ => Reply::Refused(Refusal::lasting(
                LookupFailureKind::Malformed,
                "the server redirects to nowhere",
            )),
        },
        304 => Reply::Unchanged(response),
        401 => Reply::Challenged(response),
        _ => Reply::Refused(judge_status(&response, wall)),
    }
}

/// What a status that is no success means; also for a 401 that is final.
pub fn judge_status(response: &HttpResponse, wall: UnixTime) -> Refusal {
    let retry_after = Hint::read(response, wall).retry_after;
    let (kind, is_retryable) = match response.status {
        401 | 403 => (LookupFailureKind::Denied, false),
        404 | 410 => (LookupFailureKind::Missing, false),
        429 => (LookupFailureKind::Throttled, true),
        503 if retry_after.is_some() => (LookupFailureKind::Throttled, true),
        408 | 500..=599 => (LookupFailureKind::Transient, true),
        _ => (LookupFailureKind::Malformed, false),
    };
    Refusal {
        kind,
        is_retryable,
        retry_after: retry_after.filter(|_| kind == LookupFailureKind::Throttled),
        detail: error_message(
            response.status,
            response.headers_named("www-authenticate"),
            &response.body,
        )
        .into(),
    }
}

fn judge_transport(kind: TransportKind, detail: &str) -> Refusal {
    let (class, is_retryable) = match kind {
        TransportKind::Dns | TransportKind::Refused | TransportKind::Tls => {
            (LookupFailureKind::Unreachable, true)
        }
        TransportKind::NoLocalPort
        | TransportKind::TimedOut
        | TransportKind::Closed
        | TransportKind::Malformed
        | TransportKind::Cancelled
        | TransportKind::Crashed => (LookupFailureKind::Transient, true),
        TransportKind::TooLarge => (LookupFailureKind::Malformed, false),
    };
    Refusal {
        kind: class,
        is_retryable,
        retry_after: None,
        detail: format!("{}: {}", kind.as_str(), shorten(detail)).into(),
    }
}

/// The text for a status that is no success (`registry.md` 5.9).
pub fn error_message<'a>(
    status: u16,
    www_authenticate: impl Iterator<Item = &'a str>,
    body: &[u8],
) -> String {
    let mut texts = Vec::new();
    if (400..500).contains(&status) {
        for challenge in challenge::parse(www_authenticate) {
            let (word, standard) = match challenge.param("error") {
                Some("invalid_token") if status == 401 => {
                    ("unauthorized", "authentication required")
                }
                Some("insufficient_scope") if status == 401 => {
                    ("denied", "requested access to the resource is denied")
                }
                _ => continue,
            };
            let said = challenge.param("error_description").unwrap_or(standard);
            texts.push(format!("{word}: {}", shorten(said)));
        }
        texts.push(client_error_text(status, body));
    } else {
        let name = status_name(status);
        let gap = if name.is_empty() { "" } else { " " };
        texts.push(format!(
            "received unexpected HTTP status: {status}{gap}{name}"
        ));
    }
    texts.join(", ")
}

/// The errors that a body lists as registries do; `None` when it is no such list.
pub(super) fn errors_of(body: &[u8]) -> Option<Vec<Value>> {
    let mut said: Value = serde_json::from_slice(body).ok()?;
    match said.get_mut("errors")?.take() {
        Value::Array(errors) => Some(errors),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            None
        }
    }
}

fn client_error_text(status: u16, body: &[u8]) -> String {
    let document: Option<Value> = serde_json::from_slice(body).ok();
    let said = document.as_ref();
    if let Some(details) = said
        .and_then(|said| said["details"].as_str())
        .filter(|text| !text.is_empty())
    {
        let word = match status {
            401 => "unauthorized",
            403 => "denied",
            429 => "toomanyrequests",
            _ => "unknown",
        };
        return format!("{word}: {}", shorten(details));
    }
    let errors = said.and_then(|said| said["errors"].as_array());
    match errors.filter(|errors| !errors.is_empty()) {
        Some(errors) => {
            let texts: Vec<String> = errors.iter().take(5).map(error_text).collect();
            texts.join(", ")
        }
        None if status == 401 => "unauthorized: authentication required".to_owned(),
        None if document.is_some() => format!(
            "error parsing HTTP {status} response body: no error details found in HTTP response body: {}",
            shorten(&String::from_utf8_lossy(body))
        ),
        None => format!(
            "error parsing HTTP {status} response body: {}",
            shorten(&String::from_utf8_lossy(body))
        ),
    }
}

fn error_text(error: &Value) -> String {
    let code = error["code"].as_str().unwrap_or("");
    let message = error["message"].as_str().unwrap_or("");
    let known = KNOWN_CODES.iter().find(|(known, _)| *known == code);
    let word = known.map_or_else(
        || "unknown".to_owned(),
        |(known, _)| known.to_ascii_lowercase().replace('_', " "),
    );
    let is_bare = message.is_empty() || known.is_some_and(|(_, standard)| *standard == message);
    if is_bare && error["detail"].is_null() {
        word
    } else {
        format!("{word}: {}", shorten(message))
    }
}

/// The codes that registries answer with, and their standard texts.
const KNOWN_CODES: [(&str, &str); 19] = [
    ("UNKNOWN", "unknown error"),
    ("UNSUPPORTED", "The operation is unsupported."),
    ("UNAUTHORIZED", "authentication required"),
    ("DENIED", "requested access to the resource is denied"),
    ("UNAVAILABLE", "service unavailable"),
    ("TOOMANYREQUESTS", "too many requests"),
    (
        "DIGEST_INVALID",
        "provided digest did not match uploaded content",
    ),
    (
        "SIZE_INVALID",
        "provided length did not match content length",
    ),
    ("RANGE_INVALID", "invalid content range"),
    ("NAME_INVALID", "invalid repository name"),
    ("TAG_INVALID", "manifest tag did not match URI"),
    ("NAME_UNKNOWN", "repository name not known to registry"),
    ("MANIFEST_UNKNOWN", "manifest unknown"),
    ("MANIFEST_INVALID", "manifest invalid"),
    (
        "MANIFEST_UNVERIFIED",
        "manifest failed signature verification",
    ),
    ("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry"),
    ("BLOB_UNKNOWN", "blob unknown to registry"),
    ("BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"),
    ("BLOB_UPLOAD_INVALID", "blob upload invalid"),
];

fn status_name(status: u16) -> &'static str {
    match status {
        300 => "Multiple Choices",
        304 => "Not Modified",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

/// A server's words on one bounded line.
fn shorten(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(WORDS_CHARS_MAX) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line,
    }
}
