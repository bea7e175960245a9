//! Channels over SSH: programs on one host, over one connection.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use image_updater_core::git::{ChannelEnd, Open, RefusalKind, Service};
use image_updater_core::repo::credential::{CredentialKind, GitCredential};
use russh::client::{Config, Handle, Handler, Msg, connect_stream};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Preferred};
use rustls::RootCertStore;
use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::channel::{Brought, Channel, Opener};
use super::destination::SshAddress;
use super::echo;
use super::key::read_key;
use super::known_hosts::{HostKeyError, HostKeys};
use super::login::refused;
use super::settings::GitSettings;
use super::socks::SocksProxy;
use crate::http::redact::one_line;
use crate::http::{BoxStream, HttpSettings, PrivateClient, Proxies};
use crate::spawn::spawn;

/// Longest file of host keys.
const KNOWN_HOSTS_BYTES_MAX: u64 = 4 << 20;
/// What a server may send ahead of our reading, and how many pieces of it wait for us.
const WINDOW_BYTES: u32 = 1 << 20;
const PIECES_MAX: usize = 32;
/// A connection is probed this often, and given up after a few probes without an answer.
const PROBE_INTERVAL: Duration = Duration::from_secs(20);
const DETAIL_CHARS_MAX: usize = 300;

/// Opens programs on one host.
pub(super) struct SshOpener {
    address: SshAddress,
    key: Arc<PrivateKey>,
    is_insecure: bool,
    way: Way,
    settings: Arc<GitSettings>,
    connection: Option<Handle<HostCheck>>,
    /// What others were shown.
    shown: Vec<String>,
}

/// Who connects us.
struct Way {
    client: PrivateClient,
    socks: Option<SocksProxy>,
}

/// Accepts a host by its key.
struct HostCheck {
    /// `None` accepts any.
    known: Option<HostKeys>,
}

/// Why a host could not be spoken to.
#[derive(Debug, thiserror::Error)]
enum SshError {
    #[error(transparent)]
    HostKey(#[from] HostKeyError),
    #[error(transparent)]
    Protocol(#[from] russh::Error),
}

impl SshOpener {
    /// For a repository, with the key of `credential`.
    pub(super) fn new(
        address: SshAddress,
        credential: &GitCredential,
        settings: &Arc<GitSettings>,
        roots: &Arc<RootCertStore>,
    ) -> Result<Self, ChannelEnd> {
        let key = match &credential.kind {
            CredentialKind::Ssh(key) => {
                read_key(key.reveal()).map_err(|error| refused(format!("sshPrivateKey {error}")))?
            }
            CredentialKind::None
            | CredentialKind::Basic { .. }
            | CredentialKind::Bearer(_)
            | CredentialKind::GithubApp { .. }
            | CredentialKind::GoogleCloud(_) => {
                let text = "a repository over SSH needs a private key: add field sshPrivateKey";
                return Err(refused(text.to_owned()));
            }
        };
        Ok(Self {
            key: Arc::new(key),
            is_insecure: credential.is_insecure,
            way: Way::new(&address, credential, settings, roots)?,
            settings: Arc::clone(settings),
            connection: None,
            shown: echo::of_proxy(&credential.proxy),
            address,
        })
    }

    async fn open_program(
        &mut self,
        command: &str,
        environment: Option<(&str, &str)>,
    ) -> Result<Box<dyn Channel>, ChannelEnd> {
        loop {
            let kept = self.connection.take().filter(|kept| !kept.is_closed());
            let is_reused = kept.is_some();
            let connection = match kept {
                Some(kept) => kept,
                None => self.connect().await?,
            };
            match start(&connection, command, environment).await {
                Ok(channel) => {
                    self.connection = Some(connection);
                    return Ok(Box::new(channel));
                }
                // Some hosts allow one program per connection, and others end one that waits.
                Err(_) if is_reused => {}
                Err(error) => return Err(self.not_opened(&one_line_of(&error))),
            }
        }
    }

    async fn connect(&self) -> Result<Handle<HostCheck>, ChannelEnd> {
        let known = if self.is_insecure {
            tracing::warn!(
                "the host key of {} is not checked, as the credential of the repository asks",
                self.place()
            );
            None
        } else {
            Some(self.known().await?)
        };
        let stream = self.way.dial(&self.address).await;
        let stream = stream.map_err(|detail| ChannelEnd::NotOpened { detail })?;
        let config = Arc::new(config(known.as_ref()));
        let connected = connect_stream(config, stream, HostCheck { known }).await;
        let mut connection = connected.map_err(|error| match error {
            SshError::HostKey(error) => self.not_opened(&error.to_string()),
            SshError::Protocol(error) => self.not_opened(&one_line_of(&error)),
        })?;
        let hash = if self.key.algorithm().is_rsa() {
            let best = connection.best_supported_rsa_hash().await;
            // SHA-1 is not signed with, whatever the host says.
            best.ok().flatten().flatten().or(Some(HashAlg::Sha512))
        } else {
            None
        };
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&self.key), hash);
        let answer = connection
            .authenticate_publickey(&*self.address.user, key)
            .await;
        let answer = answer.map_err(|error| self.not_opened(&one_line_of(&error)))?;
        if !answer.success() {
            return Err(ChannelEnd::Refused {
                kind: RefusalKind::Unauthenticated,
                detail: format!(
                    "{} does not accept the key {} for user {}",
                    self.place(),
                    self.key.fingerprint(HashAlg::Sha256),
                    self.address.user
                ),
            });
        }
        Ok(connection)
    }

