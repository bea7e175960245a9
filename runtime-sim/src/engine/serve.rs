//! What becomes of an effect: the fake world answers, and faults strike.

use std::time::Duration;

use image_updater_core::effect::{ClusterEffect, Effect};
use image_updater_core::http::{
    HttpOutcome, HttpRequest, ShownUrl, TransportFailure, TransportKind,
};
use image_updater_core::id::OpId;
use image_updater_core::input::{
    ClusterInput, CredentialOutcome, Input, PatchOutcome, ReadOutcome,
};
use image_updater_fixtures::cluster::Refusal;
use image_updater_fixtures::registry::registry_at;
use image_updater_fixtures::{Request, Response};

use super::{Engine, Op, Step};
use crate::world::{NAMESPACE, World, wall};

impl Engine {
    pub(super) fn start(&mut self, effect: Effect) {
        self.trace
            .line(self.now, "effect", format_args!("{}", brief(&effect)));
        self.observers.started(self.now, &effect);
        let generation = self.generation;
        match effect {
            Effect::Http(op, request) => {
                let host = Request::from_core(&request).map(|request| request.host);
                let lost = self.fault("lost", self.options.faults.lost);
                let hanging = lost || self.fault("hang", self.options.faults.hang);
                self.ops.insert(
                    op,
                    Op {
                        host,
                        hanging,
                        lost,
                        reply_lost: false,
                        throttled_s: None,
                    },
                );
                if !hanging {
                    let at = self.now.after(self.half_way());
                    self.push(
                        at,
                        Step::Arrive {
                            generation,
                            op,
                            request: Box::new(request),
                        },
                    );
                }
            }
            Effect::Cluster(op, effect) => {
                let is_patch = matches!(effect, ClusterEffect::Patch(_));
                let reply_lost =
                    is_patch && self.fault("reply-lost", self.options.faults.patch_reply_lost);
                self.ops.insert(
                    op,
                    Op {
                        host: None,
                        hanging: false,
                        lost: false,
                        reply_lost,
                        throttled_s: None,
                    },
                );
                let at = self.now.after(self.half_way());
                self.push(
                    at,
                    Step::ArriveCluster {
                        generation,
                        op,
                        effect: Box::new(effect),
                    },
                );
            }
            Effect::ReadCredential(op, source) => {
                self.ops.insert(
                    op,
                    Op {
                        host: None,
                        hanging: false,
                        lost: false,
                        reply_lost: false,
                        throttled_s: None,
                    },
                );
                let outcome =
                    CredentialOutcome::Missing(format!("{source:?} is not in this world"));
                self.answer(op, Input::Credential(op, outcome));
            }
            Effect::Cancel(op) => {
                let hanging = self.ops.get(&op).is_some_and(|op| op.hanging && !op.lost);
                if hanging {
                    let kind = TransportKind::Cancelled;
                    self.fail(op, kind, "the core cancelled the request");
                }
            }
        }
    }

    pub(super) fn serve(&mut self, op: OpId, request: &HttpRequest) {
        let Some(asked) = Request::from_core(request) else {
            self.fail(op, TransportKind::Malformed, "no absolute URL");
            return;
        };
        if self.fault("reset", self.options.faults.reset) {
            self.fail(op, TransportKind::Closed, "connection reset by peer");
            return;
        }
        let mut response = if self.fault("server-error", self.options.faults.server_error) {
            let status = [500, 502, 503][self.faults.index(3)];
            Response {
                status,
                ..Response::default()
            }
        } else if self.fault("throttled", self.options.faults.throttled) {
            let wait = self.faults.between(1, 30);
            if let Some(op) = self.ops.get_mut(&op) {
                op.throttled_s = Some(wait);
            }
            Response {
                status: 429,
                ..Response::default()
            }
            .with_header("retry-after", wait.to_string())
        } else {
            let registries = self.world.registries.values_mut();
            let Some(registry) = registry_at(registries, &asked.host) else {
                self.fail(op, TransportKind::Dns, "no such host");
                return;
            };
            registry.handle(self.now, wall(self.now), &asked)
        };
        self.observers.served(&asked, &mut response);
        if asked.path().ends_with("/tags/list")
            && self.fault("truncated", self.options.faults.truncated)
        {
            let half = response.body.len() / 2;
            response.body.truncate(half);
        }
        let outcome = HttpOutcome::Response(response.into_core(asked.method == "HEAD"));
        self.answer(op, Input::Http(op, outcome));
    }

