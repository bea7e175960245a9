//! Drives a [`Registry`] by hand: the one place of these tests that touches its interface.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::time::Duration;

use crate::credential::CredentialOutcome;
use crate::credential::CredentialSource;
use crate::effect::Effect;
use crate::http::{
    HeaderValue, HttpOutcome, HttpRequest, HttpResponse, TransportFailure, TransportKind,
};
use crate::id::{OpId, OpIds};
use crate::keyed::Seed;
use crate::registry::{
    EndpointSettings, FactsAnswer, FactsKind, Held, ListingAnswer, LookupFailure,
    LookupFailureKind, PlatformKeySet, Registry, RegistryOutcome, RegistrySettings, Reload,
    RepositoryId, TagFacts, WaiterId,
};
use crate::secret::Secret;
use crate::time::{Now, Time, UnixTime};

pub(super) struct Driver {
    pub(super) registry: Registry,
    ids: OpIds,
    now: Time,
    pub(super) requests: VecDeque<(OpId, HttpRequest)>,
    pub(super) reads: VecDeque<(OpId, CredentialSource)>,
    pub(super) cancels: Vec<OpId>,
    outcomes: Vec<RegistryOutcome>,
    /// By the URL's host: the end of the window that its registry asked for (S3).
    windows: BTreeMap<String, Time>,
}

/// How a finished lookup is told in tests: the waiters, and `ok` or the failure's class.
pub(super) type Told = (Vec<u64>, Result<bool, LookupFailureKind>);

impl Driver {
    pub(super) fn new(settings: RegistrySettings) -> Self {
        Self {
            registry: Registry::new(settings, Seed(1)),
            ids: OpIds::default(),
            now: Time::from_secs(1000),
            requests: VecDeque::new(),
            reads: VecDeque::new(),
            cancels: Vec::new(),
            outcomes: Vec::new(),
            windows: BTreeMap::new(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            mono: self.now,
            wall: UnixTime::from_secs(0),
        }
    }

    /// A retained repository of `host`.
    pub(super) fn repository(&mut self, host: &str, name: &str) -> RepositoryId {
        self.repository_as(host, name, None)
    }

    pub(super) fn repository_as(
        &mut self,
        host: &str,
        name: &str,
        source: Option<&CredentialSource>,
    ) -> RepositoryId {
        let id = self
            .registry
            .repository(host, name, source)
            .expect("a good image");
        self.registry.retain(id);
        id
    }

    /// Replaces the configured endpoints.
    pub(super) fn reload(&mut self, endpoints: &[EndpointSettings]) -> Result<Reload, Vec<String>> {
        let now = self.now();
        let reload = self.registry.reload(now, endpoints);
        self.drain();
        reload
    }

    /// Counts a user off.
    pub(super) fn release(&mut self, id: RepositoryId) {
        self.registry.release(id);
        self.drain();
    }

    /// `kept`, `waiting` or the class of the last failure.
    pub(super) fn want(&mut self, id: RepositoryId, waiter: u64) -> &'static str {
        let now = self.now();
        let answer = match self.registry.want_listing(now, id, WaiterId(waiter)) {
            ListingAnswer::Kept(_) => "kept",
            ListingAnswer::Waiting => "waiting",
            ListingAnswer::Failed(failure) => failure.kind.as_str(),
        };
        self.drain();
        answer
    }

    pub(super) fn want_facts(
        &mut self,
        id: RepositoryId,
        tag: &str,
        kind: FactsKind,
        waiter: u64,
    ) -> Option<TagFacts> {
        let platforms = PlatformKeySet::new(["linux/amd64"]);
        let now = self.now();
        let answer = self
            .registry
            .want_facts(now, id, tag, kind, &platforms, WaiterId(waiter));
        let answer = match answer {
            FactsAnswer::Known(facts) => Some(facts.to_owned()),
            FactsAnswer::Waiting | FactsAnswer::Failed(_) => None,
        };
        self.drain();
        answer
    }

    /// Why the date of a tag cannot be had.
    pub(super) fn failure_of_facts(
        &mut self,
        id: RepositoryId,
        tag: &str,
        waiter: u64,
    ) -> Option<LookupFailure> {
        let platforms = PlatformKeySet::new(["linux/amd64"]);
        let now = self.now();
        let kind = FactsKind::Created;
        let answer = self
            .registry
            .want_facts(now, id, tag, kind, &platforms, WaiterId(waiter));
        let failure = match answer {
            FactsAnswer::Failed(failure) => Some(failure.clone()),
            FactsAnswer::Known(_) | FactsAnswer::Waiting => None,
        };
        self.drain();
        failure
    }

    pub(super) fn is_waiting_for(
        &mut self,
        id: RepositoryId,
        tag: &str,
        kind: FactsKind,
        waiter: u64,
    ) -> bool {
        let platforms = PlatformKeySet::new(["linux/amd64"]);
        let now = self.now();
        let answer = self
            .registry
            .want_facts(now, id, tag, kind, &platforms, WaiterId(waiter));
        let is_waiting = matches!(answer, FactsAnswer::Waiting);
        self.drain();
        is_waiting
    }

