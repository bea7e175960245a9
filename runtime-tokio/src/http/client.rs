//! The client: pools by key, and one exchange from request to whole response.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::capture_connection;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use image_updater_core::http::{
    HeaderValue, HttpOutcome, HttpRequest, HttpResponse, Method, PoolKey, TransportFailure,
    TransportKind,
};
use rustls::RootCertStore;

use super::connector::{Connector, connector};
use super::failure::{classify, describe};
use super::gate::Gate;
use super::redact::redact_url;
use super::tls::client_config;

/// Pools that are kept before those without exchanges under way are closed.
const POOLS_MAX: usize = 256;

/// Settings of all pools (`registry.md` 5.1).
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `REGISTRY_RESPONSE_HEADER_TIMEOUT`: from having a connection to the response's headers.
    pub response_header_timeout: Duration,
    /// `REGISTRY_TLS_HANDSHAKE_TIMEOUT`.
    pub tls_handshake_timeout: Duration,
    /// For resolving and connecting; the reference has none (D-23).
    pub connect_timeout: Duration,
    /// `REGISTRY_IDLE_CONN_TIMEOUT`; `None` keeps idle connections for ever.
    pub idle_timeout: Option<Duration>,
    /// `REGISTRY_MAX_CONNS_PER_HOST`.
    pub connections_per_host_max: usize,
    /// `REGISTRY_MAX_IDLE_CONNS_PER_HOST`, or `REGISTRY_MAX_IDLE_CONNS` if that is less: with a
    /// pool per registry the total is bounded by the bound per host.
    pub idle_per_host_max: usize,
    /// Sent where the core names no other.
    pub user_agent: String,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            response_header_timeout: Duration::from_mins(1),
            tls_handshake_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(15),
            idle_timeout: Some(Duration::from_secs(90)),
            connections_per_host_max: 30,
            idle_per_host_max: 200,
            user_agent: concat!("argocd-image-updater/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Performs exchanges with registries.
#[derive(Clone, Debug)]
pub struct HttpClient {
    settings: Arc<HttpSettings>,
    roots: Arc<RootCertStore>,
    pools: Arc<Mutex<BTreeMap<PoolKey, Arc<Pool>>>>,
}

/// The connections of one (registry, TLS setting).
#[derive(Debug)]
struct Pool {
    client: Client<Connector, Full<Bytes>>,
    gate: Gate,
}

impl HttpClient {
    /// A client that trusts `roots`; usually those of [`super::system_roots`].
    pub fn new(settings: HttpSettings, roots: RootCertStore) -> Self {
        Self {
            settings: Arc::new(settings),
            roots: Arc::new(roots),
            pools: Arc::default(),
        }
    }

    /// Performs one exchange. Waiting for a free connection counts towards the request's time.
    pub async fn exchange(&self, request: HttpRequest) -> HttpOutcome {
        let limit = request.timeout;
        let outcome = tokio::time::timeout(limit, self.attempt(request)).await;
        match outcome {
            Ok(Ok(response)) => HttpOutcome::Response(response),
            Ok(Err(failure)) => HttpOutcome::Failed(failure),
            Err(_passed) => HttpOutcome::Failed(timed_out("whole response", limit)),
        }
    }

    async fn attempt(&self, request: HttpRequest) -> Result<HttpResponse, TransportFailure> {
        let pool = self.pool(&request.pool);
        let bytes_max = request.body_bytes_max;
        let request = self.to_wire(request)?;
        let host = request
            .uri()
            .authority()
            .map_or_else(String::new, |authority| authority.as_str().to_owned());
        let permit = pool.gate.take(&host).await;
        let response = self.send(&pool, request).await;
        let response = match response {
            Ok(response) => read_whole(response, bytes_max).await,
            Err(failure) => Err(failure),
        };
        // The connection goes back to the pool in a task of its own; the next request should find
        // it there instead of opening another.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        drop(permit);
        response
    }

    async fn send(
        &self,
        pool: &Pool,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TransportFailure> {
        let mut captured = capture_connection(&mut request);
        let limit = self.settings.response_header_timeout;
        let headers_late = async move {
            drop(captured.wait_for_connection_metadata().await);
            tokio::time::sleep(limit).await;
        };
        tokio::select! {
            biased;
            response = pool.client.request(request) => response.map_err(|error| classify(&error)),
            () = headers_late => Err(timed_out("response headers", limit)),
        }
    }

    fn to_wire(&self, request: HttpRequest) -> Result<Request<Full<Bytes>>, TransportFailure> {
        let uri: Uri = request
            .url
            .parse()
            .ok()
            .filter(|uri: &Uri| uri.scheme().is_some() && uri.host().is_some())
            .ok_or_else(|| malformed(format!("no usable URL: {}", redact_url(&request.url))))?;
        let mut wire = Request::new(Full::new(Bytes::from(request.body)));
        *wire.uri_mut() = uri;
        *wire.method_mut() = match request.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
            Method::Post => http::Method::POST,
        };
        for (name, value) in &request.headers {
            let (Ok(name), Ok(mut wire_value)) = (
                http::HeaderName::from_bytes(name.as_bytes()),
                http::HeaderValue::from_str(value.reveal()),
            ) else {
                return Err(malformed(format!("header {name:?} cannot be sent")));
            };
            wire_value.set_sensitive(matches!(value, HeaderValue::Secret(_)));
            wire.headers_mut().append(name, wire_value);
        }
        if let Ok(user_agent) = http::HeaderValue::from_str(&self.settings.user_agent) {
            wire.headers_mut()
                .entry(http::header::USER_AGENT)
                .or_insert(user_agent);
        }
        Ok(wire)
    }

    fn pool(&self, key: &PoolKey) -> Arc<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(key) {
            return Arc::clone(pool);
        }
        if pools.len() >= POOLS_MAX {
            // Exchanges under way hold a reference of their own.
            pools.retain(|_, pool| Arc::strong_count(pool) > 1);
        }
        let pool = Arc::new(self.new_pool(key));
        pools.insert(key.clone(), Arc::clone(&pool));
        pool
    }

    fn new_pool(&self, key: &PoolKey) -> Pool {
        let settings = &self.settings;
        let connector = connector(
            client_config(Arc::clone(&self.roots), key.insecure),
            settings.connect_timeout,
            settings.tls_handshake_timeout,
        );
        let client = Client::builder(TokioExecutor::new())
            // Without a timer idle connections are never closed.
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(settings.idle_timeout)
            .pool_max_idle_per_host(settings.idle_per_host_max)
            .build(connector);
        Pool {
            client,
            gate: Gate::new(settings.connections_per_host_max),
        }
    }
}

async fn read_whole(
    response: Response<Incoming>,
    bytes_max: usize,
) -> Result<HttpResponse, TransportFailure> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|error| classify(&error))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        if body.len().saturating_add(data.len()) > bytes_max {
            return Err(TransportFailure {
                kind: TransportKind::TooLarge,
                detail: format!("the response is longer than {bytes_max} bytes"),
            });
        }
        body.extend_from_slice(data);
    }
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    Ok(HttpResponse {
        status: head.status.as_u16(),
        headers,
        body,
    })
}

fn timed_out(what: &'static str, limit: Duration) -> TransportFailure {
    TransportFailure {
        kind: TransportKind::TimedOut,
        detail: describe(&super::failure::LimitPassed { what, limit }),
    }
}

fn malformed(detail: String) -> TransportFailure {
    TransportFailure {
        kind: TransportKind::Malformed,
        detail,
    }
}
