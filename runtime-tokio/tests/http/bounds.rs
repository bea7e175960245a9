//! How many connections there are, whatever happens.

use std::sync::Arc;
use std::time::Duration;

use image_updater_core::http::{HttpOutcome, HttpRequest, Method, TransportKind};
use image_updater_tokio::http::{HttpClient, HttpSettings, Sockets};
use image_updater_tokio::spawn::spawn;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::server::{
    Certificate, assert_failed, client, exchange, listener, open_gate, pool, read_head, request,
    response, start, until, url_of, whole,
};

#[tokio::test]
async fn connections_per_host_stay_within_the_bound() {
    let gate = closed_gate();
    let (url, seen) = start(None, Arc::clone(&gate), |_| response(b"ok")).await;
    let client = bounded(16);
    let exchanges = begin_many(&client, &url, 400);
    until("as many requests have arrived as may", || {
        seen.in_flight() == 16 && client.footprint().n_waiting() == 384
    })
    .await;
    let full = Sockets {
        busy: 16,
        ..Sockets::default()
    };
    assert_eq!(client.footprint().sockets(), full);
    gate.add_permits(400);
    for exchange in exchanges {
        whole(exchange.await.expect("no panic"));
        assert!(client.footprint().sockets().open() <= 16);
    }
    assert_eq!(seen.accepted(), 16);
}

#[tokio::test]
async fn connections_that_are_being_made_count() {
    // Its handshakes never end.
    let listener = listener().await;
    let url = url_of(&listener).replace("http:", "https:");
    let client = HttpClient::new(
        HttpSettings {
            connections_per_host_max: 4,
            tls_handshake_timeout: Duration::from_millis(50),
            ..HttpSettings::default()
        },
        Certificate::new("localhost").roots(),
    );
    let exchanges = begin_many(&client, &url, 8);
    // The first connection is to say what the server speaks; when it has failed, they all try.
    until("one is being made", || sockets(&client).connecting == 1).await;
    until("all of them are", || sockets(&client).connecting == 4).await;
    assert_eq!(client.footprint().n_waiting(), 3);
    for exchange in exchanges {
        let outcome = exchange.await.expect("no panic");
        assert_failed(&outcome, TransportKind::TimedOut, "no TLS handshake within");
        assert!(sockets(&client).open() <= 4);
    }
    assert_eq!(sockets(&client), Sockets::default());
}

#[tokio::test]
async fn waiting_for_a_connection_is_part_of_the_time_of_a_request() {
    let gate = closed_gate();
    let (url, seen) = start(None, Arc::clone(&gate), |_| response(b"ok")).await;
    let client = bounded(1);
    let first = begin(&client, request(&url));
    until("it has arrived", || seen.in_flight() == 1).await;
    let second = HttpRequest {
        timeout: Duration::from_millis(50),
        ..request(&url)
    };
    let outcome = client.exchange(second).await;
    let expected = format!("no free connection within 50ms to {url}: 1 of 1 connections are open");
    assert_failed(&outcome, TransportKind::TimedOut, &expected);
    gate.add_permits(1);
    whole(first.await.expect("no panic"));
}

#[tokio::test]
async fn request_that_is_given_up_closes_its_connection_and_leaves_the_line() {
    let gate = closed_gate();
    let (url, seen) = start(None, Arc::clone(&gate), |_| response(b"ok")).await;
    let client = bounded(1);
    let busy = begin(&client, request(&url));
    until("it has arrived", || seen.in_flight() == 1).await;
    let given_up_in_line = begin(&client, request(&url));
    until("it waits", || client.footprint().n_waiting() == 1).await;
    let patient = begin(&client, request(&url));
    until("it waits", || client.footprint().n_waiting() == 2).await;

    given_up_in_line.abort();
    until("it has left", || client.footprint().n_waiting() == 1).await;
    busy.abort();
    until("the next one has its turn", || seen.accepted() == 2).await;
    until("the first connection is closed", || seen.open() == 1).await;
    assert_eq!(sockets(&client).open(), 1);
    gate.add_permits(2);
    whole(patient.await.expect("no panic"));
}

#[tokio::test]
async fn response_that_is_not_read_to_its_end_costs_its_connection() {
    let (url, seen) = start(None, open_gate(), |_| response(&[b'x'; 1001])).await;
    let client = bounded(1);
    for _ in 0..3 {
        let outcome = client.exchange(request(&url)).await;
        assert_failed(&outcome, TransportKind::TooLarge, "");
    }
    until("all are closed", || seen.open() == 0).await;
    assert_eq!(seen.accepted(), 3);
    assert_eq!(sockets(&client), Sockets::default());
}

#[tokio::test]
async fn one_connection_serves_requests_one_after_the_other() {
    let (url, seen) = start(None, open_gate(), |_| response(b"ok")).await;
    let client = bounded(30);
    for _ in 0..50 {
        exchange(&client, &url).await;
    }
    assert_eq!(seen.accepted(), 1);
}

