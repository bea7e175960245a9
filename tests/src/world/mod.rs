//! A small driver for tests of the core: virtual time, fake registries, a fake cluster, and faults that
//! a test asks for by name.
//!
//! It is a strict driver: after every call it holds the core to what may be said at any moment (the
//! audit agrees, no wake-up lies in the past, an application has one patch in flight and all together
//! have sixteen), so that every test that uses it tests these too.

mod exchange;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use image_updater_core::app::Application;
use image_updater_core::credential::CredentialSource;
use image_updater_core::effect::ClusterEffect;
use image_updater_core::http::HttpRequest;
use image_updater_core::id::{AppKey, OpId};
use image_updater_core::input::{ClusterInput, Input, ProcessInput, SettingsInput};
use image_updater_core::keyed::Seed;
use image_updater_core::registry::{EndpointSettings, RegistrySettings};
use image_updater_core::schedule::{Mode, ScheduleSettings};
use image_updater_core::time::{Now, Time, UnixTime, WakeReason};
use image_updater_core::{Config, Event, Explanation, Settings, Updater};
use image_updater_fixtures::cluster::ChangeKind;
use image_updater_fixtures::registry::ImageSpec;
use image_updater_fixtures::{AppSpec, Cluster, Registry};
use serde_json::Value;

/// The namespace of applications whose namespace does not matter.
pub const NAMESPACE: &str = "argocd";
/// The interval of [`World::settings`].
pub const INTERVAL: Duration = Duration::from_mins(2);
/// How long a healthy registry takes.
pub const REGISTRY_LATENCY: Duration = Duration::from_millis(10);
/// How long a healthy API server takes.
pub const API_LATENCY: Duration = Duration::from_millis(5);
/// Wall-clock time at the start: 2026-01-01T00:00:00Z.
const EPOCH_SECS: i64 = 1_767_225_600;
/// Calls at one instant that are no live-lock yet.
const CALLS_PER_INSTANT_MAX: u32 = 10_000;

/// What is wrong with a registry.
#[derive(Clone, Debug)]
pub enum RegistryFault {
    /// It answers everything with this status, and these headers.
    Status(u16, Vec<(String, String)>),
    /// It answers everything with this body.
    Body(Vec<u8>),
    /// It answers what holds this text in its URL with this status and body.
    Page(&'static str, u16, Vec<u8>),
    /// It answers nothing, until the core cancels.
    Silent,
    /// It answers nothing, not even when the core cancels: the driver is broken.
    Mute,
    /// It takes this long.
    Slow(Duration),
    /// It refuses everything that it is shown a secret with, and repeats the whole request.
    Echo(u16),
}

/// What is wrong with one patch, or one read.
#[derive(Clone, Debug)]
pub enum ApiFault {
    /// It is applied, and the reply is lost.
    ReplyLost,
    /// Nothing is applied, and nobody knows.
    RequestLost,
    /// 429 with, or without, a time.
    Throttled(Option<Duration>),
    /// 403.
    Denied,
    /// 422.
    Rejected,
    /// Nothing was written, for a reason that may pass.
    Transient,
    /// It is answered when the core cancels it.
    Silent,
    /// It is never answered.
    Mute,
    /// It takes this long.
    Slow(Duration),
}

/// An effect that was started and not answered.
#[derive(Debug)]
struct Flight {
    work: Work,
    /// When the answer comes; never, if nothing but a cancel brings it.
    due: Option<Time>,
    api_fault: Option<ApiFault>,
    is_mute: bool,
}

#[derive(Debug)]
enum Work {
    Http(Box<HttpRequest>),
    Cluster(Box<ClusterEffect>),
    Credential(CredentialSource),
}

/// The core in its fake world.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch that a test turns by name"
)]
pub struct World {
    /// The core.
    pub core: Updater,
    /// The API server.
    pub cluster: Cluster,
    /// Registries by host.
    pub registries: BTreeMap<String, Registry>,
    /// What is wrong with registries, by host.
    pub registry_faults: BTreeMap<String, RegistryFault>,
    /// What is wrong with the next patches and reads, in order.
    pub api_faults: VecDeque<ApiFault>,
    /// What credential sources yield, by their text; others are missing.
    pub credentials: BTreeMap<String, String>,
    /// Off when the driver never comes back with a credential.
    pub are_credentials_read: bool,
    /// The watch reports nothing while this is set.
    pub is_watch_held: bool,
    /// All events so far.
    pub events: Vec<Event>,
    /// All requests so far: when, and which URL.
    pub requests: Vec<(Time, String)>,
    /// The servers that were shown something in `Authorization`, and of which scheme.
    pub shown: BTreeSet<(String, String)>,
    /// The secrets that were shown, decoded.
    pub secrets_shown: BTreeSet<String>,
    /// All patches that were sent so far: when, whose, and the document.
    pub patches: Vec<(Time, AppKey, Value)>,
    /// Operations that were cancelled.
    pub cancelled: BTreeSet<OpId>,
    /// Most patches and reads in flight at once.
    pub api_in_flight_peak: usize,
    /// Everything that the core said, as text, when a test wants it.
    pub trace: Option<Vec<String>>,
    /// Off where a world is so large that recounting it at every call would take too long.
    pub is_audited: bool,
    now: Time,
    flights: BTreeMap<OpId, Flight>,
    reached: u64,
    is_synced: bool,
}

