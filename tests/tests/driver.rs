//! The production driver around the core: order, time, and ends.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use image_updater_core::Seed;
use image_updater_core::config::{Config, Settings};
use image_updater_core::event::Event;
use image_updater_core::registry::{EndpointSettings, RegistryOutcome, RegistrySettings};
use image_updater_core::schedule::{Mode, ScheduleSettings};
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::ImageSpec;
use image_updater_sim::wire::{Conduct, Port, Wire, WireWorld};
use image_updater_tests::program::Program;
use image_updater_tokio::clock::Clock;
use image_updater_tokio::driver::{Parts, drive};
use image_updater_tokio::http::{HttpClient, HttpSettings, install_tls_provider, system_roots};
use image_updater_tokio::kube::{ClusterClient, WatchScope};
use kube::client::Body;
use tokio::sync::oneshot;
use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_mins(2);
/// Ends a test that would otherwise hang.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn one_pass_ends_by_itself_and_every_request_and_check_has_its_end() {
    let wire = world(&["web", "api"]);
    let told = Told::default();
    // Never told to end.
    let work = drive(
        parts(&wire, settings(&wire, Duration::ZERO)).await,
        |event| told.hear(event),
        std::future::pending(),
    );
    let ended = tokio::time::timeout(PATIENCE, work).await;
    assert_eq!(ended, Ok(()), "{}", told.text());
    let count = |word: &str| told.count(word);
    assert_eq!(count("written"), 2, "{}", told.text());
    assert_eq!(count("check started"), count("check finished"));
    assert_eq!(count("request sent"), count("request finished"));
    assert!(count("request sent") >= 2, "{}", told.text());
    assert_eq!(count("stalled"), 0);
    wire.with_world(|world| assert_eq!(world.patches.len(), 2));
}

#[tokio::test]
async fn events_come_in_the_order_of_one_turn_after_the_other() {
    let wire = world(&["web"]);
    let told = Told::default();
    drive(
        parts(&wire, settings(&wire, Duration::ZERO)).await,
        |event| told.hear(event),
        std::future::pending(),
    )
    .await;
    let order = [
        "considered",
        "synced",
        "check started",
        "request sent",
        "request finished",
        "decided",
        "written",
        "check finished",
    ];
    assert_eq!(told.firsts(), order, "{}", told.text());
}

#[tokio::test]
async fn shutdown_waits_for_the_patch_under_way_and_starts_nothing_new() {
    let wire = world(&["web"]);
    let told = Told::default();
    let (shut_down, shutdown) = oneshot::channel::<()>();
    let work = drive(
        parts(&wire, settings(&wire, Duration::from_secs(1))).await,
        |event| told.hear(event),
        async {
            // An end of the sender is an end, too.
            drop(shutdown.await);
        },
    );
    let story = async {
        expect(&wire, |_| told.count("written") == 1).await;
        let requests = slow_down(&wire, Conduct::Slow(Duration::from_secs(1)));
        push(&wire, "web", "1.2.0");
        expect(&wire, |world| served(world) > requests).await;
        shut_down.send(()).expect("the driver still runs");
    };
    let ((), ()) = tokio::join!(work, story);
    assert_eq!(told.count("written"), 2, "{}", told.text());
    assert_eq!(told.count("shutdown begun: 1"), 1, "{}", told.text());
    assert_eq!(told.count("stopped: 0"), 1, "{}", told.text());
    assert_eq!(tag(&wire), "1.2.0");
}

#[test]
fn terminated_program_drains_its_patch_and_ends_with_status_0() {
    let wire = world(&["web"]);
    let program = start(&wire, &[]);
    program.expect_line(&["Successfully updated application 'web'"]);
    let requests = slow_down(&wire, Conduct::Slow(Duration::from_secs(1)));
    push(&wire, "web", "1.2.0");
    program.eventually("the patch under way", || {
        (api_requests(&wire) > requests).then_some(())
    });
    let log = program.finish();
    assert!(
        log.contains("shutting down, waiting for 1 write(s)"),
        "{log}"
    );
    assert!(log.contains("image_tag=1.2.0"), "{log}");
    assert!(log.contains("msg=\"stopped\""), "{log}");
    assert_eq!(tag(&wire), "1.2.0");
}

#[test]
fn shutdown_does_not_wait_longer_than_it_was_told_to() {
    let wire = world(&["web"]);
    let program = start(&wire, &["--shutdown-timeout=1s"]);
    program.expect_line(&["Successfully updated application 'web'"]);
    let requests = slow_down(&wire, Conduct::Hanging);
    push(&wire, "web", "1.2.0");
    program.eventually("the patch under way", || {
        (api_requests(&wire) > requests).then_some(())
    });
    let log = program.finish();
    assert!(log.contains("stopped with 1 write(s) unanswered"), "{log}");
}

