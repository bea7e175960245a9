//! Requests of tests to real servers, blocking, with every status as an answer.

use std::time::Duration;

use serde_json::Value;
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// Headers in order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The first header of that name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Itself, if it has this status.
    ///
    /// # Panics
    /// When it has another one; with the body as text.
    #[expect(
        clippy::return_self_not_must_use,
        reason = "often only the status matters"
    )]
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "unexpected answer: {}",
            String::from_utf8_lossy(&self.body)
        );
        self
    }
}

/// Sends requests and trusts one certificate authority, or none where there is no TLS.
pub(super) struct Exchange {
    agent: Agent,
}

impl Exchange {
    pub(super) fn new(ca_pem: Option<&str>) -> Self {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)));
        if let Some(pem) = ca_pem {
            let roots: Vec<Certificate<'static>> = ureq::tls::parse_pem(pem.as_bytes())
                .filter_map(|item| {
                    let item = item.expect("the server wrote certificates");
                    let PemItem::Certificate(certificate) = item else {
                        return None;
                    };
                    Some(certificate)
                })
                .collect();
            let roots = RootCerts::new_with_certs(&roots);
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Self {
            agent: config.build().into(),
        }
    }

    /// # Panics
    /// When there is no answer.
    #[track_caller]
    pub(super) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let valid = "the test made a valid request";
        let reply = match body {
            Some(body) => self.agent.run(request.body(body).expect(valid)),
            None => self.agent.run(request.body(()).expect(valid)),
        };
        let mut reply = reply.unwrap_or_else(|error| panic!("{method} {url}: {error}"));
        Reply {
            status: reply.status().as_u16(),
            headers: reply
                .headers()
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    (name.as_str().to_owned(), value.into_owned())
                })
                .collect(),
            body: reply
                .body_mut()
                .read_to_vec()
                .unwrap_or_else(|error| panic!("{method} {url}: {error}")),
        }
    }
}
