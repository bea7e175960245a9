//! The HTTP client against servers on loopback: classes of failure, bounds, and bytes on the wire.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use image_updater_core::http::{
    HeaderValue, HttpOutcome, HttpRequest, HttpResponse, Method, PoolKey, TransportKind,
    TrustAnchors,
};
use image_updater_core::secret::Secret;
use image_updater_tokio::http::{HttpClient, HttpSettings};
use image_updater_tokio::spawn::spawn;
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn closed_port_is_refused() {
    let listener = listener().await;
    let url = url_of(&listener);
    drop(listener);
    check_fails(&url, TransportKind::Refused).await;
}

#[tokio::test]
async fn name_that_does_not_resolve_is_dns() {
    check_fails("http://registry.invalid/v2/", TransportKind::Dns).await;
}

#[tokio::test]
async fn answers_that_are_no_whole_response_are_classified() {
    let check =
        async |answer: &'static str, kind| check_fails(&raw_server(answer).await, kind).await;
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
    assert_eq!(exchange(&url).await.expect("it fits").body.len(), 1000);
    let url = server(|_| response(&[b'x'; 1001])).await;
    check_fails(&url, TransportKind::TooLarge).await;
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
        "no response headers within 50ms",
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
        "no whole response within 50ms",
    );
}

#[tokio::test]
async fn handshake_that_does_not_end_times_out() {
    let listener = listener().await;
    let url = url_of(&listener).replace("http:", "https:");
    let settings = HttpSettings {
        connect_timeout: Duration::from_millis(25),
        tls_handshake_timeout: Duration::from_millis(25),
        ..HttpSettings::default()
    };
    let outcome = client(settings).exchange(request(&url)).await;
    assert_failed(
        &outcome,
        TransportKind::TimedOut,
        "no connection within 50ms",
    );
}

#[tokio::test]
async fn untrusted_certificate_is_tls_and_insecure_accepts_it() {
    let (url, certificate) = tls_server().await;
    check_fails(&url, TransportKind::Tls).await;

    let insecure = HttpRequest {
        pool: pool(&url, true),
        ..request(&url)
    };
    let outcome = client(HttpSettings::default()).exchange(insecure).await;
    assert!(matches!(outcome, HttpOutcome::Response(_)), "{outcome:?}");

    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let trusting = HttpClient::new(HttpSettings::default(), roots);
    let outcome = trusting.exchange(request(&url)).await;
    assert!(matches!(outcome, HttpOutcome::Response(_)), "{outcome:?}");
}

#[tokio::test]
async fn http_2_is_spoken_where_the_server_offers_it() {
    let (url, _) = tls_server_with(&[b"h2", b"http/1.1"]).await;
    let request = HttpRequest {
        pool: pool(&url, true),
        ..request(&url)
    };
    let HttpOutcome::Response(response) = client(HttpSettings::default()).exchange(request).await
    else {
        panic!("no response");
    };
    assert_eq!(String::from_utf8_lossy(&response.body), "over HTTP/2.0");
}

#[tokio::test]
async fn server_without_tls_is_tls() {
    let url = server(|_| response(b"plain")).await;
    check_fails(&url.replace("http:", "https:"), TransportKind::Tls).await;
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
async fn connections_per_host_stay_within_the_bound() {
    let listener = listener().await;
    let url = url_of(&listener);
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    drop(spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            drop(spawn(serve(stream, |_| response(b"ok"))));
        }
    }));
    let client = client(HttpSettings {
        connections_per_host_max: 16,
        ..HttpSettings::default()
    });
    let exchanges = (0..400).map(|_| client.exchange(request(&url)));
    for outcome in futures_util::future::join_all(exchanges).await {
        assert!(matches!(outcome, HttpOutcome::Response(_)), "{outcome:?}");
    }
    let opened = opened.load(Ordering::Relaxed);
    assert!(
        (1..=16).contains(&opened),
        "{opened} connections were opened"
    );
}

async fn check_fails(url: &str, kind: TransportKind) {
    let outcome = client(HttpSettings::default()).exchange(request(url)).await;
    assert_failed(&outcome, kind, "");
}