#[test]
fn second_signal_changes_nothing() {
    let wire = world(&["web"]);
    let program = start(&wire, &["--shutdown-timeout=2s"]);
    program.expect_line(&["Successfully updated application 'web'"]);
    let requests = slow_down(&wire, Conduct::Hanging);
    push(&wire, "web", "1.2.0");
    program.eventually("the patch under way", || {
        (api_requests(&wire) > requests).then_some(())
    });
    program.signal_end();
    program.expect_line(&["shutting down, waiting for 1 write(s)"]);
    program.signal_end();
    let ended = program.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.log);
    assert!(ended.log.contains("msg=\"stopped"), "{}", ended.log);
}

#[test]
fn program_ends_with_status_0_while_no_api_server_answers() {
    let wire = world(&["web"]);
    wire.switch(Port::Api, Conduct::Down);
    let program = start(&wire, &[]);
    program.expect_line(&["level=warning", "cannot watch applications"]);
    program.finish();
}

#[tokio::test(start_paused = true)]
async fn checks_come_when_they_are_due_and_the_driver_sleeps_between_them() {
    // No request of this Application leaves the process: it does not run what it lists.
    let app = AppSpec::helm("argocd", "web").annotation("image-list", "registry.test/web");
    let mut app = app.to_json();
    app["metadata"]["resourceVersion"] = "7".into();
    app["metadata"]["uid"] = "uid-1".into();
    let list = serde_json::json!({ "metadata": { "resourceVersion": "7" }, "items": [app] });
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let target = request.uri().to_string();
        let list = list.to_string();
        async move {
            let (status, body) = if target.contains("sendInitialEvents") {
                (422, "{}".to_owned())
            } else if target.contains("watch=true") {
                // Nothing ever changes.
                std::future::pending().await
            } else {
                (200, list)
            };
            let response = http::Response::builder().status(status);
            response.body(Body::from(body.into_bytes()))
        }
    });
    install_tls_provider();
    let mut schedule = ScheduleSettings::new(Mode::Continuous, INTERVAL);
    schedule.start_spread = Duration::ZERO;
    schedule.jitter_percent = 0;
    schedule.warmup = false;
    let registry = RegistrySettings {
        interval: INTERVAL,
        ..RegistrySettings::default()
    };
    let parts = Parts {
        config: Config::new(Settings::new(schedule, registry)).expect("the settings are right"),
        seed: Seed(1),
        clock: Clock::start(),
        http: HttpClient::new(HttpSettings::default(), system_roots()),
        cluster: ClusterClient::new(kube::Client::new(service, "argocd")),
        git: None,
        scope: scope(INTERVAL),
        reloads: None,
    };
    let start = Instant::now();
    let mut checks = Vec::new();
    drive(
        parts,
        |event| {
            if matches!(event, Event::CheckStarted { .. }) {
                checks.push(start.elapsed().as_secs());
            }
        },
        tokio::time::sleep(Duration::from_secs(500)),
    )
    .await;
    assert_eq!(checks, [0, 120, 240, 360, 480]);
    assert_eq!(start.elapsed().as_secs(), 500, "the end is not waited for");
}

/// A cluster with these Applications, and a registry with two versions of the image of each.
fn world(names: &[&str]) -> Wire {
    let wire = Wire::start(WireWorld::new(1)).expect("loopback has ports");
    for name in names {
        for tag in ["1.0.0", "1.1.0"] {
            push(&wire, name, tag);
        }
        let image = format!("{}/{name}", wire.registry_host(0));
        let app = AppSpec::helm("argocd", name).image(&image, "1.0.0");
        wire.with_world(|world| world.cluster.apply(&app.to_json()));
    }
    wire
}

fn push(wire: &Wire, name: &str, tag: &str) {
    wire.with_world(|world| world.registries[0].push(name, tag, &ImageSpec::default()));
}

/// Changes how the API server answers; how many requests it had before.
fn slow_down(wire: &Wire, conduct: Conduct) -> u64 {
    wire.switch(Port::Api, conduct);
    api_requests(wire)
}

fn api_requests(wire: &Wire) -> u64 {
    wire.with_world(|world| served(world))
}

/// Requests that have arrived at the API server.
fn served(world: &WireWorld) -> u64 {
    let api = world.connections.get(&Port::Api);
    api.map_or(0, |connections| connections.requests)
}

/// The tag in the Application `web`.
fn tag(wire: &Wire) -> String {
    wire.with_world(|world| {
        let web = world.cluster.application("argocd", "web");
        let web = web.expect("nobody deletes it");
        let parameters = web["spec"]["source"]["helm"]["parameters"].as_array();
        let mut all = parameters.into_iter().flatten();
        let tag = all.find(|parameter| parameter["name"] == "web.tag");
        tag.and_then(|tag| tag["value"].as_str())
            .unwrap_or_default()
            .to_owned()
    })
}

