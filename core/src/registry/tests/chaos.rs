//! Any order of anything: nothing panics, every waiter is told once, nothing is left over.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::*;

use super::driver::{Driver, ok, with};
use crate::credential::CredentialSource;
use crate::fixed_cases::{CASES, config};
use crate::http::{HttpOutcome, HttpResponse, TransportFailure, TransportKind};
use crate::registry::digest::ManifestDigest;
use crate::registry::{
    EndpointSettings, FactsKind, RegistryOutcome, RegistrySettings, RepositoryId,
};

#[derive(Clone, Debug)]
enum Step {
    Want {
        repository: usize,
    },
    WantFacts {
        repository: usize,
        tag: usize,
        is_digest: bool,
    },
    Pass {
        millis: u64,
    },
    Answer {
        request: usize,
        reply: usize,
    },
    Read {
        content: usize,
    },
    Replace {
        repository: usize,
    },
}

const CONFIG: &str = r#"{"os":"linux","architecture":"amd64","created":"2024-01-01T00:00:00Z"}"#;
const N_REPLIES: usize = 21;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5_usize).prop_map(|repository| Step::Want { repository }),
        3 => (0..5_usize, 0..3_usize, any::<bool>()).prop_map(|(repository, tag, is_digest)| {
            Step::WantFacts { repository, tag, is_digest }
        }),
        3 => (0..120_000_u64).prop_map(|millis| Step::Pass { millis }),
        12 => (0..8_usize, 0..N_REPLIES).prop_map(|(request, reply)| Step::Answer { request, reply }),
        2 => (0..3_usize).prop_map(|content| Step::Read { content }),
        1 => (0..5_usize).prop_map(|repository| Step::Replace { repository }),
    ]
}

