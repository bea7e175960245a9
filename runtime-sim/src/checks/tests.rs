//! Every check is fed a history that breaks it: a check that cannot fail proves nothing.

use std::sync::Arc;
use std::time::Duration;

use image_updater_core::effect::{ApplicationPatch, ClusterEffect};
use image_updater_core::event::RunEnd;
use image_updater_core::http::{HttpRequest, HttpResponse, Method, PoolKey, TrustAnchors};
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
    for silence in ["30", "Thu, 01 Jan 2026 00:00:40 GMT"] {
        for (second, is_found) in [(38, true), (41, false)] {
            let mut bench = Bench::new();
            bench.request(Time::from_secs(9), 1, "r0.test");
            let response = with_status(429, &[("retry-after", silence)]);
            bench.answer(Time::from_secs(10), 1, response);
            bench.request(Time::from_secs(second), 2, "r1.test");
            bench.assert_nothing_found();
            bench.request_to(Time::from_secs(second), 3, "r0.test", "/v2/b");
            let found = bench.found().map(|violation| violation.id);
            assert_eq!(found, is_found.then_some("S3"), "{silence} {second}");
        }
    }
}

#[test]
fn s3_a_window_of_one_user_is_not_that_of_another() {
    let mut bench = Bench::new();
    bench.request_of(Time::ZERO, 1, "alice");
    let response = with_status(429, &[("retry-after", "30")]);
    bench.answer(Time::from_secs(1), 1, response);
    bench.request_of(Time::from_secs(2), 2, "bob");
    bench.assert_nothing_found();
    bench.request_of(Time::from_secs(2), 3, "alice");
    bench.assert_found("S3", "r0.test");
}

#[test]
fn s4_more_requests_than_the_rate_and_its_slack() {
    let mut bench = Bench::with_rate(2);
    for op in 0..11 {
        bench.request_to(Time::from_secs(60), op, "r0.test", &format!("/v2/{op}"));
    }
    bench.request_to(Time::from_millis(60_500), 11, "r0.test", "/v2/11");
    bench.assert_nothing_found();
    for op in 12..14 {
        let target = format!("/v2/{op}");
        bench.request_to(Time::from_millis(60_600), op, "r0.test", &target);
    }
    bench.assert_found("S4", "r0.test");
}

#[test]
fn s5_more_attempts_than_a_lookup_or_a_registry_may_have() {
    let mut bench = Bench::new();
    for attempt in 0..4_u64 {
        let now = Time::from_secs(4 * attempt);
        bench.request_to(now, attempt, "r0.test", "/v2/a/tags/list");
        bench.answer(now, attempt, with_status(500, &[]));
    }
    bench.assert_found("S5", "r0.testGET /v2/a/tags/list");

    // Each lookup keeps to its attempts, and together they are a storm.
    let mut bench = Bench::new();
    for lookup in 0..300_u64 {
        for attempt in 0..2_u64 {
            let op = 2 * lookup + attempt;
            let now = Time::from_millis(op * 200);
            let target = format!("/v2/{lookup}/tags/list");
            bench.request_to(now, op, "r0.test", &target);
            bench.answer(now, op, with_status(500, &[]));
        }
    }
    bench.assert_found("S5", "r0.test");
}

#[test]
fn s6_an_attempt_too_soon_or_too_late() {
    for (gap_ms, is_found) in [(139, true), (140, false), (3_900, false), (4_100, true)] {
        let mut bench = Bench::new();
        bench.request_to(Time::ZERO, 1, "r0.test", "/v2/a/tags/list");
        bench.answer(Time::ZERO, 1, with_status(500, &[]));
        let now = Time::from_millis(gap_ms);
        bench.request_to(now, 2, "r0.test", "/v2/a/tags/list");
        let found = bench.found().map(|violation| violation.id);
        assert_eq!(found, is_found.then_some("S6"), "{gap_ms}");
    }
}

#[test]
fn l6_a_registry_that_does_not_recover() {
    let mut bench = Bench::new();
    let recovered = |bench: &Bench| {
        let used = ["r0.test"].into_iter();
        let requests = &bench.observers.requests;
        requests.recovered(Time::from_secs(10), Time::from_secs(20), used)
    };
    let silent = recovered(&bench).expect_err("it never answered");
    assert_eq!(silent.id, "L6");
    bench.request(Time::from_secs(11), 1, "r0.test");
    bench.answer(Time::from_secs(12), 1, with_status(200, &[]));
    assert_eq!(recovered(&bench), Ok(()));
    bench.request(Time::from_secs(13), 2, "r0.test");
    let response = with_status(429, &[("retry-after", "30")]);
    bench.answer(Time::from_secs(14), 2, response);
    assert_eq!(recovered(&bench).expect_err("it is throttled").id, "L6");
}

#[test]
fn r1_so_many_failed_logins_that_a_registry_bans_us() {
    let mut bench = Bench::new();
    let mut asked = asked("r0.test", "/token");
    let header = ("authorization".to_owned(), "Basic eDp5".to_owned());
    asked.headers.push(header);
    for login in 0..100 {
        // Seven seconds apart they are 26 in three minutes.
        let now = Time::from_secs(7 * login);
        bench.observers.served(now, &asked, 401);
    }
    bench.assert_nothing_found();
    for login in 0..30 {
        let now = Time::from_secs(1_000 + login);
        bench.observers.served(now, &asked, 401);
    }
    bench.assert_found("R1", "r0.test");
}

