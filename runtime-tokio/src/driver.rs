//! The production driver: the only caller of the core's six methods.
//!
//! One loop, in a fixed order: time that has come, facts that came in, effects to start, events to
//! tell; then it sleeps until something of these is there again. It holds no state of its own that
//! decides anything.
//!
//! - Without its watch it would work on what it knew for ever: where that ends, the driver drains
//!   what is under way and ends, too, with the reason.
//! - A panic of the core passes through to the caller.

use std::pin::pin;

use image_updater_core::effect::{ClusterEffect, Effect};
use image_updater_core::event::Event;
use image_updater_core::git::{Refusal, RefusalKind};
use image_updater_core::input::{ClusterInput, Input, ProcessInput};
use image_updater_core::publish::GitOutcome;
use image_updater_core::time::WakeReason;
use image_updater_core::{Config, Seed, Updater};
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

use crate::clock::Clock;
use crate::credential::CredentialReader;
use crate::git::{GitParts, Publisher};
use crate::http::HttpClient;
use crate::kube::{ClusterClient, WatchEnd, WatchScope, watch_applications};
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
    /// Speaks with Git servers; `None` where the settings ask for no commits.
    pub git: Option<GitParts>,
    /// Which applications are watched.
    pub scope: WatchScope,
    /// Settings that change while it runs; `None` where none do.
    pub reloads: Option<mpsc::Receiver<Input>>,
}

/// Why a driver ended before its work was done and without being told to.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DriverError {
    /// One pass was asked for, and the Applications could not be listed.
    #[error("cannot list applications: {0}")]
    NeverListed(String),
    /// The watch ended, which it never does while somebody listens.
    #[error("the watch of applications ended")]
    WatchEnded,
    /// The watch's task panicked; the panic hook has said where.
    #[error("the watch of applications crashed")]
    WatchCrashed,
}

/// The same as [`drive_to_end`], for a stage that owns the whole world around the driver.
///
/// # Panics
/// Where the driver ends for another reason than its work or `shutdown`.
pub async fn drive(parts: Parts, observe: impl FnMut(&Event), shutdown: impl Future<Output = ()>) {
    let ended = drive_to_end(parts, observe, shutdown).await;
    ended.expect("the world of a stage lasts as long as its driver");
}

/// Drives a core until it is finished: after one pass where that was asked for, else after `shutdown`.
///
/// `observe` hears every event in order.
pub async fn drive_to_end(
    parts: Parts,
    mut observe: impl FnMut(&Event),
    shutdown: impl Future<Output = ()>,
) -> Result<(), DriverError> {
    let (watch_facts, watched) = mpsc::channel(WATCH_FACTS_MAX);
    let watch = watch_applications(parts.cluster.clone(), parts.scope.clone(), watch_facts);
    let mut driver = Driver::new(parts, watched, spawn(watch));
    driver.run(&mut observe, shutdown).await
}

