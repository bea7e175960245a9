//! What goes wrong is classified and says what happened, and what is sent is what was asked for.

use std::time::Duration;

use image_updater_core::http::{HeaderValue, HttpOutcome, HttpRequest, TransportKind};
use image_updater_core::secret::Secret;
use image_updater_tokio::http::HttpSettings;

use crate::server::{
    assert_failed, check_fails, client, exchange, listener, raw_server, raw_server_that_hangs,
    request, response, server, url_of,
};

/// The word "plain", packed.
const PLAIN_GZIP: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\x02\x03\x2b\xc8\x49\xcc\xcc\x03\0\xcf\x62\x20\x19\x05\0\0\0";

#[tokio::test]
async fn closed_port_is_refused() {
    let listener = listener().await;
    let url = url_of(&listener);
    drop(listener);
    check_fails(&url, TransportKind::Refused, "cannot connect to localhost:").await;
}

#[tokio::test]
async fn name_that_does_not_resolve_is_dns() {
    check_fails(
        "http://registry.invalid/v2/",
        TransportKind::Dns,
        "registry.invalid does not resolve",
    )
    .await;
}

#[tokio::test]
async fn answers_that_are_no_whole_response_are_classified() {
    let check =
        async |answer: &'static str, kind| check_fails(&raw_server(answer).await, kind, "").await;
    check("", TransportKind::Closed).await;
    check("HTTP/1.1 200 OK\r\nContent-Le", TransportKind::Closed).await;
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        TransportKind::Closed,
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal",
        TransportKind::Closed,
    )
    .await;
    check("SSH-2.0-OpenSSH_9.9\r\n", TransportKind::Malformed).await;
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        TransportKind::Closed,
    )
    .await;
}

#[tokio::test]
async fn body_longer_than_allowed_is_too_large_and_one_of_the_length_is_not() {
    let url = server(|_| response(&[b'x'; 1000])).await;
    let client = client(HttpSettings::default());
    assert_eq!(exchange(&client, &url).await.body.len(), 1000);
    let url = server(|_| response(&[b'x'; 1001])).await;
    check_fails(&url, TransportKind::TooLarge, "longer than 1000 bytes").await;
}

