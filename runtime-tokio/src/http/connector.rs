//! How a connection to a registry is made: resolve, connect, and TLS where the URL says so.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use rustls::ClientConfig;
use tower::{BoxError, Service};

use super::failure::{DnsError, LimitPassed};

/// What a connector does, boxed.
type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

/// The connector of a pool.
pub(crate) type Connector = Limited<HttpsConnector<HttpConnector<Resolver>>>;

/// A connector with these TLS settings. HTTP/2 is offered by ALPN. The handshake has
/// `handshake_timeout` and what connecting left of `connect_timeout`.
pub(crate) fn connector(
    tls: ClientConfig,
    connect_timeout: Duration,
    handshake_timeout: Duration,
) -> Connector {
    let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(Duration::from_secs(30)));
    tcp.set_connect_timeout(Some(connect_timeout));
    let inner = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp);
    Limited {
        inner,
        limit: connect_timeout + handshake_timeout,
    }
}

/// A connector that gives up after a time.
#[derive(Clone, Debug)]
pub(crate) struct Limited<C> {
    inner: C,
    limit: Duration,
}

impl<C> Service<Uri> for Limited<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Connecting<C::Response>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.inner.call(target);
        let limit = self.limit;
        Box::pin(async move {
            match tokio::time::timeout(limit, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_passed) => Err(LimitPassed {
                    what: "connection",
                    limit,
                }
                .into()),
            }
        })
    }
}

/// The system's resolver, with an error that can be told from others.
#[derive(Clone, Debug)]
pub(crate) struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = BoxError;
    type Future = Connecting<GaiAddrs>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let host = name.as_str().to_owned();
        let resolving = self.0.call(name);
        Box::pin(async move {
            resolving
                .await
                .map_err(|source| DnsError { host, source }.into())
        })
    }
}
