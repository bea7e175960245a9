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

use image_updater_core::config::ConfigError;
use image_updater_sim::wire::{Conduct, Port, Wire, WireWorld};
use tokio::sync::oneshot;

use crate::args::Environment;
use crate::driver::drive;
use cast::{ATTIC, Cast};
use chronicle::Chronicle;
use paper::Paper;
use stage::Stage;

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
    Client(#[source] kube::Error),
    /// The address of the fake API server is none.
    #[error("the fake API server has no address: {0}")]
    Address(#[source] http::uri::InvalidUri),
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
    // One thread, as in production.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DemoError::Runtime)?;
    let wire = Arc::new(Wire::start(WireWorld::new(cast::REGISTRIES)).map_err(DemoError::Wire)?);
    wire.switch(Port::Registry(ATTIC), Conduct::Down);
    let cast = Cast::new(&wire);
    let chronicle = Arc::new(Chronicle::new(Arc::clone(&wire)));
    runtime.block_on(async {
        let parts = updater::parts(&wire)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let updater = drive(
            parts,
            |event| chronicle.on_event(event),
            // An error says that the script is over, too.
            async { drop(stopped.await) },
        );
        let mut stage = Stage::new(&wire, &chronicle, paper, cast);
        let script = async {
            acts::play(&mut stage).await;
            let kept = if keep {
                let pushing = pushing::push_until_interrupted(&stage);
                kubeconfig::shown_while(&wire, paper, pushing).await
            } else {
                Ok(())
            };
            drop(stop);
            kept
        };
        let ((), kept) = tokio::join!(updater, script);
        kept.map(|()| stage.end())
    })
}
