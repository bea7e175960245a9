//! How the world answers what the core starts: registries, the API server, and what is wrong with them.

use std::time::Duration;

use image_updater_core::credential::CredentialOutcome;
use image_updater_core::effect::{ClusterEffect, Effect};
use image_updater_core::http::{HttpOutcome, HttpRequest, TransportFailure, TransportKind};
use image_updater_core::id::{AppKey, OpId};
use image_updater_core::input::{ClusterInput, Input, PatchOutcome, ReadOutcome};
use image_updater_core::secret::Secret;
use image_updater_fixtures::cluster::Refusal;
use image_updater_fixtures::registry::registry_at;
use image_updater_fixtures::{Request, Response};
use serde_json::Value;

use crate::echo::{decoded, echo, is_showing};

use super::{
    API_LATENCY, ApiFault, Flight, REGISTRY_LATENCY, RegistryFault, Work, World, now_at, record,
};

impl World {
    pub(super) fn start(&mut self, effect: Effect) {
        match effect {
            Effect::Http(op, request) => {
                self.requests.push((self.now, request.url.clone()));
                let asked = Request::from_core(&request);
                if let Some(asked) = &asked
                    && let Some(value) = asked.header("authorization")
                {
                    let scheme = value.split(' ').next().unwrap_or_default();
                    self.shown.insert((asked.host.clone(), scheme.to_owned()));
                }
                if let Some(asked) = asked.as_ref().filter(|asked| is_showing(asked)) {
                    self.secrets_shown.insert(decoded(asked));
                }
                let hangs = asked.as_ref().is_some_and(|asked| self.hangs(asked));
                let host = asked.map(|request| request.host);
                let fault = host.and_then(|host| self.registry_faults.get(&host));
                let (latency, is_mute) = match fault {
                    _ if hangs => (None, false),
                    Some(RegistryFault::Silent) => (None, false),
                    Some(RegistryFault::Mute) => (None, true),
                    Some(RegistryFault::Slow(latency)) => (Some(*latency), false),
                    Some(
                        RegistryFault::Status(..)
                        | RegistryFault::Body(_)
                        | RegistryFault::Page(..)
                        | RegistryFault::Echo(_),
                    )
                    | None => (Some(REGISTRY_LATENCY), false),
                };
                let work = Work::Http(Box::new(request));
                self.fly(op, work, latency, None, is_mute);
            }
            Effect::ReadCredential(op, source) => {
                let latency = self.are_credentials_read.then_some(API_LATENCY);
                self.fly(
                    op,
                    Work::Credential(source),
                    latency,
                    None,
                    latency.is_none(),
                );
            }
            Effect::Cluster(op, effect) => {
                if let ClusterEffect::Patch(patch) = &effect {
                    let patch = (self.now, patch.key.clone(), patch.to_json());
                    self.patches.push(patch);
                }
                let fault = self.api_faults.pop_front();
                let (latency, is_mute) = match fault {
                    Some(ApiFault::Silent) => (None, false),
                    Some(ApiFault::Mute) => (None, true),
                    Some(ApiFault::Slow(latency)) => (Some(latency), false),
                    Some(
                        ApiFault::ReplyLost
                        | ApiFault::RequestLost
                        | ApiFault::Throttled(_)
                        | ApiFault::Denied
                        | ApiFault::Rejected
                        | ApiFault::Transient,
                    )
                    | None => (Some(API_LATENCY), false),
                };
                self.fly(op, Work::Cluster(Box::new(effect)), latency, fault, is_mute);
            }
            Effect::Git(..) => unreachable!("the settings of this world ask for no commits"),
            Effect::Cancel(op) => {
                self.cancelled.insert(op);
                if let Some(flight) = self.flights.get_mut(&op)
                    && flight.due.is_none()
                    && !flight.is_mute
                {
                    flight.due = Some(self.now);
                }
            }
        }
    }

    fn fly(
        &mut self,
        op: OpId,
        work: Work,
        latency: Option<Duration>,
        api_fault: Option<ApiFault>,
        is_mute: bool,
    ) {
        let due = latency.map(|latency| self.now.after(latency));
        let flight = Flight {
            work,
            due,
            api_fault,
            is_mute,
        };
        let twice = self.flights.insert(op, flight);
        assert!(twice.is_none(), "an id is used once (A8)");
    }

    pub(super) fn answer(&mut self, op: OpId) {
        let flight = self.flights.remove(&op).expect("an operation in flight");
        let input = match flight.work {
            Work::Http(request) => Input::Http(op, self.serve(&request, self.was_cancelled(op))),
            Work::Credential(source) => {
                let outcome = match self.credentials.get(&source.to_string()) {
                    Some(raw) => CredentialOutcome::Found(Secret::new(raw.clone())),
                    None => CredentialOutcome::Missing("no such variable".to_owned()),
                };
                Input::Credential(op, outcome)
            }
            Work::Cluster(effect) => Input::Cluster(match *effect {
                ClusterEffect::Patch(patch) => {
                    let document = patch.to_json();
                    ClusterInput::Patched(
                        op,
                        self.patch(&patch.key, &document, flight.api_fault.as_ref()),
                    )
                }
                ClusterEffect::Read { key, .. } => {
                    ClusterInput::Read(op, self.read(&key, flight.api_fault.as_ref()))
                }
            }),
        };
        self.tell(input);
    }