struct Driver {
    core: Updater,
    clock: Clock,
    starter: Starter,
    answered: mpsc::UnboundedReceiver<Input>,
    watched: mpsc::Receiver<Input>,
    reloads: Option<mpsc::Receiver<Input>>,
    watch: JoinHandle<WatchEnd>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl Driver {
    /// A driver that learns of Applications through `watched`, which `watch` feeds.
    fn new(parts: Parts, watched: mpsc::Receiver<Input>, watch: JoinHandle<WatchEnd>) -> Self {
        let (completions, answered) = mpsc::unbounded_channel();
        Self {
            core: Updater::new(parts.config, parts.seed, parts.clock.now()),
            clock: parts.clock,
            starter: Starter {
                operations: Operations::new(completions),
                http: parts.http,
                credentials: CredentialReader::new(Some(parts.cluster.clone())),
                publisher: parts
                    .git
                    .map(|git| Publisher::new(git, parts.cluster.clone())),
                cluster: parts.cluster,
            },
            answered,
            watched,
            reloads: parts.reloads,
            watch,
        }
    }

    async fn run(
        &mut self,
        observe: &mut impl FnMut(&Event),
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), DriverError> {
        let mut shutdown = pin!(shutdown);
        let mut is_stopping = false;
        let mut failure = None;
        loop {
            self.serve_time();
            self.take_in();
            self.drain(observe);
            if self.core.is_finished() {
                return failure.map_or(Ok(()), Err);
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
                Some(input) = next_of(&mut self.reloads), if !is_stopping => Some(input),
                // After its facts.
                ended = &mut self.watch, if !is_stopping => {
                    is_stopping = true;
                    failure = Some(to_failure(ended));
                    Some(Input::Process(ProcessInput::Shutdown))
                }
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

/// The next input of a channel that may not be there.
async fn next_of(channel: &mut Option<mpsc::Receiver<Input>>) -> Option<Input> {
    channel.as_mut()?.recv().await
}

fn to_failure(ended: Result<WatchEnd, JoinError>) -> DriverError {
    match ended {
        Ok(WatchEnd::NeverListed(reason)) => DriverError::NeverListed(reason),
        Ok(WatchEnd::Closed) => DriverError::WatchEnded,
        Err(_) => DriverError::WatchCrashed,
    }
}

/// Starts effects.
struct Starter {
    operations: Operations,
    http: HttpClient,
    credentials: CredentialReader,
    publisher: Option<Publisher>,
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
            Effect::Git(op, job) => {
                if let Some(publisher) = self.publisher.clone() {
                    self.operations.start_told(op, Answer::Git, |cancelled| {
                        let attempt = publisher.attempt(*job, cancelled);
                        async move { Input::Git(op, Box::new(attempt.await)) }
                    });
                    return;
                }
                let text = "this driver has no way to Git servers";
                let outcome = GitOutcome::Refused {
                    refusal: Refusal::new(RefusalKind::NotGit, text),
                    ends: Vec::new(),
                };
                let work = async move { Input::Git(op, Box::new(outcome)) };
                self.operations.start(op, Answer::Git, work);
            }
            Effect::Cancel(op) => self.operations.cancel(op),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{pending, ready};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use image_updater_core::Settings;
    use image_updater_core::registry::RegistrySettings;
    use image_updater_core::schedule::{Mode, ScheduleSettings};
    use kube::client::Body;

    use super::*;
    use crate::http::{HttpSettings, install_tls_provider, system_roots};

    const INTERVAL: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn watch_that_ends_ends_the_driver_with_the_reason() {
        let down = || "the API server is down".to_owned();
        for (watch, failure) in [
            (
                spawn(ready(WatchEnd::NeverListed(down()))),
                DriverError::NeverListed(down()),
            ),
            (spawn(ready(WatchEnd::Closed)), DriverError::WatchEnded),
            (
                spawn(async { panic!("planted") }),
                DriverError::WatchCrashed,
            ),
        ] {
            let (facts, watched) = mpsc::channel(1);
            drop(facts);
            let mut events = Vec::new();
            let ended = Driver::new(parts(INTERVAL), watched, watch)
                .run(&mut |event| events.push(event.clone()), pending())
                .await;
            assert_eq!(ended, Err(failure));
            assert!(
                matches!(events.last(), Some(Event::Stopped { abandoned: 0 })),
                "it drains: {events:?}"
            );
        }
    }

    #[tokio::test]
    async fn watch_that_ends_after_the_driver_was_told_to_end_is_no_failure() {
        let (_facts, watched) = mpsc::channel(1);
        let watch = spawn(ready(WatchEnd::Closed));
        let ended = Driver::new(parts(INTERVAL), watched, watch)
            .run(&mut |_| (), ready(()))
            .await;
        assert_eq!(ended, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn single_pass_ends_with_the_reason_when_nothing_can_be_listed() {
        let ended = drive_to_end(parts(Duration::ZERO), |_| (), pending()).await;
        let Err(DriverError::NeverListed(reason)) = ended else {
            panic!("{ended:?}")
        };
        assert!(reason.contains("grant the verb list"), "{reason}");
    }

    #[test]
    fn panic_within_the_loop_reaches_the_caller() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let work = || {
            let broken = |_: &Event| panic!("planted");
            runtime.block_on(async { drive_to_end(parts(INTERVAL), broken, ready(())).await })
        };
        let caught = catch_unwind(AssertUnwindSafe(work));
        let payload = caught.expect_err("nothing swallows it");
        assert_eq!(payload.downcast_ref(), Some(&"planted"));
    }

    /// A driver's parts with an API server that grants nothing.
    fn parts(interval: Duration) -> Parts {
        install_tls_provider();
        let service = tower::service_fn(|_: http::Request<Body>| {
            let mut response = http::Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::FORBIDDEN;
            ready(Ok::<_, Infallible>(response))
        });
        let registry = RegistrySettings {
            interval,
            once: interval.is_zero(),
            ..RegistrySettings::default()
        };
        let settings = Settings::new(ScheduleSettings::new(Mode::Continuous, interval), registry);
        Parts {
            config: Config::new(settings).expect("the settings are right"),
            seed: Seed(1),
            clock: Clock::start(),
            http: HttpClient::new(HttpSettings::default(), system_roots()),
            cluster: ClusterClient::new(kube::Client::new(service, "argocd")),
            git: None,
            scope: WatchScope {
                namespace: None,
                label_selector: String::new(),
                interval,
            },
            reloads: None,
        }
    }
}