    pub(super) fn serve_cluster(&mut self, op: OpId, effect: ClusterEffect) {
        let input = match effect {
            ClusterEffect::Patch(patch) => {
                let (namespace, name) = (&*patch.key.namespace, &*patch.key.name);
                let before = self.world.cluster.application(namespace, name).cloned();
                let outcome = match self.world.cluster.patch(namespace, name, &patch.to_json()) {
                    Ok(object) => {
                        self.trace
                            .line(self.now, "patched", format_args!("{namespace}/{name}"));
                        let before = before.expect("a patched object was there");
                        self.observers.patched(name, &before, &object, &self.world);
                        let sync = self.now.after(
                            Duration::from_secs(2)
                                + self.latency.exponential(Duration::from_secs(5)),
                        );
                        self.push(sync, Step::Sync(name.to_owned()));
                        PatchOutcome::Done(Box::new(World::record(&object)))
                    }
                    Err(Refusal::Missing) => PatchOutcome::Missing,
                    Err(Refusal::Conflict) => PatchOutcome::Conflict,
                    Err(Refusal::Gone) => PatchOutcome::Transient("gone".to_owned()),
                    Err(Refusal::Unprocessable(text)) => PatchOutcome::Rejected(text),
                };
                self.poll_watch_soon();
                let lost = self.ops.get(&op).is_some_and(|op| op.reply_lost);
                let outcome = if lost && matches!(outcome, PatchOutcome::Done(_)) {
                    PatchOutcome::Unknown("the reply was lost".to_owned())
                } else {
                    outcome
                };
                Input::Cluster(ClusterInput::Patched(op, outcome))
            }
            ClusterEffect::Read { key, .. } => {
                let object = self.world.cluster.application(&key.namespace, &key.name);
                let outcome = object.map_or(ReadOutcome::Missing, |object| {
                    ReadOutcome::Found(Box::new(World::record(object)))
                });
                Input::Cluster(ClusterInput::Read(op, outcome))
            }
        };
        self.answer(op, input);
    }

    fn fail(&mut self, op: OpId, kind: TransportKind, detail: &str) {
        let failure = TransportFailure {
            kind,
            detail: detail.to_owned(),
        };
        self.answer(op, Input::Http(op, HttpOutcome::Failed(failure)));
    }

    /// Delivers a completion after the second half of the way.
    fn answer(&mut self, op: OpId, input: Input) {
        let mut delay = self.half_way();
        if self.fault("stall", self.options.faults.stall) {
            delay += Duration::from_secs(self.faults.between(5, 120));
        }
        let generation = self.generation;
        let step = Step::Deliver {
            generation,
            input: Box::new(input),
            op: Some(op),
        };
        self.push(self.now.after(delay), step);
    }

    fn half_way(&mut self) -> Duration {
        Duration::from_millis(2) + self.latency.exponential(Duration::from_millis(20))
    }

    pub(super) fn fault(&mut self, class: &'static str, per_million: u32) -> bool {
        let strikes = self.faulty && per_million > 0 && self.faults.chance(per_million);
        if strikes {
            *self.injected.entry(class).or_default() += 1;
        }
        strikes
    }
}

/// An effect in one line, without its payload.
fn brief(effect: &Effect) -> String {
    match effect {
        Effect::Http(op, request) => {
            let url = ShownUrl(&request.url);
            format!("{} http {} {url}", op.0, request.method.as_str())
        }
        Effect::ReadCredential(op, source) => format!("{} credential {source:?}", op.0),
        Effect::Cluster(op, ClusterEffect::Patch(patch)) => {
            format!(
                "{} patch {NAMESPACE}/{} {:?}",
                op.0, patch.key.name, patch.operations
            )
        }
        Effect::Cluster(op, ClusterEffect::Read { key, .. }) => format!("{} read {key}", op.0),
        Effect::Cancel(op) => format!("{} cancel", op.0),
    }
}
