//! What becomes of an effect: the fake world answers, and faults strike.

use std::time::Duration;

use image_updater_core::effect::{ClusterEffect, Effect};
use image_updater_core::http::{
    HttpOutcome, HttpRequest, ShownUrl, TransportFailure, TransportKind,
};
use image_updater_core::id::OpId;
use image_updater_core::input::{ClusterInput, Input, PatchOutcome, ReadOutcome};
use image_updater_core::publish::GitTask;
use image_updater_fixtures::cluster::Refusal;
use image_updater_fixtures::registry::registry_at;
use image_updater_fixtures::{Request, Response};

use super::{Engine, Op, Step};
use crate::entropy::{Entropy, Stream};
use crate::fault::{Early, Trouble};
use crate::world::{NAMESPACE, World, wall};

impl Engine {
    pub(super) fn start(&mut self, effect: Effect) {
        self.trace
            .line(self.now, "effect", format_args!("{}", brief(&effect)));
        if self.options.logins {
            self.judge_last_line();
            self.observers.shown("effect", &format!("{effect:?}"));
        }
        self.observers.started(self.now, &effect);
        match effect {
            Effect::Http(op, request) => self.start_http(op, request),
            Effect::Cluster(op, effect) => {
                let generation = self.generation;
                let is_patch = matches!(effect, ClusterEffect::Patch(_));
                let reply_lost =
                    is_patch && self.fault("reply-lost", self.options.faults.patch_reply_lost);
                let name = match &effect {
                    ClusterEffect::Patch(patch) => &patch.key.name,
                    ClusterEffect::Read { key, .. } => &key.name,
                };
                let way = format!("app {name}");
                self.ops.insert(
                    op,
                    Op {
                        reply_lost,
                        ..Op::new(way.clone())
                    },
                );
                let at = self.now.after(self.half_way(&way));
                let effect = Box::new(effect);
                self.push(
                    at,
                    Step::ArriveCluster {
                        generation,
                        op,
                        effect,
                    },
                );
            }
            Effect::ReadCredential(op, source) => {
                self.ops.insert(op, Op::new(format!("credential {source}")));
                let outcome = self.world.read_credential(&source);
                self.answer(op, Input::Credential(op, outcome));
            }
            Effect::Git(op, job) => self.start_git(op, *job),
            Effect::Cancel(op) if self.git_ops.contains_key(&op) => self.cancel_git(op),
            Effect::Cancel(op) => self.cancel(op),
        }
    }

    fn start_http(&mut self, op: OpId, request: HttpRequest) {
        let asked = Request::from_core(&request);
        let host = asked.as_ref().map(|asked| asked.host.clone());
        if let Some(asked) = &asked {
            let user = self.troubles.user_of(asked);
            self.observers.sent(self.now, op, asked, user.as_deref());
        }
        let lost = self.fault("lost", self.options.faults.lost);
        let hanging = lost || self.fault("hang", self.options.faults.hang);
        let way = host.clone().unwrap_or_default();
        let at = self.now.after(self.half_way_if(!hanging, &way));
        let may_be_late = self.options.registry_faults.late > 0;
        let request = Box::new(request);
        self.ops.insert(
            op,
            Op {
                host,
                hanging,
                lost,
                request: may_be_late.then(|| request.clone()),
                ..Op::new(way)
            },
        );
        if !hanging {
            let generation = self.generation;
            let step = Step::Arrive {
                generation,
                op,
                request,
            };
            self.push(at, step);
        }
    }

    /// A request is given up: it ends at once, or is answered all the same, a little later.
    fn cancel(&mut self, op: OpId) {
        let is_hanging = self.ops.get(&op).is_some_and(|op| op.hanging && !op.lost);
        if !is_hanging {
            return;
        }
        let late = self.options.registry_faults.late;
        let request = self.ops.get_mut(&op).and_then(|op| op.request.take());
        if let Some(request) = request
            && self.faulty
            && self.late.chance(late)
        {
            *self.injected.entry("late").or_default() += 1;
            let at = Duration::from_millis(self.late.between(500, 25_000));
            let generation = self.generation;
            self.push(
                self.now.after(at),
                Step::ArriveLate {
                    generation,
                    op,
                    request,
                },
            );
            return;
        }
        let kind = TransportKind::Cancelled;
        self.fail(op, kind, "the core cancelled the request");
    }

