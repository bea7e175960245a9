//! HTTP as data: what the core asks a driver to exchange with a registry, and what comes back.
//!
//! A response is whole and bounded by [`HttpRequest::body_bytes_max`], or the exchange failed with a
//! classified [`TransportFailure`]. The core reads statuses and bodies; the driver only classifies
//! what happened below HTTP.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::secret::Secret;

/// One exchange that the driver is to perform. `Debug` tells only the length of the body, which may hold
/// a refresh token, and hides the query of the URL, which may be signed.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// Which connections may carry it.
    pub pool: Arc<PoolKey>,
    /// The method.
    pub method: Method,
    /// Absolute URL, to be sent byte for byte as it stands.
    pub url: String,
    /// Header lines in order; names in lower case.
    pub headers: Vec<(String, HeaderValue)>,
    /// The request body; empty for everything but token requests by POST.
    pub body: Vec<u8>,
    /// Longest response body that the core will look at; one byte more is
    /// [`TransportKind::TooLarge`].
    pub body_bytes_max: usize,
    /// How long the driver should try. The core keeps its own deadline, a little later (A7).
    pub timeout: Duration,
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pool,
            method,
            url,
            headers,
            body,
            body_bytes_max,
            timeout,
        } = self;
        f.debug_struct("HttpRequest")
            .field("pool", pool)
            .field("method", method)
            .field("url", &ShownUrl(url))
            .field("headers", headers)
            .field("body", &BodyLength(body.len()))
            .field("body_bytes_max", body_bytes_max)
            .field("timeout", timeout)
            .finish()
    }
}

/// A URL as it may be shown in texts, logs and debug prints: without user info, and of query and fragment
/// only that there is one. Token servers and signed redirects carry credentials there
/// (`registry.md` 15.10).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShownUrl<'a>(pub &'a str);

impl fmt::Display for ShownUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = match self.0.find("://") {
            Some(at) => self.0.split_at(at + 3),
            None => ("", self.0),
        };
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let (path, query) = tail.split_at(tail.find(['?', '#']).unwrap_or(tail.len()));
        let hidden = if query.len() > 1 { "?…" } else { "" };
        write!(f, "{scheme}{host}{path}{hidden}")
    }
}

impl fmt::Debug for ShownUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Header lines of a response as they may be shown: of those that are known to be harmless with their
/// values, of places without what may be signed, of all others the lengths. Servers repeat what they were
/// shown, and cookies are secrets.
struct ShownHeaders<'a>(&'a [(String, String)]);

impl fmt::Debug for ShownHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        for (name, value) in self.0 {
            match name.as_str() {
                "location" | "content-location" => list.entry(&(name, ShownUrl(value))),
                "content-type"
                | "content-length"
                | "date"
                | "docker-content-digest"
                | "docker-distribution-api-version"
                | "etag"
                | "ratelimit-limit"
                | "ratelimit-remaining"
                | "ratelimit-reset"
                | "retry-after" => list.entry(&(name, value)),
                _ => list.entry(&(name, BodyLength(value.len()))),
            };
        }
        list.finish()
    }
}

/// A body as it may be shown.
struct BodyLength(usize);

impl fmt::Debug for BodyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

/// Which connection pool serves a request: one per (registry, TLS setting).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PoolKey {
    /// API URL of the registry, without a trailing slash.
    pub registry: String,
    /// Certificates and host names are not checked.
    pub insecure: bool,
    /// Whose certificates are trusted, beside the system's.
    pub trust: TrustAnchors,
}

/// Certificate authorities that a registry's certificate may come from, beside the system's
/// (`registry.md` 18, D-42).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum TrustAnchors {
    /// The system's, and what stands in the driver's folder of certificates under the host's name.
    #[default]
    System,
    /// PEM certificates in a file, whose path this is (`ca_file`).
    File(String),
    /// PEM certificates as text (`ca_data`).
    Data(String),
}

/// The methods that registries are spoken to with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// Read a resource.
    Get,
    /// Read the headers of a resource.
    Head,
    /// Ask a token server with a form.
    Post,
}

impl Method {
    /// The method's name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
        }
    }
}

/// The value of a request header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HeaderValue {
    /// May be shown anywhere.
    Plain(String),
    /// Must never be shown; `Debug` hides it.
    Secret(Secret),
}

impl HeaderValue {
    /// The text to put on the wire.
    pub fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.reveal(),
        }
    }
}

/// A whole response. `Debug` tells only the length of the body, which may hold a token, and hides what may
/// be signed in headers.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HttpResponse {
    /// Status code.
    pub status: u16,
    /// Header lines in order; names in lower case, bytes that are no UTF-8 replaced.
    pub headers: Vec<(String, String)>,
    /// The body, at most [`HttpRequest::body_bytes_max`] bytes.
    pub body: Vec<u8>,
}

