//! A fleet whose every Application has a repository of its own in one slow registry, checked by the
//! production core and driver: how many sockets does that take?

use std::num::NonZeroU32;
use std::time::Duration;

use image_updater_core::Seed;
use image_updater_core::config::{Config, Settings};
use image_updater_core::event::Event;
use image_updater_core::registry::{
    EndpointSettings, RegistryOutcome, RegistrySettings, RequestEnd,
};
use image_updater_core::schedule::{Concurrency, Mode, ScheduleSettings};
use image_updater_fixtures::AppSpec;
use image_updater_fixtures::registry::ImageSpec;
use image_updater_sim::wire::{Conduct, Port, Wire, WireWorld};
use image_updater_tokio::clock::Clock;
use image_updater_tokio::driver::{Parts, drive};
use image_updater_tokio::http::{HttpClient, Sockets};
use image_updater_tokio::kube::{ClusterClient, WatchScope};

use crate::sockets::{SystemSockets, resident_kib};

/// The fleet, its world on sockets, and how it is checked.
#[derive(Debug)]
pub struct Load {
    /// The world.
    pub wire: Wire,
    n_applications: u32,
    /// Requests to the registry that the core allows at a time.
    in_flight_max: u32,
    /// From one check of an Application to its next.
    interval: Duration,
}

/// What one round of checks took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Round {
    /// Checks under way at the same time, at most.
    pub checks_max: usize,
    /// Requests that were answered.
    pub n_requests: usize,
    /// Sockets by the client's own count, at most.
    pub sockets_max: usize,
    /// Sockets by the system's count, at most.
    pub system_max: SystemSockets,
    /// Memory in use at its end.
    pub resident_kib: u64,
    /// Requests that failed.
    pub n_failed: usize,
}

impl Load {
    /// A fleet of so many, whose registry answers after `latency`.
    ///
    /// # Panics
    /// When loopback has no free port.
    pub fn new(
        n_applications: u32,
        latency: Duration,
        in_flight_max: u32,
        interval: Duration,
    ) -> Self {
        let wire = Wire::start(WireWorld::new(1)).expect("loopback has ports");
        let host = wire.registry_host(0);
        wire.with_world(|world| {
            for number in 0..n_applications {
                let name = format!("app-{number:04}");
                world.registries[0].push(&name, "1.0.0", &ImageSpec::default());
                let app = AppSpec::helm("argocd", &name).image(&format!("{host}/{name}"), "1.0.0");
                world.cluster.apply(&app.to_json());
            }
        });
        wire.switch(Port::Registry(0), Conduct::Slow(latency));
        Self {
            wire,
            n_applications,
            in_flight_max,
            interval,
        }
    }

    /// Checks the whole fleet again and again with one core until `shutdown`; `told` hears what each
    /// round took.
    ///
    /// # Panics
    /// When the driver ends by itself.
    pub async fn run(
        &self,
        http: HttpClient,
        cluster: ClusterClient,
        mut told: impl FnMut(Round),
        shutdown: impl Future<Output = ()>,
    ) {
        let (host, port) = self.address();
        let parts = Parts {
            reloads: None,
            config: Config::new(self.settings(&host)).expect("the settings are right"),
            seed: Seed(1),
            clock: Clock::start(),
            http: http.clone(),
            cluster,
            git: None,
            scope: WatchScope {
                namespace: None,
                label_selector: String::new(),
                interval: self.interval,
            },
        };
        let n_checks_per_round = usize::try_from(self.n_applications).unwrap_or(usize::MAX);
        let mut round = Round::default();
        let (mut n_checks, mut n_finished) = (0, 0);
        let observe = |event: &Event| {
            if matches!(event, Event::CheckStarted { .. }) {
                n_checks += 1;
                round.checks_max = round.checks_max.max(n_checks);
            }
            if let Event::Registry(RegistryOutcome::RequestFinished { end, .. }) = event {
                round.n_requests += 1;
                round.n_failed += usize::from(matches!(end, RequestEnd::Transport(_)));
                round.on_sample(http.footprint().sockets(), SystemSockets::to(port));
            }
            if matches!(event, Event::CheckFinished { .. }) {
                n_checks -= 1;
                n_finished += 1;
            }
            if n_finished == n_checks_per_round {
                n_finished = 0;
                round.resident_kib = resident_kib();
                told(std::mem::take(&mut round));
            }
        };
        drive(parts, observe, shutdown).await;
    }

    fn address(&self) -> (String, u16) {
        let host = self.wire.registry_host(0);
        let port = host
            .rsplit_once(':')
            .and_then(|(_, port)| port.parse().ok());
        (host, port.expect("a registry on loopback has a port"))
    }

    fn settings(&self, host: &str) -> Settings {
        let mut schedule = ScheduleSettings::new(Mode::Continuous, self.interval);
        schedule.start_spread = Duration::ZERO;
        schedule.jitter_percent = 0;
        schedule.warmup = false;
        schedule.concurrency_max =
            NonZeroU32::new(self.n_applications).map_or(Concurrency::Auto, Concurrency::Fixed);
        let endpoint = EndpointSettings {
            api_url: self.wire.registry_url(0),
            rate_max: None,
            ..EndpointSettings::inferred(host)
        };
        let registry = RegistrySettings {
            endpoints: vec![endpoint],
            interval: self.interval,
            in_flight_max: self.in_flight_max,
            ..RegistrySettings::default()
        };
        Settings::new(schedule, registry)
    }
}

impl Round {
    fn on_sample(&mut self, own: Sockets, system: SystemSockets) {
        self.sockets_max = self.sockets_max.max(own.open());
        self.system_max.open = self.system_max.open.max(system.open);
        self.system_max.time_wait = self.system_max.time_wait.max(system.time_wait);
    }
}