fn assert_failed(outcome: &HttpOutcome, kind: TransportKind, detail: &str) {
    let HttpOutcome::Failed(failure) = outcome else {
        panic!("expected {kind:?}, got a response");
    };
    assert_eq!(failure.kind, kind, "{}", failure.detail);
    assert!(failure.detail.contains(detail), "{}", failure.detail);
    assert!(!failure.detail.is_empty(), "a failure says what happened");
}

async fn exchange(url: &str) -> Result<HttpResponse, String> {
    match client(HttpSettings::default()).exchange(request(url)).await {
        HttpOutcome::Response(response) => Ok(response),
        HttpOutcome::Failed(failure) => Err(failure.detail),
    }
}

fn client(settings: HttpSettings) -> HttpClient {
    HttpClient::new(settings, RootCertStore::empty())
}

fn request(url: &str) -> HttpRequest {
    HttpRequest {
        pool: pool(url, false),
        method: Method::Get,
        url: url.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
        body_bytes_max: 1000,
        timeout: Duration::from_secs(20),
    }
}

fn pool(url: &str, insecure: bool) -> Arc<PoolKey> {
    Arc::new(PoolKey {
        registry: url.to_owned(),
        insecure,
        trust: TrustAnchors::System,
    })
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

fn url_of(listener: &TcpListener) -> String {
    let address = listener.local_addr().expect("it is bound");
    format!("http://localhost:{}/", address.port())
}

type Answer = hyper::Response<Full<Bytes>>;

fn response(body: &[u8]) -> Answer {
    hyper::Response::new(Full::new(Bytes::copy_from_slice(body)))
}

/// A server that answers every request with `answer`.
async fn server<F>(answer: F) -> String
where
    F: Fn(hyper::Request<hyper::body::Incoming>) -> Answer + Clone + Send + Sync + 'static,
{
    let listener = listener().await;
    let url = url_of(&listener);
    drop(spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(spawn(serve(stream, answer.clone())));
        }
    }));
    url
}

async fn serve<F>(stream: TcpStream, answer: F)
where
    F: Fn(hyper::Request<hyper::body::Incoming>) -> Answer + Send + Sync + 'static,
{
    let service = service_fn(|request| {
        let answer = answer(request);
        async { Ok::<_, Infallible>(answer) }
    });
    let _closed = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A server that reads a request's head, writes `answer` and closes.
async fn raw_server(answer: &'static str) -> String {
    raw(answer, false).await
}

/// The same, but it keeps the connection open.
async fn raw_server_that_hangs(answer: &'static str) -> String {
    raw(answer, true).await
}

async fn raw(answer: &'static str, hangs: bool) -> String {
    let listener = listener().await;
    let url = url_of(&listener);
    drop(spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let (reader, mut writer) = stream.split();
            let mut lines = BufReader::new(reader).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.is_empty() {
                    break;
                }
            }
            writer
                .write_all(answer.as_bytes())
                .await
                .expect("the client reads");
            if hangs {
                kept.push(stream);
            }
        }
    }));
    url
}

/// A server with a certificate of its own making, for `localhost`.
async fn tls_server() -> (String, CertificateDer<'static>) {
    tls_server_with(&[]).await
}

/// The same, which offers these protocols and speaks HTTP/2 if it was chosen.
async fn tls_server_with(protocols: &[&[u8]]) -> (String, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it is made");
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .expect("a usable certificate");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = listener().await;
    let url = url_of(&listener).replace("http:", "https:");
    drop(spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            drop(spawn(async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let service = service_fn(async |request: hyper::Request<_>| {
                    let body = format!("over {:?}", request.version());
                    Ok::<_, Infallible>(response(body.as_bytes()))
                });
                let is_http_2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let stream = TokioIo::new(stream);
                let _closed = if is_http_2 {
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(stream, service)
                        .await
                } else {
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(stream, service)
                        .await
                };
            }));
        }
    }));
    (url, certificate)
}
