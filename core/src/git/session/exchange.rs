//! Channels: opening them, reading what comes, and what their ends mean.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::{Action, Phase, Session};
use crate::git::capability::Server;
use crate::git::channel::{ChannelEnd, ChannelId, Open, Remote, Service};
use crate::git::fault::Fault;
use crate::git::fetch::FetchReader;
use crate::git::job::Outcome;
use crate::git::pack::Pack;
use crate::git::refs::{AdvertisementReader, Refs, RefsReader, WantedRefs};
use crate::git::refusal::{self, Refusal, RefusalKind};
use crate::git::report::{Report, ReportReader};
use crate::git::sideband::{self, Messages};
use crate::http::{Method, ShownUrl};

/// Redirects of one session.
const REDIRECTS_MAX: u32 = 5;
/// What is kept of the body of an error.
const ERROR_BODY_BYTES_MAX: usize = 1_024;

/// The channel in use.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) id: ChannelId,
    service: Service,
    reply: Option<Reply>,
    /// The status, when it is not success, with what the body begins with.
    error: Option<(u16, Vec<u8>)>,
    /// Requests that were sent, beside what opened it.
    n_requests: u32,
    messages: Messages,
}

/// What is being read.
#[derive(Debug)]
pub(super) enum Reply {
    Advertisement(AdvertisementReader),
    Refs(RefsReader),
    Fetch(Box<FetchReader>),
    Report(ReportReader),
}

/// What was read.
pub(super) enum ReplyEnd {
    Advertisement(Server, Refs),
    Refs(Refs),
    Pack(Box<Pack>),
    Report(Report),
}

impl Reply {
    fn handle_bytes(&mut self, bytes: &[u8]) -> Result<Option<ReplyEnd>, Fault> {
        Ok(match self {
            Self::Advertisement(reader) => reader
                .handle_bytes(bytes)?
                .map(|(server, refs)| ReplyEnd::Advertisement(server, refs)),
            Self::Refs(reader) => reader.handle_bytes(bytes)?.map(ReplyEnd::Refs),
            Self::Fetch(reader) => reader
                .handle_bytes(bytes)?
                .map(|pack| ReplyEnd::Pack(Box::new(pack))),
            Self::Report(reader) => reader.handle_bytes(bytes)?.map(ReplyEnd::Report),
        })
    }

    const fn content_type(&self) -> &'static str {
        match self {
            Self::Advertisement(_) => "application/x-git-upload-pack-advertisement",
            Self::Refs(_) | Self::Fetch(_) => "application/x-git-upload-pack-result",
            Self::Report(_) => "application/x-git-receive-pack-result",
        }
    }
}

