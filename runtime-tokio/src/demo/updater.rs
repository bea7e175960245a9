//! What the production driver works with in the demo.

use std::time::Duration;

use image_updater_core::config::Config;
use image_updater_core::registry::{EndpointSettings, RegistrySettings};
use image_updater_core::schedule::{Mode, ScheduleSettings};
use image_updater_core::{Seed, Settings};
use image_updater_sim::wire::Wire;

use super::DemoError;
use super::cast::REGISTRIES;
use crate::clock::Clock;
use crate::driver::Parts;
use crate::http::{HttpClient, HttpSettings, install_tls_provider, system_roots};
use crate::kube::{ClusterClient, WatchScope};

/// The check interval of the demo.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// Over how much time the first checks are spread.
pub(super) const START_SPREAD: Duration = Duration::from_millis(500);

/// The parts of an updater for the world on `wire`.
pub(super) fn parts(wire: &Wire) -> Result<Parts, DemoError> {
    install_tls_provider();
    Ok(Parts {
        config: Config::new(settings(wire)).map_err(DemoError::Settings)?,
        seed: Seed(1),
        clock: Clock::start(),
        http: HttpClient::new(HttpSettings::default(), system_roots()),
        cluster: client(wire)?,
        git: None,
        scope: WatchScope {
            namespace: None,
            label_selector: String::new(),
            interval: INTERVAL,
        },
        reloads: None,
    })
}

fn client(wire: &Wire) -> Result<ClusterClient, DemoError> {
    let url = wire.api_url().parse().map_err(DemoError::Address)?;
    let mut config = kube::Config::new(url);
    config.default_retry = false;
    let client = kube::Client::try_from(config).map_err(DemoError::Client)?;
    Ok(ClusterClient::new(client))
}

/// What a user would have said with flags and a registries file.
fn settings(wire: &Wire) -> Settings {
    let mut schedule = ScheduleSettings::new(Mode::Continuous, INTERVAL);
    schedule.warmup = false;
    schedule.start_spread = START_SPREAD;
    let endpoints = (0..REGISTRIES).map(|idx| EndpointSettings {
        api_url: wire.registry_url(idx),
        ..EndpointSettings::inferred(&wire.registry_host(idx))
    });
    let registry = RegistrySettings {
        endpoints: endpoints.collect(),
        interval: INTERVAL,
        ..RegistrySettings::default()
    };
    Settings::new(schedule, registry)
}
