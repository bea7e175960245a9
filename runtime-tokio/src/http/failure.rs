//! The class of a transport failure, found by walking the chain of an error's causes.
//!
//! [`TransportKind::NoLocalPort`] matters most: a process that has used up its local ports looks to
//! itself as if every registry were down.

use std::error::Error;
use std::io;

use image_updater_core::health::is_no_local_port;
use image_updater_core::http::{TransportFailure, TransportKind};

use super::dial::DialError;
use super::redact::one_line;
use super::tunnel::TunnelError;

/// Longest detail that is handed on.
const DETAIL_CHARS_MAX: usize = 300;

/// A name that did not resolve.
#[derive(Debug, thiserror::Error)]
#[error("{host} does not resolve: {source}")]
pub(crate) struct DnsError {
    pub(crate) host: String,
    pub(crate) source: io::Error,
}

/// A time limit of our own that passed.
#[derive(Debug, thiserror::Error)]
#[error("no {what} within {limit:?}")]
pub(crate) struct LimitPassed {
    pub(crate) what: &'static str,
    pub(crate) limit: std::time::Duration,
}

/// A time limit of one step of an exchange that passed.
#[derive(Debug, thiserror::Error)]
#[error("no {what} within {limit:?} {place}")]
pub(super) struct Overdue {
    pub(super) what: &'static str,
    pub(super) limit: std::time::Duration,
    /// With whom, as a phrase.
    pub(super) place: String,
}

/// Classifies `error` and describes it on one line without secrets.
pub fn classify(error: &(dyn Error + 'static)) -> TransportFailure {
    let detail = describe(error);
    let kind = causes(error)
        .filter_map(kind_of)
        .last()
        .unwrap_or(TransportKind::Closed);
    let kind = if causes(error).any(is_port_exhaustion) {
        TransportKind::NoLocalPort
    } else {
        kind
    };
    TransportFailure { kind, detail }
}

/// The causes of `error` on one line, outermost first, without what repeats.
pub fn describe(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for cause in causes(error) {
        let message = cause.to_string();
        if text.contains(&message) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&message);
    }
    one_line(&text, DETAIL_CHARS_MAX)
}

/// True when `error` shows that no byte of the request can have reached the server.
pub fn is_before_sending(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| {
        cause
            .downcast_ref::<hyper_util::client::legacy::Error>()
            .is_some_and(hyper_util::client::legacy::Error::is_connect)
    })
}

/// `error` and its causes, outermost first. What an [`io::Error`] wraps is one of them, which its
/// `source` would skip.
pub(crate) fn causes<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    // A chain that leads back to itself cannot be built, but costs nothing to survive.
    std::iter::successors(Some(error), |error| cause_of(*error)).take(32)
}

fn cause_of<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref);
    match inner {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}

