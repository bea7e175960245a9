//! How a connection is made: resolve, connect, through a proxy if need be, and TLS where the URL says so.
//!
//! - Addresses are tried one after the other, so that one connection never takes two sockets.
//! - Every step has its own limit, and its own words when that passes.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::{set_socket_keepalive, set_tcp_keepidle};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection::{BoxStream, Carrier, Counted, Http1, Http2};
use super::failure::{DnsError, Overdue};
use super::lease::Socket;
use super::line::Line;
use super::proxy::Proxy;
use super::settings::HttpSettings;
use super::target::Target;
use super::tls::{HTTP_2, http1_only};
use super::trust::{Trust, TrustError};
use super::tunnel::{TunnelError, open_tunnel};
use crate::clock::stopwatch;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;
/// The least time for one address while there are others.
const ADDRESS_TIME_MIN: Duration = Duration::from_secs(2);
/// After so long without a byte the system asks whether the other side is still there.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);

/// Why no connection was made.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The name does not resolve.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// A step took too long.
    #[error(transparent)]
    Overdue(#[from] Overdue),
    /// Nobody could be reached.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Host and port.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The registry's authorities cannot be read.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The host cannot be that of a certificate.
    #[error("{0} cannot be the name in a certificate")]
    ServerName(String),
    /// The handshake failed.
    #[error("no TLS with {address}: {source}")]
    Tls {
        /// Host and port.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The proxy does not let us through.
    #[error(transparent)]
    Tunnel(#[from] TunnelError),
    /// The proxy is the one that could not be spoken to.
    #[error("proxy {proxy}: {source}")]
    Proxy {
        /// The proxy, without its user.
        proxy: String,
        /// Why not.
        source: Box<DialError>,
    },
    /// The connection ended before it was used.
    #[error("no HTTP with {address}: {source}")]
    Http {
        /// Host and port.
        address: String,
        /// Why not.
        source: hyper::Error,
    },
}

/// What is needed for a connection.
#[derive(Clone, Copy)]
pub(super) struct Dialer<'a> {
    pub(super) settings: &'a HttpSettings,
    pub(super) trust: &'a Trust,
    pub(super) line: &'a Line,
    pub(super) target: &'a Target,
    pub(super) proxy: Option<&'a Proxy>,
}

impl Dialer<'_> {
    /// Makes a connection that is ready for requests.
    pub(super) async fn dial(self, socket: Socket) -> Result<Carrier, DialError> {
        let id = socket.id();
        let stream = match self.proxy {
            Some(proxy) => self.through(proxy, self.target.is_tls, socket).await?,
            None => Box::new(self.connect(self.target, socket).await?),
        };
        let address = self.target.address();
        let http = |source| DialError::Http { address, source };
        if !self.target.is_tls {
            return Ok(Carrier::Http1(Http1::open(stream, id).await.map_err(http)?));
        }
        let config = self.trust.client_config().await?;
        let stream = self.encrypt(stream, self.target, config).await?;
        let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
        let stream: BoxStream = Box::new(stream);
        Ok(if speaks_http2 {
            let opened = Http2::open(stream, id).await;
            Carrier::Http2(opened.map_err(http)?)
        } else {
            Carrier::Http1(Http1::open(stream, id).await.map_err(http)?)
        })
    }

    /// Makes a stream that is ready for whatever is spoken with the target.
    pub(super) async fn dial_plain(self, socket: Socket) -> Result<BoxStream, DialError> {
        match self.proxy {
            Some(proxy) => self.through(proxy, true, socket).await,
            None => Ok(Box::new(self.connect(self.target, socket).await?)),
        }
    }

    /// A stream to the proxy, or a tunnel through it.
    async fn through(
        self,
        proxy: &Proxy,
        is_tunnel: bool,
        socket: Socket,
    ) -> Result<BoxStream, DialError> {
        self.meet(proxy, is_tunnel, socket)
            .await
            .map_err(|source| DialError::Proxy {
                proxy: proxy.to_string(),
                source: Box::new(source),
            })
    }

    async fn meet(
        self,
        proxy: &Proxy,
        is_tunnel: bool,
        socket: Socket,
    ) -> Result<BoxStream, DialError> {
        let mut stream: BoxStream = Box::new(self.connect(&proxy.target, socket).await?);
        if proxy.target.is_tls {
            let config = self.trust.client_config().await?;
            let config = Arc::new(http1_only(&config));
            stream = Box::new(self.encrypt(stream, &proxy.target, config).await?);
        }
        if is_tunnel {
            let limit = self.settings.connect_timeout;
            let opened = open_tunnel(&mut stream, self.target, proxy, &self.settings.user_agent);
            timeout(limit, opened).await.map_err(|_passed| Overdue {
                what: "answer to CONNECT",
                limit,
                place: format!("for {}", self.target.address()),
            })??;
        }
        Ok(stream)
    }

    async fn connect(self, to: &Target, socket: Socket) -> Result<Counted, DialError> {
        let limit = self.settings.connect_timeout;
        let overdue = |what, place: &str| Overdue {
            what,
            limit,
            place: format!("{place} {}", to.address()),
        };
        let deadline = stopwatch() + limit;
        let found = timeout(limit, lookup_host((to.host.as_str(), to.port)))
            .await
            .map_err(|_passed| overdue("address", "for"))?
            .map_err(|source| DnsError {
                host: to.host.clone(),
                source,
            })?;
        let addresses = in_order(found, self.line.reached());
        let mut failure = None;
        for (idx, address) in addresses.iter().enumerate() {
            let time_left = deadline.saturating_duration_since(stopwatch());
            let n_left = u32::try_from(addresses.len() - idx).unwrap_or(u32::MAX);
            let share = (time_left / n_left).max(ADDRESS_TIME_MIN).min(time_left);
            let result = match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    self.line.on_reached(address.ip());
                    be_attentive(&stream);
                    return Ok(Counted::new(stream, socket));
                }
                Ok(Err(error)) => Some(error),
                Err(_passed) => None,
            };
            failure = Some(more_telling(failure, (address.ip(), result)));
        }
        let source = match failure {
            Some((_, Some(error))) => error,
            Some((_, None)) => return Err(overdue("TCP connection", "to").into()),
            None => io::Error::from(io::ErrorKind::AddrNotAvailable),
        };
        Err(DialError::Connect {
            address: to.address(),
            source,
        })
    }

    async fn encrypt(
        self,
        stream: BoxStream,
        to: &Target,
        config: Arc<ClientConfig>,
    ) -> Result<TlsStream<BoxStream>, DialError> {
        let name = ServerName::try_from(to.host.clone())
            .map_err(|_invalid| DialError::ServerName(to.host.clone()))?;
        let limit = self.settings.tls_handshake_timeout;
        let handshake = TlsConnector::from(config).connect(name, stream);
        timeout(limit, handshake)
            .await
            .map_err(|_passed| Overdue {
                what: "TLS handshake",
                limit,
                place: format!("with {}", to.address()),
            })?
            .map_err(|source| DialError::Tls {
                address: to.address(),
                source,
            })
    }
}

