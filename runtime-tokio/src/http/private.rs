//! Connections that only one owner uses, and that end with it: those of one attempt with a Git server.
//!
//! What goes over them is not held as a whole: a response comes in pieces, as fast as its reader takes them.
//! Whoever has another credential, another certificate or another proxy has other connections.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use image_updater_core::http::{HeaderValue, Method, PoolKey, TransportFailure};
use rustls::RootCertStore;
use tokio::time::timeout;

use super::connection::BoxStream;
use super::dial::Dialer;
use super::failure::{Overdue, classify};
use super::lease::Lease;
use super::line::{Line, Taken};
use super::message::{Outgoing, header_texts, malformed, refuse_encoding};
use super::redact::redact_url;
use super::settings::HttpSettings;
use super::target::Target;
use super::tls::ClientIdentity;
use super::trust::Trust;
use super::way::{Stage, Way};

/// Connections at a time: one carries the response that is being read, another may still be ending.
const SOCKETS_MAX: usize = 2;

/// The connections.
#[derive(Debug)]
pub(crate) struct PrivateClient {
    settings: HttpSettings,
    trust: Trust,
    lines: BTreeMap<Target, Arc<Line>>,
}

/// What is asked.
pub(crate) struct PrivateRequest<'a> {
    /// The method.
    pub(crate) method: Method,
    /// The whole URL, sent as it stands.
    pub(crate) url: &'a str,
    /// Header lines; names in lower case.
    pub(crate) headers: Vec<(String, HeaderValue)>,
    /// The whole body, sent with its length.
    pub(crate) body: Vec<u8>,
    /// The server may see it twice without harm.
    pub(crate) is_repeatable: bool,
}

/// Why no response began.
#[derive(Debug)]
pub(crate) struct NoAnswer {
    /// What happened.
    pub(crate) failure: TransportFailure,
    /// Nothing of the request can have reached the server.
    pub(crate) is_unsent: bool,
}

/// A response that has begun.
pub(crate) struct Answer {
    /// Its status.
    pub(crate) status: u16,
    /// Its header lines; names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    response: Response<Incoming>,
    lease: Lease,
}

impl PrivateClient {
    /// Connections with `settings` for the server of `url`, that trust `roots` and who is named in the
    /// settings' folder, and that show `identity` if a server asks.
    pub(crate) fn new(
        url: &str,
        is_insecure: bool,
        identity: Option<ClientIdentity>,
        settings: HttpSettings,
        roots: Arc<RootCertStore>,
    ) -> Self {
        let key = PoolKey {
            registry: url.to_owned(),
            insecure: is_insecure,
            trust: image_updater_core::http::TrustAnchors::System,
        };
        let trust = Trust::new(&key, roots, &settings.ca_folder).with_identity(identity);
        Self {
            settings,
            trust,
            lines: BTreeMap::new(),
        }
    }

    /// Makes a stream to a host for another protocol than HTTP, through a tunnel where the settings name a
    /// proxy.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<BoxStream, TransportFailure> {
        let target = Target {
            is_tls: false,
            host: host.to_owned(),
            port,
        };
        let line = Arc::new(Line::new(false, 1, 0));
        let Taken::Dial(dialing, socket) = line.take().await else {
            return Err(malformed("a new line keeps no connections".to_owned()));
        };
        let dialer = Dialer {
            settings: &self.settings,
            trust: &self.trust,
            line: &line,
            target: &target,
            proxy: self.settings.proxies.on_the_way_to(&target),
        };
        let stream = dialer.dial_plain(socket).await;
        drop(dialing);
        stream.map_err(|error| classify(&error))
    }

    /// Sends a request and waits until its response begins, no longer than `limit`.
    pub(crate) async fn send(
        &mut self,
        request: PrivateRequest<'_>,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let unsent = |failure| NoAnswer {
            failure,
            is_unsent: true,
        };
        let (uri, target) = Target::of_url(request.url).map_err(unsent)?;
        let outgoing = Outgoing::of(
            request.method,
            &request.headers,
            request.body,
            &uri,
            &self.settings.user_agent,
        );
        let mut outgoing = outgoing.map_err(unsent)?;
        outgoing.be_repeatable(request.is_repeatable);
        let settings = &self.settings;
        let line = self.lines.entry(target.clone()).or_insert_with(|| {
            Arc::new(Line::new(
                target.is_tls,
                SOCKETS_MAX,
                settings.idle_per_host_max,
            ))
        });
        let way = Way {
            settings,
            trust: &self.trust,
            line,
            target: &target,
            proxy: settings.proxies.on_the_way_to(&target),
            url: request.url,
        };
        let mut stage = Stage::Waiting;
        let sent = timeout(limit, way.send(&outgoing, &mut stage)).await;
        let sent = sent.map_err(|_passed| NoAnswer {
            failure: classify(&Overdue {
                what: "answer",
                limit,
                place: format!("from {}", redact_url(request.url)),
            }),
            is_unsent: matches!(stage, Stage::Waiting | Stage::Connecting),
        })?;
        let (lease, response) = sent.map_err(|unanswered| NoAnswer {
            failure: unanswered.failure,
            is_unsent: unanswered.is_unsent,
        })?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: header_texts(response.headers()),
            response,
            lease,
        })
    }
}

impl Answer {
    /// The next piece of the body; `None` behind the last one. It can be given up and called again.
    pub(crate) async fn next_piece(&mut self) -> Result<Option<Bytes>, TransportFailure> {
        while let Some(frame) = self.response.body_mut().frame().await {
            let frame = frame.map_err(|error| classify(&error))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                refuse_encoding(self.response.headers())?;
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// The rest of the body, of at most `bytes_max` bytes; `None` when it is longer.
    pub(crate) async fn whole(
        mut self,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, TransportFailure> {
        let mut body = Vec::new();
        while let Some(piece) = self.next_piece().await? {
            if body.len() + piece.len() > bytes_max {
                return Ok(None);
            }
            body.extend_from_slice(&piece);
        }
        self.lease.give_back().await;
        Ok(Some(body))
    }

    /// Ends with the response, of which it reads what is left within these bounds: then its connection goes on.
    pub(crate) async fn finish(mut self, bytes_max: usize, limit: Duration) {
        let rest = async {
            let mut n_bytes = 0;
            while n_bytes <= bytes_max {
                match self.next_piece().await {
                    Ok(Some(piece)) => n_bytes += piece.len(),
                    Ok(None) => return true,
                    Err(_broken) => return false,
                }
            }
            false
        };
        if matches!(timeout(limit, rest).await, Ok(true)) {
            self.lease.give_back().await;
        }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Answer({})", self.status)
    }
}
