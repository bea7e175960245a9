//! Through proxies: tunnels for TLS, whole URLs for the rest, and never their passwords.

use std::sync::{Arc, Mutex};

use image_updater_core::http::{HttpOutcome, HttpRequest, TransportKind};
use image_updater_core::registry::base64;
use image_updater_tokio::http::{HttpClient, HttpSettings, Proxies};
use image_updater_tokio::spawn::spawn;
use rustls::RootCertStore;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::server::{
    Certificate, assert_failed, listener, open_gate, pool, request, response, server, start, whole,
};

/// Nobody can resolve it: only a proxy leads there.
const REGISTRY: &str = "registry.test";

#[tokio::test]
async fn registry_over_tls_is_reached_through_a_tunnel() {
    let certificate = Certificate::new(REGISTRY);
    let config = certificate.server_config(&[b"h2", b"http/1.1"]);
    let (url, seen) = start(Some(config), open_gate(), |asked| {
        response(format!("{:?} {}", asked.version(), asked.uri()).as_bytes())
    })
    .await;
    let proxy = Proxy::leading_to(&url, "HTTP/1.1 200 Connection established\r\n\r\n").await;
    let client = proxy.client("https_proxy", "user:p%40ss@", certificate.roots());
    for _ in 0..3 {
        let answer = whole(client.exchange(request("https://registry.test/v2/")).await);
        assert_eq!(
            String::from_utf8_lossy(&answer.body),
            "HTTP/2.0 https://registry.test/v2/"
        );
    }
    let heads = proxy.heads();
    assert_eq!(
        (heads.len(), seen.accepted()),
        (1, 1),
        "one tunnel: {heads:?}"
    );
    assert_eq!(heads[0][0], "CONNECT registry.test:443 HTTP/1.1");
    let credentials = base64::encode(b"user:p@ss");
    let authorization = format!("Proxy-Authorization: Basic {credentials}");
    assert!(heads[0].contains(&authorization), "{heads:?}");
}

#[tokio::test]
async fn proxy_over_tls_is_spoken_to_over_tls() {
    let (at_proxy, at_registry) = (Certificate::new("localhost"), Certificate::new(REGISTRY));
    let config = at_registry.server_config(&[b"h2", b"http/1.1"]);
    let (url, _) = start(Some(config), open_gate(), |_| response(b"ok")).await;
    let acceptor = TlsAcceptor::from(Arc::new(at_proxy.server_config(&[b"h2", b"http/1.1"])));
    let listener = listener().await;
    let port = listener.local_addr().expect("it is bound").port();
    drop(spawn(async move {
        let (stream, _) = listener.accept().await.expect("it comes");
        let mut stream = acceptor.accept(stream).await.expect("it speaks TLS");
        let mut head = vec![0; 20];
        stream.read_exact(&mut head).await.expect("a request");
        assert_eq!(head, b"CONNECT registry.tes");
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("a whole head"));
        }
        let answer = b"HTTP/1.1 200 OK\r\n\r\n";
        stream.write_all(answer).await.expect("it is read");
        let mut target = connect(&url).await;
        drop(copy_bidirectional(&mut stream, &mut target).await);
    }));
    let mut roots = at_proxy.roots();
    roots.add(at_registry.der.clone()).expect("a certificate");
    let client = client_through(
        &[("HTTPS_PROXY", &format!("https://localhost:{port}"))],
        roots,
    );
    let answer = whole(client.exchange(request("https://registry.test/")).await);
    assert_eq!(answer.body, b"ok");
}

#[tokio::test]
async fn registry_without_tls_is_fetched_by_the_proxy() {
    // The proxy answers by itself; what it is sent is what counts.
    let url = server(|asked| {
        let header = |name: &str| {
            let value = asked.headers().get(name);
            value.map_or("none".to_owned(), |value| {
                value.to_str().expect("text").to_owned()
            })
        };
        let seen = format!(
            "{} {} {}",
            asked.uri(),
            header("host"),
            header("proxy-authorization")
        );
        response(seen.as_bytes())
    })
    .await;
    let at = url.replace("http://", "http://user:hush@");
    let client = client_through(&[("http_proxy", &at)], RootCertStore::empty());
    let answer = whole(
        client
            .exchange(request("http://registry.test/v2/a%2Fb?n=1"))
            .await,
    );
    let credentials = base64::encode(b"user:hush");
    assert_eq!(
        String::from_utf8_lossy(&answer.body),
        format!("http://registry.test/v2/a%2Fb?n=1 registry.test Basic {credentials}")
    );
    // This machine is reached directly, and learns nothing of the proxy.
    let answer = whole(client.exchange(request(&url)).await);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(
        text.starts_with("/ localhost:") && text.ends_with(" none"),
        "{text}"
    );
}