    /// True when a registry lets the request hang, by its own rules.
    fn hangs(&self, asked: &Request) -> bool {
        let mut registries = self.registries.values();
        registries
            .find(|one| one.has_host(&asked.host))
            .is_some_and(|registry| registry.hangs(self.now, asked))
    }

    fn was_cancelled(&self, op: OpId) -> bool {
        self.cancelled.contains(&op)
    }

    fn serve(&mut self, request: &HttpRequest, is_cancelled: bool) -> HttpOutcome {
        let failed = |kind, detail: &str| {
            HttpOutcome::Failed(TransportFailure {
                kind,
                detail: detail.to_owned(),
            })
        };
        if is_cancelled {
            return failed(TransportKind::Cancelled, "cancelled");
        }
        let Some(asked) = Request::from_core(request) else {
            return failed(TransportKind::Malformed, "no absolute URL");
        };
        let now = now_at(self.now);
        let response = match self.registry_faults.get(&asked.host) {
            Some(RegistryFault::Status(status, headers)) => Response {
                status: *status,
                headers: headers.clone(),
                body: Vec::new(),
            },
            Some(RegistryFault::Body(body)) => Response {
                status: 200,
                headers: Vec::new(),
                body: body.clone(),
            },
            Some(RegistryFault::Page(part, status, body)) if asked.target.contains(part) => {
                Response {
                    status: *status,
                    headers: Vec::new(),
                    body: body.clone(),
                }
            }
            Some(RegistryFault::Echo(status)) if is_showing(&asked) => echo(*status, &asked),
            Some(
                RegistryFault::Silent
                | RegistryFault::Mute
                | RegistryFault::Slow(_)
                | RegistryFault::Page(..)
                | RegistryFault::Echo(_),
            )
            | None => {
                let registries = self.registries.values_mut();
                let Some(registry) = registry_at(registries, &asked.host) else {
                    return failed(TransportKind::Dns, "no such host");
                };
                registry.handle(now.mono, now.wall, &asked)
            }
        };
        // An answer to HEAD has no body, and so none that is too long.
        let response = response.into_core(asked.method == "HEAD");
        if response.body.len() > request.body_bytes_max {
            return failed(TransportKind::TooLarge, "the body is too long");
        }
        HttpOutcome::Response(response)
    }

    fn patch(&mut self, key: &AppKey, patch: &Value, fault: Option<&ApiFault>) -> PatchOutcome {
        match fault {
            Some(ApiFault::RequestLost | ApiFault::Silent | ApiFault::Mute) => {
                return PatchOutcome::Unknown("connection reset".to_owned());
            }
            Some(ApiFault::Throttled(wait)) => return PatchOutcome::Throttled(*wait),
            Some(ApiFault::Denied) => {
                return PatchOutcome::Denied("grant the verb patch".to_owned());
            }
            Some(ApiFault::Rejected) => {
                return PatchOutcome::Rejected("spec.source is no source".to_owned());
            }
            Some(ApiFault::Transient) => {
                return PatchOutcome::Transient("connection refused".to_owned());
            }
            Some(ApiFault::ReplyLost | ApiFault::Slow(_)) | None => {}
        }
        match self.cluster.patch(&key.namespace, &key.name, patch) {
            Ok(_) if matches!(fault, Some(ApiFault::ReplyLost)) => {
                PatchOutcome::Unknown("connection reset".to_owned())
            }
            Ok(object) => PatchOutcome::Done(Box::new(record(&object))),
            Err(Refusal::Missing) => PatchOutcome::Missing,
            Err(Refusal::Conflict) => PatchOutcome::Conflict,
            Err(Refusal::Gone) => PatchOutcome::Transient("gone".to_owned()),
            Err(Refusal::Unprocessable(text)) => PatchOutcome::Rejected(text),
        }
    }

    fn read(&self, key: &AppKey, fault: Option<&ApiFault>) -> ReadOutcome {
        match fault {
            Some(ApiFault::Throttled(wait)) => return ReadOutcome::Throttled(*wait),
            Some(ApiFault::Denied) => return ReadOutcome::Denied("grant the verb get".to_owned()),
            Some(
                ApiFault::Transient
                | ApiFault::Rejected
                | ApiFault::Silent
                | ApiFault::Mute
                | ApiFault::ReplyLost
                | ApiFault::RequestLost,
            ) => return ReadOutcome::Transient("connection refused".to_owned()),
            Some(ApiFault::Slow(_)) | None => {}
        }
        let object = self.cluster.application(&key.namespace, &key.name);
        object.map_or(ReadOutcome::Missing, |object| {
            ReadOutcome::Found(Box::new(record(object)))
        })
    }
}
