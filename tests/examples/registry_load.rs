//! 2,000 checks at once against a registry that takes 50 ms to answer, ten rounds, through the
//! production core, driver and client: what it takes in sockets and memory.
//!
//! `cargo run --release -p image-updater-tests --example registry_load`

use std::io::{self, Write as _};
use std::time::Duration;

use image_updater_tests::load::{Load, Round};
use image_updater_tokio::http::{HttpClient, HttpSettings, install_tls_provider, system_roots};
use image_updater_tokio::kube::ClusterClient;
use tokio::sync::oneshot;

const APPLICATIONS: u32 = 2_000;
const LATENCY: Duration = Duration::from_millis(50);
const ROUNDS: usize = 10;
const INTERVAL: Duration = Duration::from_secs(12);

fn main() -> io::Result<()> {
    install_tls_provider();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // First the client's bound alone, then as the core asks by itself.
        measure(APPLICATIONS).await?;
        measure(15).await
    })
}

/// Measures with so many requests in flight as far as the core is concerned.
async fn measure(in_flight_max: u32) -> io::Result<()> {
    let load = Load::new(APPLICATIONS, LATENCY, in_flight_max, INTERVAL);
    let settings = HttpSettings::default();
    let bound = settings.connections_per_host_max;
    let mut out = io::stdout();
    writeln!(
        out,
        "{APPLICATIONS} applications and repositories, {LATENCY:?} latency, \
         {in_flight_max} requests in flight per endpoint, {bound} connections per host"
    )?;
    writeln!(
        out,
        "round  checks at once  requests  failed  sockets (ours)  sockets (system)  TIME_WAIT  VmRSS"
    )?;
    let http = HttpClient::new(settings, system_roots());
    let cluster = connect(&load).await?;
    let (end, ended) = oneshot::channel::<()>();
    let mut end = Some(end);
    let mut rounds: Vec<Round> = Vec::new();
    let told = |round: Round| {
        rounds.push(round);
        let line = format!(
            "{:>5}  {:>14}  {:>8}  {:>6}  {:>14}  {:>16}  {:>9}  {} KiB\n",
            rounds.len(),
            round.checks_max,
            round.n_requests,
            round.n_failed,
            round.sockets_max,
            round.system_max.open,
            round.system_max.time_wait,
            round.resident_kib
        );
        // Whoever closed the pipe does not want to know.
        drop(io::stdout().write_all(line.as_bytes()));
        if rounds.len() == ROUNDS {
            end = None;
        }
    };
    let shutdown = async {
        // The end of the sender is the signal.
        drop(ended.await);
    };
    load.run(http, cluster, told, shutdown).await;
    drop(end);
    let is_bounded = rounds.iter().all(|round| {
        let most = round.sockets_max.max(round.system_max.open);
        most <= bound && round.system_max.time_wait <= bound && round.n_failed == 0
    });
    let verdict = if is_bounded { "hold" } else { "DO NOT HOLD" };
    writeln!(out, "the bounds {verdict}\n")
}

async fn connect(load: &Load) -> io::Result<ClusterClient> {
    let mut kubeconfig = tempfile::NamedTempFile::new()?;
    kubeconfig.write_all(load.wire.kubeconfig().as_bytes())?;
    ClusterClient::connect(Some(kubeconfig.path()))
        .await
        .map_err(io::Error::other)
}
