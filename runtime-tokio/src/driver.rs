//! The production driver: the only caller of the core's six methods.
//!
//! One loop, in a fixed order: time that has come, facts that came in, effects to start, events to
//! tell; then it sleeps until something of these is there again. It holds no state of its own that
//! decides anything.

use std::pin::pin;

use image_updater_core::effect::{ClusterEffect, Effect};
use image_updater_core::event::Event;
use image_updater_core::input::{ClusterInput, Input, ProcessInput};
use image_updater_core::time::WakeReason;
use image_updater_core::{Config, Seed, Updater};
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::credential::CredentialReader;
use crate::http::HttpClient;
use crate::kube::{ClusterClient, WatchScope, watch_applications};
use crate::spawn::{Answer, Operations, spawn};

/// Facts taken in before effects are started again, so that neither starves the other.
const FACTS_PER_ROUND_MAX: usize = 64;
/// Facts of the watch that wait for the core; the watch pauses when there are more.
const WATCH_FACTS_MAX: usize = 256;

/// What the driver works with.
#[derive(Debug)]
pub struct Parts {
    /// The core's settings.
    pub config: Config,
    /// Moves the core's jitter; another one for every process.
    pub seed: Seed,
    /// The process's clock.
    pub clock: Clock,
    /// Speaks with registries.
    pub http: HttpClient,
    /// Speaks with the Kubernetes API.
    pub cluster: ClusterClient,
    /// Which applications are watched.
    pub scope: WatchScope,
}

/// Drives a core until it is finished: after one pass where that was asked for, else after `shutdown`.
///
/// `observe` hears every event in order.
pub async fn drive(
    parts: Parts,
    mut observe: impl FnMut(&Event),
    shutdown: impl Future<Output = ()>,
) {
    let (completions, answered) = mpsc::unbounded_channel();
    let (watch_facts, watched) = mpsc::channel(WATCH_FACTS_MAX);
    let watch = spawn(watch_applications(
        parts.cluster.clone(),
        parts.scope,
        watch_facts,
    ));
    let mut driver = Driver {
        core: Updater::new(parts.config, parts.seed, parts.clock.now()),
        clock: parts.clock,
        starter: Starter {
            operations: Operations::new(completions),
            http: parts.http,
            credentials: CredentialReader::new(Some(parts.cluster.clone())),
            cluster: parts.cluster,
        },
        answered,
        watched,
    };
    driver.run(&mut observe, shutdown).await;
    watch.abort();
}

struct Driver {
    core: Updater,
    clock: Clock,
    starter: Starter,
    answered: mpsc::UnboundedReceiver<Input>,
    watched: mpsc::Receiver<Input>,
}

impl Driver {
    async fn run(&mut self, observe: &mut impl FnMut(&Event), shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut is_stopping = false;
        loop {
            self.serve_time();
            self.take_in();
            self.drain(observe);
            if self.core.is_finished() {
                return;
            }
            let wakeup = self.core.poll_timeout();
            if wakeup.is_some_and(|wakeup| wakeup.reason == WakeReason::Turn) {
                // Unfinished work: let I/O have its turn first.
                tokio::task::yield_now().await;
                continue;
            }
            let deadline = wakeup.map(|wakeup| self.clock.to_deadline(wakeup.at));
            let due = async move {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let input = tokio::select! {
                biased;
                () = &mut shutdown, if !is_stopping => {
                    is_stopping = true;
                    Some(Input::Process(ProcessInput::Shutdown))
                }
                Some(input) = self.answered.recv() => Some(input),
                Some(input) = self.watched.recv(), if !is_stopping => Some(input),
                () = due => None,
            };
            if let Some(input) = input {
                self.core.handle_input(self.clock.now(), input);
            }
        }
    }

    /// Calls the core when its time has come. Judged by the clock, not by the timer that woke us.
    fn serve_time(&mut self) {
        let now = self.clock.now();
        if self
            .core
            .poll_timeout()
            .is_some_and(|wakeup| wakeup.at <= now.mono)
        {
            self.core.handle_timeout(now);
        }
    }

    /// Hands over facts that wait: answers first, they free what the next facts may need.
    fn take_in(&mut self) {
        for _ in 0..FACTS_PER_ROUND_MAX {
            let Ok(input) = self
                .answered
                .try_recv()
                .or_else(|_| self.watched.try_recv())
            else {
                return;
            };
            self.core.handle_input(self.clock.now(), input);
        }
    }

    fn drain(&mut self, observe: &mut impl FnMut(&Event)) {
        while let Some(effect) = self.core.poll_effect() {
            self.starter.start(effect);
        }
        while let Some(event) = self.core.poll_event() {
            observe(&event);
        }
    }
}

/// Starts effects.
struct Starter {
    operations: Operations,
    http: HttpClient,
    credentials: CredentialReader,
    cluster: ClusterClient,
}

impl Starter {
    fn start(&self, effect: Effect) {
        match effect {
            Effect::Http(op, request) => {
                let http = self.http.clone();
                let work = async move { Input::Http(op, http.exchange(request).await) };
                self.operations.start(op, Answer::Http, work);
            }
            Effect::ReadCredential(op, source) => {
                let credentials = self.credentials.clone();
                let work = async move { Input::Credential(op, credentials.read(&source).await) };
                self.operations.start(op, Answer::Credential, work);
            }
            Effect::Cluster(op, ClusterEffect::Patch(patch)) => {
                let cluster = self.cluster.clone();
                let work = async move {
                    let outcome = cluster.patch_application(&patch).await;
                    Input::Cluster(ClusterInput::Patched(op, outcome))
                };
                self.operations.start(op, Answer::Patched, work);
            }
            Effect::Cluster(op, ClusterEffect::Read { key, timeout }) => {
                let cluster = self.cluster.clone();
                let work = async move {
                    let outcome = cluster.read_application(&key, timeout).await;
                    Input::Cluster(ClusterInput::Read(op, outcome))
                };
                self.operations.start(op, Answer::Read, work);
            }
            Effect::Cancel(op) => self.operations.cancel(op),
        }
    }
}
