//! A way through a SOCKS5 proxy (RFC 1928, RFC 1929), as Argo CD has it for SSH (`writeback.md` 12.1).

use std::io;
use std::net::IpAddr;

use image_updater_core::secret::Secret;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::destination::decoded;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const LOGIN_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const DEFAULT_PORT: u16 = 1080;

/// A SOCKS5 proxy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct SocksProxy {
    pub(super) host: String,
    pub(super) port: u16,
    login: Option<(String, Secret)>,
}

/// Why there is no way through.
#[derive(Debug, thiserror::Error)]
pub(super) enum SocksError {
    /// The connection to it broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// It speaks something else.
    #[error("it does not speak SOCKS5")]
    Malformed,
    /// It wants to know who we are.
    #[error("it does not accept the user and password of the proxy's URL")]
    Login,
    /// It does not connect us.
    #[error("it does not connect us: {0}")]
    Refused(&'static str),
    /// A name is longer than the protocol allows.
    #[error("host, user or password is longer than 255 bytes")]
    TooLong,
}

impl SocksProxy {
    /// Reads a `socks5://` or `socks5h://` URL; `None` for another.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.trim().split_once("://")?;
        if !["socks5", "socks5h"].contains(&&*scheme.to_ascii_lowercase()) {
            return None;
        }
        let authority = rest.split('/').next().unwrap_or(rest);
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user), address),
            None => (None, authority),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                (host, port.strip_prefix(':'))
            }
            None => match address.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (address, None),
            },
        };
        let port = port.map_or(Ok(DEFAULT_PORT), str::parse).ok()?;
        (!host.is_empty()).then(|| Self {
            host: host.to_ascii_lowercase(),
            port,
            login: user.map(|user| {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                (decoded(name), Secret::new(decoded(password)))
            }),
        })
    }

    /// Has the proxy at the other end of `stream` connect it with a host, whose name it resolves.
    pub(super) async fn connect(
        &self,
        stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
        host: &str,
        port: u16,
    ) -> Result<(), SocksError> {
        let methods: &[u8] = match self.login {
            Some(_) => &[VERSION, 2, NO_LOGIN, PASSWORD],
            None => &[VERSION, 1, NO_LOGIN],
        };
        stream.write_all(methods).await?;
        stream.flush().await?;
        let [version, method] = read(stream).await?;
        match (version, method, &self.login) {
            (VERSION, NO_LOGIN, _) => {}
            (VERSION, PASSWORD, Some((name, password))) => {
                let mut message = vec![LOGIN_VERSION];
                push_text(&mut message, name)?;
                push_text(&mut message, password.reveal())?;
                stream.write_all(&message).await?;
                stream.flush().await?;
                let [_version, status] = read(stream).await?;
                if status != 0 {
                    return Err(SocksError::Login);
                }
            }
            (VERSION, _, _) => return Err(SocksError::Login),
            (_, _, _) => return Err(SocksError::Malformed),
        }
        let mut request = vec![VERSION, CONNECT, 0];
        match host.parse() {
            Ok(IpAddr::V4(address)) => {
                request.push(IPV4);
                request.extend(address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                request.push(IPV6);
                request.extend(address.octets());
            }
            Err(_) => {
                request.push(NAME);
                push_text(&mut request, host)?;
            }
        }
        request.extend(port.to_be_bytes());
        stream.write_all(&request).await?;
        stream.flush().await?;
        let [version, status, _, kind] = read(stream).await?;
        if version != VERSION {
            return Err(SocksError::Malformed);
        }
        if status != 0 {
            return Err(SocksError::Refused(refusal(status)));
        }
        // Where it is connected from, which nobody wants to know.
        match kind {
            IPV4 => drop(read::<6>(stream).await?),
            IPV6 => drop(read::<18>(stream).await?),
            NAME => {
                let [n_bytes] = read(stream).await?;
                let mut name = vec![0; usize::from(n_bytes) + 2];
                stream.read_exact(&mut name).await?;
            }
            _ => return Err(SocksError::Malformed),
        }
        Ok(())
    }
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn push_text(message: &mut Vec<u8>, text: &str) -> Result<(), SocksError> {
    message.push(u8::try_from(text.len()).map_err(|_| SocksError::TooLong)?);
    message.extend_from_slice(text.as_bytes());
    Ok(())
}

fn refusal(status: u8) -> &'static str {
    match status {
        2 => "its rules forbid it",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached",
        5 => "the host refuses",
        6 => "it took too long",
        7 | 8 => "it does not know how",
        _ => "it failed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Host, port, user and password.
    type Parts<'a> = (&'a str, u16, Option<(&'a str, &'a str)>);

    #[test]
    fn proxy_is_read_from_its_url() {
        let check = |url: &str, expected: Option<Parts<'_>>| {
            let found = SocksProxy::parse(url);
            let found = found.as_ref().map(|proxy| {
                let login = proxy.login.as_ref();
                let login = login.map(|(name, password)| (name.as_str(), password.reveal()));
                (proxy.host.as_str(), proxy.port, login)
            });
            assert_eq!(found, expected, "{url}");
        };
        check("socks5://P:9", Some(("p", 9, None)));
        check(
            "SOCKS5h://u:p%40@[::1]/",
            Some(("::1", 1080, Some(("u", "p@")))),
        );
        check("socks5://u@p", Some(("p", 1080, Some(("u", "")))));
        for url in [
            "http://p",
            "socks4://p",
            "socks5://",
            "socks5://p:x",
            "p:1080",
        ] {
            check(url, None);
        }
    }

    #[tokio::test]
    async fn what_a_proxy_answers_is_told_apart() {
        let check = async |answers: &[&[u8]], expected: Result<(), &str>| {
            let (mut ours, mut theirs) = tokio::io::duplex(1_024);
            let answers = answers.concat();
            theirs.write_all(&answers).await.expect("there is room");
            theirs.shutdown().await.expect("it ends");
            let proxy = SocksProxy::parse("socks5://u:hush@p").expect("a proxy");
            let found = proxy.connect(&mut ours, "h", 22).await;
            let found = found.map_err(|error| error.to_string());
            assert_eq!(found.as_ref().map_err(String::as_str).copied(), expected);
        };
        let end = &[5, 0, 0, 1, 1, 1, 1, 1, 1, 1][..];
        check(&[&[5, 0], end], Ok(())).await;
        check(&[&[5, 2], &[1, 0], end], Ok(())).await;
        check(&[&[5, 2], &[1, 0], &[5, 0, 0, 3, 1, 9, 9, 9]], Ok(())).await;
        let login = "it does not accept the user and password of the proxy's URL";
        check(&[&[5, 2], &[1, 1]], Err(login)).await;
        check(&[&[5, 0xff]], Err(login)).await;
        check(&[b"HT"], Err("it does not speak SOCKS5")).await;
        check(
            &[&[5, 0], &[5, 5, 0, 1]],
            Err("it does not connect us: the host refuses"),
        )
        .await;
        check(&[&[5]], Err("the connection broke: early eof")).await;
    }
}
