//! Every check is fed a history that breaks it: a check that cannot fail proves nothing.

use std::sync::Arc;
use std::time::Duration;

use image_updater_core::effect::{ApplicationPatch, ClusterEffect};
use image_updater_core::event::RunEnd;
use image_updater_core::http::{HttpRequest, Method, PoolKey, TrustAnchors};
use image_updater_core::id::AppKey;
use image_updater_core::input::ClusterInput;
use image_updater_core::keyed::Seed;
use image_updater_core::time::{Now, WakeReason};
use image_updater_core::update::Counters;

use super::*;
use crate::settings;
use crate::workload::tag;
use crate::world::NAMESPACE;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn s1_two_checks_or_two_patches_of_one_application() {
    let mut bench = Bench::new();
    bench.tell_all();
    bench.start_check(Time::ZERO, 0);
    bench.start_check(Time::ZERO, 0);
    bench.assert_found("S1", "argocd/app-0");

    let mut bench = Bench::new();
    bench.tell_all();
    bench.patch(1, 0);
    bench.patch(2, 0);
    bench.assert_found("S1", "argocd/app-0");
}

#[test]
fn s1_holds_when_the_first_check_ended() {
    let mut bench = Bench::new();
    bench.tell_all();
    bench.start_check(Time::ZERO, 0);
    bench.finish_check(Time::ZERO, 0);
    bench.start_check(Time::ZERO, 0);
    bench.assert_nothing_found();
}

#[test]
fn s2_too_many_requests_or_patches_in_flight() {
    let mut bench = Bench::new();
    for op in 0..15 {
        bench.request(Time::ZERO, op, "r0.test");
    }
    bench.request(Time::ZERO, 99, "r1.test");
    bench.assert_nothing_found();
    bench.request(Time::ZERO, 15, "r0.test");
    bench.assert_found("S2", "r0.test");

    let mut bench = Bench::new();
    bench.tell_all();
    for op in 0..17 {
        bench.patch(op, usize::try_from(op).expect("a small number"));
    }
    bench.assert_found("S2", "API server");
}

#[test]
fn s3_a_request_inside_the_throttle_window() {
    let mut bench = Bench::new();
    bench
        .observers
        .throttled(Time::from_secs(10), "r0.test", 30);
    bench.request(Time::from_secs(39), 1, "r1.test");
    bench.request(Time::from_secs(40), 2, "r0.test");
    bench.assert_nothing_found();
    bench
        .observers
        .throttled(Time::from_secs(50), "r0.test", 30);
    bench.request(Time::from_secs(79), 3, "r0.test");
    bench.assert_found("S3", "r0.test");
}

#[test]
fn s10_a_version_that_the_policy_forbids_or_a_step_back() {
    let mut bench = Bench::new();
    let newest = tag(bench.plan.repos[0].newest);
    bench.write(0, &newest);
    bench.assert_nothing_found();
    bench.write(0, "99.0.0");
    bench.assert_found("S10", "app-0");

    let mut bench = Bench::new();
    bench.write(0, &newest);
    bench.write(0, "1.0.0");
    bench.assert_found("S10", "app-0");
}

#[test]
fn s11_a_patch_that_touches_what_is_not_ours() {
    let mut bench = Bench::new();
    let before = bench.object(0);
    let mut after = (*before).clone();
    after["spec"]["project"] = Value::from("somebody-else");
    let world = &bench.world;
    bench
        .observers
        .patched("app-0", &before, &Arc::new(after), world);
    bench.assert_found("S11", "app-0");
}

#[test]
fn s13_work_for_an_application_that_is_gone() {
    let mut bench = Bench::new();
    bench.tell_all();
    bench.tell(ClusterInput::Deleted(bench.key(0)));
    bench.start_check(Time::ZERO, 0);
    bench.assert_found("S13", "argocd/app-0");

    let mut bench = Bench::new();
    bench.tell_all();
    // A complete listing that does not name it says the same.
    bench.tell(ClusterInput::ResetBegun);
    bench.tell(ClusterInput::ResetDone);
    bench.patch(1, 0);
    bench.assert_found("S13", "argocd/app-0");
}

#[test]
fn s14_a_repeated_completion_that_changes_something() {
    let mut bench = Bench::new();
    bench.observers.repeated(OpId(7), true);
    bench.assert_nothing_found();
    bench.observers.repeated(OpId(7), false);
    bench.assert_found("S14", "op 7");
}

#[test]
fn s15_a_wakeup_that_is_not_ahead() {
    let mut bench = Bench::new();
    let now = Time::from_secs(5);
    let wakeup = Wakeup {
        at: now,
        reason: WakeReason::Schedule,
    };
    bench.observers.wakeup(now, wakeup, true);
    bench.assert_found("S15", "run");
}

#[test]
fn s16_a_counter_that_is_wrong() {
    let bench = Bench::new();
    let result = bench
        .observers
        .safety
        .audit(1, || Err("two, not one".to_owned()));
    assert_eq!(result.expect_err("a wrong counter is found").id, "S16");
}

#[test]
fn l1_an_application_that_is_never_started() {
    let mut bench = Bench::new();
    let liveness = &mut bench.observers.liveness;
    liveness.expect(Time::ZERO, AppKey::new(NAMESPACE, "app-0"));
    assert_eq!(liveness.dispatch_bound(Time::from_secs(30)), Ok(()));
    let result = liveness.dispatch_bound(Time::from_secs(3_600));
    assert_eq!(result.expect_err("it is late").id, "L1");
}

