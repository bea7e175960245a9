//! Many checks at once against one slow registry: sockets stay within their bound, by our own count and
//! by the system's.

use std::io::Write as _;
use std::time::Duration;

use image_updater_tests::load::{Load, Round};
use image_updater_tokio::http::{HttpClient, HttpSettings, install_tls_provider, system_roots};
use image_updater_tokio::kube::ClusterClient;
use tokio::sync::oneshot;

const APPLICATIONS: u32 = 200;

#[tokio::test]
async fn sockets_stay_within_the_bound_of_the_client_when_the_core_asks_for_everything_at_once() {
    check(APPLICATIONS, 30).await;
}

#[tokio::test]
async fn sockets_stay_within_what_the_core_has_in_flight() {
    check(15, 15).await;
}

async fn check(in_flight_max: u32, expected: usize) {
    install_tls_provider();
    let latency = Duration::from_millis(20);
    let load = Load::new(APPLICATIONS, latency, in_flight_max, Duration::from_secs(1));
    let http = HttpClient::new(HttpSettings::default(), system_roots());
    let mut kubeconfig = tempfile::NamedTempFile::new().expect("a temporary file");
    kubeconfig
        .write_all(load.wire.kubeconfig().as_bytes())
        .expect("a temporary file can be written to");
    let cluster = ClusterClient::connect(Some(kubeconfig.path()))
        .await
        .expect("the kubeconfig is right");
    let (end, ended) = oneshot::channel::<()>();
    let mut end = Some(end);
    let mut rounds: Vec<Round> = Vec::new();
    let told = |round| {
        rounds.push(round);
        if rounds.len() == 2 {
            end = None;
        }
    };
    let shutdown = async {
        // The end of the sender is the signal.
        drop(ended.await);
    };
    load.run(http.clone(), cluster, told, shutdown).await;
    for round in &rounds {
        assert_eq!(round.n_failed, 0, "{rounds:?}");
        assert!(round.checks_max > expected, "{rounds:?}");
        assert!(round.sockets_max <= expected, "{rounds:?}");
        assert!(round.system_max.open <= expected, "{rounds:?}");
        assert!(round.system_max.time_wait <= expected, "{rounds:?}");
    }
    assert_eq!(rounds[0].sockets_max, expected, "{rounds:?}");
    assert_eq!(rounds[0].n_requests, 200, "{rounds:?}");
    assert!(http.footprint().sockets().open() <= expected);
}
