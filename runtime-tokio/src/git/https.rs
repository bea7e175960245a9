//! Channels over HTTP: one exchange each, on connections that are kept for the next one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use image_updater_core::git::{ChannelEnd, Open, Service};
use image_updater_core::http::{HeaderValue, Method};
use image_updater_core::repo::credential::GitCredential;
use image_updater_core::secret::Secret;
use rustls::RootCertStore;

use super::channel::{Brought, Channel, Opener};
use super::echo;
use super::login::{Login, refused};
use super::settings::GitSettings;
use super::token::Tokens;
use crate::http::{
    Answer, ClientIdentity, HttpSettings, NoAnswer, PrivateClient, PrivateRequest, Proxies,
};

/// What is read of an answer that nobody wants any more.
const REST_BYTES_MAX: usize = 64 << 10;
const REST_TIME_MAX: Duration = Duration::from_millis(500);

/// Opens exchanges with one server.
pub(super) struct HttpOpener {
    client: PrivateClient,
    login: Login,
    request_timeout: Duration,
    /// What the server was shown, in every form that it may come back in.
    shown: Vec<String>,
}

impl HttpOpener {
    /// For the repository at `url`. `user` is that of the URL, for a credential that names none.
    pub(super) fn new(
        url: &str,
        user: Option<&(String, Secret)>,
        credential: &GitCredential,
        settings: &GitSettings,
        roots: &Arc<RootCertStore>,
        tokens: &Arc<Tokens>,
    ) -> Result<Self, ChannelEnd> {
        let identity = match &credential.client_certificate {
            Some(pair) => {
                let (certificate, key) = (pair.certificate.reveal(), pair.key.reveal());
                let identity = ClientIdentity::of_pem(certificate.as_bytes(), key.as_bytes());
                Some(identity.map_err(|error| refused(error.to_string()))?)
            }
            None => None,
        };
        let http = HttpSettings {
            response_header_timeout: settings.exchange_timeout,
            proxies: proxies(credential, settings)?,
            ..settings.http.clone()
        };
        let client = |url: &str| {
            let roots = Arc::clone(roots);
            let identity = identity.clone();
            PrivateClient::new(url, credential.is_insecure, identity, http.clone(), roots)
        };
        Ok(Self {
            client: client(url),
            login: Login::new(user, &credential.kind, &client, tokens)?,
            request_timeout: settings.request_timeout,
            shown: echo::of_proxy(&credential.proxy),
        })
    }
}

/// The proxy of the repository, else those of the process (WB-49).
fn proxies(credential: &GitCredential, settings: &GitSettings) -> Result<Proxies, ChannelEnd> {
    if credential.proxy.is_empty() {
        return Ok(settings.http.proxies.clone());
    }
    Proxies::of_one(credential.proxy.reveal(), &credential.no_proxy)
        .map_err(|problem| refused(format!("the repository's proxy cannot be used: {problem}")))
}

#[async_trait]
impl Opener for HttpOpener {
    async fn open(
        &mut self,
        service: Service,
        open: Open,
        limit: Duration,
    ) -> Result<Box<dyn Channel>, ChannelEnd> {
        let Open::Http {
            method,
            url,
            headers,
            body,
        } = open
        else {
            return Err(refused(
                "a channel of another kind was asked for".to_owned(),
            ));
        };
        let mut lines: Vec<(String, HeaderValue)> = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), HeaderValue::Plain(value)))
            .collect();
        let authorization = self.login.authorization(self.request_timeout).await?;
        if let Some(authorization) = authorization {
            if let Some((_, value)) = authorization.reveal().split_once(' ') {
                echo::add(&mut self.shown, value);
            }
            lines.push((
                "authorization".to_owned(),
                HeaderValue::Secret(authorization),
            ));
        }
        let request = PrivateRequest {
            method,
            url: &url,
            headers: lines,
            body,
            is_repeatable: method != Method::Post || service == Service::UploadPack,
        };
        let answer = self.client.send(request, limit).await.map_err(ended)?;
        if answer.status == 401 {
            self.login.forget();
        }
        Ok(Box::new(HttpChannel {
            answer,
            is_head_told: false,
        }))
    }

    fn secrets(&self) -> Vec<String> {
        self.shown
            .iter()
            .cloned()
            .chain(self.login.secrets())
            .collect()
    }
}

/// What a request without an answer means for its channel.
pub(super) fn ended(no_answer: NoAnswer) -> ChannelEnd {
    let detail = no_answer.failure.detail;
    if no_answer.is_unsent {
        ChannelEnd::NotOpened { detail }
    } else {
        ChannelEnd::Broken { detail }
    }
}

/// An exchange whose answer has begun.
#[derive(Debug)]
struct HttpChannel {
    answer: Answer,
    is_head_told: bool,
}

#[async_trait]
impl Channel for HttpChannel {
    async fn next(&mut self) -> Brought {
        if !self.is_head_told {
            self.is_head_told = true;
            return Brought::Head(self.answer.status, std::mem::take(&mut self.answer.headers));
        }
        match self.answer.next_piece().await {
            Ok(Some(piece)) => Brought::Data(piece),
            Ok(None) => Brought::End(ChannelEnd::Finished),
            Err(failure) => Brought::End(ChannelEnd::Broken {
                detail: failure.detail,
            }),
        }
    }

    fn send(&mut self, _bytes: Vec<u8>) {
        debug_assert!(false, "an exchange has its whole request from its start");
    }

    async fn close(self: Box<Self>) {
        self.answer.finish(REST_BYTES_MAX, REST_TIME_MAX).await;
    }
}