#[tokio::test]
async fn requests_share_a_connection_of_http_2() {
    let certificate = Certificate::new("localhost");
    let gate = closed_gate();
    let tls = certificate.server_config(&[b"h2", b"http/1.1"]);
    let (url, seen) = start(Some(tls), Arc::clone(&gate), |asked| {
        response(format!("{:?} {}", asked.version(), asked.uri()).as_bytes())
    })
    .await;
    let client = HttpClient::new(HttpSettings::default(), certificate.roots());
    let exchanges = begin_many(&client, &url, 40);
    until("all have arrived", || seen.in_flight() == 40).await;
    assert_eq!(seen.accepted(), 1);
    assert_eq!((sockets(&client).busy, sockets(&client).open()), (1, 1));
    gate.add_permits(40);
    for exchange in exchanges {
        let response = whole(exchange.await.expect("no panic"));
        let text = String::from_utf8_lossy(&response.body).into_owned();
        assert_eq!(text, format!("HTTP/2.0 {url}"));
    }
    assert_eq!((sockets(&client).idle, sockets(&client).open()), (1, 1));
}

#[tokio::test]
async fn request_that_is_given_up_over_http_2_leaves_the_connection_to_the_others() {
    let certificate = Certificate::new("localhost");
    let gate = closed_gate();
    let tls = certificate.server_config(&[b"h2"]);
    let (url, seen) = start(Some(tls), Arc::clone(&gate), |_| response(b"ok")).await;
    let client = HttpClient::new(HttpSettings::default(), certificate.roots());
    let mut exchanges = begin_many(&client, &url, 10);
    until("all have arrived", || seen.in_flight() == 10).await;
    for given_up in exchanges.drain(..5) {
        given_up.abort();
    }
    until("the server was told", || seen.in_flight() == 5).await;
    gate.add_permits(5);
    for exchange in exchanges {
        whole(exchange.await.expect("no panic"));
    }
    assert_eq!((seen.accepted(), sockets(&client).idle), (1, 1));
}

#[tokio::test]
async fn more_requests_than_a_server_takes_over_one_connection_get_a_second_one() {
    let certificate = Certificate::new("localhost");
    let gate = closed_gate();
    let tls = certificate.server_config(&[b"h2"]);
    let (url, seen) = start(Some(tls), Arc::clone(&gate), |_| response(b"ok")).await;
    let settings = HttpSettings {
        connections_per_host_max: 2,
        ..HttpSettings::default()
    };
    let client = HttpClient::new(settings, certificate.roots());
    let exchanges = begin_many(&client, &url, 300);
    until("two connections are full", || {
        seen.accepted() == 2 && client.footprint().n_waiting() == 100
    })
    .await;
    assert_eq!(sockets(&client).open(), 2);
    gate.add_permits(300);
    for exchange in exchanges {
        whole(exchange.await.expect("no panic"));
    }
    assert_eq!(seen.accepted(), 2);
}

#[tokio::test]
async fn server_over_tls_without_http_2_gets_connections_up_to_the_bound() {
    let certificate = Certificate::new("localhost");
    let gate = closed_gate();
    let tls = certificate.server_config(&[]);
    let (url, seen) = start(Some(tls), Arc::clone(&gate), |asked| {
        response(format!("{:?} {}", asked.version(), asked.uri()).as_bytes())
    })
    .await;
    let settings = HttpSettings {
        connections_per_host_max: 3,
        ..HttpSettings::default()
    };
    let client = HttpClient::new(settings, certificate.roots());
    let exchanges = begin_many(&client, &url, 9);
    until("three have arrived", || seen.in_flight() == 3).await;
    gate.add_permits(9);
    for exchange in exchanges {
        assert_eq!(whole(exchange.await.expect("no panic")).body, b"HTTP/1.1 /");
    }
    assert_eq!(seen.accepted(), 3);
}

#[tokio::test]
async fn kept_connection_that_its_server_has_just_closed_fails_no_request_that_may_be_repeated() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let listener = listener().await;
    let url = url_of(&listener);
    drop(spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_head(&mut stream).await;
            stream.write_all(ok.as_bytes()).await.expect("it is read");
            // The next request is read and not answered.
            read_head(&mut stream).await;
        }
    }));
    let client = bounded(30);
    exchange(&client, &url).await;
    exchange(&client, &url).await;
    let post = HttpRequest {
        method: Method::Post,
        body: b"grant_type=password".to_vec(),
        ..request(&url)
    };
    let outcome = client.exchange(post).await;
    assert_failed(&outcome, TransportKind::Closed, "");
}

#[tokio::test]
async fn pools_of_different_settings_share_no_connection() {
    let (url, seen) = start(None, open_gate(), |_| response(b"ok")).await;
    let client = bounded(1);
    for insecure in [false, true] {
        let request = HttpRequest {
            pool: pool(&url, insecure),
            ..request(&url)
        };
        whole(client.exchange(request).await);
    }
    assert_eq!(seen.accepted(), 2);
    let footprint = client.footprint();
    let pools: Vec<_> = footprint.pools.iter().map(|pool| pool.insecure).collect();
    assert_eq!(pools, [false, true]);
    assert_eq!(footprint.sockets().idle, 2);
}

fn closed_gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

fn bounded(connections_per_host_max: usize) -> HttpClient {
    client(HttpSettings {
        connections_per_host_max,
        ..HttpSettings::default()
    })
}

fn sockets(client: &HttpClient) -> Sockets {
    client.footprint().sockets()
}

fn begin(client: &HttpClient, request: HttpRequest) -> JoinHandle<HttpOutcome> {
    let client = client.clone();
    spawn(async move { client.exchange(request).await })
}

fn begin_many(client: &HttpClient, url: &str, n: usize) -> Vec<JoinHandle<HttpOutcome>> {
    (0..n).map(|_| begin(client, request(url))).collect()
}
