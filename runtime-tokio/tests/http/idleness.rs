//! When idle connections and unused pools go.

use std::sync::Arc;
use std::time::Duration;

use image_updater_core::http::HttpRequest;
use image_updater_tokio::http::{HttpClient, HttpSettings};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Semaphore;

use crate::server::{
    Seen, client, exchange, listener, open_gate, pool, read_head, request, response, start, until,
    url_of, whole,
};

#[tokio::test]
async fn idle_connections_per_host_stay_within_their_bound() {
    let settings = HttpSettings {
        idle_per_host_max: 2,
        ..HttpSettings::default()
    };
    let (client, seen, _) = client_with_idle(settings, 5).await;
    until("the rest is closed", || seen.open() == 2).await;
    assert_eq!(client.footprint().sockets().open(), 2);
}

#[tokio::test]
async fn idle_connections_of_all_pools_stay_within_their_bound_and_the_oldest_go() {
    let client = client(HttpSettings {
        idle_max: 3,
        ..HttpSettings::default()
    });
    let mut servers = Vec::new();
    for _ in 0..5 {
        let (url, seen) = start(None, open_gate(), |_| response(b"ok")).await;
        exchange(&client, &url).await;
        servers.push(seen);
    }
    until("the oldest are closed", || {
        let open: Vec<_> = servers.iter().map(|seen| seen.open()).collect();
        open == [0, 0, 1, 1, 1]
    })
    .await;
    assert_eq!(client.footprint().sockets().open(), 3);
}

#[tokio::test]
async fn connection_goes_when_it_has_been_idle_for_its_time() {
    let (client, seen, _) = client_with_idle(HttpSettings::default(), 2).await;
    pass(Duration::from_secs(89)).await;
    assert_eq!(client.footprint().sockets().idle, 2);
    pass(Duration::from_secs(2)).await;
    until("both are closed", || seen.open() == 0).await;
    assert_eq!(client.footprint().sockets().open(), 0);
}

#[tokio::test]
async fn janitor_closes_what_is_idle_and_leaves_what_is_hot() {
    let settings = HttpSettings {
        idle_timeout: None,
        janitor_interval: Some(Duration::from_mins(5)),
        ..HttpSettings::default()
    };
    let (client, seen, url) = client_with_idle(settings, 4).await;
    // One is used every minute, as the last one that came back.
    for _ in 0..10 {
        exchange(&client, &url).await;
        pass(Duration::from_mins(1)).await;
    }
    until("the others are closed", || seen.open() == 1).await;
    exchange(&client, &url).await;
    assert_eq!(seen.accepted(), 4);
}

#[tokio::test]
async fn without_janitor_and_idle_time_connections_stay() {
    let settings = HttpSettings {
        idle_timeout: None,
        janitor_interval: None,
        ..HttpSettings::default()
    };
    let (client, _, _) = client_with_idle(settings, 3).await;
    pass(Duration::from_mins(29)).await;
    assert_eq!(client.footprint().sockets().idle, 3);
}

#[tokio::test]
async fn pool_that_nobody_uses_is_forgotten_with_its_connections() {
    let settings = HttpSettings {
        idle_timeout: None,
        janitor_interval: None,
        ..HttpSettings::default()
    };
    let (client, seen, url) = client_with_idle(settings, 3).await;
    pass(Duration::from_mins(20)).await;
    exchange(&client, &url).await;
    pass(Duration::from_mins(29)).await;
    assert_eq!(client.footprint().pools.len(), 1, "it was used since");
    pass(Duration::from_mins(2)).await;
    assert_eq!(client.footprint().pools, []);
    until("its connections are closed", || seen.open() == 0).await;
    exchange(&client, &url).await;
    assert_eq!(client.footprint().pools.len(), 1, "it can come back");
}

#[tokio::test]
async fn connection_that_its_server_closes_is_no_longer_counted() {
    let listener = listener().await;
    let url = url_of(&listener);
    let serve = async {
        let (mut stream, _) = listener.accept().await.expect("it comes");
        read_head(&mut stream).await;
        let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(ok).await.expect("it is read");
        stream
    };
    let client = client(HttpSettings::default());
    let (stream, _) = tokio::join!(serve, exchange(&client, &url));
    assert_eq!(client.footprint().sockets().idle, 1);
    drop(stream);
    until("it is noticed", || client.footprint().sockets().open() == 0).await;
}

#[tokio::test]
async fn client_that_is_dropped_closes_everything() {
    let (client, seen, _) = client_with_idle(HttpSettings::default(), 3).await;
    assert_eq!(seen.open(), 3);
    drop(client);
    until("all are closed", || seen.open() == 0).await;
}

/// A client with `n` idle connections to a server.
async fn client_with_idle(settings: HttpSettings, n: usize) -> (HttpClient, Arc<Seen>, String) {
    let gate = Arc::new(Semaphore::new(0));
    let (url, seen) = start(None, Arc::clone(&gate), |_| response(b"ok")).await;
    let client = client(settings);
    let exchanges = (0..n).map(|_| {
        client.exchange(HttpRequest {
            pool: pool(&url, false),
            ..request(&url)
        })
    });
    let all = futures_util::future::join_all(exchanges);
    let opening = async {
        until("all have arrived", || seen.in_flight() == n).await;
        gate.add_permits(n);
    };
    let (outcomes, ()) = tokio::join!(all, opening);
    for outcome in outcomes {
        whole(outcome);
    }
    gate.add_permits(1 << 20);
    (client, seen, url)
}

/// Lets time pass at once, and gives everybody who waited for it a turn.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    tokio::time::resume();
}