#[tokio::test]
async fn headers_that_do_not_come_time_out() {
    let listener = listener().await;
    let url = url_of(&listener);
    let settings = HttpSettings {
        response_header_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let outcome = client(settings).exchange(request(&url)).await;
    assert_failed(
        &outcome,
        TransportKind::TimedOut,
        &format!("no response headers within 50ms from {url}"),
    );
}

#[tokio::test]
async fn exchange_ends_when_its_time_is_over() {
    let url = raw_server_that_hangs("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let request = HttpRequest {
        timeout: Duration::from_millis(50),
        ..request(&url)
    };
    let outcome = client(HttpSettings::default()).exchange(request).await;
    assert_failed(
        &outcome,
        TransportKind::TimedOut,
        &format!("no whole response within 50ms from {url}"),
    );
}

#[tokio::test]
async fn handshake_that_does_not_end_times_out() {
    let listener = listener().await;
    let url = url_of(&listener).replace("http:", "https:");
    let settings = HttpSettings {
        tls_handshake_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let outcome = client(settings).exchange(request(&url)).await;
    assert_failed(
        &outcome,
        TransportKind::TimedOut,
        &format!(
            "no TLS handshake within 50ms with {}",
            url[8..].trim_end_matches('/')
        ),
    );
}

#[tokio::test]
async fn server_without_tls_is_tls() {
    let url = server(|_| response(b"plain")).await;
    check_fails(
        &url.replace("http:", "https:"),
        TransportKind::Tls,
        "no TLS with localhost:",
    )
    .await;
}

#[tokio::test]
async fn request_goes_out_byte_for_byte_and_redirects_are_handed_over() {
    let url = server(|request| {
        let header = |name: &str| {
            let value = request.headers().get(name).expect("it was sent");
            value.to_str().expect("it is text").to_owned()
        };
        let seen = format!(
            "{} {} {} {}",
            request.method(),
            request.uri(),
            header("user-agent"),
            header("authorization"),
        );
        let mut response = response(seen.as_bytes());
        *response.status_mut() = hyper::StatusCode::TEMPORARY_REDIRECT;
        let headers = response.headers_mut();
        headers.insert(
            "Location",
            "http://elsewhere.invalid/".parse().expect("valid"),
        );
        headers.append("X-Twice", "one".parse().expect("valid"));
        headers.append("x-twice", "two".parse().expect("valid"));
        response
    })
    .await;
    let path = "/v2/a%2Fb//c/tags/list?n=1&last=%41+b&x=a,b;c='d'&&empty=";
    let request = HttpRequest {
        url: format!("{}{path}", url.trim_end_matches('/')),
        headers: vec![(
            "authorization".to_owned(),
            HeaderValue::Secret(Secret::new("Bearer token")),
        )],
        ..request(&url)
    };
    let HttpOutcome::Response(response) = client(HttpSettings::default()).exchange(request).await
    else {
        panic!("no response");
    };
    assert_eq!(response.status, 307);
    assert_eq!(
        response.header("location"),
        Some("http://elsewhere.invalid/")
    );
    let twice: Vec<_> = response.headers_named("x-twice").collect();
    assert_eq!(twice, ["one", "two"]);
    let agent = format!("argocd-image-updater/{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        String::from_utf8_lossy(&response.body),
        format!("GET {path} {agent} Bearer token")
    );
}

#[tokio::test]
async fn request_that_cannot_be_sent_is_malformed_and_shows_no_secret() {
    let refused = async |request: HttpRequest| {
        let outcome = client(HttpSettings::default()).exchange(request).await;
        let HttpOutcome::Failed(failure) = outcome else {
            panic!("it was sent");
        };
        assert_eq!(failure.kind, TransportKind::Malformed);
        assert!(!failure.detail.contains("hidden"), "{}", failure.detail);
    };
    for url in [
        "",
        "/v2/",
        "http://u:hidden@a b/",
        "http://",
        "r.example/v2/",
    ] {
        refused(request(url)).await;
    }
    let bad_header = vec![(
        "authorization".to_owned(),
        HeaderValue::Secret(Secret::new("hidden\r\nX: y")),
    )];
    refused(HttpRequest {
        headers: bad_header,
        ..request("http://localhost/")
    })
    .await;
}

#[tokio::test]
async fn address_that_swallows_everything_times_out_while_connecting() {
    // A listener that accepts nothing and whose queue is full takes no further connections.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket
        .bind(([127, 0, 0, 1], 0).into())
        .expect("a free port");
    let listener = socket.listen(0).expect("it is bound");
    let address = listener.local_addr().expect("it is bound");
    let mut kept = Vec::new();
    let connect = || tokio::net::TcpStream::connect(address);
    while let Ok(Ok(stream)) = tokio::time::timeout(Duration::from_millis(100), connect()).await {
        kept.push(stream);
    }
    let settings = HttpSettings {
        connect_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let url = format!("http://{address}/");
    let outcome = client(settings).exchange(request(&url)).await;
    let expected = format!("no TCP connection within 50ms to {address}");
    assert_failed(&outcome, TransportKind::TimedOut, &expected);

    let in_a_hurry = HttpRequest {
        timeout: Duration::from_millis(50),
        ..request(&url)
    };
    let outcome = client(HttpSettings::default()).exchange(in_a_hurry).await;
    let expected = format!("no connection within 50ms to {url}");
    assert_failed(&outcome, TransportKind::TimedOut, &expected);
}

#[tokio::test]
async fn url_in_a_failure_shows_neither_user_nor_query() {
    let listener = listener().await;
    let url = url_of(&listener).replace("http://", "http://user:hush@");
    let settings = HttpSettings {
        response_header_timeout: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let url = format!("{url}token?account=hush");
    let HttpOutcome::Failed(failure) = client(settings).exchange(request(&url)).await else {
        panic!("nobody answers");
    };
    assert!(!failure.detail.contains("hush"), "{}", failure.detail);
    assert!(failure.detail.ends_with("/token?…"), "{}", failure.detail);
}

#[tokio::test]
async fn gzip_is_undone_within_the_bound_of_the_body_and_nothing_else_is() {
    let packed = |body: &'static [u8], encoding: &'static str| {
        server(move |_| {
            let mut response = response(body);
            let value = encoding.parse().expect("valid");
            response.headers_mut().insert("Content-Encoding", value);
            response
        })
    };
    for (body, encoding, detail) in [
        (
            PLAIN_GZIP,
            "br",
            "encoded as \"br\", which was not asked for",
        ),
        (PLAIN_GZIP, "gzip, gzip", "encoded as \"gzip, gzip\""),
        (b"\x1f\x8b bomb", "gzip", "says that it is gzip and is not"),
        (b"plain", "gzip", "says that it is gzip and is not"),
    ] {
        let url = packed(body, encoding).await;
        check_fails(&url, TransportKind::Malformed, detail).await;
    }
    let client = client(HttpSettings::default());
    for encoding in ["gzip", "X-GZIP", "identity, gzip"] {
        let url = packed(PLAIN_GZIP, encoding).await;
        let unpacked = exchange(&client, &url).await;
        assert_eq!(unpacked.body, b"plain", "{encoding}");
        assert_eq!(unpacked.header("content-encoding"), None);
        let bounded = HttpRequest {
            body_bytes_max: 28,
            ..request(&url)
        };
        let outcome = client.exchange(bounded).await;
        assert!(matches!(outcome, HttpOutcome::Response(_)), "{outcome:?}");
    }
    for (body, encoding) in [(&b""[..], "gzip"), (b"plain", "identity")] {
        let url = packed(body, encoding).await;
        assert_eq!(exchange(&client, &url).await.body, body);
    }
}

#[tokio::test]
async fn nothing_packed_is_asked_for() {
    let url = server(|asked| {
        let value = asked.headers().get("accept-encoding").expect("it was sent");
        response(value.as_bytes())
    })
    .await;
    let client = client(HttpSettings::default());
    assert_eq!(exchange(&client, &url).await.body, b"identity");
}