/// True when a cause tells of exhausted local ports, by number or by words (`registry.md` 10.1).
fn is_port_exhaustion(cause: &(dyn Error + 'static)) -> bool {
    let os_errno = cause
        .downcast_ref::<io::Error>()
        .and_then(io::Error::raw_os_error);
    is_no_local_port(os_errno, &cause.to_string())
}

/// The class that one cause alone stands for; the innermost that has one decides.
fn kind_of(cause: &(dyn Error + 'static)) -> Option<TransportKind> {
    if cause.is::<DnsError>() {
        return Some(TransportKind::Dns);
    }
    if cause.is::<LimitPassed>() || cause.is::<Overdue>() {
        return Some(TransportKind::TimedOut);
    }
    if let Some(error) = cause.downcast_ref::<TunnelError>() {
        return match error {
            TunnelError::Broken { .. } => None,
            TunnelError::Refused { .. } => Some(TransportKind::Refused),
            TunnelError::Malformed { .. } => Some(TransportKind::Malformed),
        };
    }
    if let Some(error) = cause.downcast_ref::<DialError>() {
        return kind_of_dial(error);
    }
    if cause.is::<rustls::Error>() {
        return Some(TransportKind::Tls);
    }
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return kind_of_hyper(error);
    }
    cause
        .downcast_ref::<io::Error>()
        .and_then(|error| kind_of_io(error.kind()))
}

/// What a step stands for by itself; transparent errors hide the cause that would have said it.
fn kind_of_dial(error: &DialError) -> Option<TransportKind> {
    match error {
        DialError::Dns(_) => Some(TransportKind::Dns),
        DialError::Overdue(_) => Some(TransportKind::TimedOut),
        DialError::Trust(_) => Some(TransportKind::Tls),
        DialError::Tunnel(error) => kind_of(error),
        DialError::ServerName(_) => Some(TransportKind::Malformed),
        DialError::Proxy { source, .. } => kind_of_dial(source),
        DialError::Connect { .. } | DialError::Tls { .. } | DialError::Http { .. } => None,
    }
}

fn kind_of_hyper(error: &hyper::Error) -> Option<TransportKind> {
    if error.is_parse() {
        Some(TransportKind::Malformed)
    } else if error.is_timeout() {
        Some(TransportKind::TimedOut)
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        Some(TransportKind::Closed)
    } else {
        None
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is the standard library's, and grows"
)]
fn kind_of_io(kind: io::ErrorKind) -> Option<TransportKind> {
    match kind {
        io::ErrorKind::AddrNotAvailable => Some(TransportKind::NoLocalPort),
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown => Some(TransportKind::Refused),
        io::ErrorKind::TimedOut => Some(TransportKind::TimedOut),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::NotConnected
        | io::ErrorKind::UnexpectedEof => Some(TransportKind::Closed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn innermost_telling_cause_decides() {
        let check = |error: io::Error, kind| assert_eq!(classify(&error).kind, kind, "{error:?}");
        check(
            io::ErrorKind::AddrNotAvailable.into(),
            TransportKind::NoLocalPort,
        );
        check(
            io::ErrorKind::ConnectionRefused.into(),
            TransportKind::Refused,
        );
        check(io::ErrorKind::UnexpectedEof.into(), TransportKind::Closed);
        check(io::Error::other("whatever"), TransportKind::Closed);
        check(
            io::Error::other(io::Error::from(io::ErrorKind::AddrNotAvailable)),
            TransportKind::NoLocalPort,
        );
        check(
            io::Error::other("dial tcp: Cannot assign requested address"),
            TransportKind::NoLocalPort,
        );
        check(io::Error::from_raw_os_error(99), TransportKind::NoLocalPort);
        check(
            io::Error::new(io::ErrorKind::InvalidData, rustls::Error::DecryptError),
            TransportKind::Tls,
        );
        check(
            io::Error::other(DnsError {
                host: "r.example".to_owned(),
                source: io::Error::other("no such name"),
            }),
            TransportKind::Dns,
        );
        check(
            io::Error::other(LimitPassed {
                what: "connection",
                limit: Duration::from_secs(1),
            }),
            TransportKind::TimedOut,
        );
    }

    #[test]
    fn used_up_ports_are_seen_through_every_layer_and_by_their_text_alone() {
        let errno_99 = || io::Error::from_raw_os_error(99);
        let connect = |source| DialError::Connect {
            address: "r.example:443".to_owned(),
            source,
        };
        let proxied = DialError::Proxy {
            proxy: "http://p:3128".to_owned(),
            source: Box::new(connect(errno_99())),
        };
        let only_text = io::Error::other("dial tcp: Cannot assign requested address");
        let errors: [&(dyn Error + 'static); 4] = [
            &connect(errno_99()),
            &proxied,
            &io::Error::other(connect(errno_99())),
            &connect(only_text),
        ];
        for error in errors {
            let failure = classify(error);
            assert_eq!(failure.kind, TransportKind::NoLocalPort, "{failure:?}");
        }
    }

    #[test]
    fn description_is_one_line_without_credentials_or_repetition() {
        let inner = io::Error::other("cannot reach https://user:pass@r.example/v2?sig=1");
        let error = io::Error::new(io::ErrorKind::ConnectionReset, inner);
        assert_eq!(describe(&error), "cannot reach https://r.example/v2?…");
    }
}