    pub(super) fn serve(&mut self, op: OpId, request: &HttpRequest) {
        let Some(asked) = Request::from_core(request) else {
            self.fail(op, TransportKind::Malformed, "no absolute URL");
            return;
        };
        let strike = if self.faulty {
            self.troubles.strike(self.now, &asked)
        } else {
            None
        };
        let Some(strike) = strike else {
            self.respond(op, &asked, None);
            return;
        };
        *self.injected.entry(strike.name).or_default() += 1;
        match strike.trouble.early(wall(self.now)) {
            Early::Pass => self.respond(op, &asked, Some(strike.trouble)),
            Early::Delay(delay) => {
                let delay = delay.unwrap_or(strike.clogged);
                self.delay(op, request, delay);
            }
            Early::LoseAnswer => {
                // The registry has done its work; nobody sees the whole answer.
                let registries = self.world.registries.values_mut();
                if let Some(registry) = registry_at(registries, &asked.host) {
                    registry.handle(self.now, wall(self.now), &asked);
                }
                let detail = "connection reset by peer in the middle of the response";
                self.fail(op, TransportKind::Closed, detail);
            }
            Early::Answer(response) => self.send_back(op, &asked, response),
            Early::Challenge => {
                let response = self.challenge(&asked);
                self.send_back(op, &asked, response);
            }
            Early::Failed(kind, detail) => self.fail(op, kind, detail),
            Early::TimesOut => {
                let failure = TransportFailure {
                    kind: TransportKind::TimedOut,
                    detail: "no answer in time".to_owned(),
                };
                let generation = self.generation;
                let step = Step::Deliver {
                    generation,
                    input: Box::new(Input::Http(op, HttpOutcome::Failed(failure))),
                    op: Some(op),
                };
                self.push(self.now.after(request.timeout), step);
            }
            Early::Hang => self.hang(op),
        }
    }

    /// A request that was held up arrives, unless it was given up and has ended.
    pub(super) fn serve_late(&mut self, op: OpId, request: &HttpRequest) {
        let (Some(state), Some(asked)) = (self.ops.get_mut(&op), Request::from_core(request))
        else {
            return;
        };
        state.hanging = false;
        self.respond(op, &asked, None);
    }

    fn delay(&mut self, op: OpId, request: &HttpRequest, delay: Duration) {
        self.hang(op);
        let generation = self.generation;
        let step = Step::ArriveLate {
            generation,
            op,
            request: Box::new(request.clone()),
        };
        self.push(self.now.after(delay), step);
    }

    fn hang(&mut self, op: OpId) {
        if let Some(op) = self.ops.get_mut(&op) {
            op.hanging = true;
        }
    }

    /// The registry's own 401, or a plain one where it asks nobody.
    fn challenge(&mut self, asked: &Request) -> Response {
        let mut nobody = asked.clone();
        nobody.headers.retain(|(name, _)| name != "authorization");
        let registry = self.world.registries.get_mut(&asked.host);
        let answer = registry.map(|registry| registry.handle(self.now, wall(self.now), &nobody));
        answer
            .filter(|response| response.status == 401)
            .unwrap_or_else(|| Response {
                status: 401,
                ..Response::default()
            })
    }

    /// The registry answers, unless one of the faults of every request strikes.
    fn respond(&mut self, op: OpId, asked: &Request, trouble: Option<Trouble>) {
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
            registry.handle(self.now, wall(self.now), asked)
        };
        self.troubles.spoil(trouble, asked, &mut response);
        if asked.path().ends_with("/tags/list")
            && self.fault("truncated", self.options.faults.truncated)
        {
            let half = response.body.len() / 2;
            response.body.truncate(half);
        }
        self.send_back(op, asked, response);
    }

    fn send_back(&mut self, op: OpId, asked: &Request, response: Response) {
        self.observers.served(self.now, asked, response.status);
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
                        self.observers
                            .patched(self.now, name, &before, &object, &self.world);
                        self.sync_soon(name);
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
    pub(super) fn answer(&mut self, op: OpId, input: Input) {
        let way = self.ops.get(&op).map_or("", |op| &op.way).to_owned();
        let mut delay = self.half_way(&way);
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

    /// Half of the way to a registry or to the API server; `way` says which.
    pub(super) fn half_way(&mut self, way: &str) -> Duration {
        Duration::from_millis(2) + self.exponential(way, Duration::from_millis(20))
    }

    /// Draws nothing when it is not wanted.
    fn half_way_if(&mut self, is_wanted: bool, way: &str) -> Duration {
        if is_wanted {
            self.half_way(way)
        } else {
            Duration::ZERO
        }
    }

    pub(super) fn exponential(&mut self, way: &str, mean: Duration) -> Duration {
        if !self.options.split {
            return self.latency.exponential(mean);
        }
        if !self.latencies.contains_key(way) {
            let entropy = Entropy::keyed(self.options.seed, Stream::Latency, way);
            self.latencies.insert(way.to_owned(), entropy);
        }
        let entropy = self.latencies.get_mut(way);
        entropy.map_or(Duration::ZERO, |entropy| entropy.exponential(mean))
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
        Effect::Git(op, job) => {
            let what = match &job.task {
                GitTask::Publish(task) => {
                    let apps = task.intents.iter().map(|one| &*one.app.name);
                    let apps = apps.collect::<Vec<_>>().join(" ");
                    format!("publish {} {apps}", task.batch)
                }
                GitTask::Inspect { batch, .. } => format!("inspect {batch}"),
            };
            format!("{} git {} {:?} {what}", op.0, job.repository, job.target)
        }
        Effect::Cancel(op) => format!("{} cancel", op.0),
    }
}
