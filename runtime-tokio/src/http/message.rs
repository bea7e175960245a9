//! From the core's request to one on the wire, and from the wire's response to a whole one.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST, PROXY_AUTHORIZATION, USER_AGENT,
};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use image_updater_core::http::{
    self as core_http, HttpRequest, HttpResponse, Method, TransportFailure, TransportKind,
};

use super::connection::Body;
use super::failure::classify;
use super::gunzip::{GunzipError, gunzip};
use super::proxy::Proxy;
use super::target::Target;

/// A request that can be sent, also again.
#[derive(Debug)]
pub(super) struct Outgoing {
    method: http::Method,
    path: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
    is_repeatable: bool,
}

impl Outgoing {
    /// The request to `uri`, which is that of the request's URL.
    pub(super) fn new(
        request: &mut HttpRequest,
        uri: &Uri,
        user_agent: &str,
    ) -> Result<Self, TransportFailure> {
        let body = std::mem::take(&mut request.body);
        Self::of(request.method, &request.headers, body, uri, user_agent)
    }

    /// The request of these parts.
    pub(super) fn of(
        method: Method,
        lines: &[(String, core_http::HeaderValue)],
        body: Vec<u8>,
        uri: &Uri,
        user_agent: &str,
    ) -> Result<Self, TransportFailure> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let (Ok(name), Ok(mut wire_value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value.reveal()),
            ) else {
                return Err(malformed(format!("header {name:?} cannot be sent")));
            };
            wire_value.set_sensitive(matches!(value, core_http::HeaderValue::Secret(_)));
            headers.append(name, wire_value);
        }
        if let Ok(user_agent) = HeaderValue::from_str(user_agent) {
            headers.entry(USER_AGENT).or_insert(user_agent);
        }
        // Nothing is gained by unpacking; what is packed all the same is unpacked within its bound.
        headers
            .entry(ACCEPT_ENCODING)
            .or_insert(HeaderValue::from_static("identity"));
        Ok(Self {
            is_repeatable: method != Method::Post,
            method: match method {
                Method::Get => http::Method::GET,
                Method::Head => http::Method::HEAD,
                Method::Post => http::Method::POST,
            },
            path: uri
                .path_and_query()
                .cloned()
                .unwrap_or(PathAndQuery::from_static("/")),
            headers,
            body: Bytes::from(body),
        })
    }

    /// True when the server may see it twice.
    pub(super) fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// Says whether the server may see it twice, whatever its method.
    pub(super) fn be_repeatable(&mut self, is_repeatable: bool) {
        self.is_repeatable = is_repeatable;
    }

    /// As HTTP/1.1 has it: with the path alone, or with the whole URL for a proxy that is to fetch it.
    pub(super) fn to_http1(
        &self,
        target: &Target,
        fetching: Option<&Proxy>,
    ) -> Result<Request<Body>, TransportFailure> {
        let mut request = if fetching.is_some() {
            self.to_http2(target)?
        } else {
            self.to_request(Uri::from(self.path.clone()))
        };
        let host = HeaderValue::try_from(target.authority())
            .map_err(|_| malformed(format!("host {:?} cannot be sent", target.host)))?;
        request.headers_mut().entry(HOST).or_insert(host);
        if let Some(authorization) = fetching.and_then(|proxy| proxy.authorization.clone()) {
            request
                .headers_mut()
                .insert(PROXY_AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// As HTTP/2 has it: with the whole URL.
    pub(super) fn to_http2(&self, target: &Target) -> Result<Request<Body>, TransportFailure> {
        let uri = Uri::builder()
            .scheme(target.scheme())
            .authority(target.authority())
            .path_and_query(self.path.clone())
            .build()
            .map_err(|_| malformed(format!("host {:?} cannot be sent", target.host)))?;
        Ok(self.to_request(uri))
    }

    fn to_request(&self, uri: Uri) -> Request<Body> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&self.headers);
        request
    }
}

/// Reads a response of at most `bytes_max` bytes to its end, packed and unpacked.
pub(super) async fn read_whole(
    response: Response<Incoming>,
    bytes_max: usize,
) -> Result<HttpResponse, TransportFailure> {
    let (mut head, mut incoming) = response.into_parts();
    let packing = Packing::of(&head.headers);
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| classify(&error))?;
        let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) else {
            continue;
        };
        if let Packing::Other(encoding) = &packing {
            return Err(not_asked_for(encoding));
        }
        if body.len().saturating_add(data.len()) > bytes_max {
            return Err(TransportFailure {
                kind: TransportKind::TooLarge,
                detail: format!("the response is longer than {bytes_max} bytes"),
            });
        }
        body.extend_from_slice(data);
    }
    if packing == Packing::Gzip && !body.is_empty() {
        body = gunzip(&body, bytes_max).map_err(|error| TransportFailure {
            kind: match error {
                GunzipError::Malformed => TransportKind::Malformed,
                GunzipError::TooLong(_) => TransportKind::TooLarge,
            },
            detail: error.to_string(),
        })?;
        // They are of what was packed.
        head.headers.remove(CONTENT_ENCODING);
        head.headers.remove(CONTENT_LENGTH);
    }
    Ok(HttpResponse {
        status: head.status.as_u16(),
        headers: header_texts(&head.headers),
        body,
    })
}

/// Header lines as the core has them.
pub(super) fn header_texts(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let lines = headers.iter();
    lines
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}

/// Fails for a body that has been packed.
pub(super) fn refuse_encoding(headers: &HeaderMap) -> Result<(), TransportFailure> {
    match Packing::of(headers) {
        Packing::Plain => Ok(()),
        Packing::Gzip => Err(not_asked_for("gzip")),
        Packing::Other(encoding) => Err(not_asked_for(&encoding)),
    }
}

fn not_asked_for(encoding: &str) -> TransportFailure {
    malformed(format!(
        "the response's body is encoded as {encoding:?}, which was not asked for"
    ))
}

/// What a body has been packed with.
#[derive(PartialEq, Eq, Debug)]
enum Packing {
    Plain,
    Gzip,
    /// Something else, or several; as the server names it.
    Other(String),
}

impl Packing {
    fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(CONTENT_ENCODING).iter();
        let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let text = texts.collect::<Vec<_>>().join(",");
        let names = text.split(',').map(str::trim);
        let names = names.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("identity"));
        match names.collect::<Vec<_>>()[..] {
            [] => Self::Plain,
            [name] if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => {
                Self::Gzip
            }
            _ => Self::Other(text.chars().take(40).collect()),
        }
    }
}

pub(super) fn malformed(detail: String) -> TransportFailure {
    TransportFailure {
        kind: TransportKind::Malformed,
        detail,
    }
}
