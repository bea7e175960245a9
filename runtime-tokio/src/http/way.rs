//! The way of one request to its server: in line, on a connection, until a response begins.

use std::sync::Arc;

use http::{Response, StatusCode};
use hyper::body::Incoming;
use image_updater_core::http::{TransportFailure, TransportKind};
use tokio::time::timeout;

use super::connection::Carrier;
use super::dial::Dialer;
use super::failure::{Overdue, classify};
use super::lease::Lease;
use super::line::{Line, Taken};
use super::message::Outgoing;
use super::proxy::Proxy;
use super::redact::redact_url;
use super::settings::HttpSettings;
use super::target::Target;
use super::trust::Trust;

/// How often a request is sent again because a kept connection turned out to be closed.
const REPEATS_MAX: u32 = 3;

/// How far an exchange has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    /// In line.
    Waiting,
    /// Making a connection.
    Connecting,
    /// The request is sent.
    Headers,
    /// The response has begun.
    Body,
}

/// The way to a server.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) settings: &'a HttpSettings,
    pub(super) trust: &'a Trust,
    pub(super) line: &'a Arc<Line>,
    pub(super) target: &'a Target,
    pub(super) proxy: Option<&'a Proxy>,
    /// As it may be shown once it is redacted.
    pub(super) url: &'a str,
}

/// Why no response began.
pub(super) struct Unanswered {
    pub(super) failure: TransportFailure,
    /// Nothing of it can have reached the server.
    pub(super) is_unsent: bool,
    /// It is unsent, or the server closed a kept connection at that very moment.
    is_repeatable: bool,
}

impl Way<'_> {
    /// Sends a request, whose response begins on the connection that is returned with it.
    pub(super) async fn send(
        self,
        outgoing: &Outgoing,
        stage: &mut Stage,
    ) -> Result<(Lease, Response<Incoming>), Unanswered> {
        let mut n_repeats = 0;
        loop {
            *stage = Stage::Waiting;
            let mut lease = match self.line.take().await {
                Taken::Kept(lease) => lease,
                Taken::Dial(dialing, socket) => {
                    *stage = Stage::Connecting;
                    let dialer = Dialer {
                        settings: self.settings,
                        trust: self.trust,
                        line: self.line,
                        target: self.target,
                        proxy: self.proxy,
                    };
                    let opened = dialer.dial(socket).await;
                    let opened = opened.map_err(|error| Unanswered::unsent(classify(&error)))?;
                    self.line.open(dialing, opened)
                }
            };
            *stage = Stage::Headers;
            match self.send_on(&mut lease, outgoing).await {
                Ok(response) => {
                    *stage = Stage::Body;
                    return Ok((lease, response));
                }
                Err(unanswered) => {
                    let is_repeated =
                        lease.is_reused && unanswered.is_repeatable && n_repeats < REPEATS_MAX;
                    lease.retire();
                    if !is_repeated {
                        return Err(unanswered);
                    }
                    n_repeats += 1;
                }
            }
        }
    }

    async fn send_on(
        self,
        lease: &mut Lease,
        outgoing: &Outgoing,
    ) -> Result<Response<Incoming>, Unanswered> {
        let is_reused = lease.is_reused;
        let limit = self.settings.response_header_timeout;
        let fetching = self.proxy.filter(|_| !self.target.is_tls);
        let result = match lease.carrier() {
            Carrier::Http1(connection) => {
                let request = outgoing.to_http1(self.target, fetching);
                let request = request.map_err(Unanswered::unsent)?;
                timeout(limit, connection.sender.try_send_request(request)).await
            }
            Carrier::Http2(connection) => {
                let request = outgoing.to_http2(self.target);
                let request = request.map_err(Unanswered::unsent)?;
                timeout(limit, connection.sender.try_send_request(request)).await
            }
        };
        let response = result
            .map_err(|_passed| {
                let failure = classify(&Overdue {
                    what: "response headers",
                    limit,
                    place: format!("from {}", redact_url(self.url)),
                });
                Unanswered {
                    failure,
                    is_unsent: false,
                    is_repeatable: false,
                }
            })?
            .map_err(|error| {
                let is_unsent = error.message().is_some();
                let error = error.into_error();
                let failure = classify(&error);
                let is_closed =
                    is_reused && outgoing.is_repeatable() && failure.kind == TransportKind::Closed;
                Unanswered {
                    failure,
                    is_unsent,
                    is_repeatable: is_unsent || is_closed,
                }
            })?;
        if let Some(proxy) = fetching
            && response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
        {
            return Err(Unanswered::unsent(TransportFailure {
                kind: TransportKind::Refused,
                detail: format!(
                    "proxy {proxy}: 407, it wants to know who we are; check user and password in HTTP_PROXY"
                ),
            }));
        }
        Ok(response)
    }
}

impl Unanswered {
    fn unsent(failure: TransportFailure) -> Self {
        Self {
            failure,
            is_unsent: true,
            is_repeatable: false,
        }
    }
}