impl Session {
    /// The head of an HTTP answer; header names in lower case.
    pub fn handle_head(&mut self, channel: ChannelId, status: u16, headers: &[(String, String)]) {
        let Some(live) = self.live.as_mut().filter(|live| live.id == channel) else {
            return;
        };
        let header = |name: &str| {
            let found = headers.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        match status {
            200 => {
                let expected = live.reply.as_ref().map(Reply::content_type);
                let found = header("content-type").unwrap_or_default();
                let found = found.split(';').next().unwrap_or_default().trim();
                if expected.is_some_and(|expected| expected != found) {
                    let text = format!(
                        "the server answers with {} and not with git's smart protocol: is the URL right?",
                        sideband::to_shown(found.as_bytes())
                    );
                    self.on_status_refusal(status, Refusal::new(RefusalKind::NotGit, text));
                }
            }
            301 | 302 | 303 | 307 | 308 => {
                let location = header("location").unwrap_or_default().to_string();
                self.on_redirect(status, &location);
            }
            _ => live.error = Some((status, Vec::new())),
        }
    }

    /// The next piece of what a channel brings.
    pub fn handle_data(&mut self, channel: ChannelId, bytes: &[u8]) {
        let Some(live) = self.live.as_mut().filter(|live| live.id == channel) else {
            return;
        };
        if let Some((_, body)) = &mut live.error {
            let n_left = ERROR_BODY_BYTES_MAX - body.len();
            body.extend_from_slice(&bytes[..bytes.len().min(n_left)]);
            return;
        }
        let Some(reply) = &mut live.reply else {
            return;
        };
        match reply.handle_bytes(bytes) {
            Ok(None) => {}
            Ok(Some(end)) => {
                live.reply = None;
                self.on_reply(end);
            }
            Err(fault) => self.on_fault(fault),
        }
    }

    /// What the program of an SSH channel says to people.
    pub fn handle_message(&mut self, channel: ChannelId, text: &[u8]) {
        if let Some(live) = self.live.as_mut().filter(|live| live.id == channel) {
            live.messages.handle_bytes(text);
        }
    }

    /// A channel ended. Said once for every channel that was opened, also after it was closed.
    pub fn handle_end(&mut self, channel: ChannelId, end: &ChannelEnd) {
        if self.live.as_ref().is_some_and(|live| live.id == channel) {
            self.on_end(end);
        }
    }

    fn on_end(&mut self, end: &ChannelEnd) {
        let Some(live) = self.live.take() else {
            return;
        };
        // An HTTP exchange of which all was read, or an SSH channel between two requests.
        if live.reply.is_none() && live.error.is_none() {
            return;
        }
        let said = live.messages.to_lines();
        if let Some((status, body)) = live.error {
            let said = sideband::to_shown(&body);
            // Pages for browsers say nothing in one line.
            let said = if said.starts_with('<') {
                String::new()
            } else {
                said
            };
            let mut kind = refusal::of_status(status);
            if kind == RefusalKind::NotGit && !said.is_empty() {
                kind = refusal::of_last_words(&said);
            }
            let text = match &*said {
                "" => format!("the server answers {status}"),
                said => format!("the server answers {status}: {said}"),
            };
            return self.on_status_refusal(status, Refusal::new(kind, text));
        }
        let (kind, text) = match end {
            ChannelEnd::NotOpened { detail } => {
                return self.refuse(RefusalKind::Transport, detail.clone());
            }
            ChannelEnd::Refused { kind, detail } => return self.refuse(*kind, detail.clone()),
            ChannelEnd::Broken { detail } => (RefusalKind::Transport, detail.clone()),
            ChannelEnd::Finished if said.is_empty() => (
                RefusalKind::Transport,
                "the server ended its answer early".to_string(),
            ),
            // Over SSH the server's last words come beside the protocol.
            ChannelEnd::Finished => {
                let text = said.join("; ");
                (refusal::of_last_words(&text), text)
            }
        };
        if let Phase::Push(commit) = &self.phase {
            let outcome = commit.to_unknown(text);
            self.finish(outcome);
        } else {
            self.refuse(kind, text);
        }
    }

    /// An answer by its status alone: it tells that a push was not taken, unless the server failed.
    fn on_status_refusal(&mut self, status: u16, refusal: Refusal) {
        let is_unknown = status == 200 || status == 408 || status >= 500;
        let outcome = match &self.phase {
            Phase::Push(commit) if is_unknown => commit.to_unknown(refusal.text),
            Phase::Advertisement
            | Phase::Refs
            | Phase::Relation(_)
            | Phase::Search(_)
            | Phase::Content(_)
            | Phase::Edit(_)
            | Phase::Sign(_)
            | Phase::Greeting(_)
            | Phase::Push(_)
            | Phase::Done => Outcome::Refused(refusal),
        };
        self.finish(outcome);
    }

    /// A repository that moved is followed on its own host only: credentials belong to a host.
    fn on_redirect(&mut self, status: u16, location: &str) {
        let suffix = "/info/refs?service=git-upload-pack";
        let new = location.strip_suffix(suffix);
        let is_first = matches!(self.phase, Phase::Advertisement);
        if let (Remote::Http(url), Some(new), true) = (&mut self.remote, new, is_first)
            && self.n_channels <= REDIRECTS_MAX
        {
            let new = if new.starts_with('/') {
                format!("{}{new}", origin(url))
            } else {
                new.to_string()
            };
            if is_same_host(url, &new) {
                *url = new;
                let reply = self.live.take().and_then(|live| {
                    self.actions.push_back(Action::Close { channel: live.id });
                    live.reply
                });
                if let Some(reply) = reply {
                    self.open(Service::UploadPack, reply);
                }
                return;
            }
        }
        let shown = location.strip_suffix(suffix).unwrap_or(location);
        let text = format!(
            "the repository is at {} now: change its URL",
            sideband::to_shown(ShownUrl(shown).to_string().as_bytes())
        );
        self.on_status_refusal(status, Refusal::new(RefusalKind::Moved, text));
    }

    /// Opens a service: over HTTP for what it says first, which is read as `reply`.
    pub(super) fn open(&mut self, service: Service, reply: Reply) {
        let open = match &self.remote {
            Remote::Http(url) => Open::Http {
                method: Method::Get,
                url: format!(
                    "{}/info/refs?service={}",
                    url.trim_end_matches('/'),
                    service.as_str()
                ),
                headers: headers(service, None),
                body: Vec::new(),
            },
            Remote::Ssh(path) => Open::Ssh {
                command: format!("{} {}", service.as_str(), quoted(path)),
                environment: (service == Service::UploadPack)
                    .then_some(("GIT_PROTOCOL", "version=2")),
            },
        };
        self.open_channel(service, open, Some(reply));
    }

    /// Sends a request to the service that was spoken to, and reads `reply`.
    pub(super) fn ask(&mut self, request: Vec<u8>, reply: Reply) {
        let service = match &reply {
            Reply::Advertisement(_) | Reply::Refs(_) | Reply::Fetch(_) => Service::UploadPack,
            Reply::Report(_) => Service::ReceivePack,
        };
        match &self.remote {
            Remote::Http(url) => {
                let open = Open::Http {
                    method: Method::Post,
                    url: format!("{}/{}", url.trim_end_matches('/'), service.as_str()),
                    headers: headers(service, Some(reply.content_type())),
                    body: request,
                };
                self.open_channel(service, open, Some(reply));
            }
            Remote::Ssh(_) => {
                // Before version 2 a channel takes one request.
                let is_v2 = self.server().is_some_and(|server| server.is_v2);
                match &mut self.live {
                    Some(live) if live.service == service && (is_v2 || live.n_requests == 0) => {
                        live.n_requests += 1;
                        live.reply = Some(reply);
                        let channel = live.id;
                        self.actions.push_back(Action::Send {
                            channel,
                            bytes: request,
                        });
                    }
                    Some(_) | None => {
                        self.pending = Some((request, reply));
                        let reader = AdvertisementReader::new(WantedRefs::default());
                        self.open(service, Reply::Advertisement(reader));
                    }
                }
            }
        }
    }

    /// A new channel's server has spoken, and a request waits for it.
    pub(super) fn on_pending(&mut self) {
        if let Some((request, reply)) = self.pending.take() {
            self.ask(request, reply);
        }
    }

    fn open_channel(&mut self, service: Service, open: Open, reply: Option<Reply>) {
        self.close();
        self.n_channels += 1;
        let channel = ChannelId(self.n_channels);
        self.live = Some(Live {
            id: channel,
            service,
            reply,
            error: None,
            n_requests: 0,
            messages: Messages::default(),
        });
        self.actions.push_back(Action::Open {
            channel,
            service,
            open,
        });
    }

    pub(super) fn close(&mut self) {
        if let Some(live) = self.live.take() {
            self.actions.push_back(Action::Close { channel: live.id });
        }
    }

    /// What the program on the other side of the channel in use has said.
    pub(super) fn live_messages(&self) -> Vec<String> {
        let live = self.live.as_ref();
        live.map(|live| live.messages.to_lines())
            .unwrap_or_default()
    }
}

fn headers(service: Service, result: Option<&'static str>) -> Vec<(&'static str, String)> {
    // Some hosts serve the smart protocol only to what calls itself git.
    let agent = concat!(
        "git/2 (argocd-image-updater/",
        env!("CARGO_PKG_VERSION"),
        ")"
    );
    let mut headers = Vec::from([("user-agent", agent.to_string())]);
    if service == Service::UploadPack {
        headers.push(("git-protocol", "version=2".to_string()));
    }
    if let Some(result) = result {
        headers.push(("accept", result.to_string()));
        let kind = format!("application/x-{}-request", service.as_str());
        headers.push(("content-type", kind));
    }
    headers
}

/// A word for a shell, as the host runs one.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', "'\\''").replace('!', "'\\!'"))
}

fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..]
        .find('/')
        .map_or(url.len(), |at| authority + at);
    &url[..end]
}

/// The same scheme, host and port; or from plain to TLS on one host, without ports.
fn is_same_host(old: &str, new: &str) -> bool {
    let (old, new) = (origin(old), origin(new));
    let host = |origin: &str, scheme: &str| {
        let prefix = origin.get(..scheme.len())?;
        let rest = prefix
            .eq_ignore_ascii_case(scheme)
            .then(|| &origin[scheme.len()..])?;
        (!rest.contains(':')).then(|| rest.to_ascii_lowercase())
    };
    old.eq_ignore_ascii_case(new)
        || host(old, "http://").is_some_and(|old| host(new, "https://") == Some(old))
}