    /// Moves time, stopping at every wake-up on the way.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        while let Some(at) = self.registry.next_wakeup().filter(|at| *at <= end) {
            assert!(at >= self.now, "a wake-up lies ahead");
            self.now = at;
            self.registry.handle_timeout(self.now());
            self.drain();
            let next = self.registry.next_wakeup();
            assert!(
                next.is_none_or(|next| next > at),
                "no wake-up at the instant just handled"
            );
        }
        self.now = end;
    }

    /// Answers the oldest request, which must be for a URL that ends like this.
    #[track_caller]
    pub(super) fn answer(&mut self, url_end: &str, response: HttpResponse) -> HttpRequest {
        let (op, request) = self.requests.pop_front().expect("a request");
        assert!(
            request.url.ends_with(url_end),
            "{} for {url_end}",
            request.url
        );
        self.complete(op, HttpOutcome::Response(response));
        request
    }

    #[track_caller]
    pub(super) fn fail_request(&mut self, kind: TransportKind) {
        let (op, _) = self.requests.pop_front().expect("a request");
        let detail = String::from("as the test wants");
        self.complete(op, HttpOutcome::Failed(TransportFailure { kind, detail }));
    }

    pub(super) fn complete(&mut self, op: OpId, outcome: HttpOutcome) {
        let now = self.now();
        assert!(
            self.registry.handle_http(now, op, outcome),
            "a known operation"
        );
        self.drain();
    }

    #[track_caller]
    pub(super) fn answer_read(&mut self, content: &str) {
        let (op, _) = self.reads.pop_front().expect("a reading");
        let now = self.now();
        let outcome = CredentialOutcome::Found(Secret::new(content));
        assert!(self.registry.handle_credential(now, op, outcome));
        self.drain();
    }

    /// What was told about listings since the last call.
    pub(super) fn take_listings(&mut self) -> Vec<Told> {
        self.take(|outcome| {
            let RegistryOutcome::ListingFinished {
                changed,
                result,
                waiters,
                ..
            } = outcome
            else {
                return None;
            };
            Some((
                waiters.iter().map(|waiter| waiter.0).collect(),
                result
                    .as_ref()
                    .map(|()| *changed)
                    .map_err(|failure| failure.kind),
            ))
        })
    }

    /// What was told about tags since the last call.
    pub(super) fn take_facts(&mut self) -> Vec<Result<TagFacts, LookupFailureKind>> {
        self.take(|outcome| {
            let RegistryOutcome::FactsFinished { result, .. } = outcome else {
                return None;
            };
            Some(result.clone().map_err(|failure| failure.kind))
        })
    }

    pub(super) fn take<T>(&mut self, pick: impl Fn(&RegistryOutcome) -> Option<T>) -> Vec<T> {
        let picked = self.outcomes.iter().filter_map(&pick).collect();
        self.outcomes.retain(|outcome| pick(outcome).is_none());
        picked
    }

    pub(super) fn tags(&self, id: RepositoryId) -> Vec<String> {
        let listing = self.registry.kept_listing(id);
        listing
            .map(|listing| listing.tags().map(String::from).collect())
            .unwrap_or_default()
    }

    fn drain(&mut self) {
        while let Some(effect) = self.registry.poll_effect(&mut self.ids) {
            match effect {
                Effect::Http(op, request) => {
                    let window = self.windows.get(&request.pool.registry);
                    assert!(
                        window.is_none_or(|until| *until <= self.now),
                        "nothing is sent inside a throttle window: {}",
                        request.url
                    );
                    self.requests.push_back((op, request));
                }
                Effect::ReadCredential(op, source) => self.reads.push_back((op, source)),
                Effect::Cancel(op) => self.cancels.push(op),
                Effect::Cluster(..) | Effect::Git(..) => panic!("registries talk to no one else"),
            }
        }
        while let Some(outcome) = self.registry.poll_outcome() {
            if let RegistryOutcome::Throttled {
                endpoint,
                held: Held::Everybody,
                until,
            } = &outcome
            {
                self.windows.insert(endpoint.to_string(), *until);
            }
            self.outcomes.push(outcome);
        }
        assert_eq!(self.registry.recount(), Ok(()));
        let shown = alloc::format!("{:?}", self.outcomes);
        assert!(!shown.contains("canary"), "no secret is told: {shown}");
    }
}

pub(super) fn ok(body: impl AsRef<[u8]>) -> HttpResponse {
    with(200, &[], body)
}

pub(super) fn with(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> HttpResponse {
    HttpResponse {
        status,
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
        body: body.as_ref().to_vec(),
    }
}

/// The value of `Authorization`, if the request carries one.
pub(super) fn shown(request: &HttpRequest) -> Option<&str> {
    request
        .headers
        .iter()
        .find(|(name, _)| name == "authorization")
        .map(|(_, value)| HeaderValue::reveal(value))
}
