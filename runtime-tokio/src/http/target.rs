//! Whom a URL speaks to: scheme, host and port.

use http::Uri;
use http::uri::Scheme;
use image_updater_core::http::{TransportFailure, TransportKind};

use super::redact::redact_url;

/// The server of a URL.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Target {
    /// Over TLS.
    pub(super) is_tls: bool,
    /// Host name or address in lower case, an IPv6 address without its brackets.
    pub(super) host: String,
    /// The port, that of the scheme where the URL names none.
    pub(super) port: u16,
}

impl Target {
    /// The URL and its server, when it is an `http` or `https` URL with a host.
    pub(super) fn of_url(url: &str) -> Result<(Uri, Self), TransportFailure> {
        let parse = || {
            let uri: Uri = url.parse().ok()?;
            let target = Self::of(&uri)?;
            Some((uri, target))
        };
        parse().ok_or_else(|| TransportFailure {
            kind: TransportKind::Malformed,
            detail: format!("no usable URL: {}", redact_url(url)),
        })
    }

    /// The server of `uri`.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let is_tls = match uri.scheme()? {
            scheme if *scheme == Scheme::HTTPS => true,
            scheme if *scheme == Scheme::HTTP => false,
            _ => return None,
        };
        let host = uri.host()?;
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() {
            return None;
        }
        // A port that is none must not become the scheme's own: that is another server.
        let has_port = uri.authority()?.as_str().rsplit('@').next()? != uri.host()?;
        let port = match uri.port_u16() {
            Some(port) if port > 0 => port,
            None if !has_port => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            Some(_) | None => return None,
        };
        Some(Self {
            is_tls,
            host: host.to_ascii_lowercase(),
            port,
        })
    }

    /// Host and port, as a proxy is asked for them.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    /// Host, and the port unless the scheme implies it, as a server is told.
    pub(super) fn authority(&self) -> String {
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => self.bracketed_host(),
            _ => self.address(),
        }
    }

    /// The scheme.
    pub(super) fn scheme(&self) -> Scheme {
        if self.is_tls {
            Scheme::HTTPS
        } else {
            Scheme::HTTP
        }
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_says_whom_it_speaks_to() {
        let check = |url: &str, authority: &str, address: &str| {
            let (_, target) = Target::of_url(url).expect("a usable URL");
            assert_eq!(
                (target.authority(), target.address()),
                (authority.into(), address.into())
            );
        };
        check("https://R.example/v2/", "r.example", "r.example:443");
        check(
            "https://u:p@r.example:5000/",
            "r.example:5000",
            "r.example:5000",
        );
        check("http://r.example:443", "r.example:443", "r.example:443");
        check("http://[::1]:80/x", "[::1]", "[::1]:80");
        for url in [
            "",
            "/v2/",
            "r.example/v2/",
            "ftp://r.example/",
            "http://",
            "http://a b/",
            "https://r.example:99999/",
            "https://r.example:0/",
            "https://r.example:https/",
            "https://r.example:/",
            "https://[::1]:99999/",
        ] {
            assert!(Target::of_url(url).is_err(), "{url}");
        }
    }
}