#[test]
fn l2_an_application_that_is_passed_by() {
    let mut bench = Bench::new();
    bench.tell_all();
    let key = bench.key(0);
    bench.observers.liveness.expect(Time::ZERO, key);
    for round in 0..5 {
        let now = Time::from_secs(120 + round);
        bench.start_check(now, 1);
        bench.finish_check(now, 1);
    }
    bench.assert_found("L2", "argocd/app-0");
}

#[test]
fn l4_an_update_that_is_missing() {
    let mut bench = Bench::new();
    let result = bench.observers.ledger.settled(&bench.world);
    assert_eq!(result.expect_err("nothing was written yet").id, "L4");
    for app in 0..bench.plan.apps.len() {
        let newest = tag(bench.plan.repos[0].newest);
        bench.write(app, &newest);
    }
    assert_eq!(bench.observers.ledger.settled(&bench.world), Ok(()));
}

#[test]
fn l8_more_wakeups_than_reasons() {
    let mut bench = Bench::new();
    for _ in 0..10 {
        bench.observers.woken();
    }
    let liveness = &mut bench.observers.liveness;
    assert_eq!(liveness.quiescence(SECOND), Ok(()));
    for _ in 0..10 {
        liveness.woken();
    }
    let result = liveness.quiescence(SECOND);
    assert_eq!(result.expect_err("a storm is found").id, "L8");
}

#[test]
fn l10_all_at_once() {
    let mut bench = Bench::new();
    bench.tell_all();
    let now = Time::from_secs(600);
    for app in 0..10 {
        bench.start_check(now, app);
    }
    assert_eq!(bench.observers.liveness.herd(), Ok(()));
    for app in 10..20 {
        bench.start_check(now, app);
    }
    let result = bench.observers.liveness.herd();
    assert_eq!(result.expect_err("a herd is found").id, "L10");
}

/// Twenty applications of one image in one repository, and the checks that watch them.
struct Bench {
    plan: Plan,
    world: World,
    observers: Observers,
    core: Updater,
}

impl Bench {
    fn new() -> Self {
        let options = Options {
            apps: 20,
            registries: 1,
            repositories: 1,
            ..Options::quiet(1)
        };
        let mut plan = Plan::generate(&options);
        for app in &mut plan.apps {
            app.kustomize = true;
            app.images.truncate(1);
            app.images[0].policy = crate::workload::ImagePolicy::Any;
        }
        let config = settings::config(&options).expect("the options make valid settings");
        Self {
            world: World::new(&plan),
            observers: Observers::new(&options, &plan),
            core: Updater::new(config, Seed(1), Now::default()),
            plan,
        }
    }

    fn key(&self, app: usize) -> AppKey {
        AppKey::new(NAMESPACE, &*self.plan.apps[app].name)
    }

    fn object(&self, app: usize) -> Arc<Value> {
        let name = &self.plan.apps[app].name;
        let object = self.world.cluster.application(NAMESPACE, name);
        Arc::clone(object.expect("the world holds its applications"))
    }

    fn tell(&mut self, input: ClusterInput) {
        self.observers.told(Time::ZERO, &Input::Cluster(input));
    }

    fn tell_all(&mut self) {
        for app in 0..self.plan.apps.len() {
            let record = World::record(&self.object(app));
            self.tell(ClusterInput::Applied(Box::new(record)));
        }
    }

    fn start_check(&mut self, now: Time, app: usize) {
        let event = Event::CheckStarted {
            key: self.key(app),
            is_warmup: false,
        };
        self.observers.event(now, &event);
    }

    fn finish_check(&mut self, now: Time, app: usize) {
        let event = Event::CheckFinished {
            key: self.key(app),
            is_warmup: false,
            end: RunEnd::Success,
            counters: Counters::default(),
            duration: Duration::ZERO,
        };
        self.observers.event(now, &event);
    }

    fn request(&mut self, now: Time, op: u64, host: &str) {
        let request = HttpRequest {
            pool: Arc::new(PoolKey {
                registry: format!("http://{host}"),
                insecure: false,
                trust: TrustAnchors::System,
            }),
            method: Method::Get,
            url: format!("http://{host}/v2/"),
            headers: Vec::new(),
            body: Vec::new(),
            body_bytes_max: 1,
            timeout: SECOND,
        };
        self.observers
            .started(now, &Effect::Http(OpId(op), request));
    }

    fn patch(&mut self, op: u64, app: usize) {
        let patch = ApplicationPatch {
            key: self.key(app),
            resource_version: "1".into(),
            operations: Vec::new(),
            timeout: SECOND,
        };
        let effect = Effect::Cluster(OpId(op), ClusterEffect::Patch(Box::new(patch)));
        self.observers.started(Time::ZERO, &effect);
    }

    /// A patch of ours makes the application ask for `tag`.
    fn write(&mut self, app: usize, tag: &str) {
        let before = self.object(app);
        let (host, repo) = self.world.repo(self.plan.apps[app].images[0].repo);
        let image = format!("{host}/{repo}:{tag}");
        let name = self.plan.apps[app].name.clone();
        self.world.cluster.edit(NAMESPACE, &name, |object| {
            object["spec"]["source"]["kustomize"] = serde_json::json!({"images": [image]});
        });
        let after = self.object(app);
        self.observers.patched(&name, &before, &after, &self.world);
    }

    fn found(&mut self) -> Option<Violation> {
        let now = Time::ZERO;
        self.observers.step(now, &self.core, 1).err()
    }

    #[track_caller]
    fn assert_found(&mut self, id: &str, subject: &str) {
        let found = self.found().expect("the history breaks an invariant");
        assert_eq!((found.id, &*found.subject), (id, subject), "{found}");
    }

    #[track_caller]
    fn assert_nothing_found(&mut self) {
        assert_eq!(self.found(), None);
    }
}