impl fmt::Debug for HttpResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            headers,
            body,
        } = self;
        f.debug_struct("HttpResponse")
            .field("status", status)
            .field("headers", &ShownHeaders(headers))
            .field("body", &BodyLength(body.len()))
            .finish()
    }
}

impl HttpResponse {
    /// The first value of header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of header `name` (lower case), in order.
    pub fn headers_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.headers
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// How an exchange ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HttpOutcome {
    /// The server answered, with whatever status.
    Response(HttpResponse),
    /// No whole response was had.
    Failed(TransportFailure),
}

/// Why no whole response was had.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransportFailure {
    /// The class, on which the core decides.
    pub kind: TransportKind,
    /// One line for people; holds no secret.
    pub detail: String,
}

/// Classes of transport failure.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TransportKind {
    /// The name does not resolve.
    Dns,
    /// Nobody listens there.
    Refused,
    /// This machine has no local port left (`EADDRNOTAVAIL`).
    NoLocalPort,
    /// The TLS handshake failed, or the certificate is not trusted.
    Tls,
    /// The driver's own time limit passed.
    TimedOut,
    /// The connection was closed or reset before the response was whole.
    Closed,
    /// The response is no HTTP.
    Malformed,
    /// The body is longer than the request allowed.
    TooLarge,
    /// The core cancelled the operation.
    Cancelled,
    /// The driver's task ended without an answer: it panicked or was dropped.
    Crashed,
}

impl TransportKind {
    /// The class as a word in logs, metrics and reasons.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::NoLocalPort => "no-local-port",
            Self::Tls => "tls",
            Self::TimedOut => "timed-out",
            Self::Closed => "closed",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::Cancelled => "cancelled",
            Self::Crashed => "crashed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec;

    #[test]
    fn bodies_are_shown_by_their_length_alone() {
        let canary = "refresh-token-canary";
        let body = canary.as_bytes().to_vec();
        let as_numbers = format!("{body:?}");
        let as_numbers = as_numbers.trim_matches(['[', ']']);
        let request = HttpRequest {
            pool: Arc::new(PoolKey {
                registry: "https://reg.test".into(),
                insecure: false,
                trust: TrustAnchors::System,
            }),
            method: Method::Post,
            url: "https://auth.test/token".into(),
            headers: vec![(
                "authorization".into(),
                HeaderValue::Secret(Secret::new(canary)),
            )],
            body: body.clone(),
            body_bytes_max: 9,
            timeout: Duration::from_secs(3),
        };
        let response = HttpResponse {
            status: 200,
            headers: Vec::new(),
            body,
        };
        let outcome = HttpOutcome::Response(response.clone());
        for shown in [
            format!("{request:?}"),
            format!("{response:?}"),
            format!("{outcome:?}"),
        ] {
            assert!(!shown.contains(canary), "{shown}");
            assert!(!shown.contains(as_numbers), "{shown}");
            assert!(shown.contains("20 bytes"), "{shown}");
        }
    }

    #[test]
    fn a_url_is_shown_without_what_may_be_signed() {
        let check = |url, shown: &str| {
            assert_eq!(format!("{}", ShownUrl(url)), shown, "{url}");
            assert_eq!(format!("{:?}", ShownUrl(url)), shown, "{url}");
        };
        check("https://r.example/v2/", "https://r.example/v2/");
        check(
            "https://cdn.example/a@b?X-Amz-Signature=canary&token=canary",
            "https://cdn.example/a@b?…",
        );
        check(
            "https://user:canary@w@r.example:5000/x",
            "https://r.example:5000/x",
        );
        check("https://r.example?sig=canary#x", "https://r.example?…");
        check("/path?sig=canary", "/path?…");
        check("?", "");
        check("://@", "://");
        check("", "");
    }

    #[test]
    fn headers_are_shown_without_what_may_be_signed() {
        let signed = "https://cdn.example/blob?sig=canary";
        let headers = [
            ("location", signed),
            ("content-location", signed),
            ("link", "</v2/x/tags/list?next_page=canary>; rel=next"),
            ("set-cookie", "session=canary"),
            ("content-type", "text/plain"),
        ];
        let response = HttpResponse {
            status: 307,
            headers: headers
                .map(|(name, value)| (name.into(), value.into()))
                .into(),
            body: Vec::new(),
        };
        let shown = format!("{response:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("https://cdn.example/blob"), "{shown}");
        assert!(shown.contains("text/plain"), "{shown}");
    }
}
