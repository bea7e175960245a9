//! One call to the API server: the request's path, the whole reply, and how a call fails.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use image_updater_core::id::AppKey;
use kube::client::Body;
use serde::Deserialize;

use crate::http::failure::{LimitPassed, describe, is_before_sending};
use crate::http::redact::one_line;

/// Longest text of the server that is handed on.
const MESSAGE_CHARS_MAX: usize = 300;

/// Longest body of an error reply that is read.
pub(super) const STATUS_BYTES_MAX: usize = 64 * 1024;

/// Talks to the API server.
#[derive(Clone)]
pub struct ClusterClient {
    client: kube::Client,
}

impl std::fmt::Debug for ClusterClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterClient").finish_non_exhaustive()
    }
}

/// Why a call has no whole reply.
#[derive(Debug)]
pub(super) enum CallFailure {
    /// No byte of the request reached the server.
    BeforeSending(String),
    /// The request may have been served.
    Lost(String),
}

impl CallFailure {
    pub(super) fn into_text(self) -> String {
        match self {
            Self::BeforeSending(text) | Self::Lost(text) => text,
        }
    }
}

/// A whole reply.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

/// What the API server says in an error reply or an ERROR event.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Status {
    pub(super) code: u16,
    message: String,
    details: Option<StatusDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct StatusDetails {
    retry_after_seconds: u32,
}

impl Status {
    /// The message on one line.
    pub(super) fn message(&self) -> String {
        one_line(&self.message, MESSAGE_CHARS_MAX)
    }

    /// How long the server asks to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let secs = self.details.as_ref()?.retry_after_seconds;
        (secs > 0).then(|| Duration::from_secs(u64::from(secs)))
    }
}

impl Reply {
    /// How long the server asks to wait, in the header or in the status object.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        self.retry_after.or_else(|| self.to_status().retry_after())
    }

    /// What went wrong, for people: `403: ...`.
    pub(super) fn message(&self) -> String {
        let message = self.to_status().message();
        if message.is_empty() {
            format!("status {}", self.status)
        } else {
            format!("status {}: {message}", self.status)
        }
    }

    /// The status object of an error reply; an empty one when the body is none.
    fn to_status(&self) -> Status {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl ClusterClient {
    /// Uses a client that was made elsewhere, such as one around a fake API server.
    pub fn new(client: kube::Client) -> Self {
        Self { client }
    }

    /// The namespace of the kubeconfig's context, or of the service account.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// A GET whose whole reply has at most `bytes_max` bytes.
    pub(super) async fn read(
        &self,
        path: &str,
        bytes_max: usize,
        limit: Duration,
    ) -> Result<Reply, CallFailure> {
        self.call(request(Method::GET, path, Body::empty()), bytes_max, limit)
            .await
    }

    /// One call within `limit`.
    pub(super) async fn call(
        &self,
        request: Request<Body>,
        bytes_max: usize,
        limit: Duration,
    ) -> Result<Reply, CallFailure> {
        let whole = async {
            let response = self.send(request).await?;
            read_whole(response, bytes_max).await
        };
        match tokio::time::timeout(limit, whole).await {
            Ok(reply) => reply,
            Err(_passed) => Err(CallFailure::Lost(describe(&LimitPassed {
                what: "reply of the API server",
                limit,
            }))),
        }
    }

    /// Sends `request`; the body of the response is still to be read.
    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, CallFailure> {
        self.client.send(request).await.map_err(|error| {
            let text = describe(&error);
            // Without credentials nothing is sent either.
            if is_before_sending(&error) || matches!(error, kube::Error::Auth(_)) {
                CallFailure::BeforeSending(text)
            } else {
                CallFailure::Lost(text)
            }
        })
    }
}

/// Reads the body of `response`, at most `bytes_max` bytes.
pub(super) async fn read_whole(
    response: Response<Body>,
    bytes_max: usize,
) -> Result<Reply, CallFailure> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| CallFailure::Lost(describe(&error)))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if body.len().saturating_add(data.len()) > bytes_max {
            return Err(CallFailure::Lost(format!(
                "the reply of the API server is longer than {bytes_max} bytes"
            )));
        }
        body.extend_from_slice(data);
    }
    let retry_after = head
        .headers
        .get(http::header::RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    Ok(Reply {
        status: head.status.as_u16(),
        retry_after,
        body: body.into(),
    })
}

/// A request for JSON; `path` is made by the functions below and so is always a valid one.
pub(super) fn request(method: Method, path: &str, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(http::header::ACCEPT, "application/json")
        .body(body)
        .expect("the path is percent-encoded")
}

/// The path of all Applications, or of those in one namespace.
pub(super) fn applications_path(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!(
            "/apis/argoproj.io/v1alpha1/namespaces/{}/applications",
            encode(namespace)
        ),
        None => "/apis/argoproj.io/v1alpha1/applications".to_owned(),
    }
}

/// The path of one Application.
pub(super) fn application_path(key: &AppKey) -> String {
    let namespace = applications_path(Some(&key.namespace));
    format!("{namespace}/{}", encode(&key.name))
}

/// What to grant, where a call was refused with 401 or 403.
pub(super) fn describe_denial(
    status: u16,
    verb: &str,
    resource: &str,
    namespace: Option<&str>,
) -> String {
    if status == 401 {
        return "the API server does not accept our credentials".to_owned();
    }
    match namespace {
        Some(namespace) => {
            format!("not allowed: grant the verb {verb} on {resource} in namespace {namespace}")
        }
        None => format!("not allowed: grant the verb {verb} on {resource} in all namespaces"),
    }
}

/// The resource's name as in a role.
pub(super) const APPLICATIONS: &str = "applications.argoproj.io";

/// Percent-encodes `text` for a path segment or a query value.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    let is_dots = text.bytes().all(|byte| byte == b'.');
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else if byte == b'.' && !is_dots {
            encoded.push('.');
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes any text");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_segment_by_segment() {
        let check = |text, encoded: &str| assert_eq!(encode(text), encoded);
        check("argo-cd.web_1~", "argo-cd.web_1~");
        check("a/b?c=d&e f", "a%2Fb%3Fc%3Dd%26e%20f");
        check("..", "%2E%2E");
        check("é", "%C3%A9");
        let key = AppKey::new("argocd", "web");
        assert_eq!(
            application_path(&key),
            "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/web"
        );
    }

    #[test]
    fn retry_time_is_taken_from_header_or_status() {
        let check = |retry_after, body: &'static str, expected| {
            let reply = Reply {
                status: 429,
                retry_after,
                body: Bytes::from(body),
            };
            assert_eq!(reply.retry_after(), expected, "{body}");
        };
        let secs = Duration::from_secs;
        check(Some(secs(3)), "", Some(secs(3)));
        check(
            None,
            r#"{"details":{"retryAfterSeconds":7}}"#,
            Some(secs(7)),
        );
        check(None, r#"{"details":{"retryAfterSeconds":0}}"#, None);
        check(None, "[", None);
    }
}
