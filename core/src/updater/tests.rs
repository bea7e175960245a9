//! The facade by hand: one application, every answer given by the test. Stories with a whole world are
//! told in `tests/tests/scenarios`, the contract line by line in `tests/tests/contract.rs`.

mod publication;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::Updater;
use super::inquiry::{parts, waiter};
use crate::app::Application;
use crate::config::{Config, Settings};
use crate::effect::{ClusterEffect, Effect};
use crate::event::{Event, RunEnd, RunKind};
use crate::http::{HttpOutcome, HttpResponse, TransportFailure, TransportKind};
use crate::id::{AppId, AppKey, OpId};
use crate::input::{ClusterInput, Input, PatchOutcome, ReadOutcome};
use crate::keyed::Seed;
use crate::registry::{RegistryOutcome, RegistrySettings};
use crate::schedule::{Mode, ScheduleSettings};
use crate::time::Now;

#[test]
fn waiters_are_told_apart_by_application_and_image() {
    for id in [0, 1, 4095, 4096, 1 << 40] {
        for idx in [0, 1, 999, 4095] {
            assert_eq!(parts(waiter(AppId(id), idx)), (AppId(id), idx));
        }
    }
}

#[test]
fn one_update_goes_from_the_watch_to_the_patch() {
    let mut world = World::new();
    world.apply(1, "", "");
    let patch = world.patch_after_listing();
    assert_eq!(patch.1, ["add /spec/source/helm"]);
    world.answer_patch(patch.0, PatchOutcome::Done(Box::new(app(2, "", "1.1.0"))));
    let events = world.events();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Written { .. }))
    );
    assert_eq!(world.last_run(), Some((RunKind::Check, RunEnd::Success)));
    assert_eq!(world.core.audit(), Ok(()));
}

#[test]
fn a_conflict_is_read_before_anything_is_repeated() {
    let mut world = World::new();
    world.apply(1, "", "");
    let (op, _) = world.patch_after_listing();
    world.answer_patch(op, PatchOutcome::Conflict);
    let read = world.read();
    let found = ReadOutcome::Found(Box::new(app(5, "", "")));
    world.tell(Input::Cluster(ClusterInput::Read(read, found)));
    assert_eq!(world.effects(), [], "a pause comes first");
    world.wait();
    let effects = world.effects();
    let [Effect::Cluster(_, ClusterEffect::Patch(patch))] = &effects[..] else {
        panic!("one patch: {effects:?}");
    };
    assert_eq!(&*patch.resource_version, "5");
}

#[test]
fn a_read_that_finds_the_wish_gone_ends_the_run() {
    let mut world = World::new();
    world.apply(1, "", "");
    let (op, _) = world.patch_after_listing();
    world.answer_patch(op, PatchOutcome::Conflict);
    let read = world.read();
    let found = ReadOutcome::Found(Box::new(app(5, "~2", "")));
    world.tell(Input::Cluster(ClusterInput::Read(read, found)));
    world.wait();
    assert_eq!(world.effects(), []);
    assert_eq!(world.last_run(), Some((RunKind::Check, RunEnd::Success)));
    assert_eq!(world.core.audit(), Ok(()));
}

#[test]
fn only_what_is_asked_for_decides_at_once() {
    let mut world = World::new();
    world.apply(1, "", "");
    let (op, _) = world.patch_after_listing();
    world.answer_patch(op, PatchOutcome::Done(Box::new(app(2, "", "1.1.0"))));
    let decisions = world.core.stats().decisions;
    world.apply(3, "", "1.0.0");
    assert_eq!(world.core.stats().decisions, decisions, "a value moved");
    world.apply(4, "~1", "1.0.0");
    assert_eq!(world.core.stats().decisions, decisions + 1, "a wish did");
}

#[test]
fn exhausted_local_ports_are_told_to_probes_until_they_have_aged_out() {
    let mut world = World::with(RegistrySettings {
        port_exhaustion_threshold: 3,
        ..RegistrySettings::default()
    });
    world.apply(1, "", "");
    for attempt in 0..3 {
        assert_eq!(world.core.health(world.now).answer(), (200, "OK\n"));
        while world.core.poll_timeout().is_some() {
            if let [Effect::Http(op, _)] = &world.effects()[..] {
                let failure = TransportFailure {
                    kind: TransportKind::NoLocalPort,
                    detail: format!("attempt {attempt}"),
                };
                world.tell(Input::Http(*op, HttpOutcome::Failed(failure)));
                break;
            }
            world.wait();
        }
    }
    let health = world.core.health(world.now);
    assert_eq!(health.n_port_failures, 3);
    assert_eq!(health.answer(), (503, "PORT-EXHAUSTION"));
    let is_told =
        |event: &Event| *event == Event::Registry(RegistryOutcome::PortsExhausted { failures: 3 });
    assert!(world.events().iter().any(is_told));
    let mut later = world.now;
    later.mono = later.mono.after(Duration::from_mins(1));
    assert_eq!(world.core.health(later).answer(), (200, "OK\n"));
}

