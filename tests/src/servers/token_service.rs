//! A token service as the registry's documentation describes one: it signs JSON Web Tokens that the
//! real registry verifies, and counts who asked.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use image_updater_fixtures::exchange::form_value;
use rcgen::{CertificateParams, KeyPair};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::json;

/// Who signs, and for whom: the registry is set up with both.
pub(super) const ISSUER: &str = "tests";
/// The service that tokens are for.
pub(super) const SERVICE: &str = "registry.tests";
/// The registry accepts a token this long after its end, because clocks differ.
const LEEWAY: Duration = Duration::from_mins(1);

/// What the service does and has done.
#[derive(Clone, Debug)]
pub struct Desk {
    /// The one who may have tokens.
    pub user: String,
    /// With this password.
    pub password: String,
    /// How long a token really holds.
    pub lifetime: Duration,
    /// What clients are told about that, in seconds.
    pub expires_in: u64,
    /// Tokens handed out.
    pub n_tokens: usize,
    /// Requests with a wrong name or password, or none.
    pub n_refused: usize,
}

/// A running service on loopback; ends when dropped.
pub struct TokenService {
    /// Where it is asked.
    pub realm: String,
    desk: Arc<Mutex<Desk>>,
    signer: Arc<Signer>,
    address: std::net::SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl TokenService {
    /// Starts one for a user.
    pub fn start(user: &str, password: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let address = listener
            .local_addr()
            .expect("a bound socket has an address");
        let desk = Arc::new(Mutex::new(Desk {
            user: user.to_owned(),
            password: password.to_owned(),
            lifetime: Duration::from_mins(5),
            expires_in: 300,
            n_tokens: 0,
            n_refused: 0,
        }));
        let signer = Arc::new(Signer::new());
        let (shared, sign) = (Arc::clone(&desk), Arc::clone(&signer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that went away is its own affair; the farewell asks for nothing.
                if let Ok(false) = serve(&stream, &shared, &sign) {
                    return;
                }
            }
        });
        Self {
            realm: format!("http://{address}/token"),
            desk,
            signer,
            address,
            thread: Some(thread),
        }
    }

    /// The certificate by which the registry knows the signatures, PEM.
    pub fn certificate(&self) -> &str {
        &self.signer.certificate
    }

    /// Looks at, or changes, what the service does.
    pub fn with_desk<R>(&self, edit: impl FnOnce(&mut Desk) -> R) -> R {
        edit(&mut self.desk.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes tokens to push to a repository, which nobody gets by asking.
    pub(super) fn pusher(&self) -> Box<dyn Fn(&str) -> String + Send + Sync> {
        let signer = Arc::clone(&self.signer);
        Box::new(move |repository| signer.sign(repository, &["pull", "push", "delete"], LEEWAY))
    }
}

impl Drop for TokenService {
    fn drop(&mut self) {
        // An empty connection is the farewell.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// Answers one request; false when the client asked for nothing.
fn serve(stream: &TcpStream, desk: &Mutex<Desk>, signer: &Signer) -> io::Result<bool> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(false);
    }
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "authorization" => value.trim().clone_into(&mut authorization),
            "content-length" => length = value.trim().parse().unwrap_or(0),
            _ => {}
        }
    }
    io::copy(&mut reader.take(length), &mut io::sink())?;
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = answer(target, &authorization, desk, signer);
    let mut writer = stream;
    write!(
        writer,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    )?;
    Ok(true)
}

fn answer(
    target: &str,
    authorization: &str,
    desk: &Mutex<Desk>,
    signer: &Signer,
) -> (&'static str, String) {
    let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
    let pair = STANDARD.encode(format!("{}:{}", desk.user, desk.password));
    if authorization != format!("Basic {pair}") {
        desk.n_refused += 1;
        let body = json!({ "details": "incorrect username or password" });
        return ("401 Unauthorized", body.to_string());
    }
    let query = target.split_once('?').map_or("", |(_, query)| query);
    let scope = form_value(query, "scope").unwrap_or_default();
    let mut parts = scope.split(':');
    let repository = match (parts.next(), parts.next()) {
        (Some("repository"), Some(repository)) => repository,
        _ => "",
    };
    desk.n_tokens += 1;
    let token = signer.sign(repository, &["pull"], desk.lifetime);
    let body = json!({ "token": token, "expires_in": desk.expires_in });
    ("200 OK", body.to_string())
}

struct Signer {
    key: EcdsaKeyPair,
    certificate: String,
    chain: String,
}

impl Signer {
    fn new() -> Self {
        let made = "a key and its certificate can be made";
        let key = KeyPair::generate().expect(made);
        let params = CertificateParams::new(vec![ISSUER.to_owned()]).expect(made);
        let certificate = params.self_signed(&key).expect(made);
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            &key.serialize_der(),
            &SystemRandom::new(),
        );
        Self {
            key: pair.expect(made),
            certificate: certificate.pem(),
            chain: STANDARD.encode(certificate.der()),
        }
    }

    /// A token (RFC 7519) that the registry accepts for `lifetime` from now.
    fn sign(&self, repository: &str, actions: &[&str], lifetime: Duration) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("it is after 1970");
        let end = (now + lifetime).saturating_sub(LEEWAY).as_secs();
        let begin = now.saturating_sub(LEEWAY).as_secs();
        let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [self.chain] });
        let claims = json!({
            "iss": ISSUER, "aud": SERVICE, "sub": "tests",
            "exp": end, "nbf": begin, "iat": begin, "jti": begin.to_string(),
            "access": [{ "type": "repository", "name": repository, "actions": actions }],
        });
        let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), signed.as_bytes())
            .expect("a key can sign");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}