/// The addresses as the resolver ordered them, but first the one that was reached last.
fn in_order(found: impl Iterator<Item = SocketAddr>, reached: Option<IpAddr>) -> Vec<SocketAddr> {
    let mut addresses: Vec<_> = found.collect();
    // The sort is stable: the others keep their order.
    addresses.sort_by_key(|address| Some(address.ip()) != reached);
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// An address and what came of it; without an error its time passed.
type Failure = (IpAddr, Option<io::Error>);

/// Which of two failures is reported: where a machine has no IPv6, an attempt over it fails with just
/// the error that means that ports are used up (D-52), so IPv4 has the say. Else the last one.
fn more_telling(earlier: Option<Failure>, later: Failure) -> Failure {
    match earlier {
        Some(earlier) if earlier.0.is_ipv4() && later.0.is_ipv6() => earlier,
        Some(_) | None => later,
    }
}

/// Small requests go out at once, and a dead peer is noticed. A system that refuses serves all the same.
fn be_attentive(stream: &TcpStream) {
    drop(stream.set_nodelay(true));
    let _refused = set_socket_keepalive(stream, true);
    let _refused = set_tcp_keepidle(stream, KEEPALIVE_TIME);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_that_was_reached_goes_first_and_the_others_keep_their_order() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts
                .iter()
                .map(|text| text.parse().expect("an address"))
                .collect()
        };
        let found = ["[fd00::1]:1", "10.0.0.1:1", "10.0.0.2:1"];
        let check = |reached: Option<&str>, expected: &[&str]| {
            let reached = reached.map(|text| text.parse().expect("an address"));
            let ordered = in_order(addresses(&found).into_iter(), reached);
            assert_eq!(ordered, addresses(expected));
        };
        check(None, &found);
        check(
            Some("10.0.0.2"),
            &["10.0.0.2:1", "[fd00::1]:1", "10.0.0.1:1"],
        );
        check(Some("10.9.9.9"), &found);
    }

    #[test]
    fn missing_ipv6_does_not_pass_for_used_up_ports() {
        let v4: IpAddr = "10.0.0.1".parse().expect("an address");
        let v6: IpAddr = "fd00::1".parse().expect("an address");
        let check = |attempts: [(IpAddr, io::ErrorKind); 2], expected: io::ErrorKind| {
            let told = attempts.into_iter().fold(None, |earlier, (address, kind)| {
                Some(more_telling(earlier, (address, Some(kind.into()))))
            });
            let kind = told.and_then(|(_, error)| error).map(|error| error.kind());
            assert_eq!(kind, Some(expected));
        };
        let used_up = io::ErrorKind::AddrNotAvailable;
        let refused = io::ErrorKind::ConnectionRefused;
        check([(v6, used_up), (v4, refused)], refused);
        check([(v4, refused), (v6, used_up)], refused);
        check([(v6, refused), (v4, used_up)], used_up);
        check([(v4, refused), (v4, used_up)], used_up);
    }
}
