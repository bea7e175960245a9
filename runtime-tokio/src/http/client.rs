//! The client: one exchange from request to whole response.

use std::sync::Arc;

use http::{Response, StatusCode};
use hyper::body::Incoming;
use image_updater_core::http::{
    HttpOutcome, HttpRequest, HttpResponse, TransportFailure, TransportKind,
};
use rustls::RootCertStore;
use tokio::time::timeout;

use super::connection::Carrier;
use super::dial::Dialer;
use super::failure::{Overdue, classify};
use super::footprint::Footprint;
use super::lease::Lease;
use super::line::{Line, Taken};
use super::message::{Outgoing, read_whole};
use super::pools::Pools;
use super::proxy::Proxy;
use super::redact::redact_url;
use super::settings::HttpSettings;
use super::target::Target;

/// How often a request is sent again because a kept connection turned out to be closed.
const REPEATS_MAX: u32 = 3;

/// Performs exchanges with registries.
#[derive(Clone, Debug)]
pub struct HttpClient {
    pools: Arc<Pools>,
}

impl HttpClient {
    /// A client that trusts `roots`, usually those of [`super::system_roots`], and whom a registry's
    /// pool names beside them.
    pub fn new(settings: HttpSettings, roots: RootCertStore) -> Self {
        Self {
            pools: Arc::new(Pools::new(settings, roots)),
        }
    }

    /// Performs one exchange. Waiting for a free connection counts towards the request's time. Dropped
    /// before its end, it closes the connection or, with HTTP/2, its stream.
    pub async fn exchange(&self, request: HttpRequest) -> HttpOutcome {
        let limit = request.timeout;
        let mut exchange = Exchange {
            pools: Arc::clone(&self.pools),
            request,
            stage: Stage::Waiting,
            line: None,
        };
        match timeout(limit, exchange.run()).await {
            Ok(Ok(response)) => HttpOutcome::Response(response),
            Ok(Err(failure)) => HttpOutcome::Failed(failure),
            Err(_passed) => HttpOutcome::Failed(exchange.into_overdue()),
        }
    }

    /// What the client holds at this moment.
    pub fn footprint(&self) -> Footprint {
        self.pools.footprint()
    }
}

/// How far an exchange has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Waiting,
    Connecting,
    Headers,
    Body,
}

struct Exchange {
    pools: Arc<Pools>,
    request: HttpRequest,
    stage: Stage,
    line: Option<Arc<Line>>,
}

/// What is sent, and whom to.
struct Sending<'a> {
    outgoing: &'a Outgoing,
    target: &'a Target,
    proxy: Option<&'a Proxy>,
    settings: &'a HttpSettings,
    url: &'a str,
}

/// Why no response began.
struct Unanswered {
    failure: TransportFailure,
    /// The server has seen nothing of it, or closed a kept connection at that very moment.
    is_repeatable: bool,
}

impl Exchange {
    async fn run(&mut self) -> Result<HttpResponse, TransportFailure> {
        let pools = Arc::clone(&self.pools);
        let settings = &pools.settings;
        let (uri, target) = Target::of_url(&self.request.url)?;
        let outgoing = Outgoing::new(&mut self.request, &uri, &settings.user_agent)?;
        let pool = pools.pool(&self.request.pool);
        let line = pool.line(&target, settings);
        self.line = Some(Arc::clone(&line));
        let proxy = settings.proxies.on_the_way_to(&target);
        let mut n_repeats = 0;
        loop {
            self.stage = Stage::Waiting;
            let mut lease = match line.take().await {
                Taken::Kept(lease) => lease,
                Taken::Dial(dialing, socket) => {
                    self.stage = Stage::Connecting;
                    let dialer = Dialer {
                        settings,
                        trust: &pool.trust,
                        line: &line,
                        target: &target,
                        proxy,
                    };
                    let opened = dialer.dial(socket).await;
                    line.open(dialing, opened.map_err(|error| classify(&error))?)
                }
            };
            self.stage = Stage::Headers;
            let sending = Sending {
                outgoing: &outgoing,
                target: &target,
                proxy,
                settings,
                url: &self.request.url,
            };
            match sending.send(&mut lease).await {
                Ok(response) => {
                    self.stage = Stage::Body;
                    let mut whole = read_whole(response, self.request.body_bytes_max).await?;
                    if let Some(proxy) = proxy
                        && whole.status >= 400
                        && proxy.is_repeated_in(&whole.body)
                    {
                        whole.body = b"not shown, since it repeats the proxy's password".to_vec();
                    }
                    lease.give_back().await;
                    pools.trim_idle();
                    return Ok(whole);
                }
                Err(unanswered) => {
                    let is_repeated =
                        lease.is_reused && unanswered.is_repeatable && n_repeats < REPEATS_MAX;
                    lease.retire();
                    if !is_repeated {
                        return Err(unanswered.failure);
                    }
                    n_repeats += 1;
                }
            }
        }
    }

    /// What is said when the time of the whole exchange has passed.
    fn into_overdue(self) -> TransportFailure {
        let url = redact_url(&self.request.url);
        let place = match self.stage {
            Stage::Waiting => {
                let why = self.line.map(|line| line.describe_wait());
                format!("to {url}: {}", why.unwrap_or_default())
            }
            Stage::Connecting => format!("to {url}"),
            Stage::Headers | Stage::Body => format!("from {url}"),
        };
        classify(&Overdue {
            what: match self.stage {
                Stage::Waiting => "free connection",
                Stage::Connecting => "connection",
                Stage::Headers => "response headers",
                Stage::Body => "whole response",
            },
            limit: self.request.timeout,
            place,
        })
    }
}

impl Sending<'_> {
    async fn send(&self, lease: &mut Lease) -> Result<Response<Incoming>, Unanswered> {
        let is_reused = lease.is_reused;
        let limit = self.settings.response_header_timeout;
        let fetching = self.proxy.filter(|_| !self.target.is_tls);
        let result = match lease.carrier() {
            Carrier::Http1(connection) => {
                let request = self.outgoing.to_http1(self.target, fetching)?;
                timeout(limit, connection.sender.try_send_request(request)).await
            }
            Carrier::Http2(connection) => {
                let request = self.outgoing.to_http2(self.target)?;
                timeout(limit, connection.sender.try_send_request(request)).await
            }
        };
        let response = result
            .map_err(|_passed| {
                classify(&Overdue {
                    what: "response headers",
                    limit,
                    place: format!("from {}", redact_url(self.url)),
                })
            })?
            .map_err(|error| {
                let is_unsent = error.message().is_some();
                let error = error.into_error();
                let failure = classify(&error);
                let is_closed = is_reused
                    && self.outgoing.is_repeatable()
                    && failure.kind == TransportKind::Closed;
                Unanswered {
                    failure,
                    is_repeatable: is_unsent || is_closed,
                }
            })?;
        if let Some(proxy) = fetching
            && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(Unanswered::from(TransportFailure {
                kind: TransportKind::Refused,
                detail: format!(
                    "proxy {proxy}: 407, it wants to know who we are; check user and password in HTTP_PROXY"
                ),
            }));
        }
        Ok(response)
    }
}

impl From<TransportFailure> for Unanswered {
    fn from(failure: TransportFailure) -> Self {
        Self {
            failure,
            is_repeatable: false,
        }
    }
}