    async fn known(&self) -> Result<HostKeys, ChannelEnd> {
        let path = &self.settings.known_hosts;
        let read = async {
            let mut text = Vec::new();
            let file = tokio::fs::File::open(path).await?;
            let mut file = file.take(KNOWN_HOSTS_BYTES_MAX);
            file.read_to_end(&mut text).await?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        };
        let text: std::io::Result<String> = read.await;
        let text = text.map_err(|error| {
            let path = path.display();
            self.not_opened(&format!("its key cannot be looked up in {path}: {error}"))
        })?;
        let known = HostKeys::parse(&text, &self.address.host, self.address.port);
        let checked = known.check_any();
        checked.map_err(|error| self.not_opened(&error.to_string()))?;
        Ok(known)
    }

    fn not_opened(&self, problem: &str) -> ChannelEnd {
        ChannelEnd::NotOpened {
            detail: format!("SSH host {}: {problem}", self.place()),
        }
    }

    fn place(&self) -> String {
        let SshAddress { host, port, .. } = &self.address;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }
}

#[async_trait]
impl Opener for SshOpener {
    async fn open(
        &mut self,
        _service: Service,
        open: Open,
        limit: Duration,
    ) -> Result<Box<dyn Channel>, ChannelEnd> {
        let Open::Ssh {
            command,
            environment,
        } = open
        else {
            return Err(refused(
                "a channel of another kind was asked for".to_owned(),
            ));
        };
        let opened = timeout(limit, self.open_program(&command, environment)).await;
        opened.unwrap_or_else(|_passed| {
            Err(self.not_opened(&format!("no channel was opened within {limit:?}")))
        })
    }

    fn secrets(&self) -> Vec<String> {
        self.shown.clone()
    }
}

impl Way {
    /// Through the repository's own proxy: SOCKS5 as with Argo CD, or a tunnel of an HTTP proxy.
    fn new(
        address: &SshAddress,
        credential: &GitCredential,
        settings: &GitSettings,
        roots: &Arc<RootCertStore>,
    ) -> Result<Self, ChannelEnd> {
        let proxy = credential.proxy.reveal();
        let mut proxies = Proxies::default();
        let mut socks = None;
        if Proxies::is_excepted(&credential.no_proxy, &address.host, address.port) {
            // It is reached directly.
        } else if let Some(found) = SocksProxy::parse(proxy) {
            socks = Some(found);
        } else if !proxy.is_empty() {
            let found = Proxies::of_one(proxy, &credential.no_proxy);
            proxies = found.map_err(|problem| {
                refused(format!("the repository's proxy cannot be used: {problem}"))
            })?;
        }
        let http = HttpSettings {
            proxies,
            ..settings.http.clone()
        };
        let url = format!("https://{}", address.host);
        let roots = Arc::clone(roots);
        Ok(Self {
            client: PrivateClient::new(&url, credential.is_insecure, None, http, roots),
            socks,
        })
    }