/// The program with this world; an image is checked every two seconds.
fn start(wire: &Wire, flags: &[&str]) -> Program {
    let mut kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
    kubeconfig
        .write_all(wire.kubeconfig().as_bytes())
        .expect("a temporary file can be written to");
    let conf = format!(
        "registries:\n- name: tests\n  api_url: {}\n  prefix: {}\n  limit: 0\n",
        wire.registry_url(0),
        wire.registry_host(0)
    );
    Program::start_continuous(kubeconfig.path(), &conf, flags)
}

fn settings(wire: &Wire, interval: Duration) -> Settings {
    let mut schedule = ScheduleSettings::new(Mode::Continuous, interval);
    schedule.start_spread = Duration::ZERO;
    schedule.jitter_percent = 0;
    schedule.warmup = false;
    let endpoint = EndpointSettings {
        api_url: wire.registry_url(0),
        rate_max: None,
        ..EndpointSettings::inferred(&wire.registry_host(0))
    };
    let registry = RegistrySettings {
        endpoints: vec![endpoint],
        interval,
        once: interval.is_zero(),
        ..RegistrySettings::default()
    };
    Settings::new(schedule, registry)
}

async fn parts(wire: &Wire, settings: Settings) -> Parts {
    install_tls_provider();
    let mut kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
    kubeconfig
        .write_all(wire.kubeconfig().as_bytes())
        .expect("a temporary file can be written to");
    let cluster = ClusterClient::connect(Some(kubeconfig.path())).await;
    let interval = settings.registry.interval;
    Parts {
        config: Config::new(settings).expect("the settings are right"),
        seed: Seed(1),
        clock: Clock::start(),
        http: HttpClient::new(HttpSettings::default(), system_roots()),
        cluster: cluster.expect("the kubeconfig is right"),
        git: None,
        scope: scope(interval),
        reloads: None,
    }
}

fn scope(interval: Duration) -> WatchScope {
    WatchScope {
        namespace: None,
        label_selector: String::new(),
        interval,
    }
}

/// Waits until something holds, asked after every change of the world and every request.
async fn expect(wire: &Wire, mut holds: impl FnMut(&WireWorld) -> bool) {
    let held = wire.until(PATIENCE, |world| holds(world).then_some(()));
    assert_eq!(held.await, Some(()), "in vain waited for");
}

/// What the core told, in words.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn hear(&self, event: &Event) {
        let words = match event {
            Event::ApplicationConsidered { .. } => "considered".to_owned(),
            Event::Synced { .. } => "synced".to_owned(),
            Event::CheckStarted { .. } => "check started".to_owned(),
            Event::CheckFinished { .. } => "check finished".to_owned(),
            Event::ImageDecided { .. } => "decided".to_owned(),
            Event::Written { .. } => "written".to_owned(),
            Event::Registry(RegistryOutcome::RequestSent { .. }) => "request sent".to_owned(),
            Event::Registry(RegistryOutcome::RequestFinished { .. }) => {
                "request finished".to_owned()
            }
            Event::OperationStalled { .. } => "stalled".to_owned(),
            Event::RegistriesReloaded { .. } => "reloaded".to_owned(),
            Event::ShutdownBegun { operations } => format!("shutdown begun: {operations}"),
            Event::Stopped { abandoned } => format!("stopped: {abandoned}"),
            Event::ApplicationIgnored { .. }
            | Event::ApplicationMalformed { .. }
            | Event::ApplicationDeleted { .. }
            | Event::ApplicationRefused { .. }
            | Event::Redecided { .. }
            | Event::WriteRefused { .. }
            | Event::DryRun { .. }
            | Event::Published { .. }
            | Event::AlreadyPublished { .. }
            | Event::Batch(_)
            | Event::MessageNotRendered { .. }
            | Event::WriteFailed { .. }
            | Event::RegistriesRefused { .. }
            | Event::Schedule(_)
            | Event::Registry(_) => return,
        };
        self.lock().push(words);
    }

    fn count(&self, words: &str) -> usize {
        self.lock().iter().filter(|one| *one == words).count()
    }

    /// Every kind of event once, in the order in which the first of each came.
    fn firsts(&self) -> Vec<String> {
        let mut firsts: Vec<String> = Vec::new();
        for words in self.lock().iter() {
            let kind = words.split(':').next().unwrap_or_default();
            if !firsts.iter().any(|first| first == kind) {
                firsts.push(kind.to_owned());
            }
        }
        firsts
    }

    fn text(&self) -> String {
        self.lock().join("\n")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().expect("nobody panics while hearing")
    }
}
