//! A tunnel through a proxy: `CONNECT`, and nothing of the proxy's answer but its status.

use std::io;

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::proxy::Proxy;
use super::target::Target;

/// Longest head of the proxy's answer.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Why there is no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    /// The connection to the proxy broke.
    #[error("no tunnel to {address}: {source}")]
    Broken {
        /// Host and port that were asked for.
        address: String,
        /// How it broke.
        source: io::Error,
    },
    /// The proxy says no.
    #[error("no tunnel to {address}: the proxy answered {status}; {advice}")]
    Refused {
        /// Host and port that were asked for.
        address: String,
        /// Its status, in the words of HTTP: its own may repeat what it was shown.
        status: String,
        /// What can be done.
        advice: &'static str,
    },
    /// The answer is no HTTP.
    #[error("no tunnel to {address}: the proxy's answer is no HTTP")]
    Malformed {
        /// Host and port that were asked for.
        address: String,
    },
}

/// Asks the proxy at the other end of `stream` for a tunnel to `target`. Afterwards the stream speaks
/// with the target.
pub(super) async fn open_tunnel(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    target: &Target,
    proxy: &Proxy,
    user_agent: &str,
) -> Result<(), TunnelError> {
    let address = target.address();
    let asked = ask(stream, &address, proxy, user_agent).await;
    let head = asked.map_err(|source| TunnelError::Broken {
        address: address.clone(),
        source,
    })?;
    let status_line = head
        .as_deref()
        .and_then(|head| std::str::from_utf8(head).ok()?.lines().next());
    let Some(status) = status_line.and_then(status_of) else {
        return Err(TunnelError::Malformed { address });
    };
    match status {
        200..=299 => Ok(()),
        _ => Err(TunnelError::Refused {
            address,
            status: shown_status(status),
            advice: match status {
                407 => "check user and password in HTTPS_PROXY",
                403 => "let the proxy allow this host, or name it in NO_PROXY",
                _ => "look at the proxy, or name the host in NO_PROXY",
            },
        }),
    }
}

/// The head of the answer; `None` when it is too long or followed by something, since before our first
/// byte a server over TLS has nothing to say.
async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    address: &str,
    proxy: &Proxy,
    user_agent: &str,
) -> io::Result<Option<Vec<u8>>> {
    let mut request =
        format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {user_agent}\r\n")
            .into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await?;
    stream.flush().await?;
    let mut head = Vec::new();
    loop {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let is_refusal = !head.starts_with(b"HTTP/1.1 2") && !head.starts_with(b"HTTP/1.0 2");
            return Ok((end + 4 == head.len() || is_refusal).then_some(head));
        }
        if head.len() > HEAD_BYTES_MAX {
            return Ok(None);
        }
    }
}

fn status_of(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("HTTP/1.")?;
    let (_version, rest) = rest.split_once(' ')?;
    rest.get(..3)?.parse().ok()
}

fn shown_status(status: u16) -> String {
    let known = StatusCode::from_u16(status).ok();
    match known.and_then(|known| known.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => status.to_string(),
    }
}