#[tokio::test]
async fn proxy_that_refuses_is_named_with_what_it_said() {
    let check = async |answer: &'static str, kind, expected: &str| {
        let proxy = Proxy::leading_to("http://localhost:1/", answer).await;
        let client = proxy.client("HTTPS_PROXY", "user:hush@", RootCertStore::empty());
        let outcome = client.exchange(request("https://registry.test/")).await;
        assert_failed(&outcome, kind, expected);
        let named = format!("proxy http://localhost:{}", proxy.port);
        assert_failed(&outcome, kind, &named);
        assert_shows_nothing(&outcome);
    };
    check(
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        TransportKind::Refused,
        "407 Proxy Authentication Required; check user and password in HTTPS_PROXY",
    )
    .await;
    check(
        "HTTP/1.1 403 Forbidden\r\n\r\nnot you",
        TransportKind::Refused,
        "no tunnel to registry.test:443: the proxy answered 403 Forbidden; let the proxy allow",
    )
    .await;
    check(
        "HTTP/1.1 502 Bad Gateway\r\n\r\n",
        TransportKind::Refused,
        "502",
    )
    .await;
    check(
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        TransportKind::Malformed,
        "no HTTP",
    )
    .await;
    check(
        "HTTP/1.1 200 OK\r\n\r\nhello",
        TransportKind::Malformed,
        "no HTTP",
    )
    .await;
    check("", TransportKind::Closed, "no tunnel to registry.test:443").await;
}

#[tokio::test]
async fn proxy_that_wants_a_password_for_plain_http_is_no_answer_of_the_registry() {
    let url = server(|_| {
        let mut answer = response(b"");
        *answer.status_mut() = hyper::StatusCode::PROXY_AUTHENTICATION_REQUIRED;
        answer
    })
    .await;
    let at = url.replace("http://", "http://user:hush@");
    let client = client_through(&[("HTTP_PROXY", &at)], RootCertStore::empty());
    let outcome = client.exchange(request("http://registry.test/")).await;
    let expected = format!("proxy {}: 407", url.trim_end_matches('/'));
    assert_failed(&outcome, TransportKind::Refused, &expected);
    assert_shows_nothing(&outcome);
}

#[tokio::test]
async fn proxy_that_nobody_listens_at_is_refused_and_named() {
    let listener = listener().await;
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let at = format!("http://user:hush@127.0.0.1:{port}");
    for (variable, url) in [
        ("HTTPS_PROXY", "https://registry.test/"),
        ("HTTP_PROXY", "http://registry.test/"),
    ] {
        let client = client_through(&[(variable, &at)], RootCertStore::empty());
        let outcome = client.exchange(request(url)).await;
        let expected = format!("proxy http://127.0.0.1:{port}: cannot connect");
        assert_failed(&outcome, TransportKind::Refused, &expected);
        assert_shows_nothing(&outcome);
    }
}

#[tokio::test]
async fn exception_is_reached_directly() {
    let variables = [
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
        ("NO_PROXY", ".invalid:443"),
    ];
    let client = client_through(&variables, RootCertStore::empty());
    let direct = client.exchange(request("https://registry.invalid/")).await;
    assert_failed(
        &direct,
        TransportKind::Dns,
        "registry.invalid does not resolve",
    );
    let insecure = HttpRequest {
        pool: pool("https://registry.invalid", true),
        ..request("https://registry.invalid:5000/")
    };
    let outcome = client.exchange(insecure).await;
    assert_failed(&outcome, TransportKind::Refused, "proxy http://127.0.0.1:1");
}

fn assert_shows_nothing(outcome: &HttpOutcome) {
    let shown = format!("{outcome:?}");
    let credentials = base64::encode(b"user:hush");
    assert!(
        !shown.contains("hush") && !shown.contains(&credentials),
        "{shown}"
    );
}

fn client_through(variables: &[(&str, &str)], roots: RootCertStore) -> HttpClient {
    let (proxies, complaints) = Proxies::of(|name| {
        let found = variables.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| (*value).to_owned())
    });
    assert!(complaints.is_empty(), "{complaints:?}");
    let settings = HttpSettings {
        proxies,
        ..HttpSettings::default()
    };
    HttpClient::new(settings, roots)
}

/// A proxy that gives everybody the same answer, and then leads to one server.
struct Proxy {
    port: u16,
    heads: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Proxy {
    async fn leading_to(url: &str, answer: &'static str) -> Self {
        let listener = listener().await;
        let port = listener.local_addr().expect("it is bound").port();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (url, seen) = (url.to_owned(), Arc::clone(&heads));
        drop(spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let head = crate::server::read_head(&mut stream).await;
                seen.lock().expect("no panic before").push(head);
                let written = stream.write_all(answer.as_bytes()).await;
                written.expect("it is read");
                if answer.starts_with("HTTP/1.1 200 Connection") {
                    let mut target = connect(&url).await;
                    drop(copy_bidirectional(&mut stream, &mut target).await);
                }
            }
        }));
        Self { port, heads }
    }

    fn client(&self, variable: &str, user_info: &str, roots: RootCertStore) -> HttpClient {
        let at = format!("http://{user_info}localhost:{}", self.port);
        client_through(&[(variable, &at)], roots)
    }

    fn heads(&self) -> Vec<Vec<String>> {
        self.heads.lock().expect("no panic before").clone()
    }
}

async fn connect(url: &str) -> TcpStream {
    let (_, address) = url.trim_end_matches('/').split_once("://").expect("a URL");
    TcpStream::connect(address).await.expect("it listens")
}