struct World {
    core: Updater,
    now: Now,
}

impl World {
    fn new() -> Self {
        Self::with(RegistrySettings::default())
    }

    fn with(registry: RegistrySettings) -> Self {
        let schedule = ScheduleSettings {
            warmup: false,
            start_spread: Duration::ZERO,
            ..ScheduleSettings::new(Mode::Continuous, Duration::from_mins(2))
        };
        let settings = Settings::new(schedule, registry);
        let config = Config::new(settings).expect("valid settings");
        let now = Now::default();
        let mut core = Updater::new(config, Seed(1), now);
        core.handle_input(now, Input::Cluster(ClusterInput::ResetBegun));
        core.handle_input(now, Input::Cluster(ClusterInput::ResetDone));
        Self { core, now }
    }

    fn tell(&mut self, input: Input) {
        self.core.handle_input(self.now, input);
    }

    fn apply(&mut self, version: u64, constraint: &str, set: &str) {
        let app = Box::new(app(version, constraint, set));
        self.tell(Input::Cluster(ClusterInput::Applied(app)));
        // A new application is due at once, and the wake-up says so.
        if self
            .core
            .poll_timeout()
            .is_some_and(|wakeup| wakeup.at <= self.now.mono)
        {
            self.core.handle_timeout(self.now);
        }
    }

    /// Goes to the next wake-up.
    fn wait(&mut self) {
        let wakeup = self.core.poll_timeout().expect("something is due");
        self.now.mono = wakeup.at.max(self.now.mono);
        self.core.handle_timeout(self.now);
    }

    /// Answers the listing that is asked for, and returns the patch that follows.
    fn patch_after_listing(&mut self) -> (OpId, Vec<String>) {
        let effects = self.effects();
        let [Effect::Http(op, request)] = &effects[..] else {
            panic!("one request: {effects:?}");
        };
        assert_eq!(request.url, "https://r.test/v2/org/web/tags/list");
        let response = HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: br#"{"tags":["1.0.0","1.1.0"]}"#.to_vec(),
        };
        self.tell(Input::Http(*op, HttpOutcome::Response(response)));
        let effects = self.effects();
        let [Effect::Cluster(op, ClusterEffect::Patch(patch))] = &effects[..] else {
            panic!("one patch: {effects:?}");
        };
        let lines = patch
            .operations
            .iter()
            .map(|one| format!("{} {}", one.verb.as_str(), one.path));
        (*op, lines.collect())
    }

    fn answer_patch(&mut self, op: OpId, outcome: PatchOutcome) {
        self.tell(Input::Cluster(ClusterInput::Patched(op, outcome)));
    }

    fn read(&mut self) -> OpId {
        let effects = self.effects();
        let [Effect::Cluster(op, ClusterEffect::Read { .. })] = &effects[..] else {
            panic!("one read: {effects:?}");
        };
        *op
    }

    fn effects(&mut self) -> Vec<Effect> {
        core::iter::from_fn(|| self.core.poll_effect()).collect()
    }

    fn events(&mut self) -> Vec<Event> {
        core::iter::from_fn(|| self.core.poll_event()).collect()
    }

    fn last_run(&self) -> Option<(RunKind, RunEnd)> {
        let explanation = self.core.explain(&AppKey::new("argocd", "web"))?;
        explanation.last_run.map(|last| (last.kind, last.end))
    }
}

/// A Helm application that runs 1.0.0; `set` is the value of its tag parameter, if it has one.
fn app(version: u64, constraint: &str, set: &str) -> Application {
    let separator = if constraint.is_empty() { "" } else { ":" };
    let parameters = if set.is_empty() {
        String::from("null")
    } else {
        format!(
            r#"{{"parameters":[{{"name":"image.name","value":"r.test/org/web"}},
                {{"name":"image.tag","value":"{set}","forceString":true}}]}}"#
        )
    };
    let text = format!(
        r#"{{"metadata":{{"namespace":"argocd","name":"web","uid":"u","resourceVersion":"{version}",
            "annotations":{{"argocd-image-updater.argoproj.io/image-list":
                "web=r.test/org/web{separator}{constraint}"}}}},
            "spec":{{"source":{{"repoURL":"https://git.test/x","path":"p","helm":{parameters}}}}},
            "status":{{"sourceType":"Helm","summary":{{"images":["r.test/org/web:1.0.0"]}}}}}}"#
    );
    Application::from_json(text.as_bytes()).expect("an application")
}