#[test]
fn r2_a_write_that_follows_from_no_complete_list() {
    let newest = tag(Bench::new().plan.repos[0].newest);
    let page = |tags: &[&str], link: Option<&str>| {
        let body = serde_json::json!({ "tags": tags }).to_string();
        let link = link.map(|target| ("link", format!("<{target}>; rel=\"next\"")));
        let headers: Vec<(&str, &str)> = link.iter().map(|(a, b)| (*a, b.as_str())).collect();
        HttpResponse {
            body: body.into_bytes(),
            ..with_status(200, &headers)
        }
    };
    let path = "/v2/org/repo-0/tags/list";
    let second = "/v2/org/repo-0/tags/list?last=1.0.0";

    // The first page alone.
    let mut bench = Bench::without_lists();
    bench.request_to(Time::ZERO, 1, "r0.test", path);
    bench.answer(Time::ZERO, 1, page(&["1.0.0", &newest], Some(second)));
    bench.write(0, &newest);
    bench.assert_found("R2", "app-0");

    // Both pages, and the newest on the second.
    let mut bench = Bench::without_lists();
    bench.request_to(Time::ZERO, 1, "r0.test", path);
    bench.answer(Time::ZERO, 1, page(&["1.0.0"], Some(second)));
    bench.request_to(Time::ZERO, 2, "r0.test", second);
    bench.answer(Time::ZERO, 2, page(&[&newest], None));
    bench.write(0, &newest);
    bench.assert_nothing_found();

    // A whole list that says something else.
    let mut bench = Bench::without_lists();
    bench.request_to(Time::ZERO, 1, "r0.test", path);
    bench.answer(Time::ZERO, 1, page(&["1.0.0"], None));
    bench.write(0, &newest);
    bench.assert_found("R2", "app-0");
}

#[test]
fn s19_a_secret_that_is_shown() {
    let mut bench = Bench::new();
    bench.observers.shown("trace", "GET /v2/ as robot");
    bench.assert_nothing_found();
    bench.observers.shown("trace", "password canary-robot-1");
    bench.assert_found("S19", "trace");
}

#[test]
fn s10_a_version_that_the_policy_forbids_or_a_step_back() {
    let mut bench = Bench::new();
    let newest = tag(bench.plan.repos[0].newest);
    bench.write(0, &newest);
    bench.assert_nothing_found();
    bench.serve_list(&["99.0.0"]);
    bench.write(0, "99.0.0");
    bench.assert_found("S10", "app-0");

    let mut bench = Bench::new();
    bench.write(0, &newest);
    bench.serve_list(&[&newest]);
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
        .patched(Time::ZERO, "app-0", &before, &Arc::new(after), world);
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

/// A response without body.
fn with_status(status: u16, headers: &[(&str, &str)]) -> HttpResponse {
    let header = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    HttpResponse {
        status,
        headers: headers.iter().map(header).collect(),
        body: Vec::new(),
    }
}

fn asked(host: &str, target: &str) -> Request {
    Request {
        method: "GET".into(),
        scheme: "http".into(),
        host: host.into(),
        target: target.into(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

impl Bench {
    /// The registry has served its list as it is.
    fn new() -> Self {
        let mut bench = Self::without_lists();
        let (host, repo) = bench.world.repo(0);
        let tags = bench.world.registries[host].tags(repo);
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        bench.serve_list(&tags);
        bench
    }

    fn without_lists() -> Self {
        Self::of(&Options {
            apps: 20,
            registries: 1,
            repositories: 1,
            ..Options::quiet(1)
        })
    }

    fn with_rate(rate: u32) -> Self {
        Self::of(&Options {
            rate,
            registries: 1,
            ..Options::quiet(1)
        })
    }

    fn of(options: &Options) -> Self {
        let mut plan = Plan::generate(options);
        for app in &mut plan.apps {
            app.kustomize = true;
            app.images.truncate(1);
            app.images[0].policy = crate::workload::ImagePolicy::Any;
        }
        let config = settings::config(options, &plan).expect("the options make valid settings");
        Self {
            world: World::new(&plan),
            observers: Observers::new(options, &plan),
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
        self.request_to(now, op, host, "/v2/");
    }

    fn request_of(&mut self, now: Time, op: u64, user: &str) {
        let mut asked = asked("r0.test", "/v2/");
        let header = ("authorization".to_owned(), "Bearer x".to_owned());
        asked.headers.push(header);
        self.observers.sent(now, OpId(op), &asked, Some(user));
    }

    fn request_to(&mut self, now: Time, op: u64, host: &str, target: &str) {
        let request = HttpRequest {
            pool: Arc::new(PoolKey {
                registry: format!("http://{host}"),
                insecure: false,
                trust: TrustAnchors::System,
            }),
            method: Method::Get,
            url: format!("http://{host}{target}"),
            headers: Vec::new(),
            body: Vec::new(),
            body_bytes_max: 1,
            timeout: SECOND,
        };
        self.observers
            .started(now, &Effect::Http(OpId(op), request));
        let asked = asked(host, target);
        self.observers.sent(now, OpId(op), &asked, None);
    }

    /// A whole list of the first repository reaches the core.
    fn serve_list(&mut self, tags: &[&str]) {
        let (host, repo) = self.world.repo(0);
        let asked = asked(host, &format!("/v2/{repo}/tags/list"));
        let body = serde_json::json!({ "tags": tags }).to_string();
        let outcome = HttpOutcome::Response(HttpResponse {
            body: body.into_bytes(),
            ..with_status(200, &[])
        });
        self.observers.lists.answered(&asked, &outcome);
    }

    fn answer(&mut self, now: Time, op: u64, response: HttpResponse) {
        let outcome = HttpOutcome::Response(response);
        let mut input = Input::Http(OpId(op), outcome);
        self.observers.completed(OpId(op), Some("r0.test"));
        self.observers.answered(now, OpId(op), &mut input);
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
        self.observers
            .patched(Time::ZERO, &name, &before, &after, &self.world);
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
