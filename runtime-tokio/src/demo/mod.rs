//! `demo`: the production runtime, unchanged, against a fake cluster and fake registries on loopback.
//!
//! - Every act is a list of expectations, checked on the world's side: what the Applications ask for
//!   and run. What the updater says of itself is shown beside it, and checked only where nothing is
//!   to be written.
//! - It waits for conditions with a deadline, never for time to pass.
//! - The exit status is 0 only if every expectation held.

mod acts;
mod cast;
mod chronicle;
mod expectation;
mod kubeconfig;
mod paper;
mod pushing;
mod stage;
mod updater;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use image_updater_core::config::{Config, ConfigError, Settings};
use image_updater_core::registry::{EndpointSettings, RegistrySettings};
use image_updater_core::schedule::{Mode, ScheduleSettings};
use image_updater_sim::wire::{Conduct, Port, Wire, WireWorld};

use crate::args::Environment;
use cast::{ATTIC, Cast};
use chronicle::Chronicle;
use paper::Paper;
use stage::Stage;
use updater::Updater;

/// The check interval of the demo.
const INTERVAL: Duration = Duration::from_secs(2);
/// Over how much time the first checks are spread.
const START_SPREAD: Duration = Duration::from_millis(500);

/// Why the demo did not take place.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    /// The fake world cannot be served.
    #[error("cannot serve the fake world on loopback: {0}")]
    Wire(#[source] std::io::Error),
    /// The async runtime cannot be set up.
    #[error("cannot set up the runtime: {0}")]
    Runtime(#[source] std::io::Error),
    /// The core does not accept the demo's settings.
    #[error("the demo's settings are wrong: {0}")]
    Settings(#[source] ConfigError),
    /// No client of the fake API server can be made.
    #[error("cannot set up the client of the fake API server: {0}")]
    Client(String),
    /// The kubeconfig cannot be written.
    #[error("cannot write the kubeconfig {path}: {source}")]
    Kubeconfig {
        /// Where it should stand.
        path: String,
        /// What happened.
        source: std::io::Error,
    },
}

/// Plays the demo. With `keep` it goes on until it is interrupted.
pub fn run(keep: bool, environment: &Environment) -> ExitCode {
    let paper = Paper::to_stdout(environment);
    match play(keep, &paper) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            paper.failure(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Sets everything up, plays, and takes it down again; true when every expectation held.
fn play(keep: bool, paper: &Paper) -> Result<bool, DemoError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(DemoError::Runtime)?;
    let wire = Arc::new(Wire::start(WireWorld::new(cast::REGISTRIES)).map_err(DemoError::Wire)?);
    wire.switch(Port::Registry(ATTIC), Conduct::Down);
    let cast = Cast::new(&wire);
    let chronicle = Arc::new(Chronicle::new(Arc::clone(&wire)));
    let config = Config::new(settings(&wire)).map_err(DemoError::Settings)?;
    runtime.block_on(async {
        let updater = Updater::start(&wire, config, Arc::clone(&chronicle))?;
        let mut stage = Stage::new(&wire, &chronicle, paper, cast);
        acts::play(&mut stage).await;
        if keep {
            kubeconfig::shown_while(&wire, paper, pushing::push_until_interrupted(&mut stage))
                .await?;
        }
        updater.stop().await;
        Ok(stage.end())
    })
}

/// What a user would have said with flags and a registries file.
fn settings(wire: &Wire) -> Settings {
    let mut schedule = ScheduleSettings::new(Mode::Continuous, INTERVAL);
    schedule.warmup = false;
    schedule.start_spread = START_SPREAD;
    let endpoints = (0..cast::REGISTRIES).map(|idx| EndpointSettings {
        api_url: wire.registry_url(idx),
        rate_max: None,
        ..EndpointSettings::inferred(&wire.registry_host(idx))
    });
    let registry = RegistrySettings {
        endpoints: endpoints.collect(),
        interval: INTERVAL,
        ..RegistrySettings::default()
    };
    Settings::new(schedule, registry)
}