impl World {
    /// Settings without chance: continuous mode, an interval of [`INTERVAL`], no spread, no jitter, no
    /// warm-up.
    pub fn settings() -> Settings {
        let schedule = ScheduleSettings {
            warmup: false,
            start_spread: Duration::ZERO,
            jitter_percent: 0,
            cpus: 64,
            ..ScheduleSettings::new(Mode::Continuous, INTERVAL)
        };
        let registry = RegistrySettings {
            interval: INTERVAL,
            ..RegistrySettings::default()
        };
        Settings::new(schedule, registry)
    }

    /// An empty world with [`World::settings`].
    pub fn plain() -> Self {
        Self::new(Self::settings())
    }

    /// An empty world.
    ///
    /// # Panics
    /// When the settings are not valid.
    pub fn new(settings: Settings) -> Self {
        let config = Config::new(settings).expect("a test's settings are valid");
        Self {
            core: Updater::new(config, Seed(7), now_at(Time::ZERO)),
            cluster: Cluster::default(),
            registries: BTreeMap::new(),
            registry_faults: BTreeMap::new(),
            api_faults: VecDeque::new(),
            credentials: BTreeMap::new(),
            are_credentials_read: true,
            is_watch_held: false,
            events: Vec::new(),
            requests: Vec::new(),
            shown: BTreeSet::new(),
            secrets_shown: BTreeSet::new(),
            patches: Vec::new(),
            cancelled: BTreeSet::new(),
            api_in_flight_peak: 0,
            trace: None,
            is_audited: true,
            now: Time::ZERO,
            flights: BTreeMap::new(),
            reached: 0,
            is_synced: false,
        }
    }

    /// Virtual time.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// One sample of both clocks.
    pub fn clock(&self) -> Now {
        now_at(self.now)
    }

    /// The registry at `host`, made when there is none.
    pub fn registry(&mut self, host: &str) -> &mut Registry {
        let make = || Registry::new(host);
        self.registries.entry(host.to_owned()).or_insert_with(make)
    }

    /// Pushes `tags` to `image`, written as `host/name`.
    ///
    /// # Panics
    /// When the image names no host.
    pub fn push(&mut self, image: &str, tags: &[&str]) {
        let (host, name) = image.split_once('/').expect("an image with a host");
        for tag in tags {
            self.registry(host).push(name, tag, &ImageSpec::default());
        }
    }

    /// Creates or replaces an Application; the watch reports it at the next step.
    pub fn apply(&mut self, spec: &AppSpec) {
        self.apply_json(&spec.to_json());
    }

    /// Creates or replaces an Application; the watch reports it at the next step.
    pub fn apply_json(&mut self, object: &Value) {
        self.cluster.apply(object);
        self.follow();
    }

    /// Edits the Application `name`; the watch reports it at the next step.
    ///
    /// # Panics
    /// When it does not exist.
    pub fn edit(&mut self, name: &str, edit: impl FnOnce(&mut Value)) {
        self.cluster
            .edit(NAMESPACE, name, edit)
            .expect("a test edits what exists");
        self.follow();
    }

    /// Sets an annotation of ours, `key` without prefix.
    pub fn annotate(&mut self, name: &str, key: &str, value: &str) {
        let key = format!("argocd-image-updater.argoproj.io/{key}");
        self.edit(name, |object| {
            object["metadata"]["annotations"][key] = value.into();
        });
    }

