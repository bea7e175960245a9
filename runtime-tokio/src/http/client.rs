//! The client: one exchange from request to whole response.

use std::sync::Arc;

use image_updater_core::http::{HttpOutcome, HttpRequest, HttpResponse, TransportFailure};
use rustls::RootCertStore;
use tokio::time::timeout;

use super::failure::{Overdue, classify};
use super::footprint::Footprint;
use super::line::Line;
use super::message::{Outgoing, read_whole};
use super::pools::Pools;
use super::redact::redact_url;
use super::settings::HttpSettings;
use super::target::Target;
use super::way::{Stage, Way};

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

struct Exchange {
    pools: Arc<Pools>,
    request: HttpRequest,
    stage: Stage,
    line: Option<Arc<Line>>,
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
        let way = Way {
            settings,
            trust: &pool.trust,
            line: &line,
            target: &target,
            proxy,
            url: &self.request.url,
        };
        let sent = way.send(&outgoing, &mut self.stage).await;
        let (lease, response) = sent.map_err(|unanswered| unanswered.failure)?;
        let mut whole = read_whole(response, self.request.body_bytes_max).await?;
        if let Some(proxy) = proxy
            && whole.status >= 400
            && proxy.is_repeated_in(&whole.body)
        {
            whole.body = b"not shown, since it repeats the proxy's password".to_vec();
        }
        lease.give_back().await;
        pools.trim_idle();
        Ok(whole)
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
