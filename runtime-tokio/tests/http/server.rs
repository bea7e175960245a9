//! Servers on loopback, and requests to them.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use image_updater_core::http::{
    HttpOutcome, HttpRequest, HttpResponse, Method, PoolKey, TransportKind, TrustAnchors,
};
use image_updater_tokio::http::{HttpClient, HttpSettings};
use image_updater_tokio::spawn::spawn;
use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) type Asked = hyper::Request<Incoming>;
pub(crate) type Answer = hyper::Response<Full<Bytes>>;

/// What a server has seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) accepted: AtomicUsize,
    pub(crate) open: AtomicUsize,
    pub(crate) in_flight: AtomicUsize,
}

impl Seen {
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst)
    }
}

/// One more in a count of `Seen` while it lives.
struct Counted(Arc<Seen>, fn(&Seen) -> &AtomicUsize);

impl Counted {
    fn new(seen: &Arc<Seen>, count: fn(&Seen) -> &AtomicUsize) -> Self {
        count(seen).fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(seen), count)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1(&self.0).fetch_sub(1, Ordering::SeqCst);
    }
}

/// A server that answers every request with `answer`.
pub(crate) async fn server<F>(answer: F) -> String
where
    F: Fn(Asked) -> Answer + Clone + Send + Sync + 'static,
{
    start(None, open_gate(), answer).await.0
}

/// A gate that lets everything through.
pub(crate) fn open_gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1 << 20))
}

/// A server, over TLS if it has settings for it, that answers a request once `gate` lets it through,
/// which takes a permit.
pub(crate) async fn start<F>(
    tls: Option<ServerConfig>,
    gate: Arc<Semaphore>,
    answer: F,
) -> (String, Arc<Seen>)
where
    F: Fn(Asked) -> Answer + Clone + Send + Sync + 'static,
{
    let listener = listener().await;
    let url = url_of(&listener);
    let seen = Arc::new(Seen::default());
    let server = Server {
        seen: Arc::clone(&seen),
        gate,
        answer,
    };
    let Some(config) = tls else {
        drop(spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let open = server.on_accepted();
                drop(spawn(server.clone().serve(stream, false, open)));
            }
        }));
        return (url, seen);
    };
    let acceptor = TlsAcceptor::from(Arc::new(config));
    drop(spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (server, acceptor) = (server.clone(), acceptor.clone());
            drop(spawn(async move {
                let open = server.on_accepted();
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                server.serve(stream, is_http2, open).await;
            }));
        }
    }));
    (url.replace("http:", "https:"), seen)
}

#[derive(Clone)]
struct Server<F> {
    seen: Arc<Seen>,
    gate: Arc<Semaphore>,
    answer: F,
}

impl<F> Server<F>
where
    F: Fn(Asked) -> Answer + Clone + Send + Sync + 'static,
{
    fn on_accepted(&self) -> Counted {
        self.seen.accepted.fetch_add(1, Ordering::SeqCst);
        Counted::new(&self.seen, |seen| &seen.open)
    }

    async fn serve(
        self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        is_http2: bool,
        _open: Counted,
    ) {
        let stream = TokioIo::new(stream);
        let service = service_fn(move |asked| {
            let server = self.clone();
            async move { Ok::<_, Infallible>(server.respond(asked).await) }
        });
        if is_http2 {
            let _closed = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(stream, service)
                .await;
        } else {
            let _closed = hyper::server::conn::http1::Builder::new()
                .serve_connection(stream, service)
                .await;
        }
    }

    async fn respond(self, asked: Asked) -> Answer {
        let _in_flight = Counted::new(&self.seen, |seen| &seen.in_flight);
        let permit = self.gate.acquire().await.expect("it is never closed");
        permit.forget();
        (self.answer)(asked)
    }
}

/// A server that reads a request's head, writes `answer` and closes.
pub(crate) async fn raw_server(answer: &'static str) -> String {
    raw(answer, false).await
}

/// The same, but it keeps the connection open.
pub(crate) async fn raw_server_that_hangs(answer: &'static str) -> String {
    raw(answer, true).await
}

async fn raw(answer: &'static str, hangs: bool) -> String {
    let listener = listener().await;
    let url = url_of(&listener);
    drop(spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            read_head(&mut stream).await;
            stream
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

/// The lines of a request's head.
pub(crate) async fn read_head(stream: &mut TcpStream) -> Vec<String> {
    let mut lines = BufReader::new(stream).lines();
    let mut head = Vec::new();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    head
}

/// A certificate for `name` that signed itself, and its key.
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
    key: PrivateKeyDer<'static>,
}

impl Certificate {
    pub(crate) fn new(name: &str) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        let subject = &mut params.distinguished_name;
        subject.push(DnType::CommonName, format!("authority {number}"));
        let key = KeyPair::generate().expect("it is made");
        let certificate = params.self_signed(&key).expect("it is made");
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        }
    }

    /// The settings of a server with it that offers these protocols.
    pub(crate) fn server_config(&self, protocols: &[&[u8]]) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], self.key.clone_key())
            .expect("a usable certificate");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        roots
    }
}

/// Waits until `condition` holds; everything else goes on meanwhile.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    let result = tokio::time::timeout(PATIENCE, holds).await;
    assert!(result.is_ok(), "it never came to this: {what}");
}

pub(crate) fn response(body: &[u8]) -> Answer {
    hyper::Response::new(Full::new(Bytes::copy_from_slice(body)))
}

pub(crate) fn client(settings: HttpSettings) -> HttpClient {
    HttpClient::new(settings, RootCertStore::empty())
}

pub(crate) fn request(url: &str) -> HttpRequest {
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

pub(crate) fn pool(url: &str, insecure: bool) -> Arc<PoolKey> {
    Arc::new(PoolKey {
        registry: url.to_owned(),
        insecure,
        trust: TrustAnchors::System,
    })
}

pub(crate) async fn exchange(client: &HttpClient, url: &str) -> HttpResponse {
    whole(client.exchange(request(url)).await)
}

pub(crate) fn whole(outcome: HttpOutcome) -> HttpResponse {
    match outcome {
        HttpOutcome::Response(response) => response,
        HttpOutcome::Failed(failure) => panic!("{failure:?}"),
    }
}

pub(crate) async fn check_fails(url: &str, kind: TransportKind, detail: &str) {
    let outcome = client(HttpSettings::default()).exchange(request(url)).await;
    assert_failed(&outcome, kind, detail);
}

pub(crate) fn assert_failed(outcome: &HttpOutcome, kind: TransportKind, detail: &str) {
    let HttpOutcome::Failed(failure) = outcome else {
        panic!("expected {kind:?}, got a response");
    };
    assert_eq!(failure.kind, kind, "{}", failure.detail);
    assert!(failure.detail.contains(detail), "{}", failure.detail);
    assert!(!failure.detail.is_empty(), "a failure says what happened");
}

pub(crate) async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}

pub(crate) fn url_of(listener: &TcpListener) -> String {
    let address = listener.local_addr().expect("it is bound");
    format!("http://localhost:{}/", address.port())
}