    /// Deletes the Application `name`; the watch reports it at once.
    ///
    /// # Panics
    /// When it does not exist.
    pub fn delete(&mut self, name: &str) {
        assert!(self.cluster.delete(NAMESPACE, name), "{name} exists");
        self.follow();
    }

    /// The watch lists everything anew.
    pub fn sync(&mut self) {
        self.tell(Input::Cluster(ClusterInput::ResetBegun));
        let objects: Vec<_> = self.cluster.applications().cloned().collect();
        for object in objects {
            let record = Box::new(record(&object));
            self.tell(Input::Cluster(ClusterInput::Applied(record)));
        }
        self.is_synced = true;
        self.reached = self.cluster.version();
        self.tell(Input::Cluster(ClusterInput::ResetDone));
    }

    /// Replaces the configured registries.
    pub fn reload(&mut self, endpoints: Vec<EndpointSettings>) {
        self.tell(Input::Settings(SettingsInput::Registries(endpoints)));
    }

    /// Asks the core to stop.
    pub fn shut_down(&mut self) {
        self.tell(Input::Process(ProcessInput::Shutdown));
    }

    /// Hands one input over and drains what follows.
    pub fn tell(&mut self, input: Input) {
        self.note(&input);
        self.core.handle_input(self.clock(), input);
        self.drain();
    }

    /// Calls `handle_timeout` now, due or not.
    pub fn wake(&mut self) {
        self.core.handle_timeout(self.clock());
        self.drain();
    }

    /// Lets `duration` pass.
    ///
    /// # Panics
    /// When the core does not come to rest.
    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        let mut at_instant = 0;
        while let Some(at) = self.next_step().filter(|at| *at <= end) {
            at_instant = if at > self.now { 0 } else { at_instant + 1 };
            assert!(at_instant < CALLS_PER_INSTANT_MAX, "it comes to rest");
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
        self.follow();
    }

    /// Goes to whatever comes next, and does that one thing.
    ///
    /// # Panics
    /// When nothing comes.
    pub fn step_on(&mut self) {
        let at = self.next_step().expect("something comes");
        self.now = self.now.max(at);
        self.step();
    }

    /// Does one thing that is due now.
    fn step(&mut self) {
        let due = self
            .flights
            .iter()
            .find(|(_, flight)| flight.due.is_some_and(|due| due <= self.now));
        if let Some(op) = due.map(|(op, _)| *op) {
            self.answer(op);
            self.follow();
        } else {
            self.wake();
        }
    }

    fn next_step(&self) -> Option<Time> {
        let answers = self.flights.values().filter_map(|flight| flight.due);
        let wakeup = self.core.poll_timeout().map(|wakeup| wakeup.at);
        answers.chain(wakeup).min()
    }

    /// Operations in flight.
    pub fn n_in_flight(&self) -> usize {
        self.flights.len()
    }

    /// The operations in flight, oldest first.
    pub fn ops_in_flight(&self) -> Vec<OpId> {
        self.flights.keys().copied().collect()
    }

    /// A patch or read in flight, if there is one.
    pub fn patch_in_flight(&self) -> Option<OpId> {
        let is_api = |flight: &Flight| matches!(flight.work, Work::Cluster(_));
        let mut flights = self.flights.iter();
        flights
            .find(|(_, flight)| is_api(flight))
            .map(|(op, _)| *op)
    }

    /// The patches in flight, by application.
    pub fn patching(&self) -> Vec<AppKey> {
        let effects = self
            .flights
            .values()
            .filter_map(|flight| match &flight.work {
                Work::Cluster(effect) => Some(effect),
                Work::Http(_) | Work::Credential(_) => None,
            });
        let keys = effects.filter_map(|effect| match &**effect {
            ClusterEffect::Patch(patch) => Some(patch.key.clone()),
            ClusterEffect::Read { .. } => None,
        });
        keys.collect()
    }

    /// Answers all that is never answered by itself, as if it had been cancelled.
    pub fn release(&mut self) {
        let ops: Vec<OpId> = self.flights.keys().copied().collect();
        for op in ops {
            if self.flights.get(&op).is_some_and(|one| one.due.is_none()) {
                self.answer(op);
            }
        }
        self.follow();
    }

    /// What the core says of the Application `name`.
    ///
    /// # Panics
    /// When the core does not know it.
    pub fn explain(&self, name: &str) -> Explanation {
        self.core
            .explain(&AppKey::new(NAMESPACE, name))
            .expect("a test asks about what is known")
    }