    async fn dial(&self, address: &SshAddress) -> Result<BoxStream, String> {
        let (host, port) = (&address.host, address.port);
        let Some(socks) = &self.socks else {
            let dialed = self.client.dial(host, port).await;
            return dialed.map_err(|failure| failure.detail);
        };
        let place = format!("proxy socks5://{}:{}", socks.host, socks.port);
        let dialed = self.client.dial(&socks.host, socks.port).await;
        let mut stream = dialed.map_err(|failure| format!("{place}: {}", failure.detail))?;
        let connected = socks.connect(&mut stream, host, port).await;
        connected.map_err(|error| format!("{place}: {error}"))?;
        Ok(stream)
    }
}

/// Only kinds of keys are asked for that could be accepted, and none whose signature is made with SHA-1.
fn config(known: Option<&HostKeys>) -> Config {
    let mut preferred = Preferred::default();
    let kinds = preferred.key.iter();
    let kinds = kinds
        .filter(|kind| !matches!(kind, Algorithm::Rsa { hash: None }))
        .filter(|kind| known.is_none_or(|known| known.has_kind(kind)));
    preferred.key = kinds.cloned().collect::<Vec<_>>().into();
    Config {
        preferred,
        window_size: WINDOW_BYTES,
        channel_buffer_size: PIECES_MAX,
        keepalive_interval: Some(PROBE_INTERVAL),
        nodelay: true,
        ..Config::default()
    }
}

impl Handler for HostCheck {
    type Error = SshError;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, SshError> {
        match (&self.known, key) {
            (None, _) => Ok(true),
            (Some(known), PublicKeyOrCertificate::PublicKey { key, .. }) => {
                known.check(key)?;
                Ok(true)
            }
            // None was asked for.
            (Some(_), PublicKeyOrCertificate::Certificate(_)) => Ok(false),
        }
    }
}

/// Starts a program on a new channel.
async fn start(
    connection: &Handle<HostCheck>,
    command: &str,
    environment: Option<(&str, &str)>,
) -> Result<SshChannel, russh::Error> {
    let channel = connection.channel_open_session().await?;
    if let Some((name, value)) = environment {
        // A host that does not pass it on says so to nobody.
        channel.set_env(false, name, value).await?;
    }
    channel.exec(true, command).await?;
    let (mut reading, writing) = channel.split();
    let is_started = loop {
        match reading.wait().await {
            Some(ChannelMsg::Success) => break true,
            Some(ChannelMsg::Failure) => break false,
            Some(_) => {}
            None => return Err(russh::Error::Disconnect),
        }
    };
    if !is_started {
        return Err(russh::Error::RequestDenied);
    }
    let writing = Arc::new(writing);
    let (send, mut sending) = mpsc::unbounded_channel::<Vec<u8>>();
    let writer = Arc::clone(&writing);
    // It ends with the channel, whose connection tells what goes wrong.
    drop(spawn(async move {
        while let Some(bytes) = sending.recv().await {
            if writer.data_bytes(bytes).await.is_err() {
                return;
            }
        }
    }));
    Ok(SshChannel {
        reading,
        writing,
        send,
        is_ended: false,
    })
}

/// A running program.
struct SshChannel {
    reading: ChannelReadHalf,
    writing: Arc<ChannelWriteHalf<Msg>>,
    /// To the task that sends, in the core's own sizes: one request at a time.
    send: mpsc::UnboundedSender<Vec<u8>>,
    /// The program has said all that it says.
    is_ended: bool,
}

#[async_trait]
impl Channel for SshChannel {
    async fn next(&mut self) -> Brought {
        loop {
            match self.reading.wait().await {
                Some(ChannelMsg::Data { data }) => return Brought::Data(data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => return Brought::Message(data),
                Some(
                    ChannelMsg::Eof | ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. },
                ) => {
                    self.is_ended = true;
                }
                Some(ChannelMsg::Close) => return Brought::End(ChannelEnd::Finished),
                Some(_) => {}
                None if self.is_ended => return Brought::End(ChannelEnd::Finished),
                None => {
                    let detail = "the SSH connection ended in the middle of an answer".to_owned();
                    return Brought::End(ChannelEnd::Broken { detail });
                }
            }
        }
    }

    fn send(&mut self, bytes: Vec<u8>) {
        // Where nobody sends any more, the end of the channel says why.
        drop(self.send.send(bytes));
    }

    async fn close(self: Box<Self>) {
        drop(self.writing.close().await);
    }
}

fn one_line_of(error: &russh::Error) -> String {
    one_line(&error.to_string(), DETAIL_CHARS_MAX)
}