fn reply(kind: usize) -> HttpOutcome {
    let digest = ManifestDigest::of(CONFIG.as_bytes()).to_string();
    let image = format!(r#"{{"config":{{"digest":"{digest}"}},"layers":[]}}"#);
    let bearer = (
        "www-authenticate",
        "Bearer realm=\"https://auth.io/t\",service=\"s\"",
    );
    let response: HttpResponse = match kind {
        0 => with(200, &[("etag", "\"x\"")], r#"{"tags":["0","1"]}"#),
        1 => with(200, &[("link", "<?last=1>; rel=next")], r#"{"tags":["2"]}"#),
        2 => with(401, &[bearer], ""),
        3 => with(401, &[("www-authenticate", "Basic realm=\"r\"")], ""),
        4 => ok(r#"{"token":"canary","expires_in":120,"refresh_token":"canary"}"#),
        5 => with(429, &[("retry-after", "7")], ""),
        6 => with(503, &[("retry-after", "300")], ""),
        7 => with(500, &[], ""),
        8 => with(307, &[("location", "https://cdn.io/x")], ""),
        9 => ok(image),
        10 => ok(CONFIG),
        11 => with(200, &[("docker-content-digest", digest.as_str())], ""),
        12 => with(404, &[], ""),
        13 => with(304, &[], ""),
        14 => with(501, &[], ""),
        15 => with(403, &[], ""),
        16 => with(401, &[], ""),
        17 => {
            let insufficient =
                "Bearer realm=\"https://auth.io/t\",service=\"s\",error=\"insufficient_scope\"";
            with(401, &[("www-authenticate", insufficient)], "")
        }
        18 => with(
            200,
            &[("ratelimit-remaining", "0"), ("ratelimit-reset", "5")],
            "{}",
        ),
        19 => {
            return HttpOutcome::Failed(TransportFailure {
                kind: TransportKind::NoLocalPort,
                detail: "as the test wants".into(),
            });
        }
        _ => {
            return HttpOutcome::Failed(TransportFailure {
                kind: TransportKind::Closed,
                detail: "as the test wants".into(),
            });
        }
    };
    HttpOutcome::Response(response)
}

struct Chaos {
    driver: Driver,
    repositories: Vec<RepositoryId>,
    next_waiter: u64,
    waiting: BTreeSet<(RepositoryId, u64)>,
}

impl Chaos {
    fn new(once: bool) -> Self {
        let endpoints = ["a.io", "b.io"].map(|host| EndpointSettings {
            credentials: (host == "b.io").then(|| CredentialSource::Env("CREDS".into())),
            ..EndpointSettings::inferred(host)
        });
        let mut chaos = Self {
            driver: Driver::new(RegistrySettings {
                endpoints: endpoints.to_vec(),
                in_flight_max: 3,
                interval: Duration::from_mins(1),
                facts_bytes_max: 3_000,
                listing_bytes_max: 300,
                once,
                ..RegistrySettings::default()
            }),
            repositories: Vec::new(),
            next_waiter: 0,
            waiting: BTreeSet::new(),
        };
        chaos.repositories = (0..5).map(|n| chaos.repository(n)).collect();
        chaos
    }

    fn repository(&mut self, n: usize) -> RepositoryId {
        let host = ["a.io", "b.io", "c.io"][n % 3];
        self.driver.repository(host, &format!("app{n}"))
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Want { repository } => {
                let id = self.repositories[repository];
                self.next_waiter += 1;
                if self.driver.want(id, self.next_waiter) == "waiting" {
                    self.waiting.insert((id, self.next_waiter));
                }
            }
            Step::WantFacts {
                repository,
                tag,
                is_digest,
            } => {
                let id = self.repositories[repository];
                let kind = if is_digest {
                    FactsKind::Digest
                } else {
                    FactsKind::Created
                };
                self.next_waiter += 1;
                if self
                    .driver
                    .is_waiting_for(id, &tag.to_string(), kind, self.next_waiter)
                {
                    self.waiting.insert((id, self.next_waiter));
                }
            }
            Step::Pass { millis } => self.driver.pass(Duration::from_millis(millis)),
            Step::Answer {
                request,
                reply: kind,
            } => {
                if let Some((op, _)) = self.driver.requests.remove(request) {
                    self.driver.complete(op, reply(kind));
                    let now = self.driver.now();
                    let again = self.driver.registry.handle_http(now, op, reply(kind));
                    assert!(!again, "an answer counts once");
                }
            }
            Step::Read { content } => {
                if !self.driver.reads.is_empty() {
                    let content = ["u:canary", "canary", "u:canary2"][content];
                    self.driver.answer_read(content);
                }
            }
            Step::Replace { repository } => {
                let id = self.repositories[repository];
                self.driver.registry.release(id);
                self.waiting.retain(|(waited, _)| *waited != id);
                self.repositories[repository] = self.repository(repository);
            }
        }
        self.settle();
    }

    /// Takes out who was told.
    fn settle(&mut self) {
        let told = self.driver.take(|outcome| match outcome {
            RegistryOutcome::ListingFinished {
                repository,
                waiters,
                ..
            }
            | RegistryOutcome::FactsFinished {
                repository,
                waiters,
                ..
            } => Some((*repository, waiters.clone())),
            RegistryOutcome::CredentialFailed { .. }
            | RegistryOutcome::RequestSent { .. }
            | RegistryOutcome::RequestFinished { .. }
            | RegistryOutcome::Retried { .. }
            | RegistryOutcome::Observed(_)
            | RegistryOutcome::RetryRefused { .. }
            | RegistryOutcome::PaceChanged { .. }
            | RegistryOutcome::SlotsChanged { .. }
            | RegistryOutcome::QuotaCounted { .. }
            | RegistryOutcome::QuotaLow { .. }
            | RegistryOutcome::PortsExhausted { .. }
            | RegistryOutcome::PortsRecovered
            | RegistryOutcome::Throttled { .. }
            | RegistryOutcome::Stalled { .. }
            | RegistryOutcome::Reopened { .. }
            | RegistryOutcome::CircuitChanged { .. } => None,
        });
        for (repository, waiters) in told {
            for waiter in waiters {
                assert!(
                    self.waiting.remove(&(repository, waiter.0)),
                    "told once: {waiter:?}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(config(CASES))]

    #[test]
    fn every_waiter_is_told_once_and_nothing_is_left(
        steps in prop::collection::vec(step(), 0..150),
        once in any::<bool>(),
    ) {
        let mut chaos = Chaos::new(once);
        let mut twin = Chaos::new(once);
        for step in &steps {
            chaos.take(step);
            twin.take(step);
        }
        let told = format!("{:?} {:?}", chaos.driver.requests, chaos.driver.registry);
        let told_again = format!("{:?} {:?}", twin.driver.requests, twin.driver.registry);
        prop_assert_eq!(told, told_again, "equal calls give equal results (A1)");
        for _ in 0..200 {
            chaos.take(&Step::Answer { request: 0, reply: 12 });
            chaos.take(&Step::Read { content: 0 });
            chaos.take(&Step::Pass { millis: 10_000 });
        }
        prop_assert!(chaos.waiting.is_empty(), "{:?}", chaos.waiting);
        prop_assert!(chaos.driver.registry.is_quiescent());
        for id in chaos.repositories.clone() {
            chaos.driver.registry.release(id);
        }
        let left = chaos.driver.registry.footprint();
        let empty = Chaos::new(once).driver.registry.footprint();
        prop_assert_eq!((left.listings, left.facts), (0, 0));
        prop_assert!(left.rest <= empty.rest);
    }
}