    /// The codes of the last decision about `name`, per image.
    pub fn codes(&self, name: &str) -> Vec<&'static str> {
        let images = self.explain(name).images;
        images.iter().map(|report| report.reason.code()).collect()
    }

    /// The Application as it is in the cluster.
    ///
    /// # Panics
    /// When it does not exist.
    pub fn object(&self, name: &str) -> &Value {
        self.cluster
            .application(NAMESPACE, name)
            .expect("a test asks for what exists")
    }

    /// The value of Helm parameter `parameter` of `name`.
    pub fn parameter(&self, name: &str, parameter: &str) -> Option<&str> {
        let parameters = self.object(name)["spec"]["source"]["helm"]["parameters"].as_array()?;
        let found = parameters.iter().find(|one| one["name"] == parameter)?;
        found["value"].as_str()
    }

    /// How many tag lists were begun at `host`.
    pub fn listings(&self, host: &str) -> usize {
        let is_first = |url: &str| url.contains("/tags/list") && !url.contains("last=");
        let begins = format!("https://{host}/");
        let urls = self.requests.iter().map(|(_, url)| url);
        urls.filter(|url| url.starts_with(&begins) && is_first(url))
            .count()
    }

    /// How often an event happened.
    pub fn count(&self, is_wanted: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is_wanted(event)).count()
    }

    /// Checks that were started for `name`.
    pub fn checks(&self, name: &str) -> usize {
        self.count(|event| matches!(event, Event::CheckStarted { key, .. } if *key.name == *name))
    }

    /// Writes that were reported for `name`.
    pub fn written(&self, name: &str) -> usize {
        self.count(|event| matches!(event, Event::Written { key, .. } if *key.name == *name))
    }

    /// Re-decisions that ended for `name`.
    pub fn redecided(&self, name: &str) -> usize {
        self.count(|event| matches!(event, Event::Redecided { key, .. } if *key.name == *name))
    }

    /// Reports what changed in the cluster since the last report.
    ///
    /// # Panics
    /// When the cluster has forgotten what was not reported yet.
    pub fn follow(&mut self) {
        if self.is_watch_held || !self.is_synced {
            return;
        }
        loop {
            let changes = self.cluster.changes_since(self.reached);
            let next = changes.expect("the history is kept").next().cloned();
            let Some(change) = next else { return };
            self.reached = change.version;
            let record = record(&change.object);
            let input = match change.kind {
                ChangeKind::Deleted => ClusterInput::Deleted(record.key),
                ChangeKind::Added | ChangeKind::Modified => ClusterInput::Applied(Box::new(record)),
            };
            self.tell(Input::Cluster(input));
        }
    }

    /// The watch leaves out what changed since its last report.
    pub const fn skip_changes(&mut self) {
        self.reached = self.cluster.version();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.core.poll_effect() {
            self.note(&effect);
            self.start(effect);
        }
        while let Some(event) = self.core.poll_event() {
            self.note(&event);
            self.events.push(event);
        }
        if self.is_audited {
            self.core.audit().expect("the audit agrees (S16)");
        }
        if let Some(wakeup) = self.core.poll_timeout() {
            let is_turn = wakeup.reason == WakeReason::Turn && wakeup.at == self.now;
            assert!(wakeup.at > self.now || is_turn, "{wakeup:?} (A6)");
        }
        let patching = self.patching();
        let distinct: BTreeSet<&AppKey> = patching.iter().collect();
        assert_eq!(
            distinct.len(),
            patching.len(),
            "one each (S1): {patching:?}"
        );
        let flights = self.flights.values();
        let n_api = flights.filter(|one| matches!(one.work, Work::Cluster(_)));
        self.api_in_flight_peak = self.api_in_flight_peak.max(n_api.count());
        assert!(self.api_in_flight_peak <= 16, "the API server's peace");
    }

    fn note(&mut self, what: &impl std::fmt::Debug) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:?} {what:?}", self.now));
        }
    }
}

/// The record of an object, as a driver hands it over.
///
/// # Panics
/// When it is no JSON object.
pub fn record(object: &Value) -> Application {
    serde_json::from_value(object.clone()).expect("an object")
}

fn now_at(mono: Time) -> Now {
    let nanos = i64::try_from(mono.as_nanos()).unwrap_or(i64::MAX);
    let wall = UnixTime::from_secs(EPOCH_SECS).as_nanos();
    Now {
        mono,
        wall: UnixTime::from_nanos(wall.saturating_add(nanos)),
    }
}
